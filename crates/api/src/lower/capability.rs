//! What a policy says that a model takes.

use policy::catalogue as facts;

use super::count;
use crate::types::{Capabilities, ChatTools, Effort, OutputLimit, Sampling, Thinking, ThinkingOff};

pub(super) fn capabilities(own: &Capabilities) -> facts::Capabilities {
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
    } = own;
    facts::Capabilities {
        output_limit: output_limit.map(|l| match l {
            OutputLimit::MaxTokens => facts::OutputLimit::MaxTokens,
            OutputLimit::MaxCompletionTokens => facts::OutputLimit::MaxCompletionTokens,
            OutputLimit::Both => facts::OutputLimit::Both,
        }),
        sampling: sampling.map(|s| match s {
            Sampling::All => facts::Sampling::All,
            Sampling::OneOf => facts::Sampling::OneOf,
            Sampling::WithoutThinking => facts::Sampling::WithoutThinking,
            Sampling::None => facts::Sampling::None,
        }),
        stop: *stop,
        forced_tools: *forced_tools,
        parallel_tools: *parallel_tools,
        chat_tools: chat_tools.map(|t| match t {
            ChatTools::Always => facts::ChatTools::Always,
            ChatTools::WithoutThinking => facts::ChatTools::WithoutThinking,
            ChatTools::Never => facts::ChatTools::Never,
        }),
        prefill: *prefill,
        thinking: thinking.map(|t| match t {
            Thinking::None => facts::Thinking::None,
            Thinking::Effort => facts::Thinking::Effort,
            Thinking::Budget => facts::Thinking::Budget,
            Thinking::Adaptive => facts::Thinking::Adaptive,
        }),
        thinks_by_default: *thinks_by_default,
        thinking_off: thinking_off.map(|o| match o {
            ThinkingOff::Disabled => facts::ThinkingOff::Disabled,
            ThinkingOff::BetweenTools => facts::ThinkingOff::BetweenTools,
            ThinkingOff::Never => facts::ThinkingOff::Never,
        }),
        max_thinking_budget: max_thinking_budget.map(count),
        efforts: efforts.as_ref().map(|all| all.iter().map(|e| effort(*e)).collect()),
        json_schema: *json_schema,
        documents: *documents,
        audio: *audio,
    }
}

fn effort(effort: Effort) -> facts::Effort {
    match effort {
        Effort::None => facts::Effort::None,
        Effort::Minimal => facts::Effort::Minimal,
        Effort::Low => facts::Effort::Low,
        Effort::Medium => facts::Effort::Medium,
        Effort::High => facts::Effort::High,
        Effort::XHigh => facts::Effort::XHigh,
        Effort::Max => facts::Effort::Max,
    }
}
