//! `llmroute-operator`: flags, log, runtime, signals; everything else is in the library.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use operator::{config::Config, files, run::run, watch::SILENCE};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

/// To the API server.
const CONNECT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let config = Config::parse();
    let done = log().and_then(|()| {
        files::raise();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(start(config))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(config: Config) -> anyhow::Result<()> {
    let mut cluster = kube::Config::infer().await.context("where is the API server?")?;
    cluster.connect_timeout = Some(CONNECT);
    // From when something was asked, not from when the connection was last used.
    (cluster.read_timeout, cluster.reset_reader_on_write) = (Some(SILENCE), true);
    let client = kube::Client::try_from(cluster).context("the API server")?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    run(config, client, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// JSON lines on standard error, of our own crates only: others would print what goes over the wire.
fn log() -> anyhow::Result<()> {
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    let levels = EnvFilter::try_new(levels).context("RUST_LOG")?;
    let ours = filter_fn(|m| m.target().split("::").next().is_some_and(|root| root == "operator"));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_filter(ours);
    tracing_subscriber::registry().with(levels).with(lines).try_init().context("the log")
}
