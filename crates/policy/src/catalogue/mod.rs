//! What is known of models by name: prices with their tiers, context length, where each row comes from and when; and what
//! a policy says of them.

mod capabilities;
mod models;
mod price;
mod server_tool;
mod tiers;

pub use capabilities::{Capabilities, ChatTools, Effort, OutputLimit, Sampling, Thinking, ThinkingOff};
pub use models::{MODELS, Row};
pub use price::{LongPrompt, Price, Tokens};
pub use server_tool::{ServerTool, ServerToolCosts};
pub(crate) use tiers::REGIONAL;
pub use tiers::ServiceTiers;

/// Facts on one model, from the policy or from [`MODELS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    /// Exact name, as on the wire.
    pub name: Box<str>,
    /// USD a token by class; `None`: unknown, and then refused under a hard budget.
    pub price: Option<Price>,
    /// Longest prompt plus answer, in tokens.
    pub context_tokens: Option<u64>,
    /// Longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// Whether it takes images, where the policy says so.
    pub images: Option<bool>,
    /// Most tokens that one image can be; `None`: the vendor's worst case.
    pub image_tokens: Option<u64>,
    /// What else it takes, where the policy says so.
    pub capabilities: Capabilities,
}

/// Built-in facts on `model`: the row of its name, or of its name without a date or `-latest` at its end
/// (`gpt-6-sol-2026-08-01` shares its family's row).
#[must_use]
pub fn find(model: &str) -> Option<ModelFacts> {
    let row = row_of(model)?;
    Some(ModelFacts {
        name: model.into(),
        price: Some(row.price),
        context_tokens: Some(row.context),
        max_output_tokens: Some(row.output),
        images: None,
        image_tokens: None,
        capabilities: Capabilities::default(),
    })
}

/// The built-in row of `model`.
pub(crate) fn row_of(model: &str) -> Option<&'static Row> {
    let is_version = |rest: &str| rest.is_empty() || rest == "-latest" || is_date(rest);
    MODELS.iter().find(|r| model.strip_prefix(r.name).is_some_and(is_version))
}

/// `-20260801` or `-2026-08-01`.
fn is_date(rest: &str) -> bool {
    let shape: Vec<u8> = rest.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect();
    shape == b"-00000000" || shape == b"-0000-00-00"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_name_shares_its_familys_row_and_nothing_else_does() {
        assert_eq!(find("gpt-6-sol-2026-08-01").and_then(|f| f.price), find("gpt-6-sol").and_then(|f| f.price));
        let price = |name: &str| find(name).and_then(|f| f.price).map(|p| p.input.0);
        for (name, input) in [
            ("claude-opus-5-5-20261009", 4_000_000),
            ("claude-opus-5-20260724", 5_000_000),
            ("claude-haiku-4-5-latest", 1_000_000),
            ("gpt-5.4-mini", 750_000),
        ] {
            assert_eq!(price(name), Some(input), "{name}");
        }
        for unknown in
            ["gpt-6", "gpt-6-solar", "gpt-6-sol-mini", "gpt-6-sol-2026080", "gpt-6-sol--20260801", "mock", ""]
        {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }
}
