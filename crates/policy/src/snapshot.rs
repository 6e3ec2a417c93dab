//! The validated, immutable picture of one policy: plain data with names resolved to indexes and strings to numbers.
//!
//! Made by `api::lower` only; nothing inside checks twice.

use std::{sync::Arc, time::Duration};

use crate::{
    catalogue::{ModelFacts, Price},
    expr::Expr,
    money::Usd,
};

/// Ratios as basis points (1/10,000), so that they compare and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(pub u32);

impl Ratio {
    /// 1.0.
    pub const ONE: Ratio = Ratio(10_000);

    /// Whether `part` of `whole` reaches this ratio.
    #[must_use]
    pub fn reached(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 10_000 >= u128::from(whole) * u128::from(self.0)
    }
}

/// Index of a provider in [`Snapshot::providers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(pub u16);

/// Index of a scene in [`Snapshot::scenes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SceneId(pub u16);

/// Index of a tier in [`Snapshot::tiers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TierId(pub u16);

/// One policy in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// `namespace/name` of the resource.
    pub name: Arc<str>,
    /// `metadata.generation`, where the manifest has one.
    pub generation: Option<i64>,
    /// In the policy's order, at least one.
    pub providers: Vec<Provider>,
    /// How a request gets its scene, tier and tenant.
    pub classify: Classify,
    /// At least one.
    pub tiers: Vec<Tier>,
    /// At least one.
    pub scenes: Vec<Scene>,
    /// Caps on money.
    pub budgets: Vec<Budget>,
    /// When a circuit opens and closes.
    pub breaker: Breaker,
    /// When a target counts as unhealthy.
    pub health: Health,
    /// Fields that the policy has and this version does not act on yet; told, never silently ignored.
    pub not_in_force: Vec<NotInForce>,
}

/// A field that was accepted and has no effect yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotInForce {
    /// Path of the field, such as `spec.tiers[0].hedge`.
    pub path: String,
    /// What does not happen, in a sentence.
    pub effect: &'static str,
}

/// Which family of API a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Chat Completions, Responses and the rest of the OpenAI surface.
    OpenAi,
    /// Messages.
    Anthropic,
}

/// A provider account behind one base URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Unique in the policy; metric label and prefix of reasons.
    pub name: Arc<str>,
    /// What it speaks.
    pub api: Api,
    /// Where it is.
    pub base: BaseUrl,
    /// File name in the credentials directory; `None` sends no credential.
    pub credential_key: Option<Arc<str>>,
    /// Fixed extra request headers, names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Further `/v1` paths that apps may use.
    pub paths: Vec<PathRule>,
    /// HTTP/2 upstream.
    pub http2: bool,
    /// Request and token rates, concurrency bounds.
    pub limits: Limits,
    /// Active probe.
    pub probe: Option<Probe>,
    /// What a stream that we end goes on to cost.
    pub cancel_billing: CancelBilling,
    /// How long after its send a bill may still grow.
    pub bill_horizon: Option<Duration>,
    /// The policy's own facts on models, by exact name; they win over the built-in catalogue.
    pub models: Vec<ModelFacts>,
}

/// A base URL taken apart once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// `https` rather than `http`.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: Box<str>,
    /// Explicit or the scheme's default.
    pub port: u16,
    /// What stands before `/v1`: empty, or `/prefix` without a trailing slash. A `/v1` at the end of the URL is cut.
    pub prefix: Box<str>,
}

/// A `/v1` path beyond the known ones, or a price for a known one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// Exact path, or a prefix that ends before a `/` of the request's path.
    pub path: Box<str>,
    /// What one call costs, for budgets.
    pub cost: Option<Usd>,
}

/// Rates and concurrency of a provider; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute.
    pub tokens_per_minute: Option<u64>,
    /// Bounds of the adaptive concurrency window (min, max).
    pub concurrency: Option<(u32, u32)>,
}

/// Active probing of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Between probes.
    pub interval: Duration,
    /// A probe slower than this failed.
    pub timeout: Duration,
}

/// What a cancelled stream goes on to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelBilling {
    /// The provider stops when the connection closes.
    #[default]
    Stops,
    /// It runs to the end and bills all of it.
    RunsOn,
}

/// How a request gets its scene, tier and tenant: hint, rule, default.
#[derive(Clone, Debug, PartialEq)]
pub struct Classify {
    /// Header names (lower case) for the scene, `x-llmroute-scene` first; likewise below.
    pub scene_headers: Vec<Box<str>>,
    /// Header names for the tier.
    pub tier_headers: Vec<Box<str>>,
    /// Header names for the tenant.
    pub tenant_headers: Vec<Box<str>>,
    /// False ignores every hint.
    pub trust_hints: bool,
    /// First match wins.
    pub rules: Vec<Rule>,
    /// Where no hint and no rule speaks.
    pub default_scene: SceneId,
    /// Likewise.
    pub default_tier: TierId,
}

