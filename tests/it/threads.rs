//! Conversations of Messages that the provider keeps: a thread is its keeper's. SDKs know the refusal of its turns, and send
//! the whole conversation to whoever answers.

use harness::{
    Ask, Reply, World,
    policy::{PATIENT, QUICK},
    stub::{Stub, answer as tell, stream},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use sim::{Config, Dark, Fault, Rule, Vendor};

use crate::by_id::{answer, place};

const SONNET: (&str, &str) = ("claude", "claude-sonnet-5-5");
const SOL: (&str, &str) = ("openai", "gpt-6-sol");

async fn world() -> World {
    let world = World::builder().openai("openai").claude("claude").keeps();
    world.start(|p| p.tier(QUICK).field(PATIENT).scene("both", &[SONNET, SOL]).scene("openai", &[SOL])).await
}

async fn ask(world: &World, scene: &str, thread: Value, turns: Value) -> Reply {
    post(world, scene, thread, turns).send().await
}

fn post<'a>(world: &'a World, scene: &str, thread: Value, turns: Value) -> Ask<'a> {
    let body = json!({"model": "claude-sonnet-5-5", "max_tokens": 300, "messages": turns, "thread": thread});
    let post = world.app.post("/v1/messages", body.to_string()).header("x-llmroute-scene", scene);
    post.header("anthropic-version", "2023-06-01").header("anthropic-beta", "message-threads-2026-08-12")
}

fn say(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

fn begun() -> Value {
    json!({"type": "create"})
}

fn goes_on(from: &Reply) -> Value {
    json!({"type": "continue", "previous_message_id": from.json()["id"]})
}

fn is_to_come_whole(reply: &Reply) {
    assert_eq!((reply.status, reply.header("x-llmroute-status")), (400, "refused"), "{}", reply.text());
    assert_eq!(reply.header("x-llmroute-reason"), "openai_cannot_carry");
    assert_eq!(reply.json()["error"]["details"]["error_code"], "thread_unsupported_request", "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_goes_on_with_its_keeper_or_whole() {
    let world = world().await;
    let first = ask(&world, "both", begun(), say("ping")).await;
    let second = ask(&world, "both", goes_on(&first), say("pong")).await;
    for reply in [&first, &second] {
        assert_eq!((reply.header("x-llmroute-status"), reply.header("x-llmroute-provider")), ("ok", "claude"));
    }
    let sent: Value = serde_json::from_slice(&world.seen("claude")[1].body).expect("JSON");
    assert_eq!((&sent["messages"], &sent["thread"]), (&say("pong"), &goes_on(&first)));
    // What its keeper does not know is the keeper's to say.
    let lost = ask(&world, "both", json!({"type": "continue", "previous_message_id": "msg_0"}), say("pong")).await;
    assert_eq!((lost.status, lost.header("x-llmroute-status")), (404, "failed"));
    assert_eq!(lost.json()["error"]["details"]["error_code"], "thread_not_found", "{}", lost.text());

    // The keeper goes dark: one turn is of no use to anybody else, all turns are.
    world.sim("claude").dark(None, Dark::Refuses);
    is_to_come_whole(&ask(&world, "both", goes_on(&second), say("and then?")).await);
    assert_eq!(world.seen("openai").len(), 0);
    let turns = json!([{"role": "user", "content": "ping"}, {"role": "assistant", "content": "said"},
        {"role": "user", "content": "and then?"}]);
    let whole = ask(&world, "both", Value::Null, turns).await;
    let told = (whole.header("x-llmroute-status"), whole.header("x-llmroute-provider"));
    assert_eq!(told, ("degraded", "openai"), "{}", whole.text());
}

/// Who asks by id can wait until the keeper is well again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_by_id_waits_for_the_keeper() {
    let world = world().await;
    let first = ask(&world, "both", begun(), say("ping")).await;
    world.script("claude", vec![Rule::fault(Fault::Overloaded).times(4)]);
    let turn = post(&world, "both", goes_on(&first), say("pong")).header("prefer", "respond-async").send().await;
    let place = place(&turn.expect(StatusCode::ACCEPTED));
    let answer = answer(&world.app, &place).await.expect(StatusCode::OK);
    assert!(answer.text().contains("pong"), "{}", answer.text());
    // Once for the first turn, four times in vain.
    assert_eq!((world.seen("claude").len(), world.seen("openai").len()), (6, 0));
}

/// What is wrong with a thread is its caller's to mend, whether a status says it or the first event of a stream: it is not
/// tried again, and nobody is blamed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_went_on_already_is_refused_once() {
    for (kind, code, status) in [
        ("conflict_error", "thread_already_continued", 409),
        ("rate_limit_error", "thread_limit_exceeded", 429),
        ("not_found_error", "thread_not_found", 404),
    ] {
        let error = json!({"type": "error", "request_id": null,
            "error": {"type": kind, "message": "No.", "details": {"error_code": code}}});
        let said = error.to_string();
        let keeper = Stub::start(move |seen| match seen.text().contains("\"stream\":true") {
            true => stream([format!("event: error\ndata: {said}\n\n")]),
            false => tell(&format!("{status} No"), "application/json", &said),
        });
        let keeper = keeper.await;
        let world = World::builder().openai("openai").start(|p| {
            let p = p.tier(QUICK).field(PATIENT).provider("claude", "Anthropic", &keeper.url());
            p.scene("both", &[SONNET, SOL])
        });
        let world = world.await;
        for (asked, stream) in [(1, false), (2, true)] {
            let body = json!({"model": SONNET.1, "max_tokens": 300, "messages": say("pong"), "stream": stream,
                "thread": {"type": "continue", "previous_message_id": "msg_1"}});
            let reply = world.app.post("/v1/messages", body.to_string()).send().await;
            assert_eq!((reply.status, reply.header("x-llmroute-status")), (status, "failed"), "{}", reply.text());
            assert_eq!(reply.json()["error"], error["error"], "{stream}: {}", reply.text());
            assert_eq!((keeper.seen().len(), world.seen("openai").len()), (asked, 0), "{code}, {stream}");
        }
    }
}

