//! What a target takes on the wire: the built-in catalogue's row of its model, and what the policy says over it.

use dialect::{Capability, Effort, Efforts, Limit, Off, Thinks, ToolsInChat};
use policy::catalogue::{self as facts, Capabilities, ModelFacts};

/// What `model` takes, with the policy's facts on it.
#[must_use]
pub fn capability(model: &str, facts: Option<&ModelFacts>) -> Capability {
    let known = *dialect::capability(model);
    if let Some(facts) = said(facts) { over(known, facts) } else { known }
}

/// What the policy alone says of a model; the rest is taken to be fine. `None` where it says nothing.
#[must_use]
pub fn told(facts: Option<&ModelFacts>) -> Option<Capability> {
    said(facts).map(|facts| over(*dialect::capability(""), facts))
}

fn said(facts: Option<&ModelFacts>) -> Option<&ModelFacts> {
    facts.filter(|facts| facts.images.is_some() || !facts.capabilities.is_empty())
}

fn over(known: Capability, facts: &ModelFacts) -> Capability {
    let Capabilities {
        output_limit,
        sampling,
        stop,
        forced_tools,
        parallel_tools,
        chat_tools,
        prefill,
        thinking,
        thinks_by_default,
        thinking_off,
        max_thinking_budget,
        efforts,
        json_schema,
        documents,
        audio,
    } = &facts.capabilities;
    Capability {
        limit: output_limit.map_or(known.limit, |l| match l {
            facts::OutputLimit::MaxTokens => Limit::Old,
            facts::OutputLimit::MaxCompletionTokens => Limit::New,
            facts::OutputLimit::Both => Limit::Both,
        }),
        sampling: sampling.map_or(known.sampling, |s| match s {
            facts::Sampling::All => dialect::Sampling::Free,
            facts::Sampling::OneOf => dialect::Sampling::One,
            facts::Sampling::WithoutThinking => dialect::Sampling::Unthinking,
            facts::Sampling::None => dialect::Sampling::Fixed,
        }),
        stop: stop.unwrap_or(known.stop),
        forced_tools: forced_tools.unwrap_or(known.forced_tools),
        parallel_switch: parallel_tools.unwrap_or(known.parallel_switch),
        tools_in_chat: chat_tools.map_or(known.tools_in_chat, |t| match t {
            facts::ChatTools::Always => ToolsInChat::Always,
            facts::ChatTools::WithoutThinking => ToolsInChat::Unthinking,
            facts::ChatTools::Never => ToolsInChat::Never,
        }),
        prefill: prefill.unwrap_or(known.prefill),
        thinks: thinking.map_or(known.thinks, |t| match t {
            facts::Thinking::None => Thinks::No,
            facts::Thinking::Effort => Thinks::Effort,
            facts::Thinking::Budget => Thinks::Budget,
            facts::Thinking::Adaptive => Thinks::Adaptive,
        }),
        efforts: efforts.as_deref().map_or(known.efforts, self::efforts),
        budget: max_thinking_budget.map_or(known.budget, |most| match most {
            0 => None,
            most => Some((known.budget.unwrap_or(Capability::ANY_BUDGET).0, most)),
        }),
        thinks_unasked: thinks_by_default.unwrap_or(known.thinks_unasked),
        off: thinking_off.map_or(known.off, |o| match o {
            facts::ThinkingOff::Disabled => Off::Disabled,
            facts::ThinkingOff::BetweenTools => Off::BetweenTools,
            facts::ThinkingOff::Never => Off::Never,
        }),
        schema: json_schema.unwrap_or(known.schema),
        images: facts.images.unwrap_or(known.images),
        documents: documents.unwrap_or(known.documents),
        audio: audio.unwrap_or(known.audio),
    }
}

fn efforts(own: &[facts::Effort]) -> Efforts {
    let all: Vec<Effort> = own
        .iter()
        .map(|e| match e {
            facts::Effort::None => Effort::None,
            facts::Effort::Minimal => Effort::Minimal,
            facts::Effort::Low => Effort::Low,
            facts::Effort::Medium => Effort::Medium,
            facts::Effort::High => Effort::High,
            facts::Effort::XHigh => Effort::XHigh,
            facts::Effort::Max => Effort::Max,
        })
        .collect();
    Efforts::of(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_policy_says_wins_fact_by_fact() {
        let known = *dialect::capability("claude-opus-5-5");
        assert_eq!(capability("claude-opus-5-5", None), known);
        let mut facts = policy::catalogue::find("claude-opus-5-5").unwrap();
        assert_eq!(capability("claude-opus-5-5", Some(&facts)), known);
        facts.images = Some(false);
        facts.capabilities.forced_tools = Some(true);
        facts.capabilities.max_thinking_budget = Some(9000);
        facts.capabilities.efforts = Some(vec![facts::Effort::Low]);
        let efforts = Efforts::of(&[Effort::Low]);
        let want = Capability { images: false, forced_tools: true, budget: Some((1024, 9000)), efforts, ..known };
        assert_eq!(capability("claude-opus-5-5", Some(&facts)), want);
        facts.capabilities.max_thinking_budget = Some(0);
        assert_eq!(capability("mock", Some(&facts)).budget, None);
    }
}
