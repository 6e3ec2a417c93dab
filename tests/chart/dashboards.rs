//! The dashboards: Grafana reads them, Prometheus their queries, and every metric and label that they name is there.

use std::{collections::HashMap, fs, process::Command};

use harness::temp::TempDir;
use operator::metrics::Metrics;
use regex::Regex;
use serde_json::Value;

use crate::{objects, path, render};

/// Labels that a scrape adds.
const SCRAPED: [&str; 2] = ["namespace", "pod"];

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// As the chart ships them.
fn boards() -> Vec<Value> {
    let objects = objects(&render(Some("everything"), &[]));
    let maps = objects.iter().filter(|o| {
        o["kind"] == "ConfigMap" && o["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("grafana-llmroute-"))
    });
    let boards: Vec<Value> = maps
        .map(|map| {
            assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
            let data = map["data"].as_object().expect("data");
            let (name, text) = data.iter().next().expect("a file");
            assert!(name.ends_with(".json") && data.len() == 1);
            serde_json::from_str(text.as_str().expect("text")).expect("JSON")
        })
        .collect();
    assert_eq!(boards.len(), 2);
    boards
}

/// All queries, with the panel that asks.
fn queries(boards: &[Value]) -> Vec<(String, String)> {
    let panels = boards.iter().flat_map(|board| board["panels"].as_array().expect("panels"));
    let of = |panel: &Value| {
        let title = panel["title"].as_str().expect("a title").to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{title}");
        targets.into_iter().map(move |t| (title.clone(), t["expr"].as_str().expect("a query").to_owned()))
    };
    panels.flat_map(of).collect()
}

/// Metrics by the name that a query has for them, with their labels.
fn known() -> HashMap<String, Vec<String>> {
    let mut known = HashMap::new();
    for line in fs::read_to_string(path("tests/goldens/metrics.txt")).expect("the list of metrics").lines() {
        let mut words = line.splitn(4, ' ');
        let (name, kind, labels) =
            (words.next().expect("name"), words.next().expect("kind"), words.next().expect("labels"));
        let mut labels: Vec<String> =
            labels.trim_matches(['{', '}']).split(',').filter(|l| !l.is_empty()).map(str::to_owned).collect();
        if kind == "histogram" {
            labels.push("le".to_owned());
            known.insert(format!("{name}_bucket"), labels);
        } else {
            known.insert(name.to_owned(), labels);
        }
    }
    let label = regex(r#"(\w+)=""#);
    for line in Metrics::default().render().lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name").to_owned();
        known.insert(name, label.captures_iter(line).map(|l| l[1].to_owned()).collect());
    }
    known
}

#[test]
fn queries_name_metrics_and_labels_that_are_there() {
    let known = known();
    let metric = regex(
        r"\b(llmroute_\w+|provider_\w+|token_cost_per_min|budget_limit_per_min|fallback_\w+|degrade_\w+)(?:\{([^}]*)\})?",
    );
    let (matcher, grouped) = (regex(r"(\w+)\s*(?:=~|!~|!=|=)"), regex(r"\bby \(([^)]*)\)"));
    for (panel, query) in queries(&boards()) {
        let mut labels: Vec<&str> = SCRAPED.to_vec();
        let mut named = 0;
        for found in metric.captures_iter(&query) {
            let own = known.get(&found[1]).unwrap_or_else(|| panic!("{panel}: there is no {}", &found[1]));
            let inside = found.get(2).map_or("", |m| m.as_str());
            for label in matcher.captures_iter(inside) {
                let is = own.iter().any(|l| *l == label[1]) || SCRAPED.contains(&&label[1]);
                assert!(is, "{panel}: {} has no label {}", &found[1], &label[1]);
            }
            labels.extend(own.iter().map(String::as_str));
            named += 1;
        }
        assert!(named > 0, "{panel}: {query}");
        for by in grouped.captures_iter(&query).flat_map(|by| by[1].split(", ").map(str::to_owned).collect::<Vec<_>>())
        {
            assert!(labels.contains(&&*by), "{panel}: nothing in {query} has a label {by}");
        }
    }
}

#[test]
fn prometheus_reads_every_query() {
    let queries = queries(&boards());
    let rules: Vec<Value> = queries
        .iter()
        .enumerate()
        .map(|(i, (_, query))| {
            let query = query.replace("$__rate_interval", "5m").replace("$namespace", ".*");
            assert!(!query.contains('$'), "an unknown variable: {query}");
            serde_json::json!({"record": format!("query:{i}"), "expr": query})
        })
        .collect();
    let groups = serde_json::json!({"groups": [{"name": "queries", "rules": rules}]});
    let dir = TempDir::new();
    let file = dir.write("rules.yaml", serde_yaml::to_string(&groups).expect("YAML"));
    let checked = Command::new("promtool").args(["check", "rules"]).arg(file).output();
    let checked = checked.expect("promtool: `make prometheus` installs it");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(queries.len() > 30, "{}", queries.len());
}

#[test]
fn panels_have_a_place_of_their_own() {
    for board in boards() {
        let panels = board["panels"].as_array().expect("panels");
        let mut ids: Vec<i64> = panels.iter().map(|p| p["id"].as_i64().expect("an id")).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), panels.len());
        let mut taken = std::collections::HashSet::new();
        for panel in panels {
            let at = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
            assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
            for place in (at("y")..at("y") + at("h")).flat_map(|y| (at("x")..at("x") + at("w")).map(move |x| (x, y))) {
                assert!(taken.insert(place), "{}: two panels at {place:?}", panel["title"]);
            }
            assert!(panel["type"] == "row" || panel["description"].as_str().is_some_and(|d| !d.is_empty()));
        }
    }
}
