//! A load generator for LLM proxies: one thread, epoll, hand-built HTTP/1.1, one JSON object as the result.
//!
//! Closed loop: each connection sends its next request as soon as the last one ended. Open loop (`--rate`): requests
//! fall due at a constant rate whatever the answers do, and latency counts from the due time, so that a stall is
//! charged to every request it held up. While it runs it samples CPU time and memory of the processes under test with
//! all their children, of the mock, of itself and of the whole machine.

mod body;
mod conn;
mod load;
mod machine;
mod reply;
mod report;

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use clap::Parser;
use llmroute_bench::monotonic_ns;
use rustix::process::{Signal, set_parent_process_death_signal};

/// A load generator for LLM proxies.
#[derive(Parser)]
enum Command {
    /// Sends load and prints one JSON object.
    Run(Box<Args>),
    /// Spins for so many seconds. At the lowest priority there is, it keeps a core out of idle, so that latency does
    /// not depend on how long a halted virtual core takes to wake.
    Awake { seconds: u64 },
}

#[derive(clap::Args)]
struct Args {
    /// Where to send, such as http://127.0.0.1:9100/v1/chat/completions
    #[arg(long)]
    url: String,
    /// Requests a second, open loop; without it the loop is closed.
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 64)]
    conns: usize,
    /// Seconds measured, after the warm-up.
    #[arg(long, default_value_t = 3.0)]
    duration: f64,
    /// Seconds of load before measuring starts.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// About how long the prompt is, in KiB.
    #[arg(long, default_value_t = 1)]
    kib: usize,
    #[arg(long, default_value_t, value_enum)]
    format: body::Format,
    /// Ask for an event stream.
    #[arg(long)]
    stream: bool,
    /// Offer a tool.
    #[arg(long)]
    tool: bool,
    /// A further header line, such as "x-llmroute-scene: chat"; may be repeated.
    #[arg(long)]
    header: Vec<String>,
    /// Pace for the mock, such as chunk_delay_us=10000,chunks=50
    #[arg(long, default_value = "")]
    pace: String,
    /// Processes under test; their children count too.
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    #[arg(long)]
    mock_pid: Option<u32>,
    /// Processes whose CPU time is nobody's disturbance.
    #[arg(long, value_delimiter = ',')]
    ignore_pid: Vec<u32>,
}

/// What one run does.
struct Config {
    addr: SocketAddr,
    request: Vec<u8>,
    expected: body::Expected,
    rate: Option<f64>,
    conns: usize,
    duration: f64,
    warmup: f64,
    tested: Vec<u32>,
    mock: Option<u32>,
    ignored: Vec<u32>,
}

fn main() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    match Command::parse() {
        Command::Run(args) => {
            let report = load::run(&config(*args)?)?;
            println!("{}", serde_json::to_string(&report)?);
        }
        Command::Awake { seconds } => {
            let until = monotonic_ns() + Duration::from_secs(seconds).as_nanos() as u64;
            while monotonic_ns() < until {
                for n in 0..200_000u32 {
                    std::hint::black_box(n);
                }
            }
        }
    }
    Ok(())
}

fn config(args: Args) -> anyhow::Result<Config> {
    let Args { url, rate, conns, duration, warmup, kib, format, stream, tool, header, pace, pid, mock_pid, ignore_pid } =
        args;
    let rest = url.strip_prefix("http://").context("--url must start with http://")?;
    let (authority, path) = rest.split_once('/').context("--url needs a path")?;
    let body = body::build(format, kib * 1024, stream, tool, &pace);
    let extra: String = header.iter().map(|line| format!("{line}\r\n")).collect::<String>() + format.headers();
    let length = body.len();
    let mut request = format!(
        "POST /{path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\naccept: */*\r\n\
         content-length: {length}\r\n{extra}\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body.as_bytes());
    let addr = authority.parse().context("--url needs an address and a port")?;
    Ok(Config {
        addr,
        request,
        expected: body::Expected { format, stream, chunks: chunks(&pace)? },
        rate,
        conns,
        duration,
        warmup,
        tested: pid,
        mock: mock_pid,
        ignored: ignore_pid,
    })
}

/// How many content events a stream of this pace has.
fn chunks(pace: &str) -> anyhow::Result<u64> {
    const USUAL: u64 = 50;
    let named = pace.split(',').find_map(|pair| pair.strip_prefix("chunks="));
    named.map_or(Ok(USUAL), |n| n.parse().context("--pace: chunks must be a number"))
}
