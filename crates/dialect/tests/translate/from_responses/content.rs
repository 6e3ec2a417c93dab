//! Responses to the others: roles, content, thoughts.

use dialect::Dialect::{Chat, Messages, Responses};
use serde_json::{Value, json};

use super::{says, talk, text};
use crate::rows::{CLAUDE, GPT, sent_to};

fn user(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

#[test]
fn t07_t10_a_plain_request() {
    let body = json!({"model": "m", "instructions": "Be brief.", "input": "hi"});
    let (got, lost) = sent_to(Responses, Messages, CLAUDE, &body).unwrap();
    let want = json!({"model": CLAUDE, "max_tokens": 4096, "system": [text("Be brief.")], "messages": [user(json!([text("hi")]))]});
    assert_eq!((got, lost), (want, vec!["store".to_owned()]), "T56: to be kept is the default");
    let (got, lost) = sent_to(Responses, Chat, GPT, &body).unwrap();
    let want = json!({"model": GPT, "messages": [{"role": "system", "content": "Be brief."}, user(json!("hi"))]});
    assert_eq!((got, lost), (want, vec!["store".to_owned()]));
}

#[test]
fn t07_several_instructions_in_order() {
    let body = json!({"model": "m", "store": false,
        "input": [{"role": "developer", "content": "B"}, {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "C"}]},
            user(json!("hi")), {"role": "developer", "content": "D"}, user(json!("ho"))],
        "instructions": "A"});
    let (got, lost) = sent_to(Responses, Messages, CLAUDE, &body).unwrap();
    assert_eq!(got["system"], json!([text("A"), text("B"), text("C")]));
    assert_eq!(got["messages"], json!([user(json!([text("hi"), text("D"), text("ho")]))]));
    assert_eq!(lost, ["input[3].role"]);
    let (got, lost) = sent_to(Responses, Chat, GPT, &body).unwrap();
    let system = |t: &str| json!({"role": "system", "content": t});
    assert_eq!(got["messages"], json!([system("A\n\nB\n\nC"), user(json!("hi")), system("D"), user(json!("ho"))]));
    assert_eq!(lost, [""; 0]);
    let alone = json!({"model": "m", "store": false, "instructions": "A"});
    let (got, lost) = sent_to(Responses, Messages, CLAUDE, &alone).unwrap();
    assert_eq!((&got["messages"], lost), (&json!([user(json!([text("A")]))]), vec!["instructions".to_owned()]));
}

#[test]
fn t08_t10_t22_turns_and_their_parts() {
    says(
        &json!([
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": ""}]},
            {"role": "user", "content": "b"},
            {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "phase": null,
                "content": [{"type": "output_text", "text": "c", "annotations": [], "logprobs": []}, {"type": "refusal", "refusal": "no"}]},
            {"role": "user", "content": "d"},
        ]),
        &json!([
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": "c", "refusal": "no"},
            {"role": "user", "content": "d"},
        ]),
        &json!([
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [text("c"), text("no")]},
            {"role": "user", "content": [text("d")]},
        ]),
        &[],
    );
}

#[test]
fn t11_images() {
    let image = |url: &str, detail: &str| json!({"type": "input_image", "image_url": url, "detail": detail});
    let input = json!([user(json!([image("data:image/png;base64,AAAA", "auto"), image("https://x/y.png", "high")]))]);
    let (got, lost) = talk(Chat, &input).unwrap();
    let want = json!([
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "high"}},
    ]);
    assert_eq!((&got[0]["content"], lost.len()), (&want, 0));
    let (got, lost) = talk(Messages, &input).unwrap();
    let want = json!([
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
    ]);
    assert_eq!((&got[0]["content"], lost), (&want, vec!["input[0].content[1].detail".to_owned()]));
}

#[test]
fn t11_images_in_tool_results() {
    let shot = json!([{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}]);
    says(
        &json!([
            user(json!("go")),
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": shot},
        ]),
        &json!([
            user(json!("go")),
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "see"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        ]),
        &json!([
            user(json!([text("go")])),
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c",
                "content": [text("see"), {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]}]},
        ]),
        &[],
    );
}

#[test]
fn t12_files() {
    let held = |part: Value| talk(Messages, &json!([user(json!([part]))])).unwrap_err();
    let why = "a file held by one provider cannot be sent to another; send its data or its URL";
    assert_eq!(held(json!({"type": "input_file", "file_id": "file_1"})), format!("input[0].content[0].file_id: {why}"));
    assert_eq!(
        held(json!({"type": "input_image", "file_id": "file_1", "detail": "auto"})),
        format!("input[0].content[0].file_id: {why}")
    );
    assert!(held(json!({"type": "input_audio", "input_audio": {}})).contains("audio input has no counterpart"));
    let pdf = json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"});
    says(
        &json!([user(json!([pdf]))]),
        &json!([user(
            json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}])
        )]),
        &json!([user(
            json!([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}, "title": "a.pdf"}])
        )]),
        &[],
    );
    let linked = json!([user(json!([{"type": "input_file", "file_url": "https://x/a.pdf"}]))]);
    let (got, _) = talk(Messages, &linked).unwrap();
    assert_eq!(got[0]["content"][0]["source"], json!({"type": "url", "url": "https://x/a.pdf"}));
    assert!(talk(Chat, &linked).unwrap_err().contains("a document by URL has no counterpart"));
}

