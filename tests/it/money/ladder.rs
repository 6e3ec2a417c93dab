//! Every rung of the ladder, in the three dialects and across them, plain and streaming: what the caller is told, who
//! answered, and what the provider got.

use std::time::Duration;

use harness::{Reply, Speech, World, bills, policy::PATIENT, speech::Heard};
use serde_json::Value;
use sim::{Config, Entry, Vendor};
use tokio::{task::JoinSet, time::Instant};

use super::{body, conversation, limit_of, pass, prompt, send, worst};

/// One caller's way to one vendor.
#[derive(Clone, Copy, Debug)]
struct Way {
    speech: Speech,
    vendor: &'static str,
    stream: bool,
}

/// The dear model of each vendor, and the cheap one.
const MODELS: [(&str, &str, &str); 2] =
    [("openai", "gpt-6-sol", "gpt-6-luna"), ("claude", "claude-sonnet-5-5", "claude-haiku-5-5")];

/// Output limit of all requests, in tokens; the first one's answer fills it.
const LIMIT: u64 = 200;

/// What the trimmed ones are given.
const TRIM: &str = ", trim: {keepMessages: 2, maxOutputTokens: 40, temperature: \"0.2\"}";

impl Way {
    fn all() -> impl Iterator<Item = Way> {
        let ways = [
            (Speech::Chat, "openai"),
            (Speech::Responses, "openai"),
            (Speech::Messages, "claude"),
            (Speech::Chat, "claude"),
            (Speech::Responses, "claude"),
            (Speech::Messages, "openai"),
        ];
        ways.into_iter().flat_map(|(speech, vendor)| [false, true].map(|stream| Way { speech, vendor, stream }))
    }

    /// Each way has a tenant of its own, and with it its own money.
    fn tenant(self) -> String {
        format!("{:?}-{}-{}", self.speech, self.vendor, self.stream).to_lowercase()
    }

    fn dear(self) -> &'static str {
        MODELS.iter().find(|m| m.0 == self.vendor).expect("a vendor").1
    }

    fn cheap(self) -> &'static str {
        MODELS.iter().find(|m| m.0 == self.vendor).expect("a vendor").2
    }

    async fn ask(self, world: &World, body: &Value, tier: &str) -> Reply {
        let ask = send(&world.app, self.speech, body).header("x-llmroute-scene", self.vendor);
        ask.header("x-llmroute-tier", tier).header("x-llmroute-tenant", &self.tenant()).send().await
    }

    /// The request that uses the money up.
    async fn spend(self, world: &World) {
        let reply = self.ask(world, &body(self.speech, &prompt(&self.tenant()), false, LIMIT), "reject").await;
        assert_eq!((reply.status, reply.header("x-llmroute-status")), (200, "ok"), "{self:?}: {}", reply.text());
    }

    /// What the vendor got last from this caller.
    fn got(self, world: &World) -> Entry {
        let ours = |e: &Entry| String::from_utf8_lossy(&e.body).contains(&prompt(&self.tenant()));
        world.seen(self.vendor).into_iter().rfind(ours).unwrap_or_else(|| panic!("{self:?}: nothing came"))
    }

    /// The signal in the body of an answer.
    fn signal(self, reply: &Reply) -> Value {
        if !self.stream {
            return reply.json()["llmroute"].clone();
        }
        let Heard { signals, ends, .. } = self.speech.listen(&reply.events());
        assert_eq!(ends, 1, "{self:?}: {}", reply.text());
        signals.first().cloned().unwrap_or_default()
    }

    /// An answer of this standing from this model, told in headers and body.
    #[track_caller]
    fn told(self, reply: &Reply, status: &str, reason: &str, model: &str) {
        let seen = [
            reply.status.to_string(),
            reply.header("x-llmroute-status").to_owned(),
            reply.header("x-llmroute-reason").to_owned(),
            reply.header("x-llmroute-model").to_owned(),
        ];
        assert_eq!(seen, ["200", status, reason, model], "{self:?}: {}", reply.text());
        let signal = self.signal(reply);
        let seen = [&signal["status"], &signal["reason"], &signal["model"]];
        assert_eq!(seen, [status, reason, model], "{self:?}: {}", reply.text());
    }
}

