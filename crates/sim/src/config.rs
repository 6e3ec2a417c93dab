//! How a simulator is set up.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::fault::Delays;
use crate::script::Rule;

/// Settings; the default is what tests want.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Worker threads.
    pub threads: usize,
    /// Serves TLS with this certificate.
    pub tls: Option<Tls>,
    /// Speaks HTTP/2 too.
    pub http2: bool,
    /// Keys that the OpenAI side accepts; none means any.
    pub openai_keys: Vec<String>,
    /// Keys that the Anthropic side accepts; none means any.
    pub anthropic_keys: Vec<String>,
    /// Words of a text answer.
    pub words: usize,
    /// Seeds ids, jitter and shares.
    pub seed: u64,
    /// Delays of every answer.
    pub delays: Delays,
    /// Rules from the start.
    pub rules: Vec<Rule>,
    /// Requests kept in the log and on the bill.
    pub log_entries: usize,
    /// Bytes of a request body kept in the log.
    pub log_body: usize,
    /// A stream that its caller cut runs on and is charged in full, as some providers do.
    pub cancelled_runs_on: bool,
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            threads: 1,
            tls: None,
            http2: true,
            openai_keys: Vec::new(),
            anthropic_keys: Vec::new(),
            words: 24,
            seed: 0,
            delays: Delays::default(),
            rules: Vec::new(),
            log_entries: 10_000,
            log_body: 1024 * 1024,
            cancelled_runs_on: false,
        }
    }
}
