//! The real sidecar program, for what only a process has: flags, exit codes, signals, logs, memory.

use std::{
    collections::BTreeMap,
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command as StdCommand, ExitStatus, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{caller::Caller, eventually};

/// A running sidecar process; killed on drop.
pub struct Program {
    /// The app.
    pub app: Caller,
    /// The admin port.
    pub admin: Caller,
    child: Child,
    output: Output,
    /// Of its output, for as long as there is any.
    readers: Vec<JoinHandle<()>>,
}

/// Lines of standard output and standard error.
#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<String>>);

/// A process in the making.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    deaf: bool,
    survives_file_limits: bool,
}

/// How a process that did not serve ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// All it wrote.
    pub output: String,
}

impl Output {
    /// All that was written so far.
    pub fn text(&self) -> String {
        self.0.lock().clone()
    }

    /// Reads it all; or up to the line that says it is ready, and leaves the rest in the pipe.
    /// Reads to the end, or only until the program is ready.
    pub(crate) fn follow(&self, from: impl AsyncRead + Unpin + Send + 'static, until_ready: bool) -> JoinHandle<()> {
        let text = self.0.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                {
                    let mut text = text.lock();
                    text.push_str(&line);
                    text.push('\n');
                }
                if until_ready && line.contains("ready") {
                    std::future::pending::<()>().await;
                }
            }
        })
    }
}

impl Builder {
    /// With this policy file, on free ports.
    pub fn new(policy: &Path) -> Builder {
        Builder::on_free_ports(&["--policy", &policy.display().to_string()])
    }

    /// With these arguments, on free ports.
    pub fn on_free_ports(args: &[&str]) -> Builder {
        Builder::bare(&[args, &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]].concat())
    }

    /// With these arguments alone.
    pub fn bare(args: &[&str]) -> Builder {
        Builder { args: args.iter().map(|a| (*a).to_owned()).collect(), ..Builder::default() }
    }

    /// With a credentials directory.
    pub fn credentials(self, dir: &Path) -> Builder {
        self.arg("--credentials").arg(&dir.display().to_string())
    }

    /// One more argument.
    pub fn arg(mut self, arg: &str) -> Builder {
        self.args.push(arg.to_owned());
        self
    }

    /// One more environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Builder {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Nobody reads its standard error once it serves.
    pub fn deaf(mut self) -> Builder {
        self.deaf = true;
        self
    }

    /// A write beyond `RLIMIT_FSIZE` is an error to it, as on a full disk, and no signal that ends it.
    pub fn survives_file_limits(mut self) -> Builder {
        self.survives_file_limits = true;
        self
    }

    fn command(&self) -> Command {
        let mut command = match self.survives_file_limits {
            true => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program());
                shell
            }
            false => Command::new(program()),
        };
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "RUST_LOG"] {
            command.env_remove(name);
        }
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        command.envs(&self.env);
        command
    }

    /// Runs it to its end, which must come by itself.
    pub async fn run(&self) -> Ended {
        let output = timeout(Duration::from_secs(20), self.command().output()).await.expect("ends by itself");
        let output = output.expect("starts");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Ended { code: output.status.code(), output: text }
    }

    /// Starts it, and kills it so long after, whether it serves by then or not.
    pub async fn killed_after(&self, life: Duration) {
        let mut child = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        tokio::time::sleep(life).await;
        child.kill().await.expect("a signal");
    }

    /// Starts it; it serves when this returns.
    pub async fn start(&self) -> Program {
        let mut child = self.command().spawn().expect("starts");
        let output = Output::default();
        let stdout = output.follow(child.stdout.take().expect("piped"), false);
        let stderr = output.follow(child.stderr.take().expect("piped"), self.deaf);
        let readers = if self.deaf { vec![stdout] } else { vec![stdout, stderr] };
        let ports = eventually("the sidecar says its ports", || async {
            let text = output.text();
            Some((address(&text, "listen")?, address(&text, "admin")?))
        });
        let (data, admin) = tokio::select! {
            ports = ports => ports,
            ended = child.wait() => panic!("ended at once: {ended:?}\n{}", output.text()),
        };
        Program { app: Caller::new(data), admin: Caller::new(admin), child, output, readers }
    }
}

impl Program {
    /// With this policy file.
    pub fn builder(policy: &Path) -> Builder {
        Builder::new(policy)
    }

    /// All it wrote so far.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("runs")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    }

    /// Sends SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a signal");
    }

    /// Waits for its end, and until what it wrote has been read.
    pub async fn wait(&mut self) -> ExitStatus {
        let status = timeout(Duration::from_secs(30), self.child.wait()).await.expect("ends").expect("a status");
        for reader in self.readers.drain(..) {
            timeout(Duration::from_secs(5), reader).await.expect("the pipe closes").expect("reads");
        }
        status
    }

    /// One field of `/proc/PID/status`, in KiB.
    pub fn memory_kib(&self, field: &str) -> u64 {
        memory_kib(self.pid(), field)
    }
}

/// One field of a process's `/proc/PID/status`, in KiB.
pub(crate) fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a field");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

/// The address after `"name":"` or `name=` in the log line that says the sidecar is ready.
fn address(text: &str, name: &str) -> Option<SocketAddr> {
    for line in text.lines().filter(|line| line.contains("ready")) {
        for start in [format!("\"{name}\":\""), format!("{name}=\""), format!("{name}=")] {
            let Some(at) = line.find(&start) else { continue };
            let rest = &line[at + start.len()..];
            let end = rest.find(['"', ' ', ',', '}']).unwrap_or(rest.len());
            if let Ok(addr) = rest[..end].parse() {
                return Some(addr);
            }
        }
    }
    None
}

/// The sidecar, built as it is now.
pub fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("sidecar")).clone()
}

/// A crate's program, built as it is now, in the profile of this very program.
pub(crate) fn built(name: &str) -> PathBuf {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let test = env::current_exe().expect("this test");
    let dir = test.parent().and_then(Path::parent).expect("target/debug");
    let mut build = StdCommand::new(cargo);
    build.args(["build", "--quiet", "--locked", "-p", name]);
    if dir.ends_with("release") {
        build.arg("--release");
    }
    // What cargo told this test of its own package: build scripts read it, and half of the dependencies would be built anew,
    // and once more for the next test.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            build.env_remove(name);
        }
    }
    assert!(build.status().is_ok_and(|status| status.success()), "cargo build -p {name}");
    dir.join(format!("llmroute-{name}"))
}
