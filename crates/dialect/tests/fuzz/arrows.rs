//! Readers and writers of every arrow: requests, answers and streams of one format as another's.

use std::cell::Cell;

use bytes::Bytes;
use dialect::{
    AnswerFault, Dialect, StreamTranslator, is_json, read_answer, read_count, read_head, sse::Splitter,
    translate_answer, translate_count, translate_request, write_count,
};
use serde_json::Value;

use crate::{contexts, fixtures, for_each_arrow, order, run, streams::frames, target};

const MODELS: [&str; 6] = ["m", "gpt-4o", "gpt-6-sol", "claude-haiku-5-5", "claude-opus-5-5", "claude-3-haiku"];

for_each_arrow!(requests:
    requests_chat_responses Chat Responses, requests_chat_messages Chat Messages,
    requests_responses_chat Responses Chat, requests_responses_messages Responses Messages,
    requests_messages_chat Messages Chat, requests_messages_responses Messages Responses);

fn requests(parser: &str, caller: Dialect, provider: Dialect) {
    let written = Cell::new(0);
    run(parser, &fixtures::requests(caller), |input, mutator| {
        let model = MODELS[mutator.below(MODELS.len())];
        let body = Bytes::copy_from_slice(input);
        let head = read_head(caller, &body).unwrap_or_default();
        match translate_request(caller, provider, &body, &head, &target(model)) {
            Err(why) => why.member != "body",
            Ok(done) => {
                written.set(written.get() + 1);
                let body = Bytes::from(done.body.concat());
                let head = read_head(provider, &body).unwrap();
                assert_eq!(head.model.as_deref(), Some(model));
                // What one way wrote, the other way can read.
                if let Err(why) = translate_request(provider, caller, &body, &head, &target("m")) {
                    panic!("the way back is refused: {why}");
                }
                true
            }
        }
    });
    println!("{parser}: {} written", written.get());
}

#[test]
fn counts() {
    run("counts", &fixtures::requests(Dialect::Messages), |input, mutator| {
        let model = MODELS[mutator.below(MODELS.len())];
        match translate_count(input, &target(model)) {
            Err(why) => why.member != "body",
            Ok(done) => {
                let head = read_head(Dialect::Responses, &done.body.concat()).unwrap();
                assert_eq!((head.model.as_deref(), head.max_tokens, head.stream), (Some(model), None, false));
                true
            }
        }
    });
    run("count answers", &fixtures::COUNTS, |input, _| match read_count(Dialect::Responses, input) {
        Ok(count) => {
            assert_eq!(read_count(Dialect::Messages, &write_count(count)), Ok(count));
            true
        }
        Err(fault) => !matches!(fault, AnswerFault::NotJson | AnswerFault::Empty),
    });
}

for_each_arrow!(answers:
    answers_chat_responses Chat Responses, answers_chat_messages Chat Messages,
    answers_responses_chat Responses Chat, answers_responses_messages Responses Messages,
    answers_messages_chat Messages Chat, answers_messages_responses Messages Responses);

fn answers(parser: &str, caller: Dialect, provider: Dialect) {
    let contexts = contexts(caller, provider);
    let written = Cell::new(0);
    run(parser, &fixtures::answers(provider), |input, mutator| {
        let context = &contexts[mutator.below(contexts.len())];
        if let Ok(answer) = translate_answer(context, input) {
            written.set(written.get() + 1);
            assert!(read_answer(provider, input).is_ok() && read_answer(caller, &answer.body).is_ok());
        }
        is_json(input)
    });
    println!("{parser}: {} written", written.get());
}

for_each_arrow!(events:
    events_chat_responses Chat Responses, events_chat_messages Chat Messages,
    events_responses_chat Responses Chat, events_responses_messages Responses Messages,
    events_messages_chat Messages Chat, events_messages_responses Messages Responses);

fn events(parser: &str, caller: Dialect, provider: Dialect) {
    let contexts = contexts(caller, provider);
    let ended = Cell::new(0);
    run(parser, &fixtures::streams(provider), |input, mutator| {
        let context = &contexts[mutator.below(contexts.len())];
        let mut translator = StreamTranslator::new(context);
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
        ended.set(ended.get() + u32::from(order::of(caller, &out, true).unwrap()));
        past
    });
    println!("{parser}: {} to their end", ended.get());
}