/// One `classify` rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// When it applies.
    pub when: Expr,
    /// The scene it gives, if any.
    pub scene: Option<SceneId>,
    /// The tier it gives, if any.
    pub tier: Option<TierId>,
}

/// What a tier optimises once uptime is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The scene's own order.
    Quality,
    /// Cheapest first.
    Cost,
    /// Fastest first, by observed p95.
    Latency,
}

/// What a class of callers is promised.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// Order of candidates.
    pub objective: Objective,
    /// The five bounds on time, all resolved.
    pub timeouts: Timeouts,
    /// How often and how fast to try again.
    pub retries: Retries,
    /// A second try before the first has failed.
    pub hedge: Option<Hedge>,
    /// Cap on one request.
    pub max_cost: Option<Usd>,
    /// Leave out a target that would lose something in translation.
    pub strict_translation: bool,
    /// Ladder when a budget is spent, top to bottom, never empty.
    pub over_budget: Vec<Rung>,
    /// What is promised over a month.
    pub slo: Option<Slo>,
}

/// Bounds on time of one request (DESIGN: "Timeouts").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP.
    pub connect: Duration,
    /// TLS handshake.
    pub tls: Duration,
    /// To the first content of a stream.
    pub first_byte: Duration,
    /// To the headers of a plain answer.
    pub first_byte_plain: Duration,
    /// Between events or body reads from then on.
    pub idle: Duration,
    /// To the commit.
    pub total: Duration,
}

/// Tries and pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Every try of one request, the first included; at least 1.
    pub attempts: u32,
    /// Base of the full-jitter backoff.
    pub base: Duration,
    /// Its cap.
    pub cap: Duration,
    /// Repeats on the same provider as a share of its successes.
    pub budget_ratio: Ratio,
}

/// Hedging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// Without content after this long, a second try starts.
    pub after: Duration,
    /// At most this much for the second try.
    pub max_cost: Option<Usd>,
    /// At most this share of requests.
    pub max_share: Option<Ratio>,
}

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// The scene's cheaper targets.
    CheaperModel,
    /// A smaller request.
    Trim,
    /// An answer from before.
    Cache,
    /// Wait in line for the money.
    Queue,
    /// A clear no.
    Reject,
}

/// Service level objective of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slo {
    /// Share of requests that must succeed.
    pub success_rate: Ratio,
    /// Bound on the 95th percentile.
    pub p95: Option<Duration>,
    /// Over this long.
    pub window: Duration,
}

/// A kind of request with its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// Best quality first, at least one.
    pub targets: Vec<Target>,
    /// Put on requests that set no limit of their own.
    pub max_output_tokens: Option<u64>,
    /// How to make a request smaller.
    pub trim: Option<Trim>,
    /// Answers kept.
    pub cache: Option<Cache>,
    /// Checks on an answer.
    pub guardrails: Vec<Guardrail>,
}

/// A model at a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Whose.
    pub provider: ProviderId,
    /// What goes on the wire; `None` sends the caller's.
    pub model: Option<Arc<str>>,
    /// What is known of `model`, from the policy or the catalogue; `None` for an unknown model or none named.
    pub facts: Option<Arc<ModelFacts>>,
}

impl Target {
    /// Price of the target's own model, where known.
    #[must_use]
    pub fn price(&self) -> Option<&Price> {
        self.facts.as_ref().and_then(|f| f.price.as_ref())
    }
}

/// The Trim rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trim {
    /// Last messages kept.
    pub keep_messages: Option<u32>,
    /// Lower output limit.
    pub max_output_tokens: Option<u64>,
    /// Lower temperature, in thousandths.
    pub temperature_milli: Option<u32>,
}

/// The answer cache of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// How long an answer is good.
    pub ttl: Duration,
    /// Always, rather than only when the request would be refused.
    pub always: bool,
}

/// A check on an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guardrail {
    /// Some content.
    NotEmpty,
    /// Valid for the schema the request asked for.
    JsonSchema,
    /// Not cut off by the output limit.
    NotTruncated,
}

/// What a budget is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One cap for all.
    Policy,
    /// One a tenant.
    Tenant,
    /// One a scene.
    Scene,
    /// One a tier.
    Tier,
    /// One a provider.
    Provider,
}

