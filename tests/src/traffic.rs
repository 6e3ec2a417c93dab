//! Steady traffic of an app: plain calls and streams, one after the other, each of them checked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{caller::Caller, eventually, speech::Speech};

/// Callers of each kind.
const CALLERS: usize = 2;
/// Between two plain calls of a caller.
const PAUSE: Duration = Duration::from_millis(20);
/// Failures that are told.
const MOST: usize = 10;

/// Apps that call until they are told to end.
pub struct Traffic {
    seen: Arc<Seen>,
    ending: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    plain: AtomicU64,
    streams: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Traffic {
    /// Through these sidecars.
    pub fn through<'a>(apps: impl IntoIterator<Item = &'a Caller>) -> Traffic {
        let (seen, ending) = (Arc::new(Seen::default()), CancellationToken::new());
        let mut tasks = vec![];
        for app in apps {
            for stream in [false, true].repeat(CALLERS) {
                tasks.push(tokio::spawn(call(app.clone(), stream, seen.clone(), ending.clone())));
            }
        }
        Traffic { seen, ending, tasks }
    }

    /// Returns when both kinds were answered several times more, each time as they should.
    pub async fn goes_on(&self) {
        let counts = || (self.seen.plain.load(Relaxed), self.seen.streams.load(Relaxed));
        let (plain, streams) = counts();
        eventually("requests go on", async || {
            none_failed(&self.seen);
            let now = counts();
            (now.0 >= plain + 10 && now.1 >= streams + 2).then_some(())
        })
        .await;
    }

    /// Ends it, and gives the plain calls and streams that were answered; none failed.
    pub async fn end(self) -> (u64, u64) {
        self.ending.cancel();
        for task in self.tasks {
            task.await.expect("no panic");
        }
        none_failed(&self.seen);
        (self.seen.plain.load(Relaxed), self.seen.streams.load(Relaxed))
    }
}

fn none_failed(seen: &Seen) {
    let failed = seen.failed.lock();
    assert!(failed.is_empty(), "{} requests failed: {:#?}", failed.len(), &failed[..failed.len().min(MOST)]);
}

async fn call(app: Caller, stream: bool, seen: Arc<Seen>, ending: CancellationToken) {
    while !ending.is_cancelled() {
        let answer = if stream { streamed(&app).await } else { plain(&app).await };
        match answer {
            Ok(()) if stream => seen.streams.fetch_add(1, Relaxed),
            Ok(()) => seen.plain.fetch_add(1, Relaxed),
            Err(why) => {
                seen.failed.lock().push(why);
                0
            }
        };
        if !stream {
            sleep(PAUSE).await;
        }
    }
}

async fn plain(app: &Caller) -> Result<(), String> {
    let reply = app.say(Speech::Chat, "hi", false).try_send().await?;
    let is_good = reply.status == 200 && reply.whole && reply.header("x-llmroute-status") == "ok";
    let text = Speech::Chat.text(&reply.json());
    if is_good && !text.is_empty() {
        Ok(())
    } else {
        Err(format!("{} {:?} {}", reply.status, reply.headers, reply.text()))
    }
}

async fn streamed(app: &Caller) -> Result<(), String> {
    let mut reply = app.say(Speech::Chat, "hi", true).open().await?;
    let events = reply.rest().await;
    let heard = Speech::Chat.listen(&events);
    let is_good = reply.status == 200 && !reply.broken && (heard.ends, heard.errors.len()) == (1, 0);
    if is_good && !heard.text.is_empty() { Ok(()) } else { Err(format!("{} {heard:?}", reply.status)) }
}
