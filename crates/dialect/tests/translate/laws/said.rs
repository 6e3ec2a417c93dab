//! An answer, neutral of its format: made up, told plain or as a stream by any of the three, and heard again.

use std::collections::VecDeque;

use dialect::Dialect::{self, Chat, Messages, Responses};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{arguments, word};

/// What a model says.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Text, in deltas.
    Text(Vec<String>),
    /// A call: its arguments, and where they are cut.
    Call(Value, Vec<usize>),
    /// Thinking, which no other vendor may see as text.
    Thinking(String),
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Stop,
    Tools,
    Length,
    Refusal,
}

/// Tokens: all input, of it read from and written to the cache; all output, of it reasoning. And the service tier that they
/// cost by, in OpenAI's words: of those that all have a name for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub input: u64,
    pub cached: u64,
    pub written: u64,
    pub output: u64,
    pub reasoning: u64,
    pub tier: Option<&'static str>,
}

/// An answer as a provider gives it.
#[derive(Clone, Debug)]
pub struct Saying {
    pub pieces: Vec<Piece>,
    pub end: End,
    pub counts: Option<Counts>,
}

/// An answer as it arrives.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub text: String,
    /// What was thought, told as such.
    pub thought: String,
    /// Name, id, arguments.
    pub calls: Vec<(String, String, Value)>,
    pub end: End,
    pub counts: Option<Counts>,
}

pub fn sayings() -> impl Strategy<Value = Saying> {
    let piece = prop_oneof![
        prop::collection::vec(word(), 1..4).prop_map(Piece::Text),
        (arguments(), prop::collection::vec(0usize..30, 0..4)).prop_map(|(a, cuts)| Piece::Call(a, cuts)),
        word().prop_map(Piece::Thinking),
    ];
    let tier = prop::option::of(prop::sample::select(&["default", "priority"][..]));
    let counts = (0u64..900, 0u64..900, 0u64..900, 0u64..900, 0u64..900, tier).prop_map(
        |(fresh, cached, written, said, reasoning, tier)| Counts {
            tier,
            input: fresh + cached + written,
            cached,
            written,
            output: said + reasoning,
            reasoning,
        },
    );
    let end = prop::sample::select(&[End::Stop, End::Length, End::Refusal][..]);
    (prop::collection::vec(piece, 0..6), end, prop::option::of(counts)).prop_map(|(pieces, end, counts)| {
        let calls = pieces.iter().any(|p| matches!(p, Piece::Call(..)));
        // Who calls tools has ended for that.
        let end = if calls && end == End::Stop { End::Tools } else { end };
        Saying { pieces, end, counts }
    })
}

fn id(at: usize) -> String {
    format!("call_{at}")
}

fn tool(at: usize) -> String {
    format!("f{at}")
}

/// The arguments of a call in fragments.
fn fragments(arguments: &Value, cuts: &[usize]) -> Vec<String> {
    let text = arguments.to_string();
    let mut cuts: Vec<usize> = cuts.iter().copied().filter(|c| text.is_char_boundary(*c)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).filter_map(|w| text.get(w[0]..w[1]).map(str::to_owned)).collect()
}

