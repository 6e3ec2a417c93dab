//! What the program itself is given: policies and flags.

use harness::{Program, temp::TempDir};

const EIGHT_FAULTS: &str = r#"
apiVersion: llmroute.dev/v1alpha1
kind: LLMRoutePolicy
metadata: {name: bad}
spec:
  podSelector: {matchLabels: {app: a}}
  credentials: {secretName: keys}
  providers:
  - {name: openai, api: OpenAi, baseUrl: "api.openai.com", speed: fast}
  - {name: claude, api: Anthropic}
  classify:
    rules:
    - {scene: code, when: "request.tool > 0"}
    default: {tier: silber}
  tiers:
  - {name: gold, sla: 5x, maxCostUsd: 0.02}
  - {name: silver}
  scenes:
  - {name: chat, targets: [{provider: claude, model: claude-sonnet-5-5}]}
  budgets:
  - {name: minute, window: 1s, limitUsd: "1"}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_with_many_faults_names_all_of_them_and_exits_with_2() {
    let dir = TempDir::new();
    let ended = Program::builder(&dir.write("bad.yaml", EIGHT_FAULTS)).run().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    for path in [
        "spec.providers[0].api",
        "spec.providers[0].baseUrl",
        "spec.providers[0].speed",
        "spec.classify.rules[0].scene",
        "spec.classify.rules[0].when",
        "spec.classify.default.tier",
        "spec.tiers[0].sla",
        "spec.tiers[0].maxCostUsd",
        "spec.budgets[0].window",
    ] {
        assert!(ended.output.contains(path), "{path} is not named:\n{}", ended.output);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_flags_and_files_exit_with_2() {
    let dir = TempDir::new();
    let good = dir.write(
        "good.yaml",
        harness::Policy::new()
            .provider("openai", "OpenAI", "http://127.0.0.1:9")
            .scene("chat", &[("openai", "")])
            .yaml(),
    );
    let good = good.display().to_string();
    let missing = dir.join("missing.yaml").display().to_string();
    let binary = dir.write("binary.yaml", [0xff, 0xfe, 0, 1]).display().to_string();
    let rows: Vec<(Vec<&str>, &str)> = vec![
        (vec![], "--policy"),
        (vec!["--policy", &missing], "missing.yaml"),
        (vec!["--policy", &binary], "UTF-8"),
        (vec!["--policy", &good, "--listen", "0.0.0.0:0"], "loopback"),
        (vec!["--policy", &good, "--listen", "[::]:0"], "loopback"),
        (vec!["--policy", &good, "--listen", "192.0.2.1:80"], "loopback"),
        (vec!["--policy", &good, "--listen", "here"], "--listen"),
        (vec!["--policy", &good, "--threads", "0"], "--threads"),
        (vec!["--policy", &good, "--frobnicate"], "--frobnicate"),
    ];
    for (args, says) in rows {
        let ended = harness::program::Builder::bare(&args).run().await;
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.output);
        assert!(ended.output.contains(says), "{args:?} does not say {says}: {}", ended.output);
    }
    for args in [["--help"], ["--version"]] {
        assert_eq!(harness::program::Builder::bare(&args).run().await.code, Some(0));
    }
}
