//! The policies that users start from, and the defaults they rest on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::time::Duration;

use policy::{
    catalogue::{Capabilities, ServerTool, ThinkingOff},
    expr::{Cmp, Expr, Find, Num, Text},
    money::Usd,
    snapshot::{Api, CancelBilling, Limits, Objective, ProviderId, Ratio, Rung, SceneId, Snapshot, TierId, Timeouts},
};

const SMALL: &str = include_str!("policies/small.yaml");
const FULL: &str = include_str!("policies/full.yaml");
const BENCH: &str = include_str!("policies/bench.yaml");

fn load(yaml: &str) -> Snapshot {
    api::load(yaml).unwrap_or_else(|faults| panic!("{}", faults.iter().map(|f| format!("{f}\n")).collect::<String>()))
}

/// The small policy with `from` replaced.
fn small_with(from: &str, to: &str) -> Snapshot {
    assert!(SMALL.contains(from), "{from}");
    load(&SMALL.replace(from, to))
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn small_things_are_small_and_every_default_works() {
    assert!(SMALL.lines().count() <= 25);
    let policy = load(SMALL);
    assert_eq!(&*policy.name, "default/small");
    assert_eq!(policy.generation, None);
    let hosts: Vec<(&str, bool, u16, Api)> =
        policy.providers.iter().map(|p| (&*p.base.host, p.base.tls, p.base.port, p.api)).collect();
    assert_eq!(hosts, [("api.openai.com", true, 443, Api::OpenAi), ("api.anthropic.com", true, 443, Api::Anthropic)]);
    let claude = &policy.providers[1];
    assert_eq!((claude.probe.interval, claude.probe.timeout, claude.bill_horizon), (s(30), s(5), s(120)));
    assert_eq!((claude.cancel_billing, claude.http2, claude.limits), (CancelBilling::Stops, false, Limits::default()));
    let [tier] = policy.tiers.as_slice() else { panic!("one tier") };
    assert_eq!((&*tier.name, tier.objective, &*tier.over_budget), ("default", Objective::Quality, &[Rung::Reject][..]));
    let want =
        Timeouts { connect: s(2), tls: s(2), first_byte: s(60), first_byte_plain: s(90), idle: s(60), total: s(180) };
    assert_eq!(tier.timeouts, want);
    assert_eq!((tier.retries.attempts, tier.retries.base, tier.retries.cap), (3, Duration::from_millis(200), s(5)));
    assert_eq!(tier.retries.budget_ratio, Ratio(2000));
    assert_eq!((policy.classify.default_scene, policy.classify.default_tier), (SceneId(0), TierId(0)));
    assert!(policy.classify.trust_hints);
    assert_eq!(policy.classify.scene_headers, ["x-llmroute-scene".into()]);
    let breaker = policy.breaker;
    assert_eq!((breaker.consecutive_failures, breaker.failure_ratio, breaker.min_requests), (5, Ratio(5000), 20));
    assert_eq!((breaker.open_for, breaker.half_open_probes, breaker.close_after), (s(30), 3, 2));
    assert_eq!((policy.health.unhealthy_below, policy.health.min_requests), (65, 20));
    let budget = &policy.budgets[0];
    assert_eq!((budget.window, budget.limit, budget.warn_at), (s(86_400), Usd(20_000_000_000), None));
    assert_eq!((budget.guaranteed, budget.lease_wait), (Some(Ratio(500)), Duration::from_millis(100)));
    let paths: Vec<&str> = policy.not_in_force.iter().map(|n| n.path.as_str()).collect();
    assert_eq!(paths, Vec::<&str>::new());
}

#[test]
fn the_full_policy_says_all_of_it() {
    let policy = load(FULL);
    assert_eq!(&*policy.name, "shop/full");
    let openai = &policy.providers[0];
    assert_eq!(openai.limits.concurrency, Some((4, 64)));
    assert_eq!((openai.probe.interval, openai.probe.timeout), (s(30), s(5)));
    let gold = &policy.tiers[0];
    let want =
        Timeouts { connect: s(2), tls: s(2), first_byte: s(4), first_byte_plain: s(4), idle: s(10), total: s(12) };
    assert_eq!(gold.timeouts, want);
    assert_eq!(gold.max_cost, Some(Usd(20_000_000)));
    assert_eq!(gold.over_budget, [Rung::CheaperModel, Rung::Trim, Rung::Cache, Rung::Queue, Rung::Reject]);
    assert_eq!(gold.slo.map(|s| s.success_rate), Some(Ratio(9950)));
    assert_eq!(policy.classify.tenant_headers, ["x-llmroute-tenant".into(), "x-tenant".into()]);
    assert_eq!((policy.classify.default_scene, policy.classify.default_tier), (SceneId(0), TierId(1)));
    let rule = &policy.classify.rules[0];
    let starts = Expr::Find(Text::Model, Find::Starts, Text::Lit("code".into()));
    assert_eq!(rule.when, Expr::Or(Box::new([Expr::Int(Num::Tools, Cmp::Gt, Num::Lit(0)), starts])));
    assert_eq!((rule.scene, rule.tier), (Some(SceneId(1)), None));
    let chat = &policy.scenes[0];
    assert_eq!(chat.targets[2].provider, ProviderId(1));
    assert_eq!(chat.max_output_tokens, Some(2048));
    assert_eq!(chat.trim.and_then(|t| t.temperature_milli), Some(200));
    assert_eq!(chat.guardrails.len(), 3);
    let paths: Vec<&str> = policy.not_in_force.iter().map(|n| n.path.as_str()).collect();
    let want = [
        "spec.providers[0].limits.concurrency",
        "spec.providers[0].probe",
        "spec.tiers[0].hedge",
        "spec.tiers[0].slo",
        "spec.scenes[0].guardrails",
        "spec.health",
        "spec.cutover",
    ];
    assert_eq!(paths, want);
}

#[test]
fn the_benchmarks_policy_loads() {
    let policy = load(BENCH);
    let price = policy.scenes[0].targets[0].price().copied().unwrap();
    assert_eq!((price.input.0, price.cached_input.0, price.output.0), (2_000_000, 200_000, 10_000_000));
    assert_eq!(policy.tiers[1].timeouts.total, s(36));
}

#[test]
fn timeouts_derive_from_the_sla_unless_set() {
    let tiers = |row: &str| {
        let policy = small_with("  scenes:", &format!("  tiers:\n  - {{name: t, {row}}}\n  scenes:"));
        let t = policy.tiers[0].timeouts;
        [t.connect, t.tls, t.first_byte, t.first_byte_plain, t.idle, t.total].map(|d| d.as_millis())
    };
    let rows = [
        ("sla: 20s", [2000, 2000, 4000, 6000, 10_000, 12_000]),
        ("objective: Cost", [2000, 2000, 60_000, 90_000, 60_000, 180_000]),
        ("sla: 10m", [2000, 2000, 120_000, 180_000, 60_000, 360_000]),
        ("sla: 20s, timeouts: {total: 30s}", [2000, 2000, 4000, 15_000, 10_000, 30_000]),
        ("sla: 20s, timeouts: {firstByte: 40s}", [2000, 2000, 40_000, 40_000, 10_000, 12_000]),
        ("sla: 20s, timeouts: {connect: 1ms, tls: 9s, idle: 3m}", [1, 9000, 4000, 6000, 180_000, 12_000]),
    ];
    for (row, want) in rows {
        assert_eq!(tiers(row), want, "{row}");
    }
}

#[test]
fn the_default_tier_is_the_one_of_that_name_or_the_first() {
    let default =
        |tiers: &str| small_with("  scenes:", &format!("  tiers: [{tiers}]\n  scenes:")).classify.default_tier;
    assert_eq!(default("{name: a}, {name: default}"), TierId(1));
    assert_eq!(default("{name: a}, {name: b}"), TierId(0));
}

#[test]
fn what_is_set_alone_pulls_its_counterpart_along() {
    let breaker = |row: &str| {
        let b = small_with("  scenes:", &format!("  breaker: {{{row}}}\n  scenes:")).breaker;
        (b.half_open_probes, b.close_after)
    };
    assert_eq!(breaker("halfOpenProbes: 1"), (1, 1));
    assert_eq!(breaker("closeAfter: 5"), (5, 5));
    assert_eq!(breaker("halfOpenProbes: 9"), (9, 2));
    let retries = |row: &str| {
        let tier = format!("  tiers: [{{name: t, retries: {{{row}}}}}]\n  scenes:");
        let r = small_with("  scenes:", &tier).tiers[0].retries;
        (r.base.as_millis(), r.cap.as_millis())
    };
    assert_eq!(retries("base: 9s"), (9000, 9000));
    assert_eq!(retries("cap: 50ms"), (50, 50));
}

#[test]
fn the_policys_facts_win_field_by_field() {
    let facts = |models: &str| {
        let row = format!("credentialKey: openai, models: [{models}]}}");
        small_with("credentialKey: openai}", &row).scenes[0].targets[0].facts.clone().unwrap()
    };
    let built_in = small_with("24h", "24h").scenes[0].targets[0].facts.clone().unwrap();
    assert_eq!(facts("{name: gpt-6-sol}"), built_in);
    let own = facts("{name: gpt-6-sol, contextTokens: 9, price: {inputPerMTok: \"3\", outputPerMTok: \"4\"}}");
    let (price, listed) = (own.price.unwrap(), built_in.price.unwrap());
    assert_eq!((own.context_tokens, own.max_output_tokens), (Some(9), built_in.max_output_tokens));
    assert_eq!((price.input.0, price.output.0), (3_000_000, 4_000_000));
    assert_eq!(
        (price.cached_input, price.cache_write, price.long_prompt),
        (listed.cached_input, listed.cache_write, listed.long_prompt)
    );
    let cliff = "longPrompt: {aboveTokens: 5, inputFactor: \"2\", outputFactor: \"1.5\"}";
    let own = facts(&format!("{{name: gpt-6-sol, price: {{inputPerMTok: \"1\", outputPerMTok: \"1\", {cliff}}}}}"));
    let long = own.price.and_then(|p| p.long_prompt).unwrap();
    assert_eq!((long.above, long.input_percent, long.output_percent), (5, 200, 150));
    assert_eq!((price.tiers, price.server_tools), (listed.tiers, listed.server_tools));
    let more = "cachedInputPerMTok: \"0.1\", cacheWritePerMTok: \"1.5\", cacheWriteLongPerMTok: \"2.5\", \
                serviceTiers: {auto: \"1.1\", ultrafast: \"9\"}, serverTools: [{tool: WebSearch, costUsd: \"0.5\"}]";
    let row =
        format!("{{name: gpt-6-sol, imageTokens: 7, price: {{inputPerMTok: \"1\", outputPerMTok: \"1\", {more}}}}}");
    let own = facts(&row);
    let price = own.price.unwrap();
    assert_eq!(own.image_tokens, Some(7));
    assert_eq!((price.cached_input.0, price.cache_write.0, price.cache_write_long.0), (100_000, 1_500_000, 2_500_000));
    assert_eq!((price.tiers.auto, price.tiers.fast, price.tiers.ultrafast), (110, listed.tiers.fast, 900));
    assert_eq!(price.server_tools.of(ServerTool::WebSearch), Some(Usd(500_000_000)));
    assert_eq!(price.server_tools.of(ServerTool::WebFetch), None);
    let own = facts(
        "{name: gpt-6-sol, images: false, capabilities: {stop: false, efforts: [], maxThinkingBudget: 0, thinkingOff: Never}}",
    );
    let want = Capabilities {
        stop: Some(false),
        efforts: Some(vec![]),
        max_thinking_budget: Some(0),
        thinking_off: Some(ThinkingOff::Never),
        ..Capabilities::default()
    };
    assert_eq!((own.images, own.capabilities.clone()), (Some(false), want));
    assert!(built_in.images.is_none() && built_in.capabilities.is_empty());
}

#[test]
fn an_unknown_models_cache_classes_come_from_its_input_price() {
    let yaml = SMALL
        .replace("credentialKey: openai}", "models: [{name: own, price: {inputPerMTok: \"1\", outputPerMTok: \"2\"}}]}")
        .replace("gpt-6-sol", "own");
    let price = load(&yaml).scenes[0].targets[0].facts.clone().unwrap().price.unwrap();
    assert_eq!(
        (price.cached_input.0, price.cache_write.0, price.cache_write_long.0),
        (1_000_000, 1_250_000, 2_000_000)
    );
}
