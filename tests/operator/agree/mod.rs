//! The CRD and the sidecar's own judgement say the same of a policy: a corpus that breaks each demand of the CRD alone, and
//! right ones, given to a real API server in a dry run and to the sidecar as a file.

mod edits;
mod judges;
mod random;
mod schema;
mod words;

use std::{collections::BTreeSet, fs};

use fastrand::Rng;
use serde_json::{Value, json};

use self::{judges::Judges, schema::Demand};
use crate::stage::path;

/// The example with every field, in the namespace that is asked about.
fn example() -> String {
    let text = fs::read_to_string(path("manifests/examples/everything.yaml")).expect("the example");
    text.replace("namespace: shop", "namespace: default")
}

/// A policy without its spec.
fn empty() -> Value {
    json!({"apiVersion": "llmroute.dev/v1alpha1", "kind": "LLMRoutePolicy", "metadata": {"name": "corpus"}})
}

/// The example, and at the end of each list something that nothing refers to.
fn whole() -> Value {
    let mut policy = empty();
    policy["spec"] = serde_yaml::from_str::<Value>(&example()).expect("YAML")["spec"].take();
    let spares = [
        ("providers", json!({"name": "spare", "api": "OpenAI"})),
        ("scenes", json!({"name": "spare", "targets": [{"provider": "openai"}]})),
        ("tiers", json!({"name": "spare"})),
    ];
    for (list, spare) in spares {
        policy["spec"][list].as_array_mut().expect("a list").push(spare);
    }
    policy
}

/// What the server and the sidecar make of a line of the example: how YAML is read, and what is around the spec.
const LINES: [(&str, &str, bool, bool); 23] = [
    ("until: \"2027-01-31T18:00:00Z\"", "until: 2027-01-31T18:00:00Z", true, true),
    ("limitUsd: \"2.00\"", "limitUsd: 2.00", false, false),
    ("maxOutputTokens: 2048", "maxOutputTokens: 0x800", true, true),
    ("maxOutputTokens: 2048", "maxOutputTokens: 2048.0", true, true),
    ("maxOutputTokens: 2048", "maxOutputTokens: 2.048e3", true, true),
    ("maxOutputTokens: 2048", "maxOutputTokens: +5", true, true),
    ("maxOutputTokens: 2048", "maxOutputTokens: 0o400", true, true),
    ("maxOutputTokens: 2048", "maxOutputTokens: 0b11", true, true),
    ("maxOutputTokens: 2048", "maxOutputTokens:", true, true),
    ("maxOutputTokens: 2048", "maxOutputTokens: ~", true, true),
    ("reason: trial of a week", "reason: 7", false, false),
    ("reason: trial of a week", "reason: 1:30", true, true),
    ("{name: tenant-day,", "{name: 1e3,", false, false),
    ("{name: tenant-day,", "{name: .5,", false, false),
    ("name: everything,", "name: Every_thing,", false, false),
    ("\nspec:\n", "\nspecs: {}\nspec:\n", false, false),
    // The status is the operator's, and what a file says of it is let be.
    ("\nspec:\n", "\nstatus: {observedGeneration: nonsense}\nspec:\n", true, true),
    // Nobody draws a name for a file; labels are the server's to judge.
    ("name: everything,", "generateName: a-,", true, false),
    ("name: everything,", "name: everything, labels: {a b: c},", false, true),
    // Words and numbers of YAML 1.1, which kubectl and the server read as such.
    ("maxOutputTokens: 2048", "maxOutputTokens: 2_048", true, false),
    ("{name: tenant-day,", "{name: 12_3,", false, true),
    ("http2: false", "http2: no", true, false),
    ("{name: tenant-day,", "{name: on,", false, true),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crd_and_sidecar_say_the_same() {
    let whole = whole();
    let mut judges = Judges::new(&whole.to_string()).await;
    let places = schema::places(&judges.schema);
    let mut rng = Rng::with_seed(6);
    let mut edits = edits::of_rules();
    let mut kinds = BTreeSet::new();
    for place in &places {
        let new = kinds.insert(format!("{} {}", place.schema["type"], place.schema["pattern"]));
        edits.extend(edits::of_schema(place, &whole, new, &mut rng));
    }
    for edit in &edits {
        let mut policy = whole.clone();
        assert!(edit.apply(&mut policy), "{edit:?}");
        judges.agree(&policy.to_string()).await;
    }

    // A new demand of the CRD is broken by some edit here, or the test fails.
    let demands = places.iter().flat_map(schema::demands);
    let missed: Vec<Demand> = demands.filter(|demand| !judges.broken.contains(demand)).collect();
    assert!(missed.is_empty(), "nothing breaks these alone: {missed:#?}");

    for _ in 0..120 {
        let mut policy = empty();
        policy["spec"] = random::spec(&judges.schema, &mut rng);
        let right = judges.agree(&policy.to_string()).await;
        assert!(right, "drawn to be right: {:?}\n{policy}", judges.ask(&policy.to_string()).await);
        for edit in rng.choose_multiple(&edits, 2) {
            edit.apply(&mut policy);
        }
        judges.agree(&policy.to_string()).await;
    }
    println!("{} policies", judges.count);
    assert!(judges.count >= 500, "{} policies", judges.count);
    let differ = &judges.differ;
    assert!(
        differ.is_empty(),
        "they differ {} times, first:\n{}",
        differ.len(),
        differ[..differ.len().min(5)].join("\n")
    );
    assert!(judges.unused().is_empty(), "nothing needs these: {:?}", judges.unused());

    let text = example();
    for (from, to, theirs, ours) in LINES {
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        let told = (judges.ask(&text).await.is_empty(), api::load(&text).is_ok());
        assert_eq!(told, (theirs, ours), "{to}");
    }
}
