//! Mutated policies are judged: a snapshot that holds together, or faults.

use policy::snapshot::Snapshot;

use crate::{Fault, accept, fuzz, load, read};

const FULL: &str = include_str!("../tests/policies/full.yaml");
const MANIFESTS: [&str; 3] =
    [FULL, include_str!("../tests/policies/small.yaml"), include_str!("../tests/policies/bench.yaml")];

fn holds_together(judged: Result<Snapshot, Vec<Fault>>) {
    match judged {
        Err(faults) => assert!(!faults.is_empty() && faults.iter().all(|f| !f.message.is_empty())),
        Ok(snapshot) => {
            assert!(!snapshot.tiers.is_empty() && !snapshot.scenes.is_empty());
            let targets = snapshot.scenes.iter().flat_map(|scene| &scene.targets);
            assert!(targets.map(|t| usize::from(t.provider.0)).all(|p| p < snapshot.providers.len()));
        }
    }
}

fn documents() -> [String; 3] {
    MANIFESTS.map(|yaml| read::policy(yaml).unwrap().to_string())
}

#[test]
fn fuzz_manifests() {
    let documents = documents();
    let documents = documents.each_ref().map(String::as_str);
    fuzz::run_over(
        "manifests",
        // A document is a manifest too.
        |mutator| if mutator.below(2) == 0 { mutator.raw(&MANIFESTS) } else { mutator.input(&documents) },
        |input, _| {
            let Ok(text) = str::from_utf8(input) else { return false };
            holds_together(load(text));
            read::policy(text).is_ok()
        },
    );
}

#[test]
fn fuzz_documents() {
    let documents = documents();
    fuzz::run("documents", &documents.each_ref().map(String::as_str), |input, _| {
        let Ok(value) = serde_json::from_slice(input) else { return false };
        holds_together(accept(&value).map(|(_, snapshot)| snapshot));
        true
    });
}
