mod check;
mod generate;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::{capability, read_head};

const KEEP: Trim = Trim { keep_messages: None, max_output_tokens: None, temperature_milli: None };

fn trimmed(dialect: Dialect, body: &str, to: &Trim, model: &str) -> Option<String> {
    let head = read_head(dialect, body.as_bytes()).unwrap();
    let done = trim(dialect, &head, body.as_bytes(), to, capability(model))?;
    let out = done.edits.apply(&Bytes::copy_from_slice(body.as_bytes())).concat();
    assert_eq!(out.len(), done.edits.len_of(body.len()));
    let again = read_head(dialect, &out).unwrap();
    assert_eq!(again.messages + done.dropped, head.messages);
    Some(String::from_utf8(out).unwrap())
}

fn kept(dialect: Dialect, messages: &str, last: u32) -> String {
    let list = if dialect == Dialect::Responses { "input" } else { "messages" };
    let body = format!(r#"{{"{list}":[{messages}]}}"#);
    let out = trimmed(dialect, &body, &Trim { keep_messages: Some(last), ..KEEP }, "m").unwrap_or(body);
    out[list.len() + 5..out.len() - 2].to_owned()
}

/// Each row: messages in short, how many are kept, what is left. `s` system, `u` user, `a` assistant, `c`/`t` a call and
/// its result, `d`/`x` another, `r` reasoning, `C` a call behind thinking, `b` calls both.
fn rows(dialect: Dialect, word: impl Fn(char) -> String, rows: &[(&str, u32, &str)]) {
    let text = |s: &str| s.chars().map(&word).collect::<Vec<_>>().join(" , ");
    for (all, last, want) in rows {
        assert_eq!(kept(dialect, &text(all), *last), text(want), "{dialect:?} {all} {last}");
    }
}

#[test]
fn chat_rows() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let word = |c| {
        match c {
            's' => json!({"role": "system", "content": "s"}),
            'd' => json!({"role": "developer", "content": "s"}),
            'u' => json!({"role": "user", "content": "u"}),
            'a' => json!({"role": "assistant", "content": "a, ]} \" a"}),
            'c' => json!({"role": "assistant", "content": null, "tool_calls": [call("c")]}),
            'b' => json!({"tool_calls": [call("c"), call("\u{e9}")], "role": "assistant"}),
            't' => json!({"role": "tool", "tool_call_id": "c", "content": "t"}),
            'x' => json!({"tool_call_id": "\u{e9}", "role": "tool", "content": "x"}),
            'f' => json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": ""}}),
            'g' => json!({"role": "function", "name": "f", "content": "g"}),
            _ => json!({"role": "nobody"}),
        }
        .to_string()
    };
    rows(
        Dialect::Chat,
        word,
        &[
            ("suauauau", 3, "suuau"),
            ("suauauau", 2, "suau"),
            ("suauauau", 1, "suu"),
            ("suauauau", 0, "suu"),
            ("suauauau", 7, "suauauau"),
            ("suauauau", 6, "suauauau"),
            ("suauauau", 5, "suuauau"),
            ("", 3, ""),
            ("sss", 1, "sss"),
            ("uasuadau", 1, "usdu"),
            ("aaua", 1, "ua"),
            ("uauctau", 3, "uctau"),
            ("uauctau", 4, "uctau"),
            // The nth is a result: its call comes along.
            ("uauctau", 3, "uctau"),
            ("ubtxau", 3, "ubtxau"),
            ("uaubxtau", 3, "ubxtau"),
            ("uaubxstau", 2, "usau"),
            ("uaubxstau", 3, "ubxstau"),
            // An id that every call has.
            ("uctctctau", 3, "uctau"),
            ("uaufgau", 3, "ufgau"),
            // Not known: nothing is left out.
            ("uaua?auau", 1, "uaua?auau"),
        ],
    );
}

