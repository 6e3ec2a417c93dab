//! The alerts: Prometheus reads them, and every metric that they name is there.

use std::{fs, process::Command, sync::Arc};

use harness::temp::TempDir;
use operator::{lend::Shown, metrics::Metrics, world::PolicyKey};
use policy::{
    ledger::{Key, Pressure, Unit, lend::Stand},
    snapshot::Scope,
};

use crate::{objects, path, render, the};

fn groups() -> serde_json::Value {
    let objects = objects(&render(Some("everything"), &[]));
    the(&objects, "PrometheusRule", "llmroute")["spec"].clone()
}

#[test]
fn prometheus_reads_the_alerts() {
    let dir = TempDir::new();
    let file = dir.write("rules.yaml", serde_yaml::to_string(&groups()).expect("YAML"));
    let checked = Command::new("promtool").args(["check", "rules"]).arg(file).output();
    let checked = checked.expect("promtool: `make prometheus` installs it");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// One budget that is lent.
fn lent() -> Arc<Shown> {
    let key = Key { unit: Unit::Money, name: "day".into(), scope: Scope::Policy, value: None };
    let (limit, pressure) = (1, Pressure::Normal);
    let (used, idle, unknown, shares, debt, next_free) = (0, 0, 0, 0, 0, None);
    let stand = Stand { key, limit, used, idle, unknown, shares, debt, pressure, next_free };
    Arc::new(Shown { term: 1, is_lost: false, stands: vec![stand] })
}

#[test]
fn alerts_name_metrics_that_are_there() {
    let sidecar = fs::read_to_string(path("tests/goldens/metrics.txt")).expect("the list of metrics");
    let mut known: Vec<&str> = sidecar.lines().filter_map(|line| line.split(' ').next()).collect();
    let metrics = Metrics::default();
    // Budgets have no series before one is lent.
    metrics.budgets(&[(PolicyKey { namespace: "shop".into(), name: "p".into() }, lent())]);
    let operator = metrics.render();
    known.extend(
        operator.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()),
    );
    let groups = groups();
    let rules = groups["groups"].as_array().expect("groups").iter().flat_map(|g| g["rules"].as_array().expect("rules"));
    let (mut named, mut alerts) = (0, Vec::new());
    for rule in rules {
        let expr = rule["expr"].as_str().expect("an expression");
        let words = expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let ours =
            words.filter(|w| ["llmroute_", "provider_", "token_cost", "budget_limit"].iter().any(|p| w.starts_with(p)));
        for metric in ours {
            assert!(known.contains(&metric), "{}: there is no {metric}", rule["alert"]);
            named += 1;
        }
        alerts.push(rule["alert"].as_str().expect("a name"));
    }
    assert!(named >= alerts.len(), "each names one");
    let readme = fs::read_to_string(path("README.md")).expect("the README");
    for classic in ["LLMProviderTimeouts", "LLMBudgetOverspent"] {
        let rule = |text: &str| text.lines().skip_while(|l| !l.contains(classic)).nth(1).map(|l| l.trim().to_owned());
        let rendered = render(Some("everything"), &[]);
        assert_eq!(rule(&rendered), rule(&readme), "{classic}: as the README has it");
        assert!(alerts.contains(&classic));
    }
}
