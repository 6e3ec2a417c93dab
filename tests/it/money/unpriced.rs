//! What has no bound is refused under a budget and says why, unless the policy prices it; without budgets it passes.

use harness::{Reply, Speech, World, policy::PATIENT};
use serde_json::{Value, json};

use super::{CALM, body, send};

const BUDGET: &str = "budgets: [{name: hour, window: 1h, limitUsd: \"10\"}]";

/// A request that nothing bounds.
struct Row {
    what: &'static str,
    path: &'static str,
    body: Value,
    /// The reason without the provider's name.
    cause: &'static str,
    /// Of the provider, in a policy that prices it.
    priced: &'static str,
}

fn rows() -> Vec<Row> {
    let tools = |kind: Value, speech| {
        let mut body = body(speech, "look it up", false, 50);
        body["tools"] = json!([kind]);
        body
    };
    let unknown = || {
        let mut body = body(Speech::Chat, "hi", false, 50);
        body["model"] = "tomorrows-model".into();
        body
    };
    let price = "{inputPerMTok: \"1\", outputPerMTok: \"2\"";
    let model = |name: &str, more: &str| -> &'static str {
        format!(", models: [{{name: {name}, contextTokens: 1000, price: {price}{more}}}}}]").leak()
    };
    vec![
        Row {
            what: "a model that nobody knows",
            path: "/v1/chat/completions",
            body: unknown(),
            cause: "price_unknown",
            priced: model("tomorrows-model", ""),
        },
        Row {
            what: "a tool of OpenAI's own",
            path: "/v1/responses",
            body: tools(json!({"type": "web_search"}), Speech::Responses),
            cause: "cost_unbounded",
            priced: model("gpt-6-sol", ", serverTools: [{tool: WebSearch, costUsd: \"0.05\"}]"),
        },
        Row {
            what: "a tool of Anthropic's own",
            path: "/v1/messages",
            body: tools(json!({"type": "web_search_20250305", "name": "web_search"}), Speech::Messages),
            cause: "cost_unbounded",
            priced: model("claude-sonnet-5-5", ", serverTools: [{tool: WebSearch, costUsd: \"0.05\"}]"),
        },
        Row {
            what: "embeddings",
            path: "/v1/embeddings",
            body: json!({"model": "text-embedding-3-small", "input": "hi"}),
            cause: "price_unknown",
            priced: ", paths: [{path: /v1/embeddings, costUsd: \"0.001\"}]",
        },
        Row {
            what: "moderations",
            path: "/v1/moderations",
            body: json!({"model": "omni-moderation-latest", "input": "hi"}),
            cause: "price_unknown",
            priced: ", paths: [{path: /v1/moderations, costUsd: \"0\"}]",
        },
    ]
}

impl Row {
    fn provider(&self) -> &'static str {
        if self.path == "/v1/messages" { "claude" } else { "openai" }
    }

    async fn world(&self, budget: &str, more: &str) -> World {
        let builder = World::builder();
        let builder = if self.provider() == "openai" { builder.openai("openai") } else { builder.claude("claude") };
        let policy = builder.policy(|p| {
            let p = p.tier(CALM).field(PATIENT).scene("chat", &[(self.provider(), "")]);
            if budget.is_empty() { p } else { p.field(budget) }
        });
        let usual = format!(
            ", models: [{{name: {}",
            if self.provider() == "openai" { "gpt-6-sol" } else { "claude-sonnet-5-5" }
        );
        let text = policy.yaml();
        let from = text.find(&usual).expect("the usual models");
        let to = from + text[from..].find("}]").expect("their end") + 2;
        let text = format!("{}{more}{}", &text[..from], &text[to..]);
        builder.start_with(&text).await
    }

    async fn ask(&self, world: &World) -> Reply {
        let speech = match self.path {
            "/v1/messages" => Speech::Messages,
            "/v1/responses" => Speech::Responses,
            _ => Speech::Chat,
        };
        let ask = match self.path {
            path if path == speech.path() => send(&world.app, speech, &self.body),
            path => world.app.post(path, self.body.to_string()),
        };
        ask.send().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_bound_is_refused_under_a_budget_unless_it_is_priced() {
    for row in rows() {
        let Row { what, cause, .. } = row;
        let world = row.world(BUDGET, "").await;
        let refused = row.ask(&world).await;
        let reason = format!("{}_{cause}", row.provider());
        let seen = (refused.header("x-llmroute-status"), refused.header("x-llmroute-reason"));
        assert_eq!(seen, ("refused", reason.as_str()), "{what}: {} {}", refused.status, refused.text());
        assert_eq!(refused.header("x-should-retry"), "false", "{what}");
        assert!((400..500).contains(&refused.status), "{what}: {}", refused.status);
        assert_eq!((world.seen(row.provider()).len(), world.budget("hour").await.spent), (0, 0), "{what}");

        // The simulator does not know every one of these; that is its to say.
        for (budget, more) in [(BUDGET, row.priced), ("", "")] {
            let world = row.world(budget, more).await;
            let reply = row.ask(&world).await;
            assert_eq!(world.seen(row.provider()).len(), 1, "{what}, {budget}: {}", reply.text());
            assert_ne!(reply.header("x-llmroute-status"), "refused", "{what}, {budget}: {}", reply.text());
            if !budget.is_empty() && reply.status == 200 {
                let spent = world.budget("hour").await.spent;
                assert!(spent >= world.billed(), "{what}: {spent}");
                println!("{what}: charged {spent}, billed {}", world.billed());
            }
        }
    }
}

/// A path with a price of its own is charged that, whatever it costs in tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_priced_path_is_charged_its_price_and_held_to_the_cap() {
    let rows = rows();
    let row = rows.iter().find(|r| r.path == "/v1/embeddings").expect("the row");
    let world = row.world("budgets: [{name: hour, window: 1h, limitUsd: \"0.0025\"}]", row.priced).await;
    for spent in [1_000_000, 2_000_000] {
        row.ask(&world).await.expect(hyper::StatusCode::OK);
        assert_eq!(world.budget("hour").await.spent, spent);
    }
    let refused = row.ask(&world).await;
    assert_eq!((refused.status, refused.header("x-llmroute-reason")), (429, "budget_exhausted"));
    // Counting tokens is free at the provider.
    assert_eq!(world.seen("openai").len(), 2);
}
