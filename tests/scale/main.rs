//! `make bench-control`: what one operator costs with a thousand sidecars, and how soon an edit is in force in all of them.
//! A real etcd and API server, the operator's release program under its own account, a thousand pods with a token each, and as
//! many connections. All of it shares one machine.

#[allow(dead_code, reason = "what stories need of it")]
#[path = "../operator/stage.rs"]
mod stage;

mod borrower;
mod policy;
mod report;
mod sidecars;

use std::{future::Future, time::Duration};

use clap::Parser;
use harness::{Metrics, Operator, many::Kube};
use tokio::time::{Instant, sleep};

use report::{Edit, Lent, Report, Told};
use sidecars::Sidecars;
use stage::Stage;

/// How long anything may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How exactly an edit's end is seen.
const LOOK: Duration = Duration::from_millis(1);
/// They spend for so long before it is measured, and then for so long again.
const SPENDS: Duration = Duration::from_secs(60);
/// Where all spend, a caller of each asks again after that.
const THINKS: Duration = Duration::from_secs(8);
/// Between looks at what is slower.
const NOW_AND_THEN: Duration = Duration::from_millis(50);

#[derive(Parser)]
struct Args {
    /// Sidecars, each with its own pod, token and connection.
    #[arg(long, default_value_t = 1000)]
    sidecars: usize,
    /// Edits, one after the other.
    #[arg(long, default_value_t = 100)]
    edits: usize,
    /// Of cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    // One core for a thousand sidecars, so that the operator has one too.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(measure(&args));
    let is_good = report.print_and_keep();
    std::process::exit(i32::from(!is_good));
}

/// Waits until `look` is true; gives the time when it was.
async fn until<F: Future<Output = bool>>(what: &str, every: Duration, mut look: impl FnMut() -> F) -> Instant {
    let end = Instant::now() + PATIENCE;
    while !look().await {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        sleep(every).await;
    }
    Instant::now()
}

async fn streams(operator: &Operator) -> usize {
    let page = operator.admin.get("/metrics").try_send().await.map(|reply| reply.text()).unwrap_or_default();
    Metrics::parse(&page).get("llmroute_operator_streams", &[]).map_or(0, |n| n as usize)
}

/// The status says that all have this generation.
async fn is_told(kube: &Kube, generation: i64, all: usize) -> bool {
    let status = &kube.policy("shop").await["status"];
    let conditions = status["conditions"].as_array();
    let programmed = conditions.and_then(|all| all.iter().find(|c| c["type"] == "Programmed"));
    programmed.is_some_and(|c| c["status"] == "True" && c["observedGeneration"] == generation)
        && status["sidecars"]["inSync"] == all
}

async fn measure(args: &Args) -> Report {
    let Args { sidecars: n, edits, .. } = *args;
    let stage = Stage::new().await;
    let kube = Kube::new(stage.server.kubeconfig()).await;
    println!("{n} pods and their tokens");
    let pods = kube.pods("shop", n).await;
    stage.apply(&policy::manifest().to_string());
    let operator = stage.operator("op-1").await;
    let map = ["get", "configmap", "llmroute-shop", "-n", "shop", "--output=jsonpath={.data.policy\\.json}"];
    let document = stage.until("the document", || stage.server.kubectl(&map).ok()).await;
    until("the status", NOW_AND_THEN, async || is_told(&kube, 1, 0).await || n > 0).await;

    let before = Told::of(&operator, &kube).await;
    let began = Instant::now();
    let mut sidecars = Sidecars::start(&pods, &operator.url(), &stage.ca().await);
    let none = vec![0; n];
    let all = until("all have the policy", LOOK, async || sidecars.beyond(&none) == n).await;
    let first = all - began;
    until("the status says so", NOW_AND_THEN, async || is_told(&kube, 1, n).await).await;
    println!("all have the policy after {first:?}");
    let connected = Told::of(&operator, &kube).await;

    let mut took = vec![];
    for number in 0..edits {
        let counts = sidecars.counts();
        let generation = kube.edit("shop", policy::edit(number)).await;
        let replied = Instant::now();
        let acknowledged = until("all acknowledge", LOOK, async || sidecars.beyond(&counts) == n).await;
        let told = until("the status says so", NOW_AND_THEN, async || is_told(&kube, generation, n).await).await;
        took.push(Edit { acknowledged: acknowledged - replied, told: told - replied });
        sidecars.are_all_at(generation);
    }
    let edited = Told::of(&operator, &kube).await;

    let mut lent = vec![];
    // A budget of 100 USD a minute has room for 37 requests a second; they ask for three times as many.
    for (who, pods, callers, thinks) in [("one spends", 1, 100, Duration::from_secs(1)), ("all spend", n, n, THINKS)] {
        println!("{who} of one budget");
        sidecars.spend(pods, callers, thinks);
        sleep(SPENDS).await;
        sidecars.seen();
        let (before, began) = (Told::of(&operator, &kube).await, Instant::now());
        sleep(SPENDS).await;
        let (seen, took, after) = (sidecars.seen(), began.elapsed(), Told::of(&operator, &kube).await);
        lent.push(Lent { who, seen, took, before, after });
    }

    println!("the operator is killed and starts again");
    let (address, mut operator) = (operator.control, operator);
    operator.kill().await;
    let began = Instant::now();
    let operator = stage.operator_at("op-1", address).await;
    let back =
        until("all are back", NOW_AND_THEN, async || streams(&operator).await == n && sidecars.connected() == n).await;
    let returned = Told::of(&operator, &kube).await;
    Report {
        sidecars: n,
        document: document.len(),
        before,
        connected,
        first,
        edits: took,
        edited,
        lent,
        back: back - began,
        returned,
    }
}
