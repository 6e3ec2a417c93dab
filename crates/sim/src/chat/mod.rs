//! OpenAI Chat Completions.

mod check;
mod messages;
mod read;
mod stream;
#[cfg(test)]
mod tests;
mod write;

use serde_json::Value;

use crate::answer::{Answer, Body, Charge, Ctx};
use crate::check::Checked;
use crate::fault::Fault;
use crate::ids::Ids;
use crate::refusal::Refusal;
use crate::turn;

pub(crate) use messages::picture;
pub(crate) use read::{CACHE_FOR, CACHE_FROM, effort_words, text, tools_tokens};
pub(crate) use write::odd;

/// Answers `POST /v1/chat/completions`.
pub(crate) fn answer(body: &Value, ctx: &Ctx<'_>) -> Checked<Answer> {
    if ctx.fault == Some(Fault::NoStreamOptions) && !body["stream_options"].is_null() {
        return Err(Refusal::invalid("Unrecognized request argument supplied: stream_options"));
    }
    let mut ask = check::checked(body).and_then(|model| read::ask(body, model))?;
    read::warm(body, &mut ask, ctx);
    let mut ids = Ids::new(ctx.seed);
    let head = write::Head::new(&ask, body, ctx, &mut ids);
    let turns = turn::turns(&ask, &ctx.mood("call_", 24), &mut ids);
    let output = turns.iter().map(|t| t.output_tokens).sum();
    let body = if ask.stream {
        Body::Stream(stream::events(&head, &turns, &mut ids))
    } else {
        Body::Plain(write::completion(&head, &turns))
    };
    Ok(Answer { body, charge: Charge::of(&ask, output) })
}
