//! Parsers of streams: framing, the classifier, the tee of usage and ends.

use bytes::Bytes;
use dialect::{
    AnswerOfStream, Dialect, Kind, Seen, Tee, add_to_event, classify, is_usage_chunk, json, place_of, read_answer,
    sse::{Frame, Splitter},
    stream_of_answer,
};
use serde_json::Value;

use crate::{SIGNAL, fixtures, for_each_dialect, mutate::Mutator, run};

/// The frames of `input`, which comes in pieces of any size.
pub fn frames(input: &[u8], mutator: &mut Mutator) -> Vec<Frame> {
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

for_each_dialect!(framing: framing_chat Chat, framing_responses Responses, framing_messages Messages);

fn framing(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::streams(dialect), |input, mutator| {
        let cut = frames(input, mutator);
        let raw: Vec<u8> = cut.iter().flat_map(|f| f.raw.to_vec()).collect();
        assert!(input.starts_with(&raw), "bytes in order");
        assert!(input[raw.len()..].iter().all(|b| matches!(b, b'\r' | b'\n')), "only blank lines stay behind");
        let data =
            |frames: &[Frame]| frames.iter().filter(|f| !f.is_comment()).map(|f| f.data().to_vec()).collect::<Vec<_>>();
        assert_eq!(data(&cut), data(&frames(input, mutator)), "cut elsewhere");
        cut.iter().any(|f| !f.is_comment())
    });
}

for_each_dialect!(classifier: classifier_chat Chat, classifier_responses Responses, classifier_messages Messages);

fn classifier(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::streams(dialect), |input, mutator| {
        let mut past = false;
        for frame in frames(input, mutator) {
            let seen = classify(dialect, &frame);
            assert_eq!(seen.kind == Kind::Error, seen.error.is_some());
            past |= !matches!(seen.kind, Kind::Malformed | Kind::Ping);
        }
        past
    });
}

for_each_dialect!(tee: tee_chat Chat, tee_responses Responses, tee_messages Messages);

fn tee(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::streams(dialect), |input, mutator| {
        let mut tee = Tee::new(dialect);
        let mut past = false;
        for frame in frames(input, mutator) {
            let kind = classify(dialect, &frame).kind;
            let seen = tee.frame(&frame);
            assert!(seen != Seen::Malformed || kind == Kind::Malformed, "the tee is the more lenient");
            assert!(seen != Seen::End || matches!(kind, Kind::End | Kind::Content) || dialect != Dialect::Chat);
            past |= seen != Seen::Malformed && !frame.is_comment();
        }
        let _ = (tee.usage(), tee.next_sequence());
        past
    });
}

for_each_dialect!(signature: signature_chat Chat, signature_responses Responses, signature_messages Messages);

fn signature(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::streams(dialect), |input, mutator| {
        let mut past = false;
        for frame in frames(input, mutator) {
            let place = place_of(dialect, &frame);
            assert_eq!(place.has_usage && dialect == Dialect::Chat, is_usage_chunk(&frame) && dialect == Dialect::Chat);
            let signed = Frame::parse(add_to_event(dialect, &frame, &SIGNAL));
            if json::members(frame.data(), |_, _| Ok(())) == Ok(true) {
                past = true;
                assert!(String::from_utf8_lossy(signed.data()).contains("\"llmroute\":{\"status\""));
                assert!(json::check(signed.data()).is_ok());
            }
        }
        past
    });
}

for_each_dialect!(assembler: assemble_chat Chat, assemble_responses Responses, assemble_messages Messages);

fn assembler(parser: &str, dialect: Dialect) {
    run(parser, &fixtures::streams(dialect), |input, mutator| {
        let mut by_frame = AnswerOfStream::new(dialect, 1 << 20);
        let mut tee = Tee::new(dialect);
        let (mut past, mut clean) = (false, false);
        for frame in frames(input, mutator) {
            past |= !matches!(classify(dialect, &frame).kind, Kind::Malformed | Kind::Ping);
            clean |= tee.frame(&frame) == Seen::End;
            by_frame.frame(&frame);
        }
        let mut by_piece = AnswerOfStream::new(dialect, 1 << 20);
        let mut rest = Bytes::copy_from_slice(input);
        while !rest.is_empty() {
            by_piece.bytes(rest.split_to(1 + mutator.below(rest.len())));
        }
        let answer = by_frame.answer(None);
        assert_eq!(answer, by_piece.answer(None), "cut elsewhere");
        if let Some(answer) = answer {
            assert!(clean, "an end that the tee did not see");
            assert!(json::check(&answer).is_ok());
            // What came as an answer goes as one, and comes again as the same.
            if let Ok(events) = stream_of_answer(dialect, &answer, true) {
                let _ = read_answer(dialect, &answer);
                let mut again = AnswerOfStream::new(dialect, 1 << 22);
                events.iter().for_each(|e| again.frame(&Frame::parse(e.clone())));
                let value = |b: &Bytes| serde_json::from_slice::<Value>(b).unwrap();
                assert!(again.answer(None).is_none_or(|again| value(&again).get("id") == value(&answer).get("id")));
            }
        }
        past
    });
}
