//! Requests by id: accepted at once, run later, fetched by their id; they survive the death of the process.

use std::time::Duration;

use harness::{Caller, Program, Reply, Speech, World, eventually, policy::PATIENT, world::key_of};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use sim::{Act, Fault, Rule};
use tokio::time::{Instant, sleep};

const PREFIXES: [(Speech, &str); 3] =
    [(Speech::Chat, "chatcmpl-llmroute-"), (Speech::Responses, "resp_llmroute_"), (Speech::Messages, "msg_llmroute_")];
const CALLERS_KEY: &str = "sk-of-the-app-0123456789";

async fn world() -> World {
    World::builder().openai("openai").claude("claude").keeps().start(|p| p.field(PATIENT)).await
}

/// Sends a prompt to be answered later.
async fn send(app: &Caller, speech: Speech, prompt: &str) -> Reply {
    let ask = app.say(speech, prompt, false).header("prefer", "respond-async");
    ask.header("authorization", &format!("Bearer {CALLERS_KEY}")).header("x-api-key", CALLERS_KEY).send().await
}

/// A Responses request in the background, as the SDK sends it.
fn background(prompt: &str) -> String {
    let mut body = Speech::Responses.body(prompt, false);
    body["background"] = true.into();
    body.to_string()
}

/// Where an accepted request is asked for.
pub fn place(accepted: &Reply) -> String {
    accepted.header("location").to_owned()
}

/// The answer, once it is there: a Responses object says so in its body, the others by their HTTP status.
pub async fn answer(app: &Caller, place: &str) -> Reply {
    eventually("the answer is there", || async {
        let reply = app.get(place).send().await;
        let pending = reply.status == 202 || matches!(reply.json()["status"].as_str(), Some("queued" | "in_progress"));
        (!pending).then_some(reply)
    })
    .await
}

/// The provider's answer to `Hello there.`
#[track_caller]
fn said(speech: Speech, answer: &Reply) {
    let text = speech.text(&answer.json());
    assert!(text.starts_with("You said: Hello there."), "{}", answer.text());
}

