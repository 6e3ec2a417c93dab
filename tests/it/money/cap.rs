//! A cap is hard in any window: callers ask for three times as much and more, and the providers' own bills are slid over
//! every charge.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use harness::{
    Caller, Metrics, Speech, World,
    bills::{self, Charge},
    figures, heavy,
    policy::PATIENT,
    world::Builder,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sim::{Act, Config, Delays, Fault, Rule, Vendor};
use tokio::time::{Instant, timeout};

use super::{CALM, body, prompt, send, tenant_of, worst};

const TENANTS: usize = 8;

/// Who asks whom: each dialect at home, and across.
const WAYS: [(Speech, &str); 6] = [
    (Speech::Chat, "openai"),
    (Speech::Responses, "openai"),
    (Speech::Messages, "claude"),
    (Speech::Chat, "claude"),
    (Speech::Responses, "claude"),
    (Speech::Messages, "openai"),
];

/// Output limits in tokens; the answers fill them.
const SIZES: [u64; 4] = [160, 160, 160, 400];

/// One load on one policy.
struct Load {
    window: Duration,
    /// Nano-dollars, of the policy-wide budget.
    limit: u64,
    callers: usize,
    run: Duration,
    /// What a caller does after a refusal, at most.
    pause: Duration,
    /// Callers leave at any moment, and have tools.
    unruly: bool,
    /// The ladder of the tier.
    rungs: &'static str,
}

/// What the callers saw.
#[derive(Default)]
struct Tally {
    answered: u64,
    refused: u64,
    left: u64,
    failed: BTreeMap<String, u64>,
    /// Of those answered: all holds.
    held: f64,
}

/// One request in the making.
struct Kind {
    speech: Speech,
    scene: &'static str,
    tenant: String,
    body: Value,
    hold: u64,
}

/// Both vendors. What they say has twenty tokens a word, so that a stream has few events and this machine time.
fn both(config: impl Fn(Vendor) -> Config) -> Builder {
    let long = format!("x{}", "!".repeat(19)).repeat(30);
    let says = format!(", headers: {{x-sim-fault: \"say={long}\"}}");
    let config = |vendor| Config { log_entries: 100_000, log_body: 4096, ..config(vendor) };
    World::builder()
        .provider("openai", Vendor::OpenAi, config(Vendor::OpenAi))
        .fields(&says)
        .provider("claude", Vendor::Anthropic, config(Vendor::Anthropic))
        .fields(&says)
}

impl Load {
    fn tier(&self) -> String {
        let fields = CALM.strip_suffix('}').expect("a mapping");
        format!("{fields}, overBudget: [{}]}}", self.rungs)
    }

    async fn start(&self, builder: Builder) -> World {
        let (window, usd) =
            (self.window.as_secs(), |part: u64| format!("{:.9}", (self.limit * part / 100) as f64 / 1e9));
        let budgets = format!(
            "budgets: [{{name: all, window: {window}s, limitUsd: \"{}\"}}, \
             {{name: tenants, window: {window}s, limitUsd: \"{}\", scope: Tenant}}, \
             {{name: providers, window: {window}s, limitUsd: \"{}\", scope: Provider}}]",
            usd(100),
            usd(30),
            usd(80),
        );
        builder
            .start(|p| {
                p.tier(&self.tier())
                    .field(PATIENT)
                    .field(&budgets)
                    .scene("openai", &[("openai", "gpt-6-sol")])
                    .scene("claude", &[("claude", "claude-sonnet-5-5")])
                    .scene("both", &[("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")])
            })
            .await
    }

