//! A policy that is edited a thousand times under load: nobody's request notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use harness::{Caller, Policy, Speech, many::Kube, policy::PATIENT, world::key_of};
use serde_json::{Value, json};
use sim::{Act, Rule};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::stage::Stage;

const EDITS: usize = 1000;
/// Requests a second, over both sidecars.
const RATE: u32 = 210;
/// Of so many requests one is a stream.
const STREAMS: usize = 5;
/// Words of a stream, and how far apart they come: it lasts longer than several edits.
const WORDS: (u64, u64) = (8, 80);
/// So many that have no answer yet are asked no more: then the machine is too slow for the rate.
const MOST: usize = 500;
/// Times that no load of the machine exceeds: what fails here fails by the edit.
const TIER: &str = "{name: patient, sla: 60s, timeouts: {connect: 20s, tls: 20s, firstByte: 30s, idle: 30s, total: 60s}, \
    retries: {attempts: 1}}";

/// The provider and the model of an edit: each differs from the one before in both.
fn target(edit: usize) -> (&'static str, &'static str) {
    const ALL: [(&str, &str); 4] = [
        ("openai", "gpt-6-sol"),
        ("claude", "claude-sonnet-5-5"),
        ("openai", "gpt-6-luna"),
        ("claude", "claude-haiku-4-5"),
    ];
    ALL[edit % ALL.len()]
}

/// What an edit puts in the spec. The scene's name tells an answer's version.
fn scenes(edit: usize) -> Value {
    let (provider, model) = target(edit);
    json!({"scenes": [{"name": format!("edit-{edit:04}"), "targets": [{"provider": provider, "model": model}]}]})
}

fn manifest(stage: &Stage) -> Value {
    let url = stage.provider.url();
    let policy = Policy::new().provider("openai", "OpenAI", &url).provider("claude", "Anthropic", &url);
    let yaml = policy.tier(TIER).scene("first", &[("openai", "gpt-6-sol")]).field(PATIENT).yaml();
    let mut manifest: Value = serde_yaml::from_str(&yaml).expect("YAML");
    manifest["metadata"] = json!({"name": "shop", "namespace": "shop"});
    manifest["spec"]["podSelector"] = json!({"matchLabels": {"app": "shop"}});
    manifest["spec"]["scenes"] = scenes(0)["scenes"].clone();
    manifest
}

/// An app beside one sidecar, and what it knows of the versions that are in force there.
struct App {
    caller: Caller,
    /// The newest that an answer showed.
    shown: AtomicUsize,
}

/// What is known of edits by all.
struct Edits {
    /// The newest that the API server was asked for.
    asked: AtomicUsize,
}

/// One request, its answer checked; gives how many versions came into force in its sidecar while it ran, as far as seen.
async fn ask(app: &App, edits: &Edits, number: usize) -> Result<usize, String> {
    let (speech, stream) = (Speech::ALL[number % 3], number.is_multiple_of(STREAMS));
    let oldest = app.shown.load(SeqCst);
    let mut answer = app.caller.say(speech, "hi", stream).open().await?;
    let newest = edits.asked.load(SeqCst);
    let told = |name: &str| answer.header(name).to_owned();
    let (scene, provider, model) = (told("x-llmroute-scene"), told("x-llmroute-provider"), told("x-llmroute-model"));
    let facts = format!("{speech:?}, stream {stream}: {} {scene} {provider} {model}", answer.status);
    let version: usize = scene.strip_prefix("edit-").and_then(|n| n.parse().ok()).ok_or(facts.clone())?;
    app.shown.fetch_max(version, SeqCst);
    let is_of = target(version) == (&*provider, &*model);
    if answer.status != 200 || told("x-llmroute-status") != "ok" || !is_of || !(oldest..=newest).contains(&version) {
        let body = answer.whole().await.text();
        return Err(format!("{facts}, not of {oldest} to {newest}: {body}"));
    }
    let is_complete = if stream {
        let heard = speech.listen(&answer.rest().await);
        !answer.broken && (heard.beginnings, heard.ends, heard.errors.len()) == (1, 1, 0) && !heard.text.is_empty()
    } else {
        let reply = answer.whole().await;
        reply.whole && !speech.text(&reply.json()).is_empty()
    };
    if is_complete { Ok(app.shown.load(SeqCst) - version) } else { Err(format!("{facts}: no whole answer")) }
}