async fn until(app: &Caller, place: &str, status: &str) {
    eventually(status, || async { (app.get(place).send().await.json()["status"] == status).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_dialects_are_accepted_run_and_fetched() {
    let world = world().await;
    for (speech, prefix) in PREFIXES {
        let accepted = send(&world.app, speech, "Hello there.").await.expect(StatusCode::ACCEPTED);
        assert_eq!(accepted.header("preference-applied"), "respond-async");
        let id = accepted.json()["id"].as_str().unwrap_or_default().to_owned();
        let random = id.strip_prefix(prefix).unwrap_or_default();
        assert_eq!(random.len(), 32, "{id}");
        assert!(!accepted.header("x-llmroute-trace-id").contains(random), "the trace id shows nothing of it");
        assert_eq!(place(&accepted), format!("{}/{id}", speech.path()));
        assert_eq!(accepted.header("retry-after"), "1");
        if speech != Speech::Responses {
            assert_eq!(accepted.json()["object"], "llmroute.request");
            // The pool may have taken it by now.
            assert!(
                matches!(accepted.json()["status"].as_str(), Some("queued" | "in_progress")),
                "{}",
                accepted.text()
            );
        }

        let answer = answer(&world.app, &place(&accepted)).await.expect(StatusCode::OK);
        said(speech, &answer);
        if speech == Speech::Responses {
            assert_eq!(answer.json()["id"], id);
        } else {
            assert_eq!((answer.header("x-llmroute-status"), answer.header("x-llmroute-attempts")), ("ok", "1"));
        }
        let seen = world.seen("openai");
        let last = seen.last().expect("a request");
        assert!(!last.headers.iter().any(|(n, _)| n == "prefer"), "{:?}", last.headers);

        let deleted = world.app.ask(Method::DELETE, &place(&accepted)).send().await.expect(StatusCode::OK);
        assert_eq!((&deleted.json()["id"], &deleted.json()["deleted"]), (&json!(id), &json!(true)));
        let gone = world.app.get(&place(&accepted)).send().await.expect(StatusCode::NOT_FOUND);
        assert_ne!(speech.error(&gone.json()), Value::Null, "{}", gone.text());
        assert_eq!(gone.header("x-llmroute-reason"), "id_not_found");
    }
    let page = world.admin.get("/metrics").send().await.text();
    assert!(page.contains("llmroute_by_id_bytes 0.0\n"), "{page}");
    assert!(page.contains("llmroute_by_id_ended_total{end=\"completed\"} 3"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn background_responses_have_the_shapes_of_the_real_api() {
    let world = world().await;
    let slow = Act { head_ms: Some(700), ..Act::default() };
    world.script("openai", vec![Rule::act(slow)]);
    let created = world.app.post("/v1/responses", background("Hello there.")).send().await.expect(StatusCode::OK);
    let object = created.json();
    assert_eq!((&object["object"], &object["background"]), (&json!("response"), &json!(true)));
    assert!(matches!(object["status"].as_str(), Some("queued" | "in_progress")), "{object}");
    assert_eq!((&object["output"], &object["model"]), (&json!([]), &json!("gpt-6-sol")));
    until(&world.app, &place(&created), "in_progress").await;
    let done = answer(&world.app, &place(&created)).await;
    said(Speech::Responses, &done);
    let done = done.json();
    assert_eq!((&done["id"], &done["status"]), (&object["id"], &json!("completed")));
    assert_eq!(done["background"], true);
    let sent: Value = serde_json::from_slice(&world.seen("openai")[0].body).expect("JSON");
    assert_eq!(sent["background"], false);

    // A cancel comes too late, and says so by the state.
    let late = world.app.post(&format!("{}/cancel", place(&created)), "").send().await.expect(StatusCode::OK);
    assert_eq!(late.json()["status"], "completed");

    let mut next = Speech::Responses.body("and then?", false);
    next["previous_response_id"] = object["id"].clone();
    let refused = world.app.post("/v1/responses", next.to_string()).send().await.expect(StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("send its input and its output"), "{}", refused.text());

    let mut streamed: Value = serde_json::from_str(&background("hi")).expect("JSON");
    streamed["stream"] = true.into();
    let refused = world.app.post("/v1/responses", streamed.to_string()).send().await.expect(StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("stream: false"), "{}", refused.text());
    // Another's id is the provider's.
    let theirs = world.app.get("/v1/responses/resp_of_theirs").send().await;
    assert_eq!((theirs.status, theirs.header("x-llmroute-provider")), (404, "openai"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_state_directory_nothing_is_answered_later() {
    let world = World::pair().await;
    for (speech, prefix) in PREFIXES {
        let reply = send(&world.app, speech, "Hello there.").await.expect(StatusCode::OK);
        said(speech, &reply);
        assert_eq!(reply.header("preference-applied"), "");
        let unknown = format!("{}/{prefix}{:032x}", speech.path(), 7);
        world.app.get(&unknown).send().await.expect(StatusCode::NOT_FOUND);
    }
    let seen = world.seen("openai").len();
    world.app.post("/v1/responses", background("hi")).send().await.expect(StatusCode::OK);
    let sent: Value = serde_json::from_slice(&world.seen("openai")[seen].body).expect("JSON");
    assert_eq!(sent["background"], true, "the provider's own background");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_waited_for() {
    let world = world().await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::Unavailable)]);
    }
    let accepted = send(&world.app, Speech::Chat, "Hello there.").await.expect(StatusCode::ACCEPTED);
    sleep(Duration::from_millis(1500)).await;
    let pending = world.app.get(&place(&accepted)).send().await.expect(StatusCode::ACCEPTED);
    assert_ne!(pending.header("retry-after"), "");
    for name in ["openai", "claude"] {
        world.script(name, vec![]);
    }
    let answer = answer(&world.app, &place(&accepted)).await.expect(StatusCode::OK);
    said(Speech::Chat, &answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_rejects_has_failed() {
    let world = world().await;
    let rejected = "hi@@sim:fault=bad_request@@";
    let chat = send(&world.app, Speech::Chat, rejected).await;
    let failed = answer(&world.app, &place(&chat)).await.expect(StatusCode::BAD_REQUEST);
    assert_ne!(Speech::Chat.error(&failed.json()), Value::Null, "{}", failed.text());
    assert_eq!(failed.header("x-llmroute-reason"), "openai_request_rejected");
    let created = world.app.post("/v1/responses", background(rejected)).send().await;
    let failed = answer(&world.app, &place(&created)).await.expect(StatusCode::OK).json();
    assert_eq!((&failed["status"], &failed["output"]), (&json!("failed"), &json!([])));
    assert!(failed["error"]["code"].is_string() && failed["error"]["message"].is_string(), "{failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_drops_the_attempt() {
    let world = world().await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::Silence)]);
    }
    for (speech, _) in PREFIXES {
        let accepted = send(&world.app, speech, "hi").await;
        until(&world.app, &place(&accepted), "in_progress").await;
        let began = Instant::now();
        let cancelled = world.app.post(&format!("{}/cancel", place(&accepted)), "").send().await;
        assert_eq!(cancelled.expect(StatusCode::OK).json()["status"], "cancelled");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let told = world.app.get(&place(&accepted)).send().await;
        match speech {
            Speech::Responses => assert_eq!(told.json()["status"], "cancelled"),
            _ => assert_eq!((told.status, told.header("x-llmroute-reason")), (410, "cancelled")),
        }
    }
    eventually("the attempts are gone", || async {
        let page = world.admin.get("/metrics").send().await.text();
        let gone = page.contains("llmroute_by_id_ended_total{end=\"cancelled\"} 3")
            && page.contains("llmroute_by_id_requests{state=\"running\"} 0")
            && page.contains("llmroute_requests_in_flight 0");
        gone.then_some(())
    })
    .await;
    // One that runs can also be forgotten at once.
    let accepted = send(&world.app, Speech::Chat, "hi").await;
    until(&world.app, &place(&accepted), "in_progress").await;
    world.app.ask(Method::DELETE, &place(&accepted)).send().await.expect(StatusCode::OK);
    world.app.get(&place(&accepted)).send().await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_makes_a_request_once() {
    let world = world().await;
    let send = |prompt: &'static str, key: &'static str| {
        let body = background(prompt);
        world.app.post("/v1/responses", body).header("idempotency-key", key).send()
    };
    let first = send("one", "k1").await.expect(StatusCode::OK).json();
    let again = send("one", "k1").await.expect(StatusCode::OK).json();
    assert_eq!(first["id"], again["id"]);
    let conflict = send("two", "k1").await.expect(StatusCode::CONFLICT);
    assert_eq!(conflict.header("x-llmroute-reason"), "idempotency_conflict");
    assert_ne!(send("two", "k2").await.expect(StatusCode::OK).json()["id"], first["id"]);
    answer(&world.app, &format!("/v1/responses/{}", first["id"].as_str().unwrap_or_default())).await;
    assert_eq!(send("one", "k1").await.json()["status"], "completed", "also when it has ended");
    let ones = world.seen("openai").iter().filter(|e| memchr::memmem::find(&e.body, b"one").is_some()).count();
    assert_eq!(ones, 1);
}

/// The program on the world's providers and on one state directory.
async fn program(world: &World) -> Program {
    let state = world.dir.join("state");
    let program = Program::builder(&world.policy_file()).credentials(&world.dir.join("keys"));
    program.arg("--state").arg(&state.display().to_string()).start().await
}

async fn providers() -> World {
    World::builder().openai("openai").claude("claude").start(|p| p.field(PATIENT)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_runs_them_after_its_restart() {
    let world = providers().await;
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::Silence)]);
    }
    let mut first = program(&world).await;
    let mut places = vec![];
    // Four run and two wait when the process dies.
    for (speech, _) in PREFIXES.into_iter().cycle().take(6) {
        places.push((speech, place(&send(&first.app, speech, "Hello there.").await)));
    }
    until(&first.app, &places[0].1, "in_progress").await;
    until(&first.app, &places[5].1, "queued").await;
    first.kill().await;

    for name in ["openai", "claude"] {
        world.script(name, vec![]);
    }
    let mut second = program(&world).await;
    for (speech, place) in &places {
        let answer = answer(&second.app, place).await.expect(StatusCode::OK);
        said(*speech, &answer);
    }
    second.kill().await;
    let third = program(&world).await;
    for (speech, place) in &places {
        let answer = third.app.get(place).send().await.expect(StatusCode::OK);
        said(*speech, &answer);
    }

    let bytes = std::fs::read(world.dir.join("state/state.redb")).expect("a file");
    let holds = |secret: &str| memchr::memmem::find(&bytes, secret.as_bytes()).is_some();
    assert!(holds("You said"), "answers stand there");
    for secret in [CALLERS_KEY, &key_of("openai"), &key_of("claude")] {
        assert!(!holds(secret), "no key does");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_at_sigterm_comes_to_its_end() {
    let world = providers().await;
    world.script("openai", vec![Rule::act(Act { head_ms: Some(900), ..Act::default() })]);
    let mut first = program(&world).await;
    let accepted = send(&first.app, Speech::Chat, "Hello there.").await;
    until(&first.app, &place(&accepted), "in_progress").await;
    first.terminate();
    assert_eq!(first.wait().await.code(), Some(0), "{}", first.output());
    let second = program(&world).await;
    second.app.get(&place(&accepted)).send().await.expect(StatusCode::OK);
    assert_eq!(world.seen("openai").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_that_cannot_be_used_is_told() {
    let world = providers().await;
    let running = program(&world).await;
    let state = world.dir.join("state");
    let with = |dir: &str| Program::builder(&world.policy_file()).arg("--state").arg(dir);
    let second = with(&state.display().to_string()).run().await;
    assert_eq!(second.code, Some(2));
    assert!(second.output.contains("another llmroute-sidecar uses it"), "{}", second.output);
    let file = with(&world.policy_file().display().to_string()).run().await;
    assert_eq!(file.code, Some(2));
    assert!(file.output.contains("may write"), "{}", file.output);
    drop(running);

    let damaged = world.dir.write("damaged/state.redb", "not a database");
    let program = with(&damaged.parent().expect("a parent").display().to_string()).start().await;
    assert!(program.output().contains("set aside"), "{}", program.output());
    send(&program.app, Speech::Chat, "hi").await.expect(StatusCode::ACCEPTED);
    let aside = std::fs::read_dir(world.dir.join("damaged")).expect("a directory").filter_map(Result::ok);
    let aside: Vec<_> = aside.filter(|e| e.file_name().to_string_lossy().contains("set-aside-")).collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read(aside[0].path()).expect("a file"), b"not a database");
}