impl Saying {
    /// What should arrive: thoughts where the caller has a place for them, counts where there are any.
    pub fn said(&self, caller: Dialect) -> Said {
        // The count is not optional to a Messages caller.
        let counts = if caller == Messages { self.counts.or(Some(Counts::default())) } else { self.counts };
        let mut said = Said { text: String::new(), thought: String::new(), calls: vec![], end: self.end, counts };
        for (at, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Text(words) => said.text += &words.concat(),
                Piece::Call(arguments, _) => said.calls.push((tool(at), id(at), arguments.clone())),
                Piece::Thinking(t) if caller != Chat => said.thought += t,
                Piece::Thinking(_) => {}
            }
        }
        said
    }

    /// As a whole answer.
    pub fn plain(&self, provider: Dialect) -> Value {
        match provider {
            Chat => self.plain_chat(),
            Responses => self.response("completed"),
            Messages => self.plain_messages(),
        }
    }

    /// As events, terminator included; `shuffle` interleaves what may run in parallel.
    pub fn streamed(&self, provider: Dialect, shuffle: u64) -> Vec<Value> {
        match provider {
            Chat => self.chunks(shuffle),
            Responses => self.response_events(),
            Messages => self.message_events(),
        }
    }

    fn plain_chat(&self) -> Value {
        let said = self.said(Chat);
        let calls: Vec<Value> = said
            .calls
            .iter()
            .map(|(name, id, a)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": a.to_string()}}))
            .collect();
        let mut message = json!({"role": "assistant", "content": said.text, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        // Not OpenAI's, but of many servers that speak its dialect.
        let thought = self.said(Messages).thought;
        if !thought.is_empty() {
            message["reasoning_content"] = thought.into();
        }
        let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish()});
        let mut out =
            json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "gpt", "choices": [choice]});
        if let Some(c) = self.counts {
            out["usage"] = chat_usage(c);
            out["service_tier"] = json!(c.tier);
        }
        out
    }

    fn finish(&self) -> &'static str {
        match self.end {
            End::Stop => "stop",
            End::Tools => "tool_calls",
            End::Length => "length",
            End::Refusal => "content_filter",
        }
    }

    fn chunks(&self, mut shuffle: u64) -> Vec<Value> {
        let mut queues: Vec<VecDeque<Value>> = vec![];
        let mut calls = 0;
        for (at, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Text(words) => queues.push(words.iter().map(|w| json!({"content": w})).collect()),
                Piece::Thinking(t) => queues.push([json!({"reasoning_content": t})].into()),
                Piece::Call(arguments, cuts) => {
                    let f = json!({"name": tool(at), "arguments": ""});
                    let first = json!({"index": calls, "id": id(at), "type": "function", "function": f});
                    let rest = fragments(arguments, cuts);
                    let rest = rest.iter().map(|f| json!({"index": calls, "function": {"arguments": f}}));
                    queues.push(std::iter::once(first).chain(rest).map(|c| json!({"tool_calls": [c]})).collect());
                    calls += 1;
                }
            }
        }
        let mut deltas = vec![json!({"role": "assistant", "content": ""})];
        // Begun in order, since a call's place is its number; then any of those that have begun goes on.
        let mut begun = 0;
        while queues.iter().any(|q| !q.is_empty()) {
            shuffle = shuffle.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (shuffle >> 33) as usize % (begun + 1);
            let at = (0..=at.min(queues.len() - 1)).rev().find(|i| !queues[*i].is_empty()).unwrap_or(begun);
            if at < queues.len() {
                deltas.extend(queues[at].pop_front());
                begun = begun.max(at + 1);
            }
        }
        let chunk = |choices: Value, usage: Value| json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt", "choices": choices, "usage": usage});
        let choice =
            |delta: &Value, finish: Option<&str>| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let mut out: Vec<Value> = deltas.iter().map(|d| chunk(choice(d, None), Value::Null)).collect();
        out.push(chunk(choice(&json!({}), Some(self.finish())), Value::Null));
        out.extend(self.counts.map(|c| {
            let mut last = chunk(json!([]), chat_usage(c));
            last["service_tier"] = json!(c.tier);
            last
        }));
        out.push("[DONE]".into());
        out
    }

    fn stop_reason(&self) -> &'static str {
        match self.end {
            End::Stop => "end_turn",
            End::Tools => "tool_use",
            End::Length => "max_tokens",
            End::Refusal => "refusal",
        }
    }

    fn plain_messages(&self) -> Value {
        let block = |(at, piece): (usize, &Piece)| match piece {
            Piece::Text(words) => json!({"type": "text", "text": words.concat()}),
            Piece::Thinking(t) => json!({"type": "thinking", "thinking": t, "signature": "s"}),
            Piece::Call(a, _) => json!({"type": "tool_use", "id": id(at), "name": tool(at), "input": a}),
        };
        let content: Vec<Value> = self.pieces.iter().enumerate().map(block).collect();
        let mut out = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content,
            "stop_reason": self.stop_reason(), "stop_sequence": null});
        if let Some(c) = self.counts {
            out["usage"] = messages_usage(c);
        }
        out
    }

    fn message_events(&self) -> Vec<Value> {
        let whole = self.counts.map(messages_usage);
        let first = whole.clone().map_or_else(
            // Not as documented: a server that counts nothing.
            || json!({"input_tokens": null, "output_tokens": null}),
            |mut u| {
                u["output_tokens"] = 1.into();
                u
            },
        );
        let mut out = vec![
            json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
                "content": [], "stop_reason": null, "stop_sequence": null, "usage": first}}),
        ];
        for (at, piece) in self.pieces.iter().enumerate() {
            let (block, deltas): (Value, Vec<Value>) = match piece {
                Piece::Text(words) => {
                    let deltas = words.iter().map(|w| json!({"type": "text_delta", "text": w}));
                    (json!({"type": "text", "text": ""}), deltas.collect())
                }
                Piece::Thinking(t) => {
                    let deltas = vec![
                        json!({"type": "thinking_delta", "thinking": t}),
                        json!({"type": "signature_delta", "signature": "s"}),
                    ];
                    (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
                }
                Piece::Call(arguments, cuts) => {
                    let cut = fragments(arguments, cuts);
                    let deltas = cut.iter().map(|f| json!({"type": "input_json_delta", "partial_json": f}));
                    (json!({"type": "tool_use", "id": id(at), "name": tool(at), "input": {}}), deltas.collect())
                }
            };
            out.push(json!({"type": "content_block_start", "index": at, "content_block": block}));
            out.push(json!({"type": "ping"}));
            out.extend(deltas.iter().map(|d| json!({"type": "content_block_delta", "index": at, "delta": d})));
            out.push(json!({"type": "content_block_stop", "index": at}));
        }
        let delta = json!({"stop_reason": self.stop_reason(), "stop_sequence": null});
        let last = whole.map_or_else(
            || json!({"output_tokens": null}),
            |u| json!({"output_tokens": u["output_tokens"], "output_tokens_details": u["output_tokens_details"]}),
        );
        out.push(json!({"type": "message_delta", "delta": delta, "usage": last}));
        out.push(json!({"type": "message_stop"}));
        out
    }

    /// The items of a response.
    fn items(&self) -> Vec<Value> {
        let item = |(at, piece): (usize, &Piece)| match piece {
            Piece::Text(words) => {
                let part = json!({"type": "output_text", "text": words.concat(), "annotations": [], "logprobs": []});
                json!({"type": "message", "id": format!("msg_{at}"), "status": "completed", "role": "assistant", "content": [part]})
            }
            Piece::Thinking(t) => {
                json!({"type": "reasoning", "id": format!("rs_{at}"), "summary": [{"type": "summary_text", "text": t}], "encrypted_content": "sealed"})
            }
            Piece::Call(a, _) => {
                json!({"type": "function_call", "id": format!("fc_{at}"), "status": "completed", "call_id": id(at), "name": tool(at), "arguments": a.to_string()})
            }
        };
        self.pieces.iter().enumerate().map(item).collect()
    }

    /// A response, whole or as it begins.
    fn response(&self, status: &str) -> Value {
        let is_over = status == "completed";
        let reason = match self.end {
            End::Length => Some("max_output_tokens"),
            End::Refusal => Some("content_filter"),
            End::Stop | End::Tools => None,
        };
        let status = if is_over && reason.is_some() { "incomplete" } else { status };
        let details = reason.filter(|_| is_over).map(|r| json!({"reason": r}));
        json!({
            "id": "resp_1", "object": "response", "created_at": 5, "status": status, "model": "gpt", "error": null,
            "incomplete_details": details, "output": if is_over { self.items() } else { vec![] }, "instructions": null,
            "metadata": {}, "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "usage": self.counts.filter(|_| is_over).map(responses_usage),
            "service_tier": self.counts.filter(|_| is_over).and_then(|c| c.tier).unwrap_or("auto"),
        })
    }

    fn response_events(&self) -> Vec<Value> {
        let begun = self.response("in_progress");
        let mut out = vec![
            json!({"type": "response.created", "response": begun}),
            json!({"type": "response.in_progress", "response": begun}),
        ];
        for (at, (piece, item)) in self.pieces.iter().zip(self.items()).enumerate() {
            let place = json!({"item_id": item["id"], "output_index": at});
            let mut put = |kind: &str, more: &Value| {
                let mut e = json!({"type": format!("response.{kind}")});
                for part in [&place, more] {
                    e.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
                }
                out.push(e);
            };
            let mut first = item.clone();
            match piece {
                Piece::Text(words) => {
                    (first["status"], first["content"]) = (json!("in_progress"), json!([]));
                    put("output_item.added", &json!({"item": first}));
                    let empty = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
                    put("content_part.added", &json!({"content_index": 0, "part": empty}));
                    for w in words {
                        put("output_text.delta", &json!({"content_index": 0, "delta": w, "logprobs": []}));
                    }
                    put("output_text.done", &json!({"content_index": 0, "text": words.concat(), "logprobs": []}));
                    put("content_part.done", &json!({"content_index": 0, "part": item["content"][0]}));
                }
                Piece::Thinking(t) => {
                    first["summary"] = json!([]);
                    put("output_item.added", &json!({"item": first}));
                    let part = |t: &str| json!({"type": "summary_text", "text": t});
                    put("reasoning_summary_part.added", &json!({"summary_index": 0, "part": part("")}));
                    put("reasoning_summary_text.delta", &json!({"summary_index": 0, "delta": t}));
                    put("reasoning_summary_text.done", &json!({"summary_index": 0, "text": t}));
                    put("reasoning_summary_part.done", &json!({"summary_index": 0, "part": part(t)}));
                }
                Piece::Call(arguments, cuts) => {
                    (first["status"], first["arguments"]) = (json!("in_progress"), json!(""));
                    put("output_item.added", &json!({"item": first}));
                    for f in fragments(arguments, cuts) {
                        put("function_call_arguments.delta", &json!({"delta": f}));
                    }
                    put("function_call_arguments.done", &json!({"arguments": arguments.to_string()}));
                }
            }
            put("output_item.done", &json!({"item": item}));
        }
        let whole = self.response("completed");
        out.push(json!({"type": format!("response.{}", whole["status"].as_str().unwrap()), "response": whole}));
        for (i, e) in out.iter_mut().enumerate() {
            e["sequence_number"] = i.into();
            if e["type"].as_str().unwrap().contains("output_item") {
                e.as_object_mut().unwrap().shift_remove("item_id");
            }
        }
        out
    }
}

fn chat_usage(c: Counts) -> Value {
    json!({"prompt_tokens": c.input, "completion_tokens": c.output, "total_tokens": c.input + c.output,
        "prompt_tokens_details": {"cached_tokens": c.cached, "cache_write_tokens": c.written},
        "completion_tokens_details": {"reasoning_tokens": c.reasoning}})
}

fn responses_usage(c: Counts) -> Value {
    json!({"input_tokens": c.input, "output_tokens": c.output, "total_tokens": c.input + c.output,
        "input_tokens_details": {"cached_tokens": c.cached, "cache_write_tokens": c.written},
        "output_tokens_details": {"reasoning_tokens": c.reasoning}})
}

fn messages_usage(c: Counts) -> Value {
    json!({"input_tokens": c.input - c.cached - c.written, "cache_read_input_tokens": c.cached,
        "cache_creation_input_tokens": c.written, "output_tokens": c.output,
        "output_tokens_details": {"thinking_tokens": c.reasoning},
        "service_tier": c.tier.map(|tier| if tier == "default" { "standard" } else { tier })})
}
