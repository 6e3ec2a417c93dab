//! The simulator over real sockets: what only a socket can show.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use sim::{Config, Dark, Ended, Fault, Rule, Sim, Vendor};

fn start(rules: Vec<Rule>) -> Sim {
    Sim::start(Config { rules, ..Config::default() }).unwrap()
}

fn connect(sim: &Sim) -> TcpStream {
    let stream = TcpStream::connect(sim.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn send(stream: &mut TcpStream, method: &str, path: &str, body: &Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let key = "authorization: Bearer sk-test\r\nanthropic-version: 2023-06-01";
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: sim\r\n{key}\r\ncontent-length: {length}\r\n\r\n{body}");
    // All at once: some connections end at the first byte that comes.
    stream.write_all(request.as_bytes()).unwrap();
}

/// Reads one whole answer: head and body.
fn receive(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed in the head");
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|len| len.parse().unwrap());
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body).unwrap();
        }
        None => {
            while !body.ends_with(b"\r\n0\r\n\r\n") {
                assert_eq!(stream.read(&mut byte).unwrap(), 1, "closed in the body");
                body.push(byte[0]);
            }
        }
    }
    (head, String::from_utf8_lossy(&body).into_owned())
}

/// What comes until the connection ends, and how it ends.
fn to_the_end(stream: &mut TcpStream) -> (String, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|e| e.kind());
    (String::from_utf8_lossy(&bytes).into_owned(), end)
}

