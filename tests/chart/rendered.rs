//! What is rendered, and what is refused.

use std::fs;

use crate::{helm, is_committed, path, render};

const NAMESPACE: &str = "\
# The install without helm: kubectl apply --server-side -f manifests/install.yaml
# Generated from charts/llmroute with its own values; run `make gen-chart` after a change there.
apiVersion: v1
kind: Namespace
metadata:
  name: llmroute-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

#[test]
fn the_plain_install_is_the_chart_with_its_own_values() {
    is_committed("manifests/install.yaml", &format!("{NAMESPACE}{}", render(None, &["--include-crds"])));
}

#[test]
fn every_file_of_values_renders_as_it_is_committed_and_passes_lint() {
    let mut files = 0;
    for entry in fs::read_dir(path("tests/chart/values")).expect("values") {
        let file = entry.expect("an entry").path();
        let name = file.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        is_committed(&format!("tests/goldens/chart/{name}.yaml"), &render(Some(&name), &[]));
        helm(&["lint", "--strict", "--quiet", "charts/llmroute", "--values", &file.display().to_string()])
            .expect("lint");
        files += 1;
    }
    assert!(files > 1, "there are values");
    helm(&["lint", "--strict", "--quiet", "charts/llmroute"]).expect("lint");
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let rows = [
        ("operator.replica=2", "replica"),
        ("operator.replicas=0", "replicas"),
        ("operator.image=", "image"),
        ("sidecar.resources.request.cpu=1", "request"),
        ("sidecar.env[0].value=x", "env"),
        ("injection.failurePolicy=fail", "failurePolicy"),
        ("imagePullPolicy=Sometimes", "imagePullPolicy"),
        ("prometheusRule.successRate=1", "successRate"),
        ("podMonitor.interval=often", "interval"),
        ("networkPolicy.metricsFrom=monitoring", "metricsFrom"),
        ("certificates.source=vault", "source"),
        ("certificates.issuerRef.kind=ClusterIssuer", "issuerRef"),
        ("dashboards.labels.grafana_dashboard=1", "grafana_dashboard"),
        ("prometheusRules.enabled=true", "prometheusRules"),
    ];
    for (value, part) in rows {
        let told = helm(&["template", "llmroute", "charts/llmroute", "--set", value]).expect_err(value);
        assert!(
            told.contains("values don't meet the specifications of the schema") && told.contains(part),
            "{value}: {told}"
        );
    }
}

#[test]
fn notes_say_what_comes_next_and_what_is_at_risk() {
    let notes = |further: &[&str]| {
        let mut args = vec!["install", "llmroute", "charts/llmroute", "--dry-run=client", "--namespace", "here"];
        args.extend(further);
        let printed = helm(&args).expect("notes");
        printed.split_once("NOTES:").expect("notes").1.to_owned()
    };
    let usual = notes(&[]);
    assert!(usual.contains("llmroute is installed in here") && !usual.contains("One replica"), "{usual}");
    let risky = notes(&["--set", "operator.replicas=1,injection.failurePolicy=Ignore"]);
    assert!(risky.contains("One replica") && risky.contains("has no sidecar"), "{risky}");
}
