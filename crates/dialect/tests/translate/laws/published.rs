//! What the vendors publish arrives, or is listed, or is refused by its name: every member of requests made by their
//! schemas.

use std::collections::BTreeSet;

use dialect::{Dialect, TargetModel, Thinks, Translated};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    any_arrow, any_target,
    lost::{LABELS, Marks, tells},
    schemas::{Maker, members},
};
use crate::{DIALECTS, cases::Arrow, translate};

/// Where in a body a path leads.
fn pointer(path: &str) -> String {
    format!("/{}", path.replace('[', "/").replace(']', "").replace('.', "/"))
}

/// Takes out the value that `path` names, or the nearest one above it; false where that is the whole conversation.
fn take_out(body: &mut Value, path: &str) -> bool {
    let mut at = pointer(path);
    while body.pointer(&at).is_none() {
        at.truncate(at.rfind('/').unwrap_or(0));
    }
    let Some((above, last)) = at.rsplit_once('/') else { return false };
    match body.pointer_mut(above) {
        Some(Value::Array(list)) => drop(list.remove(last.parse().unwrap())),
        Some(Value::Object(map)) => drop(map.shift_remove(last)),
        _ => return false,
    }
    !["/messages", "/input"].contains(&at.as_str())
}

/// A request with marks, without what is refused, and its translation; nothing if all of it is.
fn accepted(arrow: Arrow, to: &TargetModel<'_>, seed: u64) -> Option<(Value, Marks, Translated)> {
    let mut body = Maker::new(arrow.0, seed).request(arrow.0);
    let mut given = Marks::default();
    given.mark("", &mut body, &mut || false);
    loop {
        match translate(arrow.0, arrow.1, &body, to) {
            Ok(done) => {
                let mut marks = Marks::default();
                marks.look_up("", &body, &given);
                return Some((body, marks, done));
            }
            Err(why) => take_out(&mut body, &why.member).then_some(())?,
        }
    }
}

/// Paths of all members, at any depth.
fn paths(under: &str, v: &Value, out: &mut Vec<String>) {
    match v {
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| paths(&format!("{under}[{i}]"), v, out)),
        Value::Object(map) => map.iter().for_each(|(k, v)| {
            let path = if under.is_empty() { k.clone() } else { format!("{under}.{k}") };
            out.push(path.clone());
            paths(&path, v, out);
        }),
        _ => {}
    }
}

/// Whether there is a tool that the caller runs.
fn offers(holder: &Value) -> bool {
    let is_own = |tool: &Value| {
        let is_called = ["function", "custom"].iter().any(|kind| tool["type"] == *kind);
        is_called || tool["input_schema"].is_object() || tool["type"] == "namespace" && offers(tool)
    };
    holder["tools"].as_array().is_some_and(|tools| tools.iter().any(is_own))
}

/// Names of things within one provider's keeping, what says twice what is said elsewhere, and what depends on something
/// that is not there: where there is no place for them nothing is lost.
fn is_label(arrow: Arrow, to: &TargetModel<'_>, path: &str, body: &Value) -> bool {
    let above = pointer(path).rsplit_once('/').map(|(above, _)| above.to_owned()).unwrap_or_default();
    let holder = body.pointer(&above).unwrap_or(&Value::Null);
    let is_item = above.starts_with("/input/") && above.matches('/').count() == 2;
    let is_output = holder["type"].as_str().is_some_and(|kind| kind.ends_with("_output"));
    let name = path.rsplit('.').next().unwrap_or_default();
    let added = body["input"].as_array().into_iter().flatten().filter(|item| item["type"] == "additional_tools");
    let has_tools = added.chain([body]).any(offers);
    let is_narrowed = body["tool_choice"]["type"] == "allowed_tools";
    match name {
        _ if LABELS.contains(&path) => true,
        "model" | "type" | "media_type" => true,
        "id" | "status" => is_item,
        "role" => holder["type"] == "additional_tools",
        "name" | "namespace" if is_output => true,
        // A schema always binds there, and the arguments of a tool that stands in for one.
        "strict" if path.contains("format") => arrow.1 == Dialect::Messages || !to.capability.schema,
        // What may not be called is not offered.
        _ if path.starts_with("tools") || path.contains(".tools[") => is_narrowed && !path.starts_with("tool_choice"),
        "parallel_tool_calls" if body["tool_choice"] == "none" => true,
        "parallel_tool_calls" | "disable_parallel_tool_use" | "tool_choice" => !has_tools || is_narrowed,
        "include_usage" | "stream_options" => body["stream"] != true,
        // A model that does not think has nothing to sum up.
        "summary" | "generate_summary" | "reasoning" => arrow == (Dialect::Responses, Dialect::Messages),
        _ => false,
    }
}

