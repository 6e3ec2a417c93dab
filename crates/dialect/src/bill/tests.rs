use super::*;
use crate::read_head;

fn bill(dialect: Dialect, body: &str) -> Bill {
    read_bill(dialect, body.as_bytes(), &read_head(dialect, body.as_bytes()).unwrap())
}

fn tools(dialect: Dialect, body: &str) -> Vec<ServerTool> {
    bill(dialect, body).server_tools.iter().collect()
}

#[test]
fn plain_text_is_its_members_that_reach_the_model() {
    let body = r#"{"model":"gpt-6-sol","temperature":0.5,"stream":true,"messages":[{"role":"user","content":"hi"}],"user":"u"}"#;
    let messages = r#"[{"role":"user","content":"hi"}]"#;
    let want = Bill { text_bytes: messages.len() as u64, messages: 1, ..Bill::default() };
    assert_eq!(bill(Dialect::Chat, body), want);
    let body = r#"{"model":"c","max_tokens":5,"system":"be","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#;
    let parts = r#""be"[{"role":"user","content":[{"type":"text","text":"hi"}]}]"#;
    let want = Bill { text_bytes: parts.len() as u64, messages: 1, ..Bill::default() };
    assert_eq!(bill(Dialect::Messages, body), want);
    let want = Bill { text_bytes: 9, messages: 1, ..Bill::default() };
    assert_eq!(bill(Dialect::Responses, r#"{"input":"hi","instructions":"you"}"#), want);
    let unknown = bill(Dialect::Responses, r#"{"input":"hi","client_metadata":{"a":"b"}}"#);
    assert_eq!(unknown.text_bytes, 4 + 9, "what nobody knows may be text");
}

#[test]
fn images_are_counted_by_detail_and_their_data_is_no_text() {
    let data = "A".repeat(4000);
    let chat = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}},
        {{"image_url":{{"detail":"low","url":"https://x"}},"type":"image_url"}},
        {{"type":"image_url","image_url":{{"url":"https://x","detail":"high"}}}}]}}]}}"#
    );
    let b = bill(Dialect::Chat, &chat);
    assert_eq!((b.images, b.low_images, b.high_images, b.all_images(), b.elsewhere), (1, 1, 1, 3, false));
    assert!(b.text_bytes < 400, "{b:?}");
    let twice = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x","detail":"high","detail":"low"}}]}]}"#;
    let b = bill(Dialect::Chat, twice);
    assert_eq!((b.images, b.low_images, b.high_images), (1, 0, 0), "of two details the dearer");
    let responses = format!(
        r#"{{"input":[{{"role":"user","content":[{{"type":"input_image","image_url":"data:,{data}","detail":"low"}}]}},
        {{"type":"function_call_output","call_id":"c","output":[{{"type":"input_image","file_id":"f"}}]}},
        {{"type":"computer_call_output","call_id":"c","output":{{"type":"computer_screenshot","image_url":"data:,{data}"}}}}]}}"#
    );
    let b = bill(Dialect::Responses, &responses);
    assert_eq!((b.images, b.low_images), (2, 1));
    assert!(b.text_bytes < 500, "{b:?}");
    let messages = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":[
        {{"source":{{"data":"{data}","type":"base64","media_type":"image/png"}},"t\u0079pe":"im\u0061ge"}}]}}]}}]}}"#
    );
    let b = bill(Dialect::Messages, &messages);
    assert_eq!((b.images, b.elsewhere), (1, false), "escapes hide nothing");
    assert!(b.text_bytes < 300, "{b:?}");
}

