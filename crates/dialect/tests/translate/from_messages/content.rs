//! Messages to Chat Completions: roles, turns, text and media.

use dialect::Dialect::Messages;
use serde_json::{Value, json};

use super::{content, talk, tool_use};
use crate::{GPT, members, sent};

#[test]
fn t07_instructions_as_string_blocks_and_in_the_midst() {
    let hi = json!([{"role": "user", "content": "hi"}]);
    let rows = [
        (json!("Be brief."), json!("Be brief.")),
        (json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]), json!("one\n\ntwo")),
    ];
    for (system, want) in rows {
        let (messages, lost) = talk(&system, &hi).unwrap();
        assert_eq!(messages, json!([{"role": "system", "content": want}, {"role": "user", "content": "hi"}]));
        assert!(lost.is_empty());
    }
    for nothing in [json!(""), json!([]), json!([{"type": "text", "text": " "}])] {
        assert_eq!(talk(&nothing, &hi).unwrap(), (hi.clone(), vec![]));
    }
    let (messages, lost) = talk(
        &Value::Null,
        &json!([{"role": "user", "content": "hi"}, {"role": "system", "content": "be kind"}, {"role": "user", "content": "bye"}]),
    )
    .unwrap();
    let want = json!([{"role": "user", "content": "hi"}, {"role": "system", "content": "be kind"}, {"role": "user", "content": "bye"}]);
    assert_eq!((messages, lost), (want, vec![]));
    let (_, lost) =
        talk(&json!([{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]), &hi).unwrap();
    assert_eq!(lost, ["system[0]"], "never silently");
}

#[test]
fn t08_t10_turns_merge_and_blank_text_vanishes() {
    let (messages, lost) = talk(
        &Value::Null,
        &json!([
            {"role": "user", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "b"}]},
            {"role": "assistant", "content": []},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
            {"role": "user", "content": "e"},
        ]),
    )
    .unwrap();
    let want = json!([
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "cd"},
        {"role": "user", "content": "e"},
    ]);
    assert_eq!((messages, lost), (want, vec![]));
    let empty = talk(&Value::Null, &json!([{"role": "user", "content": ""}])).unwrap_err();
    assert_eq!(empty, "messages: must hold a turn that is not empty");
    let rows = [
        (json!({"role": "tool", "content": "x"}), "messages[0].role: must be user, assistant or system"),
        (json!({"role": "user", "content": 7}), "messages[0].content: must be a string or an array"),
        (json!({"role": "user", "content": ["x"]}), "messages[0].content[0]: must be an object"),
        (json!("x"), "messages[0]: must be an object"),
    ];
    for (message, want) in rows {
        assert_eq!(talk(&Value::Null, &json!([message])).unwrap_err(), want);
    }
}

#[test]
fn t09_a_prefill_becomes_history_and_is_told() {
    let turns = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "So"}]);
    assert_eq!(talk(&Value::Null, &turns).unwrap(), (turns, vec!["messages[1]".to_owned()]));
}

#[test]
fn t11_images() {
    let image = |source: Value| json!({"type": "image", "source": source});
    let (got, lost) = content(&json!([
        image(json!({"type": "base64", "media_type": "image/png", "data": "AAAA"})),
        image(json!({"type": "url", "url": "https://x/y.png"})),
        {"type": "text", "text": "what?"},
    ]))
    .unwrap();
    assert_eq!(
        got,
        json!([
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "text", "text": "what?"},
        ])
    );
    assert!(lost.is_empty());
    let rows = [
        (json!({"type": "base64", "media_type": "image/tiff", "data": "A"}), "must be a JPEG, PNG, GIF or WebP image"),
        (
            json!({"type": "file", "file_id": "f"}),
            "a file held by one provider cannot be sent to another; send its data",
        ),
        (json!({"type": "url", "url": "file:///etc/passwd"}), "must be a data: or http(s) URL"),
        (json!({"type": "base64", "data": "A"}), "must have a url or a base64 source"),
        (Value::Null, "must have a url or a base64 source"),
    ];
    for (source, want) in rows {
        let refused = content(&json!([image(source)])).unwrap_err();
        assert_eq!(refused, format!("messages[0].content[0]: {want}"));
    }
    let (messages, lost) = talk(
        &Value::Null,
        &json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": [image(json!({"type": "url", "url": "https://x/y.png"}))]}, {"role": "user", "content": "b"}]),
    )
    .unwrap();
    assert_eq!((messages[1]["content"].clone(), lost), (json!(""), vec!["messages[1].content[0]".to_owned()]));
}

