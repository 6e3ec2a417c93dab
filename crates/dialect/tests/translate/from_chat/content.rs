//! Chat Completions to Messages: roles, turns, text and media.

use dialect::Dialect::Chat;
use serde_json::{Value, json};

use super::{talk, text};
use crate::{CLAUDE, sent};

#[test]
fn t07_instructions_keep_their_order() {
    let (system, messages, lost) = talk(
        CLAUDE,
        &json!([
            {"role": "system", "content": "one"},
            {"role": "developer", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "bye"},
        ]),
    )
    .unwrap();
    assert_eq!(system, json!([text("one"), text("two")]));
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [text("hi")]},
            {"role": "assistant", "content": [text("hello")]},
            {"role": "user", "content": [text("be brief"), text("bye")]},
        ])
    );
    assert_eq!(lost, ["messages[4].role"]);
    let (_, _, lost) = talk(
        CLAUDE,
        &json!([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}, {"role": "user", "content": "hi"}]),
    )
    .unwrap();
    assert_eq!(lost, ["messages[0].content[0]"], "never silently");
    let (system, messages, lost) = talk(CLAUDE, &json!([{"role": "system", "content": "Write a poem."}])).unwrap();
    assert_eq!((system, messages), (Value::Null, json!([{"role": "user", "content": [text("Write a poem.")]}])));
    assert_eq!(lost, ["messages[0].role"]);
}

#[test]
fn t08_turns_alternate_begin_with_the_user_and_hold_no_blank_text() {
    let (_, messages, lost) = talk(
        CLAUDE,
        &json!([
            {"role": "assistant", "content": "Welcome."},
            {"role": "user", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": " \n"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "c"},
        ]),
    )
    .unwrap();
    assert_eq!(
        messages,
        json!([
            {"role": "user", "content": [text("(The assistant begins.)")]},
            {"role": "assistant", "content": [text("Welcome.")]},
            {"role": "user", "content": [text("a"), text("b"), text("c")]},
        ])
    );
    assert_eq!(lost, ["messages[0].role"]);
    let (_, messages, _) =
        talk(CLAUDE, &json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "so \n"}])).unwrap();
    assert_eq!(messages[1]["content"][0]["text"], "so", "no white space at the end of a last assistant turn");
    assert_eq!(talk(CLAUDE, &json!([])).unwrap_err(), "messages: must hold a user turn");
}

#[test]
fn t09_a_prefill_is_told() {
    let (_, messages, lost) =
        talk(CLAUDE, &json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])).unwrap();
    assert_eq!(messages[1], json!({"role": "assistant", "content": [text("b")]}));
    assert_eq!(lost, ["messages[1]"]);
}

#[test]
fn t10_content_as_string_or_parts() {
    let (_, a, _) = talk(CLAUDE, &json!([{"role": "user", "content": "hi"}])).unwrap();
    let (_, b, _) = talk(CLAUDE, &json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}])).unwrap();
    assert_eq!(a, b);
    let (_, c, lost) = talk(
        CLAUDE,
        &json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, {"role": "user", "name": "bob", "content": "y"}]),
    )
    .unwrap();
    assert_eq!(c[1], json!({"role": "assistant", "content": [text("no")]}));
    assert_eq!(lost, ["messages[2].name"]);
}

#[test]
fn t11_images() {
    let (_, messages, lost) = talk(
        CLAUDE,
        &json!([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "image_url", "image_url": {"url": "DATA:IMAGE/JPEG;name=a;base64,BBBB", "detail": "high"}},
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "auto"}},
            {"type": "text", "text": "what?"},
        ]}]),
    )
    .unwrap();
    assert_eq!(
        messages[0]["content"],
        json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "BBBB"}},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            text("what?"),
        ])
    );
    assert_eq!(lost, ["messages[0].content[1].image_url.detail"]);
    let url = |url: &str| {
        talk(CLAUDE, &json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]))
    };
    let rows = [
        ("data:image/tiff;base64,AA", "messages[0].content[0]: must be a JPEG, PNG, GIF or WebP image"),
        ("data:image/png,raw", "messages[0].content[0].image_url.url: a data URL must be base64"),
        ("ftp://x", "messages[0].content[0]: must be a data: or http(s) URL"),
    ];
    for (given, want) in rows {
        assert_eq!(url(given).unwrap_err(), want);
    }
}