/// A cap on money over any window of a length.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// Length, 5 s to 31 d.
    pub window: Duration,
    /// The cap.
    pub limit: Usd,
    /// Counted by.
    pub scope: Scope,
    /// Alert from here on.
    pub warn_at: Option<Ratio>,
    /// Cheaper and shorter from here on.
    pub degrade_at: Option<Ratio>,
    /// Part of the cap that pods have without an operator.
    pub guaranteed: Option<Ratio>,
    /// Longest wait for a lease.
    pub lease_wait: Duration,
}

/// When a circuit opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub consecutive_failures: u32,
    /// Share of failures that opens it,
    pub failure_ratio: Ratio,
    /// once there were so many outcomes in the window.
    pub min_requests: u32,
    /// First time open; longer each time after.
    pub open_for: Duration,
    /// Tries let through when half-open.
    pub half_open_probes: u32,
    /// Successes among them that close it.
    pub close_after: u32,
}

/// When a target counts as unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Score below which a target stands behind the healthy ones.
    pub unhealthy_below: u32,
    /// Outcomes in the window before the score speaks.
    pub min_requests: u32,
}

impl Snapshot {
    /// The provider at `id`; ids come from this snapshot alone.
    #[must_use]
    pub fn provider(&self, id: ProviderId) -> &Provider {
        &self.providers[usize::from(id.0)]
    }

    /// The scene at `id`.
    #[must_use]
    pub fn scene(&self, id: SceneId) -> &Scene {
        &self.scenes[usize::from(id.0)]
    }

    /// The tier at `id`.
    #[must_use]
    pub fn tier(&self, id: TierId) -> &Tier {
        &self.tiers[usize::from(id.0)]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::catalogue;

    fn provider(name: &str, api: Api) -> Provider {
        Provider {
            name: name.into(),
            api,
            base: BaseUrl { tls: false, host: "127.0.0.1".into(), port: 1, prefix: "".into() },
            credential_key: Some(name.into()),
            headers: vec![],
            paths: vec![],
            http2: false,
            limits: Limits::default(),
            probe: None,
            cancel_billing: CancelBilling::Stops,
            bill_horizon: None,
            models: vec![],
        }
    }

    fn tier(name: &str, objective: Objective) -> Tier {
        let s = Duration::from_secs;
        Tier {
            name: name.into(),
            objective,
            timeouts: Timeouts {
                connect: s(2),
                tls: s(2),
                first_byte: s(4),
                first_byte_plain: s(6),
                idle: s(10),
                total: s(12),
            },
            retries: Retries { attempts: 3, base: Duration::from_millis(200), cap: s(5), budget_ratio: Ratio(2_000) },
            hedge: None,
            max_cost: None,
            strict_translation: false,
            over_budget: vec![Rung::Reject],
            slo: None,
        }
    }

    pub(crate) fn target(provider: u16, model: &str) -> Target {
        Target {
            provider: ProviderId(provider),
            model: Some(model.into()),
            facts: catalogue::find(model).map(Arc::new),
        }
    }

    fn scene(name: &str, targets: Vec<Target>) -> Scene {
        Scene { name: name.into(), targets, max_output_tokens: Some(2048), trim: None, cache: None, guardrails: vec![] }
    }

    /// Two providers, scenes `chat` (sol, luna, sonnet) and `code` (sonnet, sol), tiers `gold` and `silver` (Cost).
    pub(crate) fn snapshot() -> Snapshot {
        let names = |n: &str| vec![format!("x-llmroute-{n}").into_boxed_str(), format!("x-{n}").into_boxed_str()];
        Snapshot {
            name: "default/test".into(),
            generation: Some(1),
            providers: vec![provider("openai", Api::OpenAi), provider("claude", Api::Anthropic)],
            classify: Classify {
                scene_headers: names("scene"),
                tier_headers: names("tier"),
                tenant_headers: names("tenant"),
                trust_hints: true,
                rules: vec![],
                default_scene: SceneId(0),
                default_tier: TierId(0),
            },
            tiers: vec![tier("gold", Objective::Quality), tier("silver", Objective::Cost)],
            scenes: vec![
                scene("chat", vec![target(0, "gpt-6-sol"), target(0, "gpt-6-luna"), target(1, "claude-sonnet-5-5")]),
                scene("code", vec![target(1, "claude-sonnet-5-5"), target(0, "gpt-6-sol")]),
            ],
            budgets: vec![],
            breaker: Breaker {
                consecutive_failures: 5,
                failure_ratio: Ratio(5_000),
                min_requests: 20,
                open_for: Duration::from_secs(30),
                half_open_probes: 3,
                close_after: 2,
            },
            health: Health { unhealthy_below: 65, min_requests: 20 },
            not_in_force: vec![],
        }
    }
}
