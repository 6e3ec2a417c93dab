//! How much thinking is asked for, in the words of each generation of Claude.

use serde_json::{Map, Value, json};

use crate::{
    capability::{Capability, Effort, Off, Thinks},
    model::{Part, Request, Role},
};

/// Says the asked effort: members of `output_config`, or a `thinking` put into `out`; lists it where neither will do.
pub(super) fn effort(
    r: &mut Request,
    can: &Capability,
    max_tokens: u64,
    is_forced: bool,
    out: &mut Map<String, Value>,
) -> Map<String, Value> {
    let mut config = Map::new();
    let thinking = thinking(r, can, max_tokens, is_forced, &mut config);
    let thinking = if r.summary.is_empty() { thinking } else { shown(r, can, is_forced, thinking) };
    out.extend(thinking.map(|t| ("thinking".into(), t)));
    config
}

fn thinking(
    r: &mut Request,
    can: &Capability,
    max_tokens: u64,
    is_forced: bool,
    config: &mut Map<String, Value>,
) -> Option<Value> {
    let asked = match r.effort.as_deref().map(Effort::of) {
        // Thinking is not asked for by silence.
        None => return None,
        // The least that Claude has a word for.
        Some(Some(Effort::Minimal)) => Effort::Low,
        Some(Some(asked)) => asked,
        Some(None) => {
            r.drop_member(r.words.effort);
            return None;
        }
    };
    match (can.thinks, asked) {
        (_, Effort::None) if !can.thinks_unasked => None,
        (_, Effort::None) => match can.off {
            Off::Disabled => Some(json!({"type": "disabled"})),
            Off::BetweenTools => Some(json!({"type": "between_tools"})),
            Off::Never => {
                config.extend(can.efforts.nearest(asked).map(|e| ("effort".into(), e.word().into())));
                r.drop_member(r.words.effort);
                None
            }
        },
        (Thinks::Adaptive, asked) => {
            let given = can.efforts.nearest(asked);
            config.extend(given.map(|e| ("effort".into(), e.word().into())));
            if given != Some(asked) {
                r.drop_member(r.words.effort);
            }
            (!can.thinks_unasked && !is_forced).then(|| json!({"type": "adaptive"}))
        }
        (Thinks::Budget, asked) => {
            let (least, most) = can.budget.unwrap_or_default();
            let budget = budget(asked).min(most).min(max_tokens.saturating_sub(1));
            // A forced call, a prefill, and a tool loop whose thinking was not kept exclude thinking.
            let is_free = !is_forced && !in_tool_loop(r) && r.turns.last().is_some_and(|t| t.role == Role::User);
            let thinks = is_free && budget >= least;
            if !thinks {
                r.drop_member(r.words.effort);
            }
            thinks.then(|| json!({"type": "enabled", "budget_tokens": budget}))
        }
        (Thinks::Effort | Thinks::No, _) => {
            r.drop_member(r.words.effort);
            None
        }
    }
}

/// The same for a caller that asks for a summary of the thoughts: newer models show them only if they are told to.
fn shown(r: &mut Request, can: &Capability, is_forced: bool, thinking: Option<Value>) -> Option<Value> {
    let is_unasked = thinking.is_none() && can.thinks_unasked && !is_forced;
    match thinking {
        _ if r.effort.as_deref() == Some("none") => thinking,
        Some(told) if told["type"] != "adaptive" => Some(told),
        None if !is_unasked => {
            std::mem::take(&mut r.summary).into_iter().for_each(|member| r.drop_member(member));
            None
        }
        _ => Some(json!({"type": "adaptive", "display": "summarized"})),
    }
}

/// Tokens for thinking at a level of effort.
fn budget(effort: Effort) -> u64 {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => 2048,
        Effort::Medium => 8192,
        Effort::High => 16_384,
        Effort::XHigh | Effort::Max => 32_768,
    }
}

/// The last assistant turn called tools and has lost the thinking that it came from, with which it would have to begin.
fn in_tool_loop(r: &Request) -> bool {
    let last = r.turns.iter().rfind(|t| t.role == Role::Assistant);
    let begins = |parts: &[Part]| matches!(parts.first(), Some(Part::Thought(_)));
    last.is_some_and(|t| !begins(&t.parts) && t.parts.iter().any(|p| matches!(p, Part::Call(_))))
}