#[test]
fn t12_files_are_carried_or_refused_never_dropped() {
    let part = |part: Value| talk(CLAUDE, &json!([{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]));
    let (_, messages, lost) =
        part(json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}}))
            .unwrap();
    assert_eq!(
        messages[0]["content"][0],
        json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}, "title": "a.pdf"})
    );
    assert!(lost.is_empty());
    let rows = [
        (
            json!({"type": "file", "file": {"file_id": "f"}}),
            "messages[0].content[0].file.file_id: a file held by one provider cannot be sent to another; send file_data",
        ),
        (
            json!({"type": "file", "file": {"file_data": "data:text/csv;base64,AA"}}),
            "messages[0].content[0]: must be a PDF document; send other files as text",
        ),
        (
            json!({"type": "input_audio", "input_audio": {}}),
            "messages[0].content[0]: audio input has no counterpart; send text",
        ),
    ];
    for (given, want) in rows {
        assert_eq!(part(given).unwrap_err(), want);
    }
}

#[test]
fn t13_unknown_parts_are_reported() {
    let (_, messages, lost) =
        talk(CLAUDE, &json!([{"role": "user", "content": [{"type": "hologram"}, {"type": "text", "text": "?"}]}]))
            .unwrap();
    assert_eq!((messages[0]["content"].clone(), lost), (json!([text("?")]), vec!["messages[0].content[0]".to_owned()]));
}

#[test]
fn t41_cache_marks_are_kept_up_to_four() {
    let mark = json!({"type": "ephemeral"});
    let marked = |t: &str| json!({"type": "text", "text": t, "cache_control": mark});
    let body = json!({
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
        "messages": [
            {"role": "system", "content": [marked("s")]},
            {"role": "user", "content": [marked("a"), marked("b"), marked("c")]},
        ],
    });
    let (got, lost) = sent(Chat, CLAUDE, &body).unwrap();
    assert_eq!(got["tools"][0]["cache_control"], mark);
    assert_eq!(got["system"], json!([marked("s")]));
    assert_eq!(got["messages"][0]["content"], json!([marked("a"), marked("b"), text("c")]));
    assert_eq!(lost, ["cache_control"]);
}

#[test]
fn no_refusal_holds_text_of_the_body() {
    let secret = "hunter2";
    let bodies = [
        json!({"messages": [{"role": secret, "content": secret}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": secret}}]}]}),
        json!({"messages": [{"role": "user", "content": secret}, {"role": "tool", "tool_call_id": secret, "content": secret}]}),
        json!({"messages": secret}),
        json!({"messages": [{"role": "user", "content": 7}], "x": secret}),
        json!({"messages": [], "tools": [{"type": secret}]}),
    ];
    for body in bodies {
        let why = sent(Chat, CLAUDE, &body).unwrap_err();
        assert!(!why.contains(secret), "{why}");
    }
}

#[test]
fn an_answer_sent_back_whole_loses_nothing() {
    let user = json!({"role": "user", "content": "hi"});
    let whole = json!({"role": "assistant", "content": "Hello.", "refusal": null, "annotations": []});
    let (_, messages, lost) = talk(CLAUDE, &json!([user, whole, user])).unwrap();
    assert_eq!(messages[1], json!({"role": "assistant", "content": [text("Hello.")]}));
    assert!(lost.is_empty(), "{lost:?}");
    let cites = json!({"role": "assistant", "content": "Hello.", "annotations": [{"type": "url_citation"}]});
    let (_, _, lost) = talk(CLAUDE, &json!([user, cites, user])).unwrap();
    assert_eq!(lost, ["messages[1].annotations"]);
}
