//! The order that official SDKs rely on in a stream, as the vendors publish it, checked by code that shares nothing with
//! the writers. Each says whether the events could have come from its API: `Ok(true)` where the stream is over.
#![allow(dead_code, reason = "not every test binary checks all of them")]

mod chat;
mod messages;
mod responses;

pub use chat::chat;
use dialect::Dialect;
pub use messages::messages;
pub use responses::responses;
use serde_json::Value;

/// By dialect. `counted` where a Chat caller asked for the usage chunk.
pub fn of(dialect: Dialect, events: &[Value], counted: bool) -> Result<bool, String> {
    match dialect {
        Dialect::Chat => chat(events, counted),
        Dialect::Responses => responses(events),
        Dialect::Messages => messages(events),
    }
}

/// What an event breaks.
type Broken = Result<(), &'static str>;

/// Runs `take` over all events; it tells whether the stream is over.
fn walk(events: &[Value], mut take: impl FnMut(usize, &Value) -> Result<bool, &'static str>) -> Result<bool, String> {
    let mut over = false;
    for (i, e) in events.iter().enumerate() {
        let wrong = |why: &str| format!("event {i}, {why}: {e}");
        if over {
            return Err(wrong("behind the end"));
        }
        over = take(i, e).map_err(wrong)?;
    }
    Ok(over)
}

fn ensure(is: bool, why: &'static str) -> Broken {
    if is { Ok(()) } else { Err(why) }
}

/// A string that is not empty.
fn named(v: &Value) -> bool {
    v.as_str().is_some_and(|s| !s.is_empty())
}
