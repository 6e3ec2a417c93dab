//! Parsers of whole bodies: the scanner, heads and edits of requests, readers of requests, answers and errors.

use bytes::Bytes;
use dialect::{
    AnswerFault, AnswerHead, AnswerOfStream, BadBody, Dialect, Edits, ErrorShape, Kind, MODELS, Trim, add_to_answer,
    adopt_response, cache_key, capability, classify, conform, echo_request, fail_response, hindrance,
    is_cacheable_answer, is_json, items_of_answer, items_of_events, json, pending_response, put_items, read_answer,
    read_bill, read_error, read_head, read_linked, sse::Frame, stream_of_answer, trim, usage_of_answer, write_error,
    write_error_event,
};
use serde_json::Value;

use crate::{SIGNAL, fixtures, for_each_dialect, run};

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

for_each_dialect!(head_and_edits: head_chat Chat, head_responses Responses, head_messages Messages);

fn head_and_edits(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::requests(dialect), |input, mutator| {
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
        if dialect == Dialect::Responses {
            edits.set_foreground(&head);
            let pending = pending_response(input, "resp_1", 7);
            assert_eq!(read_answer(dialect, &pending), Ok(AnswerHead::default()));
            assert!(is_json(&fail_response(&pending, 500, "\"m\"")));
            let _ = read_linked(input);
        }
        let body = edits.apply(&Bytes::copy_from_slice(input)).concat();
        let again = read_head(dialect, &body).unwrap();
        assert_eq!((again.model.as_deref(), again.max_tokens), (Some("new \"model\""), Some(77)));
        assert_eq!(
            (again.messages, again.tools, again.images, again.stream),
            (head.messages, head.tools, head.images, head.stream)
        );
        assert!(dialect != Dialect::Chat || again.include_usage);
        // The prompt is as it was, so all that a bill depends on is too; escapes alone make it look closer.
        let bill = read_bill(dialect, input, &head);
        if memchr::memmem::find(input, b"\\u00").is_none() {
            assert_eq!(bill, read_bill(dialect, &body, &again));
        }
        assert!(!again.background);
        true
    });
}

/// A body with items put in is read like the one before, and has not grown by more than it may.
#[test]
fn items() {
    let item = Bytes::from_static(br#"{"type":"message","role":"assistant","id":"msg_9","content":"a, [b] }"}"#);
    let naming = r#"{"model":"m","input":[{"type":"item_reference","id":"msg_1"} , {"id":"x","type":"item_reference"},{"role":"user","content":"hi"}]}"#;
    let seeds =
        [&[naming], &fixtures::requests(Dialect::Responses)[..], &fixtures::answers(Dialect::Responses)].concat();
    run("items", &seeds, |input, _| {
        let _ = (items_of_answer(input), items_of_events(input));
        let body = put_items(input, 100, |_| Some(item.clone()));
        match read_head(Dialect::Responses, input) {
            Ok(_) => {
                let body = body.unwrap_or_else(|| Bytes::copy_from_slice(input));
                assert!(body.len() <= input.len() + 100);
                read_head(Dialect::Responses, &body).unwrap();
                true
            }
            Err(bad) => !matches!(bad, BadBody::Json(_)),
        }
    });
}

for_each_dialect!(conformer: conform_chat Chat, conform_responses Responses, conform_messages Messages);

fn conformer(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::requests(dialect), |input, mutator| {
        let head = match read_head(dialect, input) {
            Ok(head) => head,
            Err(bad) => return !matches!(bad, BadBody::Json(_)),
        };
        let can = &MODELS[mutator.below(MODELS.len())].can;
        let _ = hindrance(dialect, &head, can);
        let mut edits = Edits::default();
        let lost = conform(&mut edits, dialect, &head, input, can);
        edits.set_model(&head, "other");
        let body = edits.apply(&Bytes::copy_from_slice(input)).concat();
        let again = read_head(dialect, &body).unwrap();
        assert_eq!((again.model.as_deref(), again.messages, again.tools), (Some("other"), head.messages, head.tools));
        // Once is enough, but for a body of nothing else.
        let mut edits = Edits::default();
        let more = conform(&mut edits, dialect, &again, &body, can);
        assert!(edits.is_empty() && more.is_empty() || again.messages == 0, "{lost:?} {more:?}");
        true
    });
}

for_each_dialect!(forgetter: foreign_responses Responses, foreign_messages Messages);

/// Thoughts that came through a translation are taken out, and nothing else.
fn forgetter(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::sealed(dialect), |input, _| {
        let head = match read_head(dialect, input) {
            Ok(head) => head,
            Err(bad) => return !matches!(bad, BadBody::Json(_)),
        };
        let mut edits = Edits::default();
        let another = |sealed: &[u8]| sealed.len().is_multiple_of(2);
        let lost = edits.cut_foreign_thoughts(&head, dialect, input, Some(&another));
        assert_eq!(edits.is_empty(), lost.is_empty());
        let body = edits.apply(&Bytes::copy_from_slice(input)).concat();
        let again = read_head(dialect, &body).unwrap();
        assert_eq!((&again.model, again.tools, again.stream), (&head.model, head.tools, head.stream));
        assert!(again.messages + lost.len() as u32 >= head.messages);
        let mut edits = Edits::default();
        assert!(edits.cut_foreign_thoughts(&again, dialect, &body, Some(&another)).is_empty(), "once is enough");
        // What an answer left behind is looked for in any bytes.
        let put = dialect::put_items(input, usize::MAX, |_| Some(Bytes::from_static(b"{}")));
        assert_eq!(put.is_some(), !dialect::references(input).is_empty());
        let _ = (dialect::ids_of_response(input), dialect::sealed_in(input).count());
        true
    });
}