/// Sending all of it helps where another provider could take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_is_not_asked_for_where_nobody_could_take_it() {
    let image = json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}});
    let file = json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}});
    let turn = |part: &Value| json!([{"role": "user", "content": [part, {"type": "text", "text": "what is it?"}]}]);
    let world = World::builder().openai("openai").claude("claude");
    let blind = "models: [{name: gpt-6-sol, contextTokens: 400000, images: false}]";
    let yaml = world.policy(|p| p.tier(QUICK).field(PATIENT).scene("both", &[SONNET, SOL])).yaml();
    let world = world.start_with(&yaml).await;
    let first = ask(&world, "both", begun(), say("ping")).await;
    world.script("claude", vec![Rule::fault(Fault::Overloaded)]);
    is_to_come_whole(&ask(&world, "both", goes_on(&first), turn(&image)).await);

    // Files stay with who has them, and a model that sees no images sees none of the whole either.
    let is_the_keepers = |reply: Reply| {
        let told = (reply.status, reply.header("x-llmroute-status"), reply.header("x-llmroute-reason"));
        assert_eq!(told, (529, "failed", "claude_overloaded"), "{}", reply.text());
    };
    is_the_keepers(ask(&world, "both", goes_on(&first), turn(&file)).await);
    world.put(&yaml.replace("models: [{name: gpt-6-sol, contextTokens: 400000}]", blind));
    is_the_keepers(ask(&world, "both", goes_on(&first), turn(&image)).await);
    is_to_come_whole(&ask(&world, "both", goes_on(&first), say("pong")).await);
    assert_eq!(world.seen("openai").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_nobody_keeps_is_not_begun() {
    let world = world().await;
    let answer = ask(&world, "openai", begun(), say("ping")).await;
    assert_eq!((answer.header("x-llmroute-status"), answer.header("x-llmroute-dropped")), ("ok", "thread"));
    is_to_come_whole(&ask(&world, "openai", goes_on(&answer), say("pong")).await);
    assert_eq!(world.seen("openai").len(), 1);
}

/// Of two accounts the first is taken to be the keeper: it says so if it is not, and SDKs send the whole conversation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_is_asked_of_one_account() {
    let account = |seed| Config { seed, ..Config::default() };
    let world = World::builder()
        .provider("one", Vendor::Anthropic, account(1))
        .provider("two", Vendor::Anthropic, account(2))
        .start(|p| p.tier(QUICK).field(PATIENT).scene("both", &[("one", SONNET.1), ("two", SONNET.1)]))
        .await;
    let of_one = ask(&world, "both", begun(), say("ping")).await;
    let reply = ask(&world, "both", goes_on(&of_one), say("pong")).await;
    assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "one"), "{}", reply.text());

    world.sim("one").dark(None, Dark::Refuses);
    let of_two = ask(&world, "both", begun(), say("ping")).await;
    assert_eq!(of_two.header("x-llmroute-provider"), "two", "{}", of_two.text());
    let asked = world.seen("two").len();
    let refused = ask(&world, "both", goes_on(&of_one), say("and then?")).await;
    assert_eq!(refused.json()["error"]["details"]["error_code"], "thread_unsupported_request", "{}", refused.text());
    assert_eq!(world.seen("two").len(), asked);

    world.sim("one").light(None);
    let lost = ask(&world, "both", goes_on(&of_two), say("pong")).await;
    assert_eq!(lost.json()["error"]["details"]["error_code"], "thread_not_found", "{}", lost.text());
}