    /// A request. The first tenant asks for half of everything, but not in a line: there it would keep all callers waiting.
    fn kind(&self, rng: &mut Rng, holds: &HashMap<(Speech, &'static str, u64), u64>) -> Kind {
        let (speech, mut scene) = WAYS[rng.usize(..WAYS.len())];
        let size = SIZES[rng.usize(..SIZES.len())];
        let tenant = if self.rungs != "Queue" && rng.bool() { 0 } else { rng.usize(..TENANTS) };
        let tenant = format!("tenant-{tenant}");
        let mut body = body(speech, &prompt(&tenant), rng.bool(), size);
        if self.unruly {
            if rng.u8(..4) == 0 {
                scene = "both";
            }
            if rng.u8(..3) == 0 {
                tools(speech, &mut body);
            }
        }
        let hold = holds.get(&(speech, scene, size)).copied().unwrap_or_default();
        Kind { speech, scene, tenant, body, hold }
    }

    async fn holds(&self, world: &World) -> HashMap<(Speech, &'static str, u64), u64> {
        let mut holds = HashMap::new();
        for (speech, scene) in WAYS {
            for size in SIZES {
                let body = body(speech, &prompt("tenant-0"), true, size);
                holds.insert((speech, scene, size), worst(&world.admin, speech, scene, &body).await);
            }
        }
        holds
    }

    /// Runs it; the moment at which it began, by the clock of the charges.
    async fn play(&self, world: &World) -> (Tally, HashMap<(Speech, &'static str, u64), u64>) {
        let holds = Arc::new(self.holds(world).await);
        let most = holds.values().max().copied().unwrap_or_default();
        assert!(most <= self.limit / 100, "a request is at most a hundredth of the cap: {most}");
        let tally = Arc::new(Mutex::new(Tally::default()));
        let end = Instant::now() + self.run;
        let mut callers = tokio::task::JoinSet::new();
        for nth in 0..self.callers {
            let (app, tally, holds) = (world.app.clone(), tally.clone(), holds.clone());
            let load = Load { ..*self };
            callers.spawn(async move {
                let mut rng = Rng::with_seed(nth as u64);
                tokio::time::sleep(load.pause.mul_f64(rng.f64())).await;
                while Instant::now() < end {
                    let kind = load.kind(&mut rng, &holds);
                    load.ask(&app, &kind, &mut rng, &tally).await;
                }
            });
        }
        while let Some(done) = callers.join_next().await {
            done.expect("a caller");
        }
        let tally = std::mem::take(&mut *tally.lock());
        (tally, Arc::unwrap_or_clone(holds))
    }

    async fn ask(&self, app: &Caller, kind: &Kind, rng: &mut Rng, tally: &Mutex<Tally>) {
        let ask = send(app, kind.speech, &kind.body)
            .header("x-llmroute-scene", kind.scene)
            .header("x-llmroute-tenant", &kind.tenant);
        let leaves = self.unruly && rng.u8(..8) == 0;
        let patience = if leaves { Duration::from_millis(rng.u64(1..600)) } else { Duration::from_secs(60) };
        let Ok(reply) = timeout(patience, ask.send()).await else {
            tally.lock().left += 1;
            return;
        };
        if reply.status == 429 {
            tally.lock().refused += 1;
            let pause = self.pause.mul_f64(rng.f64());
            return tokio::time::sleep(pause).await;
        }
        let mut tally = tally.lock();
        if reply.status == 200 && reply.whole {
            tally.answered += 1;
            tally.held += kind.hold as f64;
        } else {
            *tally.failed.entry(format!("{} {}", reply.status, reply.header("x-llmroute-reason"))).or_default() += 1;
        }
    }

    /// No window of any key is billed more than its cap.
    fn check(&self, charges: &[Charge]) -> u64 {
        let window = self.window.as_micros() as u64;
        let limit = |percent: u64| self.limit * percent / 100;
        let all = bills::fullest_window(charges, window);
        assert!(all <= limit(100), "all: {all} of {}", limit(100));
        for tenant in (0..TENANTS).map(|n| format!("tenant-{n}")) {
            let most = bills::fullest_window(charges.iter().filter(|c| tenant_of(&c.body) == Some(&*tenant)), window);
            assert!(most > 0 && most <= limit(30), "{tenant}: {most} of {}", limit(30));
        }
        for provider in ["openai", "claude"] {
            let most = bills::fullest_window(charges.iter().filter(|c| c.provider == provider), window);
            assert!(most > 0 && most <= limit(80), "{provider}: {most} of {}", limit(80));
        }
        all
    }

    /// LEDGER.md section 6 for one busy sidecar: `c W / (c (W' + W/2N) + h d) - h/2L`.
    fn formula(&self, cost: f64, hold: f64, seconds: f64) -> f64 {
        let w = self.window.as_secs_f64();
        let cools = (w + 0.25) * 1.002;
        cost * w / (cost * (cools + w / 256.0) + hold * seconds) - hold / (2.0 * self.limit as f64)
    }

    /// Plays until nearly as much of the cap is used as the formula says, three times at most: a machine that is busy with
    /// something else does not ask often enough. The cap holds each time.
    async fn uses(&self, config: impl Fn(Vendor) -> Config, slack: f64) -> f64 {
        let _turn = heavy::turn().await;
        let mut told = vec![];
        for _ in 0..3 {
            let (used, formula) = self.used(both(&config)).await;
            if used >= formula - slack {
                return used;
            }
            told.push((used, formula));
        }
        panic!("used, and what the formula says: {told:?}");
    }

    /// The part of the cap that is used once it is full, beside what the formula says: a cap's worth of bills takes a
    /// window, and somewhat more.
    async fn used(&self, builder: Builder) -> (f64, f64) {
        let world = self.start(builder).await;
        let (tally, holds) = self.play(&world).await;
        let charges = world.charges();
        let most = self.check(&charges);
        let (first, last) = charges.iter().fold((u64::MAX, 0), |(f, l), c| (f.min(c.at_us), l.max(c.at_us)));
        let used = self.window.as_secs_f64() / bills::turnover(&charges, self.limit).as_secs_f64();
        let cost = charges.iter().map(|c| c.nano_usd).sum::<u64>() as f64 / tally.answered as f64;
        let hold = tally.held / tally.answered as f64;
        let page = Metrics::parse(&world.admin.get("/metrics").send().await.text());
        let attempts = |of: &str| page.sum(&format!("llmroute_attempt_duration_seconds_{of}"), &[]);
        let lasted = attempts("sum") / attempts("count");
        let formula = self.formula(cost, hold, lasted);
        let seconds = (last - first) as f64 / 1e6;
        let asked =
            (tally.answered + tally.refused) as f64 * cost / self.limit as f64 * self.window.as_secs_f64() / seconds;
        figures::tell(format_args!(
            "the cap: {} callers, window {} s: fullest window {:.4} of the cap, used {used:.4} (formula {formula:.4}); {} answered, \
             {} refused, asked {asked:.1} x the cap; mean cost {:.6} USD, hold {:.3} x cost, {:.3} s",
            self.callers,
            self.window.as_secs(),
            most as f64 / self.limit as f64,
            tally.answered,
            tally.refused,
            cost / 1e9,
            hold / cost,
            lasted,
        ));
        assert!(tally.failed.is_empty(), "{:?}", tally.failed);
        assert!(hold <= 1.2 * cost, "holds are {:.3} x their cost", hold / cost);
        assert!(holds.len() == WAYS.len() * 2);
        let all = world.budget("all").await;
        assert_eq!(all.held, 0, "{all:?}");
        // Those in line are asking all the time.
        let enough = asked >= 3.0 || self.rungs == "Queue";
        (if enough { used } else { 0.0 }, formula)
    }
}

/// A tool that is not called, but brings the provider's tool prompt.
fn tools(speech: Speech, body: &mut Value) {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    (body["tools"], body["tool_choice"]) = match speech {
        Speech::Chat => {
            (json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}]), json!("none"))
        }
        Speech::Responses => (json!([{"type": "function", "name": "weather", "parameters": schema}]), json!("none")),
        Speech::Messages => (json!([{"name": "weather", "input_schema": schema}]), json!({"type": "none"})),
    };
}