/// Asks all apps in turn at a steady rate, whatever comes of it; gives what came of each.
async fn load(apps: Arc<Vec<App>>, edits: Arc<Edits>, stop: Arc<AtomicBool>) -> Vec<Result<usize, String>> {
    let (mut asked, mut done) = (JoinSet::new(), vec![]);
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    // What falls due meanwhile is asked late, and not left out.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0.. {
        if stop.load(SeqCst) {
            break;
        }
        ticks.tick().await;
        let (apps, edits) = (apps.clone(), edits.clone());
        asked.spawn(async move { ask(&apps[number % apps.len()], &edits, number / apps.len()).await });
        while let Some(result) = if asked.len() < MOST { asked.try_join_next() } else { asked.join_next().await } {
            done.push(result.expect("no panic"));
        }
    }
    done.extend(asked.join_all().await);
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_during_a_thousand_edits() {
    let stage = Stage::new().await;
    let slow = Act { words: Some(WORDS.0), event_ms: Some(WORDS.1), ..Act::default() };
    stage.provider.script(vec![Rule::act(slow).stream(true)]);
    let operator = stage.operator("op-1").await;
    stage.apply(&manifest(&stage).to_string());
    let pods = ["a", "b"].map(|name| stage.pod(name, "shop"));
    let mut sidecars = vec![];
    for pod in &pods {
        pod.dir().write("keys/claude", key_of("claude"));
        sidecars.push(stage.sidecar(pod, &operator).await);
    }
    stage.condition("shop", "Ready", "True Ready", "2 of 2 sidecars acknowledged generation 1").await;

    let apps: Vec<App> = sidecars.iter().map(|s| App { caller: s.app.clone(), shown: AtomicUsize::new(0) }).collect();
    let (apps, edits) = (Arc::new(apps), Arc::new(Edits { asked: AtomicUsize::new(0) }));
    let stop = Arc::new(AtomicBool::new(false));
    let asked = tokio::spawn(load(apps.clone(), edits.clone(), stop.clone()));
    let kube = Kube::new(stage.server.kubeconfig()).await;
    let began = Instant::now();
    let mut generation = 1;
    for edit in 1..=EDITS {
        edits.asked.store(edit, SeqCst);
        generation = kube.edit("shop", scenes(edit)).await;
    }
    let (edited, count) = (began.elapsed(), EDITS + 1);
    assert_eq!(generation, i64::try_from(count).expect("few"), "each is a version");
    stage.condition("shop", "Ready", "True Ready", &format!("2 of 2 sidecars acknowledged generation {count}")).await;
    let took = began.elapsed();
    stop.store(true, SeqCst);
    let done = asked.await.expect("no panic");

    let failed: Vec<_> = done.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} of {}: {:#?}", failed.len(), done.len(), &failed[..failed.len().min(3)]);
    let least = (took.as_secs_f64() * f64::from(RATE) * 0.8).min((4 * EDITS) as f64);
    assert!(done.len() as f64 >= least, "{} requests in {took:?}", done.len());
    let outlived = done.iter().filter(|result| result.as_ref().is_ok_and(|versions| *versions >= 3)).count();
    assert!(outlived >= 100, "{outlived} streams saw three newer versions and more come into force");
    for app in apps.iter() {
        let last = ask(app, &edits, 1).await;
        assert!(last.is_ok() && app.shown.load(SeqCst) == EDITS, "{last:?}, {}", app.shown.load(SeqCst));
    }
    let events = stage.events("shop").len();
    assert!(events <= 60, "{events} events: a person reads them");
    println!(
        "{} requests, {outlived} outlived three versions and more; {EDITS} edits in {edited:?}, {events} events",
        done.len()
    );
}
