//! The real operator program.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::OnceLock,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{
    caller::Caller,
    eventually,
    program::{Output, built, memory_kib},
};

/// A running operator; killed on drop.
pub struct Operator {
    /// Where sidecars call.
    pub control: SocketAddr,
    /// Where the API server asks.
    pub webhook: SocketAddr,
    /// Health and metrics.
    pub admin: Caller,
    child: Child,
    output: Output,
}

impl Operator {
    /// A replica of this name, which the API server of `kubeconfig` knows as whoever is named there; `control` may have port 0.
    pub async fn start(kubeconfig: &Path, name: &str, control: SocketAddr) -> Operator {
        Operator::start_with(kubeconfig, name, control, &[]).await
    }

    /// The same with further arguments.
    pub async fn start_with(kubeconfig: &Path, name: &str, control: SocketAddr, more: &[&str]) -> Operator {
        let mut command = Command::new(program());
        command.args(["--control", &control.to_string(), "--admin", "127.0.0.1:0", "--tls-name", "localhost"]);
        command.args(["--webhook", "127.0.0.1:0"]);
        // An address of loopback is refused as an endpoint.
        command.args(["--pod-name", name, "--pod-ip", "192.0.2.1"]).args(more);
        command.env("KUBECONFIG", kubeconfig).env("RUST_LOG", "debug");
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "POD_NAMESPACE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("starts");
        let output = Output::default();
        output.follow(child.stderr.take().expect("piped"), false);
        let started = eventually("the operator says its ports", || async {
            output.text().lines().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let address = |name: &str| line[name].as_str()?.parse::<SocketAddr>().ok();
                Some((address("control")?, address("webhook")?, address("admin")?))
            })
        });
        let (control, webhook, admin) = tokio::select! {
            started = started => started,
            ended = child.wait() => panic!("ended at once: {ended:?}\n{}", output.text()),
        };
        Operator { control, webhook, admin: Caller::new(admin), child, output }
    }

    /// Its address as sidecars are told.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.control.port())
    }

    /// All it wrote so far.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// One field of `/proc/PID/status`, in KiB.
    pub fn memory_kib(&self, field: &str) -> u64 {
        memory_kib(self.pid(), field)
    }

    /// CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        cpu(self.pid())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("runs")
    }

    /// Sends SIGTERM, and waits for its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        timeout(Duration::from_secs(20), self.child.wait()).await.expect("ends").expect("a status")
    }

    /// Sends SIGSTOP: it does nothing from now on, and its connections stay.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Sends SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a pid");
        kill_process(pid, signal).expect("a signal");
    }

    /// Sends SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a signal");
    }
}

fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("operator")).clone()
}

/// CPU time that a process has used.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    // After the name, which may have blanks: the 12th and 13th are user and system time.
    let after = stat.rsplit_once(") ").expect("a name").1;
    let ticks: u64 = after.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
    Duration::from_micros(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
}
