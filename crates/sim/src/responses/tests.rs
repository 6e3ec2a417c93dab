//! Requests and what they are answered with, as rows.

use serde_json::{Value, json};

use super::{answer, count, delete, stored};
use crate::answer::Answer;
use crate::answer::tests::with_ctx;
use crate::fault::Fault;
use crate::refusal::Refusal;

fn ask(body: &Value) -> Result<Answer, Refusal> {
    with_ctx(None, |ctx| answer(body, ctx))
}

fn plain(body: &Value) -> Value {
    serde_json::from_str(ask(body).unwrap().plain()).unwrap()
}

fn request(more: Value) -> Value {
    let mut body = json!({"model": "gpt-6-sol", "input": "hello there"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn weather() -> Value {
    json!([{"type": "function", "name": "get_weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}])
}

#[test]
fn refusals() {
    let call = json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "call_1", "output": "x"});
    #[rustfmt::skip]
    let rows = [
        (request(json!({"foo": 1})), "Unknown parameter: 'foo'.", Some("foo"), Some("unknown_parameter")),
        (json!({"input": "x"}), "Missing required parameter: 'model'.", Some("model"), Some("missing_required_parameter")),
        (json!({"model": "gpt-6-sol"}), "Missing required parameter: 'input'.", Some("input"), Some("missing_required_parameter")),
        (request(json!({"model": "gpt-9"})), "The requested model 'gpt-9' does not exist.", Some("model"), Some("model_not_found")),
        (request(json!({"max_output_tokens": 1})), "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.", Some("max_output_tokens"), Some("integer_below_min_value")),
        (request(json!({"previous_response_id": "resp_x"})), "Previous response with id 'resp_x' not found.", Some("previous_response_id"), Some("previous_response_not_found")),
        (request(json!({"input": [call]})), "No tool output found for function call call_1.", Some("input"), None),
        (request(json!({"input": [result]})), "No tool call found for function call output with call_id call_1.", Some("input"), None),
        (request(json!({"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]})), "Invalid value: 'output_text'. Supported values are: 'input_text', 'input_image', 'input_file', 'input_audio'.", Some("input[0].content[0].type"), Some("invalid_value")),
        (request(json!({"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "foreign"}]})), "The encrypted content for item rs_1 could not be verified. Reason: Encrypted content could not be decrypted or parsed.", None, Some("invalid_encrypted_content")),
        (request(json!({"input": [{"type": "function_call", "id": "call_9", "call_id": "c", "name": "f", "arguments": "{}"}]})), "Invalid 'input[0].id': 'call_9'. Expected an ID that begins with 'fc'.", Some("input[0].id"), Some("invalid_value")),
        (request(json!({"tools": [{"type": "function", "name": "n".repeat(65)}]})), "Invalid 'tools[0].name': string too long. Expected a string with maximum length 64, but got a string with length 65 instead.", Some("tools[0].name"), Some("string_above_max_length")),
        (request(json!({"reasoning": {"effort": "low"}, "temperature": 0.2})), "Unsupported parameter: 'temperature' is not supported with this model.", Some("temperature"), None),
        (request(json!({"temperature": 0.2})), "Unsupported parameter: 'temperature' is not supported with this model.", Some("temperature"), None),
        (request(json!({"model": "gpt-6.1-sol", "reasoning": {"effort": "none"}})), "Unsupported value: 'reasoning.effort' does not support 'none' with this model.", Some("reasoning.effort"), Some("unsupported_value")),
        (request(json!({"model": "gpt-5.4-mini", "input": "a ".repeat(400_001)})), "Your input exceeds the context window of this model. Please adjust your input and try again.", Some("input"), Some("context_length_exceeded")),
    ];
    for (body, message, param, code) in rows {
        let refusal = ask(&body).expect_err(message);
        assert_eq!(refusal.message, message);
        assert_eq!((refusal.status, refusal.kind), (400, "invalid_request_error"), "{message}");
        assert_eq!((refusal.param.as_deref(), refusal.code), (param, code), "{message}");
    }
}

#[test]
fn plain_answers() {
    let body = plain(&request(
        json!({"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}),
    ));
    assert_eq!(body["status"], "completed");
    assert_eq!(body["output"][0]["type"], "reasoning");
    assert!(body["output"][0]["summary"][0]["text"].as_str().unwrap().starts_with("Let me think"));
    assert!(body["output"][0]["encrypted_content"].is_string());
    assert_eq!(body["output"][1]["content"][0]["text"], "You said: hello there. and so the answer");
    let short = plain(&request(json!({"max_output_tokens": 16, "input": "a-b c-d e-f g-h i-j k-l m-n"})));
    assert_eq!(
        (&short["status"], &short["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    assert!(short["usage"]["output_tokens"].as_u64().unwrap() <= 16);
}

#[test]
fn tools_of_every_kind_are_called() {
    let custom = json!([{"type": "custom", "name": "patch"}]);
    let added = json!([{"type": "additional_tools", "role": "developer", "tools":
        [{"type": "namespace", "name": "crm", "description": "", "tools": weather()}]}, {"role": "user", "content": "x"}]);
    let rows = [
        (json!({"tools": weather()}), json!({"type": "function_call", "arguments": "{\"city\":\"Paris\"}"})),
        (json!({"tools": custom}), json!({"type": "custom_tool_call", "input": "sim"})),
        (json!({"input": added}), json!({"type": "function_call", "namespace": "crm", "name": "get_weather"})),
        (json!({"tools": [{"type": "web_search"}]}), json!({"type": "message"})),
    ];
    for (more, want) in rows {
        let item = plain(&request(more.clone()))["output"][0].clone();
        for (name, value) in want.as_object().unwrap() {
            assert_eq!(&item[name], value, "{more}");
        }
    }
}

#[test]
fn events_come_in_the_order_of_the_real_api() {
    let names = |more: Value| {
        let mut body = request(more);
        body["stream"] = json!(true);
        let answer = ask(&body).unwrap();
        let mut names: Vec<&str> = answer.events().iter().filter_map(|e| e.name).collect();
        names.dedup();
        for (i, event) in answer.events().iter().enumerate() {
            let data: Value = serde_json::from_str(&event.data).unwrap();
            assert_eq!((data["sequence_number"].as_u64(), data["type"].as_str()), (Some(i as u64), event.name));
        }
        assert_eq!(answer.events().iter().map(|e| e.tokens).sum::<u64>(), answer.charge.output);
        names.iter().map(|name| name.trim_start_matches("response.")).collect::<Vec<_>>().join(" ")
    };
    let message =
        "output_item.added content_part.added output_text.delta output_text.done content_part.done output_item.done";
    let call = "output_item.added function_call_arguments.delta function_call_arguments.done output_item.done";
    let thought = "output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.done \
                   reasoning_summary_part.done output_item.done";
    assert_eq!(names(json!({})), format!("created in_progress {message} completed"));
    assert_eq!(
        names(json!({"tools": weather(), "input": "twice"})),
        format!("created in_progress {call} {call} completed")
    );
    let both = names(json!({"reasoning": {"effort": "low", "summary": "auto"}}));
    assert_eq!(both, format!("created in_progress {thought} {message} completed"));
    let hidden = names(json!({"reasoning": {"effort": "low"}}));
    assert_eq!(hidden, format!("created in_progress output_item.added output_item.done {message} completed"));
    let short = names(json!({"max_output_tokens": 16, "input": "a-b c-d e-f g-h i-j k-l m-n"}));
    assert!(short.ends_with("output_item.done incomplete"), "{short}");
}

#[test]
fn stored_responses_go_on() {
    with_ctx(None, |ctx| {
        let first: Value = serde_json::from_str(answer(&request(json!({})), ctx).unwrap().plain()).unwrap();
        let id = first["id"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&stored(id, ctx).unwrap()).unwrap(), first);
        let more = request(json!({"previous_response_id": id, "input": "and more"}));
        let second: Value = serde_json::from_str(answer(&more, ctx).unwrap().plain()).unwrap();
        assert!(second["usage"]["input_tokens"].as_u64() > first["usage"]["input_tokens"].as_u64());
        let said = json!({"type": "item_reference", "id": first["output"][0]["id"]});
        let again = json!([said, {"role": "user", "content": "and more"}]);
        assert!(answer(&request(json!({"input": again})), ctx).is_ok());
        assert!(delete(id, ctx).is_ok());
        assert_eq!(stored(id, ctx).unwrap_err().status, 404);
        let unkept: Value =
            serde_json::from_str(answer(&request(json!({"store": false})), ctx).unwrap().plain()).unwrap();
        assert!(stored(unkept["id"].as_str().unwrap(), ctx).is_err());
        let lost = json!([{"type": "item_reference", "id": unkept["output"][0]["id"]}]);
        assert_eq!(answer(&request(json!({"input": lost})), ctx).unwrap_err().status, 404);
    });
}

#[test]
fn faults_of_what_an_answer_says() {
    let plain = |fault| {
        let answer = with_ctx(Some(fault), |ctx| answer(&request(json!({})), ctx)).unwrap();
        serde_json::from_str::<Value>(answer.plain()).unwrap()
    };
    let rows = [
        (Fault::Refusal, "/output/0/content/0/type", json!("refusal")),
        (Fault::ContentFilter, "/incomplete_details/reason", json!("content_filter")),
        (Fault::UnknownReason, "/incomplete_details/reason", json!("x_unknown_reason")),
        (Fault::ZeroUsage, "/usage/total_tokens", json!(0)),
        (Fault::NoUsage, "/usage", Value::Null),
        (Fault::EmptyChoices, "/output", json!([])),
    ];
    for (fault, pointer, want) in rows {
        assert_eq!(plain(fault).pointer(pointer), Some(&want), "{}", fault.name());
    }
    let names = |fault| {
        let body = request(json!({"stream": true, "tools": weather()}));
        let answer = with_ctx(Some(fault), |ctx| answer(&body, ctx)).unwrap();
        assert_eq!(answer.events().iter().map(|e| e.tokens).sum::<u64>(), answer.charge.output, "{}", fault.name());
        answer.events().iter().filter_map(|e| e.name).collect::<Vec<_>>()
    };
    assert!(!names(Fault::ArgumentsInDone).contains(&"response.function_call_arguments.delta"));
    assert!(names(Fault::ArgumentsInDone).contains(&"response.function_call_arguments.done"));
    assert_eq!(names(Fault::NoFinishReason).last(), Some(&"response.output_item.done"));
    assert!(names(Fault::Refusal).contains(&"response.refusal.delta"));
}

#[test]
fn a_count_is_what_the_answer_says_of_its_input() {
    let more = json!({"instructions": "be brief", "tools": weather(), "reasoning": {"effort": "low"}});
    let body = request(more);
    let counted = |body: &Value| with_ctx(None, |ctx| count(body, ctx));
    let count: Value = serde_json::from_str(&counted(&body).unwrap()).unwrap();
    assert_eq!(
        count,
        json!({"object": "response.input_tokens", "input_tokens": plain(&body)["usage"]["input_tokens"]})
    );
    for (more, message) in [
        (json!({"max_output_tokens": 16}), "Unknown parameter: 'max_output_tokens'."),
        (json!({"store": false}), "Unknown parameter: 'store'."),
        (json!({"model": "gpt-9"}), "The requested model 'gpt-9' does not exist."),
        (json!({"tool_choice": {"type": "function", "name": "g"}}), "Tool choice 'g' not found in 'tools' parameter."),
    ] {
        assert_eq!(counted(&request(more)).unwrap_err().message, message);
    }
}
