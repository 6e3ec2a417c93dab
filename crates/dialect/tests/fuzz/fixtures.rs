//! Real shapes of what callers and providers send, by dialect.

use dialect::Dialect;

/// Of three lists, `dialect`'s own three times as often as the others': a parser also meets what was meant for another.
fn own_first(
    dialect: Dialect,
    chat: &[&'static str],
    responses: &[&'static str],
    messages: &[&'static str],
) -> Vec<&'static str> {
    let own = match dialect {
        Dialect::Chat => chat,
        Dialect::Responses => responses,
        Dialect::Messages => messages,
    };
    [own, own, chat, responses, messages].concat()
}

pub fn requests(dialect: Dialect) -> Vec<&'static str> {
    own_first(
        dialect,
        &[CHAT, CHAT_TOOLS, CHAT_ODD],
        &[RESPONSES, RESPONSES_TOOLS, RESPONSES_GROUPS],
        &[MESSAGES, MESSAGES_TOOLS, MESSAGES_ODD, MESSAGES_SEALED],
    )
}

/// Those with thoughts that came through a translation.
pub fn sealed(dialect: Dialect) -> Vec<&'static str> {
    match dialect {
        Dialect::Chat => vec![CHAT],
        Dialect::Responses => vec![RESPONSES_TOOLS, RESPONSES_GROUPS],
        Dialect::Messages => vec![MESSAGES_SEALED, MESSAGES_TOOLS],
    }
}

/// Answers to questions for a count of tokens.
pub const COUNTS: [&str; 3] =
    [r#"{"object":"response.input_tokens","input_tokens":11}"#, r#"{"input_tokens":2095}"#, MESSAGES_ERROR];

pub fn answers(dialect: Dialect) -> Vec<&'static str> {
    let chat = [CHAT_ANSWER, CHAT_CALLS, CHAT_JSON, CHAT_ERROR];
    own_first(
        dialect,
        &chat,
        &[RESPONSES_ANSWER, RESPONSES_CALLS, RESPONSES_JSON],
        &[MESSAGES_ANSWER, MESSAGES_CALLS, MESSAGES_JSON, MESSAGES_ERROR],
    )
}

pub fn errors(dialect: Dialect) -> Vec<&'static str> {
    let chat = [CHAT_ERROR, CREDIT_ERROR, r#"{"error":"words"}"#, r#"{"message":"Not Found","code":404}"#];
    own_first(dialect, &chat, &[FAILED], &[MESSAGES_ERROR, MESSAGES_CREDIT])
}

pub fn streams(dialect: Dialect) -> Vec<&'static str> {
    let chat = [CHAT_STREAM, CHAT_CALL_STREAM, CHAT_JSON_STREAM, CHAT_BROKEN];
    own_first(
        dialect,
        &chat,
        &[RESPONSES_STREAM, RESPONSES_CALL_STREAM, RESPONSES_JSON_STREAM, RESPONSES_BROKEN],
        &[MESSAGES_STREAM, MESSAGES_CALL_STREAM, MESSAGES_JSON_STREAM, MESSAGES_BROKEN],
    )
}

pub fn bodies() -> Vec<&'static str> {
    let of = |d| [requests(d), answers(d), errors(d)].concat();
    [of(Dialect::Chat), of(Dialect::Responses), of(Dialect::Messages)].concat()
}

