//! `llmroute-sidecar`: flags, runtime, ports, signals; everything else is in the library.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use sidecar::{
    admin, clock,
    config::Config,
    later::{self, Later},
    memory::Memory,
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
fn set_up(lines: Lines) -> anyhow::Result<State> {
    let upstream = Upstream::from_env()?;
    let telemetry = Telemetry::from_env(&upstream, lines)?;
    Ok(State::new(upstream, Memory::of_container(), telemetry))
}

/// Opens the state directory, and finds in it what earlier runs left.
async fn keep_state(state: &State, dir: &Path) -> anyhow::Result<()> {
    let (store, found) = Store::open(dir, clock::unix())?;
    if found == Found::Kept {
        tracing::info!(dir = %dir.display(), "the state of an earlier run is kept");
    }
    let later = Later::open(store).await?;
    let _ = state.later.set(Arc::new(later));
    Ok(())
}

async fn run(config: Config, lines: Lines) -> anyhow::Result<ExitCode> {
    let state = match set_up(lines) {
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
    if let Some(dir) = &config.state
        && let Err(why) = keep_state(&state, dir).await
    {
        eprintln!("error: {why:#}");
        return Ok(ExitCode::from(UNUSABLE));
    }
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
    ended.cancel();
    let _ = tokio::join!(admin, follow);
    state.telemetry.spans.shutdown().await;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
