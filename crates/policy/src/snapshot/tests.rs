use std::time::Duration;

use super::*;
use crate::catalogue;

fn provider(name: &str, api: Api) -> Provider {
    Provider {
        name: name.into(),
        api,
        chat_only: false,
        base: BaseUrl { tls: false, host: "127.0.0.1".into(), port: 1, prefix: "".into() },
        credential_key: Some(name.into()),
        headers: vec![],
        paths: vec![],
        http2: false,
        limits: Limits::default(),
        probe: Probe { interval: Duration::from_secs(30), timeout: Duration::from_secs(5) },
        cancel_billing: CancelBilling::Stops,
        bill_horizon: Duration::from_secs(120),
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
    Target { provider: ProviderId(provider), model: Some(model.into()), facts: catalogue::find(model).map(Arc::new) }
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
