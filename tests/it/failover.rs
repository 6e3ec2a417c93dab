//! A provider goes dark under load, and callers do not notice.

use std::{sync::Arc, time::Duration};

use harness::{Caller, Speech, World, heavy};
use parking_lot::Mutex;
use sim::Dark;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// One request of the load: when it began after the start, how long it took, what was wrong.
struct Shot {
    at: Duration,
    took: Duration,
    wrong: Option<String>,
}

/// 200 requests a second to `app` and a quarter of them to `calm` too, at the same moments, in three dialects, plain and streamed.
async fn load(app: &Caller, calm: &Caller, seconds: u64, mut at: impl FnMut(Duration)) -> (Vec<Shot>, Vec<Shot>) {
    let shots: [Arc<Mutex<Vec<Shot>>>; 2] = Default::default();
    let began = Instant::now();
    let mut tick = interval(Duration::from_millis(5));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = tokio::task::JoinSet::new();
    for i in 0..seconds * 200 {
        tick.tick().await;
        at(began.elapsed());
        let (speech, stream) = (Speech::ALL[i as usize % 3], i % 8 < 4);
        for (app, shots) in [app, calm].into_iter().zip(&shots).take(if i % 4 == 0 { 2 } else { 1 }) {
            let (app, shots) = (app.clone(), shots.clone());
            running.spawn(async move {
                let start = Instant::now();
                let wrong = one(&app, speech, stream).await.err();
                shots.lock().push(Shot { at: start - began, took: start.elapsed(), wrong });
            });
        }
    }
    running.join_all().await;
    let [shots, calm] = shots.map(|shots| Arc::into_inner(shots).expect("all are done").into_inner());
    (shots, calm)
}

async fn one(app: &Caller, speech: Speech, stream: bool) -> Result<(), String> {
    let reply = app.say(speech, "hello there", stream).try_send().await?;
    let text = if stream {
        let heard = speech.listen(&reply.events());
        if (heard.beginnings, heard.ends, heard.errors.len()) != (1, 1, 0) {
            return Err(format!("{speech:?} {heard:?}"));
        }
        heard.text
    } else {
        speech.text(&reply.json())
    };
    let fine = reply.status == 200 && text.starts_with("You said: hello there.");
    if fine { Ok(()) } else { Err(format!("{speech:?} {} {}", reply.status, reply.text())) }
}

fn p99(shots: &[Shot], since: Duration) -> Duration {
    let mut times: Vec<_> = shots.iter().filter(|s| s.at >= since).map(|s| s.took).collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// The added time is over that of a sidecar whose providers are all well, asked in the same seconds: what the machine itself
/// adds, both have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_at_200_requests_a_second_costs_no_request_and_soon_no_time() {
    let _turn = heavy::turn().await;
    // The classic tier of 2/2/4/10/12 seconds; breaker and retries at their defaults.
    let start = || {
        World::builder().openai("openai").claude("claude").start(|p| {
            p.tier("{name: gold, objective: Quality, sla: 20s}")
                .scene("chat", &[("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")])
        })
    };
    let (world, calm) = (start().await, start().await);
    const DARK: Duration = Duration::from_secs(4);
    let mut dark = false;
    let (shots, usual) = load(&world.app, &calm.app, 24, |at| {
        if at >= DARK && !dark {
            dark = true;
            world.sim("openai").dark(None, Dark::Silent);
        }
    })
    .await;
    let wrong: Vec<_> = shots.iter().chain(&usual).filter_map(|s| Some((s.at, s.wrong.as_ref()?))).collect();
    assert!(wrong.is_empty(), "{} failed: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    let late = DARK + Duration::from_secs(10);
    let (late, usual) = (p99(&shots, late), p99(&usual, late));
    println!("p99 {late:?} from the tenth second on, without an outage {usual:?}");
    assert!(late < usual + Duration::from_millis(50), "p99 {late:?} from the tenth second on, else {usual:?}");
    assert!(world.seen("claude").len() > 1000, "the other one took over");
    let (calm, strayed) = (calm.seen("openai").len(), calm.seen("claude").len());
    assert!(calm > 20 * strayed, "nothing to compare with: {strayed} of the calm ones strayed, {calm} did not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_comes_back_and_is_used_again() {
    let world = World::builder()
        .openai("openai")
        .claude("claude")
        .start(|p| {
            p.tier(harness::policy::QUICK)
                .field("breaker: {consecutiveFailures: 3, openFor: 1s, halfOpenProbes: 2, closeAfter: 2}")
        })
        .await;
    world.sim("openai").dark(None, Dark::Refuses);
    for _ in 0..6 {
        let reply = world.app.say(Speech::Chat, "hi", false).send().await;
        assert_eq!((reply.status, reply.header("x-llmroute-provider")), (200, "claude"), "{}", reply.text());
    }
    world.sim("openai").light(None);
    harness::eventually("openai answers again", || async {
        let reply = world.app.say(Speech::Chat, "hi", false).send().await;
        assert_eq!(reply.status, 200);
        (reply.header("x-llmroute-status") == "ok").then_some(())
    })
    .await;
}
