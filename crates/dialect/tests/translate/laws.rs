//! Laws of translated streams: however a provider cuts its bytes, whatever it answers, the caller gets the same events in
//! the order that its SDK relies on, with every word, call and count in them.

use bytes::Bytes;
use dialect::{
    Context,
    Dialect::{self, Chat, Messages},
    StreamTranslator, Tee, Usage,
    sse::Splitter,
};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::{context, events, order};

/// What a model says.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Text, in deltas.
    Text(Vec<String>),
    /// A call: its arguments, and where they are cut.
    Call(Value, Vec<usize>),
    /// Thinking, which no other vendor may see.
    Thinking(String),
}

/// An answer, as it should arrive.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) text: String,
    /// Name, id, arguments.
    pub(crate) calls: Vec<(String, String, Value)>,
    /// Input, cached, output.
    pub(crate) usage: Option<(u64, u64, u64)>,
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("\u{e9}\u{1f600}"), Just("\"\\"), Just("\n\n"), Just("data: x\n\n"), Just(" b")]
        .prop_map(str::to_owned)
}

fn arguments() -> impl Strategy<Value = Value> {
    let one = prop_oneof![word().prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(json!([{}, null]))];
    proptest::collection::btree_map("[a-c]", one, 0..3).prop_map(|m| m.into_iter().collect::<Value>())
}

pub(crate) fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        proptest::collection::vec(word(), 1..4).prop_map(Piece::Text),
        (arguments(), proptest::collection::vec(0usize..30, 0..4)).prop_map(|(a, cuts)| Piece::Call(a, cuts)),
        word().prop_map(Piece::Thinking),
    ];
    proptest::collection::vec(piece, 0..6)
}

pub(crate) fn counts() -> impl Strategy<Value = Option<(u64, u64, u64)>> {
    proptest::option::of(
        (0u64..1000, 0u64..1000, 0u64..1000).prop_map(|(fresh, cached, out)| (fresh + cached, cached, out)),
    )
}

/// What should arrive. `at` numbers a call by its place.
pub(crate) fn wanted(pieces: &[Piece], usage: Option<(u64, u64, u64)>) -> Said {
    let mut said = Said { usage, ..Said::default() };
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(words) => said.text += &words.concat(),
            Piece::Call(arguments, _) => said.calls.push((format!("f{at}"), format!("id_{at}"), arguments.clone())),
            Piece::Thinking(_) => {}
        }
    }
    said
}

/// The arguments of a call in fragments.
pub(crate) fn fragments(arguments: &Value, cuts: &[usize]) -> Vec<String> {
    let text = arguments.to_string();
    let mut cuts: Vec<usize> = cuts.iter().copied().filter(|c| text.is_char_boundary(*c)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).filter_map(|w| text.get(w[0]..w[1]).map(str::to_owned)).collect()
}

/// The answer as Chat streams it; `shuffle` interleaves the fragments of calls, each in its own order.
pub(crate) fn chat(pieces: &[Piece], usage: Option<(u64, u64, u64)>, mut shuffle: u64) -> String {
    let mut queues: Vec<std::collections::VecDeque<Value>> = vec![];
    let mut calls = 0;
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(words) => queues.push(words.iter().map(|w| json!({"content": w})).collect()),
            Piece::Thinking(t) => queues.push([json!({"reasoning_content": t})].into()),
            Piece::Call(arguments, cuts) => {
                let first = json!({"index": calls, "id": format!("id_{at}"), "type": "function", "function": {"name": format!("f{at}"), "arguments": ""}});
                let rest = fragments(arguments, cuts);
                let rest = rest.iter().map(|f| json!({"index": calls, "function": {"arguments": f}}));
                queues.push(std::iter::once(first).chain(rest).map(|c| json!({"tool_calls": [c]})).collect());
                calls += 1;
            }
        }
    }
    let mut out = vec![json!({"role": "assistant", "content": ""})];
    // Begun in order, since a call's place is its number; then any of those that have begun goes on.
    let mut begun = 0;
    while queues.iter().any(|q| !q.is_empty()) {
        shuffle = shuffle.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = (shuffle >> 33) as usize % (begun + 1);
        let at = (0..=at.min(queues.len() - 1)).rev().find(|i| !queues[*i].is_empty()).unwrap_or(begun);
        if at < queues.len() {
            out.extend(queues[at].pop_front());
            begun = begun.max(at + 1);
        }
    }
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt", "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: &Value, finish: Option<&str>| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut text: String = out.iter().map(|d| chunk(choice(d, None), Value::Null)).collect();
    text += &chunk(choice(&json!({}), Some("stop")), Value::Null);
    if let Some((input, cached, output)) = usage {
        let usage = json!({"prompt_tokens": input, "completion_tokens": output, "prompt_tokens_details": {"cached_tokens": cached}});
        text += &chunk(json!([]), usage);
    }
    text + "data: [DONE]\n\n"
}

