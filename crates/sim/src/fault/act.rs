//! What one request is to suffer: a fault, its numbers, and delays.

use std::time::Duration;

use serde_json::Value;

use super::Fault;
use crate::marker::Marker;

/// Waits that an answer has even when nothing fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Before the head of the answer.
    pub head: Duration,
    /// Before the first content of a stream, after its preamble.
    pub first: Duration,
    /// Before every further event of a stream.
    pub event: Duration,
    /// Added to each of these, at random up to this.
    pub jitter: Duration,
}

/// What happens to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Act {
    /// The fault, if any; without one only the delays apply.
    pub fault: Option<Fault>,
    /// After how many content events it strikes.
    pub after: Option<u64>,
    /// The fault's own time in milliseconds.
    pub ms: Option<u64>,
    /// The value of `retry-after`.
    pub retry_after: Option<String>,
    /// Words of a text answer.
    pub words: Option<u64>,
    /// Milliseconds before the head.
    pub head_ms: Option<u64>,
    /// Milliseconds before the first content.
    pub first_ms: Option<u64>,
    /// Milliseconds before every further event.
    pub event_ms: Option<u64>,
    /// Milliseconds of jitter.
    pub jitter_ms: Option<u64>,
}

impl Act {
    /// Just this fault, with its defaults.
    pub fn fault(fault: Fault) -> Act {
        Act { fault: Some(fault), ..Act::default() }
    }

    /// Reads `cut_stream,after=3`.
    pub fn parse(text: &str) -> Result<Act, String> {
        Act::from_marker(&Marker::parse(text))
    }

    pub(crate) fn from_marker(marker: &Marker) -> Result<Act, String> {
        let mut act = Act::default();
        for name in NAMES {
            if let Some(value) = marker.get(name) {
                act.set(name, value)?;
            }
        }
        Ok(act)
    }

    /// Sets one member from a script; false if it is not one of ours.
    pub(crate) fn set_json(&mut self, name: &str, value: &Value) -> Result<bool, String> {
        if !NAMES.contains(&name) {
            return Ok(false);
        }
        match value {
            Value::String(text) => self.set(name, text)?,
            Value::Null => {}
            other => self.set(name, &other.to_string())?,
        }
        Ok(true)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if name == "fault" {
            self.fault = match value {
                "none" => None,
                value => {
                    Some(Fault::by_name(value).ok_or_else(|| format!("no fault is called `{value}`; see --help"))?)
                }
            };
            return Ok(());
        }
        if name == "retry_after" {
            self.retry_after = Some(value.to_owned());
            return Ok(());
        }
        let number = value.parse().map_err(|_| format!("`{name}` must be a whole number, not `{value}`"))?;
        let member = match name {
            "after" => &mut self.after,
            "ms" => &mut self.ms,
            "words" => &mut self.words,
            "head_ms" => &mut self.head_ms,
            "first_ms" => &mut self.first_ms,
            "event_ms" => &mut self.event_ms,
            _ => &mut self.jitter_ms,
        };
        *member = Some(number);
        Ok(())
    }

    /// The delays of this request, the usual ones where it says nothing.
    pub(crate) fn delays(&self, usual: &Delays) -> Delays {
        let ms = |own: Option<u64>, usual| own.map_or(usual, Duration::from_millis);
        Delays {
            head: ms(self.head_ms, usual.head),
            first: ms(self.first_ms, usual.first),
            event: ms(self.event_ms, usual.event),
            jitter: ms(self.jitter_ms, usual.jitter),
        }
    }
}

const NAMES: &[&str] =
    &["fault", "after", "ms", "retry_after", "words", "head_ms", "first_ms", "event_ms", "jitter_ms"];
