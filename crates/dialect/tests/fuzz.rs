//! Every parser of foreign bytes, fed with mutations of real inputs: no panic, a few laws, and at least half of the
//! inputs past the first stage of parsing. `LLMROUTE_FUZZ` sets the number of inputs for each parser.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "fuzz/fixtures.rs"]
mod fixtures;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "translate/order.rs"]
mod order;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::Bytes;
use dialect::{
    AnswerFault, BadBody, Context, Dialect, Edits, ErrorShape, Kind, Seen, Signal, StreamTranslator, TargetModel, Tee,
    add_to_answer, add_to_event, capability, classify, is_usage_chunk, json, place_of, read_answer, read_error,
    read_head,
    sse::{Frame, Splitter},
    translate_answer, translate_request, usage_of_answer, write_error, write_error_event,
};
use mutate::Mutator;
use serde_json::Value;

const DIALECTS: [Dialect; 3] = [Dialect::Chat, Dialect::Responses, Dialect::Messages];

/// Runs `judge` over mutations of `seeds`; it tells whether an input came past the first stage.
fn run(parser: &str, seeds: &[&str], mut judge: impl FnMut(&[u8], &mut Mutator) -> bool) {
    let count = std::env::var("LLMROUTE_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let mut mutator = Mutator::new(parser);
    let mut past = 0u64;
    for i in 0..count {
        let input = mutator.input(seeds);
        match catch_unwind(AssertUnwindSafe(|| judge(&input, &mut mutator))) {
            Ok(is_past) => past += u64::from(is_past),
            Err(panic) => {
                eprintln!("{parser}, input {i}: {}", String::from_utf8_lossy(&input).escape_debug());
                resume_unwind(panic);
            }
        }
    }
    println!("{parser}: {count} inputs, {past} past the first stage");
    assert!(past * 2 >= count, "{parser}: only {past} of {count} past the first stage");
}

fn frames(input: &[u8], mutator: &mut Mutator) -> Vec<Frame> {
    let mut splitter = Splitter::new(1 << 20);
    let mut frames = vec![];
    let mut rest = Bytes::copy_from_slice(input);
    while !rest.is_empty() {
        splitter.push(rest.split_to(1 + mutator.below(rest.len())));
        while let Some(frame) = splitter.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    splitter.finish();
    while let Some(frame) = splitter.next_frame().unwrap() {
        frames.push(frame);
    }
    frames
}

#[test]
fn scanner() {
    run("scanner", &fixtures::bodies(), |input, _| {
        let theirs = serde_json::from_slice::<Value>(input);
        let ours = json::check(input);
        // serde_json also refuses numbers that no double holds, which are JSON all the same.
        if !theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range")) {
            assert_eq!(ours.is_ok(), theirs.is_ok());
        }
        let walked = json::members(input, |_, _| Ok(()));
        assert_eq!(walked.is_ok(), ours.is_ok());
        ours.is_ok()
    });
}

#[test]
fn head_and_edits() {
    run("head and edits", &fixtures::requests(), |input, mutator| {
        let dialect = DIALECTS[mutator.below(3)];
        let head = match read_head(dialect, input) {
            Ok(head) => head,
            Err(bad) => return !matches!(bad, BadBody::Json(_)),
        };
        let mut edits = Edits::default();
        edits.set_model(&head, "new \"model\"");
        edits.set_max_tokens(&head, dialect, 77, capability(["gpt-4o", "gpt-6-sol"][mutator.below(2)]));
        if dialect == Dialect::Chat {
            edits.set_include_usage(&head, input);
        }
        let body = edits.apply(&Bytes::copy_from_slice(input)).concat();
        let again = read_head(dialect, &body).unwrap();
        assert_eq!((again.model.as_deref(), again.max_tokens), (Some("new \"model\""), Some(77)));
        assert_eq!(
            (again.messages, again.tools, again.images, again.stream),
            (head.messages, head.tools, head.images, head.stream)
        );
        assert!(dialect != Dialect::Chat || again.include_usage);
        true
    });
}

#[test]
fn framing() {
    run("framing", &fixtures::streams(), |input, mutator| {
        let frames = frames(input, mutator);
        let raw: Vec<u8> = frames.iter().flat_map(|f| f.raw.to_vec()).collect();
        assert!(input.starts_with(&raw), "bytes in order");
        assert!(input[raw.len()..].iter().all(|b| matches!(b, b'\r' | b'\n')), "only blank lines stay behind");
        frames.iter().any(|f| !f.is_comment())
    });
}

#[test]
fn classifier_and_tee() {
    run("classifier and tee", &fixtures::streams(), |input, mutator| {
        let dialect = DIALECTS[mutator.below(3)];
        let mut tee = Tee::new(dialect);
        let mut past = false;
        for frame in frames(input, mutator) {
            let seen = classify(dialect, &frame);
            assert_eq!(seen.kind == Kind::Error, seen.error.is_some());
            let teed = tee.frame(&frame);
            assert!(teed != Seen::Malformed || seen.kind == Kind::Malformed, "the tee is the more lenient");
            assert!(teed != Seen::End || matches!(seen.kind, Kind::End | Kind::Content) || dialect != Dialect::Chat);
            past |= !matches!(seen.kind, Kind::Malformed | Kind::Ping);
            let (_, _) = (is_usage_chunk(&frame), place_of(dialect, &frame));
            let signed = Frame::parse(add_to_event(dialect, &frame, &SIGNAL));
            if json::members(frame.data(), |_, _| Ok(())) == Ok(true) {
                assert!(String::from_utf8_lossy(signed.data()).contains("\"llmroute\":{\"status\""));
                assert!(json::check(signed.data()).is_ok());
            }
        }
        let _ = (tee.usage(), tee.next_sequence());
        past
    });
}

const SIGNAL: Signal<'static> = Signal {
    status: "degraded",
    provider: "p",
    model: "m",
    reason: None,
    trace_id: "rt_1",
    attempts: 2,
    requested_model: Some("x"),
    cost_usd: None,
};

