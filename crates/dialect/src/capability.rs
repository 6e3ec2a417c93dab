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
    /// Takes a forced tool choice (`any`, `required`, a named tool).
    pub forced_tools: bool,
    /// Takes a conversation that ends in an assistant turn.
    pub prefill: bool,
    /// Takes `thinking: {type: enabled, budget_tokens}`; else thinking is adaptive, by effort alone.
    pub thinking_budget: bool,
}

const OPEN: Capability =
    Capability { legacy_max_tokens: false, sampling: true, forced_tools: true, prefill: true, thinking_budget: true };
const ADAPTIVE_CLAUDE: Capability =
    Capability { sampling: false, forced_tools: false, prefill: false, thinking_budget: false, ..OPEN };
const REASONING_GPT: Capability = Capability { sampling: false, ..OPEN };

/// By prefix; the longest wins.
const ROWS: &[(&str, Capability)] = &[
    ("claude-sonnet-5-5", ADAPTIVE_CLAUDE),
    ("claude-opus-5-5", ADAPTIVE_CLAUDE),
    ("claude-fable-5", ADAPTIVE_CLAUDE),
    ("claude-mythos-5", ADAPTIVE_CLAUDE),
    ("claude-opus-5", Capability { sampling: false, prefill: false, ..OPEN }),
    ("claude-opus-4-8", Capability { sampling: false, prefill: false, ..OPEN }),
    ("claude-opus-4-7", Capability { sampling: false, prefill: false, ..OPEN }),
    ("claude-opus-4-6", Capability { prefill: false, ..OPEN }),
    ("claude-sonnet-4-6", Capability { prefill: false, ..OPEN }),
    ("gpt-6", REASONING_GPT),
    ("gpt-5", REASONING_GPT),
    ("o3", REASONING_GPT),
    ("gpt-4", Capability { legacy_max_tokens: true, ..OPEN }),
    ("gpt-3.5", Capability { legacy_max_tokens: true, ..OPEN }),
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
        assert_eq!(*capability("mock"), OPEN);
    }
}