/// Answers of 0.2 to 1 s, 256 callers: nearly all of the cap is used, none of it twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_holds_and_is_used() {
    let load = Load {
        window: Duration::from_secs(40),
        limit: 500_000_000,
        callers: 256,
        run: Duration::from_secs(60),
        pause: Duration::from_secs(4),
        unruly: false,
        rungs: "Reject",
    };
    let delays = Delays { head: Duration::from_millis(200), ..Delays::default() };
    let slow = |ms, percent| Rule::act(Act { head_ms: Some(ms), ..Act::default() }).percent(percent);
    let rules = vec![slow(950, 34.0), slow(600, 50.0)];
    let used = load.uses(|_| Config { delays, rules: rules.clone(), ..Config::default() }, 0.01).await;
    assert!(used >= 0.95, "{used:.4}");
}

/// The shortest window, answers of up to a second: what is held for them cannot be spent by anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_holds_in_short_windows() {
    let load = Load {
        window: Duration::from_secs(5),
        limit: 500_000_000,
        callers: 96,
        run: Duration::from_secs(12),
        pause: Duration::from_secs(1),
        unruly: false,
        rungs: "Reject",
    };
    let slow = Act { head_ms: Some(900), ..Act::default() };
    let delays = Delays { head: Duration::from_millis(200), ..Delays::default() };
    let rules = vec![Rule::act(slow).percent(50.0)];
    load.uses(|_| Config { delays, rules: rules.clone(), ..Config::default() }, 0.03).await;
}

