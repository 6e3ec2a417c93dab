//! Responses that are made later: the object that stands for one until it is there, and the answer under another id.

use bytes::Bytes;
use serde_json::json;

use crate::{
    edit::quoted,
    json::{self, Span},
    responses,
};

/// Members of a request that its response repeats, with what stands where the request says nothing. The official SDKs
/// demand those up to `tools` (openai-python 3.57, `types/responses/response.py`).
pub(crate) const REPEATED: [(&str, &str); 19] = [
    ("model", "\"\""),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", "{\"effort\":null,\"summary\":null}"),
    ("safety_identifier", "null"),
    ("service_tier", "\"auto\""),
    ("temperature", "null"),
    ("text", "{\"format\":{\"type\":\"text\"}}"),
    ("top_logprobs", "null"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// What a Responses request asks of state, beside the members of its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// The response that it continues.
    pub previous_response: Option<String>,
}

/// Reads [`Linked`] of a checked body.
#[must_use]
pub fn read_linked(body: &[u8]) -> Linked {
    let mut linked = Linked::default();
    each(body, |name, value| {
        if name == b"previous_response_id" && value.len() > 1 && value.starts_with(b"\"") {
            linked.previous_response = Some(json::unescape(&value[1..value.len() - 1]).into_owned());
        }
    });
    linked
}

/// The response to `body`, a checked request, before there is one: `queued`, in the background. `created`: seconds
/// since 1970.
#[must_use]
pub fn pending_response(body: &[u8], id: &str, created: u64) -> Bytes {
    let mut said: [Option<&[u8]>; REPEATED.len()] = [None; REPEATED.len()];
    each(body, |name, value| {
        if let Some(i) = REPEATED.iter().position(|(n, _)| n.as_bytes() == name)
            && value != b"null"
        {
            said[i] = Some(value);
        }
    });
    let head = json!({
        "id": id, "object": "response", "created_at": created, "status": "queued", "background": true, "error": null,
        "incomplete_details": null, "output": [], "usage": null,
    });
    let mut out = head.to_string().into_bytes();
    out.pop();
    for ((name, default), said) in REPEATED.iter().zip(said) {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        out.extend_from_slice(said.unwrap_or(default.as_bytes()));
    }
    out.push(b'}');
    out.into()
}

/// A provider's response as the one that was promised under `id`.
#[must_use]
pub fn adopt_response(answer: &[u8], id: &str) -> Bytes {
    set(answer, &[("id", &quoted(id)), ("background", "true")])
}

/// The pending response `object` in another state, none that failed.
#[must_use]
pub fn restate_response(object: &[u8], status: &str) -> Bytes {
    set(object, &[("status", &quoted(status)), ("error", "null")])
}

/// The pending response `object` failed, with the words of what went wrong; `http` is the status that it would have had.
#[must_use]
pub fn fail_response(object: &[u8], http: u16, message: &str) -> Bytes {
    let error = json!({"code": responses::code_of(http), "message": message}).to_string();
    set(object, &[("status", "\"failed\""), ("error", &error)])
}

/// The object with these members set: in their places, or first where they have none.
fn set(object: &[u8], members: &[(&str, &str)]) -> Bytes {
    let mut places: Vec<(Span, usize)> = vec![];
    let _ = json::members(object, |m, scan| {
        let start = scan.at();
        scan.skip(&mut ())?;
        if let Some(i) = members.iter().position(|(n, _)| n.as_bytes() == &*m.name) {
            places.push((start..scan.at(), i));
        }
        Ok(())
    });
    let Some(open) = memchr::memchr(b'{', object) else { return Bytes::copy_from_slice(object) };
    let empty = object[open + 1..].trim_ascii_start().starts_with(b"}");
    let mut out = Vec::with_capacity(object.len() + 128);
    out.extend_from_slice(&object[..=open]);
    let missing = members.iter().enumerate().filter(|(i, _)| places.iter().all(|(_, p)| p != i));
    let fresh: Vec<String> = missing.map(|(_, (name, value))| format!("\"{name}\":{value}")).collect();
    out.extend_from_slice(fresh.join(",").as_bytes());
    if !empty && !fresh.is_empty() {
        out.push(b',');
    }
    let mut from = open + 1;
    for (span, i) in places {
        out.extend_from_slice(&object[from..span.start]);
        out.extend_from_slice(members[i].1.as_bytes());
        from = span.end;
    }
    out.extend_from_slice(&object[from..]);
    out.into()
}

/// The members of an object: name and raw value; none of a text that is no object.
fn each<'a>(text: &'a [u8], mut told: impl FnMut(&[u8], &'a [u8])) {
    let _ = json::members(text, |m, scan| {
        let start = scan.at();
        scan.skip(&mut ())?;
        told(&m.name, &text[start..scan.at()]);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(text: &[u8]) -> Value {
        serde_json::from_slice(text).unwrap()
    }

    #[test]
    fn a_pending_response_repeats_the_request_and_has_what_sdks_demand() {
        let body =
            br#"{"model":"gpt-6-sol","input":"secret","tools":[{"type":"function","name":"f"}],"temperature":null,"store":true}"#;
        let object = read(&pending_response(body, "resp_1", 7));
        for (member, want) in [
            ("id", json!("resp_1")),
            ("object", json!("response")),
            ("created_at", json!(7)),
            ("status", json!("queued")),
            ("background", json!(true)),
            ("model", json!("gpt-6-sol")),
            ("output", json!([])),
            ("parallel_tool_calls", json!(true)),
            ("tool_choice", json!("auto")),
            ("tools", json!([{"type": "function", "name": "f"}])),
            ("temperature", Value::Null),
            ("error", Value::Null),
        ] {
            assert_eq!(object.get(member), Some(&want), "{member}");
        }
        assert!(object.get("input").is_none(), "the prompt is not repeated");
        assert_eq!(read(&pending_response(b"{}", "resp_1", 7))["model"], "");
    }

    #[test]
    fn a_state_and_an_error_are_told_in_place() {
        let object = pending_response(br#"{"model":"m"}"#, "resp_1", 7);
        for (http, code) in [(429, "rate_limit_exceeded"), (400, "invalid_prompt"), (504, "server_error")] {
            let failed = read(&fail_response(&object, http, "too \"late\""));
            assert_eq!((&failed["status"], &failed["id"]), (&json!("failed"), &json!("resp_1")));
            assert_eq!(failed["error"], json!({"code": code, "message": "too \"late\""}));
        }
        assert_eq!(restate_response(&object, "queued"), object, "nothing else is touched");
    }

    #[test]
    fn an_answer_comes_under_the_promised_id() {
        let rows = [
            (r#"{"id":"resp_a","x": 1.0}"#, r#"{"background":true,"id":"resp_1","x": 1.0}"#),
            (
                r#" {"output":[{"id":"b"}],"background":false,"id":"resp_a"}"#,
                r#" {"output":[{"id":"b"}],"background":true,"id":"resp_1"}"#,
            ),
            ("{}", r#"{"id":"resp_1","background":true}"#),
            ("[]", "[]"),
        ];
        for (answer, want) in rows {
            assert_eq!(adopt_response(answer.as_bytes(), "resp_1"), want, "{answer}");
        }
    }

    #[test]
    fn the_response_that_is_continued() {
        let rows = [
            (r#"{"previous_response_id":"resp_\u0061"}"#, Some("resp_a")),
            (r#"{"previous_response_id":null}"#, None),
            (r#"{"x":{"previous_response_id":"resp_a"}}"#, None),
        ];
        for (body, want) in rows {
            assert_eq!(read_linked(body.as_bytes()).previous_response.as_deref(), want, "{body}");
        }
    }

    proptest! {
        /// Foreign bytes never panic; of an object, only the members that are set change.
        #[test]
        fn setting_changes_nothing_else(text in "[ -~]{0,40}", rest in prop::collection::btree_map("[a-z]{3,6}", any::<i32>(), 0..4)) {
            let _ = (adopt_response(text.as_bytes(), "i"), pending_response(text.as_bytes(), "i", 1), read_linked(text.as_bytes()));
            let before = json!(rest);
            let mut after = read(&adopt_response(before.to_string().as_bytes(), "i"));
            prop_assert_eq!(after["id"].take(), "i");
            for (name, value) in &rest {
                prop_assert_eq!(&after[name], *value);
            }
        }
    }
}
