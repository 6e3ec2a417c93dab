//! Laws of translated streams of Responses: the same of all arrows that begin or end there.

use dialect::Dialect::{self, Chat, Messages, Responses};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::{
    laws::{
        Piece, Said, chat, counts, fragments, framed, heard_chat, heard_messages, however_cut, messages, pieces, wanted,
    },
    order, way_back,
};

/// The answer as Responses streams it; `leaves` says which of what is told twice is left out.
fn responses(pieces: &[Piece], usage: Option<(u64, u64, u64)>, leaves: u8) -> String {
    let mut out = String::new();
    let mut number = 0;
    let mut put = |mut event: Value| {
        event["sequence_number"] = number.into();
        number += 1;
        let name = event["type"].as_str().unwrap_or_default();
        out += &format!("event: {name}\ndata: {event}\n\n");
    };
    let (no_deltas, no_ends, no_items) = (leaves % 2 == 1, leaves / 2 % 2 == 1, leaves / 4 % 2 == 1);
    let mut items = vec![];
    put(json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt"}}));
    for (at, piece) in pieces.iter().enumerate() {
        let (name, member, deltas) = match piece {
            Piece::Text(words) => ("response.output_text", "text", words.clone()),
            Piece::Thinking(t) => ("response.reasoning_summary_text", "text", vec![t.clone()]),
            Piece::Call(arguments, cuts) => {
                ("response.function_call_arguments", "arguments", fragments(arguments, cuts))
            }
        };
        let whole = deltas.concat();
        let item = match piece {
            Piece::Text(_) => json!({"type": "message", "content": [{"type": "output_text", "text": whole}]}),
            Piece::Thinking(_) => json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": whole}]}),
            Piece::Call(..) => {
                json!({"type": "function_call", "call_id": format!("id_{at}"), "name": format!("f{at}"), "arguments": whole})
            }
        };
        let mut begun = item.clone();
        for name in ["content", "summary"] {
            begun.as_object_mut().unwrap().entry(name).and_modify(|v| *v = json!([]));
        }
        put(json!({"type": "response.output_item.added", "output_index": at, "item": begun}));
        for delta in deltas.iter().filter(|_| !no_deltas) {
            put(json!({"type": format!("{name}.delta"), "output_index": at, "delta": delta}));
        }
        if !no_ends {
            put(json!({"type": format!("{name}.done"), "output_index": at, member: whole}));
        }
        if !no_items {
            put(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
        }
        items.push(item);
    }
    let usage = usage.map(|(input, cached, output)| {
        json!({"input_tokens": input, "output_tokens": output, "input_tokens_details": {"cached_tokens": cached}})
    });
    put(json!({"type": "response.completed", "response": {"id": "resp_1", "output": items, "usage": usage}}));
    out
}

/// What a Responses caller heard.
fn heard_responses(events: &[Value]) -> Said {
    let whole = &events.last().unwrap()["response"];
    let mut said = Said::default();
    for item in whole["output"].as_array().unwrap() {
        match item["type"].as_str().unwrap() {
            "message" => said.text += item["content"][0]["text"].as_str().unwrap(),
            "function_call" => {
                let name = |m: &str| item[m].as_str().unwrap().to_owned();
                said.calls.push((name("name"), name("call_id"), serde_json::from_str(&name("arguments")).unwrap()));
            }
            _ => {}
        }
    }
    let count = |v: &Value| v.as_u64().unwrap();
    said.usage = whole["usage"].as_object().map(|u| {
        (count(&u["input_tokens"]), count(&u["input_tokens_details"]["cached_tokens"]), count(&u["output_tokens"]))
    });
    said
}

/// All thoughts that a caller heard.
fn thoughts(caller: Dialect, events: &[Value]) -> String {
    let delta = |e: &Value| match caller {
        Responses if e["type"] == "response.reasoning_summary_text.delta" => e["delta"].as_str().map(str::to_owned),
        Messages => e["delta"]["thinking"].as_str().map(str::to_owned),
        _ => None,
    };
    events.iter().filter_map(delta).collect()
}

fn thought(pieces: &[Piece]) -> String {
    pieces.iter().filter_map(|p| if let Piece::Thinking(t) = p { Some(t.as_str()) } else { None }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn t26_t27_t32_chat_for_responses(pieces in pieces(), usage in counts(), shuffle: u64, how: u8, cuts: [Index; 4]) {
        let text = chat(&pieces, usage, shuffle);
        let sent = framed(&text, how);
        let (events, tee) = however_cut(&way_back(Responses, Chat, &json!({"stream": true})), Chat, &sent, &cuts);
        prop_assert_eq!(order::responses(&events), Ok(true));
        prop_assert_eq!(tee, usage);
        let mut want = wanted(&pieces, usage);
        // Texts that were said in parallel come in the order in which they were sent.
        want.text = heard_chat(&crate::events(text.into())).text;
        prop_assert_eq!(heard_responses(&events), want);
    }

    #[test]
    fn t27_t32_t46_messages_for_responses(pieces in pieces(), usage in counts(), how: u8, cuts: [Index; 4]) {
        let text = framed(&messages(&pieces, usage), how);
        let (events, tee) = however_cut(&way_back(Responses, Messages, &json!({"stream": true})), Messages, &text, &cuts);
        prop_assert_eq!(order::responses(&events), Ok(true));
        prop_assert_eq!(tee, usage);
        prop_assert_eq!(heard_responses(&events), wanted(&pieces, usage));
        prop_assert_eq!(thoughts(Responses, &events), thought(&pieces));
    }

    #[test]
    fn t25_t27_t29_t32_responses_for_chat(pieces in pieces(), usage in counts(), leaves: u8, how: u8, cuts: [Index; 4]) {
        let text = framed(&responses(&pieces, usage, leaves), how);
        let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
        let (events, tee) = however_cut(&way_back(Chat, Responses, &asked), Responses, &text, &cuts);
        prop_assert_eq!(order::chat(&events, true), Ok(true));
        prop_assert_eq!(tee, usage);
        prop_assert_eq!(heard_chat(&events), wanted(&pieces, usage));
    }

    #[test]
    fn t23_t24_t27_t32_t46_responses_for_messages(pieces in pieces(), usage in counts(), leaves: u8, how: u8, cuts: [Index; 4]) {
        let text = framed(&responses(&pieces, usage, leaves), how);
        let asked = json!({"stream": true, "thinking": {"type": "adaptive"}});
        let (events, tee) = however_cut(&way_back(Messages, Responses, &asked), Responses, &text, &cuts);
        prop_assert_eq!(order::messages(&events), Ok(true));
        prop_assert_eq!(tee, usage);
        let mut want = wanted(&pieces, usage);
        want.usage = want.usage.or(Some((0, 0, 0)));
        prop_assert_eq!(heard_messages(&events), want);
        prop_assert_eq!(thoughts(Messages, &events), thought(&pieces));
    }
}
