//! A finished answer, before any fault and before the wire.

use crate::ask::{Ask, Input, Tier};
use crate::catalog::Price;
use crate::fault::Fault;
use crate::marker::Marker;
use crate::memory::Memory;
use crate::price;
use crate::turn::Mood;

/// What an answer is made from, besides the request.
pub(crate) struct Ctx<'a> {
    /// Unix seconds.
    pub(crate) now: u64,
    pub(crate) seed: u64,
    /// How many words a text answer has.
    pub(crate) words: usize,
    /// Faults that lie in what an answer says, not in how it travels, are read here.
    pub(crate) fault: Option<Fault>,
    pub(crate) marker: &'a Marker,
    pub(crate) memory: &'a Memory,
    /// The `anthropic-version` header.
    pub(crate) version: Option<&'a str>,
    /// The `anthropic-beta` header.
    pub(crate) betas: Option<&'a str>,
}

impl<'a> Ctx<'a> {
    /// What the model goes by; its call ids begin with `prefix`.
    pub(crate) fn mood(&self, prefix: &'static str, len: usize) -> Mood<'a> {
        Mood { words: self.words, fault: self.fault, marker: self.marker, call_id: (prefix, len) }
    }
}

/// An answer and what it costs.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) body: Body,
    pub(crate) charge: Charge,
}

impl Answer {
    /// An answer that costs nothing.
    pub(crate) fn free(body: Body) -> Answer {
        Answer { body, charge: Charge::nothing() }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Plain(String),
    Stream(Vec<Event>),
}

/// One server-sent event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: Option<&'static str>,
    pub(crate) data: String,
    pub(crate) kind: Kind,
    /// Output tokens that are produced with this event.
    pub(crate) tokens: u64,
}

/// What an event means to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Before and around content.
    Frame,
    /// Text, thinking, or a tool call.
    Content,
    /// Says that the stream is complete.
    End,
}

impl Event {
    pub(crate) fn frame(name: Option<&'static str>, data: String) -> Event {
        Event { name, data, kind: Kind::Frame, tokens: 0 }
    }

    pub(crate) fn content(name: Option<&'static str>, data: String, tokens: u64) -> Event {
        Event { name, data, kind: Kind::Content, tokens }
    }

    pub(crate) fn end(name: Option<&'static str>, data: String) -> Event {
        Event { name, data, kind: Kind::End, tokens: 0 }
    }

    /// The event as it travels.
    pub(crate) fn text(&self) -> String {
        match self.name {
            Some(name) => format!("event: {name}\ndata: {}\n\n", self.data),
            None => format!("data: {}\n\n", self.data),
        }
    }
}

/// What an answer is billed by.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) model: &'static str,
    pub(crate) price: Price,
    pub(crate) input: Input,
    pub(crate) output: u64,
    pub(crate) tier: Tier,
}

impl Charge {
    /// The charge for `ask` and `output` tokens.
    pub(crate) fn of(ask: &Ask, output: u64) -> Charge {
        Charge { model: ask.model.id, price: ask.model.price, input: ask.input, output, tier: ask.tier }
    }

    fn nothing() -> Charge {
        let price = Price { input: 0, cached: 0, write: 0, write_long: 0, output: 0, cliff: None };
        Charge { model: "", price, input: Input::default(), output: 0, tier: Tier::Standard }
    }

    /// Whether there is anything to charge for.
    pub(crate) fn is_nothing(&self) -> bool {
        self.model.is_empty()
    }

    /// Nano-dollars if only `output` tokens were produced.
    pub(crate) fn nano_usd(&self, output: u64) -> u64 {
        price::nano_usd(&self.price, &self.input, output, self.tier)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Calls `make` with a context as of a quiet day.
    pub(crate) fn with_ctx<T>(fault: Option<Fault>, make: impl FnOnce(&Ctx<'_>) -> T) -> T {
        let (memory, marker) = (Memory::default(), Marker::default());
        make(&Ctx {
            now: 1_795_508_207,
            seed: 1,
            words: 8,
            fault,
            marker: &marker,
            memory: &memory,
            version: Some("2023-06-01"),
            betas: None,
        })
    }

    impl Answer {
        /// The text of a plain answer.
        pub(crate) fn plain(&self) -> &str {
            match &self.body {
                Body::Plain(text) => text,
                Body::Stream(_) => panic!("a stream"),
            }
        }

        /// The events of a stream.
        pub(crate) fn events(&self) -> &[Event] {
            match &self.body {
                Body::Stream(events) => events,
                Body::Plain(_) => panic!("a plain answer"),
            }
        }
    }
}