#[test]
fn messages_rows() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {"id": "not this"}});
    let result =
        |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": "t"}]});
    let think = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let word = |c| {
        match c {
            's' => json!({"role": "system", "content": "s"}),
            'u' => json!({"role": "user", "content": [{"type": "text", "text": "u"}]}),
            'a' => json!({"role": "assistant", "content": "a"}),
            'c' => json!({"role": "assistant", "content": [{"type": "text", "text": "a"}, call("c")]}),
            'C' => json!({"role": "assistant", "content": [think, call("c")]}),
            'b' => json!({"role": "assistant", "content": [call("c"), call("d")]}),
            't' => json!({"role": "user", "content": [result("c")]}),
            'T' => json!({"role": "user", "content": [result("d"), result("c"), {"type": "text", "text": "u"}]}),
            'w' => json!({"role": "assistant", "content": [
                {"type": "server_tool_use", "id": "w", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "w", "content": []},
            ]}),
            _ => json!({"role": "nobody"}),
        }
        .to_string()
    };
    rows(
        Dialect::Messages,
        word,
        &[
            ("uauauau", 2, "uau"),
            // Two user turns side by side would be one: the turn between them comes along.
            ("uauauau", 1, "uau"),
            ("uauauau", 3, "uauau"),
            ("usauauau", 1, "usau"),
            ("uauctau", 3, "uctau"),
            ("uaubTau", 3, "ubTau"),
            ("uauwuau", 3, "uwuau"),
            ("uwuauau", 2, "uau"),
            ("uaaucta", 2, "ucta"),
            // Neighbours of one role are one turn.
            ("uauaau", 2, "uaau"),
            ("uauactau", 4, "uactau"),
            // A loop of tools stands on the thinking that opens it; not one that opened without.
            ("uauCtctct", 2, "uCtctct"),
            ("uauCtCtct", 2, "uCtct"),
            ("uauctctct", 2, "uct"),
            ("uauctCtct", 2, "uCtct"),
            ("uaCtauctct", 2, "uct"),
            ("uau?uau", 1, "uau?uau"),
        ],
    );
}

#[test]
fn responses_rows() {
    let word = |c| {
        match c {
            's' => json!({"role": "developer", "content": "s"}),
            'u' => json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "u"}]}),
            'a' => json!({"role": "assistant", "content": "a"}),
            'r' => json!({"type": "reasoning", "id": "rs_1", "summary": []}),
            'c' => json!({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}),
            't' => json!({"type": "function_call_output", "id": "fco_1", "call_id": "c", "output": "t"}),
            'd' => json!({"type": "custom_tool_call", "call_id": "d", "name": "f", "input": "x"}),
            'x' => json!({"type": "custom_tool_call_output", "call_id": "d", "output": "t"}),
            'l' => json!({"type": "local_shell_call", "id": "l", "call_id": "l2", "action": {}}),
            'm' => json!({"type": "local_shell_call_output", "id": "l", "output": "t"}),
            'p' => json!({"type": "mcp_approval_request", "id": "p", "name": "f"}),
            'q' => json!({"type": "mcp_approval_response", "approval_request_id": "p", "approve": true}),
            'k' => json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}),
            'o' => json!({"type": "function_call_output", "call_id": "kept elsewhere", "output": "t"}),
            _ => json!({"type": "item_reference", "id": "x"}),
        }
        .to_string()
    };
    rows(
        Dialect::Responses,
        word,
        &[
            ("suauauau", 3, "suuau"),
            ("uauctau", 3, "uctau"),
            ("uaucdxtau", 3, "ucdxtau"),
            // Reasoning comes and goes with what follows it, and is not counted.
            ("uaurau", 2, "urau"),
            ("uaurctrau", 2, "urau"),
            ("uaurctrau", 3, "urctrau"),
            ("uaurcdtxau", 3, "urcdtxau"),
            ("uaurcrdtxau", 4, "urcrdtxau"),
            // An output that comes late holds all from its call on.
            ("uaucuauat", 1, "ucuauat"),
            ("uaulmau", 3, "ulmau"),
            ("uaupqau", 3, "upqau"),
            ("ukauau", 1, "uku"),
            // The call is at the provider, which waits for its output.
            ("ouauau", 1, "ouu"),
            ("uaua?auau", 1, "uaua?auau"),
        ],
    );
    let text = r#"{"input":"one string"}"#;
    assert_eq!(trimmed(Dialect::Responses, text, &Trim { keep_messages: Some(1), ..KEEP }, "m"), None);
}

