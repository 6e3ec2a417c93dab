//! OpenAI Responses.

mod check;
mod items;
mod read;
mod stream;
#[cfg(test)]
mod tests;
mod write;

use serde_json::Value;

use crate::answer::{Answer, Body, Charge, Ctx};
use crate::check::Checked;
use crate::ids::Ids;
use crate::memory::Stored;
use crate::node::obj;
use crate::refusal::Refusal;
use crate::turn;

/// Answers `POST /v1/responses`.
pub(crate) fn answer(body: &Value, ctx: &Ctx<'_>) -> Checked<Answer> {
    let model = check::checked(body)?;
    let items = read::items(body, ctx.memory)?;
    items::checked(&items, ctx.memory.seal())?;
    let mut ask = read::ask(body, &items, model)?;
    read::warm(body, &items, &mut ask, ctx);
    let mut ids = Ids::new(ctx.seed);
    let head = write::Head::new(&ask, body, ctx, &mut ids);
    let mut turns = turn::turns(&ask, &ctx.mood("call_", 24), &mut ids);
    let turn = turns.remove(0);
    let output = write::output(&head, &turn, &mut ids);
    let text = write::response(&head, write::Stage::Over(&turn), &output).text();
    if body["store"] != false {
        let said = output.iter().filter_map(|item| serde_json::from_str::<Value>(&item.done.text()).ok());
        let items = items.into_iter().chain(said).collect();
        ctx.memory.store(head.id.clone(), Stored { text: text.clone(), items });
    }
    let body = if ask.stream { Body::Stream(stream::events(&head, &turn, &output, &text)) } else { Body::Plain(text) };
    Ok(Answer { body, charge: Charge::of(&ask, turn.output_tokens) })
}

/// Answers `POST /v1/responses/input_tokens`.
pub(crate) fn count(body: &Value, ctx: &Ctx<'_>) -> Checked<String> {
    check::counted(body)?;
    let items = read::items(body, ctx.memory)?;
    items::checked(&items, ctx.memory.seal())?;
    Ok(obj! {"object": "response.input_tokens", "input_tokens": read::input_tokens(body, &items)}.text())
}

/// Answers `GET /v1/responses/{id}`.
pub(crate) fn stored(id: &str, ctx: &Ctx<'_>) -> Checked<String> {
    ctx.memory.stored(id).map(|stored| stored.text).ok_or_else(|| unknown(id))
}

/// Answers `DELETE /v1/responses/{id}`.
pub(crate) fn delete(id: &str, ctx: &Ctx<'_>) -> Checked<String> {
    match ctx.memory.delete(id) {
        true => Ok(obj! {"id": id, "object": "response", "deleted": true}.text()),
        false => Err(unknown(id)),
    }
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(404, "invalid_request_error", format!("Response with id '{id}' not found."))
}
