//! The operator's CA is replaced while sidecars are connected, while they come, and while they are away; and one that ran out.

use std::{collections::BTreeMap, fs};

use clap::Parser;
use harness::{Traffic, plane::unix, world::loopback};
use operator::{
    ca::{CA_LIFE, Certificates, Lives, renew, renew_within},
    config::Config,
};
use serde_json::{Value, json};

use crate::stage::{Stage, config, model, streams, until};

/// Seconds: it signs for two thirds of its life, and an overlap more.
const LIFE: u64 = 60;
const OVERLAP: u64 = 8;

impl Stage {
    /// What the operator finds in its Secret.
    fn put_certificates(&self, certificates: &Certificates) {
        self.put_data(&certificates.to_data());
    }

    fn put_data(&self, data: &BTreeMap<String, Vec<u8>>) {
        let data: BTreeMap<_, _> = data.iter().map(|(name, pem)| (name, String::from_utf8_lossy(pem))).collect();
        let patch = json!({"data": null, "stringData": data}).to_string();
        self.kubectl(&["patch", "secret", "llmroute-tls", "-n", "llmroute-system", "--type=merge", "--patch", &patch]);
    }

    /// Waits for a bundle of CAs that is as it should be.
    async fn bundle(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let get = ["get", "secret", "llmroute-tls", "-n", "llmroute-system"];
        let pem = [&get[..], &["--template={{index .data \"ca.crt\" | base64decode}}"]].concat();
        self.until(what, || self.server.kubectl(&pem).ok().filter(|pem| is(pem))).await
    }
}

fn certificates(pem: &str) -> usize {
    pem.matches("BEGIN CERTIFICATE").count()
}