#[test]
fn t13_t15_what_nobody_else_knows_is_reported() {
    says(
        &json!([
            user(json!([{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}, {"type": "novelty"}])),
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}},
            {"type": "message", "role": "assistant", "phase": "commentary",
                "content": [{"type": "output_text", "text": "b", "annotations": [{"type": "url_citation"}]}]},
            {"type": "novelty"},
            user(json!("c")),
        ]),
        &json!([user(json!("a")), {"role": "assistant", "content": "b"}, user(json!("c"))]),
        &json!([
            user(json!([text("a")])),
            {"role": "assistant", "content": [text("b")]},
            user(json!([text("c")])),
        ]),
        &[
            "input[0].content[0].prompt_cache_breakpoint",
            "input[0].content[1]",
            "input[1]",
            "input[2].content[0].annotations",
            "input[2].phase",
            "input[3]",
        ],
    );
}

#[test]
fn t44_t45_thoughts_go_back_to_whom_they_came_from() {
    let thought = |sealed: &str| json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": sealed});
    let input = |thoughts: [&str; 4]| {
        json!([
            user(json!("go")), thought(thoughts[0]), thought(thoughts[1]), thought(thoughts[2]), thought(thoughts[3]),
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
        ])
    };
    let all = ["llmroute:p:s:SIG", "llmroute:p:r:RED", "llmroute:q:s:SIG", "gAAAA"];
    let (got, lost) = talk(Messages, &input(all)).unwrap();
    assert_eq!(
        got[1]["content"],
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "SIG"},
            {"type": "redacted_thinking", "data": "RED"},
            {"type": "tool_use", "id": "c", "name": "f", "input": {}},
        ])
    );
    assert_eq!(lost, ["input[3]", "input[4]"], "another provider's, and OpenAI's own");
    let (got, lost) = talk(Chat, &input(all)).unwrap();
    assert_eq!(got[1]["content"], Value::Null);
    assert_eq!(lost, ["input[1]", "input[2]", "input[3]", "input[4]"]);
    // With its thought the turn may go on thinking; without it not.
    let body = |sealed: &str| json!({"model": "m", "store": false, "reasoning": {"effort": "low"}, "input": input([sealed; 4])});
    let thinks = |sealed: &str| sent_to(Responses, Messages, CLAUDE, &body(sealed)).unwrap().0["thinking"].clone();
    assert_eq!(thinks("llmroute:p:s:SIG"), json!({"type": "enabled", "budget_tokens": 2048}));
    assert_eq!(thinks("gAAAA"), Value::Null);
}

#[test]
fn t56_state_that_lives_at_the_provider_is_refused_in_words() {
    let refused = |extra: Value| {
        let mut body = json!({"model": "m", "input": "hi"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        sent_to(Responses, Messages, CLAUDE, &body).unwrap_err()
    };
    let kept = "names state that one provider keeps and another cannot read; send the earlier turns in input";
    let rows = [
        (json!({"previous_response_id": "resp_1"}), format!("previous_response_id: {kept}")),
        (json!({"conversation": {"id": "conv_1"}}), format!("conversation: {kept}")),
        (
            json!({"prompt": {"id": "pmpt_1"}}),
            "prompt: a prompt kept by one provider cannot be sent to another; send its text in input".into(),
        ),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
            "input[0]: names an item that one provider keeps and another cannot read; send the item itself".into(),
        ),
        (
            json!({"input": [{"id": "msg_1"}]}),
            "input[0]: is kept by one provider and cannot be sent to another; send the item itself".into(),
        ),
        (
            json!({"input": [{"type": "compaction", "encrypted_content": "x"}]}),
            "input[0]: holds turns in a form that only their provider reads; send the turns themselves".into(),
        ),
        (json!({"input": [{}]}), "input[0]: must have a type or a role".into()),
        (json!({"input": 7}), "input: must be a string or an array".into()),
        (json!({"input": [7]}), "input[0]: must be an object".into()),
        (
            json!({"input": [{"role": "oracle", "content": "x"}]}),
            "input[0].role: is not translated; use system, developer, user or assistant".into(),
        ),
    ];
    for (extra, want) in rows {
        assert_eq!(refused(extra), want);
    }
    let none = json!({"model": "m", "input": "hi", "previous_response_id": null, "conversation": null});
    assert!(sent_to(Responses, Messages, CLAUDE, &none).is_ok());
}
