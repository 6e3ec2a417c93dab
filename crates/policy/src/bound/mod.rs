//! The most that a request can cost, before it is sent: what a budget holds for it.
//!
//! # Why no bill exceeds it
//!
//! *Input.* A token stands for at least one byte of the text that a provider tokenizes. That text is made of the members
//! that may reach the model ([`Content::text_bytes`]), without their escapes, so it is no longer than they are as sent;
//! what a provider writes anew (tools, schemas) was counted with what that may add. A message that a provider accepts
//! has at least [`STRUCTURE`] bytes of names and punctuation that are no text; in their place comes its frame. To this
//! comes what the body lacks: the prompt around tools and schemas, images at the vendor's worst. Whatever cannot be
//! bounded so (a stored conversation, a file, a PDF) is bounded by the model's context length, which also bounds the
//! rest: a longer prompt is refused, and a clear refusal costs nothing.
//!
//! *Output.* The limit on the wire, thinking included (both vendors count it within), for each of the answers asked; a
//! predicted answer is billed where it was wrong. Without a limit: the model's longest answer, else its context.
//!
//! *Price.* All input in the dearest class that can apply: the cache is written only if it was asked for, or by OpenAI
//! of itself for the short time. Above a cliff if the bound is, the whole request; the tier that was asked, at least the
//! list price, since a provider may serve a request in a dearer tier than a discounted one.
//!
//! Tools that the provider runs have no bound of their own: they need a price in the policy, or the request has none.

mod vendor;

#[cfg(test)]
mod tests;

use crate::{
    catalogue::{self, ModelFacts, Price, ServerTool},
    money::{PerToken, Usd, round_up},
    reason::Cause,
    snapshot::Api,
};

/// What the bill of a request can depend on besides the target; read from the body that goes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Bytes that may reach the model as text, with the JSON around them.
    pub text_bytes: u64,
    /// Messages, or input items.
    pub messages: u32,
    /// Tools that the caller runs.
    pub tools: u32,
    /// Of them, those that the provider defines.
    pub defined_tools: u32,
    /// Tools that the provider runs.
    pub server_tools: ServerTools,
    /// A schema constrains the answer.
    pub schema: bool,
    /// Images with `detail: low`.
    pub low_images: u32,
    /// Images with `detail: high`.
    pub high_images: u32,
    /// Images of any other detail.
    pub images: u32,
    /// Part of the prompt is not in the body, or not as text.
    pub elsewhere: bool,
    /// A medium without a price goes in or comes out.
    pub media: bool,
    /// Bytes of a predicted answer.
    pub prediction_bytes: u64,
    /// The thinking budget that was asked.
    pub thinking_tokens: u64,
    /// The tier that was asked.
    pub tier: Tier,
    /// Inference was asked to stay in one region.
    pub regional: bool,
    /// The longest time for which the prompt was asked to be kept.
    pub cache: CacheMark,
    /// Answers asked for; 0 counts as 1.
    pub answers: u32,
}

/// A set of tools that the provider runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerTools(u16);

impl ServerTools {
    /// Adds one.
    pub fn add(&mut self, tool: ServerTool) {
        self.0 |= 1 << tool as u16;
    }

    /// Those in it, in order.
    pub fn iter(self) -> impl Iterator<Item = ServerTool> {
        ServerTool::ALL.into_iter().filter(move |t| self.0 & (1 << *t as u16) != 0)
    }
}

/// The service tier that a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// None, or `auto`: the account's default.
    #[default]
    Auto,
    /// The list price.
    Standard,
    /// `flex`
    Flex,
    /// `priority`
    Priority,
    /// `fast`
    Fast,
    /// `ultrafast`
    Ultrafast,
    /// One that nobody knows.
    Unknown,
}

/// How long a prompt was asked to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheMark {
    /// Nothing was asked.
    #[default]
    None,
    /// The short time.
    Short,
    /// Longer.
    Long,
}

/// Who is asked, and with what limit.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'a> {
    /// Whose rules of counting apply.
    pub api: Api,
    /// What goes on the wire.
    pub model: &'a str,
    /// What is known of it: [`Provider::facts`](crate::snapshot::Provider::facts).
    pub facts: Option<&'a ModelFacts>,
    /// The output limit on the wire: the caller's own, else the scene's.
    pub limit: Option<u64>,
}

