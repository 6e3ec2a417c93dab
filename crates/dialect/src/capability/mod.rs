//! What a model takes and what it refuses, so that nothing is put on the wire that its provider answers with a 400. How
//! long its prompt and answer may be, and what they cost, stands in the price catalogue.

mod effort;
mod models;

pub use effort::{Effort, Efforts};
pub use models::{MODELS, Row};

/// What may go on the wire for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Chat: which member limits its answer.
    pub limit: Limit,
    /// Which of `temperature`, `top_p` and their like it takes at values other than the default.
    pub sampling: Sampling,
    /// Takes stop sequences.
    pub stop: bool,
    /// Takes a forced tool choice (`any`, `required`, a named tool).
    pub forced_tools: bool,
    /// Takes `parallel_tool_calls` or `disable_parallel_tool_use`.
    pub parallel_switch: bool,
    /// Chat: when it takes tools.
    pub tools_in_chat: ToolsInChat,
    /// Takes a conversation that ends in an assistant turn.
    pub prefill: bool,
    /// How it is told to think.
    pub thinks: Thinks,
    /// Levels of effort that it takes.
    pub efforts: Efforts,
    /// Messages: takes `thinking: enabled`, with a budget of so many tokens at least and at most.
    pub budget: Option<(u64, u64)>,
    /// Messages: thinks where nothing is said of it.
    pub thinks_unasked: bool,
    /// Messages: how it is told not to think.
    pub off: Off,
    /// Takes a JSON schema for its answer.
    pub schema: bool,
    /// Takes images.
    pub images: bool,
    /// Takes documents.
    pub documents: bool,
    /// Takes audio.
    pub audio: bool,
}

/// Chat: the member that limits an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `max_completion_tokens` is written, and `max_tokens` taken too.
    Both,
    /// `max_tokens`; the newer name may be unknown.
    Old,
    /// `max_completion_tokens` alone.
    New,
}

/// What is taken of sampling parameters at values other than the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// All.
    Free,
    /// All, but not `temperature` together with `top_p`.
    One,
    /// All, with the effort `none` only.
    Unthinking,
    /// None.
    Fixed,
}

/// Chat: when a model takes tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolsInChat {
    /// Always.
    Always,
    /// With `reasoning_effort: none`, said in so many words.
    Unthinking,
    /// Never: it takes them in the Responses API alone.
    Never,
}

/// How a model is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinks {
    /// Not at all, as far as is known.
    No,
    /// By `reasoning_effort`.
    Effort,
    /// By `thinking: {type: enabled, budget_tokens}`.
    Budget,
    /// By `thinking: {type: adaptive}` and `output_config.effort`.
    Adaptive,
}

/// Messages: how a model is told not to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// By `thinking: {type: disabled}`.
    Disabled,
    /// By `thinking: {type: between_tools}`.
    BetweenTools,
    /// Not at all.
    Never,
}

impl Capability {
    /// Budgets for thinking, from the least to any (platform.claude.com, extended thinking).
    pub const ANY_BUDGET: (u64, u64) = (1024, u64::MAX);

    /// Of a model that nobody knows: it is taken to accept everything.
    pub const OPEN: Capability = Capability {
        limit: Limit::Both,
        sampling: Sampling::Free,
        stop: true,
        forced_tools: true,
        parallel_switch: true,
        tools_in_chat: ToolsInChat::Always,
        prefill: true,
        thinks: Thinks::No,
        efforts: Efforts::ALL,
        budget: Some(Capability::ANY_BUDGET),
        thinks_unasked: false,
        off: Off::Disabled,
        schema: true,
        images: true,
        documents: true,
        audio: true,
    };
}

/// What is known of `model` by its name, with a date at its end or without; an unknown one is taken to accept everything.
#[must_use]
pub fn capability(model: &str) -> &'static Capability {
    // The next byte tells `claude-fable-5-2` from the fifth Fable of a day in the twenties.
    let is_of = |row: &&Row| {
        model.strip_prefix(row.name).is_some_and(|rest| !rest.bytes().next().is_some_and(|b| b.is_ascii_digit()))
    };
    MODELS.iter().find(is_of).map_or(&Capability::OPEN, |row| &row.can)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_the_row_that_says_most_of_it() {
        assert!(!capability("claude-opus-5-5-20261009").forced_tools);
        assert!(capability("claude-opus-5").forced_tools && capability("claude-opus-5-20260724").forced_tools);
        assert!(capability("claude-haiku-5-5").forced_tools);
        assert!(capability("claude-fable-5-20260609").forced_tools && !capability("claude-fable-5-2").forced_tools);
        assert_eq!(capability("claude-opus-4-5").thinks, Thinks::Budget);
        assert!(capability("gpt-5.5").stop && capability("gpt-5.4-mini").stop && !capability("gpt-5.4").stop);
        assert_eq!(capability("gpt-6.3-terra").tools_in_chat, ToolsInChat::Never);
        assert_eq!(capability("gpt-6-sol-2026-08-01").tools_in_chat, ToolsInChat::Unthinking);
        assert!(!capability("gpt-4-0613").schema && capability("gpt-4o-2024-11-20").schema);
        for unknown in ["mock", "", "gpt-60", "o10", "claude"] {
            assert_eq!(*capability(unknown), Capability::OPEN, "{unknown}");
        }
    }
}
