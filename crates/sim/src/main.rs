//! The simulator as a program.

mod cli;

use std::io::Write as _;
use std::process::ExitCode;

use sim::Sim;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let (config, exit_with_parent) = match cli::read() {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(2);
        }
    };
    match run(config, exit_with_parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: sim::Config, exit_with_parent: bool) -> anyhow::Result<()> {
    let sim = Sim::start(config)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", sim.addr())?;
    out.flush()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
            () = parent_gone(), if exit_with_parent => {}
        }
        Ok::<_, std::io::Error>(())
    })?;
    // A blocking read of stdin may still be open: do not wait for it.
    runtime.shutdown_background();
    Ok(())
}

/// Returns when stdin is closed, which is when the parent is gone.
async fn parent_gone() {
    let mut scratch = [0; 256];
    let mut stdin = tokio::io::stdin();
    while matches!(stdin.read(&mut scratch).await, Ok(read) if read > 0) {}
}
