//! Provider accounts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Capabilities;
use crate::text::{ApiPath, Factor, HeaderValue, KeyName, ModelName, Name, PerMTok, Span, Url, Usd};

/// A provider account behind one base URL.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Unique in the policy; label of metrics and prefix of reasons.
    pub name: Name,
    /// What it speaks; any compatible server works by its `baseUrl`.
    pub api: Api,
    /// Where it is; may end in `/v1`. Unset: the vendor's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Url>,
    /// Key of the credentials Secret (file of the credentials directory) that is sent. Unset: no credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_key: Option<KeyName>,
    /// Fixed extra request headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "x-kubernetes-validations" = crate::crd::rules::HEADERS.json()))]
    pub headers: BTreeMap<String, HeaderValue>,
    /// Further `/v1` paths that apps may use, and prices for paths that have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub paths: Vec<ExtraPath>,
    /// HTTP/2 to the provider; HTTP/1.1 unless asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http2: Option<bool>,
    /// Rates and concurrency that the account allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Active probe for times of thin traffic: lists models, or asks for one token. Unset: every 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// What a stream that we end goes on to cost. Unset: Stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_billing: Option<CancelBilling>,
    /// How long after its send a bill may still grow. Unset: 2m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bill_horizon: Option<Span>,
    /// Facts on models; they win, field by field, over the built-in catalogue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub models: Vec<Model>,
}

/// Family of APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Api {
    /// Chat Completions, Responses and the rest of that surface.
    OpenAI,
    /// The same without Responses, as most compatible servers have it: who speaks that is translated.
    ChatCompletions,
    /// Messages.
    Anthropic,
}

/// A path beyond the known ones, or a price for a known one.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtraPath {
    /// The path; those below it are meant too.
    pub path: ApiPath,
    /// What one call costs, for budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
}

/// Rates and concurrency; what is unset is not limited.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Requests in any minute.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<i64>,
    /// Tokens in any minute.
    #[schemars(range(min = 1, max = 1_000_000_000_000i64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<i64>,
    /// Bounds of the adaptive number of requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
}

/// Bounds of the adaptive number of requests in flight.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::CONCURRENCY.json()))]
pub struct Concurrency {
    /// Never fewer.
    #[schemars(range(min = 1, max = 100_000))]
    pub min: i32,
    /// Never more.
    #[schemars(range(min = 1, max = 100_000))]
    pub max: i32,
}

/// Active probe.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = crate::crd::rules::PROBE.json()))]
pub struct Probe {
    /// Between probes. Unset: 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// A slower probe failed. Unset: 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// What a cancelled stream goes on to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CancelBilling {
    /// The provider stops when the connection closes.
    Stops,
    /// It runs to the end and bills all of it.
    RunsOn,
}

/// Facts on one model.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Exact name, as on the wire.
    pub name: ModelName,
    /// What it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Longest prompt plus answer, in tokens.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<i64>,
    /// Longest answer, in tokens.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// Whether it takes images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
    /// Most tokens that one image can be. Unset: the vendor's worst case.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_tokens: Option<i64>,
    /// What else it takes and refuses. Unset: the catalogue's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
}

/// USD per million tokens by class.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Price {
    /// Input that was not cached.
    #[serde(rename = "inputPerMTok")]
    pub input: PerMTok,
    /// Input read from the provider's cache. Unset: the catalogue's, else as `inputPerMTok`.
    #[serde(rename = "cachedInputPerMTok", skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<PerMTok>,
    /// Input written to the cache for its short time to live. Unset: the catalogue's, else 1.25 times the input.
    #[serde(rename = "cacheWritePerMTok", skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<PerMTok>,
    /// Input written for the long time to live. Unset: the catalogue's, else twice the input.
    #[serde(rename = "cacheWriteLongPerMTok", skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<PerMTok>,
    /// Output, reasoning included.
    #[serde(rename = "outputPerMTok")]
    pub output: PerMTok,
    /// From some length on the whole request is priced anew. Unset: the catalogue's, else never.
    #[serde(rename = "longPrompt", skip_serializing_if = "Option::is_none")]
    pub long_prompt: Option<LongPrompt>,
    /// What service tiers multiply all of it by. Unset: the catalogue's, else the dearest known.
    #[serde(rename = "serviceTiers", skip_serializing_if = "Option::is_none")]
    pub service_tiers: Option<ServiceTiers>,
    /// Tools that the provider runs itself. One without a price here has no bound, and a request with it is refused where
    /// a budget holds.
    #[serde(rename = "serverTools", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["tool"]))]
    pub server_tools: Vec<ServerToolCost>,
}

/// Factors of service tiers; one that is unset is the catalogue's, else the dearest known.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ServiceTiers {
    /// Where the request names no tier, or `auto`: what the account's own default costs. Unset: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto: Option<Factor>,
    /// `flex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flex: Option<Factor>,
    /// `priority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Factor>,
    /// `fast`, and Anthropic's `speed: fast`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast: Option<Factor>,
    /// `ultrafast`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ultrafast: Option<Factor>,
}

/// What a tool of the provider may cost.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerToolCost {
    /// Which.
    pub tool: ServerTool,
    /// Most that it may add to one request: its fees, and the tokens of its results.
    pub cost_usd: Usd,
}

/// A tool that the provider runs itself, or work of its own that it bills to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ServerTool {
    /// Searches the web.
    WebSearch,
    /// Fetches pages.
    WebFetch,
    /// Searches stored files.
    FileSearch,
    /// Runs code in a container of the provider.
    CodeExecution,
    /// Makes images.
    ImageGeneration,
    /// Drives a computer.
    ComputerUse,
    /// Calls remote MCP servers.
    Mcp,
    /// Looks for tools.
    ToolSearch,
    /// Asks a second model.
    Advisor,
    /// Sums up the conversation when it grows long.
    Compaction,
    /// Goes on with another model.
    Fallback,
    /// Any other.
    Other,
}

/// A price cliff.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LongPrompt {
    /// Input tokens above which it applies to the whole request.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub above_tokens: i64,
    /// All input classes times this.
    pub input_factor: Factor,
    /// Output times this.
    pub output_factor: Factor,
}
