//! Every instrument, in the order of the page: the six core metrics, whose names and meaning are promised, then
//! `llmroute_*`. `tests/goldens/metrics.txt` lists them.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::{
    core::Answers,
    names::Names,
    table::{Desc, Money, Rows, Seconds, Single, Table, counter, gauge, histogram},
};

// The six core metrics, over the last minute but for the fallbacks.

pub(super) const SUCCESS_RATE: Desc = gauge(
    "provider_success_rate",
    &["provider"],
    "Share of attempts that gave an answer, over the last minute; the caller's faults do not count.",
);
pub(super) const P95_LATENCY: Desc = gauge(
    "provider_p95_latency",
    &["provider"],
    "95th percentile of seconds to first content, over the last minute, of the slower kind: streams or plain calls.",
);
pub(super) const TIMEOUT_RATIO: Desc =
    gauge("provider_timeout_ratio", &["provider"], "Share of attempts that timed out, over the last minute.");
pub(super) const COST_PER_MIN: Desc = gauge(
    "token_cost_per_min",
    &["budget"],
    "USD spent in the last minute, by the value of the budget's scope that is nearest its limit.",
);
pub(super) const LIMIT_PER_MIN: Desc =
    gauge("budget_limit_per_min", &["budget"], "The budget's limit in USD a minute.");
const FALLBACKS: Desc = counter(
    "fallback_trigger_count",
    &["from", "to", "reason"],
    "Requests that went to another target than the preferred one, by both targets' providers and the reason.",
);
pub(super) const DEGRADE_RATIO: Desc =
    gauge("degrade_response_ratio", &["scene"], "Share of answers that were degraded, over the last minute.");

// Requests.

const REQUESTS: Desc = counter(
    "llmroute_requests_total",
    &["call", "scene", "tier", "status", "reason"],
    "Requests ended, each once; scene and tier are empty for those refused before they were understood.",
);
const REQUEST_DURATION: Desc = histogram(
    "llmroute_request_duration_seconds",
    &["scene", "tier", "stream"],
    "From accept to the end of the answer.",
);
const FIRST_CONTENT: Desc = histogram(
    "llmroute_request_first_content_seconds",
    &["scene", "tier", "stream"],
    "From accept to the first content of a stream or to a whole plain answer.",
);
const REQUESTS_OPEN: Desc = gauge("llmroute_requests_in_flight", &[], "Requests under way, open streams included.");
const STREAMS_OPEN: Desc = gauge("llmroute_streams_in_flight", &[], "Streams under way.");
const CONNECTIONS_OPEN: Desc = gauge("llmroute_connections_open", &[], "Connections of apps.");
const UNKNOWN_HINTS: Desc =
    counter("llmroute_unknown_hints_total", &[], "Hints that named no scene or tier of the policy, ignored.");
const FAILED_RULES: Desc =
    counter("llmroute_failed_rules_total", &[], "Rules that failed on a request and did not match.");

// Requests by id.

pub(super) const BY_ID: Desc =
    gauge("llmroute_by_id_requests", &["state"], "Requests by id that wait (queued) or run (running).");
pub(super) const BY_ID_BYTES: Desc =
    gauge("llmroute_by_id_bytes", &[], "Bytes of requests and answers by id in the state directory.");
const BY_ID_ENDED: Desc = counter("llmroute_by_id_ended_total", &["end"], "Requests by id ended, by how they ended.");

// Attempts.

const ATTEMPTS: Desc = counter(
    "llmroute_attempts_total",
    &["provider", "model", "class"],
    "Attempts ended, by how they ended; the model is * where the target sends the caller's.",
);
const ATTEMPT_DURATION: Desc =
    histogram("llmroute_attempt_duration_seconds", &["provider", "model"], "From the send to the end of the attempt.");
const ATTEMPT_FIRST_CONTENT: Desc = histogram(
    "llmroute_attempt_first_content_seconds",
    &["provider", "model"],
    "From the send to the first content of a stream or the head of a plain answer.",
);
const RETRIES: Desc = counter("llmroute_retries_total", &["provider"], "Attempts after a request's first.");
pub(super) const PROVIDER_CIRCUIT: Desc = gauge(
    "llmroute_provider_circuit_state",
    &["provider"],
    "The provider's own circuit: 0 closed, 1 half-open, 2 open.",
);
pub(super) const CIRCUIT: Desc =
    gauge("llmroute_circuit_state", &["provider", "model"], "The target's circuit: 0 closed, 1 half-open, 2 open.");

// Money.

