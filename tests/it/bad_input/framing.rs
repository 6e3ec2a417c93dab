//! What the framing of a request may be: ambiguous, unusual, or of another protocol.

use std::time::Duration;

use harness::{Speech, World, raw, raw::Raw};

use super::{MIB, alive, head, small};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_framing_is_a_400_and_closes() {
    let world = World::pair().await;
    let body = small();
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let smuggled = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // Whatever a coding is called: it is chunked and nothing else, or the end of the body is anybody's guess.
    let coded = |lines: &str| head(lines) + &chunked;
    let counted = |lines: &str| head(lines) + &body;
    // Chunks of which one is bad.
    let in_chunks = |chunks: &str| head("transfer-encoding: chunked\r\n") + chunks;
    let old = |lines: &str| head(lines).replace("HTTP/1.1", "HTTP/1.0");
    let rows = [
        ("both lengths", head(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n")) + &chunked),
        (
            "both, the other way round",
            head(&format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n")) + &chunked,
        ),
        (
            "both, and a request hidden behind",
            head("content-length: 4\r\ntransfer-encoding: chunked\r\n") + "0\r\n\r\n" + smuggled,
        ),
        (
            "both, behind empty lines",
            "\r\n\r\n".to_owned()
                + &head(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"))
                + &chunked,
        ),
        ("two lengths", head(&format!("content-length: {length}\r\ncontent-length: 5\r\n")) + &body),
        ("a list of lengths", head(&format!("content-length: {length}, 5\r\n")) + &body),
        ("a length with a sign", head(&format!("content-length: +{length}\r\n")) + &body),
        ("a negative length", head("content-length: -1\r\n") + &body),
        ("a chunk size that is none", head("transfer-encoding: chunked\r\n") + "zz\r\n" + &body),
        ("a chunk longer than it says", head("transfer-encoding: chunked\r\n") + "3\r\n" + &body + "\r\n0\r\n\r\n"),
        ("a chunk size without bound", head("transfer-encoding: chunked\r\n") + "ffffffffffffffffff\r\n" + &body),
        ("chunked not last", coded("transfer-encoding: chunked, gzip\r\n")),
        ("chunked, and no coding behind it", coded("transfer-encoding: chunked, identity\r\n")),
        ("no coding at all, by name", coded("transfer-encoding: identity\r\n")),
        ("no coding, then chunked", coded("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n")),
        ("chunked twice", coded("transfer-encoding: chunked, chunked\r\n")),
        ("chunked in two headers", coded("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n")),
        ("nearly chunked", coded("transfer-encoding: xchunked\r\n")),
        ("chunked in quotes", coded("transfer-encoding: \"chunked\"\r\n")),
        ("chunked behind a vertical tab", coded("transfer-encoding: \x0bchunked\r\n")),
        ("chunked with a parameter", coded("transfer-encoding: chunked;q=1\r\n")),
        ("an empty coding", coded("transfer-encoding:\r\n")),
        ("a coding whose name has a space", coded("transfer-encoding : chunked\r\n")),
        ("a folded coding", coded("transfer-encoding:\r\n chunked\r\n")),
        ("both, one name with a space", coded(&format!("content-length: {length}\r\ntransfer-encoding : chunked\r\n"))),
        ("an old version with chunks", old("transfer-encoding: chunked\r\n") + &chunked),
        (
            "an old version with both",
            old(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n")) + &chunked,
        ),
        ("an empty length", counted("content-length:\r\n")),
        ("a length in hexadecimal", counted(&format!("content-length: 0x{length:x}\r\n"))),
        ("a length of two numbers", counted("content-length: 1 0\r\n")),
        ("a length without bound", counted("content-length: 99999999999999999999\r\n")),
        ("a length behind a bare LF", counted(&format!("x-a: b\ncontent-length: 3\r\ncontent-length: {length}\r\n"))),
        ("a NUL in a name", counted(&format!("x-\0a: b\r\ncontent-length: {length}\r\n"))),
        ("a header without a name", counted(&format!(": b\r\ncontent-length: {length}\r\n"))),
        ("a header without a colon", counted(&format!("x-a\r\ncontent-length: {length}\r\n"))),
        ("a chunk size with a sign", in_chunks(&format!("+{chunked}"))),
        ("a negative chunk size", in_chunks("-1\r\n{}\r\n0\r\n\r\n")),
        ("a chunk size with 0x", in_chunks(&format!("0x{chunked}"))),
        ("no chunk size", in_chunks(&format!("\r\n{chunked}"))),
        ("a chunk size that ends in a bare LF", in_chunks(&chunked.replacen("\r\n", "\n", 1))),
        ("a chunk size just past 64 bits", in_chunks(&format!("10000000000000002\r\n{body}"))),
        ("a chunk extension without end", in_chunks(&format!("{length:x};{}\r\n{body}", "x".repeat(70_000)))),
        ("trailers without end", in_chunks(&format!("{length:x}\r\n{body}\r\n0\r\nx: {}", "y".repeat(200_000)))),
        ("a NUL in the path", "GET /\0 HTTP/1.1\r\nhost: l\r\n\r\n".to_owned()),
        ("a path with spaces", "GET / / HTTP/1.1\r\nhost: l\r\n\r\n".to_owned()),
        ("HTTP/0.9", "GET /\r\n\r\n".to_owned()),
        ("a name with a space", head(&format!("content-length : {length}\r\n")) + &body),
        ("a folded header", head(&format!("x-a: b\r\n c\r\ncontent-length: {length}\r\n")) + &body),
        ("a bare CR", head(&format!("x-a: b\rcontent-length: 3\r\ncontent-length: {length}\r\n")) + &body),
        ("a NUL", head(&format!("x-a: b\0c\r\ncontent-length: {length}\r\n")) + &body),
        ("no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\u{3}\r\n\r\n".to_owned()),
        ("a version of its own", "GET / HTTP/3.7\r\nhost: localhost\r\n\r\n".to_owned()),
    ];
    let addr = world.app.addr();
    let mut wrong = vec![];
    for (what, bytes) in rows {
        let got = raw::send(addr, bytes).await;
        if got.status() != 400 || !got.closed || got.answers() != 1 {
            wrong.push(format!("{what}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(world.seen("openai").is_empty(), "nothing of it reached a provider");
    assert!(world.seen("claude").is_empty(), "nothing of it reached a provider");
    alive(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_coding_that_we_do_not_undo_is_refused() {
    let world = World::pair().await;
    let body = Speech::Chat.body("hi", false).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: l\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
    let got = raw::send(world.app.addr(), format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    assert!(got.status() == 400 && got.closed, "{got:?}");
}

/// A proxy would be asked so, and we are none: what counts is the path, and no tunnel is opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_of_every_form() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let body = small();
    let length = body.len();
    let absolute =
        head(&format!("content-length: {length}\r\n")).replace(" /v1", " http://elsewhere.example/v1") + &body;
    let got = raw::send(addr, absolute).await;
    assert_eq!((got.status(), world.seen("openai").len()), (200, 1), "{got:?}");
    for (what, line, status) in [
        ("a foreign page", "GET http://elsewhere.example/secret", 404),
        ("a tunnel", "CONNECT api.openai.com:443", 404),
        ("a tunnel to a path", "CONNECT /v1/chat/completions", 405),
        ("the server as a whole", "OPTIONS *", 404),
        ("a relative path", "GET v1/models", 400),
    ] {
        let got = raw::send(addr, format!("{line} HTTP/1.1\r\nhost: l\r\n\r\n")).await;
        assert_eq!((got.status(), got.answers()), (status, 1), "{what}: {got:?}");
    }
    assert_eq!(world.seen("openai").len(), 1);
    // Another protocol has no word that we could answer in.
    let got = raw::send(addr, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(got.closed && got.text.is_empty(), "{got:?}");
    alive(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hop_by_hop_headers_end_here() {
    let world = World::pair().await;
    let body = small();
    let length = body.len();
    let lines = format!(
        "connection: close, te, x-hop\r\nte: trailers\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nx-end: 1\r\n\
         content-length: {length}\r\n"
    );
    let got = raw::send(world.app.addr(), head(&lines) + &body).await;
    assert_eq!((got.status(), got.closed), (200, true), "{got:?}");
    let seen = world.seen("openai");
    let names: Vec<&str> = seen[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"x-end"), "{names:?}");
    assert!(!names.iter().any(|n| ["te", "x-hop", "keep-alive", "connection"].contains(n)), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leave_to_send_a_body() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let body = small();
    let length = body.len();
    let whole = |lines: &str| head(lines) + &body;
    // What is too long is refused without leave; an old version knows of none; of other expectations nobody knows.
    for (what, bytes, status, leave) in [
        ("too long", head(&format!("content-length: {}\r\nexpect: 100-continue\r\n", 32 * MIB + 1)), 413, false),
        ("in capitals", whole(&format!("content-length: {length}\r\nExpect: 100-Continue\r\n")), 200, true),
        (
            "an old version",
            whole(&format!("content-length: {length}\r\nexpect: 100-continue\r\n")).replace("HTTP/1.1", "HTTP/1.0"),
            200,
            false,
        ),
        ("of another kind", whole(&format!("content-length: {length}\r\nexpect: 200-ok\r\n")), 200, false),
    ] {
        let got = raw::send(addr, bytes).await;
        let (first, rest) = got.text.split_once("\r\n\r\n").unwrap_or_default();
        assert_eq!(first.starts_with("HTTP/1.1 100 "), leave, "{what}: {got:?}");
        let last = if leave { rest } else { &got.text };
        assert_eq!(last.get(9..12), Some(status.to_string().as_str()), "{what}: {got:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusual_but_legal_requests_are_served() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let body = small();
    let length = body.len();
    let plain = head(&format!("content-length: {length}\r\n")) + &body;
    let (a, b) = body.split_at(7);
    let chunked = format!("7;name=value\r\n{a}\r\n{:X}\r\n{b}\r\n0\r\nx-trailer: y\r\n\r\n", b.len());
    let chunked = head("transfer-encoding: chunked\r\n") + &chunked;
    for (what, bytes, answers) in [
        ("two in one write", plain.clone() + &plain, 2),
        ("chunks with extensions and trailers", chunked.clone(), 1),
        (
            "the same length twice",
            head(&format!("content-length: {length}\r\ncontent-length: {length}\r\n")) + &body,
            1,
        ),
        ("empty lines first", format!("\r\n\r\n{plain}"), 1),
    ] {
        let got = raw::send(addr, bytes).await;
        assert_eq!((got.status(), got.answers()), (200, answers), "{what}: {got:?}");
    }
    // Chunked requests one after the other on one connection.
    let mut one = Raw::connect(addr).await;
    for _ in 0..3 {
        assert!(one.write(&chunked).await);
        let got = one.read(Duration::from_millis(500)).await;
        assert_eq!((got.status(), got.closed), (200, false), "{got:?}");
    }
    // The client waits for leave to send its body.
    let mut one = Raw::connect(addr).await;
    one.write(head(&format!("content-length: {length}\r\nexpect: 100-continue\r\n"))).await;
    let leave = one.read(Duration::from_millis(500)).await;
    assert!(leave.text.starts_with("HTTP/1.1 100 "), "{leave:?}");
    one.write(&body).await;
    assert_eq!(one.read(Duration::from_millis(700)).await.status(), 200);
    assert!(world.seen("openai").iter().all(|e| e.headers.iter().all(|(name, _)| name != "expect")));
}
