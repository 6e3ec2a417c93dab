//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use sim::{Act, Config, Delays, Fault, Rule, Tls};

/// A pretend OpenAI and a pretend Anthropic on one listener, with scripted faults and a bill.
#[derive(Parser)]
#[command(name = "llmroute-sim", version)]
struct Args {
    /// Where to listen; port 0 takes a free one. The first line on stdout says which: `listening on ADDR`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Serve TLS with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Speak HTTP/1.1 only.
    #[arg(long)]
    no_http2: bool,
    /// A key that the OpenAI side accepts (repeatable); without one it takes any.
    #[arg(long, value_name = "KEY")]
    openai_key: Vec<String>,
    /// A key that the Anthropic side accepts (repeatable); without one it takes any.
    #[arg(long, value_name = "KEY")]
    anthropic_key: Vec<String>,
    /// Words of a text answer.
    #[arg(long, default_value_t = 24)]
    words: usize,
    /// Seed of ids, jitter and shares.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Milliseconds before the head of every answer.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    head_ms: u64,
    /// Milliseconds between a stream's preamble and its first content.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    first_ms: u64,
    /// Milliseconds before every further event of a stream.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    event_ms: u64,
    /// Up to so many milliseconds more, at random, on each of these.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    jitter_ms: u64,
    /// Every request that no rule of the script matches suffers this: `NAME,after=N,ms=N,retry_after=S,…`.
    #[arg(long, value_name = "FAULT")]
    fault: Option<String>,
    /// Rules to begin with (JSON, as for POST /sim/script).
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Requests kept in the log and on the bill.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    log_entries: usize,
    /// A stream that its caller cut runs on and is charged in full.
    #[arg(long)]
    cancelled_runs_on: bool,
    /// Stop when stdin is closed.
    #[arg(long)]
    exit_with_parent: bool,
}

const HELP: &str = "\
Endpoints:
  OpenAI     POST /v1/chat/completions, /v1/responses[/input_tokens], /v1/embeddings, /v1/moderations;
             GET|DELETE /v1/responses/{id}; GET /v1/models[/{id}]
  Anthropic  POST /v1/messages, /v1/messages/count_tokens; GET /v1/models[/{id}] with anthropic-version

Control:
  POST /sim/script   {\"seed\": 7, \"rules\": [{\"match\": {\"vendor\", \"path\", \"model\", \"header\": \"name[: value]\", \"stream\"},
                     \"times\": N, \"percent\": 10, \"fault\": NAME, \"after\": N, \"ms\": N, \"retry_after\": S, \"words\": N,
                     \"head_ms\", \"first_ms\", \"event_ms\", \"jitter_ms\"}]}; the first rule that matches decides
  POST /sim/dark[?vendor=openai|anthropic][&mode=silent|refuse]    no more answers; mode=refuse resets connections
  POST /sim/light[?vendor=...]     answers again
  POST /sim/reset                  forgets script, darkness, log, bill and memory
  GET  /sim/log[?since=SEQ]        every request seen, and how it ended
  GET  /sim/bill                   what would have been charged: sums, and for each request when how much, in at_us (a clock
                     that never steps; now_us is now) and time_ms; a plain call that its caller cut off is charged in full
                     when its answer would have been ready
  GET  /sim/faults                 the faults below as JSON

One request alone: the header `x-sim-fault: NAME,after=N,...`, or in the prompt `@@sim:fault=NAME,after=N,...@@`, also with
vendor=, model= (only there), times=N (only so often), words=N, say=TEXT, tool=NAME|none, args=JSON (last). After tools'
results the model talks; a result that holds an order, `@@sim:tool=NAME,...@@`, has it call once more.

Faults:
";

/// The settings, and whether to stop with the parent.
pub(crate) fn read() -> Result<(Config, bool), String> {
    let faults: String = Fault::ALL.iter().map(|f| format!("  {:<34} {}\n", f.name(), f.help())).collect();
    let matches = Args::command().after_help(format!("{HELP}{faults}")).get_matches();
    let args = Args::from_arg_matches(&matches).map_err(|e| e.to_string())?;
    let mut rules = Vec::new();
    let mut seed = args.seed;
    if let Some(path) = &args.script {
        let text = std::fs::read(path).map_err(|e| format!("--script {}: {e}", path.display()))?;
        let value = serde_json::from_slice(&text).map_err(|e| format!("--script {}: {e}", path.display()))?;
        let (read, own) = sim::parse_script(&value).map_err(|e| format!("--script {}: {e}", path.display()))?;
        rules = read;
        seed = own.unwrap_or(seed);
    }
    if let Some(fault) = &args.fault {
        rules.push(Rule::act(Act::parse(fault).map_err(|e| format!("--fault: {e}"))?));
    }
    let ms = Duration::from_millis;
    let config = Config {
        listen: args.listen,
        threads: args.threads,
        tls: args.tls_cert.zip(args.tls_key).map(|(cert, key)| Tls { cert, key }),
        http2: !args.no_http2,
        openai_keys: args.openai_key,
        anthropic_keys: args.anthropic_key,
        words: args.words,
        seed,
        delays: Delays {
            head: ms(args.head_ms),
            first: ms(args.first_ms),
            event: ms(args.event_ms),
            jitter: ms(args.jitter_ms),
        },
        rules,
        log_entries: args.log_entries,
        log_body: Config::default().log_body,
        cancelled_runs_on: args.cancelled_runs_on,
    };
    Ok((config, args.exit_with_parent))
}
