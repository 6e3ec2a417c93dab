use super::*;

#[test]
fn chat() {
    let body = br#"{"model":"gpt-6-sol","stream":true,"stream_options":{"include_usage":true},"max_tokens":5,
        "tools":[{"type":"function"},{}],"n":2,"response_format":{"type":"json_schema","json_schema":{}},
        "messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:"}}]},{"role":"assistant"}]}"#;
    let h = read_head(Dialect::Chat, body).unwrap();
    assert_eq!(h.model.as_deref(), Some("gpt-6-sol"));
    assert!(h.stream && h.include_usage && h.json_schema);
    assert_eq!((h.tools, h.messages, h.images, h.documents, h.max_tokens, h.n), (2, 2, 1, 0, Some(5), 2));
}

#[test]
fn messages_and_responses() {
    let body = br#"{"model":"c","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document"},{"type":"image"}]}],"output_config":{"format":{"type":"json_schema"}}}"#;
    let h = read_head(Dialect::Messages, body).unwrap();
    assert_eq!((h.images, h.documents, h.max_tokens, h.json_schema), (1, 1, Some(9), true));
    let h =
        read_head(Dialect::Responses, br#"{"input":"hi","max_output_tokens":7,"previous_response_id":"r"}"#).unwrap();
    assert_eq!((h.messages, h.max_tokens, h.stateful, h.model), (1, Some(7), true, None));
    let both = br#"{"input":"hi","previous_response_id":"r","conversation":null}"#;
    assert!(read_head(Dialect::Responses, both).unwrap().stateful);
    for (thread, goes_on) in [
        (r#"{"type":"continue","previous_message_id":"m"}"#, true),
        (r#"{"previous_message_id":"m"}"#, true),
        (r#"{"type":"create"}"#, false),
        ("null", false),
    ] {
        let body = format!(r#"{{"messages":[],"thread":{thread}}}"#);
        assert_eq!(read_head(Dialect::Messages, body.as_bytes()).unwrap().stateful, goes_on, "{thread}");
    }
}

#[test]
fn what_is_not_said_has_its_default() {
    let nothing = Head { n: 1, ..Head::default() };
    let null = br#"{"model":null,"stream":null,"n":null,"tools":null,"messages":[],"response_format":null}"#;
    for body in [&b"{\"messages\":[]}"[..], null] {
        let mut h = read_head(Dialect::Chat, body).unwrap();
        h.spots = Spots::default();
        h.noted = Noted::default();
        assert_eq!(h, nothing);
    }
    let h = read_head(Dialect::Chat, br#"{"tools":{"a":1,"b":2},"messages":[]}"#).unwrap();
    assert_eq!(h.tools, 0, "no list, no tools");
    let body = br#"{"system":[{"type":"image"}],"messages":[],"output_format":{"type":"json_schema"}}"#;
    let h = read_head(Dialect::Messages, body).unwrap();
    assert_eq!((h.images, h.json_schema), (1, true));
}

#[test]
fn limits() {
    let rows: &[(Dialect, &str, Option<u64>)] = &[
        (Dialect::Chat, r#"{"max_tokens":5,"max_completion_tokens":7}"#, Some(7)),
        (Dialect::Chat, r#"{"max_completion_tokens":7,"max_tokens":5}"#, Some(7)),
        (Dialect::Chat, r#"{"max_completion_tokens":null,"max_tokens":5}"#, Some(5)),
        (Dialect::Chat, r#"{"max_tokens":1e1}"#, Some(10)),
        (Dialect::Messages, r#"{"max_tokens":10.0}"#, Some(10)),
        (Dialect::Responses, r#"{"max_output_tokens":null}"#, None),
        (Dialect::Responses, r#"{"max_tokens":"not ours to read"}"#, None),
    ];
    for (d, body, want) in rows {
        assert_eq!(read_head(*d, body.as_bytes()).unwrap().max_tokens, *want, "{body}");
    }
}

#[test]
fn media_are_counted_by_the_dialects_own_names() {
    let source = br#"{"messages":[{"content":[{"type":"image","source":{"type":"file","file_id":"f"}},{"type":"text","text":"\"type\":\"image\""}]}]}"#;
    let h = read_head(Dialect::Messages, source).unwrap();
    assert_eq!((h.images, h.documents), (1, 0));
}

#[test]
fn refusals_name_the_member() {
    let rows: &[(&str, &str)] = &[
        ("[]", "the body must be a JSON object"),
        ("{", "the body is not valid JSON at byte 1"),
        (r#"{"model":"a","mod\u0065l":"b"}"#, "member `model` stands more than once; send it once"),
        (r#"{"b":1,"b":2,"a":1,"a":2}"#, "member `b` stands more than once; send it once"),
        (r#"{"model":1}"#, "member `model` must be a string"),
        (r#"{"stream":"yes"}"#, "member `stream` must be true or false"),
        (r#"{"messages":"x"}"#, "member `messages` must be an array"),
        (r#"{"max_tokens":"5"}"#, "member `max_tokens` must be a whole number"),
        (r#"{"max_tokens":1.5}"#, "member `max_tokens` must be a whole number"),
        (r#"{"max_completion_tokens":-1}"#, "member `max_completion_tokens` must be a whole number"),
        (r#"{"n":[1]}"#, "member `n` must be a whole number"),
    ];
    for (body, want) in rows {
        assert_eq!(read_head(Dialect::Chat, body.as_bytes()).unwrap_err().to_string(), *want, "{body}");
    }
    let many: String = (0..100).map(|i| format!("\"k{i}\":0,")).collect();
    assert_eq!(read_head(Dialect::Chat, format!("{{{many}\"k7\":1}}").as_bytes()), Err(BadBody::Repeated("k7".into())));
}