#[test]
fn t12_documents() {
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "AA"});
    let file =
        |name: &str| json!({"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,AA"}});
    let (got, lost) = content(&json!([
        {"type": "document", "source": pdf, "title": "a.pdf"},
        {"type": "document", "source": pdf, "citations": {"enabled": true}, "context": "c"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
    ]))
    .unwrap();
    assert_eq!(got, json!([file("a.pdf"), file("document.pdf"), {"type": "text", "text": "plain"}]));
    assert_eq!(lost, ["messages[0].content[1].citations", "messages[0].content[1].context"]);
    let by_url = content(&json!([{"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}}]));
    assert_eq!(
        by_url.unwrap_err(),
        "messages[0].content[0]: a document by URL has no counterpart; send its data",
        "refused, not dropped"
    );
    let no_text = content(&json!([{"type": "document", "source": {"type": "text"}}])).unwrap_err();
    assert_eq!(no_text, "messages[0].content[0]: a text source needs its data");
}

#[test]
fn t13_blocks_that_only_messages_has_are_reported() {
    let (got, lost) = content(&json!([
        {"type": "search_result", "source": "s", "title": "t", "content": []},
        {"type": "text", "text": "a", "citations": [{"type": "char_location"}]},
        {"type": "text", "text": "b", "citations": []},
        {"type": "hologram"},
    ]))
    .unwrap();
    assert_eq!(got, json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]));
    assert_eq!(lost, ["messages[0].content[0]", "messages[0].content[1].citations", "messages[0].content[3]"]);
}

#[test]
fn t41_cache_marks_are_dropped_and_told_once() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let marked = |t: &str| json!({"type": "text", "text": t, "cache_control": mark});
    let places = [
        json!({"system": [marked("s")]}),
        json!({"tools": [{"name": "f", "cache_control": mark}]}),
        json!({"messages": [{"role": "user", "content": [marked("a"), marked("b")]}]}),
        json!({"messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [tool_use("a", json!({}))]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [marked("x")]}]},
        ]}),
    ];
    for extra in places {
        let (got, lost) = members(Messages, GPT, &extra);
        assert_eq!(lost, ["cache_control"], "{extra}");
        assert!(!got.to_string().contains("ephemeral"));
    }
}

#[test]
fn t44_t45_foreign_thinking_stays_behind() {
    let (messages, lost) = talk(
        &Value::Null,
        &json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "secret plan", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "Done."},
            ]},
            {"role": "user", "content": "thanks"},
        ]),
    )
    .unwrap();
    assert_eq!(messages[1], json!({"role": "assistant", "content": "Done."}));
    assert_eq!(lost, ["messages[1].content[0]", "messages[1].content[1]"]);
}

#[test]
fn no_refusal_holds_text_of_the_body() {
    let secret = "hunter2";
    let bodies = [
        json!({"messages": [{"role": secret, "content": secret}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": secret}}]}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": secret, "content": secret}]}]}),
        json!({"messages": secret}),
        json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": secret, "name": secret}]}]}),
        json!({"messages": [], "tools": [{"description": secret}]}),
    ];
    for body in bodies {
        let why = sent(Messages, GPT, &body).unwrap_err();
        assert!(!why.contains(secret), "{why}");
    }
}