const TOKENS: Desc = counter(
    "llmroute_tokens_total",
    &["provider", "model", "kind"],
    "Tokens as the provider counted them; input is what was neither read from nor written to its cache.",
);
const COST: Desc = counter("llmroute_cost_usd_total", &["provider", "model"], "Cost of attempts at a known price.");
const ESTIMATED: Desc = counter(
    "llmroute_cost_estimated_usd_total",
    &["provider", "model"],
    "Charged for attempts that ended without a count of tokens: an upper bound, beside llmroute_cost_usd_total.",
);
const OVERRUN: Desc = counter(
    "llmroute_cost_overrun_usd_total",
    &["provider", "model"],
    "Billed above what was held, because a provider did more than was asked of it.",
);

// Budgets and rates, of the value of their scope that is nearest its limit.

pub(super) const BUDGET_SPENT: Desc =
    gauge("llmroute_budget_spent_usd", &["budget"], "Spent in the window that ends now.");
pub(super) const BUDGET_HELD: Desc =
    gauge("llmroute_budget_held_usd", &["budget"], "Held for requests under way: the most that they can cost.");
pub(super) const BUDGET_LIMIT: Desc = gauge("llmroute_budget_limit_usd", &["budget"], "The cap.");
pub(super) const BUDGET_DEBT: Desc = gauge("llmroute_budget_debt_usd", &["budget"], "Spent and held above the cap.");
pub(super) const BUDGET_PRESSURE: Desc = gauge(
    "llmroute_budget_pressure",
    &["budget"],
    "0 below every threshold, 1 from warnAt on, 2 from degradeAt on, 3 full.",
);
pub(super) const BUDGET_NEXT_FREE: Desc =
    gauge("llmroute_budget_next_free_seconds", &["budget"], "Until the oldest spent money is free; 0 where none is.");
pub(super) const RATE_USED: Desc =
    gauge("llmroute_rate_used", &["provider", "unit"], "Requests or tokens used of a provider's limit a minute.");
pub(super) const RATE_LIMIT: Desc =
    gauge("llmroute_rate_limit", &["provider", "unit"], "The provider's limit a minute, by the policy.");
pub(super) const WAITING: Desc = gauge("llmroute_queue_waiting", &[], "Requests in line for money.");
pub(super) const JOURNAL_WRITES: Desc = counter(
    "llmroute_journal_writes_total",
    &["result"],
    "Writes to the state directory of what is spent and held; 0 without one.",
);
pub(super) const JOURNAL_WAITS: Desc = counter(
    "llmroute_journal_waits_total",
    &[],
    "Attempts that had to wait for such a write before they could be held.",
);
pub(super) const JOURNAL_FAILING: Desc =
    gauge("llmroute_journal_failing", &[], "1 while the last write failed: what budgets allow is then used up soon.");
pub(super) const LEASE_CUT_OFF: Desc = gauge(
    "llmroute_lease_cut_off",
    &[],
    "1 while pods share budgets and none of their coins can be borrowed: only this pod's guaranteed share can be spent.",
);
pub(super) const LEASE_WAITS: Desc = counter(
    "llmroute_lease_waits_total",
    &["result"],
    "Requests that waited for coins that others may have: answered, or not within the budget's leaseWait.",
);
pub(super) const LEASE_WAITED: Desc =
    counter("llmroute_lease_waited_seconds_total", &[], "How long all of them waited.");

// The policy and the keys.

pub(super) const POLICY: Desc = gauge("llmroute_policy_info", &["policy"], "1 for the policy in force.");
pub(super) const POLICY_GENERATION: Desc =
    gauge("llmroute_policy_generation", &[], "metadata.generation of the policy in force, 0 where it has none.");
pub(super) const POLICY_SINCE: Desc = gauge(
    "llmroute_policy_in_force_since_seconds",
    &[],
    "When the policy came into force, seconds since 1970; 0 while none is.",
);
pub(super) const POLICY_REFUSED: Desc = gauge(
    "llmroute_policy_refused_faults",
    &[],
    "Faults of the newest version of the policy, while it is refused and an older one stays in force.",
);
pub(super) const NOT_IN_FORCE: Desc =
    gauge("llmroute_policy_not_in_force", &["field"], "1 for each field that is set and has no effect yet.");
pub(super) const CREDENTIAL_MISSING: Desc =
    gauge("llmroute_credential_missing", &["provider"], "1 for a provider whose key is not there.");
pub(super) const CREDENTIAL_VANISHED: Desc =
    gauge("llmroute_credential_vanished", &["key"], "1 for a key whose file is gone; it stays in use.");

// The operator.

pub(super) const CONTROL_CONNECTED: Desc =
    gauge("llmroute_control_connected", &[], "1 while the operator's stream is up.");
pub(super) const CONTROL_SNAPSHOTS: Desc = counter(
    "llmroute_control_snapshots_total",
    &["result"],
    "Policies that the operator sent, by whether they were accepted; a rejected one leaves the one before in force.",
);

// The process.

