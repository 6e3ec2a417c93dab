//! Streams between any two formats: however a provider cuts its bytes, whatever it answers, wherever it ends.

use bytes::Bytes;
use dialect::{Context, Dialect, StreamTranslator, Tee, Usage, sse::Splitter};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use super::{
    answers::answered,
    any_arrow, context, heard,
    said::{Counts, sayings},
};
use crate::{events, order};

/// Events as bytes, in one of the framings that are legal.
fn framed(provider: Dialect, events: &[Value], how: u8) -> String {
    let each = events.iter().map(|e| match e["type"].as_str().filter(|_| provider != Dialect::Chat) {
        Some(kind) => format!("event: {kind}\ndata: {e}\n\n"),
        None => format!("data: {}\n\n", e.as_str().map_or_else(|| e.to_string(), str::to_owned)),
    });
    let text: String = each.collect();
    match how % 5 {
        0 => text,
        1 => text.replace('\n', "\r\n"),
        2 => text.replace('\n', "\r"),
        3 => text.replace("\ndata: ", "\ndata:").replace("\n\n", "\n\n: keep-alive\n\n"),
        // The last event without its blank line.
        _ => text.trim_end().to_owned(),
    }
}

/// The whole path: split, translate, tee of what the provider counted. Nothing comes for an event that breaks it.
fn path(context: &Context, chunks: &[&[u8]]) -> (Bytes, Option<Usage>, bool) {
    let mut splitter = Splitter::new(1 << 20);
    let mut translator = StreamTranslator::new(context);
    let mut tee = Tee::new(context.provider);
    let mut out = vec![];
    for chunk in chunks.iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => splitter.push(Bytes::copy_from_slice(chunk)),
            None => splitter.finish(),
        }
        while let Some(frame) = splitter.next_frame().unwrap() {
            tee.frame(&frame);
            match translator.push(&frame) {
                Ok(bytes) => out.extend_from_slice(&bytes),
                Err(_) => return (out.into(), tee.usage().cloned(), true),
            }
        }
    }
    if context.caller == Dialect::Responses {
        let told = events(Dialect::Responses, out.clone().into()).len();
        assert_eq!(translator.next_sequence(), told as u64, "the number of the next event");
    }
    (out.into(), tee.usage().cloned(), false)
}

fn counted(u: &Usage) -> Counts {
    let written = u.cache_write + u.cache_write_long;
    let tier = u.service_tier.as_deref().and_then(heard::tier);
    Counts { input: u.input, cached: u.cached, written, output: u.output, reasoning: u.reasoning, tier }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn t23_to_t32_t38_what_is_said_arrives_however_it_is_cut(
        saying in sayings(), arrow in any_arrow(), shuffle: u64, how: u8, cuts: [Index; 4]
    ) {
        let sent = saying.streamed(arrow.1, shuffle);
        let text = framed(arrow.1, &sent, how);
        let context = context(arrow);
        let whole = path(&context, &[text.as_bytes()]);
        prop_assert!(!whole.2, "broken");
        let each: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        prop_assert_eq!(&whole, &path(&context, &each));
        for cut in cuts {
            let (a, b) = text.as_bytes().split_at(cut.index(text.len()));
            prop_assert_eq!(&whole, &path(&context, &[a, b]));
        }
        prop_assert_eq!(whole.1.as_ref().map(counted), saying.counts);
        let got = events(arrow.0, whole.0);
        prop_assert_eq!(order::of(arrow.0, &got, true), Ok(true));
        let mut want = saying.said(arrow.0);
        if arrow.1 == Dialect::Chat {
            // What is said in parallel comes in the order in which it was sent.
            want.text = heard::streamed(Dialect::Chat, &sent).text;
            let thoughts = sent.iter().filter_map(|e| e["choices"][0]["delta"]["reasoning_content"].as_str());
            want.thought = if arrow.0 == Dialect::Chat { String::new() } else { thoughts.collect() };
        }
        prop_assert_eq!(heard::streamed(arrow.0, &got), want);
        if arrow == (Dialect::Responses, Dialect::Messages) {
            // The last event is the whole answer, as it is given without a stream.
            prop_assert_eq!(&got.last().unwrap()["response"], &answered(arrow, &saying.plain(arrow.1)));
        }
    }

    #[test]
    fn t30_t31_an_end_that_is_no_end_is_never_told_as_one(
        saying in sayings(), arrow in any_arrow(), shuffle: u64, at: Index, fails: bool
    ) {
        let mut sent = saying.streamed(arrow.1, shuffle);
        sent.truncate(at.index(sent.len()));
        if fails {
            sent.push(match arrow.1 {
                Dialect::Messages => json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
                Dialect::Chat => json!({"error": {"type": "server_error", "message": "busy", "param": null, "code": null}}),
                Dialect::Responses => json!({"type": "error", "code": "server_error", "message": "busy", "param": null, "sequence_number": sent.len()}),
            });
        }
        let (out, _, broken) = path(&context(arrow), &[framed(arrow.1, &sent, 0).as_bytes()]);
        let got = events(arrow.0, out);
        prop_assert!(!broken);
        prop_assert_eq!(order::of(arrow.0, &got, true), Ok(fails));
        if fails {
            prop_assert!(got.last().unwrap().to_string().contains("busy"));
        }
    }

    #[test]
    fn the_checks_of_order_take_what_providers_send(saying in sayings(), shuffle: u64, at: Index) {
        for dialect in crate::DIALECTS {
            let sent = saying.streamed(dialect, shuffle);
            let counts = saying.counts.is_some();
            if counts || dialect != Dialect::Messages {
                prop_assert_eq!(order::of(dialect, &sent, true), Ok(true), "{:?}", dialect);
                prop_assert_eq!(order::of(dialect, &sent[..at.index(sent.len())], true), Ok(false));
            }
        }
    }
}