/// Whether a member says no more than its absence.
fn says_nothing(name: &str, v: &Value) -> bool {
    let defaults = match name {
        "detail" | "context" => json!(["auto"]),
        "service_tier" => json!(["auto", "default", "standard_only"]),
        "reasoning_effort" | "effort" => json!(["none"]),
        "tool_choice" => json!(["auto"]),
        "truncation" => json!(["disabled"]),
        "mode" => json!(["standard", "auto"]),
        "speed" => json!(["standard"]),
        "modalities" => json!([["text"]]),
        "parallel_tool_calls" => json!([true]),
        "caller" => json!([{"type": "direct"}]),
        "format" | "response_format" => json!([{"type": "text"}]),
        "thinking" => json!([{"type": "disabled"}, {"type": "between_tools"}]),
        "strict"
        | "stream"
        | "store"
        | "background"
        | "logprobs"
        | "async"
        | "defer_loading"
        | "is_error"
        | "enabled"
        | "eager_input_streaming"
        | "include_obfuscation"
        | "disable_parallel_tool_use" => json!([false]),
        _ => json!([]),
    };
    match v {
        Value::Null => true,
        _ if defaults.as_array().unwrap().contains(v) => true,
        Value::Array(list) => list.iter().all(|v| says_nothing("", v)),
        Value::Object(map) => map.iter().all(|(k, v)| says_nothing(k, v) || k == "role" || k == "type" && v == "auto"),
        _ => false,
    }
}

/// A model that thinks by effort decides for itself how much it thinks, as `adaptive` asks; and a budget asks for an
/// effort, perhaps for the one that stands beside it.
fn is_so_anyway(to: &TargetModel<'_>, path: &str, body: &Value) -> bool {
    let thinking = &body["thinking"];
    match path {
        "thinking" => thinking["type"] == "adaptive" && to.capability.thinks == Thinks::Effort,
        "output_config" | "output_config.effort" => thinking["budget_tokens"].is_u64(),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn t13_every_published_member_arrives_or_is_listed_or_refused(arrow in any_arrow(), to in any_target(), seed: u64) {
        let made = accepted(arrow, &to, seed);
        prop_assume!(made.is_some());
        let Some((body, marks, done)) = made else { return Ok(()) };
        let sent = String::from_utf8(done.body.concat()).unwrap();
        let is_told = |path: &str| done.dropped.iter().any(|d| tells(d, path));
        let lost = |(path, mark): &&(String, String)| !sent.contains(mark) && !is_told(path) && !is_label(arrow, &to, path, &body);
        let lost: Vec<_> = marks.0.iter().filter(lost).collect();
        prop_assert!(lost.is_empty(), "{:?} to {}: lost silently: {:?}\nlisted: {:?}\nof {}", arrow, to.model, lost, done.dropped, body);
    }

    /// What holds no mark (words of a closed set, yes and no) is not lost either: without it something is otherwise.
    #[test]
    fn t13_no_published_member_is_without_effect(arrow in any_arrow(), to in any_target(), seed: u64) {
        let made = accepted(arrow, &to, seed);
        prop_assume!(made.is_some());
        let Some((body, _, done)) = made else { return Ok(()) };
        let mut all = vec![];
        paths("", &body, &mut all);
        for path in all {
            let value = body.pointer(&pointer(&path)).unwrap();
            let name = path.rsplit('.').next().unwrap();
            if says_nothing(name, value) || is_so_anyway(&to, &path, &body) || is_label(arrow, &to, &path, &body) || done.dropped.iter().any(|d| tells(d, &path)) {
                continue;
            }
            let mut less = body.clone();
            take_out(&mut less, &path);
            let same = translate(arrow.0, arrow.1, &less, &to).is_ok_and(|o| (o.body.concat(), &o.dropped) == (done.body.concat(), &done.dropped));
            prop_assert!(!same, "{:?} to {}: {} = {} is lost silently\nof {}", arrow, to.model, path, value, body);
        }
    }
}

#[test]
fn every_published_member_is_made() {
    for dialect in DIALECTS {
        let mut missing: BTreeSet<_> = members(dialect);
        let all = missing.len();
        let mut maker = Maker::new(dialect, 1);
        maker.greedy = true;
        for _ in 0..2000 {
            maker.request(dialect);
        }
        missing.retain(|member| !maker.made.contains(member));
        assert!(missing.is_empty() && all > 150, "{dialect:?}: of {all} members never {missing:?}");
    }
}