#[test]
fn answers() {
    run("answers", &fixtures::answers(), |input, mutator| {
        let dialect = DIALECTS[mutator.below(3)];
        let read = read_answer(dialect, input);
        if let Ok(head) = &read {
            assert_eq!(head.usage.is_some(), usage_of_answer(dialect, input).is_some() || repeats(input));
            let signed = add_to_answer(&Bytes::copy_from_slice(input), &SIGNAL).concat();
            assert_eq!(read_answer(dialect, &signed).as_ref(), Ok(head));
        }
        let caller = if dialect == Dialect::Chat { Dialect::Messages } else { Dialect::Chat };
        if let Some(context) = context(caller, dialect)
            && let Ok(body) = translate_answer(&context, input)
        {
            assert!(read_answer(caller, &body).is_ok());
        }
        !matches!(read, Err(AnswerFault::NotJson | AnswerFault::Empty))
    });
}

/// Some member stands twice, where the two readers may differ in which they take.
fn repeats(input: &[u8]) -> bool {
    matches!(read_head(Dialect::Chat, input), Err(BadBody::Repeated(_)))
}

fn context(caller: Dialect, provider: Dialect) -> Option<Context> {
    let body = br#"{"model":"m","max_tokens":9,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#;
    translate_request(caller, provider, body, &target("m")).ok().map(|t| t.context)
}

fn target(model: &str) -> TargetModel<'_> {
    TargetModel { model, default_max_tokens: None, most_tokens: None, capability: capability(model), now: 1 }
}

#[test]
fn errors() {
    run("errors", &fixtures::errors(), |input, mutator| {
        let dialect = DIALECTS[mutator.below(3)];
        let fault = read_error(dialect, 400, input);
        let shape = ErrorShape::of_fault(&fault, 400);
        for caller in DIALECTS {
            let again = read_error(caller, 400, &write_error(caller, &shape));
            assert_eq!((again.message, again.is_envelope), (fault.message.clone(), true));
            let event = Frame::parse(write_error_event(caller, &shape, 3));
            assert_eq!(classify(caller, &event).kind, Kind::Error);
        }
        json::check(input).is_ok()
    });
}

#[test]
fn requests() {
    run("requests", &fixtures::requests(), |input, mutator| {
        let (caller, provider) =
            [(Dialect::Chat, Dialect::Messages), (Dialect::Messages, Dialect::Chat)][mutator.below(2)];
        let model = ["m", "gpt-4o", "gpt-6-sol", "claude-haiku-5-5", "claude-opus-5-5"][mutator.below(5)];
        match translate_request(caller, provider, input, &target(model)) {
            Err(why) => why.member != "body",
            Ok(done) => {
                let head = read_head(provider, &done.body).unwrap();
                assert_eq!(head.model.as_deref(), Some(model));
                // What one way wrote, the other way can read.
                if let Err(why) = translate_request(provider, caller, &done.body, &target("m")) {
                    panic!("the way back is refused: {why}");
                }
                true
            }
        }
    });
}

#[test]
fn translated_streams() {
    run("translated streams", &fixtures::streams(), |input, mutator| {
        let (caller, provider) =
            [(Dialect::Chat, Dialect::Messages), (Dialect::Messages, Dialect::Chat)][mutator.below(2)];
        let mut translator = StreamTranslator::new(&context(caller, provider).unwrap());
        let mut out = vec![];
        let mut past = false;
        for frame in frames(input, mutator) {
            let Ok(bytes) = translator.push(&frame) else { break };
            past = true;
            let mut splitter = Splitter::new(1 << 20);
            splitter.push(bytes);
            while let Some(frame) = splitter.next_frame().unwrap() {
                let text = String::from_utf8_lossy(frame.data()).into_owned();
                out.push(serde_json::from_str(&text).unwrap_or(Value::String(text)));
            }
        }
        let ordered = match caller {
            Dialect::Messages => order::messages(&out),
            _ => order::chat(&out, true),
        };
        ordered.unwrap();
        past
    });
}