/// Why a request has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbounded {
    /// Nobody knows what the model costs.
    NoPrice,
    /// No limit on the answer, and the model's longest one is not known.
    NoOutputLimit,
    /// What is stored elsewhere is bounded by the context length alone, which is not known.
    NoContextLength,
    /// The provider runs a tool that the policy gives no price.
    ServerTool(ServerTool),
    /// Audio, or another medium without a price.
    Media,
}

impl Unbounded {
    /// What the caller is told.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Unbounded::NoPrice => Cause::PriceUnknown,
            Unbounded::NoOutputLimit | Unbounded::NoContextLength | Unbounded::ServerTool(_) | Unbounded::Media => {
                Cause::CostUnbounded
            }
        }
    }

    /// What is missing and where to write it, for `/explain` and the log.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Unbounded::NoPrice => "the model has no known price; give it one in providers[].models",
            Unbounded::NoOutputLimit => {
                "nothing limits the answer; set maxOutputTokens on the scene or on the model in providers[].models"
            }
            Unbounded::NoContextLength => {
                "part of the prompt is stored elsewhere; set contextTokens on the model in providers[].models"
            }
            Unbounded::ServerTool(_) => {
                "the provider runs a tool of its own; give it a costUsd in providers[].models[].price.serverTools"
            }
            Unbounded::Media => "audio has no known price",
        }
    }
}

/// The most tokens of a request, for limits on tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Input.
    pub input: u64,
    /// Output, over all answers.
    pub output: u64,
}

impl Tokens {
    /// Both.
    #[must_use]
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// The most that a request can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The most input, but for what the provider's tools bring.
    pub input_tokens: u64,
    /// The most output, over all answers.
    pub output_tokens: u64,
    /// The most money: what is held.
    pub usd: Usd,
    /// Of it, for tools that the provider runs. No count of tokens tells what they cost, so it is part of every
    /// settlement.
    pub tools_usd: Usd,
    /// Of `usd`, for the input.
    input_usd: Usd,
    /// The dearest price of a token of output.
    output_price: PerToken,
    /// What may be under way when a stream is closed.
    slack: u64,
}

/// Bytes of the shortest message that a provider accepts, without its text: `{"role":"user","content":""}`.
pub const STRUCTURE: u64 = 28;

/// Output that a provider may have made and not sent when a stream is closed (LEDGER A2), for each answer.
pub const SLACK: u64 = 256;

/// The most tokens that a request can have, for limits on tokens. Where the provider runs tools, whatever they bring is
/// taken to fill the context.
///
/// # Errors
/// Why nothing bounds them.
pub fn tokens(content: &Content, wire: &Wire<'_>) -> Result<Tokens, Unbounded> {
    let input = match content.server_tools == ServerTools::default() {
        true => input(content, wire)?,
        false => context(wire).ok_or(Unbounded::NoContextLength)?,
    };
    Ok(Tokens { input, output: output(content, wire)? })
}

fn input(content: &Content, wire: &Wire<'_>) -> Result<u64, Unbounded> {
    let context = context(wire);
    if content.elsewhere {
        return context.ok_or(Unbounded::NoContextLength);
    }
    let bytes = vendor::input(content, wire);
    Ok(context.map_or(bytes, |c| c.min(bytes)))
}

fn output(content: &Content, wire: &Wire<'_>) -> Result<u64, Unbounded> {
    let limit = wire.limit.or_else(|| longest(wire)).ok_or(Unbounded::NoOutputLimit)?.max(content.thinking_tokens);
    let answers = u64::from(content.answers.max(1));
    Ok(limit.saturating_add(content.prediction_bytes).saturating_mul(answers))
}

