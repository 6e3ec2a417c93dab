//! An answer goes back as history: thoughts return to who had them, as they were, and to nobody else.

use dialect::{
    Dialect::{self, Messages, Responses},
    TargetModel,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    answers::answered,
    open,
    said::{Piece, Saying, sayings},
};
use crate::translate;

/// The next request of an app that got this answer: all of it, what its calls came to, and a question.
fn next(caller: Dialect, answer: &Value) -> Value {
    let of = |list: &Value, kind: &str, id: &str| -> Vec<Value> {
        let all = list.as_array().into_iter().flatten();
        all.filter(|i| i["type"] == kind).map(|i| i[id].clone()).collect()
    };
    if caller == Responses {
        let mut input = vec![json!({"role": "user", "content": "hi"})];
        input.extend(answer["output"].as_array().unwrap().clone());
        let calls = of(&answer["output"], "function_call", "call_id");
        input.extend(calls.iter().map(|id| json!({"type": "function_call_output", "call_id": id, "output": "done"})));
        input.push(json!({"role": "user", "content": "on"}));
        return json!({"model": "m", "store": false, "input": input, "reasoning": {"effort": "low"}});
    }
    let calls = of(&answer["content"], "tool_use", "id");
    let results = calls.iter().map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "done"}));
    let turn: Vec<Value> = results.chain([json!({"type": "text", "text": "on"})]).collect();
    json!({"model": "m", "max_tokens": 9000, "thinking": {"type": "adaptive"}, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": turn},
    ]})
}

/// Thoughts with their seal, and calls by their ids, in order, as a provider gets them.
fn told(provider: Dialect, body: &Value) -> (Vec<(String, String)>, Vec<String>) {
    let (thought, seal, call, id) = match provider {
        Responses => ("reasoning", "encrypted_content", "function_call", "call_id"),
        _ => ("thinking", "signature", "tool_use", "id"),
    };
    let turns = body["messages"].as_array().into_iter().flatten();
    let blocks = turns.flat_map(|turn| turn["content"].as_array().into_iter().flatten());
    let all: Vec<&Value> = body["input"].as_array().into_iter().flatten().chain(blocks).collect();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let words = |i: &Value| if provider == Responses { text(&i["summary"][0]["text"]) } else { text(&i["thinking"]) };
    let thoughts = all.iter().filter(|i| i["type"] == thought).map(|i| (words(i), text(&i[seal])));
    let calls = all.iter().filter(|i| i["type"] == call).map(|i| text(&i[id]));
    (thoughts.collect(), calls.collect())
}

/// What the provider of that name gets of an answer that comes back, and what of the history is lost.
fn went_back(arrow: (Dialect, Dialect), saying: &Saying, provider: &'static str) -> (Value, Vec<String>) {
    let (caller, spoken) = arrow;
    let request = next(caller, &answered(arrow, &saying.plain(spoken)));
    let done = translate(caller, spoken, &request, &TargetModel { provider, ..open() }).unwrap();
    let lost = done.dropped.into_iter().filter(|d| d.starts_with("messages") || d.starts_with("input")).collect();
    (serde_json::from_slice(&done.body.concat()).unwrap(), lost)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn t44_t45_thoughts_go_back_to_who_had_them(saying in sayings(), to_messages: bool) {
        let arrow = if to_messages { (Responses, Messages) } else { (Messages, Responses) };
        // Nothing said is no turn.
        prop_assume!(!saying.pieces.is_empty());
        let seal = if to_messages { "s" } else { "sealed" };
        let thoughts: Vec<_> = saying.pieces.iter().filter_map(|p| match p {
            Piece::Thinking(t) => Some((t.clone(), seal.to_owned())),
            Piece::Text(_) | Piece::Call(..) => None,
        }).collect();
        let calls: Vec<_> = saying.said(arrow.0).calls.into_iter().map(|(_, id, _)| id).collect();

        let (sent, dropped) = went_back(arrow, &saying, "p");
        prop_assert_eq!(told(arrow.1, &sent), (thoughts.clone(), calls.clone()), "{}", sent);
        prop_assert_eq!(dropped, Vec::<String>::new());
        let (sent, dropped) = went_back(arrow, &saying, "another");
        prop_assert_eq!(told(arrow.1, &sent), (vec![], calls), "{}", sent);
        prop_assert_eq!(dropped.len(), thoughts.len(), "{:?}", dropped);
    }
}
