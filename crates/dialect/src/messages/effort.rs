//! How much thinking is asked for, in the words of each generation of Claude.

use serde_json::{Map, Value, json};

use crate::{
    capability::Thinks,
    model::{Part, Request, Role},
};

/// The least budget that is taken.
const LEAST: u64 = 1024;

/// Says the asked effort: members of `output_config`, or a `thinking` budget put into `out`; lists it where neither will
/// do.
pub(super) fn effort(
    r: &mut Request,
    thinks: Thinks,
    max_tokens: u64,
    is_forced: bool,
    out: &mut Map<String, Value>,
) -> Map<String, Value> {
    let mut config = Map::new();
    let level = match r.effort.as_deref() {
        // Thinking is not asked for by silence, and `none` asks for silence.
        None | Some("none") => return config,
        Some("minimal" | "low") => ("low", 2048),
        Some("medium") => ("medium", 8192),
        Some("high") => ("high", 16_384),
        Some("xhigh") => ("xhigh", 32_768),
        Some("max") => ("max", 32_768),
        Some(_) => {
            r.drop_member(r.words.effort);
            return config;
        }
    };
    let budget = level.1.min(max_tokens.saturating_sub(1));
    // A forced call, a prefill, and a tool loop whose thinking was not kept exclude thinking.
    let is_free = !is_forced && !in_tool_loop(r) && r.turns.last().is_some_and(|t| t.role == Role::User);
    match thinks {
        Thinks::Adaptive => _ = config.insert("effort".into(), level.0.into()),
        Thinks::Budget if is_free && budget >= LEAST => {
            out.insert("thinking".into(), json!({"type": "enabled", "budget_tokens": budget}));
        }
        Thinks::Budget | Thinks::Effort | Thinks::No => r.drop_member(r.words.effort),
    }
    config
}

/// The last assistant turn called tools and has lost the thinking that it came from, with which it would have to begin.
fn in_tool_loop(r: &Request) -> bool {
    let last = r.turns.iter().rfind(|t| t.role == Role::Assistant);
    let begins = |parts: &[Part]| matches!(parts.first(), Some(Part::Thought(_)));
    last.is_some_and(|t| !begins(&t.parts) && t.parts.iter().any(|p| matches!(p, Part::Call(_))))
}
