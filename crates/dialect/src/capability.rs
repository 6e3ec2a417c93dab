//! What a model refuses, so that nothing is put on the wire that its provider answers with a 400.
//!
//! Sources: vendors' model pages and error messages as gathered 2026-11-22.

/// What may go on the wire for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Chat: takes `max_tokens` and may not know `max_completion_tokens`.
    pub legacy_max_tokens: bool,
    /// Takes `temperature`, `top_p`, `top_k` other than the default.
    pub sampling: bool,
    /// Takes `temperature` and `top_p` at once.
    pub sampling_pair: bool,
    /// Takes stop sequences.
    pub stop: bool,
    /// Takes a forced tool choice (`any`, `required`, a named tool).
    pub forced_tools: bool,
    /// Takes a conversation that ends in an assistant turn.
    pub prefill: bool,
    /// How it is told to think.
    pub thinks: Thinks,
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
    /// By `output_config.effort` alone; `thinking: enabled` is refused or outdated.
    Adaptive,
}

const OPEN: Capability = Capability {
    legacy_max_tokens: false,
    sampling: true,
    sampling_pair: true,
    stop: true,
    forced_tools: true,
    prefill: true,
    thinks: Thinks::No,
};
const CLAUDE: Capability = Capability { sampling_pair: false, ..OPEN };
const BUDGET_CLAUDE: Capability = Capability { thinks: Thinks::Budget, ..CLAUDE };
const ADAPTIVE_CLAUDE: Capability = Capability { prefill: false, thinks: Thinks::Adaptive, ..CLAUDE };
const SET_CLAUDE: Capability = Capability { sampling: false, ..ADAPTIVE_CLAUDE };
const FREE_CLAUDE: Capability = Capability { forced_tools: false, ..SET_CLAUDE };
const GPT: Capability = Capability { sampling: false, thinks: Thinks::Effort, ..OPEN };
const MUTE_GPT: Capability = Capability { stop: false, ..GPT };
const OLD_GPT: Capability = Capability { legacy_max_tokens: true, ..OPEN };

/// By prefix; the longest wins.
const ROWS: &[(&str, Capability)] = &[
    // platform.claude.com model pages and 400s, 2026-11: forced tools, sampling, prefill, `enabled`.
    ("claude-sonnet-5-5", FREE_CLAUDE),
    ("claude-opus-5-5", FREE_CLAUDE),
    // Of the same generation, taken to refuse the same; 2026-11.
    ("claude-fable-5", FREE_CLAUDE),
    ("claude-mythos-5", FREE_CLAUDE),
    // LiteLLM#26444: sampling is refused from Opus 4.7 on.
    ("claude-opus-5", SET_CLAUDE),
    ("claude-opus-4-8", SET_CLAUDE),
    ("claude-opus-4-7", SET_CLAUDE),
    // Prefill is refused from 4.6 on; `temperature` with `top_p` from 4.5 on.
    ("claude-sonnet-5", ADAPTIVE_CLAUDE),
    ("claude-opus-4-6", ADAPTIVE_CLAUDE),
    ("claude-sonnet-4-6", ADAPTIVE_CLAUDE),
    ("claude-haiku-5-5", BUDGET_CLAUDE),
    ("claude-opus-4", BUDGET_CLAUDE),
    ("claude-sonnet-4", BUDGET_CLAUDE),
    ("claude-haiku-4", BUDGET_CLAUDE),
    ("claude-3-7", BUDGET_CLAUDE),
    ("claude-", CLAUDE),
    // developers.openai.com reasoning guide, 2026-11: `max_completion_tokens`, no sampling beside an effort.
    ("gpt-6", GPT),
    // LiteLLM PR#28650, PR#15244: `stop` is taken from 5.5 on.
    ("gpt-5.6", GPT),
    ("gpt-5.5", GPT),
    ("gpt-5", MUTE_GPT),
    ("o1", MUTE_GPT),
    ("o3", MUTE_GPT),
    ("o4", MUTE_GPT),
    ("gpt-4", OLD_GPT),
    ("gpt-3.5", OLD_GPT),
];

/// What is known of `model`; an unknown one is taken to accept everything.
#[must_use]
pub fn capability(model: &str) -> &'static Capability {
    let row = ROWS.iter().filter(|(prefix, _)| model.starts_with(prefix)).max_by_key(|(prefix, _)| prefix.len());
    row.map_or(&OPEN, |(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        assert!(!capability("claude-opus-5-5-20261009").forced_tools);
        assert!(capability("claude-opus-5").forced_tools);
        assert!(capability("claude-haiku-5-5").forced_tools);
        assert_eq!(capability("claude-opus-4-5").thinks, Thinks::Budget);
        assert!(capability("gpt-5.5").stop && !capability("gpt-5.4-mini").stop && !capability("gpt-5").stop);
        assert_eq!(*capability("mock"), OPEN);
    }
}
