//! What is fixed for the life of the process: flags.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

/// The llmroute data plane: apps call localhost, it calls the providers.
#[derive(Debug, Parser)]
#[command(name = "llmroute-sidecar", version)]
pub struct Config {
    /// An LLMRoutePolicy manifest; a change is in force within 2 s
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,

    /// Where apps call; loopback only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15080")]
    pub listen: SocketAddr,

    /// Health, metrics and explanations
    #[arg(long, value_name = "ADDR", default_value = "[::]:15090")]
    pub admin: SocketAddr,

    /// Directory of key files, one a key; re-read on change within 2 s
    #[arg(long, value_name = "DIR")]
    pub credentials: Option<PathBuf>,

    /// Directory for what must survive a restart
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Worker threads; by default the CPU limit, at most 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: Option<u16>,
}

impl Config {
    /// Faults that clap cannot see.
    ///
    /// # Errors
    /// A sentence that names the flag and the remedy.
    pub fn check(&self) -> Result<(), String> {
        if !self.listen.ip().is_loopback() {
            return Err(format!(
                "--listen {}: only loopback addresses are allowed, since whoever reaches this port spends the organisation's money; use 127.0.0.1 or [::1]",
                self.listen
            ));
        }
        Ok(())
    }

    /// Worker threads to run.
    #[must_use]
    pub fn workers(&self) -> usize {
        let by_limit = || std::thread::available_parallelism().map_or(1, usize::from).min(2);
        self.threads.map_or_else(by_limit, usize::from)
    }
}
