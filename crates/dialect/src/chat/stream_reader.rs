//! A streamed Chat answer, read.

use std::borrow::Cow;

use serde_json::Value;

use super::answer::{stop, thought};
use crate::{
    Dialect, delta,
    fault::of_value,
    model::Event,
    names,
    sse::Frame,
    translate::{BadStream, MOST_CALLS, MOST_HELD},
    usage::usage_of_value,
};

/// Reads chunks.
#[derive(Debug, Default)]
pub(crate) struct StreamReader {
    /// The answer's id, once it has begun.
    started: Option<String>,
    calls: Vec<Call>,
    refused: bool,
    finished: bool,
}

/// A tool call; its place in the list is its key.
#[derive(Debug)]
struct Call {
    index: u64,
    id: String,
    /// Its name has come, and it has been told.
    told: bool,
    /// Arguments that came before the name.
    early: String,
}

impl StreamReader {
    /// The text, where the event is nothing but some more of it.
    pub(crate) fn text<'a>(&self, frame: &'a Frame) -> Option<Cow<'a, str>> {
        self.started.as_ref().and_then(|_| delta::chat(frame.data()))
    }

    pub(crate) fn read(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), BadStream> {
        if frame.is_comment() {
            return Ok(());
        }
        if frame.data().trim_ascii() == b"[DONE]" {
            // A stream that never said why it ended was cut, whatever its terminator claims.
            if !self.finished {
                return Err(BadStream);
            }
            out.push(Event::End);
            return Ok(());
        }
        let Ok(v @ Value::Object(_)) = serde_json::from_slice(frame.data()) else { return Err(BadStream) };
        if v["error"].is_object() || v["error"].is_string() {
            out.push(Event::Error(Box::new(of_value(Dialect::Chat, &v))));
            return Ok(());
        }
        let choices = v["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
        // A chunk without a choice ahead of all others holds a filter's verdict on the prompt, not the answer's name.
        if self.started.is_none() && !choices.is_empty() {
            let text = |name: &str| v[name].as_str().unwrap_or_default().to_owned();
            let id = text("id");
            out.push(Event::Start { id: id.clone(), model: text("model") });
            self.started = Some(id);
        }
        // Several choices cannot be told apart elsewhere; the first is the answer.
        for choice in choices.iter().filter(|c| c["index"].as_u64().unwrap_or(0) == 0) {
            self.choice(choice, out)?;
        }
        if let Some(u) = usage_of_value(Dialect::Chat, &v) {
            out.push(Event::Usage(u));
        }
        Ok(())
    }

    fn choice(&mut self, choice: &Value, out: &mut Vec<Event>) -> Result<(), BadStream> {
        let d = &choice["delta"];
        if let Some(text) = thought(d) {
            out.push(Event::Thought(text.to_owned()));
        }
        if let Some(text) = some(&d["content"]) {
            out.push(Event::Text(text));
        }
        if let Some(text) = some(&d["refusal"]) {
            self.refused = true;
            out.push(Event::Refusal(text));
        }
        for call in d["tool_calls"].as_array().into_iter().flatten() {
            self.call(call, out)?;
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            if self.calls.iter().any(|c| !c.told) {
                return Err(BadStream);
            }
            self.finished = true;
            out.push(Event::Stop(stop(Some(reason), !self.calls.is_empty(), self.refused)));
        }
        Ok(())
    }

    /// A fragment of a call. Some servers repeat id and name in each, some give all parallel calls the same index.
    fn call(&mut self, v: &Value, out: &mut Vec<Event>) -> Result<(), BadStream> {
        let index = v["index"].as_u64().unwrap_or(0);
        let id = some(&v["id"]);
        let is_same = |c: &Call| c.index == index && (c.id.is_empty() || id.as_ref().is_none_or(|id| *id == c.id));
        let key = match self.calls.iter().rposition(|c| c.index == index).filter(|i| is_same(&self.calls[*i])) {
            Some(key) => key,
            None if self.calls.len() == MOST_CALLS => return Err(BadStream),
            None => {
                self.calls.push(Call { index, id: String::new(), told: false, early: String::new() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[key];
        if let Some(id) = id.filter(|_| call.id.is_empty()) {
            call.id = id;
        }
        let arguments = match &v["function"]["arguments"] {
            // Not as documented, but some servers send the object itself.
            object @ Value::Object(_) => Some(object.to_string()),
            text => some(text),
        };
        if let Some(name) = some(&v["function"]["name"]).filter(|_| !call.told) {
            call.told = true;
            if call.id.is_empty() {
                call.id = names::made_up(self.started.as_deref().unwrap_or_default(), key);
            }
            out.push(Event::CallStart { key: key as u64, id: call.id.clone(), name });
            let early = std::mem::take(&mut call.early);
            if !early.is_empty() {
                out.push(Event::CallArguments { key: key as u64, text: early });
            }
        }
        match arguments {
            Some(text) if call.told => out.push(Event::CallArguments { key: key as u64, text }),
            Some(text) if call.early.len() + text.len() > MOST_HELD => return Err(BadStream),
            Some(text) => call.early.push_str(&text),
            None => {}
        }
        Ok(())
    }
}

fn some(v: &Value) -> Option<String> {
    v.as_str().filter(|s| !s.is_empty()).map(str::to_owned)
}