pub(super) const BUILD: Desc = gauge("llmroute_build_info", &["version"], "1.");
pub(super) const DRAINING: Desc = gauge("llmroute_draining", &[], "1 from SIGTERM on.");
pub(super) const BODY_BYTES: Desc =
    gauge("llmroute_body_bytes_held", &[], "Bytes of request and answer bodies in memory.");
pub(super) const BODY_BUDGET: Desc = gauge("llmroute_body_bytes_limit", &[], "The budget that they share.");

// What telemetry itself delivered and lost.

pub(super) const SPANS_EXPORTED: Desc = counter("llmroute_spans_exported_total", &[], "Spans that the collector took.");
pub(super) const SPANS_LOST: Desc =
    counter("llmroute_spans_lost_total", &["why"], "Spans lost because the queue was full or an export failed.");
pub(super) const DECISIONS: Desc = counter("llmroute_decisions_total", &[], "Decision records written.");
pub(super) const DECISIONS_LOST: Desc =
    counter("llmroute_decisions_lost_total", &[], "Decision records lost because standard error was slow.");
pub(super) const LINES_LOST: Desc =
    counter("llmroute_log_lines_lost_total", &[], "Log lines lost because standard error was slow.");

/// Counters and histograms with their rows, and what the core metrics slide over.
#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) fallbacks: Table<Counter, 3>,
    pub(super) requests: Table<Counter, 5>,
    pub(super) request_duration: Table<Seconds, 3>,
    pub(super) first_content: Table<Seconds, 3>,
    pub(super) requests_open: Single<Gauge>,
    pub(super) streams_open: Single<Gauge>,
    pub(super) connections_open: Single<Gauge>,
    pub(super) unknown_hints: Single<Counter>,
    pub(super) failed_rules: Single<Counter>,
    pub(super) by_id_ended: Table<Counter, 1>,
    pub(super) attempts: Table<Counter, 3>,
    pub(super) attempt_duration: Table<Seconds, 2>,
    pub(super) attempt_first_content: Table<Seconds, 2>,
    pub(super) retries: Table<Counter, 1>,
    pub(super) tokens: Table<Counter, 3>,
    pub(super) cost: Table<Money, 2>,
    pub(super) estimated: Table<Money, 2>,
    pub(super) overrun: Table<Money, 2>,
    /// By scene; behind [`DEGRADE_RATIO`].
    pub(super) answers: Rows<Answers, 1>,
}

impl Default for Instruments {
    fn default() -> Self {
        Instruments {
            fallbacks: Table::new(&FALLBACKS),
            requests: Table::new(&REQUESTS),
            request_duration: Table::new(&REQUEST_DURATION),
            first_content: Table::new(&FIRST_CONTENT),
            requests_open: Single::new(&REQUESTS_OPEN),
            streams_open: Single::new(&STREAMS_OPEN),
            connections_open: Single::new(&CONNECTIONS_OPEN),
            unknown_hints: Single::new(&UNKNOWN_HINTS),
            failed_rules: Single::new(&FAILED_RULES),
            by_id_ended: Table::new(&BY_ID_ENDED),
            attempts: Table::new(&ATTEMPTS),
            attempt_duration: Table::new(&ATTEMPT_DURATION),
            attempt_first_content: Table::new(&ATTEMPT_FIRST_CONTENT),
            retries: Table::new(&RETRIES),
            tokens: Table::new(&TOKENS),
            cost: Table::new(&COST),
            estimated: Table::new(&ESTIMATED),
            overrun: Table::new(&OVERRUN),
            answers: Rows::default(),
        }
    }
}

impl Instruments {
    /// Rows of names that are no longer in force vanish; the others keep their values.
    pub(super) fn retain(&self, names: &Names) {
        let target = |provider: &str, model: &str| names.target(provider, model);
        let classified = |scene: &str, tier: &str| names.scene(scene) && names.tier(tier);
        self.fallbacks.rows.retain(|[from, to, _]| names.provider(from) && names.provider(to));
        self.requests.rows.retain(|[_, scene, tier, ..]| classified(scene, tier));
        self.request_duration.rows.retain(|[scene, tier, _]| classified(scene, tier));
        self.first_content.rows.retain(|[scene, tier, _]| classified(scene, tier));
        self.attempts.rows.retain(|[provider, model, _]| target(provider, model));
        self.attempt_duration.rows.retain(|[provider, model]| target(provider, model));
        self.attempt_first_content.rows.retain(|[provider, model]| target(provider, model));
        self.retries.rows.retain(|[provider]| names.provider(provider));
        self.tokens.rows.retain(|[provider, model, _]| target(provider, model));
        for spent in [&self.cost, &self.estimated, &self.overrun] {
            spent.rows.retain(|[provider, model]| target(provider, model));
        }
        self.answers.retain(|[scene]| names.scene(scene));
    }
}
