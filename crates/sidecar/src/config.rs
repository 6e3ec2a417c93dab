//! What is fixed for the life of the process: flags.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use crate::control::{Address, Settings};

/// The llmroute data plane: apps call localhost, it calls the providers.
#[derive(Debug, Parser)]
#[command(name = "llmroute-sidecar", version)]
pub struct Config {
    /// An LLMRoutePolicy manifest; a change is in force within 2 s
    #[arg(long, value_name = "FILE", required_unless_present = "control", conflicts_with = "control")]
    pub policy: Option<PathBuf>,

    /// The operator, https://HOST:PORT, which sends the policy in the place of a file
    #[arg(long, value_name = "URL")]
    pub control: Option<String>,

    /// PEM of the operator's CA, read for each connect; else LLMROUTE_CA holds it
    #[arg(long, value_name = "FILE", requires = "control", conflicts_with = "policy")]
    pub control_ca: Option<PathBuf>,

    /// The pod's token for the operator, read for each connect
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/kubernetes.io/serviceaccount/token")]
    pub control_token: PathBuf,

    /// The policy's ConfigMap as a file, for a start while the operator does not answer
    #[arg(long, value_name = "FILE", requires = "control", conflicts_with = "policy")]
    pub control_fallback: Option<PathBuf>,

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
        self.control().map(|_| ())
    }

    /// What `--control` and its companions say; nothing without it.
    ///
    /// # Errors
    /// A sentence that names the flag and the remedy.
    pub fn control(&self) -> Result<Option<Settings>, String> {
        let Some(url) = &self.control else { return Ok(None) };
        let address = Address::parse(url).map_err(|e| format!("--control {e}"))?;
        Ok(Some(Settings {
            name: address.host().to_owned(),
            address,
            ca_file: self.control_ca.clone(),
            ca: std::env::var("LLMROUTE_CA").ok(),
            token: self.control_token.clone(),
            state: self.state.clone(),
            fallback: self.control_fallback.clone(),
        }))
    }

    /// Worker threads to run.
    #[must_use]
    pub fn workers(&self) -> usize {
        let by_limit = || std::thread::available_parallelism().map_or(1, usize::from).min(2);
        self.threads.map_or_else(by_limit, usize::from)
    }
}