async fn why_not(sidecar: &harness::Program, why: &str) {
    until(why, async || {
        let page = config(sidecar).await;
        page["control"]["why_not"].as_str().is_some_and(|told| told.contains(why)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ca_is_replaced_under_load_and_only_who_was_away_all_the_time_must_be_told_anew() {
    let stage = Stage::new().await;
    let lives = Lives { ca: std::time::Duration::from_secs(LIFE), overlap: std::time::Duration::from_secs(OVERLAP) };
    let nothing = Certificates::default();
    // Of age in a few seconds.
    let held = renew_within(&nothing, &["localhost".to_owned()], lives, unix() - LIFE * 2 / 3 + 6);
    let first = held.expect("certificates").expect("made");
    stage.put_certificates(&first);
    let (life, overlap) = (LIFE.to_string(), OVERLAP.to_string());
    let flags = ["--ca-life", &*life, "--ca-overlap", &*overlap];
    let mut operator = stage.operator_with("op-1", loopback(), &flags).await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    let (a, b, c) = (stage.pod("a", "shop"), stage.pod("b", "shop"), stage.pod("c", "shop"));
    let connected = stage.sidecar(&a, &operator).await;
    let c = (stage.sidecar_of(&c, &operator.url()).await, c);
    let mut away = c.0.start().await;
    stage.condition("shop", "Programmed", "False Pending", "2 of 3 sidecars acknowledged generation 1").await;
    let traffic = Traffic::through([&connected.app]);
    let since = config(&connected).await["control"]["since"].clone();
    // It leaves before it hears of another CA.
    away.kill().await;
    c.1.dir().write("ca.pem", first.bundle());
    c.1.dir().write("state/control-ca.pem", first.bundle());

    let both = stage.bundle("the next CA is trusted", |pem| certificates(pem) == 2).await;
    assert!(both.starts_with(&first.bundle()), "it does not sign yet");
    let during = stage.sidecar(&b, &operator).await;
    stage.condition("shop", "Programmed", "True Programmed", "3 of 3 sidecars acknowledged generation 1").await;
    let status = stage.status("shop");
    let after = stage.bundle("the old CA is gone", |pem| !pem.contains(first.bundle().trim())).await;
    assert!(both.contains(after.trim()), "it is the one that was told");
    for (pod, sidecar) in [(&a, &connected), (&b, &during)] {
        let kept = pod.dir().join("state/control-ca.pem");
        until("it is kept", async || (fs::read_to_string(&kept).ok()? == after).then_some(())).await;
        assert_eq!(config(sidecar).await["control"]["connected"], true);
    }
    assert_eq!(config(&connected).await["control"]["since"], since, "no stream was lost for it");
    traffic.goes_on().await;
    assert_eq!(stage.status("shop"), status, "it was told of no condition, and none was written anew");

    // Both are known by the new CA; who was away is not, and says so, and serves.
    operator.kill().await;
    let mut operator = stage.operator_with("op-1", operator.control, &flags).await;
    let away = c.0.start().await;
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-luna"));
    let waits = "2 of 3 sidecars acknowledged generation 2; waiting for c (not connected)";
    stage.condition("shop", "Ready", "False Pending", waits).await;
    why_not(&away, "certificate").await;
    assert_eq!((model(&connected.app).await, model(&away.app).await), ("gpt-6-luna".into(), "gpt-6-sol".into()));
    // As its pod has it when it is made anew.
    c.1.dir().write("ca.pem", stage.bundle("a bundle", |_| true).await);
    stage.condition("shop", "Ready", "True Ready", "3 of 3 sidecars acknowledged generation 2").await;

    // A CA that ran out while nobody looked after it: another one is made at once, and told as the first one was.
    operator.kill().await;
    let long_ago = unix() - CA_LIFE.as_secs() - 86_400;
    let old = renew(&nothing, &["localhost".to_owned()], long_ago).expect("certificates").expect("made");
    stage.put_certificates(&old);
    let operator = stage.operator_at("op-1", operator.control).await;
    let fresh = stage.bundle("a CA that is good", |pem| pem != old.bundle()).await;
    assert_eq!(certificates(&fresh), 1);
    for (pod, sidecar) in [(&a, &connected), (&b, &during), (&c.1, &away)] {
        why_not(sidecar, "certificate").await;
        assert_eq!(model(&sidecar.app).await, "gpt-6-luna");
        pod.dir().write("ca.pem", &fresh);
    }
    streams(&operator, 3).await;
    let shown: Value = stage.settled("shop", 2, 3).await;
    assert_eq!(shown["sidecars"], json!({"total": 3, "inSync": 3, "missing": 0}));
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_somebody_else_makes_are_served_and_replaced_under_load() {
    let stage = Stage::new().await;
    let operator = stage.operator_with("op-1", loopback(), &["--tls-given"]).await;
    until("it says what it waits for", async || operator.output().contains("llmroute-tls is not used").then_some(()))
        .await;
    let flags = ["x", "--pod-name=op-1", "--pod-ip=127.0.0.1", "--tls-name=localhost"];
    let names = Config::try_parse_from(flags).expect("flags").names();
    let made = || {
        let made = renew(&Certificates::default(), &names, unix()).expect("certificates").expect("made");
        let mut data = made.to_data();
        // All that cert-manager puts there.
        data.retain(|name, _| ["ca.crt", "tls.crt", "tls.key"].contains(&&**name));
        (made.bundle(), data)
    };
    let ((first, data), (second, later)) = (made(), made());
    stage.put_data(&data);
    stage.apply(&stage.unhurried("shop", "shop", "gpt-6-sol"));
    let a = stage.pod("a", "shop");
    let connected = stage.sidecar(&a, &operator).await;
    stage.settled("shop", 1, 1).await;
    let (traffic, since) = (Traffic::through([&connected.app]), config(&connected).await["control"]["since"].clone());

    stage.put_data(&later);
    let kept = a.dir().join("state/control-ca.pem");
    let both = second + &first;
    until("both CAs are told", async || (fs::read_to_string(&kept).ok()? == both).then_some(())).await;
    // A pod of now knows the new one alone.
    let b = stage.pod("b", "shop");
    let late = stage.sidecar(&b, &operator).await;
    stage.condition("shop", "Programmed", "True Programmed", "2 of 2 sidecars acknowledged generation 1").await;
    assert_eq!(model(&late.app).await, "gpt-6-sol");
    assert_eq!(config(&connected).await["control"]["since"], since, "no stream was lost for it");
    let shown = stage.kubectl(&["get", "secret", "llmroute-tls", "-n", "llmroute-system", "--output=json"]);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let members: Vec<&String> = shown["data"].as_object().expect("data").keys().collect();
    assert_eq!(members, ["ca.crt", "tls.crt", "tls.key"], "nothing was written there");
    traffic.end().await;
}
