//! The built-in rows. What a policy says of a model wins over them, fact by fact.

use super::{Capability, Effort, Efforts, Limit, Off, Sampling, Thinks, ToolsInChat};

/// One built-in row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// How the model's name begins; before a digit it is another one.
    pub name: &'static str,
    /// What is known.
    pub can: Capability,
    /// Where it stands, and what of it is inferred.
    pub source: &'static str,
    /// The day on which it was known to hold, ISO date.
    pub as_of: &'static str,
}

const LOW_TO_HIGH: Efforts = Efforts::of(&[Effort::Low, Effort::Medium, Effort::High]);
const LOW_TO_MAX: Efforts = Efforts::of(&[Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max]);
const NONE_TO_HIGH: Efforts = Efforts::of(&[Effort::None, Effort::Low, Effort::Medium, Effort::High]);
const NONE_TO_XHIGH: Efforts = Efforts::of(&[Effort::None, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh]);
const NONE_TO_MAX: Efforts =
    Efforts::of(&[Effort::None, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max]);

const CLAUDE: Capability = Capability { sampling: Sampling::One, audio: false, ..Capability::OPEN };
/// Knows neither thinking nor schemas.
const CLAUDE_3: Capability = Capability { efforts: Efforts::EMPTY, budget: None, schema: false, ..CLAUDE };
const CLAUDE_3_7: Capability = Capability { thinks: Thinks::Budget, budget: Some(Capability::ANY_BUDGET), ..CLAUDE_3 };
const CLAUDE_4_5: Capability = Capability { schema: true, ..CLAUDE_3_7 };
const OPUS_4_5: Capability = Capability { efforts: LOW_TO_HIGH, ..CLAUDE_4_5 };
/// Thinks adaptively if it is told to; no prefill from here on.
const CLAUDE_4_6: Capability = Capability {
    thinks: Thinks::Adaptive,
    efforts: Efforts::of(&[Effort::Low, Effort::Medium, Effort::High, Effort::Max]),
    prefill: false,
    ..CLAUDE_4_5
};
/// No sampling and no budgets from here on.
const CLAUDE_4_7: Capability =
    Capability { sampling: Sampling::Fixed, efforts: LOW_TO_MAX, budget: None, ..CLAUDE_4_6 };
/// Thinks unless it is told not to.
const CLAUDE_5: Capability = Capability { thinks_unasked: true, ..CLAUDE_4_7 };
/// Always thinks.
const FABLE_5: Capability = Capability { off: Off::Never, ..CLAUDE_5 };
const OPUS_5_5: Capability = Capability { forced_tools: false, ..FABLE_5 };
const SONNET_5_5: Capability = Capability { off: Off::BetweenTools, ..OPUS_5_5 };

const GPT_3_5: Capability = Capability {
    limit: Limit::Old,
    efforts: Efforts::EMPTY,
    schema: false,
    images: false,
    documents: false,
    audio: false,
    ..Capability::OPEN
};
const GPT_4_TURBO: Capability = Capability { images: true, ..GPT_3_5 };
const GPT_4O: Capability = Capability { schema: true, documents: true, ..GPT_4_TURBO };
const GPT_AUDIO: Capability = Capability { audio: true, ..GPT_3_5 };
const GPT_5: Capability = Capability {
    limit: Limit::New,
    sampling: Sampling::Fixed,
    stop: false,
    thinks: Thinks::Effort,
    efforts: Efforts::of(&[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High]),
    ..GPT_4O
};
const O_SERIES: Capability = Capability { parallel_switch: false, efforts: LOW_TO_HIGH, ..GPT_5 };
const O_MINI: Capability = Capability { images: false, documents: false, ..O_SERIES };
const GPT_5_1: Capability = Capability { sampling: Sampling::Unthinking, efforts: NONE_TO_HIGH, ..GPT_5 };
const GPT_5_2: Capability = Capability { efforts: NONE_TO_XHIGH, tools_in_chat: ToolsInChat::Unthinking, ..GPT_5_1 };
const GPT_5_5: Capability = Capability { stop: true, ..GPT_5_2 };
const GPT_5_6: Capability = Capability { efforts: NONE_TO_MAX, ..GPT_5_5 };
/// Cannot be told not to think, and takes no tools in Chat.
const GPT_6_1: Capability = Capability {
    sampling: Sampling::Fixed,
    stop: false,
    efforts: LOW_TO_MAX,
    tools_in_chat: ToolsInChat::Never,
    ..GPT_5_6
};

