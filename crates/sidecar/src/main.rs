//! `llmroute-sidecar`: flags, runtime, ports, signals; everything else is in the library.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use sidecar::{
    admin, clock,
    config::Config,
    control::{self, Control, Link},
    later::{self, Later},
    memory::Memory,
    money::{Keeper, Money},
    reload::{self, Followed},
    serve,
    state::State,
    store::{Found, Store},
    telemetry::{Lines, Telemetry},
    upstream::Upstream,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// glibc's gives the top of its heap back and takes it again, over and over, where bodies come and go.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Unusable flags, or a bad initial policy.
const UNUSABLE: u8 = 2;
/// Between tries to read the state directory.
const AGAIN: Duration = Duration::from_secs(1);
/// Log lines may take so long to be written when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // Before all else: until then whoever is of our user can look into this process, and at the keys that it is given.
    let hardened = sidecar::harden();
    let config = Config::parse();
    if let Err(why) = config.check() {
        eprintln!("error: {why}");
        return ExitCode::from(UNUSABLE);
    }
    let mut runtime = match config.workers() {
        1 => tokio::runtime::Builder::new_current_thread(),
        n => {
            let mut b = tokio::runtime::Builder::new_multi_thread();
            b.worker_threads(n);
            b
        }
    };
    let runtime = match runtime.enable_all().build() {
        Ok(r) => r,
        Err(e) => {
            eprintln!("error: the runtime cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    let lines = match Lines::start(std::io::stderr()) {
        Ok(lines) => lines,
        Err(e) => {
            eprintln!("error: the log's thread cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(run(config, hardened, lines.clone())) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    };
    lines.flush(LAST_LINES);
    code
}

/// The environment's part: connections, telemetry and log.
fn set_up(lines: Lines, config: &Config) -> anyhow::Result<State> {
    let upstream = Upstream::from_env()?;
    let telemetry = Telemetry::from_env(&upstream, lines)?;
    let mut state = State::new(upstream, Memory::of_container(), telemetry);
    let control = config.control().map_err(anyhow::Error::msg)?;
    // All pods of an operator's policy share its caps.
    state.money = Money::new(config.state.is_some(), control.is_some());
    state.control = control.map(|settings| Arc::new(Link::new(settings.address)));
    Ok(state)
}

/// Opens the state directory, and finds in it what earlier runs left.
async fn keep_state(state: &State, dir: &Path) -> anyhow::Result<Store> {
    let (store, found) = Store::open(dir, clock::unix())?;
    if found == Found::Kept {
        tracing::info!(dir = %dir.display(), "the state of an earlier run is kept");
    }
    let later = Later::open(store.clone()).await?;
    let _ = state.later.set(Arc::new(later));
    Ok(store)
}

/// Keeps what is spent from the first policy on, which says what is counted; nothing can be held before.
async fn keep_money(state: Arc<State>, store: Store, pod: Option<String>, ended: CancellationToken) {
    tokio::select! {
        () = state.first_policy() => {}
        () = ended.cancelled() => return,
    }
    loop {
        match Keeper::open(&state.money, store.clone(), pod.clone()).await {
            Ok(keeper) => return keeper.run(state, ended).await,
            Err(e) => {
                tracing::error!(error = %e, "what was spent cannot be read: until it is, nothing is sent under a budget")
            }
        }
        tokio::select! {
            () = sleep(AGAIN) => {}
            () = ended.cancelled() => return,
        }
    }
}

/// Serves; calls that come before the first coins of shared budgets are accepted a moment later, rather than refused.
async fn serve_soon(state: Arc<State>, listener: TcpListener, draining: CancellationToken) {
    if let Some(in_force) = state.in_force.load_full() {
        tokio::select! {
            () = state.money.first(&in_force) => {}
            () = draining.cancelled() => {}
        }
    }
    serve::serve(state, listener, draining).await;
}

/// What a policy file or the operator puts in force, and what goes on to follow it.
enum Policies {
    File(Followed),
    Operator(Control),
}

/// Begins with the policy that there is.
///
/// # Errors
/// Every fault of a policy file.
fn first_policy(state: &Arc<State>, config: &Config) -> Result<Policies, Vec<String>> {
    if let (Some(link), Some(settings)) = (state.control.clone(), config.control().map_err(|e| vec![e])?) {
        return Ok(Policies::Operator(Control::start(state.clone(), link, settings)));
    }
    let file = config.policy.as_deref().ok_or_else(|| vec!["--policy or --control is needed".to_owned()])?;
    reload::first_policy(state, file).map(Policies::File)
}

async fn run(config: Config, hardened: Vec<String>, lines: Lines) -> anyhow::Result<ExitCode> {
    let state = match set_up(lines, &config) {
        Ok(state) => Arc::new(state),
        Err(e) => {
            eprintln!("error: {e:#}");
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    hardened.iter().for_each(|why| tracing::warn!("{why}"));
    if let Some(dir) = &config.credentials {
        reload::credentials(&state, dir);
    }
    let policies = match first_policy(&state, &config) {
        Ok(policies) => policies,
        Err(faults) => {
            for fault in faults {
                eprintln!("{fault}");
            }
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    let pod = config.control().ok().flatten().and_then(|settings| control::pod(&settings.token));
    let (mut store, mut keeper) = (None, None);
    if let Some(dir) = &config.state {
        let opened = async {
            let store = keep_state(&state, dir).await?;
            let counts = state.in_force.load().is_some();
            let keeper =
                if counts { Some(Keeper::open(&state.money, store.clone(), pod.clone()).await?) } else { None };
            anyhow::Ok((store, keeper))
        };
        match opened.await {
            Ok((opened, kept)) => (store, keeper) = (Some(opened), kept),
            Err(why) => {
                eprintln!("error: {why:#}");
                return Ok(ExitCode::from(UNUSABLE));
            }
        }
    } else if state.in_force.load().as_ref().is_some_and(|f| !f.snapshot.budgets.is_empty()) {
        tracing::warn!("budgets hold for the life of this process: without --state a restart forgets what was spent");
    }
    let data = TcpListener::bind(config.listen).await.with_context(|| format!("--listen {}", config.listen))?;
    let admin = TcpListener::bind(config.admin).await.with_context(|| format!("--admin {}", config.admin))?;
    tracing::info!(listen = %data.local_addr()?, admin = %admin.local_addr()?, "ready");

    let draining = CancellationToken::new();
    let (ended, parted) = (CancellationToken::new(), CancellationToken::new());
    let admin = tokio::spawn(admin::serve(state.clone(), admin, ended.clone()));
    let (followed, operator) = match policies {
        Policies::File(followed) => (Some(followed), None),
        Policies::Operator(control) => (None, Some(tokio::spawn(control.run(parted.clone())))),
    };
    let follow = tokio::spawn(reload::follow(state.clone(), followed, config.credentials, ended.clone()));
    let serving = tokio::spawn(serve_soon(state.clone(), data, draining.clone()));
    let later = tokio::spawn(later::run(state.clone(), draining.clone()));
    let keeping = match (keeper, store) {
        (Some(keeper), _) => Some(tokio::spawn(keeper.run(state.clone(), ended.clone()))),
        (None, Some(store)) => Some(tokio::spawn(keep_money(state.clone(), store, pod, ended.clone()))),
        (None, None) => None,
    };

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining: no new connections, requests under way run to their end");
    state.draining.store(true, std::sync::atomic::Ordering::Relaxed);
    draining.cancel();
    state.money.drain();
    let clean = tokio::select! {
        (serving, later) = async { tokio::join!(serving, later) } => serving.is_ok() && later.is_ok(),
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
    };
    // After the last request, so that all it held is settled.
    ended.cancel();
    let _ = tokio::join!(admin, follow);
    if let Some(keeping) = keeping {
        let _ = keeping.await;
    }
    // What goes back with the last words is not to be found on the disk again.
    parted.cancel();
    if let Some(operator) = operator {
        let _ = operator.await;
    }
    state.telemetry.spans.shutdown().await;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