/// The most that a request can cost.
///
/// # Errors
/// Why nothing bounds it.
pub fn worst(content: &Content, wire: &Wire<'_>) -> Result<Bound, Unbounded> {
    let price = wire.facts.and_then(|f| f.price.as_ref()).ok_or(Unbounded::NoPrice)?;
    if content.media {
        return Err(Unbounded::Media);
    }
    let mut tools_usd = Usd::ZERO;
    for tool in content.server_tools.iter() {
        tools_usd = tools_usd.plus(price.server_tools.of(tool).ok_or(Unbounded::ServerTool(tool))?);
    }
    let (input, output) = (input(content, wire)?, output(content, wire)?);
    let (input_percent, output_percent) = match price.long_prompt {
        // A cliff may also make a price lower.
        Some(cliff) if input > cliff.above => (cliff.input_percent.max(100), cliff.output_percent.max(100)),
        _ => (100, 100),
    };
    let percent = percent(content, price);
    let input_usd = round_up(scaled(dearest(content, price, wire.api).times(input), input_percent, percent));
    let output_price = scaled(u128::from(price.output.0), output_percent, percent);
    let output_price = PerToken(u64::try_from(output_price).unwrap_or(u64::MAX));
    Ok(Bound {
        input_tokens: input,
        output_tokens: output,
        usd: input_usd.plus(round_up(output_price.times(output))).plus(tools_usd),
        tools_usd,
        input_usd,
        output_price,
        slack: SLACK * u64::from(content.answers.max(1)),
    })
}

/// The cost of a call whose price the policy gives as a whole (`paths[].costUsd`).
///
/// # Errors
/// It gives none.
pub fn of_path(cost: Option<Usd>) -> Result<Bound, Unbounded> {
    let usd = cost.ok_or(Unbounded::NoPrice)?;
    let (input_tokens, output_tokens, slack) = (0, 0, 0);
    let output_price = PerToken::default();
    Ok(Bound { input_tokens, output_tokens, usd, tools_usd: Usd::ZERO, input_usd: usd, output_price, slack })
}

impl Bound {
    /// What a request cost whose tokens are known: `cost` by its price, and the provider's tools in full.
    #[must_use]
    pub fn settled(&self, cost: Usd) -> Usd {
        cost.plus(self.tools_usd)
    }

    /// What a stream is charged that we closed where the provider then stops: its input in full, what was received, and
    /// what may have been under way; at most the hold. `received` are tokens where they are known, else the bytes of the
    /// content, since a token is at least one.
    #[must_use]
    pub fn closed_early(&self, received: u64) -> Usd {
        let output = self.output_price.times(received.saturating_add(self.slack));
        self.input_usd.plus(round_up(output)).plus(self.tools_usd).min(self.usd)
    }
}

/// The model's context length: the greater of what the policy says and what is known, since a policy may write less than
/// a model takes, to keep long prompts away from it.
fn context(wire: &Wire<'_>) -> Option<u64> {
    let own = wire.facts.and_then(|f| f.context_tokens)?;
    Some(own.max(catalogue::row_of(wire.model).map_or(0, |row| row.context)))
}

/// The model's longest answer where nothing on the wire limits it, by the same rule.
fn longest(wire: &Wire<'_>) -> Option<u64> {
    let own = wire.facts.and_then(|f| f.max_output_tokens).or_else(|| context(wire))?;
    Some(own.max(catalogue::row_of(wire.model).map_or(0, |row| row.output)))
}

/// The dearest price of a token of input.
fn dearest(content: &Content, price: &Price, api: Api) -> PerToken {
    let mark = match api {
        // Long prompts are kept without being asked.
        Api::OpenAi => content.cache.max(CacheMark::Short),
        Api::Anthropic => content.cache,
    };
    let read = price.input.max(price.cached_input);
    match mark {
        CacheMark::None => read,
        CacheMark::Short => read.max(price.cache_write),
        CacheMark::Long => read.max(price.cache_write).max(price.cache_write_long),
    }
}

/// The multiplier of the asked tier, in percent.
fn percent(content: &Content, price: &Price) -> u32 {
    let tiers = &price.tiers;
    let tier = match content.tier {
        Tier::Auto => tiers.auto,
        Tier::Standard => 100,
        Tier::Flex => tiers.flex,
        Tier::Priority => tiers.priority,
        Tier::Fast => tiers.fast,
        Tier::Ultrafast => tiers.ultrafast,
        Tier::Unknown => tiers.dearest(),
    };
    let tier = tier.max(100);
    if content.regional { (tier * catalogue::REGIONAL).div_ceil(100) } else { tier }
}

fn scaled(pico: u128, class: u32, tier: u32) -> u128 {
    pico.saturating_mul(u128::from(class)).saturating_mul(u128::from(tier)).div_ceil(10_000)
}
