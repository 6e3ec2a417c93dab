//! A streamed Responses answer, read.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::answer::{call_id, seal, stop};
use crate::{
    Dialect, delta,
    fault::of_value,
    model::Event,
    names,
    sse::Frame,
    translate::{BadStream, MOST_CALLS},
    usage::usage_of_value,
};

/// Reads events. Servers leave out deltas, items' ends, or both: what comes whole later tells the rest.
#[derive(Debug, Default)]
pub(crate) struct StreamReader {
    /// The answer's id, once it has begun.
    started: Option<String>,
    items: Vec<Item>,
}

/// An item of the output.
#[derive(Debug)]
struct Item {
    index: u64,
    /// It is a call, and has been told.
    is_call: bool,
    /// Of each text in it: which, and the bytes that have been told.
    said: Vec<(What, u64, usize)>,
    over: bool,
}

/// A text in an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Text,
    Refusal,
    Summary,
    /// Reasoning itself, which some servers show.
    Reasoning,
    Arguments,
}

/// How much of a text has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    More,
    Whole,
}

impl StreamReader {
    /// The text, where the event is nothing but some more of one that has begun.
    pub(crate) fn text<'a>(&mut self, frame: &'a Frame) -> Option<Cow<'a, str>> {
        let (index, at, text) = delta::responses(frame.data())?;
        let item = self.items.iter_mut().rfind(|item| item.index == index)?;
        let (.., told) = item.said.iter_mut().find(|(what, i, _)| (*what, *i) == (What::Text, at))?;
        *told += text.len();
        Some(text)
    }

    pub(crate) fn read(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), BadStream> {
        if frame.is_comment() {
            return Ok(());
        }
        let Ok(v @ Value::Object(_)) = serde_json::from_slice(frame.data()) else { return Err(BadStream) };
        let kind = v["type"].as_str().unwrap_or_default();
        if matches!(kind, "error" | "response.failed") {
            out.push(Event::Error(Box::new(of_value(Dialect::Responses, &v))));
            return Ok(());
        }
        if self.started.is_none() && v["response"].is_object() {
            let text = |name: &str| v["response"][name].as_str().unwrap_or_default().to_owned();
            out.push(Event::Start { id: text("id"), model: text("model") });
            self.started = Some(text("id"));
        }
        let Some(rest) = kind.strip_prefix("response.") else { return Ok(()) };
        let part = |name: &str| v[name].as_u64().unwrap_or(0);
        let (content, summary) = (part("content_index"), part("summary_index"));
        let (what, at, comes, text) = match rest {
            "output_text.delta" => (What::Text, content, Comes::More, "delta"),
            "output_text.done" => (What::Text, content, Comes::Whole, "text"),
            "refusal.delta" => (What::Refusal, content, Comes::More, "delta"),
            "refusal.done" => (What::Refusal, content, Comes::Whole, "refusal"),
            "reasoning_summary_text.delta" => (What::Summary, summary, Comes::More, "delta"),
            "reasoning_summary_text.done" => (What::Summary, summary, Comes::Whole, "text"),
            "reasoning_text.delta" => (What::Reasoning, content, Comes::More, "delta"),
            "reasoning_text.done" => (What::Reasoning, content, Comes::Whole, "text"),
            "function_call_arguments.delta" => (What::Arguments, 0, Comes::More, "delta"),
            "function_call_arguments.done" => (What::Arguments, 0, Comes::Whole, "arguments"),
            "output_item.added" => return self.begin(part("output_index"), &v["item"], out),
            "output_item.done" => return self.whole(part("output_index"), &v["item"], out),
            "completed" | "incomplete" => return self.end(rest, &v["response"], out),
            // Nothing is said, or nobody knows what.
            _ => return Ok(()),
        };
        let text = v[text].as_str().unwrap_or_default();
        self.item(part("output_index"))?.say(what, at, comes, text, out);
        Ok(())
    }

    /// An item, known or new.
    fn item(&mut self, index: u64) -> Result<&mut Item, BadStream> {
        if self.started.is_none() {
            return Err(BadStream);
        }
        let place = match self.items.iter().rposition(|item| item.index == index) {
            Some(place) => place,
            None if self.items.len() == MOST_CALLS => return Err(BadStream),
            None => {
                self.items.push(Item { index, is_call: false, said: vec![], over: false });
                self.items.len() - 1
            }
        };
        self.items.get_mut(place).ok_or(BadStream)
    }

    fn begin(&mut self, index: u64, v: &Value, out: &mut Vec<Event>) -> Result<(), BadStream> {
        let item = self.item(index)?;
        if v["type"] == "function_call" && !item.is_call && v["name"].as_str().is_some_and(|n| !n.is_empty()) {
            self.call(index, v, out)?;
        }
        Ok(())
    }

    fn call(&mut self, index: u64, v: &Value, out: &mut Vec<Event>) -> Result<(), BadStream> {
        let Some(name) = v["name"].as_str().filter(|n| !n.is_empty()) else { return Err(BadStream) };
        let answer = self.started.clone().unwrap_or_default();
        let id = call_id(v).unwrap_or_else(|| names::made_up(&answer, index as usize));
        self.item(index)?.is_call = true;
        out.push(Event::CallStart { key: index, id, name: name.to_owned() });
        Ok(())
    }

    /// An item that is over: what of it has not been told yet.
    fn whole(&mut self, index: u64, v: &Value, out: &mut Vec<Event>) -> Result<(), BadStream> {
        self.item(index)?;
        let is_last = self.items.last().is_some_and(|item| item.index == index);
        let item = self.item(index)?;
        if std::mem::replace(&mut item.over, true) {
            return Ok(());
        }
        let list = |name: &str| v[name].as_array().into_iter().flatten().zip(0..);
        let text = |part: &Value, name: &str| part[name].as_str().unwrap_or_default().to_owned();
        match v["type"].as_str() {
            Some("message") => {
                for (part, i) in list("content") {
                    item.say(What::Text, i, Comes::Whole, &text(part, "text"), out);
                    item.say(What::Refusal, i, Comes::Whole, &text(part, "refusal"), out);
                }
            }
            Some("reasoning") => {
                list("summary").for_each(|(p, i)| item.say(What::Summary, i, Comes::Whole, &text(p, "text"), out));
                list("content").for_each(|(p, i)| item.say(What::Reasoning, i, Comes::Whole, &text(p, "text"), out));
                // Too late for one that others have followed: it would stand behind them.
                if is_last {
                    out.push(Event::ThoughtEnd(seal(v)));
                }
            }
            Some("function_call" | "custom_tool_call") => {
                if !item.is_call {
                    self.call(index, v, out)?;
                }
                let arguments = match v["input"].as_str() {
                    Some(input) => json!({"input": input}).to_string(),
                    None => text(v, "arguments"),
                };
                let arguments = if arguments.trim().is_empty() { "{}" } else { arguments.as_str() };
                self.item(index)?.say(What::Arguments, 0, Comes::Whole, arguments, out);
            }
            // Of tools that the provider runs itself.
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, status: &str, response: &Value, out: &mut Vec<Event>) -> Result<(), BadStream> {
        if self.started.is_none() {
            return Err(BadStream);
        }
        let output = response["output"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Where every item has been told to its end, nothing is missing, even if the places have changed.
        if self.items.len() != output.len() || self.items.iter().any(|item| !item.over) {
            output.iter().zip(0..).try_for_each(|(item, index)| self.whole(index, item, out))?;
        }
        let has_calls = self.items.iter().any(|item| item.is_call);
        let refused = self.items.iter().flat_map(|item| &item.said).any(|(what, ..)| *what == What::Refusal);
        out.push(Event::Stop(stop(status, response, has_calls, refused)));
        out.extend(usage_of_value(Dialect::Responses, response).map(Event::Usage));
        out.push(Event::End);
        Ok(())
    }
}

impl Item {
    /// Tells what is new of a text.
    fn say(&mut self, what: What, at: u64, comes: Comes, text: &str, out: &mut Vec<Event>) {
        let known = |what: What| self.said.iter().any(|(w, ..)| *w == what);
        let is_told_otherwise = match what {
            // One of the two is the thought.
            What::Summary => known(What::Reasoning),
            What::Reasoning => known(What::Summary),
            // Until it has a name, what comes whole at its end will do.
            What::Arguments => !self.is_call,
            What::Text | What::Refusal => false,
        };
        let is_next = matches!(what, What::Summary | What::Reasoning) && known(what);
        let place = self.said.iter().position(|(w, i, _)| (*w, *i) == (what, at));
        let told = place.and_then(|p| self.said.get(p)).map_or(0, |(.., n)| *n);
        let fresh = if comes == Comes::Whole { text.get(told..).unwrap_or_default() } else { text };
        if fresh.is_empty() || is_told_otherwise {
            return;
        }
        match place.and_then(|p| self.said.get_mut(p)) {
            Some((.., n)) => *n += fresh.len(),
            None => self.said.push((what, at, fresh.len())),
        }
        let fresh = fresh.to_owned();
        out.push(match what {
            What::Text => Event::Text(fresh),
            What::Refusal => Event::Refusal(fresh),
            What::Summary | What::Reasoning if is_next && place.is_none() => Event::Thought(format!("\n\n{fresh}")),
            What::Summary | What::Reasoning => Event::Thought(fresh),
            What::Arguments => Event::CallArguments { key: self.index, text: fresh },
        });
    }
}
