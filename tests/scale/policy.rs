//! The policy that is edited: ten providers, twenty scenes, and what a company with those would have beside them.

use serde_json::{Value, json};

const PROVIDERS: usize = 10;
const SCENES: usize = 20;

fn model(provider: usize, rank: usize) -> String {
    format!("{}-{rank}", if is_openai(provider) { "gpt-6-sol" } else { "claude-sonnet-5-5" })
}

fn is_openai(provider: usize) -> bool {
    provider.is_multiple_of(2)
}

/// Its manifest, for pods of the app `shop`.
pub fn manifest() -> Value {
    let spec = json!({
        "podSelector": {"matchLabels": {"app": "shop"}},
        "credentials": {"secretName": "llm-keys"},
        "providers": (0..PROVIDERS).map(provider).collect::<Vec<_>>(),
        "classify": {
            "headers": {"scene": ["x-intent"], "tier": ["x-sla-tier"], "tenant": ["x-tenant"]},
            "rules": (0..SCENES).map(|i| {
                let when = format!("request.tools > {i} && request.model.startsWith(\"team-{i}-\")");
                json!({"scene": scene_name(i), "when": when})
            }).collect::<Vec<_>>(),
            "default": {"scene": scene_name(0), "tier": "silver"},
        },
        "tiers": [
            {"name": "gold", "objective": "Quality", "sla": "20s", "retries": {"attempts": 3, "base": "200ms", "cap": "5s"}},
            {"name": "silver", "objective": "Cost", "sla": "60s", "overBudget": ["CheaperModel", "Reject"]},
        ],
        "scenes": (0..SCENES).map(scene).collect::<Vec<_>>(),
        "budgets": [
            {"name": "minute", "window": "1m", "limitUsd": "100", "warnAt": "0.7", "degradeAt": "0.9"},
            {"name": "tenant-day", "window": "24h", "limitUsd": "20", "scope": "Tenant"},
        ],
        "breaker": {"minRequests": 20},
    });
    json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy",
        "metadata": {"name": "shop", "namespace": "shop"}, "spec": spec})
}

/// The edit of that number: one field.
pub fn edit(number: usize) -> Value {
    json!({"breaker": {"minRequests": 21 + number}})
}

fn scene_name(i: usize) -> String {
    format!("scene-{i:02}")
}

fn provider(i: usize) -> Value {
    let price = json!({"inputPerMTok": "2", "cachedInputPerMTok": "0.20", "outputPerMTok": "10"});
    let model = |rank: usize| json!({"name": model(i, rank), "price": price, "contextTokens": 400_000});
    json!({
        "name": format!("provider-{i}"), "api": if is_openai(i) { "OpenAI" } else { "Anthropic" },
        "baseUrl": format!("https://provider-{i}.example.org"), "credentialKey": format!("key-{i}"),
        "limits": {"requestsPerMinute": 500, "tokensPerMinute": 400_000},
        "models": [model(0), model(1), model(2)],
    })
}

fn scene(i: usize) -> Value {
    let target = |rank: usize| {
        let provider = (i + rank) % PROVIDERS;
        json!({"provider": format!("provider-{provider}"), "model": model(provider, rank)})
    };
    json!({
        "name": scene_name(i), "targets": [target(0), target(1), target(2)], "maxOutputTokens": 2048,
        "trim": {"keepMessages": 6, "maxOutputTokens": 512}, "guardrails": [{"check": "NotEmpty"}, {"check": "NotTruncated"}],
    })
}