#[test]
fn limits_and_temperatures_only_go_down() {
    let to = Trim { keep_messages: None, max_output_tokens: Some(512), temperature_milli: Some(250) };
    let (chat, responses, messages) = (Dialect::Chat, Dialect::Responses, Dialect::Messages);
    let rows: &[(Dialect, &str, &str, Option<&str>)] = &[
        (chat, "m", r#"{"a":1}"#, Some(r#"{"temperature":0.25,"max_completion_tokens":512,"a":1}"#)),
        (chat, "gpt-4o", r#"{"max_tokens":900}"#, Some(r#"{"temperature":0.25,"max_tokens":512}"#)),
        (chat, "gpt-4o", r#"{"max_tokens":90,"temperature":0.2}"#, None),
        (chat, "gpt-4o", r#"{"max_tokens":90,"temperature":2.5e-1}"#, None),
        (chat, "gpt-4o", r#"{"max_tokens":90,"temperature":"x"}"#, None),
        (chat, "gpt-4o", r#"{"max_tokens":90,"temperature": 1.5 }"#, Some(r#"{"max_tokens":90,"temperature": 0.25 }"#)),
        (chat, "gpt-4o", r#"{"max_tokens":90,"temperature":null}"#, Some(r#"{"max_tokens":90,"temperature":0.25}"#)),
        (chat, "gpt-6-sol", r#"{"max_completion_tokens":90,"temperature":1}"#, None),
        (
            responses,
            "m",
            r#"{"max_output_tokens":900,"temperature":0}"#,
            Some(r#"{"max_output_tokens":512,"temperature":0}"#),
        ),
        (messages, "claude-opus-5-5", r#"{"max_tokens":900}"#, Some(r#"{"max_tokens":512}"#)),
        (messages, "claude-opus-5-5", r#"{"max_tokens":512}"#, None),
        (messages, "claude-haiku-4-5", r#"{"max_tokens":1}"#, Some(r#"{"temperature":0.25,"max_tokens":1}"#)),
        // Not both of temperature and `top_p`; not beside thinking, whose budget is below the limit.
        (messages, "claude-haiku-4-5", r#"{"max_tokens":1,"top_p":0.9}"#, None),
        (
            messages,
            "claude-haiku-4-5",
            r#"{"max_tokens":8000,"thinking":{"type":"enabled","budget_tokens":2048}}"#,
            Some(r#"{"max_tokens":2560,"thinking":{"type":"enabled","budget_tokens":2048}}"#),
        ),
        (
            messages,
            "claude-haiku-4-5",
            r#"{"max_tokens":2500,"thinking":{"type":"enabled","budget_tokens":2048}}"#,
            None,
        ),
        (
            messages,
            "claude-haiku-4-5",
            r#"{"max_tokens":1,"thinking":{"type":"disabled"}}"#,
            Some(r#"{"temperature":0.25,"max_tokens":1,"thinking":{"type":"disabled"}}"#),
        ),
    ];
    for (dialect, model, body, want) in rows {
        assert_eq!(trimmed(*dialect, body, &to, model).as_deref(), *want, "{dialect:?} {model} {body}");
    }
    let tiny = Trim { max_output_tokens: Some(3), ..KEEP };
    assert_eq!(trimmed(responses, "{}", &tiny, "m").as_deref(), Some(r#"{"max_output_tokens":16}"#));
    let hot = Trim { temperature_milli: Some(1200), ..KEEP };
    assert_eq!(trimmed(chat, "{}", &hot, "m"), None);
    assert_eq!(decimal(0) + " " + &decimal(1200) + " " + &decimal(2000) + " " + &decimal(5), "0 1.2 2 0.005");
}

fn list(dialect: Dialect, body: &str) -> Vec<Box<RawValue>> {
    let map: std::collections::HashMap<String, Box<RawValue>> = serde_json::from_str(body).unwrap();
    serde_json::from_str(map[if dialect == Dialect::Responses { "input" } else { "messages" }].get()).unwrap()
}

fn values(list: &[Box<RawValue>]) -> Vec<Value> {
    list.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect()
}

fn laws(dialect: Dialect, body: &str, last: u32) -> Result<(), TestCaseError> {
    let whole = list(dialect, body);
    check::valid(dialect, &values(&whole)).expect("what is generated is valid");
    let to = Trim { keep_messages: Some(last), max_output_tokens: Some(100), temperature_milli: Some(100) };
    let out = trimmed(dialect, body, &to, "m").expect("the limit at least");
    let left = list(dialect, &out);
    if let Err(why) = check::valid(dialect, &values(&left)) {
        return Err(TestCaseError::fail(format!("{why}\n{body}\n{out}")));
    }
    // Byte for byte, in order.
    let mut rest = whole.iter().map(|raw| raw.get());
    prop_assert!(left.iter().all(|raw| rest.any(|own| own == raw.get())), "{body}\n{out}");
    prop_assert_eq!(trimmed(dialect, &out, &to, "m"), None);
    let texts: Vec<&str> = left.iter().map(|raw| raw.get()).collect();
    let owned = values(&whole);
    let all: Vec<(&str, &str)> = whole.iter().zip(&owned).map(|(raw, v)| (raw.get(), check::role(v))).collect();
    let has = |(raw, _): &(&str, &str)| texts.contains(raw);
    prop_assert!(all.iter().find(|(_, role)| *role == "user").is_none_or(has));
    prop_assert!(all.iter().filter(|(_, role)| *role == "system").all(has));
    let counts = |(_, role): &&(&str, &str)| !["system", "reasoning"].contains(role);
    prop_assert!(all.iter().rev().filter(counts).take(last as usize).all(has));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn chat_stays_valid(steps in generate::steps(), last in 0u32..9) {
        laws(Dialect::Chat, &generate::chat(&steps), last)?;
    }

    #[test]
    fn messages_stays_valid(steps in generate::steps(), last in 0u32..9) {
        laws(Dialect::Messages, &generate::messages(&steps), last)?;
    }

    #[test]
    fn responses_stays_valid(steps in generate::steps(), last in 0u32..9) {
        laws(Dialect::Responses, &generate::responses(&steps), last)?;
    }
}
