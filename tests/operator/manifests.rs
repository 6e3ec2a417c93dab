//! What the repository ships is taken by a real API server, and what is wrong is refused by it.

use std::{fs, path::Path};

use harness::{apiserver::ApiServer, eventually, temp::TempDir};

const CRD: &str = "crd/llmroutepolicies.llmroute.dev";

fn path(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(name).display().to_string()
}

/// A server that serves our resource.
async fn server() -> ApiServer {
    let server = ApiServer::start().await;
    // Established comes a moment before discovery, and on an existing cluster the tests meet.
    let (crds, established) = (path("crds"), ["wait", "--for=condition=Established", CRD, "--timeout=30s"]);
    let served = || async {
        let applied = server.kubectl(&["apply", "--server-side", "-f", &crds]);
        let served = applied.and_then(|_| server.kubectl(&established)).and_then(|_| server.kubectl(&["get", "lrp"]));
        served.inspect_err(|e| eprintln!("{e}")).ok()
    };
    eventually("our resource is served", served).await;
    server
}

/// A namespace; an existing cluster may have it from before.
fn namespace(server: &ApiServer, name: &str) {
    let dir = TempDir::new();
    let file = dir.write("namespace.yaml", format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
    server.kubectl(&["apply", "-f", &file.display().to_string()]).expect("a namespace");
}

#[tokio::test]
async fn the_crd_and_every_example_are_taken_and_told_in_columns() {
    let server = server().await;
    namespace(&server, "shop");
    let mut found = 0;
    for entry in fs::read_dir(path("manifests/examples")).expect("examples") {
        let example = entry.expect("an entry").path().display().to_string();
        server.kubectl(&["apply", "-f", &example]).expect("is taken");
        let told = server.kubectl(&["get", "-f", &example]).expect("is there");
        let header: Vec<_> = told.lines().next().expect("a header").split_whitespace().collect();
        assert_eq!(header, ["NAME", "READY", "ACCEPTED", "IN-SYNC", "SIDECARS", "AGE"]);
        let listed = server.kubectl(&["get", "lrp", "--all-namespaces", "--output=name"]).expect("the short name");
        assert!(listed.starts_with("llmroutepolicy.llmroute.dev/"), "{listed}");
        server.kubectl(&["delete", "-f", &example]).expect("is gone");
        found += 1;
    }
    assert!(found > 0, "there are examples");
    server.kubectl(&["apply", "-n", "shop", "-f", &path("manifests/network-policy.yaml")]).expect("is taken");
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_the_server_with_a_path_and_a_reason() {
    let server = server().await;
    namespace(&server, "refused");
    let dir = TempDir::new();
    let minimal = fs::read_to_string(path("manifests/examples/minimal.yaml")).expect("the example");
    let rows = [
        ("provider: claude", "provider: cloud", "spec: Invalid value", "unknown provider cloud"),
        ("limitUsd: \"2.00\"", "limitUsd: \"2,00\"", "spec.budgets[0].limitUsd: Invalid value", "should match"),
        ("api: Anthropic", "api: Gemini", "spec.providers[1].api: Unsupported value", "supported values: \"OpenAI\""),
        ("maxOutputTokens", "maxTokens", "unknown field \"spec.scenes[0].maxTokens\"", "strict decoding error"),
    ];
    for (right, wrong, place, reason) in rows {
        assert!(minimal.contains(right), "{right}");
        let file = dir.write("policy.yaml", minimal.replace(right, wrong)).display().to_string();
        let refused = server.kubectl(&["create", "-n", "refused", "-f", &file]).expect_err(wrong);
        assert!(refused.contains(place) && refused.contains(reason), "{wrong}: {refused}");
    }
    assert_eq!(server.kubectl(&["get", "lrp", "-n", "refused", "--output=name"]).expect("a list"), "");
}

#[tokio::test]
async fn the_plain_install_and_one_with_every_value_are_taken_whole() {
    let server = server().await;
    namespace(&server, "llmroute-system");
    let dir = TempDir::new();
    for name in [
        "manifests/install.yaml",
        "tests/goldens/chart/everything.yaml",
        "tests/goldens/chart/cert-manager.yaml",
        "tests/goldens/chart/small.yaml",
    ] {
        let text = fs::read_to_string(path(name)).expect("manifests");
        // Whose resources come with Prometheus' operator and with cert-manager.
        let others = ["apiVersion: monitoring.coreos.com/", "apiVersion: cert-manager.io/"];
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            text.split("\n---").partition(|object| !others.iter().any(|other| object.contains(other)));
        let file = dir.write("install.yaml", ours.join("\n---")).display().to_string();
        let apply =
            ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-n", "llmroute-system", "-f", &file];
        let told = server.kubectl(&apply).unwrap_or_else(|e| panic!("{name}: {e}"));
        let objects = ours.iter().filter(|object| object.contains("\nkind: ")).count();
        assert_eq!(told.lines().count(), objects, "{name}: {told}");
        assert_eq!(theirs.is_empty(), name.contains("install") || name.contains("small"), "{name}");
    }
}