/// Both vendors with a dear and a cheap model each, every ladder a tier, and for each tenant one budget.
async fn start(budget: &str) -> World {
    let long = format!("x{}", "!".repeat(19)).repeat(30);
    let says = format!(", headers: {{x-sim-fault: \"say={long}\"}}");
    let ladders = [
        ("reject", "Reject"),
        ("cheaper", "CheaperModel, Reject"),
        ("trim", "Trim, Reject"),
        ("trim-cheaper", "Trim, CheaperModel, Reject"),
        ("cheaper-trim", "CheaperModel, Trim, Reject"),
        ("queue", "Queue, Reject"),
    ];
    World::builder()
        .provider("openai", Vendor::OpenAi, Config::default())
        .fields(&says)
        .provider("claude", Vendor::Anthropic, Config::default())
        .fields(&says)
        .start(|mut p| {
            for (name, rungs) in ladders {
                p = p.tier(&format!("{{name: {name}, sla: 60s, overBudget: [{rungs}]}}"));
            }
            for (vendor, dear, cheap) in MODELS {
                p = p.scene_with(vendor, &[(vendor, dear), (vendor, cheap)], TRIM);
            }
            p.field(PATIENT).field(&format!("budgets: [{{name: mine, {budget}, scope: Tenant}}]"))
        })
        .await
}

/// So much is spent that a long request does not fit any more.
const SPENT: &str = "window: 1h, limitUsd: \"0.0055\"";

/// A fifth is spent, which is near the limit by this policy.
const NEAR: &str = "window: 1h, limitUsd: \"0.01\", degradeAt: \"0.15\"";

/// The provider got the whole of it, or a valid smaller one.
#[track_caller]
fn is_trimmed(way: Way, entry: &Entry, trimmed: bool) {
    let body: Value = serde_json::from_slice(&entry.body).unwrap_or_default();
    assert_eq!(entry.status, 200, "{way:?}: the simulator takes it: {body}");
    let spoken = match entry.path.as_str() {
        "/v1/chat/completions" => Speech::Chat,
        "/v1/responses" => Speech::Responses,
        _ => Speech::Messages,
    };
    let list = if spoken == Speech::Responses { &body["input"] } else { &body["messages"] };
    let roles: Vec<&str> = list.as_array().into_iter().flatten().filter_map(|m| m["role"].as_str()).collect();
    let turns = roles.iter().filter(|r| matches!(**r, "user" | "assistant")).count();
    let text = body.to_string();
    assert!(text.contains("be brief") && text.contains(&prompt(&way.tenant())), "{way:?}: {text}");
    assert!(text.contains("question number 5"), "{way:?}: {text}");
    let (most, limit) = if trimmed { (4, 40) } else { (13, LIMIT) };
    assert_eq!(body[limit_of(spoken)], limit, "{way:?}: {text}");
    if trimmed {
        assert!((2..=most).contains(&turns), "{way:?}: {turns} turns in {text}");
        assert!(!text.contains("question number 2"), "{way:?}: {text}");
    } else {
        assert_eq!(turns, most, "{way:?}: {text}");
    }
}