const fn row(name: &'static str, can: Capability, as_of: &'static str, source: &'static str) -> Row {
    Row { name, can, source, as_of }
}

const OPUS_GUIDE: &str = "platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5, which says the same of Fable \
                          5.1: thinking always on, forced tools refused; sampling and prefill: its migration guide";
const FABLE_GUIDE: &str = "platform.claude.com, error codes of the Claude API skill: Fable 5 refuses `disabled`, 5.1 and \
                           Mythos 5.1 forced tools too";
const THINKING_TABLE: &str = "platform.claude.com/docs/en/build-with-claude/thinking and the Sonnet 5.5 migration guide: \
                              what is taken of `thinking` by model; effort levels: build-with-claude/effort";
const SCHEMAS: &str = "platform.claude.com/docs/en/build-with-claude/structured-outputs: not among its models";
const GPT_6_GUIDE: &str = "developers.openai.com/api/docs/guides/latest-model and deployment-checklist: tools, `none`, \
                           sampling; `stop`: bolna-ai/bolna#1019, measured on gpt-6-astra";
const TOOLS_GUIDE: &str = "developers.openai.com/api/docs/guides/deployment-checklist; BerriAI/litellm#34569 and \
                           livekit/agents#7169: with tools `none` must be said";
const STOPS: &str = "BerriAI/litellm#28650, #28662 and plmbr/notebook-intelligence#414: who takes `stop`; \
                     openai/openai-openapi#541: tools beside an effort";
const REASONING: &str = "developers.openai.com/api/docs/guides/reasoning; levels: openai-python, `ReasoningEffort`";
const O_GUIDE: &str = "evalstate/fast-agent#279: `parallel_tool_calls`; community.openai.com/t/1110750: the rest";
const OLD: &str = "community.openai.com/t/1110750, a table of what is refused; developers.openai.com model pages";