#[test]
fn what_the_body_does_not_hold_as_text_lies_elsewhere() {
    let user = |part: &str| format!(r#"[{{"role":"user","content":[{part}]}}]"#);
    let messages = |part: &str| format!(r#"{{"messages":{}}}"#, user(part));
    let input = |part: &str| format!(r#"{{"input":{}}}"#, user(part));
    let rows = [
        (Dialect::Responses, r#"{"input":"x","previous_response_id":"r"}"#.to_owned(), true),
        (Dialect::Responses, r#"{"input":"x","previous_response_id":null,"conversation":null}"#.into(), false),
        (Dialect::Responses, r#"{"input":"x","conversation":{"id":"c"}}"#.into(), true),
        (Dialect::Responses, r#"{"prompt":{"id":"p"}}"#.into(), true),
        (Dialect::Responses, r#"{"input":[{"id":"msg_1"}]}"#.into(), true),
        (Dialect::Responses, r#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#.into(), true),
        (Dialect::Responses, r#"{"input":[{"type":"reasoning","id":"rs_1","summary":[]}]}"#.into(), true),
        (
            Dialect::Responses,
            r#"{"input":[{"type":"reasoning","id":"r","encrypted_content":"g","summary":[]}]}"#.into(),
            false,
        ),
        (Dialect::Responses, r#"{"input":[{"type":"web_search_call","id":"w"}]}"#.into(), true),
        (
            Dialect::Responses,
            r#"{"input":[{"type":"function_call","id":"fc","call_id":"c","name":"f","arguments":"{}"}]}"#.into(),
            false,
        ),
        (Dialect::Responses, input(r#"{"type":"input_file","file_id":"f"}"#), true),
        (Dialect::Responses, input(r#"{"type":"input_file","file_data":"data:application/pdf;base64,AA"}"#), true),
        (Dialect::Chat, messages(r#"{"type":"file","file":{"file_id":"f"}}"#), true),
        (Dialect::Chat, messages(r#"{"type":"text","text":"x"}"#), false),
        (Dialect::Messages, messages(r#"{"type":"document","source":{"type":"base64","data":"AA"}}"#), true),
        (Dialect::Messages, messages(r#"{"type":"document","source":{"type":"url","url":"https://x"}}"#), true),
        (Dialect::Messages, messages(r#"{"type":"document","source":{"type":"text","data":"words"}}"#), false),
        (
            Dialect::Messages,
            messages(r#"{"type":"document","citations":{"enabled":true},"source":{"type":"text","data":"w"}}"#),
            true,
        ),
        (Dialect::Messages, messages(r#"{"type":"text","text":"x","citations":[{"a":1}]}"#), false),
        (Dialect::Messages, messages(r#"{"type":"container_upload","file_id":"f"}"#), true),
        (Dialect::Messages, r#"{"messages":[],"thread":"t"}"#.into(), true),
        (Dialect::Chat, messages(r#"{"type":"file","type":"text","text":"x"}"#), true),
    ];
    for (dialect, body, want) in rows {
        assert_eq!(bill(dialect, &body).elsewhere, want, "{body}");
    }
}

#[test]
fn who_runs_a_tool() {
    use ServerTool as T;
    let kinds = |dialect, list: &str| tools(dialect, &format!(r#"{{"messages":[],"input":"x","tools":[{list}]}}"#));
    let rows: &[(Dialect, &str, &[ServerTool])] = &[
        (Dialect::Chat, r#"{"type":"function","function":{"name":"f"}},{"type":"custom"}"#, &[]),
        (Dialect::Responses, r#"{"type":"web_search"},{"type":"web_search_preview_2025_03_11"}"#, &[T::WebSearch]),
        (
            Dialect::Responses,
            r#"{"type":"file_search"},{"type":"code_interpreter"}"#,
            &[T::FileSearch, T::CodeExecution],
        ),
        (
            Dialect::Responses,
            r#"{"type":"image_generation"},{"type":"mcp"},{"type":"computer_use_preview"}"#,
            &[T::ImageGeneration, T::ComputerUse, T::Mcp],
        ),
        (Dialect::Responses, r#"{"type":"shell","environment":{"type":"local"}},{"type":"apply_patch"}"#, &[]),
        (Dialect::Responses, r#"{"type":"shell","environment":{"type":"container_auto"}}"#, &[T::CodeExecution]),
        (
            Dialect::Responses,
            r#"{"type":"namespace","name":"n","tools":[{"type":"function"},{"type":"mcp"}]}"#,
            &[T::Mcp],
        ),
        (Dialect::Responses, r#"{"type":"namespace","tools":[{"type":"namespace"}]}"#, &[T::Other]),
        (
            Dialect::Messages,
            r#"{"name":"f"},{"type":"custom"},{"type":"bash_20250124"},{"type":"computer_20251124"}"#,
            &[],
        ),
        (Dialect::Messages, r#"{"type":"web_fetch_20250910"},{"type":"advisor_20260301"}"#, &[T::WebFetch, T::Advisor]),
        (
            Dialect::Messages,
            r#"{"type":"code_execution_20250825"},{"type":"tool_search_tool_bm25_20251119"}"#,
            &[T::CodeExecution, T::ToolSearch],
        ),
        (Dialect::Messages, r#"{"type":"web_se\u0061rch_20250305"}"#, &[T::WebSearch]),
        (Dialect::Messages, r#"{"type":"tomorrow_20270101"}"#, &[T::Other]),
        (Dialect::Messages, r#"{"type":7}"#, &[T::Other]),
        (Dialect::Responses, r#"{"type":"web_search","type":"function"}"#, &[T::Other]),
    ];
    for (dialect, list, want) in rows {
        assert_eq!(kinds(*dialect, list), *want, "{list}");
    }
    let counted = bill(Dialect::Messages, r#"{"messages":[],"tools":[{"name":"f"},{"type":"bash_20250124"}]}"#);
    assert_eq!((counted.tools, counted.defined_tools), (2, 1));
    let group = r#"{"input":[{"type":"additional_tools","tools":[{"type":"namespace","tools":[{"type":"function"},{"type":"function"}]}]}]}"#;
    assert_eq!(bill(Dialect::Responses, group).tools, 2);
    let rows: &[(Dialect, &str, &[ServerTool])] = &[
        (Dialect::Chat, r#"{"messages":[],"web_search_options":{"a":1}}"#, &[T::WebSearch]),
        (
            Dialect::Messages,
            r#"{"messages":[],"mcp_servers":[{}],"container":"c","fallbacks":[{"model":"m"}]}"#,
            &[T::CodeExecution, T::Mcp, T::Fallback],
        ),
        (Dialect::Messages, r#"{"messages":[],"mcp_servers":[ ],"container":null,"fallbacks":[]}"#, &[]),
        (
            Dialect::Messages,
            r#"{"messages":[],"context_management":{"edits":[{"type":"clear_thinking_20251015"}]}}"#,
            &[],
        ),
        (
            Dialect::Messages,
            r#"{"messages":[],"context_management":{"edits":[{"type":"compact_20260112"}]}}"#,
            &[T::Compaction],
        ),
    ];
    for (dialect, body, want) in rows {
        assert_eq!(tools(*dialect, body), *want, "{body}");
    }
}

#[test]
fn tiers_marks_budgets_and_media() {
    let of = |dialect, member: &str| bill(dialect, &format!(r#"{{"messages":[],{member}}}"#));
    use ServiceTier as S;
    let rows = [
        (Dialect::Chat, r#""service_tier":"auto""#, S::Auto),
        (Dialect::Chat, r#""service_tier":null"#, S::Auto),
        (Dialect::Chat, r#""service_tier":"default""#, S::Standard),
        (Dialect::Responses, r#""service_tier":"flex""#, S::Flex),
        (Dialect::Responses, r#""service_tier":"pri\u006frity""#, S::Priority),
        (Dialect::Responses, r#""service_tier":"ultrafast""#, S::Ultrafast),
        (Dialect::Chat, r#""service_tier":"tomorrow""#, S::Unknown),
        (Dialect::Messages, r#""service_tier":"auto","speed":"fast""#, S::Fast),
        (Dialect::Messages, r#""speed":"standard""#, S::Standard),
    ];
    for (dialect, member, want) in rows {
        assert_eq!(of(dialect, member).tier, want, "{member}");
    }
    use CacheMark as C;
    let block = |control: &str| format!(r#""system":[{{"type":"text","text":"x","cache_control":{control}}}]"#);
    let rows = [
        (Dialect::Messages, block("null"), C::None),
        (Dialect::Messages, block(r#"{"type":"ephemeral"}"#), C::Short),
        (Dialect::Messages, block(r#"{"type":"ephemeral","ttl":"5m"}"#), C::Short),
        (Dialect::Messages, block(r#"{"type":"ephemeral","ttl":"1h"}"#), C::Long),
        (Dialect::Messages, r#""cache_control":{"type":"ephemeral"}"#.into(), C::Short),
        (Dialect::Messages, r#""tools":[{"name":"f","cache_control":{"ttl":"1h"}}]"#.into(), C::Long),
        (Dialect::Chat, r#""prompt_cache_key":"k""#.into(), C::None),
        (Dialect::Chat, r#""prompt_cache_retention":"in_memory","prompt_cache_options":null"#.into(), C::None),
        (Dialect::Chat, r#""prompt_cache_retention":"24h""#.into(), C::Long),
        (Dialect::Responses, r#""prompt_cache_options":{"ttl":"12h"}"#.into(), C::Long),
        (Dialect::Chat, r#""x":1,"tools":[{"type":"function","prompt_cache_breakpoint":{}}]"#.into(), C::Long),
    ];
    for (dialect, member, want) in rows {
        assert_eq!(of(dialect, &member).cache, want, "{member}");
    }
    assert_eq!(of(Dialect::Messages, r#""thinking":{"type":"enabled","budget_tokens":2048}"#).thinking_tokens, 2048);
    assert!(of(Dialect::Messages, r#""inference_geo":"us""#).regional);
    assert!(!of(Dialect::Messages, r#""inference_geo":"global""#).regional);
    assert_eq!(of(Dialect::Chat, r#""prediction":{"content":"x"}"#).prediction_bytes, 15);
    for (member, want) in [
        (r#""modalities":["text"]"#, false),
        (r#""modalities":["text","audio"]"#, true),
        (r#""audio":{"voice":"x"}"#, true),
        (r#""audio":null,"modalities":null"#, false),
    ] {
        assert_eq!(of(Dialect::Chat, member).media, want, "{member}");
    }
    let said = |content: &str| bill(Dialect::Chat, &format!(r#"{{"messages":[{content}]}}"#)).media;
    assert!(said(r#"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA"}}]}"#));
    assert!(said(r#"{"role":"assistant","audio":{"id":"audio_1"}}"#));
}

#[test]
fn what_a_provider_writes_anew_may_grow() {
    let schema = |value: &str| format!(r#"{{"messages":[],"tools":[{{"x":{value}}}]}}"#);
    let bytes = |value: &str| bill(Dialect::Messages, &schema(value)).text_bytes;
    let least = bytes("0");
    assert_eq!(bytes("15") - least, 1);
    assert_eq!(bytes("1e15") - least, 3 + DIGITS);
    assert_eq!(bytes("\"é\"") - least, 3 + 4, "six bytes as an escape");
    assert_eq!(bytes("[0,0]") - least, 4 + 1);
}
