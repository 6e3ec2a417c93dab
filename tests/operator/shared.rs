//! One budget for all pods of a policy: whatever happens to pods and operators, what the provider billed is the judge.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::StreamExt;
use harness::{
    Ask, Caller, Gate, Program, Speech,
    bills::{Charge, fullest_window, nano},
};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::stage::{Stage, streams};

/// The budget's window.
const WINDOW: Duration = Duration::from_secs(10);
/// The cap: some eighty requests a window.
const LIMIT: &str = "0.2";
/// Callers of each pod: they ask for several times as much.
const CALLERS: usize = 4;
/// A request whose answer has so many tokens.
const TOKENS: u64 = 160;

/// Apps that ask for more than there is, until they are told to end.
struct Demand {
    seen: Arc<Mutex<BTreeMap<String, u64>>>,
    ending: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    sidecars: Vec<Program>,
}

impl Demand {
    fn new() -> Demand {
        Demand { seen: Arc::default(), ending: CancellationToken::new(), tasks: vec![], sidecars: vec![] }
    }

    /// Callers of one more pod; where the pod goes away they go on asking.
    fn of(&mut self, app: &Caller) {
        for _ in 0..CALLERS {
            let (app, seen, ending) = (app.clone(), self.seen.clone(), self.ending.clone());
            self.tasks.push(tokio::spawn(async move {
                while !ending.is_cancelled() {
                    let reply = request(&app, "hi").try_send().await;
                    let told = match &reply {
                        Ok(reply) if reply.status == 200 => "answered".to_owned(),
                        Ok(reply) => format!("{} {}", reply.status, reply.header("x-llmroute-reason")),
                        Err(_) => "gone".to_owned(),
                    };
                    let is_answered = told == "answered";
                    *seen.lock().entry(told).or_default() += 1;
                    if !is_answered {
                        sleep(Duration::from_millis(fastrand::u64(20..100))).await;
                    }
                }
            }));
        }
    }

    fn answered(&self) -> u64 {
        self.seen.lock().get("answered").copied().unwrap_or_default()
    }

    /// A sidecar that lives as long.
    fn keep(&mut self, sidecar: Program) {
        self.sidecars.push(sidecar);
    }

    async fn end(self) -> BTreeMap<String, u64> {
        self.ending.cancel();
        for task in self.tasks {
            task.await.expect("no panic");
        }
        std::mem::take(&mut self.seen.lock())
    }
}

fn request<'a>(app: &'a Caller, prompt: &str) -> Ask<'a> {
    let mut body = Speech::Chat.body(prompt, false);
    body["max_completion_tokens"] = TOKENS.into();
    app.post(Speech::Chat.path(), body.to_string())
}

/// Of one tenant, whose name is long.
fn request_of(app: &Caller, tenant: usize) -> Ask<'_> {
    let name = format!("tenant-{tenant:0>120}");
    request(app, &name).header("x-llmroute-tenant", &name)
}

impl Stage {
    /// A policy for the pods of an app with one budget that they share.
    fn budgeted(&self, name: &str) -> String {
        let budget = format!("{{name: all, window: {}s, limitUsd: \"{LIMIT}\"}}", WINDOW.as_secs());
        self.with_budget(name, &budget)
    }

    /// A policy for the pods of an app with this budget.
    fn with_budget(&self, name: &str, budget: &str) -> String {
        let long = format!("x{}", "!".repeat(19)).repeat(30);
        let says = format!("headers: {{x-sim-fault: \"say={long}\"}}");
        let policy = self.unhurried(name, name, "gpt-6-sol");
        let policy = policy.replacen("api: OpenAI", &format!("api: OpenAI, {says}"), 1);
        format!("{policy}  budgets: [{budget}]\n")
    }

    /// Ledger objects and their parts.
    fn ledgers(&self) -> usize {
        self.kubectl(&["get", "configmaps", "-n", "llmroute-system", "-o", "name"]).matches("llmroute-ledger").count()
    }

    fn charges(&self) -> Vec<Charge> {
        let text = |e: sim::Entry| (e.seq, String::from_utf8_lossy(&e.body).into());
        let bodies: BTreeMap<u64, Arc<str>> = self.provider.log().into_iter().map(text).collect();
        let charge = |item: sim::Item| {
            let body = bodies.get(&item.seq).cloned().unwrap_or_else(|| "".into());
            item.charges.into_iter().map(move |c| Charge {
                provider: String::new(),
                request: item.seq,
                body: body.clone(),
                at_us: c.at_us,
                nano_usd: c.nano_usd,
            })
        };
        self.provider.bill().items.into_iter().flat_map(charge).collect()
    }

