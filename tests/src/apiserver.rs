//! A real API server over its etcd, without a node: for the CRD, admission, watches, tokens and RBAC. `make apiserver`
//! builds both; those of `KUBEBUILDER_ASSETS` are taken where it is set, and no server of our own is started where
//! `USE_EXISTING_CLUSTER` is `true`: the cluster of `KUBECONFIG` answers then.

use std::{
    env, fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        LazyLock,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{temp::TempDir, world::loopback};

/// How long it may take to start.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running API server with an empty cluster; it and its etcd are killed on drop, and by the kernel when this process
/// ends in any other way. Nothing but it runs: objects stay as they are written, and service accounts are not asked for.
pub struct ApiServer {
    kubeconfig: PathBuf,
    own: Option<Own>,
}

/// What was started here.
struct Own {
    etcd: Child,
    server: Child,
    dir: TempDir,
    port: u16,
}

impl ApiServer {
    /// Starts one on a free port of 127.0.0.1; it is ready when this returns.
    pub async fn start() -> ApiServer {
        if env::var("USE_EXISTING_CLUSTER").is_ok_and(|value| value == "true") {
            let kubeconfig = env::var("KUBECONFIG").expect("USE_EXISTING_CLUSTER needs KUBECONFIG");
            return ApiServer { kubeconfig: kubeconfig.into(), own: None };
        }
        let dir = TempDir::new();
        make_certificates(&dir).expect("certificates");
        let port = TcpListener::bind(loopback()).and_then(|l| l.local_addr()).expect("a free port").port();
        let kubeconfig = dir.write("admin.json", kubeconfig(&dir, port));
        // etcd takes no port: it listens on sockets in the directory.
        let own = Own { etcd: start_etcd(&dir), server: start_server(&dir, port), dir, port };
        let mut server = ApiServer { kubeconfig, own: Some(own) };
        server.ready().await;
        server
    }

    /// Of an administrator; absolute.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What the server's `kubectl` prints with these arguments.
    ///
    /// # Errors
    /// With what it prints when it fails.
    pub fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let Output { status, stdout, stderr } =
            self.command("kubectl").args(args).stdin(Stdio::null()).output().expect("kubectl");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
    }

    /// A program of the assets, or of the path, that is to speak to this server.
    pub fn command(&self, program: &str) -> Command {
        let built = assets().join(program);
        let mut command = Command::new(if built.exists() { built } else { program.into() });
        command.env("KUBECONFIG", &self.kubeconfig);
        if let Some(own) = &self.own {
            // kubectl keeps what a server serves by its port, and another had the port before.
            command.env("KUBECACHEDIR", own.dir.join("kubectl"));
        }
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            command.env_remove(name);
        }
        command
    }

    /// A token as it would have been so long ago, signed as the server signs: none can be had that lives for less than ten
    /// minutes. Not of a cluster that was not started here.
    pub fn aged(&self, token: &str, age: Duration) -> String {
        let own = self.own.as_ref().expect("a server of our own");
        let [head, claims, _] = token.split('.').collect::<Vec<_>>()[..] else { panic!("no JWT") };
        let mut claims: Value = serde_json::from_slice(&BASE64.decode(claims).expect("base64")).expect("JSON");
        for name in ["iat", "nbf", "exp"] {
            claims[name] = (claims[name].as_u64().expect("a time") - age.as_secs()).into();
        }
        let signed = format!("{head}.{}", BASE64.encode(claims.to_string()));
        let pem = fs::read_to_string(own.dir.join("tokens.key")).expect("a key");
        let der = KeyPair::from_pem(&pem).expect("a key").serialize_der();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).expect("a key");
        let signature = key.sign(&random, signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", BASE64.encode(signature))
    }

    /// SIGKILL for etcd and the API server; both are gone when this returns. Not of a cluster that was not started here.
    pub fn kill(&mut self) {
        self.own.as_mut().expect("a server of our own").kill();
    }

    /// The same for etcd alone: the API server stays, and cannot answer.
    pub fn kill_etcd(&mut self) {
        kill(&mut self.own.as_mut().expect("a server of our own").etcd);
    }

    /// The same for the API server alone.
    pub fn kill_server(&mut self) {
        kill(&mut self.own.as_mut().expect("a server of our own").server);
    }

    /// Starts what was killed again on what it left, at the same address; ready when this returns.
    pub async fn start_again(&mut self) {
        let own = self.own.as_mut().expect("a server of our own");
        if own.etcd.try_wait().expect("a status").is_some() {
            own.etcd = start_etcd(&own.dir);
        }
        if own.server.try_wait().expect("a status").is_some() {
            own.server = start_server(&own.dir, own.port);
        }
        self.ready().await;
    }

    async fn ready(&mut self) {
        let end = Instant::now() + READY_WITHIN;
        while self.kubectl(&["get", "--raw", "/readyz"]).is_err() {
            let Some(own) = &mut self.own else { continue };
            for (name, child) in [("etcd", &mut own.etcd), ("kube-apiserver", &mut own.server)] {
                let ended = child.try_wait().expect("a status").map(|status| status.to_string());
                let ended =
                    ended.or_else(|| (Instant::now() > end).then(|| format!("not ready within {READY_WITHIN:?}")));
                let log = || fs::read_to_string(own.dir.join(&format!("{name}.log"))).unwrap_or_default();
                assert!(ended.is_none(), "{name}: {}\n{}", ended.unwrap_or_default(), log());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Own {
    fn kill(&mut self) {
        kill(&mut self.server);
        kill(&mut self.etcd);
    }
}

fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where `etcd`, `kube-apiserver` and `kubectl` are.
fn assets() -> PathBuf {
    match env::var_os("KUBEBUILDER_ASSETS") {
        Some(dir) => dir.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(".cache").join("cluster/bin"),
    }
}

fn start_etcd(dir: &TempDir) -> Child {
    let socket = |name: &str| format!("unix://{}", dir.join(name).display());
    // A crash of the machine may lose what was written: it would lose the directory too.
    let args = [
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls={}", socket("etcd.sock")),
        format!("--advertise-client-urls={}", socket("etcd.sock")),
        format!("--listen-peer-urls={}", socket("peer.sock")),
        "--unsafe-no-fsync".to_owned(),
    ];
    start("etcd", &args, dir)
}

fn start_server(dir: &TempDir, port: u16) -> Child {
    let file = |flag: &str, name: &str| format!("--{flag}={}", dir.join(name).display());
    let mut args = vec![
        format!("--etcd-servers=unix://{}", dir.join("etcd.sock").display()),
        format!("--secure-port={port}"),
        file("tls-cert-file", "server.crt"),
        file("tls-private-key-file", "server.key"),
        file("client-ca-file", "ca.crt"),
        file("service-account-key-file", "tokens.pub"),
        file("service-account-signing-key-file", "tokens.key"),
    ];
    args.extend(
        [
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            // An address of loopback is refused as an endpoint.
            "--endpoint-reconciler-type=none",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            "--allow-privileged",
            // Nobody makes the service account `default` of a namespace, which pods would be asked to have.
            "--disable-admission-plugins=ServiceAccount",
        ]
        .map(str::to_owned),
    );
    start("kube-apiserver", &args, dir)
}

/// Starts a program of the assets that writes to a log of its name.
fn start(name: &str, args: &[String], dir: &TempDir) -> Child {
    let log = fs::File::create(dir.join(&format!("{name}.log"))).expect("a log");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(assets().join(name)).args(args).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("a second handle")).stderr(log);
    assert!(assets().join(name).exists(), "{} has no {name}: `make apiserver` builds it", assets().display());
    spawn(command).expect("starts")
}

/// The kernel ends such a child with the *thread* that started it, so one that lives as long as this process starts all.
fn spawn(command: Command) -> io::Result<Child> {
    type Work = (Command, Sender<io::Result<Child>>);
    static STARTER: LazyLock<Mutex<Sender<Work>>> = LazyLock::new(|| {
        let (work, works) = channel::<Work>();
        thread::spawn(move || {
            for (mut command, answer) in works {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(work)
    });
    let (answer, started) = channel();
    STARTER.lock().send((command, answer)).expect("a thread");
    started.recv().expect("an answer")
}

fn make_certificates(dir: &TempDir) -> Result<(), rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    dir.write("ca.crt", ca.self_signed(&key)?.pem());
    let ca = Issuer::new(ca, key);
    let people = [
        ("server", "kube-apiserver", None, ExtendedKeyUsagePurpose::ServerAuth),
        ("admin", "admin", Some("system:masters"), ExtendedKeyUsagePurpose::ClientAuth),
    ];
    for (file, name, group, usage) in people {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        dir.write(&format!("{file}.crt"), params.signed_by(&key, &ca)?.pem());
        dir.write(&format!("{file}.key"), key.serialize_pem());
    }
    let tokens = KeyPair::generate()?;
    dir.write("tokens.key", tokens.serialize_pem());
    dir.write("tokens.pub", tokens.public_key_pem());
    Ok(())
}

fn kubeconfig(dir: &TempDir, port: u16) -> String {
    let server = json!({"server": format!("https://127.0.0.1:{port}"), "certificate-authority": dir.join("ca.crt")});
    let admin = json!({"client-certificate": dir.join("admin.crt"), "client-key": dir.join("admin.key")});
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "admin", "user": admin}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    })
    .to_string()
}
