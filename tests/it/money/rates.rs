//! A provider's own limits on requests and tokens: the next candidate is taken at once; when none is left the caller is
//! told when to come back.

use harness::{Reply, Speech, World, policy::PATIENT};

use super::{CALM, body, send};

/// The limit, and how many requests of 100 tokens of answer it lets through.
const LIMITS: [(&str, usize, &str); 2] =
    [("requestsPerMinute: 2", 2, "requests"), ("tokensPerMinute: 290", 1, "tokens")];

async fn world(limits: &str, backup: bool) -> World {
    let limits = format!(", limits: {{{limits}}}");
    let builder = World::builder().openai("openai").fields(&limits);
    let builder = if backup { builder.claude("claude") } else { builder };
    builder.start(|p| p.tier(CALM).field(PATIENT)).await
}

async fn ask(world: &World, speech: Speech, stream: bool) -> Reply {
    send(&world.app, speech, &body(speech, "hi", stream, 200)).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_candidate_is_taken_at_once() {
    for (limits, fit, unit) in LIMITS {
        for (speech, stream) in [(Speech::Chat, false), (Speech::Chat, true), (Speech::Messages, false)] {
            let world = world(limits, true).await;
            for _ in 0..fit {
                let reply = ask(&world, speech, stream).await;
                assert_eq!(reply.header("x-llmroute-status"), "ok", "{limits}: {}", reply.text());
            }
            let reply = ask(&world, speech, stream).await;
            let seen = (
                reply.status,
                reply.header("x-llmroute-status"),
                reply.header("x-llmroute-reason"),
                reply.header("x-llmroute-provider"),
                reply.header("x-llmroute-attempts"),
            );
            assert_eq!(seen, (200, "degraded", "rate_limit_exceeded", "claude", "1"), "{limits}: {}", reply.text());
            assert_eq!((world.seen("openai").len(), world.seen("claude").len()), (fit, 1), "{limits}");
            let rates = world.budgets().await["rates"].clone();
            let row = rates.as_array().into_iter().flatten().find(|r| r["name"] == "openai").cloned();
            let row = row.unwrap_or_else(|| panic!("{rates}"));
            assert_eq!(row["unit"].as_str().map(str::to_lowercase).as_deref(), Some(unit), "{row}");
            assert!(row["spent"].as_u64() > Some(0) && row["spent"].as_u64() <= row["limit"].as_u64(), "{row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nobody_is_left_the_caller_is_told_when_to_come_back() {
    for (limits, fit, _) in LIMITS {
        for speech in Speech::ALL.into_iter().filter(|s| *s != Speech::Messages || fit > 1) {
            let world = world(limits, false).await;
            for _ in 0..fit {
                ask(&world, speech, false).await.expect(hyper::StatusCode::OK);
            }
            let reply = ask(&world, speech, true).await;
            let seen = [
                reply.header("x-llmroute-status"),
                reply.header("x-llmroute-reason"),
                reply.header("x-should-retry"),
                reply.header("x-llmroute-attempts"),
            ];
            assert_eq!(
                (reply.status, seen),
                (429, ["refused", "rate_limit_exceeded", "false", "0"]),
                "{}",
                reply.text()
            );
            assert_eq!(speech.error(&reply.json())["type"], "rate_limit_error", "{}", reply.text());
            let wait: u64 = reply.header("retry-after").parse().expect("seconds");
            assert!((59..=61).contains(&wait), "{limits}: {wait}");
            assert_eq!(world.seen("openai").len(), fit);
        }
    }
}
