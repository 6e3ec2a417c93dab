//! Faults and what they put on the wire, as rows.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Act, Billing, Delays, Fault, Opening, Reply, Step, Wire, wire};
use crate::answer::tests::with_ctx;
use crate::answer::{Answer, Ctx};
use crate::vendor::Vendor;
use crate::{chat, messages, responses};

type Api = fn(&Value, &Ctx<'_>) -> Result<Answer, crate::refusal::Refusal>;

/// The three APIs that stream, each with its vendor and a request.
fn apis() -> [(Vendor, Api, Value); 3] {
    let user = json!([{"role": "user", "content": "hello there"}]);
    [
        (Vendor::OpenAi, chat::answer, json!({"model": "gpt-6-sol", "messages": user})),
        (Vendor::OpenAi, responses::answer, json!({"model": "gpt-6-sol", "input": "hello there"})),
        (
            Vendor::Anthropic,
            messages::answer,
            json!({"model": "claude-haiku-5-5", "max_tokens": 100, "messages": user}),
        ),
    ]
}

fn run(api: &(Vendor, Api, Value), stream: bool, act: &Act, usual: &Delays) -> Wire {
    let (vendor, answer, body) = api;
    let ask = |stream: bool| {
        let mut body = body.clone();
        body["stream"] = json!(stream);
        with_ctx(act.fault, |ctx| answer(&body, ctx))
    };
    let reply = Reply {
        vendor: *vendor,
        model: "m",
        key: "sk-whole-key",
        request_id: "req_1",
        answer: ask(stream),
        other: ask(!stream).ok(),
    };
    wire(reply, act, usual, 1)
}

/// The plan as words: status, then what happens, equal steps once.
fn story(wire: &Wire) -> String {
    let mut out = match &wire.opening {
        Opening::Answer(head) => vec![head.status.to_string()],
        Opening::Silence => vec!["silence".to_owned()],
        Opening::Reset => vec!["reset".to_owned()],
        Opening::Close => vec!["close".to_owned()],
    };
    for step in &wire.steps {
        let word = match step {
            Step::Wait(time) => format!("wait{}", time.as_millis()),
            Step::Send(..) => "send".to_owned(),
            Step::Forever(..) => "forever".to_owned(),
            Step::Stall => "stall".to_owned(),
            Step::Cut(_) => "cut".to_owned(),
            Step::Reset => "reset".to_owned(),
        };
        if out.last() != Some(&word) {
            out.push(word);
        }
    }
    out.join(" ")
}

fn sent(wire: &Wire) -> String {
    let bytes: Vec<u8> = wire
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Send(bytes, _) | Step::Cut(bytes) => Some(bytes.to_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn every_fault_has_its_course() {
    // Fault, what a stream does, what a plain answer does, whether anything is charged.
    use Fault::*;
    #[rustfmt::skip]
    let rows: &[(Fault, &str, &str, bool)] = &[
        (RateLimit, "429 send", "429 send", false),
        (RateLimitMs, "429 send", "429 send", false),
        (RateLimitBare, "429 send", "429 send", false),
        (SlowDown, "429 send", "429 send", false),
        (InsufficientQuota, "429 send", "429 send", false),
        (OrganizationUsageLimit, "429 send", "429 send", false),
        (OrganizationSpendLimit, "429 send", "429 send", false),
        (ProjectSpendLimit, "429 send", "429 send", false),
        (EnforcedSpendLimit, "429 send", "429 send", false),
        (BadRequest, "400 send", "400 send", false),
        (ContextTooLong, "400 send", "400 send", false),
        (Unauthorized, "401 send", "401 send", false),
        (KeyEcho, "401 send", "401 send", false),
        (Billing, "402 send", "402 send", false),
        (Forbidden, "403 send", "403 send", false),
        (NotFound, "404 send", "404 send", false),
        (RequestTimeout, "408 send", "408 send", false),
        (Conflict, "409 send", "409 send", false),
        (TooLarge, "413 send", "413 send", false),
        (Unprocessable, "422 send", "422 send", false),
        (ServerError, "500 send", "500 send", false),
        (BadGateway, "502 send", "502 send", false),
        (Unavailable, "503 send", "503 send", false),
        (GatewayTimeout, "504 send", "504 send", false),
        (Overloaded, "529 send", "529 send", false),
        (Reset, "reset", "reset", false),
        (Close, "close", "close", false),
        (Silence, "silence", "silence", false),
        (ResetAfterHeaders, "200 reset", "200 reset", true),
        (SlowHead, "200 send", "200 send", true),
        (SlowFirstToken, "200 send wait3000 send", "200 send", true),
        (EndlessPings, "200 send forever", "200 stall", true),
        (StalledStream, "200 send stall", "200 send stall", true),
        (StalledBody, "200 send stall", "200 send stall", true),
        (CutStream, "200 send cut", "200 cut", true),
        (TruncatedBody, "200 send cut", "200 cut", true),
        (ResetStream, "200 send reset", "200 send reset", true),
        (UnterminatedStream, "200 send", "200 send", true),
        (MalformedFrame, "200 send", "200 send", true),
        (ErrorFirst, "200 send", "200 send", true),
        (ErrorLater, "200 send", "200 send", true),
        (FailedEvent, "200 send", "200 send", true),
        (Error200, "200 send", "200 send", false),
        (Empty200, "200", "200", false),
        (Html200, "200 send", "200 send", false),
        (Text200, "200 send", "200 send", false),
        (JsonForStream, "200 send", "200 send", true),
        (StreamForJson, "200 send", "200 send", true),
        (Gzip, "200 send", "200 send", true),
        (EndlessBody, "200 send forever", "200 forever", true),
        (NoUsage, "200 send", "200 send", true),
        (UsageWithChoices, "200 send", "200 send", true),
        (EmptyChoices, "200 send", "200 send", true),
        (ZeroUsage, "200 send", "200 send", true),
        (LeanDelta, "200 send", "200 send", true),
        (NoStreamOptions, "200 send", "200 send", true),
        (NoRole, "200 send", "200 send", true),
        (EmptyToolCalls, "200 send", "200 send", true),
        (InterleavedTools, "200 send", "200 send", true),
        (ArgumentsInDone, "200 send", "200 send", true),
        (NoFinishReason, "200 send", "200 send", true),
        (UnknownReason, "200 send", "200 send", true),
        (Refusal, "200 send", "200 send", true),
        (ContentFilter, "200 send", "200 send", true),
        (PauseTurn, "200 send", "200 send", true),
        (WindowFull, "200 send", "200 send", true),
        (Odd, "200 send", "200 send", true),
        (OddFraming, "200 send", "200 send", true),
        (NoBlankEnd, "200 send", "200 send", true),
        (ByteByByte, "200 send", "200 send", true),
        (CloseAfter, "200 send", "200 send", true),
        (StaleConnection, "200 send", "200 send", true),
        (IgnoreMaxTokens, "200 send", "200 send", true),
    ];
    for (fault, stream, plain, charged) in rows {
        for api in apis() {
            for (streams, want) in [(true, stream), (false, plain)] {
                let wire = run(&api, streams, &Act::fault(*fault), &Delays::default());
                assert_eq!(story(&wire), *want, "{} stream={streams} {:?}", fault.name(), api.0);
                let error_event = matches!(fault, ErrorFirst | ErrorLater | FailedEvent) && !streams;
                let billed = !matches!(wire.billing, super::Billing::Nothing);
                assert_eq!(billed, *charged && !error_event, "{} stream={streams} {:?}", fault.name(), api.0);
            }
        }
    }
    let named = |fault: &Fault| rows.iter().any(|row| row.0 == *fault);
    let elsewhere = [CreditBalanceExhausted, HugeEvent];
    assert!(Fault::ALL.iter().all(|fault| named(fault) || elsewhere.contains(fault)), "a fault without a row");
}

#[test]
fn bodies_and_headers_of_refusals() {
    use Vendor::{Anthropic, OpenAi};
    #[rustfmt::skip]
    let rows = [
        ("rate_limit,retry_after=7", OpenAi, 429, "\"code\":\"rate_limit_exceeded\"", Some(("retry-after", "7"))),
        ("rate_limit", Anthropic, 429, "\"type\":\"rate_limit_error\"", Some(("retry-after", "2"))),
        ("rate_limit_ms,ms=30", OpenAi, 429, "\"rate_limit_exceeded\"", Some(("retry-after-ms", "30"))),
        ("rate_limit_bare", OpenAi, 429, "\"rate_limit_exceeded\"", None),
        ("slow_down", OpenAi, 429, "\"code\":\"slow_down\"", Some(("retry-after", "2"))),
        ("slow_down", Anthropic, 429, "\"error_code\":\"ramp_limit_exceeded\"", Some(("retry-after", "2"))),
        ("insufficient_quota", OpenAi, 429, "\"code\":\"insufficient_quota\"", None),
        ("credit_balance_exhausted", OpenAi, 429, "\"code\":\"credit_balance_exhausted\"", None),
        ("credit_balance_exhausted", Anthropic, 400, "Your credit balance is too low", None),
        ("enforced_spend_limit_reached", Anthropic, 429, "\"error_code\":\"enforced_spend_limit_reached\"", None),
        ("enforced_spend_limit_reached", OpenAi, 429, "\"code\":\"organization_spend_limit_exceeded\"", None),
        ("key_echo", OpenAi, 401, "sk-whole-key", None),
        ("context_too_long", OpenAi, 400, "\"code\":\"context_length_exceeded\"", None),
        ("context_too_long", Anthropic, 400, "prompt is too long: ", None),
        ("unavailable,retry_after=1", OpenAi, 503, "\"code\":\"server_is_overloaded\"", Some(("retry-after", "1"))),
        ("overloaded", Anthropic, 529, "\"type\":\"overloaded_error\"", None),
        ("too_large", Anthropic, 413, "<html>", None),
        ("bad_gateway", OpenAi, 502, "<html>", None),
    ];
    for (text, vendor, status, body, header) in rows {
        let apis = apis();
        let api = apis.iter().find(|api| api.0 == vendor).unwrap();
        let wire = run(api, false, &Act::parse(text).unwrap(), &Delays::default());
        let Opening::Answer(head) = &wire.opening else { panic!("{text}") };
        assert_eq!(head.status, status, "{text}");
        assert!(sent(&wire).contains(body), "{text}: {}", sent(&wire));
        let want: Vec<(&str, String)> = header.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        assert_eq!(head.headers, want, "{text}");
    }
}

#[test]
fn a_fault_strikes_after_as_many_content_events_as_it_says() {
    let contents = |wire: &Wire| {
        let text = sent(wire);
        ["\"content\":\"", "output_text.delta\"", "\"text_delta\""]
            .iter()
            .map(|mark| text.matches(mark).count())
            .sum::<usize>()
    };
    for api in apis() {
        for after in [0, 1, 2, 5] {
            for name in ["stalled_stream", "unterminated_stream", "error_later", "failed_event", "reset_stream"] {
                let wire = run(&api, true, &Act::parse(&format!("{name},after={after}")).unwrap(), &Delays::default());
                // The role chunk of Chat has empty content and is none.
                let role = usize::from(sent(&wire).contains("\"role\":\"assistant\",\"content\":\"\""));
                assert_eq!(contents(&wire) - role, after, "{name} {after}");
            }
        }
        let late = run(&api, true, &Act::parse("unterminated_stream,after=999").unwrap(), &Delays::default());
        let text = sent(&late);
        assert!(!["[DONE]", "message_stop", "response.completed"].iter().any(|end| text.contains(end)));
    }
}

#[test]
fn delays_and_their_order() {
    let usual = Delays { head: Duration::from_millis(5), event: Duration::from_millis(1), ..Delays::default() };
    let [chat, ..] = apis();
    let wire = run(&chat, true, &Act::parse("none,first_ms=20").unwrap(), &usual);
    assert_eq!(wire.before, Duration::from_millis(5));
    let waits: Vec<u128> =
        wire.steps.iter().filter_map(|s| if let Step::Wait(t) = s { Some(t.as_millis()) } else { None }).collect();
    assert_eq!((waits[0], waits[1]), (20, 1));
    let slow = run(&chat, true, &Act::parse("slow_head,ms=40").unwrap(), &usual);
    assert_eq!(slow.before, Duration::from_millis(45));
    let jitter = Delays { jitter: Duration::from_millis(10), ..Delays::default() };
    let (one, two) = (run(&chat, true, &Act::default(), &jitter), run(&chat, true, &Act::default(), &jitter));
    assert_eq!(story(&one), story(&two), "the same seed, the same jitter");
    assert!(one.before < Duration::from_millis(10));
}

#[test]
fn rare_framing_means_the_same() {
    for api in apis() {
        let plain = run(&api, true, &Act::default(), &Delays::default());
        let odd = run(&api, true, &Act::fault(Fault::OddFraming), &Delays::default());
        assert_eq!(datas(&sent(&odd)), datas(&sent(&plain)));
        assert!(sent(&odd).contains("\r\n\r\n") && sent(&odd).contains(": comment"));
        let bytes = run(&api, true, &Act::fault(Fault::ByteByByte), &Delays::default());
        assert_eq!(sent(&bytes), sent(&plain));
        assert_eq!(bytes.steps.len(), sent(&plain).len());
        let end = run(&api, true, &Act::fault(Fault::NoBlankEnd), &Delays::default());
        assert_eq!(format!("{}\n\n", sent(&end)), sent(&plain));
    }
}

/// A reader of event streams, as the format defines it.
fn datas(text: &str) -> Vec<Value> {
    let mut out = Vec::new();
    let mut data: Vec<&str> = Vec::new();
    for line in text.lines() {
        match line.split_once(':') {
            _ if line.is_empty() => {
                let whole = std::mem::take(&mut data).join("\n");
                out.extend((!whole.is_empty()).then(|| serde_json::from_str(&whole).unwrap_or(Value::String(whole))));
            }
            Some(("data", value)) => data.push(value.strip_prefix(' ').unwrap_or(value)),
            _ => {}
        }
    }
    out
}

#[test]
fn huge_things_are_huge() {
    let [chat, ..] = apis();
    let act = Act::parse("huge_event,after=2").unwrap();
    let wire = run(&chat, true, &act, &Delays::default());
    let longest = wire.steps.iter().map(|s| if let Step::Send(b, _) = s { b.len() } else { 0 }).max().unwrap();
    assert!(longest > 16 * 1024 * 1024);
    let Opening::Answer(head) = run(&chat, false, &act, &Delays::default()).opening else { panic!() };
    assert!(head.length.unwrap() > 64 * 1024 * 1024);
}

#[test]
fn gzip_says_so_and_unpacks() {
    use std::io::Read as _;
    for api in apis() {
        for stream in [true, false] {
            let act = Act::fault(Fault::Gzip);
            let wire = run(&api, stream, &act, &Delays::default());
            let Opening::Answer(head) = &wire.opening else { panic!() };
            assert_eq!(head.headers, [("content-encoding", "gzip".to_owned())]);
            let packed: Vec<u8> = wire
                .steps
                .iter()
                .flat_map(|s| if let Step::Send(b, _) = s { b.to_vec() } else { Vec::new() })
                .collect();
            let mut text = String::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
            assert_eq!(text, sent(&run(&api, stream, &Act::default(), &Delays::default())));
        }
    }
}

#[test]
fn streams_are_charged_as_they_are_produced() {
    for api in apis() {
        let wire = run(&api, true, &Act::default(), &Delays::default());
        let Billing::Produced(charge) = &wire.billing else { panic!() };
        let produced: u64 = wire.steps.iter().map(|s| if let Step::Send(_, tokens) = s { *tokens } else { 0 }).sum();
        assert_eq!(produced, charge.output);
    }
}