/// Nobody is refused: all wait in line, and the line takes what comes free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_holds_and_is_used_by_a_line() {
    let load = Load {
        window: Duration::from_secs(5),
        limit: 500_000_000,
        callers: 128,
        run: Duration::from_secs(10),
        pause: Duration::from_secs(3),
        unruly: false,
        rungs: "Queue",
    };
    let delays = Delays { head: Duration::from_millis(60), ..Delays::default() };
    load.uses(|_| Config { delays, ..Config::default() }, 0.04).await;
}

/// Callers that leave, providers that fail, run on and add a tool prompt; one of them bills a stream that was cut to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_holds_whoever_leaves_and_whatever_fails() {
    let _turn = heavy::turn().await;
    let load = Load {
        window: Duration::from_secs(5),
        limit: 500_000_000,
        callers: 32,
        run: Duration::from_secs(12),
        pause: Duration::from_millis(300),
        unruly: true,
        rungs: "Reject",
    };
    let delays = Delays { head: Duration::from_millis(100), event: Duration::from_millis(10), ..Delays::default() };
    let faults = [Fault::ServerError, Fault::Reset, Fault::CutStream, Fault::NoUsage, Fault::ResetAfterHeaders];
    let rules = faults.map(|f| Rule::fault(f).percent(1.0)).to_vec();
    let runs_on = |vendor| vendor == Vendor::Anthropic;
    let builder =
        both(|vendor| Config { delays, rules: rules.clone(), cancelled_runs_on: runs_on(vendor), ..Config::default() });
    let builder = builder.fields(", cancelBilling: RunsOn");
    let world = load.start(builder).await;
    let (tally, _) = load.play(&world).await;
    // Calls that were cut off are billed when they would have been ready.
    super::pass(Duration::from_millis(600)).await;
    let charges = world.charges();
    let most = load.check(&charges);
    figures::tell(format_args!(
        "the cap, whoever leaves: {} answered, {} refused, {} left, {:?}; fullest window {:.4} of the cap",
        tally.answered,
        tally.refused,
        tally.left,
        tally.failed,
        most as f64 / load.limit as f64
    ));
    assert!(tally.left >= 5 && tally.answered >= 100 && tally.refused >= 100);
    let all = world.budget("all").await;
    assert_eq!(all.held, 0, "{all:?}");
}