const CHAT: &str = r#"{"model":"gpt-6-sol","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Say \"hi\"\n\u00e9"}],"temperature":0.2,"top_p":0.9,"stop":["END"],"max_completion_tokens":256,"stream":true,"stream_options":{"include_usage":true},"user":"u1","seed":7,"n":1}"#;
const CHAT_TOOLS: &str = r#"{"model":"gpt-6-sol","tools":[{"type":"function","function":{"name":"get_weather","description":"Weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]},"strict":true}},{"type":"function","function":{"name":"a_very_long_tool_name_that_goes_on_and_on_until_it_is_longer_than_sixty_four"}}],"tool_choice":"required","parallel_tool_calls":false,"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Paris\"}"}},{"id":"call_2","type":"function","function":{"name":"get_weather","arguments":""}}]},{"role":"tool","tool_call_id":"call_2","content":"rain"},{"role":"tool","tool_call_id":"call_1","content":[{"type":"text","text":"sun"}]}]}"#;
const CHAT_ODD: &str = r#"{"model":"gpt-4o","max_tokens":9,"reasoning_effort":"high","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}},"messages":[{"role":"developer","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]},{"role":"assistant","content":"Welcome."},{"role":"user","name":"bob","content":[{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}}]},{"role":"system","content":"be kind"},{"role":"user","content":"go"}],"metadata":{"a":"b"},"service_tier":"flex"}"#;
const MESSAGES: &str = r#"{"model":"claude-sonnet-5-5","max_tokens":1024,"system":"Be brief.","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"hello"}]},{"role":"user","content":[{"type":"text","text":"bye","cache_control":{"type":"ephemeral","ttl":"1h"}}]}],"temperature":0.5,"top_k":40,"stop_sequences":["a","b","c","d","e"],"metadata":{"user_id":"u"},"stream":true}"#;
const MESSAGES_TOOLS: &str = r#"{"model":"claude-opus-5","max_tokens":4096,"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"x":{"type":"integer"}}},"cache_control":{"type":"ephemeral"}},{"type":"web_search_20250305","name":"web_search"},{"name":"mcp__server__a_very_long_tool_name_that_goes_on_and_on_until_longer_than_64","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},"thinking":{"type":"enabled","budget_tokens":2048},"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"text","text":"Looking."},{"type":"tool_use","id":"toolu_1","name":"f","input":{"x":1}},{"type":"tool_use","id":"toolu_2","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"1"},{"type":"tool_result","tool_use_id":"toolu_2","is_error":true,"content":[{"type":"text","text":"no"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]},{"type":"text","text":"and?"}]}]}"#;
const MESSAGES_ODD: &str = r#"{"model":"claude-haiku-5-5","max_tokens":50,"system":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}],"output_config":{"effort":"max","format":{"type":"json_schema","schema":{"type":"object","properties":{}}}},"service_tier":"auto","mcp_servers":[],"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="},"title":"t","citations":{"enabled":true}},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"plain"}},{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}},{"type":"search_result","source":"s","title":"t","content":[]}]},{"role":"system","content":"be kind"},{"role":"assistant","content":"So"}]}"#;
const RESPONSES: &str = r#"{"model":"gpt-6-sol","instructions":"Be brief.","input":[{"role":"user","content":[{"type":"input_text","text":"hi"},{"type":"input_image","image_url":"data:image/png;base64,AA"},{"type":"input_file","file_id":"f"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"x"}],"max_output_tokens":64,"previous_response_id":"resp_1","text":{"format":{"type":"json_schema","name":"n","schema":{}}},"stream":false,"tools":[{"type":"function","name":"f","parameters":{}}]}"#;
const RESPONSES_TOOLS: &str = r#"{"model":"gpt-6-sol","instructions":"Be brief.","store":false,"reasoning":{"effort":"low","summary":"auto"},"include":["reasoning.encrypted_content"],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]},"parallel_tool_calls":false,"input":[{"role":"developer","content":"d"},{"role":"user","content":"go"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"llmroute:p:s:SIG"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Looking.","annotations":[]},{"type":"refusal","refusal":"no"}]},{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"x\":1}"},{"type":"custom_tool_call","call_id":"call_2","name":"patch","input":"*** x"},{"type":"custom_tool_call_output","call_id":"call_2","output":"ok"},{"type":"function_call_output","call_id":"call_1","output":[{"type":"input_text","text":"1"},{"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgo=","detail":"high"}]},{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}]}],"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}},"strict":true},{"type":"custom","name":"patch"},{"type":"web_search"}],"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}},"verbosity":"low"}}"#;
const RESPONSES_GROUPS: &str = r#"{"model":"gpt-6-sol","stream":true,"input":[{"type":"message","role":"user","content":"hi"},{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"late","parameters":{"type":"object","properties":{}}}]},{"type":"reasoning","id":"rs_llmroute_1","summary":[],"encrypted_content":"llmroute:p:r:DATA"},{"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"llmroute:other:s:SIG"},{"type":"function_call","call_id":"call_1","name":"spawn","namespace":"agents","arguments":"{}"},{"type":"function_call_output","call_id":"call_1","output":"ok"},{"role":"user","content":"go on"}],"tools":[{"type":"namespace","name":"agents","description":"d","tools":[{"type":"function","name":"spawn","parameters":{"type":"object","properties":{}}},{"type":"custom","name":"note"}]}],"tool_choice":"auto","reasoning":{"effort":"high"},"include":["reasoning.encrypted_content"]}"#;
const MESSAGES_SEALED: &str = r#"{"model":"claude-opus-5-5","max_tokens":2048,"thinking":{"type":"enabled","budget_tokens":1024},"tools":[{"name":"f","input_schema":{"type":"object"}}],"messages":[{"role":"user","content":"go"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"llmroute:p:e:rs_1:ENC"},{"type":"redacted_thinking","data":"llmroute:p:e:rs_2:ENC"},{"type":"thinking","thinking":"","signature":"llmroute:other:n:"},{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"1"}]}],"output_config":{"effort":"high"}}"#;