/// The answer as Messages streams it.
pub(crate) fn messages(pieces: &[Piece], usage: Option<(u64, u64, u64)>) -> String {
    let mut out = String::new();
    let mut put = |event: Value| {
        let name = event["type"].as_str().unwrap_or_default();
        out += &format!("event: {name}\ndata: {event}\n\n");
    };
    let (input, output) = usage.map_or((Value::Null, Value::Null), |(input, cached, output)| {
        (
            json!({"input_tokens": input - cached, "cache_read_input_tokens": cached, "output_tokens": 1}),
            json!({"output_tokens": output}),
        )
    });
    put(json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": input}}));
    for (at, piece) in pieces.iter().enumerate() {
        let (block, deltas) = match piece {
            Piece::Text(words) => {
                let deltas: Vec<_> = words.iter().map(|w| json!({"type": "text_delta", "text": w})).collect();
                (json!({"type": "text", "text": ""}), deltas)
            }
            Piece::Thinking(t) => {
                (json!({"type": "thinking", "thinking": ""}), vec![json!({"type": "thinking_delta", "thinking": t})])
            }
            Piece::Call(arguments, cuts) => {
                let cut = fragments(arguments, cuts);
                let deltas = cut.iter().map(|f| json!({"type": "input_json_delta", "partial_json": f})).collect();
                (json!({"type": "tool_use", "id": format!("id_{at}"), "name": format!("f{at}"), "input": {}}), deltas)
            }
        };
        put(json!({"type": "content_block_start", "index": at, "content_block": block}));
        put(json!({"type": "ping"}));
        for delta in deltas {
            put(json!({"type": "content_block_delta", "index": at, "delta": delta}));
        }
        put(json!({"type": "content_block_stop", "index": at}));
    }
    put(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": output}));
    put(json!({"type": "message_stop"}));
    out
}

/// The same events in another legal framing.
pub(crate) fn framed(text: &str, how: u8) -> String {
    match how % 5 {
        0 => text.to_owned(),
        1 => text.replace('\n', "\r\n"),
        2 => text.replace('\n', "\r"),
        3 => text.replace("\ndata: ", "\ndata:").replace("\n\n", "\n\n: keep-alive\n\n"),
        // The last event without its blank line.
        _ => text.trim_end().to_owned(),
    }
}

/// The whole path of a translated stream: split, translate, tee of what the provider counted.
fn path(context: &Context, provider: Dialect, chunks: &[&[u8]]) -> (Bytes, Option<Usage>) {
    let mut splitter = Splitter::new(1 << 20);
    let mut translator = StreamTranslator::new(context);
    let mut tee = Tee::new(provider);
    let mut out = vec![];
    for chunk in chunks.iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => splitter.push(Bytes::copy_from_slice(chunk)),
            None => splitter.finish(),
        }
        while let Some(frame) = splitter.next_frame().unwrap() {
            tee.frame(&frame);
            out.extend_from_slice(&translator.push(&frame).unwrap());
        }
    }
    (out.into(), tee.usage().cloned())
}

fn counted(tee: Option<Usage>) -> Option<(u64, u64, u64)> {
    tee.map(|u| (u.input, u.cached, u.output))
}

