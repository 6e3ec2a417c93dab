//! The real Prometheus (Debian package `prometheus`): what must accept our page. It is never skipped: without the
//! program a test fails, and `make prometheus` installs it.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    process::{Command as StdCommand, Stdio},
};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{caller::Caller, eventually, temp::TempDir, world::loopback};

/// A running server that scrapes one target each second; killed on drop.
pub struct Prometheus {
    api: Caller,
    _child: Child,
    _dir: TempDir,
}

/// What `promtool check metrics` has to say of a page, line by line.
pub fn check(page: &str) -> Vec<String> {
    let mut command = StdCommand::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool; `make prometheus` installs it");
    child.stdin.take().expect("piped").write_all(page.as_bytes()).expect("takes the page");
    let output = child.wait_with_output().expect("ends");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

impl Prometheus {
    /// Scrapes `target`, with these groups of rules.
    pub async fn start(target: SocketAddr, rules: &str) -> Prometheus {
        let dir = TempDir::new();
        dir.write("rules.yaml", rules);
        let config = dir.write(
            "prometheus.yaml",
            format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [rules.yaml]\n\
                 scrape_configs: [{{job_name: sidecar, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
            ),
        );
        let port = TcpListener::bind(loopback()).and_then(|l| l.local_addr()).expect("a free port");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus; `make prometheus` installs it");
        let prometheus = Prometheus { api: Caller::new(port), _child: child, _dir: dir };
        eventually("prometheus is ready", || async {
            let reply = prometheus.api.get("/-/ready").try_send().await.ok()?;
            (reply.status == 200).then_some(())
        })
        .await;
        prometheus
    }

    /// The `data` of an answer of its API.
    pub async fn data(&self, path: &str) -> Value {
        let reply = self.api.get(path).send().await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()["data"].clone()
    }

    /// The value that an instant query without spaces gives, if it gives just one.
    pub async fn value(&self, query: &str) -> Option<f64> {
        let data = self.data(&format!("/api/v1/query?query={query}")).await;
        let rows = data["result"].as_array()?;
        let [row] = rows.as_slice() else { return None };
        row["value"][1].as_str()?.parse().ok()
    }

    /// Names of the alerts that fire, each with its own label `of`, sorted.
    pub async fn firing(&self, of: &str) -> Vec<(String, String)> {
        let data = self.data("/api/v1/alerts").await;
        let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|a| a["state"] == "firing" && a["labels"][of].is_string());
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let mut names: Vec<_> = firing.map(|a| (text(&a["labels"]["alertname"]), text(&a["labels"][of]))).collect();
        names.sort();
        names
    }
}