    /// Nothing above the cap in any window; gives how much of it was used between two moments, on average.
    #[track_caller]
    fn within_the_cap(&self, from: u64, to: u64) -> f64 {
        let charges = self.charges();
        let (limit, window) = (nano(LIMIT), WINDOW.as_micros() as u64);
        let fullest = fullest_window(&charges, window);
        assert!(fullest <= limit, "a window was billed {fullest} of {limit}");
        let between: u64 = charges.iter().filter(|c| (from..to).contains(&c.at_us)).map(|c| c.nano_usd).sum();
        between as f64 / limit as f64 * window as f64 / (to - from) as f64
    }
}

async fn budgets(sidecar: &Program) -> Value {
    sidecar.admin.get("/health/budgets").send().await.json()
}

/// Waits until the pod has a lease.
async fn lent(sidecar: &Program) {
    crate::stage::until("a lease", async || (budgets(sidecar).await["lease"]["live"] == true).then_some(())).await;
}

/// Waits until the pod has one of this term, or of a later one.
async fn of_term(sidecar: &Program, term: u64) {
    crate::stage::until("a lease of the new leader", async || {
        let lease = budgets(sidecar).await["lease"].clone();
        (lease["live"] == true && lease["term"].as_u64()? >= term).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_pods_spend_one_budget_and_no_more() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    stage.apply(&stage.budgeted("shop"));
    let mut pods = vec![];
    for name in ["a", "b", "c"] {
        let pod = stage.pod(name, "shop");
        let sidecar = stage.sidecar(&pod, &operator).await;
        pods.push((pod, sidecar));
    }
    streams(&operator, 3).await;
    for (_, sidecar) in &pods {
        lent(sidecar).await;
    }
    let mut demand = Demand::new();
    pods.iter().for_each(|(_, sidecar)| demand.of(&sidecar.app));
    sleep(WINDOW).await;
    let from = stage.provider.now_us();
    sleep(WINDOW * 2).await;
    let to = stage.provider.now_us();
    stage.condition("shop", "BudgetAvailable", "False Exhausted", "all").await;
    let seen = demand.end().await;
    println!("{seen:?}");
    let used = stage.within_the_cap(from, to);
    println!("used {used:.3}");
    assert!(used > 0.8, "{used:.3} of the cap was used: {seen:?}");
    assert!(seen.keys().all(|told| told == "answered" || told == "429 budget_exhausted"), "{seen:?}");
    let status = stage.status("shop");
    assert_eq!(status["ledgerTerm"], 1);
    let row = &status["budgets"][0];
    assert_eq!((&row["name"], &row["limitUsd"]), (&"all".into(), &LIMIT.into()), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_and_operators_come_and_go_and_no_window_is_above_the_cap() {
    let stage = Stage::new().await;
    let mut first = stage.operator("op-1").await;
    stage.leads_to(first.control.port()).await;
    let second = stage.operator("op-2").await;
    // As the Service has it, and a way of its own for the pod that is cut off.
    let (service, own) = (Gate::to(first.control).await, Gate::to(first.control).await);
    let at = |gate: &Gate| format!("https://localhost:{}", gate.addr().port());
    stage.apply(&stage.budgeted("shop"));
    let pods = ["a", "b", "c", "d", "e"].map(|name| stage.pod(name, "shop"));
    let [a, b, c, d, e] = &pods;
    let a = stage.sidecar_of(a, &at(&own)).await.start().await;
    let b = stage.sidecar_of(b, &at(&service)).await.start().await;
    let of_c = stage.sidecar_of(c, &at(&service)).await;
    let mut c = of_c.start().await;
    let mut demand = Demand::new();
    for sidecar in [&a, &b, &c] {
        lent(sidecar).await;
        demand.of(&sidecar.app);
    }
    sleep(WINDOW).await;

    // A container dies, and the next one begins on what it left.
    c.kill().await;
    let c = of_c.start().await;
    demand.of(&c.app);
    lent(&c).await;

    // The leader dies.
    first.kill().await;
    stage.leads_to(second.control.port()).await;
    service.lead_to(second.control);
    own.lead_to(second.control);
    for sidecar in [&a, &b, &c] {
        of_term(sidecar, 2).await;
    }
    // What may be known to nobody is free again by then.
    sleep(WINDOW).await;
    let from = stage.provider.now_us();
    sleep(WINDOW).await;
    let (to, answered) = (stage.provider.now_us(), demand.answered());
    stage.until("the status knows of the ledger", || (stage.status("shop")["ledgerTerm"] == 2).then_some(())).await;

    // One is cut off, one is drained, two come.
    own.cut();
    b.terminate();
    for pod in [d, e] {
        let sidecar = stage.sidecar_of(pod, &at(&service)).await.start().await;
        lent(&sidecar).await;
        demand.of(&sidecar.app);
        demand.keep(sidecar);
    }
    sleep(WINDOW).await;
    assert!(demand.answered() > answered, "nobody was answered");
    own.mend();

    // The new leader is frozen; the one that is back leads, and meets it again.
    let third = stage.operator("op-1").await;
    second.freeze();
    stage.leads_to(third.control.port()).await;
    service.lead_to(third.control);
    own.lead_to(third.control);
    for sidecar in [&a, &c] {
        of_term(sidecar, 3).await;
    }
    second.thaw();
    sleep(WINDOW).await;
    let (used, seen) = (stage.within_the_cap(from, to), demand.end().await);
    println!("used {used:.3}: {seen:?}");
    assert!(used > 0.5, "after the first takeover {used:.3} of the cap was used: {seen:?}");
    let all = ["answered", "gone", "429 budget_exhausted", "503 sidecar_draining"];
    let is_known = |told: &String| all.contains(&&**told);
    assert!(seen.keys().all(is_known), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_starts_again_while_no_operator_answers_goes_on_with_its_share() {
    let stage = Stage::new().await;
    let mut operator = stage.operator("op-1").await;
    stage.apply(
        &stage.with_budget("shop", &format!("{{name: all, window: 1h, limitUsd: \"{LIMIT}\", guaranteed: \"0.5\"}}")),
    );
    let pod = stage.pod("a", "shop");
    let of_pod = stage.sidecar_of(&pod, &operator.url()).await;
    let mut sidecar = of_pod.start().await;
    let share = crate::stage::until("a share", async || {
        let share = budgets(&sidecar).await["lease"]["guaranteed_share"].as_f64()?;
        (share > 0.0).then_some(share)
    })
    .await;
    // The next report agrees to it, and then it is kept.
    sleep(Duration::from_secs(3)).await;
    operator.kill().await;
    sidecar.kill().await;

    let sidecar = of_pod.start().await;
    assert_eq!(request(&sidecar.app, "hi").send().await.status, 200, "{}", budgets(&sidecar).await);
    while request(&sidecar.app, "hi").send().await.status == 200 {}
    let spent: u64 = stage.charges().iter().map(|c| c.nano_usd).sum();
    let share = (nano(LIMIT) as f64 * 0.5 * share) as u64;
    println!("spent {spent} of a share of {share}");
    assert!(spent <= share && spent > share / 5 * 4, "{spent} of {share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_thousands_of_tenants_spent_is_known_to_the_next_leader() {
    let stage = Stage::new().await;
    let mut first = stage.operator("op-1").await;
    stage.leads_to(first.control.port()).await;
    let second = stage.operator("op-2").await;
    let service = Gate::to(first.control).await;
    let address = format!("https://localhost:{}", service.addr().port());
    let limit = "0.05";
    stage.apply(&stage.with_budget(
        "shop",
        &format!("{{name: each, window: 1h, limitUsd: \"{limit}\", scope: Tenant, leaseWait: 2s}}"),
    ));
    let [a, b] = ["a", "b"].map(|name| stage.pod(name, "shop"));
    let mut a = stage.sidecar_of(&a, &address).await.start().await;
    lent(&a).await;

    // One tenant spends all it has, the others a little each: more than one object of the API server takes.
    let spend = async |app: &Caller| while request_of(app, 0).send().await.status != 429 {};
    let others = futures_util::stream::iter(1..2_400).for_each_concurrent(16, async |tenant| {
        let reply = request_of(&a.app, tenant).send().await;
        assert_eq!(reply.status, 200, "{tenant}: {}", reply.text());
    });
    tokio::join!(spend(&a.app), others);
    stage.until("the ledger is in parts", || (stage.ledgers() == 33).then_some(())).await;
    // The interval at which an hour's budget is written.
    sleep(Duration::from_secs(6)).await;
    first.kill().await;
    a.kill().await;
    stage.leads_to(second.control.port()).await;
    service.lead_to(second.control);

    let b = stage.sidecar_of(&b, &address).await.start().await;
    of_term(&b, 2).await;
    assert_eq!(request_of(&b.app, 7).send().await.status, 200, "there is money of others");
    spend(&b.app).await;
    let of_first = |c: &Charge| c.body.contains(&format!("tenant-{:0>120}", 0));
    let spent: u64 = stage.charges().iter().filter(|c| of_first(c)).map(|c| c.nano_usd).sum();
    let limit = nano(limit);
    println!("spent {spent} of {limit}");
    assert!(spent <= limit && spent > limit / 5 * 4, "{spent} of {limit}");
}