/// What a Messages caller heard.
pub(crate) fn heard_messages(events: &[Value]) -> Said {
    let mut said = Said::default();
    let mut arguments = String::new();
    for e in events {
        match e["type"].as_str().unwrap() {
            "content_block_start" if e["content_block"]["type"] == "tool_use" => {
                let name = |m: &str| e["content_block"][m].as_str().unwrap().to_owned();
                said.calls.push((name("name"), name("id"), Value::Null));
            }
            "content_block_delta" => {
                said.text += e["delta"]["text"].as_str().unwrap_or_default();
                arguments += e["delta"]["partial_json"].as_str().unwrap_or_default();
            }
            "content_block_stop" if !arguments.is_empty() => {
                let call = said.calls.last_mut().unwrap();
                call.2 = serde_json::from_str(&std::mem::take(&mut arguments)).unwrap();
            }
            "message_delta" => {
                let count = |m: &str| e["usage"][m].as_u64().unwrap();
                let cached = count("cache_read_input_tokens");
                said.usage = Some((count("input_tokens") + cached, cached, count("output_tokens")));
            }
            _ => {}
        }
    }
    said
}

/// What a Chat caller heard.
pub(crate) fn heard_chat(events: &[Value]) -> Said {
    let mut said = Said::default();
    let mut arguments: Vec<String> = vec![];
    for e in events {
        let delta = &e["choices"][0]["delta"];
        said.text += delta["content"].as_str().unwrap_or_default();
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            if let (Some(name), Some(id)) = (call["function"]["name"].as_str(), call["id"].as_str()) {
                said.calls.push((name.to_owned(), id.to_owned(), Value::Null));
                arguments.push(String::new());
            }
            arguments[call["index"].as_u64().unwrap() as usize] += call["function"]["arguments"].as_str().unwrap();
        }
        if let Some(input) = e["usage"]["prompt_tokens"].as_u64() {
            let cached = e["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
            said.usage = Some((input, cached, e["usage"]["completion_tokens"].as_u64().unwrap()));
        }
    }
    for (call, arguments) in said.calls.iter_mut().zip(arguments) {
        call.2 = serde_json::from_str(&arguments).unwrap();
    }
    said
}

/// Whole, byte by byte, and cut in two at `cuts`: the same comes out, and is returned.
pub(crate) fn however_cut(
    context: &Context,
    provider: Dialect,
    text: &str,
    cuts: &[Index],
) -> (Vec<Value>, Option<(u64, u64, u64)>) {
    let text = text.as_bytes();
    let whole = path(context, provider, &[text]);
    assert_eq!(path(context, provider, &text.chunks(1).collect::<Vec<_>>()), whole);
    for cut in cuts.iter().map(|c| c.index(text.len())) {
        assert_eq!(path(context, provider, &[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
    }
    (events(whole.0), counted(whole.1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn t23_t24_t26_t32_t38_chat_for_messages(pieces in pieces(), usage in counts(), shuffle: u64, how: u8, cuts: [Index; 4]) {
        let text = chat(&pieces, usage, shuffle);
        let sent = framed(&text, how);
        let (events, tee) = however_cut(&context(Messages, &json!({"stream": true})), Chat, &sent, &cuts);
        prop_assert_eq!(order::messages(&events), Ok(true));
        prop_assert_eq!(tee, usage);
        let mut want = wanted(&pieces, usage);
        // Its members are not optional there.
        want.usage = want.usage.or(Some((0, 0, 0)));
        // Texts that were said in parallel come in the order in which they were sent.
        want.text = heard_chat(&crate::events(text.into())).text;
        prop_assert_eq!(heard_messages(&events), want);
    }

    #[test]
    fn t25_t28_t29_t32_t46_messages_for_chat(pieces in pieces(), usage in counts(), how: u8, cuts: [Index; 4]) {
        let text = framed(&messages(&pieces, usage), how);
        let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
        let (events, tee) = however_cut(&context(Chat, &asked), Messages, &text, &cuts);
        prop_assert_eq!(order::chat(&events, true), Ok(true));
        prop_assert_eq!(tee, usage);
        prop_assert_eq!(heard_chat(&events), wanted(&pieces, usage));
        let (events, _) = however_cut(&context(Chat, &json!({"stream": true})), Messages, &text, &cuts);
        prop_assert_eq!(order::chat(&events, false), Ok(true));
    }
}
