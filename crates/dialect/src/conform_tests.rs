use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{MODELS, capability, read_head};

fn conformed(dialect: Dialect, model: &str, body: &str) -> (String, Vec<String>) {
    let head = read_head(dialect, body.as_bytes()).unwrap();
    let mut edits = Edits::default();
    let lost = conform(&mut edits, dialect, &head, body.as_bytes(), capability(model));
    (String::from_utf8(edits.apply(&Bytes::from(body.to_owned())).concat()).unwrap(), lost)
}

#[track_caller]
fn rows(dialect: Dialect, rows: &[(&str, &str, &str, &[&str])]) {
    for (model, body, want, lost) in rows {
        assert_eq!(
            conformed(dialect, model, body),
            ((*want).to_owned(), lost.iter().map(|l| (*l).to_owned()).collect()),
            "{model} {body}"
        );
    }
}

#[test]
fn t05_t06_chat() {
    rows(
        Dialect::Chat,
        &[
            (
                "mock",
                r#"{"max_tokens":5,"temperature":0.1,"stop":"a","x":1}"#,
                r#"{"max_tokens":5,"temperature":0.1,"stop":"a","x":1}"#,
                &[],
            ),
            (
                "gpt-4o",
                r#"{"max_tokens":5,"temperature":0.1,"stop":"a"}"#,
                r#"{"max_tokens":5,"temperature":0.1,"stop":"a"}"#,
                &[],
            ),
            ("gpt-6-sol", r#"{"max_tokens":5}"#, r#"{"max_completion_tokens":5,"max_tokens":null}"#, &[]),
            ("gpt-6-sol", r#"{"max_tokens":null,"x":1}"#, r#"{"max_tokens":null,"x":1}"#, &[]),
            (
                "gpt-6-sol",
                r#"{"a":1, "temperature" : 0.2 , "top_p":1.0,"logprobs":false}"#,
                r#"{"a":1}"#,
                &["temperature"],
            ),
            (
                "gpt-6-sol",
                r#"{"temperature":0.2,"reasoning_effort":"none"}"#,
                r#"{"temperature":0.2,"reasoning_effort":"none"}"#,
                &[],
            ),
            (
                "gpt-6.1-sol",
                r#"{"temperature":0.2,"reasoning_effort":"none"}"#,
                r#"{"reasoning_effort":"low"}"#,
                &["reasoning_effort", "temperature"],
            ),
            (
                "gpt-6-sol",
                r#"{"x":1,"reasoning_effort":"max"}"#,
                r#"{"x":1,"reasoning_effort":"xhigh"}"#,
                &["reasoning_effort"],
            ),
            ("gpt-4o", r#"{"x":1,"reasoning_effort":"high"}"#, r#"{"x":1}"#, &["reasoning_effort"]),
            ("gpt-4o", r#"{"reasoning_effort":"none","x":1}"#, r#"{"x":1}"#, &[]),
            ("gpt-5.4", r#"{"stop":["a"],"x":1}"#, r#"{"x":1}"#, &["stop"]),
            ("o3", r#"{"x":1,"parallel_tool_calls":true}"#, r#"{"x":1}"#, &[]),
            ("o3", r#"{"parallel_tool_calls":false,"x":1}"#, r#"{"x":1}"#, &["parallel_tool_calls"]),
            (
                "gpt-4",
                r#"{"x":1,"response_format":{"type":"json_schema","json_schema":{}}}"#,
                r#"{"x":1}"#,
                &["response_format"],
            ),
            (
                "gpt-4",
                r#"{"x":1,"response_format":{"type":"json_object"}}"#,
                r#"{"x":1,"response_format":{"type":"json_object"}}"#,
                &[],
            ),
            ("gpt-6-sol", r#"{"tools":[{}]}"#, r#"{"reasoning_effort":"none","tools":[{}]}"#, &[]),
            (
                "gpt-6-sol",
                r#"{"tools":[{}],"reasoning_effort":"high","temperature":0.5}"#,
                r#"{"tools":[{}],"reasoning_effort":"none","temperature":0.5}"#,
                &["reasoning_effort"],
            ),
            (
                "gpt-5.1",
                r#"{"tools":[{}],"reasoning_effort":"high"}"#,
                r#"{"tools":[{}],"reasoning_effort":"high"}"#,
                &[],
            ),
            ("gpt-6-sol", r#"{"tools":[],"tool_choice":"required"}"#, r#"{"tools":[],"tool_choice":"required"}"#, &[]),
            // Nothing would be left.
            ("gpt-5.4", r#"{"stop":"a"}"#, r#"{"stop":"a"}"#, &["stop"]),
        ],
    );
}

#[test]
fn t05_t06_responses() {
    rows(
        Dialect::Responses,
        &[
            (
                "gpt-6-sol",
                r#"{"input":"a","reasoning":{"effort":"max"}}"#,
                r#"{"input":"a","reasoning":{"effort":"max"}}"#,
                &[],
            ),
            (
                "gpt-6-sol",
                r#"{"input":"a","tools":[{}],"reasoning":{"effort":"high"}}"#,
                r#"{"input":"a","tools":[{}],"reasoning":{"effort":"high"}}"#,
                &[],
            ),
            (
                "gpt-6.1-sol",
                r#"{"input":"a","reasoning":{"summary":"auto","effort":"minimal"}}"#,
                r#"{"input":"a","reasoning":{"summary":"auto","effort":"low"}}"#,
                &["reasoning.effort"],
            ),
            (
                "gpt-4o",
                r#"{"input":"a","reasoning":{"effort":"low"},"temperature":0.3}"#,
                r#"{"input":"a","temperature":0.3}"#,
                &["reasoning"],
            ),
            ("gpt-6.1-sol", r#"{"temperature":0.3,"input":"a"}"#, r#"{"input":"a"}"#, &["temperature"]),
            (
                "gpt-4",
                r#"{"input":"a","text":{"format":{"type":"json_schema"},"verbosity":"low"}}"#,
                r#"{"input":"a","text":{"format":{"type":"text"},"verbosity":"low"}}"#,
                &["text.format"],
            ),
        ],
    );
}

#[test]
fn t02_t06_t43_messages() {
    rows(
        Dialect::Messages,
        &[
            (
                "claude-haiku-4-5",
                r#"{"max_tokens":1,"temperature":0.2,"top_k":3}"#,
                r#"{"max_tokens":1,"temperature":0.2,"top_k":3}"#,
                &[],
            ),
            (
                "claude-haiku-4-5",
                r#"{"max_tokens":1,"temperature":0.2,"top_p":0.3}"#,
                r#"{"max_tokens":1,"temperature":0.2}"#,
                &["top_p"],
            ),
            (
                "claude-opus-5",
                r#"{"temperature":0.2,"top_p":0.3,"top_k":3,"max_tokens":1}"#,
                r#"{"max_tokens":1}"#,
                &["temperature", "top_p", "top_k"],
            ),
            ("claude-haiku-5-5", r#"{"max_tokens":1,"temperature":1}"#, r#"{"max_tokens":1}"#, &[]),
            (
                "claude-sonnet-5-5",
                r#"{"max_tokens":1,"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}}"#,
                r#"{"max_tokens":1,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}"#,
                &["tool_choice"],
            ),
            (
                "claude-sonnet-5-5",
                r#"{"max_tokens":1,"tool_choice":{"type":"auto"}}"#,
                r#"{"max_tokens":1,"tool_choice":{"type":"auto"}}"#,
                &[],
            ),
            (
                "claude-haiku-5-5",
                r#"{"max_tokens":1,"tool_choice":{"type":"any"}}"#,
                r#"{"max_tokens":1,"tool_choice":{"type":"any"}}"#,
                &[],
            ),
            (
                "claude-sonnet-5-5",
                r#"{"max_tokens":1,"thinking":{"type":"disabled"}}"#,
                r#"{"max_tokens":1,"thinking":{"type":"between_tools"}}"#,
                &[],
            ),
            (
                "claude-sonnet-5-5",
                r#"{"max_tokens":1,"thinking":{"type":"disabled"},"output_config":{"effort":"max"}}"#,
                r#"{"max_tokens":1,"output_config":{"effort":"max"}}"#,
                &["thinking"],
            ),
            (
                "claude-opus-5-5",
                r#"{"max_tokens":1,"thinking":{"type":"disabled"}}"#,
                r#"{"max_tokens":1}"#,
                &["thinking"],
            ),
            (
                "claude-opus-5",
                r#"{"max_tokens":1,"thinking":{"type":"between_tools"}}"#,
                r#"{"max_tokens":1,"thinking":{"type":"disabled"}}"#,
                &[],
            ),
            (
                "claude-opus-4-6",
                r#"{"max_tokens":1,"thinking":{"type":"enabled","budget_tokens":2000}}"#,
                r#"{"max_tokens":1,"thinking":{"type":"enabled","budget_tokens":2000}}"#,
                &[],
            ),
            (
                "claude-opus-5-5",
                r#"{"max_tokens":1,"thinking":{"type":"enabled","budget_tokens":2000,"display":"summarized"}}"#,
                r#"{"max_tokens":1,"thinking":{"type":"adaptive","display":"summarized"}}"#,
                &["thinking.budget_tokens"],
            ),
            (
                "claude-haiku-4-5",
                r#"{"max_tokens":1,"thinking":{"type":"adaptive"},"output_config":{"effort":"low"}}"#,
                r#"{"max_tokens":1}"#,
                &["output_config.effort", "thinking"],
            ),
            (
                "claude-opus-4-6",
                r#"{"max_tokens":1,"output_config":{"effort":"xhigh"}}"#,
                r#"{"max_tokens":1,"output_config":{"effort":"high"}}"#,
                &["output_config.effort"],
            ),
            (
                "claude-opus-4-1",
                r#"{"max_tokens":1,"output_config":{"x":1,"effort":"low","format":{"type":"json_schema"}}}"#,
                r#"{"max_tokens":1,"output_config":{"x":1}}"#,
                &["output_config.effort", "output_config.format"],
            ),
            (
                "claude-opus-4-1",
                r#"{"max_tokens":1,"output_format":{"type":"json_schema"}}"#,
                r#"{"max_tokens":1}"#,
                &["output_format"],
            ),
            (
                "mock",
                r#"{"max_tokens":1,"thinking":{"type":"adaptive"},"output_config":{"effort":"low"}}"#,
                r#"{"max_tokens":1,"thinking":{"type":"adaptive"},"output_config":{"effort":"low"}}"#,
                &[],
            ),
        ],
    );
}

#[test]
fn what_cannot_be_left_out_or_is_kept_elsewhere_hinders() {
    let (chat, responses, messages) = (Dialect::Chat, Dialect::Responses, Dialect::Messages);
    let goes_on = r#"{"messages":[],"thread":{"type":"continue","previous_message_id":"msg_1"}}"#;
    let begins = r#"{"messages":[],"thread":{"type":"create"}}"#;
    let linked = r#"{"input":"a","previous_response_id":"resp_1"}"#;
    let image = r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#;
    let audio = r#"{"messages":[{"role":"user","content":[{"type":"input_audio"}]}]}"#;
    let file = r#"{"messages":[{"role":"user","content":[{"type":"file"}]}]}"#;
    let prefill = r#"{"messages":[{"role":"user","content":"a"},{"content":[{"type":"tool_use","input":{"role":"user"}}],"role":"assistant"}]}"#;
    let history =
        r#"{"messages":[{"role":"assistant","content":"a"},{"role":"user","content":"{\"role\":\"assistant\"}"}]}"#;
    let tools = r#"{"messages":[],"tools":[{}]}"#;
    let rows = [
        (chat, chat, "gpt-3.5-turbo", image, Some("images")),
        (chat, chat, "gpt-4o", image, None),
        (chat, chat, "gpt-4o", audio, Some("audio")),
        (chat, chat, "gpt-4o-audio-preview", audio, None),
        (chat, chat, "gpt-4-turbo", file, Some("documents")),
        (chat, messages, "claude-opus-5", file, None),
        (messages, messages, "claude-opus-4-6", prefill, Some("assistant turn")),
        (messages, messages, "claude-haiku-4-5", prefill, None),
        (messages, chat, "gpt-6-sol", prefill, None),
        (messages, messages, "claude-opus-4-6", history, None),
        (chat, messages, "claude-opus-4-6", prefill, Some("assistant turn")),
        (chat, chat, "gpt-6.1-sol", tools, Some("Responses")),
        (chat, chat, "gpt-6-sol", tools, None),
        (chat, responses, "gpt-6.1-sol", tools, None),
        (chat, messages, "mock", image, None),
        (messages, messages, "claude-haiku-4-5", goes_on, None),
        (messages, chat, "gpt-6-sol", goes_on, Some("whole conversation")),
        (messages, chat, "gpt-6-sol", begins, None),
        (responses, responses, "gpt-6-sol", linked, None),
        (responses, messages, "claude-haiku-4-5", linked, Some("earlier turns")),
    ];
    for (caller, target, model, body, want) in rows {
        let head = read_head(caller, body.as_bytes()).unwrap();
        let hinders = hindrance(target, &head, capability(model));
        let why = hinders.or_else(|| kept_elsewhere(caller, target, &head));
        assert_eq!(why.is_some(), want.is_some(), "{model} {body}");
        assert!(why.unwrap_or_default().contains(want.unwrap_or_default()), "{why:?}");
    }
}

fn members() -> impl Strategy<Value = String> {
    let one = prop::sample::select(vec![
        r#""temperature":0.5"#,
        r#" "top_p" : 1 "#,
        r#""top_k":3"#,
        r#""stop":["}"]"#,
        r#""reasoning_effort":"max""#,
        r#""reasoning":{"effort":"none"}"#,
        r#""thinking":{"type":"disabled"}"#,
        r#""tool_choice":{"type":"any"}"#,
        r#""parallel_tool_calls":false"#,
        r#""tools":[{"type":"function"}]"#,
        r#""max_tokens":7"#,
        r#""model":"m""#,
        r#""output_config":{"effort":"xhigh","format":{"type":"json_schema"}}"#,
        r#""text":{"format":{"type":"json_schema"}}"#,
        r#""response_format":{"type":"json_schema"}"#,
        r#""logprobs":true"#,
    ]);
    (prop::collection::vec(one, 0..9), 0usize..9).prop_map(|(mut all, at)| {
        all.sort_unstable();
        all.dedup();
        let at = at.min(all.len());
        all.rotate_left(at);
        all.insert(at, r#" "messages":[{"temperature":2}]"#);
        format!("{{{}}}", all.join(","))
    })
}

proptest! {
    /// Whatever is asked of whichever model: what comes out is JSON, a second pass finds nothing to do, and what it did
    /// not name is what it was.
    #[test]
    fn what_comes_out_conforms(
        body in members(),
        row in prop::sample::select(MODELS),
        dialect in prop::sample::select(vec![Dialect::Chat, Dialect::Responses, Dialect::Messages]),
    ) {
        let (once, lost) = conformed(dialect, row.name, &body);
        let (before, after): (Value, Value) = (serde_json::from_str(&body).unwrap(), serde_json::from_str(&once).unwrap());
        prop_assert!(read_head(dialect, once.as_bytes()).is_ok(), "{once}");
        let (twice, more) = conformed(dialect, row.name, &once);
        prop_assert_eq!((&twice, more), (&once, vec![]));
        for (name, value) in before.as_object().unwrap() {
            let quiet = ["top_p", "max_tokens", "reasoning_effort", "reasoning", "thinking"].contains(&name.as_str());
            let told = lost.iter().any(|l| l.split('.').next() == Some(name));
            prop_assert!(quiet || told || after[name] == *value, "{} of {} in {}", name, body, once);
        }
    }
}

#[test]
fn what_is_changed_within_a_member_goes_with_it() {
    let ours = r#"{"type":"thinking","thinking":"a","signature":"llmroute:openai:n:"}"#;
    let call = r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#;
    let body = format!(
        r#"{{"model":"m","thinking":{{"type":"enabled","budget_tokens":2048}},"messages":[{{"role":"assistant","content":[{ours},{call}]}}]}}"#
    );
    let head = read_head(Dialect::Messages, body.as_bytes()).unwrap();
    let mut edits = Edits::default();
    let mut lost = edits.cut_foreign_thoughts(&head, Dialect::Messages, body.as_bytes(), None);
    let can = Capability { thinks: Thinks::No, budget: None, ..Capability::OPEN };
    lost.extend(conform(&mut edits, Dialect::Messages, &head, body.as_bytes(), &can));
    let out = String::from_utf8(edits.apply(&Bytes::from(body)).concat()).unwrap();
    assert_eq!(out, format!(r#"{{"model":"m","messages":[{{"role":"assistant","content":[{call}]}}]}}"#));
    assert_eq!(lost, ["messages[0].content[0]", "thinking", "thinking"]);
}
