//! `llmroute-sidecar`: flags, runtime, ports, signals; everything else is in the library.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use sidecar::{
    admin, clock,
    config::Config,
    later::{self, Later},
    memory::Memory,
    money::{Keeper, Money},
    reload, serve,
    state::State,
    store::{Found, Store},
    telemetry::{Lines, Telemetry},
    upstream::Upstream,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// glibc's gives the top of its heap back and takes it again, over and over, where bodies come and go.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Unusable flags, or a bad initial policy.
const UNUSABLE: u8 = 2;
/// Log lines may take so long to be written when the process ends.
const LAST_LINES: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
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
    let code = match runtime.block_on(run(config, lines.clone())) {
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
fn set_up(lines: Lines, keeps: bool) -> anyhow::Result<State> {
    let upstream = Upstream::from_env()?;
    let telemetry = Telemetry::from_env(&upstream, lines)?;
    let mut state = State::new(upstream, Memory::of_container(), telemetry);
    if keeps {
        state.money = Money::journalled();
    }
    Ok(state)
}

/// Opens the state directory, and finds in it what earlier runs left and spent.
async fn keep_state(state: &State, dir: &Path) -> anyhow::Result<Keeper> {
    let (store, found) = Store::open(dir, clock::unix())?;
    if found == Found::Kept {
        tracing::info!(dir = %dir.display(), "the state of an earlier run is kept");
    }
    let keeper = Keeper::open(&state.money, store.clone()).await?;
    let later = Later::open(store).await?;
    let _ = state.later.set(Arc::new(later));
    Ok(keeper)
}

async fn run(config: Config, lines: Lines) -> anyhow::Result<ExitCode> {
    let state = match set_up(lines, config.state.is_some()) {
        Ok(state) => Arc::new(state),
        Err(e) => {
            eprintln!("error: {e:#}");
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    sidecar::harden();
    if let Some(dir) = &config.credentials {
        reload::credentials(&state, dir);
    }
    let policy = match reload::first_policy(&state, &config.policy) {
        Ok(text) => text,
        Err(faults) => {
            for fault in faults {
                eprintln!("{fault}");
            }
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    let keeper = match &config.state {
        Some(dir) => match keep_state(&state, dir).await {
            Ok(keeper) => Some(keeper),
            Err(why) => {
                eprintln!("error: {why:#}");
                return Ok(ExitCode::from(UNUSABLE));
            }
        },
        None => {
            if state.in_force.load().as_ref().is_some_and(|f| !f.snapshot.budgets.is_empty()) {
                tracing::warn!(
                    "budgets hold for the life of this process: without --state a restart forgets what was spent"
                );
            }
            None
        }
    };
    let data = TcpListener::bind(config.listen).await.with_context(|| format!("--listen {}", config.listen))?;
    let admin = TcpListener::bind(config.admin).await.with_context(|| format!("--admin {}", config.admin))?;
    tracing::info!(listen = %data.local_addr()?, admin = %admin.local_addr()?, "ready");

    let draining = CancellationToken::new();
    let ended = CancellationToken::new();
    let admin = tokio::spawn(admin::serve(state.clone(), admin, ended.clone()));
    let follow = reload::follow(state.clone(), config.policy, policy, config.credentials, ended.clone());
    let follow = tokio::spawn(follow);
    let serving = tokio::spawn(serve::serve(state.clone(), data, draining.clone()));
    let later = tokio::spawn(later::run(state.clone(), draining.clone()));
    let keeping = keeper.map(|keeper| tokio::spawn(keeper.run(state.clone(), ended.clone())));

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining: no new connections, requests under way run to their end");
    state.draining.store(true, std::sync::atomic::Ordering::Relaxed);
    draining.cancel();
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
    state.telemetry.spans.shutdown().await;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