/// One row: after `spend`, a long request under this ladder.
async fn row(budget: &str, tier: &'static str, reason: &str, cheap: bool, trimmed: bool) {
    let world = start(budget).await;
    for way in Way::all() {
        way.spend(&world).await;
        let whole = conversation(way.speech, &way.tenant(), 6, way.stream, LIMIT);
        let reply = way.ask(&world, &whole, tier).await;
        let model = if cheap { way.cheap() } else { way.dear() };
        way.told(&reply, "degraded", reason, model);
        let entry = way.got(&world);
        assert_eq!((entry.model.as_str(), entry.stream), (model, way.stream), "{way:?}");
        is_trimmed(way, &entry, trimmed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cheaper_model_answers_when_the_money_is_spent() {
    row(SPENT, "cheaper", "budget_exhausted", true, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smaller_request_is_sent_when_the_money_is_spent() {
    row(SPENT, "trim", "budget_exhausted", false, true).await;
}

/// Claude's newest version of the API has no temperature: a trim puts none on the wire.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trim_knows_the_version_of_the_api() {
    let world = World::builder()
        .claude("claude")
        .start(|p| {
            let tier = "{name: trim, sla: 60s, overBudget: [Trim, Reject]}";
            let p = p.tier(tier).scene_with("chat", &[("claude", "claude-sonnet-4-5")], TRIM).field(PATIENT);
            p.field("budgets: [{name: mine, window: 1h, limitUsd: \"1\", degradeAt: \"0.0001\", scope: Tenant}]")
        })
        .await;
    for (version, temperature) in [("2023-06-01", Value::from(0.2)), ("2026-10-21", Value::Null)] {
        let ask = |body: &Value| {
            let ask = world.app.post("/v1/messages", body.to_string()).header("anthropic-version", version);
            ask.header("x-llmroute-tenant", version).send()
        };
        ask(&body(Speech::Messages, "hello", false, LIMIT)).await.expect(hyper::StatusCode::OK);
        let reply = ask(&conversation(Speech::Messages, "p", 6, false, LIMIT)).await;
        let told = [reply.header("x-llmroute-status"), reply.header("x-llmroute-reason")];
        assert_eq!((reply.status, told), (200, ["degraded", "budget_near_limit"]), "{}", reply.text());
        let sent: Value = serde_json::from_slice(&world.seen("claude").pop().expect("asked").body).expect("JSON");
        assert_eq!((&sent["temperature"], &sent["max_tokens"]), (&temperature, &40.into()), "{version}: {sent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rungs_are_gone_down_in_the_tiers_order() {
    row(SPENT, "trim-cheaper", "budget_exhausted", false, true).await;
    row(SPENT, "cheaper-trim", "budget_exhausted", true, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_spared_from_the_threshold_on() {
    row(NEAR, "cheaper", "budget_near_limit", true, false).await;
    row(NEAR, "trim", "budget_near_limit", false, true).await;
    row(NEAR, "trim-cheaper", "budget_near_limit", false, true).await;
    row(NEAR, "cheaper-trim", "budget_near_limit", true, false).await;
}

/// Queue and Reject are for money that does not fit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_limit_nobody_waits_and_nobody_is_refused() {
    let world = start(NEAR).await;
    for way in Way::all() {
        way.spend(&world).await;
        for tier in ["queue", "reject"] {
            let reply = way.ask(&world, &body(way.speech, &prompt(&way.tenant()), way.stream, 20), tier).await;
            assert_eq!((reply.status, reply.header("x-llmroute-status")), (200, "ok"), "{way:?} {tier}");
            assert_eq!(reply.header("x-llmroute-model"), way.dear());
        }
    }
}

/// Runs all ways at once: each has to wait for the same window.
async fn together<F: Future<Output = ()> + Send + 'static>(each: impl Fn(Way) -> F) {
    let mut all: JoinSet<()> = Way::all().map(each).collect();
    while let Some(done) = all.join_next().await {
        done.expect("a way");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_line_is_answered_when_the_money_is_back() {
    let world = std::sync::Arc::new(start("window: 5s, limitUsd: \"0.0055\"").await);
    together(|way| {
        let world = world.clone();
        async move {
            way.spend(&world).await;
            let began = Instant::now();
            let whole = conversation(way.speech, &way.tenant(), 6, way.stream, LIMIT);
            let reply = way.ask(&world, &whole, "queue").await;
            way.told(&reply, "queued", "budget_exhausted", way.dear());
            is_trimmed(way, &way.got(&world), false);
            let waited = began.elapsed();
            let most = Duration::from_millis(6_500);
            assert!(waited >= Duration::from_millis(4_500) && waited < most, "{way:?}: {waited:?}");
        }
    })
    .await;
    assert_eq!(world.budgets().await["waiting"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_the_line_leaves_nothing_behind() {
    let world = start("window: 1h, limitUsd: \"0.003\"").await;
    for way in Way::all() {
        way.spend(&world).await;
    }
    let asked: Vec<_> = Way::all().map(|w| (w, body(w.speech, &prompt(&w.tenant()), w.stream, LIMIT))).collect();
    let billed = world.billed();
    let mut line: Vec<_> = asked.iter().map(|(w, body)| Box::pin(w.ask(&world, body, "queue"))).collect();
    // They are in line when none of them has anything more to do.
    let waiting = async {
        loop {
            if world.budgets().await["waiting"] == asked.len() {
                return;
            }
            pass(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = waiting => {}
        (reply, ..) = futures_util::future::select_all(&mut line) => panic!("{}", reply.text()),
    }
    drop(line);
    harness::eventually("the line is empty", || async { (world.budgets().await["waiting"] == 0).then_some(()) }).await;
    let mine = world.budget("mine").await;
    assert_eq!((mine.held, world.billed()), (0, billed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_when_to_come_back() {
    let world = std::sync::Arc::new(start("window: 5s, limitUsd: \"0.003\"").await);
    together(|way| {
        let world = world.clone();
        async move {
            way.spend(&world).await;
            let asked = body(way.speech, &prompt(&way.tenant()), way.stream, LIMIT);
            let refused = way.ask(&world, &asked, "reject").await;
            let at = Instant::now();
            refusal(way, &refused, "budget_exhausted");
            let wait: u64 = refused.header("retry-after").parse().expect("seconds");
            assert!((5..=6).contains(&wait), "{way:?}: {wait}");
            // More than a second before it does not fit, and then it does.
            tokio::time::sleep_until(at + Duration::from_millis(1_000 * wait - 1_100)).await;
            refusal(way, &way.ask(&world, &asked, "reject").await, "budget_exhausted");
            tokio::time::sleep_until(at + Duration::from_secs(wait)).await;
            let reply = way.ask(&world, &asked, "reject").await;
            assert_eq!((reply.status, reply.header("x-llmroute-status")), (200, "ok"), "{way:?}: {}", reply.text());
        }
    })
    .await;
}

/// Our own no, in the caller's shape.
#[track_caller]
fn refusal(way: Way, reply: &Reply, reason: &str) {
    let seen = [
        reply.header("x-llmroute-status"),
        reply.header("x-llmroute-reason"),
        reply.header("x-should-retry"),
        reply.header("x-llmroute-attempts"),
    ];
    assert_eq!((reply.status, seen), (429, ["refused", reason, "false", "0"]), "{way:?}: {}", reply.text());
    assert_eq!(way.speech.error(&reply.json())["type"], "rate_limit_error", "{way:?}: {}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_whole_budget_is_told_so() {
    let world = start("window: 1h, limitUsd: \"0.001\"").await;
    for way in Way::all() {
        for tier in ["reject", "queue"] {
            let reply = way.ask(&world, &body(way.speech, &prompt(&way.tenant()), way.stream, LIMIT), tier).await;
            refusal(way, &reply, "budget_exhausted");
            assert!(reply.text().contains("more than the whole budget `mine`"), "{}", reply.text());
            assert_eq!(reply.header("retry-after"), "");
        }
    }
    assert_eq!(world.billed(), 0);
}

/// One request's own limit, by hint and by tier: a cheaper target takes it, or nobody does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requests_own_limit_picks_a_cheaper_target() {
    let tier = "{name: thrifty, maxCostUsd: \"0.001\"}";
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            let p = p.tier("{name: free}").tier(tier).field(PATIENT);
            MODELS.iter().fold(p, |p, (vendor, dear, cheap)| p.scene(vendor, &[(*vendor, *dear), (*vendor, *cheap)]))
        })
        .await;
    for way in Way::all() {
        let asked = body(way.speech, &prompt(&way.tenant()), way.stream, LIMIT);
        let dear = worst(&world.admin, way.speech, way.vendor, &asked).await;
        assert!(dear > 1_000_000, "{dear}");
        let hinted = |usd: &'static str| {
            let ask = send(&world.app, way.speech, &asked).header("x-llmroute-scene", way.vendor);
            ask.header("x-llmroute-max-cost-usd", usd).send()
        };
        let reason = format!("{}_max_cost_exceeded", way.vendor);
        for reply in [way.ask(&world, &asked, "thrifty").await, hinted("0.001").await] {
            let reason =
                if reply.header("x-llmroute-reason") == reason { reason.as_str() } else { "max_cost_exceeded" };
            way.told(&reply, "degraded", reason, way.cheap());
        }
        assert_eq!(hinted("1").await.header("x-llmroute-model"), way.dear());
        let refused = hinted("0.000001").await;
        let reason = refused.header("x-llmroute-reason").to_owned();
        assert!(reason.ends_with("max_cost_exceeded"), "{reason}");
        refusal(way, &refused, &reason);
    }
}

/// With all in the way, only the cheap model with the small request fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_rung_that_fits_is_the_cheap_model_with_the_small_request() {
    for way in Way::all() {
        let small = conversation(way.speech, &way.tenant(), 6, way.stream, 40);
        let world = start("window: 1h, limitUsd: \"0.0001\"").await;
        let hold = worst(&world.admin, way.speech, way.vendor, &small).await;
        assert!(hold > bills::nano("0.0001"), "{way:?}: {hold}");
        let whole = conversation(way.speech, &way.tenant(), 6, way.stream, LIMIT);
        let reply = way.ask(&world, &whole, "cheaper-trim").await;
        way.told(&reply, "degraded", "budget_exhausted", way.cheap());
        is_trimmed(way, &way.got(&world), true);
    }
}