for_each_dialect!(trimmer: trim_chat Chat, trim_responses Responses, trim_messages Messages);

fn trimmer(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::requests(dialect), |input, mutator| {
        let head = match read_head(dialect, input) {
            Ok(head) => head,
            Err(bad) => return !matches!(bad, BadBody::Json(_)),
        };
        let can = capability(["m", "gpt-6-sol", "claude-haiku-5-5"][mutator.below(3)]);
        let to = Trim {
            keep_messages: Some(mutator.below(5) as u32),
            max_output_tokens: Some(mutator.below(100) as u64),
            temperature_milli: Some(mutator.below(1500) as u32),
        };
        if let Some(trimmed) = trim(dialect, &head, input, &to, can) {
            let body = trimmed.edits.apply(&Bytes::copy_from_slice(input)).concat();
            assert_eq!(body.len(), trimmed.edits.len_of(input.len()));
            let again = read_head(dialect, &body).unwrap();
            assert_eq!((again.tools, again.messages + trimmed.dropped), (head.tools, head.messages));
            assert!(again.max_tokens <= head.max_tokens || head.max_tokens.is_none());
            assert!(again.messages >= to.keep_messages.unwrap().min(head.messages));
            assert!(trim(dialect, &again, &body, &to, can).is_none(), "once is enough");
        }
        true
    });
}

for_each_dialect!(keys: key_chat Chat, key_responses Responses, key_messages Messages);

fn keys(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::requests(dialect), |input, _| {
        let head = match read_head(dialect, input) {
            Ok(head) => head,
            Err(bad) => return !matches!(bad, BadBody::Json(_)),
        };
        let key = cache_key(dialect, &head, input);
        // Written anew it is the same, unless a number or a member that stands twice is another thing to that writer.
        if let Ok(value) = serde_json::from_slice::<Value>(input)
            && json::check(value.to_string().as_bytes()).is_ok()
            && !repeats_inside(input, &value)
            && is_exact(&value)
        {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let head = read_head(dialect, pretty.as_bytes()).unwrap();
            assert_eq!(cache_key(dialect, &head, pretty.as_bytes()), key);
        }
        true
    });
}

/// No number is so large or small that the other writer's reader rounds it.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.as_f64().is_some_and(|n| n == 0.0 || (1e-22..=1e22).contains(&n.abs())),
        Value::Array(list) => list.iter().all(is_exact),
        Value::Object(map) => map.values().all(is_exact),
        _ => true,
    }
}

/// Some member inside stands twice.
fn repeats_inside(input: &[u8], value: &Value) -> bool {
    let colons = |text: &[u8]| text.iter().filter(|b| **b == b':').count();
    colons(input) != colons(value.to_string().as_bytes())
}

for_each_dialect!(answer_reader: answers_chat Chat, answers_responses Responses, answers_messages Messages);

fn answer_reader(parser: &str, provider: Dialect) {
    run(parser, &fixtures::answers(provider), |input, _| {
        let read = read_answer(provider, input);
        if let Ok(head) = &read {
            assert!(repeats(input) || head.usage == usage_of_answer(provider, input));
            let signed = add_to_answer(&Bytes::copy_from_slice(input), &SIGNAL).concat();
            assert_eq!(read_answer(provider, &signed).as_ref(), Ok(head));
            assert_eq!(read_answer(provider, &adopt_response(input, "resp_1")).as_ref(), Ok(head));
        }
        !matches!(read, Err(AnswerFault::NotJson | AnswerFault::Empty))
    });
}

for_each_dialect!(teller: replay_chat Chat, replay_responses Responses, replay_messages Messages);

fn teller(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::answers(dialect), |input, _| {
        let events = stream_of_answer(dialect, input, true);
        for answer in events.iter() {
            let mut whole = AnswerOfStream::new(dialect, 1 << 24);
            answer.iter().for_each(|event| whole.frame(&Frame::parse(event.clone())));
            let kinds: Vec<Kind> = answer.iter().map(|e| classify(dialect, &Frame::parse(e.clone())).kind).collect();
            assert!(!kinds.iter().any(|k| matches!(k, Kind::Malformed | Kind::Ping)));
            // What is worth keeping is whole again, and as worth keeping.
            if is_cacheable_answer(dialect, input)
                && let Some(again) = whole.answer(None)
            {
                assert!(is_cacheable_answer(dialect, &again), "{}", String::from_utf8_lossy(&again));
                assert_eq!(stream_of_answer(dialect, &again, true).map(|e| e.concat().len() > 20), Ok(true));
            }
        }
        let echoed = echo_request(dialect, &Bytes::copy_from_slice(input), input);
        assert_eq!(json::check(&echoed).is_ok(), json::check(input).is_ok());
        json::check(input).is_ok()
    });
}

/// Some member stands twice, where the two readers may differ in which they take.
fn repeats(input: &[u8]) -> bool {
    matches!(read_head(Dialect::Chat, input), Err(BadBody::Repeated(_)))
}

for_each_dialect!(error_reader: errors_chat Chat, errors_responses Responses, errors_messages Messages);

fn error_reader(parser: &str, provider: Dialect) {
    run(parser, &fixtures::errors(provider), |input, _| {
        let fault = read_error(provider, 400, input);
        let shape = ErrorShape::of_fault(&fault, 400);
        for caller in [Dialect::Chat, Dialect::Responses, Dialect::Messages] {
            let again = read_error(caller, 400, &write_error(caller, &shape));
            assert_eq!((&again.message, again.is_envelope), (&fault.message, true));
            assert_eq!((again.out_of_credit, again.too_long), (fault.out_of_credit, fault.too_long));
            let event = Frame::parse(write_error_event(caller, &shape, 3));
            assert_eq!(classify(caller, &event).kind, Kind::Error);
        }
        json::check(input).is_ok()
    });
}
