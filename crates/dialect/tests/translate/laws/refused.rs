//! A refusal names the member at fault and never what stands in it.

use dialect::Dialect;
use serde_json::{Value, json};

use super::open;
use crate::{pairs, translate};

const SECRET: &str = "hunter2";

/// Bodies that no format takes.
fn bodies(caller: Dialect) -> Vec<Value> {
    let tool = json!({"role": "tool", "tool_call_id": SECRET, "content": SECRET});
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    match caller {
        Dialect::Chat => vec![
            json!({"messages": [{"role": SECRET, "content": SECRET}]}),
            user(json!({"type": "image_url", "image_url": {"url": SECRET}})),
            user(json!({"type": "input_audio", "input_audio": {"data": SECRET}})),
            json!({"messages": [{"role": "user", "content": SECRET}, tool]}),
            json!({"messages": SECRET}),
            json!({"messages": [{"role": "user", "content": 7}], "x": SECRET}),
            json!({"messages": [], "tools": [{"type": SECRET}]}),
        ],
        Dialect::Messages => vec![
            json!({"messages": [{"role": SECRET, "content": SECRET}]}),
            user(json!({"type": "image", "source": {"type": "url", "url": SECRET}})),
            user(json!({"type": "tool_result", "tool_use_id": SECRET, "content": SECRET})),
            json!({"messages": SECRET}),
            json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": SECRET, "name": SECRET}]}]}),
            json!({"messages": [], "tools": [{"description": SECRET}]}),
        ],
        Dialect::Responses => vec![
            json!({"input": 7, "x": SECRET}),
            json!({"input": [{"role": SECRET, "content": SECRET}]}),
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": SECRET}]}]}),
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": SECRET}]}]}),
            json!({"input": [{"type": "function_call_output", "call_id": SECRET, "output": SECRET}]}),
            json!({"input": "hi", "previous_response_id": SECRET}),
        ],
    }
}

#[test]
fn no_refusal_holds_text_of_the_body() {
    for (caller, provider) in pairs() {
        for mut body in bodies(caller) {
            body["model"] = "m".into();
            let done = translate(caller, provider, &body, &open());
            let why = done.expect_err(&body.to_string()).to_string();
            assert!(!why.contains(SECRET), "{why}");
        }
    }
}
