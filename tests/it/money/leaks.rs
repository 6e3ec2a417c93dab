//! No hold leaks: ten thousand requests that end at any point and in any way, and afterwards nothing is held, and what is
//! spent is what was billed.
//!
//! The rule: an attempt whose answer came whole with its usage, or that was refused by its status, is charged exactly what
//! was billed. Every other one (left, cut, timed out, without usage, no answer, a panic in its handler) is charged a bound:
//! never less than its bill, never more than was held for it.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use fastrand::Rng;
use harness::{Caller, Metrics, Speech, World, bills, eventually, figures, heavy, policy::PATIENT, world::loopback};
use parking_lot::Mutex;
use sidecar::{clock, serve};
use sim::{Config, Fault, Vendor};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{body, prompt, send, tenant_of, worst};

const REQUESTS: u64 = 10_000;
const AT_ONCE: usize = 64;

const TIER: &str = "{name: brisk, timeouts: {connect: 1s, tls: 1s, firstByte: 1s, idle: 1s, total: 4s}, \
    retries: {attempts: 3, base: 2ms, cap: 5ms}}";

/// Where a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Where the answer does.
    Whole,
    /// The caller leaves before the head.
    Early,
    /// The caller leaves in the stream.
    Midway,
    /// Whoever serves the connection panics.
    Panic,
}

/// What serves one connection, until it panics at the turn drawn for it.
struct PanicAt {
    turns: u32,
    serving: Pin<Box<dyn Future<Output = ()> + Send>>,
    panics: Arc<AtomicU64>,
}

impl Future for PanicAt {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.turns == 0 {
            self.panics.fetch_add(1, Ordering::Relaxed);
            // The hook is not told: nobody is to hear of it but the runtime.
            resume_unwind(Box::new("drawn"));
        }
        self.turns -= 1;
        self.serving.as_mut().poll(cx)
    }
}

/// A data port of the world's sidecar on which handlers panic.
struct Panicky {
    app: Caller,
    panics: Arc<AtomicU64>,
    _serving: AbortOnDropHandle<()>,
}

