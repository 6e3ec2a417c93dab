//! Conversations that the real APIs take.

use proptest::prelude::*;
use serde_json::{Value, json};

/// A step of a conversation.
#[derive(Clone, Debug)]
pub enum Step {
    System,
    /// The user speaks and the model answers.
    Talk,
    /// The model calls so many tools at once; the results come in another order. It may think before, and the user may
    /// speak beside the results.
    Tools {
        calls: usize,
        turned: usize,
        thinks: bool,
        speaks: bool,
    },
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tools = (1usize..4, 0usize..4, any::<bool>(), any::<bool>())
        .prop_map(|(calls, turned, thinks, speaks)| Step::Tools { calls, turned, thinks, speaks });
    prop::collection::vec(prop_oneof![1 => Just(Step::System), 3 => Just(Step::Talk), 4 => tools], 0..14)
}

fn ids(n: usize, calls: usize, turned: usize) -> (Vec<String>, Vec<String>) {
    // The same ids again and again, as some servers give them, and fresh ones.
    let calls: Vec<String> =
        (0..calls).map(|k| if n.is_multiple_of(3) { format!("c{k}") } else { format!("c{n}_{k}") }).collect();
    let mut results = calls.clone();
    results.rotate_left(turned % calls.len());
    (calls, results)
}

fn words(n: usize) -> String {
    format!("say \"{n}\" ]}},\u{e9}")
}

pub fn chat(steps: &[Step]) -> String {
    let mut out = vec![json!({"role": "system", "content": "first"}), json!({"role": "user", "content": "begin"})];
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::System => out.push(json!({"role": "developer", "content": words(n)})),
            Step::Talk => out.extend([
                json!({"role": "assistant", "content": words(n)}),
                json!({"role": "user", "content": [{"type": "text", "text": words(n)}]}),
            ]),
            Step::Tools { calls, turned, speaks, .. } => {
                let (calls, results) = ids(n, *calls, *turned);
                let call = |id: &String| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"n\":1}"}});
                let calls: Vec<Value> = calls.iter().map(call).collect();
                out.push(json!({"role": "assistant", "content": null, "tool_calls": calls, "n": n}));
                out.extend(results.iter().map(|id| json!({"role": "tool", "tool_call_id": id, "content": words(n)})));
                out.extend(speaks.then(|| json!({"role": "user", "content": words(n)})));
            }
        }
    }
    json!({"model": "m", "messages": out, "stream": true}).to_string()
}

pub fn messages(steps: &[Step]) -> String {
    let mut out = vec![json!({"role": "user", "content": "begin"})];
    // A loop of tools begins with thinking.
    let mut looped = false;
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::System => out.push(json!({"role": "system", "content": words(n)})),
            Step::Talk => {
                out.push(json!({"role": "assistant", "content": words(n)}));
                out.push(json!({"role": "user", "content": [{"type": "text", "text": words(n)}]}));
                looped = false;
            }
            Step::Tools { calls, turned, thinks, speaks } => {
                let (calls, results) = ids(n, *calls, *turned);
                let mut content = vec![];
                if *thinks || !looped {
                    content.push(json!({"type": "thinking", "thinking": words(n), "signature": "s"}));
                }
                content.push(json!({"type": "text", "text": words(n)}));
                content.extend(
                    calls.iter().map(|id| json!({"type": "tool_use", "id": id, "name": "f", "input": {"n": n}})),
                );
                out.push(json!({"role": "assistant", "content": content}));
                let mut content: Vec<Value> = results
                    .iter()
                    .map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": words(n)}))
                    .collect();
                content.extend(speaks.then(|| json!({"type": "text", "text": words(n)})));
                out.push(json!({"role": "user", "content": content}));
                looped = true;
            }
        }
    }
    json!({"model": "m", "max_tokens": 1000, "messages": out, "system": "first", "temperature": 1.0}).to_string()
}

pub fn responses(steps: &[Step]) -> String {
    let mut out = vec![json!({"role": "system", "content": "first"}), json!({"role": "user", "content": "begin"})];
    let mut late = vec![];
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::System => out.push(json!({"type": "message", "role": "developer", "content": words(n)})),
            Step::Talk => {
                out.extend(
                    n.is_multiple_of(2).then(|| json!({"type": "reasoning", "id": format!("rs_{n}"), "summary": []})),
                );
                out.push(json!({"role": "assistant", "content": [{"type": "output_text", "text": words(n)}]}));
                out.push(json!({"role": "user", "content": words(n)}));
            }
            Step::Tools { calls, turned, thinks, speaks } => {
                let (calls, results) = ids(n, *calls, *turned);
                out.extend(thinks.then(|| json!({"type": "reasoning", "id": format!("rs_{n}"), "summary": []})));
                out.extend(
                    calls.iter().map(
                        |id| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}", "n": n}),
                    ),
                );
                let mut results: Vec<Value> = results
                    .iter()
                    .map(|id| json!({"type": "function_call_output", "call_id": id, "output": words(n)}))
                    .collect();
                // A result may come after other items; only where no other call has its id.
                if *speaks && !n.is_multiple_of(3) {
                    late.extend(results.pop());
                }
                out.extend(results);
            }
        }
        if n % 4 == 3 {
            out.append(&mut late);
        }
    }
    out.append(&mut late);
    json!({"model": "m", "input": out, "instructions": "first"}).to_string()
}