/// Built-in catalogue. The first row that fits is taken: longer names come first.
pub const MODELS: &[Row] = &[
    row("claude-opus-5-5", OPUS_5_5, "2026-11-26", OPUS_GUIDE),
    row(
        "claude-sonnet-5-5",
        SONNET_5_5,
        "2026-11-26",
        "platform.claude.com/docs/en/models/sonnet-5-5/migration-guide: five settings that return a 400",
    ),
    row(
        "claude-haiku-5-5",
        CLAUDE_5,
        "2026-11-26",
        "platform.claude.com/docs/en/models/haiku-5-5/migration-guide; `disabled`: docs.apiyi.com, 2026-11-09",
    ),
    row("claude-fable-5-2", OPUS_5_5, "2026-11-26", "taken to refuse what Fable 5.1 refuses"),
    row("claude-mythos-5-2", OPUS_5_5, "2026-11-26", "taken to refuse what Mythos 5.1 refuses"),
    row("claude-fable-5-1", OPUS_5_5, "2026-11-26", OPUS_GUIDE),
    row("claude-mythos-5-1", OPUS_5_5, "2026-11-26", FABLE_GUIDE),
    row("claude-fable-5", FABLE_5, "2026-11-26", FABLE_GUIDE),
    row("claude-mythos-5", FABLE_5, "2026-11-26", FABLE_GUIDE),
    row("claude-opus-5", CLAUDE_5, "2026-11-26", THINKING_TABLE),
    row("claude-sonnet-5", CLAUDE_5, "2026-11-26", THINKING_TABLE),
    row("claude-opus-4-8", CLAUDE_4_7, "2026-11-26", THINKING_TABLE),
    row("claude-opus-4-7", CLAUDE_4_7, "2026-11-26", "BerriAI/litellm#26444: sampling; the rest as Opus 4.8"),
    row("claude-opus-4-6", CLAUDE_4_6, "2026-11-26", THINKING_TABLE),
    row("claude-sonnet-4-6", CLAUDE_4_6, "2026-11-26", THINKING_TABLE),
    row("claude-opus-4-5", OPUS_4_5, "2026-11-26", "platform.claude.com/docs/en/build-with-claude/effort"),
    row("claude-sonnet-4-5", CLAUDE_4_5, "2026-11-26", THINKING_TABLE),
    row("claude-haiku-4-5", CLAUDE_4_5, "2026-11-26", THINKING_TABLE),
    row("claude-opus-4", CLAUDE_3_7, "2026-11-26", SCHEMAS),
    row("claude-sonnet-4", CLAUDE_3_7, "2026-11-26", SCHEMAS),
    row("claude-3-7", CLAUDE_3_7, "2026-11-26", SCHEMAS),
    row("claude-3", CLAUDE_3, "2026-11-26", SCHEMAS),
    row("claude-", CLAUDE, "2026-11-26", "inferred: no Claude takes audio, none since 4.5 both of the sampling pair"),
    row("gpt-6-sol", GPT_5_6, "2026-11-26", TOOLS_GUIDE),
    row("gpt-6-luna", GPT_5_6, "2026-11-26", TOOLS_GUIDE),
    row("gpt-6", GPT_6_1, "2026-11-26", GPT_6_GUIDE),
    row("gpt-5.6", GPT_5_6, "2026-11-26", TOOLS_GUIDE),
    row("gpt-5.5", GPT_5_5, "2026-11-26", STOPS),
    row("gpt-5.4-mini", GPT_5_5, "2026-11-26", STOPS),
    row("gpt-5.4-nano", GPT_5_5, "2026-11-26", STOPS),
    row("gpt-5.4", GPT_5_2, "2026-11-26", STOPS),
    row("gpt-5.3", GPT_5_2, "2026-11-26", "inferred from gpt-5.2 and gpt-5.4"),
    row("gpt-5.2", GPT_5_2, "2026-11-26", "huggingface/smolagents#1893: `stop`; livekit/agents#5088: tools"),
    row("gpt-5.1", GPT_5_1, "2026-11-26", REASONING),
    row("gpt-5-chat", GPT_4O, "2026-11-26", "inferred: it does not reason"),
    row("gpt-5", GPT_5, "2026-11-26", "BerriAI/litellm#15244: `stop`; the rest: the reasoning guide"),
    row("o1-mini", O_MINI, "2026-11-26", O_GUIDE),
    row("o3-mini", O_MINI, "2026-11-26", O_GUIDE),
    row("o1", O_SERIES, "2026-11-26", O_GUIDE),
    row("o3", O_SERIES, "2026-11-26", O_GUIDE),
    row("o4", O_SERIES, "2026-11-26", O_GUIDE),
    row("gpt-4o-audio", GPT_AUDIO, "2026-11-26", OLD),
    row("gpt-4o-mini-audio", GPT_AUDIO, "2026-11-26", OLD),
    row("gpt-audio", GPT_AUDIO, "2026-11-26", OLD),
    row("gpt-4o", GPT_4O, "2026-11-26", OLD),
    row("gpt-4.1", GPT_4O, "2026-11-26", OLD),
    row("gpt-4-turbo", GPT_4_TURBO, "2026-11-26", OLD),
    row("gpt-4", GPT_3_5, "2026-11-26", OLD),
    row("gpt-3.5", GPT_3_5, "2026-11-26", OLD),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_found_and_says_where_and_when() {
        for (i, row) in MODELS.iter().enumerate() {
            assert!(!row.source.is_empty(), "{}", row.name);
            let date: Vec<&str> = row.as_of.split('-').collect();
            assert_eq!(date.iter().map(|d| d.len()).collect::<Vec<_>>(), [4, 2, 2], "{}", row.name);
            let hidden = MODELS[..i].iter().find(|earlier| row.name.starts_with(earlier.name));
            assert!(hidden.is_none(), "{} stands behind {:?}", row.name, hidden.map(|r| r.name));
        }
    }

    /// What hangs together: effort is one way to think, and a switch exists where silence thinks.
    #[test]
    fn the_facts_of_a_row_agree() {
        for Row { name, can, .. } in MODELS {
            match can.thinks {
                Thinks::Effort | Thinks::Adaptive => assert!(can.efforts != Efforts::EMPTY, "{name}"),
                Thinks::Budget => assert!(can.budget.is_some(), "{name}"),
                Thinks::No => {}
            }
            assert!(!can.thinks_unasked || can.thinks == Thinks::Adaptive, "{name}");
            let says_none = can.efforts.has(Effort::None);
            assert!(can.tools_in_chat != ToolsInChat::Unthinking || says_none, "{name}");
            assert!(can.sampling != Sampling::Unthinking || says_none, "{name}");
            assert!(can.budget.is_none_or(|(least, most)| least <= most), "{name}");
        }
    }
}
