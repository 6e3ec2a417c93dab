//! Policy and credentials change under load; nobody is dropped.

use std::{
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::{Caller, Policy, Speech, World, policy::PATIENT, world::key_of};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// A steady load that counts what was not a clean answer.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(app: &Caller) -> Load {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let workers = (0..4).map(|i| {
            let (app, stop, done) = (app.clone(), stop.clone(), done.clone());
            tokio::spawn(async move {
                let mut wrong = vec![];
                while !stop.load(Ordering::Relaxed) {
                    let stream = i % 2 == 0;
                    match app.say(Speech::ALL[i % 3], "hi", stream).try_send().await {
                        Ok(reply) if reply.status == 200 && reply.whole => {}
                        other => wrong.push(format!("{other:?}")),
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(10)).await;
                }
                wrong
            })
        });
        Load { workers: workers.collect(), stop, done }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut wrong = vec![];
        for worker in self.workers {
            wrong.extend(worker.await.expect("a worker"));
        }
        assert!(wrong.is_empty(), "{} of {:?}: {:#?}", wrong.len(), self.done, &wrong[..wrong.len().min(3)]);
    }
}

/// The policy with the model that chat callers get.
fn policy(world: &World, model: &str) -> String {
    Policy::new()
        .provider("openai", "OpenAI", &world.sim("openai").url())
        .provider("claude", "Anthropic", &world.sim("claude").url())
        .scene("chat", &[("openai", model), ("claude", "claude-sonnet-5-5")])
        .field(PATIENT)
        .yaml()
}

async fn served(world: &World) -> String {
    let reply = world.app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-llmroute-model").to_owned()
}

/// A change is in force within two seconds.
async fn within_two_seconds(world: &World, model: &str) {
    let began = Instant::now();
    while served(world).await != model {
        assert!(began.elapsed() < Duration::from_millis(2300), "{model} is not in force");
        sleep(Duration::from_millis(30)).await;
    }
}

async fn followed() -> World {
    World::builder().openai("openai").claude("claude").follow().start(|p| p.field(PATIENT)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_replaced_in_every_way_under_load() {
    let world = followed().await;
    let load = Load::start(&world.app);
    // By rename, as editors do.
    world.dir.rename_over("policy.yaml", policy(&world, "gpt-6-luna")).expect("a rename");
    within_two_seconds(&world, "gpt-6-luna").await;
    // In place.
    world.dir.write("policy.yaml", policy(&world, "gpt-5.4"));
    within_two_seconds(&world, "gpt-5.4").await;
    // By the swap of a symbolic link, as a mounted ConfigMap does.
    world.dir.write("v1/policy.yaml", policy(&world, "gpt-6-sol"));
    world.dir.write("v2/policy.yaml", policy(&world, "gpt-4o"));
    let point = |to: &str| {
        let fresh = world.dir.join("..data_tmp");
        symlink(to, &fresh).expect("a link");
        std::fs::rename(fresh, world.dir.join("..data")).expect("a swap");
    };
    point("v1");
    let link = world.dir.join(".link");
    symlink("..data/policy.yaml", &link).expect("a link");
    std::fs::rename(link, world.policy_file()).expect("a rename");
    within_two_seconds(&world, "gpt-6-sol").await;
    point("v2");
    within_two_seconds(&world, "gpt-4o").await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_or_vanished_policy_is_refused_and_told() {
    let world = followed().await;
    let load = Load::start(&world.app);
    let faults = async || {
        let page = world.admin.get("/config").send().await;
        assert_eq!(page.status, 200);
        page.text()
    };
    world
        .dir
        .rename_over("policy.yaml", policy(&world, "gpt-6-sol").replace("provider: claude", "provider: clode"))
        .expect("a rename");
    harness::eventually("the fault is told", async || {
        faults().await.contains("spec.scenes[0].targets[1].provider").then_some(())
    })
    .await;
    assert_eq!(served(&world).await, "gpt-6-sol", "the last good one stays in force");
    assert_eq!(world.admin.get("/readyz").send().await.status, 200);

    std::fs::remove_file(world.policy_file()).expect("a file");
    harness::eventually("the loss is told", async || faults().await.contains("policy.yaml").then_some(())).await;
    assert_eq!(served(&world).await, "gpt-6-sol");

    world.dir.rename_over("policy.yaml", policy(&world, "gpt-6-luna")).expect("a rename");
    within_two_seconds(&world, "gpt-6-luna").await;
    let page = faults().await;
    assert!(!page.contains("clode"), "nothing is refused any more: {page}");
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_hot_and_a_vanished_one_is_kept() {
    let world = followed().await;
    let load = Load::start(&world.app);
    let last_key = || {
        let seen = world.seen("openai");
        let entry = seen.last().expect("asked");
        entry.headers.iter().find(|(n, _)| n == "authorization").map(|(_, v)| v.clone()).unwrap_or_default()
    };
    served(&world).await;
    assert_eq!(last_key(), format!("Bearer {}", key_of("openai")));
    world.dir.write("keys/openai", "sk-fresh-0123456789  \r\n\n");
    let began = Instant::now();
    while last_key() != "Bearer sk-fresh-0123456789" {
        assert!(began.elapsed() < Duration::from_millis(2300), "{}", last_key());
        sleep(Duration::from_millis(30)).await;
    }
    std::fs::remove_file(world.dir.join("keys/openai")).expect("a file");
    sleep(Duration::from_millis(2200)).await;
    served(&world).await;
    assert_eq!(last_key(), "Bearer sk-fresh-0123456789", "the key in memory stays in use");
    // An empty file, as some tools leave for a moment, is no key.
    world.dir.write("keys/openai", "\n");
    sleep(Duration::from_millis(1500)).await;
    served(&world).await;
    assert_eq!(last_key(), "Bearer sk-fresh-0123456789");
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_keeps_the_policy_it_began_with() {
    let world = followed().await;
    let slow = sim::Act { event_ms: Some(60), ..Default::default() };
    world.script("openai", vec![sim::Rule::act(slow)]);
    let mut stream = world.app.say(Speech::Chat, "hi", true).open().await.expect("a head");
    stream.next().await.expect("an event");
    // Its provider is no longer part of the policy.
    let only_claude = Policy::new()
        .provider("claude", "Anthropic", &world.sim("claude").url())
        .scene("chat", &[("claude", "claude-sonnet-5-5")])
        .yaml();
    world.put(&only_claude);
    assert_eq!(served(&world).await, "claude-sonnet-5-5");
    let heard = Speech::Chat.listen(&stream.rest().await);
    assert_eq!((heard.ends, heard.errors.len(), stream.broken), (1, 0, false));
}