impl Panicky {
    async fn start(world: &World) -> Panicky {
        let port = TcpListener::bind(loopback()).await.expect("a data port");
        let app = Caller::new(port.local_addr().expect("an address"));
        let (state, panics) = (world.state.clone(), Arc::<AtomicU64>::default());
        let counter = panics.clone();
        let serving = tokio::spawn(async move {
            let mut rng = Rng::with_seed(1);
            while let Ok((tcp, _)) = port.accept().await {
                let serving = serve::connection(state.clone(), tcp, CancellationToken::new());
                let (turns, panics) = (rng.u32(..15), counter.clone());
                tokio::spawn(PanicAt { turns, serving: Box::pin(serving), panics });
            }
        });
        Panicky { app, panics, _serving: AbortOnDropHandle::new(serving) }
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
struct Case {
    speech: Speech,
    stream: bool,
    fault: Option<Fault>,
    /// Both vendors fail, not the first alone.
    everywhere: bool,
    claude_first: bool,
    end: End,
}

impl Case {
    fn any(rng: &mut Rng, faults: &[Fault]) -> Case {
        let stream = rng.bool();
        let end = match rng.u8(..10) {
            0 | 1 => End::Early,
            2 | 3 if stream => End::Midway,
            4 => End::Panic,
            _ => End::Whole,
        };
        Case {
            speech: Speech::ALL[rng.usize(..3)],
            stream,
            fault: (rng.u8(..10) < 6).then(|| faults[rng.usize(..faults.len())]),
            everywhere: rng.u8(..4) == 0,
            claude_first: rng.bool(),
            end,
        }
    }

    /// Cases that are charged alike have one tenant.
    fn tenant(self) -> String {
        let fault = self.fault.map_or("none", Fault::name);
        let (kind, end) = (if self.stream { "stream" } else { "plain" }, format!("{:?}", self.end).to_lowercase());
        let where_ = if self.everywhere { "all" } else { "first" };
        let api = if self.speech == Speech::Responses { "responses" } else { "turns" };
        format!("{fault}.{kind}.{end}.{where_}.{api}")
    }

    /// As long as any of its prompts.
    fn longest_prompt(self) -> String {
        self.prompt_of(39, 2)
    }

    fn prompt(self, rng: &mut Rng) -> String {
        self.prompt_of(rng.u64(..40), rng.u64(..3))
    }

    fn prompt_of(self, head_ms: u64, event_ms: u64) -> String {
        let mut order = format!("head_ms={head_ms},event_ms={event_ms}");
        if let Some(fault) = self.fault {
            order.push_str(&format!(",fault={}", fault.name()));
            match fault {
                Fault::RateLimit | Fault::SlowDown => order.push_str(",retry_after=0"),
                Fault::RateLimitMs => order.push_str(",ms=1"),
                Fault::SlowHead | Fault::SlowFirstToken => order.push_str(",ms=1300"),
                _ => {}
            }
            if !self.everywhere {
                order.push_str(if self.claude_first { ",vendor=anthropic" } else { ",vendor=openai" });
            }
        }
        format!("@@sim:{order}@@ {}", prompt(&self.tenant()))
    }

    /// Every attempt of it ends with its usage known, or is refused by its status.
    fn is_exact(self) -> bool {
        let known = |fault| match fault {
            // Refused by a status.
            Fault::RateLimit
            | Fault::RateLimitMs
            | Fault::RateLimitBare
            | Fault::SlowDown
            | Fault::InsufficientQuota
            | Fault::CreditBalanceExhausted
            | Fault::OrganizationUsageLimit
            | Fault::OrganizationSpendLimit
            | Fault::ProjectSpendLimit
            | Fault::EnforcedSpendLimit
            | Fault::BadRequest
            | Fault::ContextTooLong
            | Fault::Unauthorized
            | Fault::KeyEcho
            | Fault::Billing
            | Fault::Forbidden
            | Fault::NotFound
            | Fault::RequestTimeout
            | Fault::Conflict
            | Fault::TooLarge
            | Fault::Unprocessable
            | Fault::ServerError
            | Fault::BadGateway
            | Fault::Unavailable
            | Fault::GatewayTimeout
            | Fault::Overloaded => true,
            // Odd, but whole.
            Fault::Gzip
            | Fault::UsageWithChoices
            | Fault::LeanDelta
            | Fault::NoRole
            | Fault::EmptyToolCalls
            | Fault::InterleavedTools
            | Fault::ArgumentsInDone
            | Fault::UnknownReason
            | Fault::Refusal
            | Fault::ContentFilter
            | Fault::PauseTurn
            | Fault::WindowFull
            | Fault::Odd
            | Fault::OddFraming
            | Fault::NoBlankEnd
            | Fault::ByteByByte => true,
            _ => false,
        };
        self.end == End::Whole && self.fault.is_none_or(known)
    }

    fn scene(self) -> &'static str {
        if self.claude_first { "claude-first" } else { "openai-first" }
    }

    /// The most that is held for one attempt of it at a vendor, in whosever words; a translation may be a tenth longer.
    async fn worst(self, world: &World, claude_first: bool) -> u64 {
        let mut most = 0;
        for speech in Speech::ALL {
            let case = Case { speech, claude_first, ..self };
            let asked = body(speech, &case.longest_prompt(), case.stream, 100);
            most = most.max(worst(&world.admin, speech, case.scene(), &asked).await);
        }
        most + most / 10
    }

    /// What it was told; nothing if nobody listened to the end.
    async fn play(self, app: &Caller, panicky: &Caller, rng: &mut Rng) -> String {
        let body = body(self.speech, &self.prompt(rng), self.stream, 100);
        let scene = self.scene();
        let app = if self.end == End::Panic { panicky } else { app };
        let ask = send(app, self.speech, &body).header("x-llmroute-tenant", &self.tenant());
        let ask = ask.header("x-llmroute-scene", scene);
        match self.end {
            End::Whole => {
                let reply = timeout(Duration::from_secs(30), ask.send()).await.expect("an end");
                // A stream that broke says so in its last event, not in its head.
                let end = reply.events().pop().unwrap_or_default();
                return format!("{} {}", reply.header("x-llmroute-reason"), end.data);
            }
            // Whoever hears nothing more gives up; what is left of the request is seen in the end.
            End::Panic => _ = timeout(Duration::from_secs(10), ask.try_send()).await,
            End::Early => _ = timeout(Duration::from_millis(rng.u64(..60)), ask.send()).await,
            End::Midway => {
                if let Ok(mut stream) = ask.open().await {
                    for _ in 0..rng.u8(..12) {
                        if stream.next().await.is_none() {
                            break;
                        }
                    }
                }
            }
        }
        String::new()
    }
}

async fn start() -> World {
    let config = || Config { log_entries: 100_000, log_body: 2048, ..Config::default() };
    let budgets = "budgets: [{name: all, window: 24h, limitUsd: \"10000\"}, \
        {name: tenants, window: 24h, limitUsd: \"1000\", scope: Tenant}, \
        {name: providers, window: 24h, limitUsd: \"10000\", scope: Provider}, \
        {name: short, window: 5s, limitUsd: \"10000\"}, \
        {name: short-tenants, window: 5s, limitUsd: \"1000\", scope: Tenant}]";
    World::builder()
        .provider("openai", Vendor::OpenAi, config())
        .provider("claude", Vendor::Anthropic, config())
        .start(|p| {
            let (gpt, claude) = (("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5"));
            let p = p.tier(TIER).field(PATIENT).field(budgets);
            p.scene("openai-first", &[gpt, claude]).scene("claude-first", &[claude, gpt])
        })
        .await
}

/// Plays `requests` of the cases that `pick` makes; what each was told, by tenant.
async fn play(world: &World, panicky: &Panicky, seed: u64, requests: u64, faults: &[Fault]) -> Seen {
    let next = Arc::new(AtomicU64::new(0));
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let faults: Arc<[Fault]> = faults.into();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (app, next, seen, faults) = (world.app.clone(), next.clone(), seen.clone(), faults.clone());
        let panicky = panicky.app.clone();
        callers.spawn(async move {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= requests {
                    return;
                }
                let mut rng = Rng::with_seed(seed + nth);
                let case = Case::any(&mut rng, &faults);
                let said = case.play(&app, &panicky, &mut rng).await;
                seen.lock().entry(case.tenant()).or_insert((case, vec![])).1.push(said);
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.expect("a caller");
    }
    std::mem::take(&mut *seen.lock())
}

/// What a tenant has spent, by the header of a request that is refused for its own limit.
async fn spent(world: &World, tenant: &str, budget: &str) -> u64 {
    let asked = body(Speech::Chat, "how much", false, 100);
    let ask = send(&world.app, Speech::Chat, &asked).header("x-llmroute-tenant", tenant);
    let reply = ask.header("x-llmroute-max-cost-usd", "0.000000001").send().await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    let standing = bills::standings(reply.header("x-llmroute-budget")).remove(budget).unwrap_or_default();
    assert_eq!(standing.held, 0, "{tenant}");
    standing.spent
}

/// What was seen of the tenants: a case of each, and what its requests were told.
type Seen = BTreeMap<String, (Case, Vec<String>)>;

/// All requests have ended, those included that run on at the provider.
async fn quiet(world: &World) {
    eventually("all have ended", || async {
        let page = Metrics::parse(&world.admin.get("/metrics").send().await.text());
        (page.get("llmroute_requests_in_flight", &[]) == Some(0.0)).then_some(())
    })
    .await;
    super::pass(Duration::from_millis(1_500)).await;
    let page = world.budgets().await;
    let rows = page["budgets"].as_array().cloned().unwrap_or_default();
    assert!(rows.len() == 5 && rows.iter().all(|r| r["held"] == "0"), "{page}");
}

/// The most that the attempts of each tenant held: by the providers' logs, less those that were heard to be refused.
async fn held(world: &World, seen: &Seen) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let mut worsts: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for provider in ["openai", "claude"] {
        for entry in world.seen(provider) {
            let text = String::from_utf8_lossy(&entry.body);
            let tenant = tenant_of(&text).unwrap_or_else(|| panic!("whose is {text}"));
            let (case, _) = &seen[tenant];
            if entry.status >= 400 && case.end == End::Whole {
                continue;
            }
            let place = (provider, tenant.to_owned());
            let most = match worsts.get(&place) {
                Some(most) => *most,
                None => {
                    let most = case.worst(world, provider == "claude").await;
                    worsts.insert(place, most);
                    most
                }
            };
            *sums.entry(tenant.to_owned()).or_default() += most;
        }
    }
    for (tenant, (case, said)) in seen {
        // What is cut as it is sent may never be read, and is held all the same: once a request.
        if matches!(case.end, End::Early | End::Panic) {
            let most = case.worst(world, true).await.max(case.worst(world, false).await);
            *sums.entry(tenant.clone()).or_default() += most * said.len() as u64;
        }
    }
    sums
}

/// Each tenant against its bills; how many must be charged exactly, and were.
async fn check(world: &World, seen: &Seen, exactly: bool) -> usize {
    let mut billed: BTreeMap<String, u64> = BTreeMap::new();
    for charge in world.charges() {
        let tenant = tenant_of(&charge.body).unwrap_or_else(|| panic!("whose is {charge:?}"));
        assert!(seen.contains_key(tenant), "{tenant}");
        *billed.entry(tenant.to_owned()).or_default() += charge.nano_usd;
    }
    let held = held(world, seen).await;
    let (mut sum, mut exact, mut wrong) = (0, 0, vec![]);
    for (tenant, (case, said)) in seen {
        let spent = spent(world, tenant, "tenants").await;
        let billed = billed.get(tenant.as_str()).copied().unwrap_or(0);
        sum += spent;
        // On a machine so slow that a try times out that nobody delayed, its charge is a bound.
        let late = said.iter().any(|s| s.contains("timeout") || s.contains("took too long"));
        let is_exact = exactly && case.is_exact() && !late;
        exact += usize::from(is_exact);
        // A provider that does more than it was asked, and is not heard to its end, bills what nobody can know.
        let unheard = case.fault == Some(Fault::IgnoreMaxTokens) && case.end != End::Whole;
        // Once a provider has billed more than it was asked, more is held.
        let most = if exactly { held.get(tenant.as_str()).copied().unwrap_or(0) } else { u64::MAX };
        if (spent < billed && !unheard) || (is_exact && spent != billed) || spent > most {
            wrong.push(format!("{tenant}: spent {spent}, billed {billed}, held {most} at most"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // All places agree: the budgets with each other, and both counters together with them.
    let all = world.budget("all").await;
    assert_eq!(all.spent, sum, "of all tenants together");
    let page = Metrics::parse(&world.admin.get("/metrics").send().await.text());
    let told = page.sum("llmroute_cost_usd_total", &[]) + page.sum("llmroute_cost_estimated_usd_total", &[]);
    assert!((told - all.spent as f64 / 1e9).abs() < 1e-6, "{told} of {}", all.spent);
    figures::tell(format_args!(
        "leaks: {} kinds of endings, {exact} charged exactly; spent {sum}, billed {}",
        seen.len(),
        world.billed()
    ));
    exact
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_endings_leave_no_hold_and_no_wrong_sum() {
    let world = start().await;
    let turn = heavy::turn().await;
    // Those of many megabytes come last, one each; those that spoil the next request on their connection apart.
    const SPOIL: &[Fault] = &[Fault::CloseAfter, Fault::StaleConnection, Fault::IgnoreMaxTokens];
    const HUGE: &[Fault] = &[Fault::HugeEvent, Fault::EndlessBody];
    let faults: Vec<Fault> = Fault::ALL.iter().copied().filter(|f| !SPOIL.contains(f) && !HUGE.contains(f)).collect();
    let panicky = Panicky::start(&world).await;
    let mut seen = play(&world, &panicky, 0, REQUESTS - 500, &faults).await;
    quiet(&world).await;
    let panics = panicky.panics.load(Ordering::Relaxed);
    figures::tell(format_args!("leaks: {panics} panics in handlers"));
    assert!(panics >= 400, "{panics}");
    let exact = check(&world, &seen, true).await;
    assert!(exact >= 200, "{exact}");

    for (tenant, (case, said)) in play(&world, &panicky, REQUESTS, 500, SPOIL).await {
        seen.entry(tenant).or_insert((case, vec![])).1.extend(said);
    }
    for (fault, end) in HUGE.iter().copied().zip([End::Whole, End::Midway]) {
        let (speech, stream, everywhere, claude_first) = (Speech::Chat, true, false, false);
        let case = Case { speech, stream, fault: Some(fault), everywhere, claude_first, end };
        case.play(&world.app, &panicky.app, &mut Rng::with_seed(7)).await;
        seen.insert(case.tenant(), (case, vec![]));
    }
    drop(turn);
    quiet(&world).await;
    check(&world, &seen, false).await;

    // A window later what was known has cooled; what may still be billed has not, and later that too.
    super::pass(Duration::from_millis(5_600)).await;
    for tenant in
        ["odd.plain.whole.first.turns", "refusal.stream.whole.all.turns", "server_error.plain.whole.first.turns"]
    {
        assert!(seen.contains_key(tenant) && spent(&world, tenant, "tenants").await > 0, "{tenant}");
        assert_eq!(spent(&world, tenant, "short-tenants").await, 0, "{tenant}");
    }
    let estimated = {
        let page = Metrics::parse(&world.admin.get("/metrics").send().await.text());
        page.sum("llmroute_cost_estimated_usd_total", &[])
    };
    let short = world.budget("short").await;
    assert!(short.spent > 0 && short.spent as f64 / 1e9 <= estimated, "{short:?} of {estimated}");
    let later = clock::now().after(Duration::from_secs(150));
    let views = world.state.money.nearest(later);
    let left: Vec<_> = views.iter().filter(|v| v.key.name.starts_with("short")).map(|v| (v.spent, v.held)).collect();
    assert_eq!(left, [(0, 0), (0, 0)]);
}