fn chat(stream: bool) -> Value {
    json!({"model": "gpt-6-sol", "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
}

const CHAT: &str = "/v1/chat/completions";

/// Waits for a condition: the end of a request is seen a moment after the socket's.
fn eventually(what: &str, check: impl Fn() -> bool) {
    for _ in 0..2000 {
        if check() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

#[test]
fn answers_logs_and_bills() {
    let sim = start(Vec::new());
    let mut stream = connect(&sim);
    for path in [CHAT, "/v1/nowhere"] {
        send(&mut stream, "POST", path, &chat(false));
        let (head, _) = receive(&mut stream);
        assert!(head.contains("x-request-id: req_"), "{head}");
    }
    let log = sim.log();
    let seen: Vec<(u64, u16, &str)> = log.iter().map(|e| (e.seq, e.status, e.path.as_str())).collect();
    assert_eq!(seen, [(1, 200, CHAT), (2, 404, "/v1/nowhere")]);
    assert_eq!(log[0].connection, log[1].connection);
    assert_eq!(log[0].body, chat(false).to_string());
    assert!(log[0].headers.contains(&("authorization".to_owned(), "Bearer sk-test".to_owned())));
    let bill = sim.bill();
    assert_eq!((bill.total.requests, bill.items.len()), (1, 1));
    assert_eq!(bill.total.nano_usd, bill.total.input_tokens * 2000 + bill.total.output_tokens * 10_000);
    assert_eq!(bill.items[0].charges.iter().map(|c| c.nano_usd).sum::<u64>(), bill.total.nano_usd);
    sim.reset();
    assert!(sim.log().is_empty() && sim.bill().items.is_empty());
}

#[test]
fn connections_end_as_the_fault_says() {
    // Fault, stream, the last of what arrives, how it ends.
    let rows = [
        (Fault::Reset, false, "", Some(ErrorKind::ConnectionReset)),
        (Fault::Close, false, "", None),
        (Fault::ResetAfterHeaders, true, "", Some(ErrorKind::ConnectionReset)),
        (Fault::ResetStream, true, "", Some(ErrorKind::ConnectionReset)),
        (Fault::CutStream, true, "", None),
        (Fault::TruncatedBody, false, "", None),
        (Fault::CloseAfter, false, "}", None),
        (Fault::CloseAfter, true, "0\r\n\r\n", None),
    ];
    for (fault, streams, last, how) in rows {
        let sim = start(vec![Rule::fault(fault)]);
        let mut stream = connect(&sim);
        send(&mut stream, "POST", CHAT, &chat(streams));
        let (text, end) = to_the_end(&mut stream);
        assert_eq!(end, how, "{}: {text}", fault.name());
        assert!(text.ends_with(last), "{}: {text}", fault.name());
        let chunked_end = text.ends_with("0\r\n\r\n");
        assert_eq!(chunked_end, fault == Fault::CloseAfter && streams, "{}: {text}", fault.name());
        let broken = fault != Fault::CloseAfter;
        eventually("the log", || sim.log()[0].ended == Some(if broken { Ended::Broken } else { Ended::Done }));
    }
}

#[test]
fn a_cut_stream_ends_inside_a_chunk() {
    let sim = start(vec![Rule::fault(Fault::CutStream)]);
    let mut stream = connect(&sim);
    send(&mut stream, "POST", CHAT, &chat(true));
    let (text, _) = to_the_end(&mut stream);
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let mut rest = body;
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).unwrap();
        if after.len() < size + 2 {
            assert!(after.len() < size, "the chunk is whole");
            break;
        }
        rest = &after[size + 2..];
    }
    assert!(body.contains("You "), "{body}");
}

#[test]
fn a_stale_connection_dies_at_the_next_request() {
    let sim = start(vec![Rule::fault(Fault::StaleConnection).times(1)]);
    let mut stream = connect(&sim);
    send(&mut stream, "POST", CHAT, &chat(false));
    assert!(receive(&mut stream).0.starts_with("HTTP/1.1 200"));
    send(&mut stream, "POST", CHAT, &chat(false));
    assert_eq!(to_the_end(&mut stream).0, "");
    let mut fresh = connect(&sim);
    send(&mut fresh, "POST", CHAT, &chat(false));
    assert!(receive(&mut fresh).0.starts_with("HTTP/1.1 200"));
    assert_eq!(sim.log().len(), 2);
}

#[test]
fn a_caller_that_leaves_is_seen_and_charged() {
    let sim = start(Vec::new());
    // Silence costs nothing; a slow plain answer is charged in full; a stream for what it produced.
    let rows = [("silence", false, 0), ("slow_head,ms=700", false, 3), ("stalled_stream,after=2", true, 2)];
    for (order, streams, tokens) in rows {
        sim.reset();
        let mut stream = connect(&sim);
        let mut body = chat(streams);
        body["messages"][0]["content"] = json!(format!("@@sim:{order},say=one two three@@"));
        send(&mut stream, "POST", CHAT, &body);
        eventually("it came", || sim.log().first().is_some_and(|e| e.fault.is_some()));
        if streams {
            let mut first = [0; 1024];
            assert!(stream.read(&mut first).unwrap() > 0);
            eventually("two tokens", || sim.bill().total.output_tokens == 2);
        }
        let left = sim.now_us();
        drop(stream);
        eventually("it left", || sim.log()[0].ended == Some(Ended::ClientGone));
        if !streams && tokens > 0 {
            assert_eq!(sim.bill().total.requests, 0, "{order}: it is charged when its answer would have been ready");
            eventually("it ran on", || sim.bill().items.front().is_some_and(|item| item.closed));
            let item = &sim.bill().items[0];
            assert!(item.charges[0].at_us <= sim.now_us() && item.charges[0].at_us >= left + 200_000, "{item:?}");
        }
        assert_eq!(sim.bill().total.output_tokens, tokens, "{order}");
        assert_eq!(sim.bill().total.input_tokens > 0, tokens > 0, "{order}");
    }
}

#[test]
fn vendors_go_dark_and_come_back() {
    let sim = start(Vec::new());
    sim.dark(Some(Vendor::OpenAi), Dark::Refuses);
    let mut stream = connect(&sim);
    send(&mut stream, "POST", CHAT, &chat(false));
    assert_eq!(to_the_end(&mut stream).1, Some(ErrorKind::ConnectionReset));
    let mut other = connect(&sim);
    let message =
        json!({"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    send(&mut other, "POST", "/v1/messages", &message);
    let (head, body) = receive(&mut other);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("anthropic-ratelimit-requests-limit"), "{head}{body}");
    sim.dark(None, Dark::Silent);
    let mut silent = connect(&sim);
    silent.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    send(&mut silent, "POST", CHAT, &chat(false));
    let quiet = to_the_end(&mut silent).1;
    assert!(matches!(quiet, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{quiet:?}");
    sim.light(None);
    let mut again = connect(&sim);
    send(&mut again, "POST", CHAT, &chat(false));
    assert!(receive(&mut again).0.starts_with("HTTP/1.1 200"));
}

#[test]
fn the_control_pages() {
    let sim = start(Vec::new());
    let mut stream = connect(&sim);
    let mut ask = |method: &str, path: &str, body: Value| {
        send(&mut stream, method, path, &body);
        let (head, body) = receive(&mut stream);
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str::<Value>(&body).unwrap_or_default())
    };
    assert_eq!(ask("POST", "/sim/script", json!([{"fault": "unavailable", "times": 1}])), (200, json!({"rules": 1})));
    assert_eq!(ask("POST", CHAT, chat(false)).0, 503);
    assert_eq!(ask("POST", CHAT, chat(false)).0, 200);
    assert_eq!(ask("POST", "/sim/script", json!([{"fault": "x"}])).0, 400);
    let (_, log) = ask("GET", "/sim/log?since=1", Value::Null);
    assert_eq!((log.as_array().unwrap().len(), &log[0]["seq"], &log[0]["ended"]), (1, &json!(2), &json!("done")));
    let bill = ask("GET", "/sim/bill", Value::Null).1;
    assert_eq!(bill["total"]["requests"], 1);
    assert!(bill["items"][0]["charges"][0]["at_us"].as_u64() <= bill["now_us"].as_u64(), "{bill}");
    assert_eq!(ask("GET", "/sim/faults", Value::Null).1.as_array().unwrap().len(), Fault::ALL.len());
    assert_eq!(ask("POST", "/sim/dark?vendor=anthropic&mode=refuse", Value::Null).0, 200);
    assert_eq!(ask("POST", "/sim/dark?vendor=x", Value::Null).0, 400);
    assert_eq!(ask("POST", "/sim/reset", Value::Null).0, 200);
    assert_eq!(ask("GET", "/sim/log", Value::Null).1, json!([]));
}

#[test]
fn keys_are_checked_when_they_are_named() {
    let config = Config {
        openai_keys: vec!["sk-right".to_owned()],
        anthropic_keys: vec!["sk-test".to_owned()],
        ..Config::default()
    };
    let sim = Sim::start(config).unwrap();
    let mut stream = connect(&sim);
    send(&mut stream, "POST", CHAT, &chat(false));
    let (head, body) = receive(&mut stream);
    assert!(head.starts_with("HTTP/1.1 401") && body.contains("invalid_api_key"), "{body}");
    send(&mut stream, "GET", "/v1/models", &Value::Null);
    let (head, body) = receive(&mut stream);
    assert!(head.starts_with("HTTP/1.1 200") && body.contains("claude-haiku-5-5"), "{body}");
}
