//! Anthropic Messages.

mod blocks;
mod cache;
mod check;
mod read;
mod stream;
#[cfg(test)]
mod tests;
mod thread;
mod turns;
mod write;

use serde_json::Value;

use crate::answer::{Answer, Body, Charge, Ctx};
use crate::check::Checked;
use crate::ids::Ids;
use crate::node::obj;
use crate::turn;

/// Answers `POST /v1/messages`.
pub(crate) fn answer(body: &Value, ctx: &Ctx<'_>) -> Checked<Answer> {
    let body = &*thread::whole(body, ctx)?;
    let model = check::message(body, ctx.version)?;
    let mut ask = read::ask(body, model)?;
    cache::warm(body, &mut ask, ctx);
    let mut ids = Ids::new(ctx.seed);
    let head = write::Head::new(&ask, ctx, &mut ids);
    let turns = turn::turns(&ask, &ctx.mood("toolu_01", 22), &mut ids);
    let output = turns[0].output_tokens;
    thread::keep(body, &head, &turns[0], ctx);
    let body = if ask.stream {
        Body::Stream(stream::events(&head, &turns[0]))
    } else {
        Body::Plain(write::message(&head, &turns[0]))
    };
    Ok(Answer { body, charge: Charge::of(&ask, output) })
}

/// Answers `POST /v1/messages/count_tokens`.
pub(crate) fn count(body: &Value, ctx: &Ctx<'_>) -> Checked<String> {
    let model = check::count(body, ctx.version)?;
    Ok(obj! {"input_tokens": read::input_tokens(body, model)}.text())
}