const CHAT_ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-6-sol","choices":[{"index":0,"message":{"role":"assistant","content":"Hello \"you\"","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}},"service_tier":"default"}"#;
const CHAT_CALLS: &str = r#"{"id":"chatcmpl-2","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":[1,2]}"}},{"id":"call_2","type":"function","function":{"name":"g","arguments":""}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
const MESSAGES_ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"Hello"}],"stop_reason":"stop_sequence","stop_sequence":"END","usage":{"input_tokens":10,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":1},"output_tokens":5,"service_tier":"standard","speed":"fast"}}"#;
const MESSAGES_CALLS: &str = r#"{"id":"msg_2","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Looking."},{"type":"tool_use","id":"toolu_1","name":"f","input":{"x":1}},{"type":"tool_use","id":"toolu_2","name":"g","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;
const RESPONSES_CALLS: &str = r#"{"id":"resp_2","object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"model":"m","output":[{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"ENC"},{"type":"message","content":[{"type":"output_text","text":"a"},{"type":"refusal","refusal":"no"}]},{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"x\":1}"},{"type":"custom_tool_call","call_id":"call_2","name":"g","input":"x"},{"type":"web_search_call","id":"ws_1"}],"usage":{"input_tokens":1,"output_tokens":1}}"#;
const RESPONSES_ANSWER: &str = r#"{"id":"resp_1","object":"response","status":"completed","error":null,"model":"gpt-6-sol","output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5},"service_tier":"default"}"#;
const CHAT_JSON: &str = r#"{"id":"chatcmpl-3","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Here:","tool_calls":[{"id":"call_1","type":"function","function":{"name":"json_answer","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
const MESSAGES_JSON: &str = r#"{"id":"msg_3","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Here:"},{"type":"tool_use","id":"toolu_1","name":"json_answer","input":{"a":1}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;
const RESPONSES_JSON: &str = r#"{"id":"resp_3","object":"response","status":"completed","model":"m","output":[{"type":"function_call","id":"fc_1","call_id":"call_1","name":"json_answer","arguments":"{\"a\":1}"}],"usage":{"input_tokens":3,"output_tokens":2}}"#;

const CHAT_ERROR: &str =
    r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
const CREDIT_ERROR: &str =
    r#"{"error":{"message":"no credit","type":"insufficient_quota","param":null,"code":"credit_balance_exhausted"}}"#;
const MESSAGES_ERROR: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum","details":{"error_code":"x"}},"request_id":"req_1"}"#;
const MESSAGES_CREDIT: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."},"request_id":"req_2"}"#;
const FAILED: &str = r#"{"type":"response.failed","sequence_number":3,"response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"m"}}}"#;

const CHAT_STREAM: &str = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hel\"lo"},"finish_reason":null}],"usage":null}

: keep-alive

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"refusal":"no"},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1}}

data: [DONE]

"#;
const CHAT_CALL_STREAM: &str = r#"data: {"id":"chatcmpl-2","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}}]}

data: {"id":"chatcmpl-2","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]}

data: {"id":"chatcmpl-2","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]}}]}

data: {"id":"chatcmpl-2","choices":[{"index":0,"delta":{"content":"text"}}]}

data: {"id":"chatcmpl-2","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}

data: {"id":"chatcmpl-2","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"#;
const MESSAGES_STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_read_input_tokens":2,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}

event: message_stop
data: {"type":"message_stop"}

"#;
const MESSAGES_CALL_STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_2","model":"m","usage":{"input_tokens":10,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_2","name":"g","input":{}}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":9}}

event: message_stop
data: {"type":"message_stop"}

"#;
const RESPONSES_STREAM: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1"}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hi"}

event: response.completed
data: {"type":"response.completed","sequence_number":3,"response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":3,"output_tokens":2},"service_tier":"default"}}

"#;
const CHAT_BROKEN: &str = r#"data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}

data: {"error":{"message":"oops","type":"server_error","code":null}}

"#;
const MESSAGES_BROKEN: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"m","model":"m","usage":{}}}

event: error
data: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}

"#;
const RESPONSES_CALL_STREAM: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_2","model":"m","status":"in_progress","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[]}}

event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"hm"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"ENC"}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":""}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"input\":"}

event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","output_index":1,"arguments":"{\"input\":\"x\"}"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"input\":\"x\"}"}}

event: response.refusal.delta
data: {"type":"response.refusal.delta","output_index":2,"content_index":0,"delta":"no"}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_2","status":"completed","output":[],"usage":{"input_tokens":3,"output_tokens":2}}}

"#;

const CHAT_JSON_STREAM: &str = r#"data: {"id":"chatcmpl-3","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"json_answer","arguments":""}}]}}]}

data: {"id":"chatcmpl-3","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]}

data: {"id":"chatcmpl-3","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}

data: {"id":"chatcmpl-3","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

"#;
const MESSAGES_JSON_STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_3","model":"m","usage":{"input_tokens":10,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"json_answer","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"1}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":9}}

event: message_stop
data: {"type":"message_stop"}

"#;
const RESPONSES_JSON_STREAM: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_3","model":"m","status":"in_progress","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"json_answer","arguments":""}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"a\":1}"}

event: response.function_call_arguments.done
data: {"type":"response.function_call_arguments.done","output_index":0,"arguments":"{\"a\":1}"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"json_answer","arguments":"{\"a\":1}"}}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_3","status":"completed","output":[],"usage":{"input_tokens":3,"output_tokens":2}}}

"#;
const RESPONSES_BROKEN: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_4","model":"m","status":"in_progress","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"type":"custom_tool_call","id":"ctc_1","call_id":"call_1","name":"f","input":""}}

event: response.custom_tool_call_input.delta
data: {"type":"response.custom_tool_call_input.delta","output_index":0,"item_id":"ctc_1","delta":"x"}

event: response.failed
data: {"type":"response.failed","sequence_number":3,"response":{"id":"resp_4","status":"failed","error":{"code":"server_error","message":"m"}}}

"#;
