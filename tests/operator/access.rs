//! Who gets what: a sidecar by its token, the operator by its account.

use std::{fs, time::Duration};

use harness::{Metrics, Program, eventually};

use crate::stage::{Stage, model, until};

async fn is_told(sidecar: &Program, why: &str) {
    eventually(&format!("the sidecar tells: {why}"), async || {
        let reply = sidecar.admin.get("/readyz").send().await;
        (reply.status == 503 && reply.text().contains(why)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_of_its_pod_for_the_operator_a_sidecar_gets_nothing() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    stage.condition("shop", "Accepted", "True Accepted", "").await;
    let create = ["create", "token", "app", "-n", "shop", "--duration=1h"];
    let rows = [
        ("for-the-api", stage.kubectl(&create), "invalid for the target audiences"),
        (
            "for-no-pod",
            stage.kubectl(&[&create[..], &["--audience=llmroute"]].concat()),
            "the token is bound to no pod",
        ),
        ("of-nobody", "eyJhbGciOiJub25lIn0.e30.".to_owned(), "invalid bearer token"),
    ];
    for (name, token, why) in &rows {
        let pod = stage.pod(name, "shop");
        pod.dir().write("token", token.trim());
        let sidecar = stage.sidecar(&pod, &operator).await;
        is_told(&sidecar, why).await;
        assert!(!sidecar.output().contains(token.trim()), "no token in a log");
    }
    let pod = stage.pod("none", "shop");
    fs::remove_file(pod.dir().join("token")).expect("the token");
    let sidecar = stage.sidecar(&pod, &operator).await;
    is_told(&sidecar, "token").await;
    let page = Metrics::parse(&operator.admin.get("/metrics").send().await.text());
    assert!(page.get("llmroute_operator_token_reviews_total", &[("result", "refused")]).is_some_and(|n| n >= 3.0));
    assert_eq!(page.get("llmroute_operator_streams", &[]), Some(0.0));

    // A pod of another app gets no policy; its token is of its own pod whoever holds it.
    let other = stage.pod("other", "elsewhere");
    let sidecar = stage.sidecar(&other, &operator).await;
    is_told(&sidecar, "no policy selects this pod").await;
    assert_eq!(stage.shown("shop")["status"]["sidecars"]["inSync"], 0);
    stage
        .until("the pod says why it waits", || (stage.events_of("Pod", "other") == ["Warning NoPolicy"]).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_gets_nothing_and_a_younger_one_of_the_same_pod_all() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    stage.condition("shop", "Accepted", "True Accepted", "").await;
    let pod = stage.pod("late", "shop");
    let token = fs::read_to_string(pod.dir().join("token")).expect("a token");
    // It was given for an hour. The API server allows a minute of difference between clocks.
    let (young, expired) = (Duration::from_secs(3000), Duration::from_secs(3720));
    pod.dir().write("token", stage.server.aged(&token, expired));
    let sidecar = stage.sidecar(&pod, &operator).await;
    is_told(&sidecar, "token has expired").await;
    assert_eq!(stage.shown("shop")["status"]["sidecars"]["inSync"], 0);
    // The kubelet writes a new one, and the sidecar reads it for its next call: nothing else was wrong.
    pod.dir().write("token", stage.server.aged(&token, young));
    stage.settled("shop", 1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_gets_what_selects_its_own_pod_whoever_holds_it_and_nothing_once_that_pod_is_gone() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    stage.apply(&stage.policy("desk", "desk", "gpt-6-luna"));
    for policy in ["shop", "desk"] {
        stage.condition(policy, "Accepted", "True Accepted", "").await;
    }
    // Somebody in a pod of `desk` has the token of a pod of `shop`: it is that one's, and nothing that is said is asked.
    let (a, b) = (stage.pod("a", "shop"), stage.pod("b", "desk"));
    let token = fs::read_to_string(a.dir().join("token")).expect("a token");
    b.dir().write("token", &token);
    let thief = stage.sidecar(&b, &operator).await;
    stage.condition("shop", "Programmed", "True Programmed", "1 of 1 sidecars acknowledged generation 1").await;
    assert_eq!(model(&thief.app).await, "gpt-6-sol");
    assert_eq!(stage.status("desk")["sidecars"]["inSync"], 0, "nobody speaks for the pod whose token it is not");

    // A token is of a uid: the pod is gone, and another one of its name is there.
    stage.kubectl(&["delete", "pod", "a", "-n", "shop", "--force", "--grace-period=0"]);
    stage.until("its stream ends", || operator.output().contains("the pod is gone").then_some(())).await;
    drop((thief, operator));
    let again = stage.pod("a", "shop");
    let own = fs::read_to_string(again.dir().join("token")).expect("a token");
    again.dir().write("token", &token);
    // One that remembers no token.
    let fresh = stage.operator("op-2").await;
    let sidecar = stage.sidecar(&again, &fresh).await;
    // While the API server remembers that the token was good, it is the token of a pod that is not there.
    let whys = ["token has been invalidated", "the cluster does not show this pod"];
    until("the old token gets nothing", async || {
        let reply = sidecar.admin.get("/readyz").send().await;
        (reply.status == 503 && whys.iter().any(|why| reply.text().contains(why))).then_some(())
    })
    .await;
    again.dir().write("token", own);
    until("nothing else was wrong", async || (sidecar.admin.get("/readyz").send().await.status == 200).then_some(()))
        .await;
    assert_eq!(model(&sidecar.app).await, "gpt-6-sol");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_pods_token_gets_nothing() {
    let stage = Stage::new().await;
    let operator = stage.operator("op-1").await;
    stage.apply(&stage.policy("shop", "shop", "gpt-6-sol"));
    stage.condition("shop", "Accepted", "True Accepted", "").await;
    let pod = stage.pod("robbed", "shop");
    // As the kubelet tells where it runs: not here.
    let at = |ip: &str| {
        let status = format!("{{\"status\":{{\"podIP\":\"{ip}\",\"podIPs\":[{{\"ip\":\"{ip}\"}}]}}}}");
        let patch =
            ["patch", "pod", "robbed", "-n", "shop", "--subresource=status", "--type=merge", "--patch", &status];
        stage.kubectl(&patch);
    };
    at("192.0.2.7");
    let thief = stage.sidecar(&pod, &operator).await;
    is_told(&thief, "the token is another pod's").await;
    assert_eq!(stage.shown("shop")["status"]["sidecars"]["inSync"], 0);
    let told = || operator.output().contains("somebody else calls with the token of this pod").then_some(());
    stage.until("it is said", told).await;
    // Nothing else was wrong.
    at("127.0.0.1");
    stage.settled("shop", 1, 1).await;
}

#[tokio::test]
async fn the_operators_account_can_read_no_secret_but_its_own() {
    let stage = Stage::new().await;
    let can = |verb: &str, what: &str, namespace: &str| {
        let who = "--as=system:serviceaccount:llmroute-system:llmroute-operator";
        let told = stage.server.kubectl(&["auth", "can-i", verb, what, "-n", namespace, who]);
        told.is_ok_and(|told| told.trim() == "yes")
    };
    let rows = [
        ("get", "secrets", "shop", false),
        ("get", "secrets/llm-keys", "shop", false),
        ("list", "secrets", "shop", false),
        ("watch", "secrets", "llmroute-system", false),
        ("get", "secrets/other", "llmroute-system", false),
        ("create", "secrets", "llmroute-system", false),
        ("get", "secrets/llmroute-tls", "llmroute-system", true),
        ("create", "pods", "shop", false),
        ("create", "pods/exec", "shop", false),
        ("patch", "pods", "shop", false),
        ("delete", "configmaps", "shop", false),
        ("update", "llmroutepolicies.llmroute.dev", "shop", false),
        ("patch", "llmroutepolicies.llmroute.dev/status", "shop", true),
        ("update", "leases/other", "llmroute-system", false),
    ];
    for (verb, what, namespace, want) in rows {
        // A name is checked with its kind, `get secrets/x`; a subresource is no name.
        let got = match what.split_once('/') {
            Some((kind, sub)) if matches!(sub, "status" | "exec") => {
                let who = "--as=system:serviceaccount:llmroute-system:llmroute-operator";
                let sub = format!("--subresource={sub}");
                let told = stage.server.kubectl(&["auth", "can-i", verb, kind, &sub, "-n", namespace, who]);
                told.is_ok_and(|told| told.trim() == "yes")
            }
            _ => can(verb, what, namespace),
        };
        assert_eq!(got, want, "{verb} {what} in {namespace}");
    }
}

#[tokio::test]
async fn the_operators_account_writes_no_config_map_but_its_own() {
    let stage = Stage::new().await;
    let who = "--as=system:serviceaccount:llmroute-system:llmroute-operator";
    let map = |name: &str, labels: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}, data: {{a: b}}}}"
        )
    };
    let own = "app.kubernetes.io/managed-by: llmroute-operator";
    let files = harness::temp::TempDir::new();
    let apply = |manifest: String, as_operator: bool| {
        let file = files.write("map.yaml", manifest).display().to_string();
        let args = ["apply", "--server-side", "--force-conflicts", "-f", &file, who];
        stage.server.kubectl(&args[..args.len() - usize::from(!as_operator)])
    };
    apply(map("llmroute-theirs", "team: shop"), false).expect("a user's own");
    let refusals = [
        ("of another name", map("coredns", own), "a name that begins with llmroute-"),
        ("that does not say whose it is", map("llmroute-a", "a: b"), "say that they are its own"),
        ("that is a user's", map("llmroute-theirs", own), "changes no ConfigMap that it did not make"),
    ];
    // The API server has a new policy of admission in force within a second or so.
    stage.until("the policy is in force", || apply(map("coredns", own), true).is_err().then_some(())).await;
    for (what, manifest, why) in refusals {
        let told = apply(manifest, true).expect_err(what);
        assert!(told.contains(why), "{what}: {told}");
    }
    for _ in 0..2 {
        apply(map("llmroute-shop", own), true).expect("its own, and again");
    }
    apply(map("anything", "a: b"), false).expect("nobody else is kept from anything");
}
