//! The plain answer that a stream amounts to, put together as the stream passes.

mod chat;
mod messages;
mod responses;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    Dialect, Usage,
    sse::{Frame, Splitter},
};

/// Something of the stream has no place in a plain answer, or is not understood.
struct Lost;

/// Reads one stream. What it keeps is bounded; a stream that was cut, told an error, or said what a plain answer made here
/// would not say, has no answer.
#[derive(Debug)]
pub struct AnswerOfStream {
    /// `None` once something is lost.
    kept: Option<Kept>,
    /// For events that come as bytes.
    splitter: Splitter,
    /// Bytes of events that may still be kept.
    room: usize,
    over: bool,
}

#[derive(Debug)]
enum Kept {
    Chat(chat::Parts),
    Messages(messages::Parts),
    Responses(responses::Parts),
}

impl AnswerOfStream {
    /// For one stream of a dialect; keeps no more than `most` bytes of its events.
    #[must_use]
    pub fn new(dialect: Dialect, most: usize) -> AnswerOfStream {
        let kept = match dialect {
            Dialect::Chat => Kept::Chat(chat::Parts::default()),
            Dialect::Messages => Kept::Messages(messages::Parts::default()),
            Dialect::Responses => Kept::Responses(responses::Parts::default()),
        };
        AnswerOfStream { kept: Some(kept), splitter: Splitter::new(most), room: most, over: false }
    }

    /// Takes one event.
    pub fn frame(&mut self, frame: &Frame) {
        if frame.is_comment() {
            return;
        }
        if self.read(frame).is_err() {
            self.kept = None;
        }
    }

    /// Takes a piece of the stream, which may hold any number of events and parts of them.
    pub fn bytes(&mut self, piece: Bytes) {
        if self.kept.is_some() {
            self.splitter.push(piece);
            self.split();
        }
    }

    /// The answer, if the stream came to its regular end. `counted` is put where a Chat stream was not asked to count.
    #[must_use]
    pub fn answer(mut self, counted: Option<&Usage>) -> Option<Bytes> {
        self.splitter.finish();
        self.split();
        let over = self.over;
        match self.kept.filter(|_| over)? {
            Kept::Chat(parts) => parts.answer(counted),
            Kept::Messages(parts) => parts.answer(),
            Kept::Responses(parts) => parts.answer(),
        }
    }

    fn split(&mut self) {
        loop {
            match self.splitter.next_frame() {
                Ok(Some(frame)) => self.frame(&frame),
                Ok(None) => return,
                Err(_) => {
                    self.kept = None;
                    return;
                }
            }
        }
    }

    fn read(&mut self, frame: &Frame) -> Result<(), Lost> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        if self.over {
            return Err(Lost);
        }
        let data = frame.data();
        if !matches!(kept, Kept::Responses(_)) {
            self.room = self.room.checked_sub(data.len()).ok_or(Lost)?;
        }
        if matches!(kept, Kept::Chat(_)) && data.trim_ascii() == b"[DONE]" {
            self.over = true;
            return Ok(());
        }
        self.over = match kept {
            Kept::Chat(parts) => parts.chunk(object(data)?).map(|()| false)?,
            Kept::Messages(parts) => parts.event(frame, object(data)?)?,
            Kept::Responses(parts) => parts.event(frame, self.room)?,
        };
        Ok(())
    }
}

fn object(data: &[u8]) -> Result<Map<String, Value>, Lost> {
    serde_json::from_slice(data).map_err(|_| Lost)
}

/// Whether an event is called in its line what it is called in its data; some servers leave the line out. Of two names
/// readers take one or the other.
fn is_named(frame: &Frame, kind: &str) -> bool {
    frame.event().is_none_or(|name| name == kind.as_bytes())
}

/// Adds a member that may be told again but not otherwise. Nothing is not told.
fn keep(map: &mut Map<String, Value>, name: String, value: Value) -> Result<(), Lost> {
    if is_nothing(&value) {
        return Ok(());
    }
    match map.get(&name) {
        Some(own) if *own == value => Ok(()),
        Some(own) if !is_nothing(own) => Err(Lost),
        _ => {
            map.insert(name, value);
            Ok(())
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Adds to the text under a name.
fn append(map: &mut Map<String, Value>, name: &str, more: &Value) -> Result<(), Lost> {
    match (map.get_mut(name), more) {
        (_, Value::Null) => Ok(()),
        (Some(Value::String(text)), Value::String(more)) => {
            text.push_str(more);
            Ok(())
        }
        (None | Some(Value::Null), Value::String(_)) => {
            map.insert(name.to_owned(), more.clone());
            Ok(())
        }
        _ => Err(Lost),
    }
}

/// Adds to the list under a name.
fn extend(map: &mut Map<String, Value>, name: &str, more: Value) -> Result<(), Lost> {
    match (map.get_mut(name), more) {
        (_, Value::Null) => Ok(()),
        (Some(Value::Array(list)), Value::Array(more)) => {
            list.extend(more);
            Ok(())
        }
        (None | Some(Value::Null), more @ Value::Array(_)) => {
            map.insert(name.to_owned(), more);
            Ok(())
        }
        _ => Err(Lost),
    }
}
