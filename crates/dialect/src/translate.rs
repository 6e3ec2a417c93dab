//! Translation between formats: reader, neutral model, writer. What cannot be carried is listed, or refused in words.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    AnswerFault, Capability, Dialect, Head,
    answer::look,
    chat,
    fit::fit,
    lift::Lifted,
    messages,
    model::{Answer, Event, Request, Thinking},
    names, plain, responses,
    sse::Frame,
    structured, turns,
    usage::Usage,
};

/// Whom a request is written for.
#[derive(Clone, Copy, Debug)]
pub struct TargetModel<'a> {
    /// The provider's name in the policy, without a colon: what it sealed goes back to it alone.
    pub provider: &'a str,
    /// What goes on the wire.
    pub model: &'a str,
    /// The output limit where the caller set none.
    pub default_max_tokens: Option<u64>,
    /// The longest answer of the model.
    pub most_tokens: Option<u64>,
    /// What it refuses.
    pub capability: &'a Capability,
    /// Seconds since 1970, for answers that must say when they were made.
    pub now: u64,
}

/// A request in another format.
#[derive(Clone, Debug)]
pub struct Translated {
    /// The body, in pieces.
    pub body: Vec<Bytes>,
    /// The body with short stand-ins for its long texts: what else it says can be read here. The body itself where it
    /// has none.
    pub outline: Bytes,
    /// What was lost, as paths of the caller's body.
    pub dropped: Vec<String>,
    /// What the way back needs.
    pub context: Context,
}

/// What the way back needs to know of the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// What the caller speaks.
    pub caller: Dialect,
    /// What the provider speaks.
    pub provider: Dialect,
    /// Tool names that were shortened: (on the wire, the caller's).
    pub(crate) names: Vec<(String, String)>,
    /// The provider's name.
    pub(crate) provider_name: String,
    /// The caller takes thoughts.
    pub(crate) thoughts: bool,
    /// Tools of the caller that take free text.
    pub(crate) free: Vec<String>,
    /// Tools of the caller that stand in a group, by both names as one, and the group's name.
    pub(crate) groups: Vec<(String, String)>,
    /// Responses callers: what the answer repeats of the request, as members of an object.
    pub(crate) echo: String,
    /// The tool whose arguments are the answer, where a schema was not taken for what is said.
    pub(crate) answer_tool: Option<String>,
    /// Chat callers: the usage chunk was asked.
    pub(crate) include_usage: bool,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

impl Context {
    /// The caller's name of a tool.
    pub(crate) fn restore(&self, name: &str) -> String {
        let found = self.names.iter().find(|(wire, _)| wire == name);
        found.map_or_else(|| name.to_owned(), |(_, own)| own.clone())
    }
}

/// Why a request has no form in the target's dialect; names the member, holds no text of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: {why}")]
pub struct Untranslatable {
    /// Path of the member.
    pub member: String,
    /// What stands in the way, and the remedy.
    pub why: &'static str,
}

/// What a reader or a writer of requests gives.
pub(crate) type Read<T> = Result<T, Untranslatable>;

pub(crate) fn refuse<T>(member: impl Into<String>, why: &'static str) -> Read<T> {
    Err(Untranslatable { member: member.into(), why })
}

/// Writes a caller's request for a provider of another format. `head` is what [`read_head`](crate::read_head) read of this
/// very body.
///
/// # Errors
/// What has no form there.
pub fn translate_request(
    caller: Dialect,
    provider: Dialect,
    body: &Bytes,
    head: &Head,
    to: &TargetModel<'_>,
) -> Result<Translated, Untranslatable> {
    let lifted = Lifted::new(body, &head.long);
    let value = members(lifted.body())?;
    let include_usage = value.get("stream_options").is_some_and(|o| o["include_usage"] == true);
    let echo = match caller {
        // All of it is UTF-8: the head was read.
        Dialect::Responses => lifted.put_back(&responses::echo(&value).into()).concat(),
        Dialect::Chat | Dialect::Messages => vec![],
    };
    let echo = String::from_utf8(echo).unwrap_or_default();
    let mut request = match caller {
        Dialect::Chat => chat::read_request(value)?,
        Dialect::Responses => responses::read_request(value)?,
        Dialect::Messages => messages::read_request(value)?,
    };
    let thoughts = match caller {
        Dialect::Chat => false,
        Dialect::Responses => true,
        Dialect::Messages => matches!(request.thinking, Some(Thinking::Budget(_) | Thinking::Adaptive)),
    };
    limit_answer(&mut request, to);
    turns::strip_thoughts(&mut request, provider, to.provider);
    turns::drop_blanks(&mut request);
    if provider == Dialect::Messages {
        turns::demote_system(&mut request);
    }
    turns::merge(&mut request);
    turns::check_links(&request)?;
    request.turns.iter().try_for_each(|t| turns::check_media(&t.parts))?;
    let (most_name, most_id) = match provider {
        Dialect::Messages => (128, 128),
        Dialect::Responses => (64, 64),
        Dialect::Chat => (64, 40),
    };
    let names = names::shorten_tools(&mut request, most_name);
    names::shorten_ids(&mut request, most_id);
    let answer_tool = structured::shape(&mut request, provider, to.capability)?;
    fit(&mut request, provider, to.capability)?;
    let body = match provider {
        Dialect::Messages => messages::write_request(&mut request, to)?,
        Dialect::Chat => chat::write_request(&mut request, to)?,
        Dialect::Responses => responses::write_request(&mut request, to)?,
    };
    let context = Context {
        caller,
        provider,
        names,
        provider_name: to.provider.to_owned(),
        thoughts,
        free: request.free,
        groups: request.groups,
        echo,
        answer_tool,
        include_usage,
        created: to.now,
    };
    let outline = Bytes::from(body);
    Ok(Translated { body: lifted.put_back(&outline), outline, dropped: request.dropped, context })
}

/// The caller's limit, or ours; no higher than the model's longest answer.
fn limit_answer(r: &mut Request, to: &TargetModel<'_>) {
    if let (Some(own), Some(most)) = (r.max_tokens, to.most_tokens)
        && own > most
    {
        r.drop_member(r.words.limit);
    }
    let limit = r.max_tokens.or(to.default_max_tokens);
    r.max_tokens = limit.map(|n| to.most_tokens.map_or(n, |most| n.min(most)));
}

/// The members of a caller's body.
pub(crate) fn members(body: &[u8]) -> Read<Map<String, Value>> {
    serde_json::from_slice(body)
        .or_else(|_| refuse("body", "must be a JSON object, its numbers within the range of a double"))
}

/// An answer in another format.
#[derive(Clone, Debug)]
pub struct TranslatedAnswer {
    /// The body.
    pub body: Bytes,
    /// What the provider counted.
    pub usage: Option<Usage>,
}

/// A provider's whole answer in the caller's format.
///
/// # Errors
/// It is no answer.
pub fn translate_answer(context: &Context, body: &[u8]) -> Result<TranslatedAnswer, AnswerFault> {
    let (seen, usage) = look(context.provider, body)?;
    let mut answer = match plain::read(context.provider, body, &seen) {
        Some(answer) => answer,
        None => read_whole(context.provider, body)?,
    };
    answer.usage.clone_from(&usage);
    if let Some(tool) = &context.answer_tool {
        structured::undo(&mut answer, tool);
    }
    let body = match context.caller {
        Dialect::Chat => chat::write_answer(&answer, context),
        Dialect::Responses => responses::write_answer(&answer, context),
        Dialect::Messages => messages::write_answer(&answer, context),
    };
    Ok(TranslatedAnswer { body: body.into(), usage })
}

fn read_whole(provider: Dialect, body: &[u8]) -> Result<Answer, AnswerFault> {
    let value: Value = serde_json::from_slice(body).map_err(|_| AnswerFault::NotJson)?;
    match provider {
        Dialect::Chat => chat::read_answer(&value),
        Dialect::Responses => responses::read_answer(&value),
        Dialect::Messages => messages::read_answer(&value),
    }
    .ok_or(AnswerFault::WrongShape)
}

/// Most tool calls of one answer.
pub(crate) const MOST_CALLS: usize = 1024;

/// Most bytes of a stream that are kept because another block is open: as many as one event may have.
pub(crate) const MOST_HELD: usize = 16 << 20;

/// The provider's stream is not of its dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadStream;

/// Translates one stream, event by event.
#[derive(Debug)]
pub struct StreamTranslator {
    reader: Reader,
    undo: Option<structured::Undo>,
    writer: Writer,
    /// The terminator or an error has been written: nothing follows.
    over: bool,
}

#[derive(Debug)]
enum Reader {
    Chat(chat::StreamReader),
    Responses(responses::StreamReader),
    Messages(messages::StreamReader),
}

#[derive(Debug)]
enum Writer {
    Chat(chat::StreamWriter),
    Responses(responses::StreamWriter),
    Messages(messages::StreamWriter),
}

impl StreamTranslator {
    /// For one answer.
    #[must_use]
    pub fn new(context: &Context) -> StreamTranslator {
        let reader = match context.provider {
            Dialect::Chat => Reader::Chat(chat::StreamReader::default()),
            Dialect::Responses => Reader::Responses(responses::StreamReader::default()),
            Dialect::Messages => Reader::Messages(messages::StreamReader::default()),
        };
        let writer = match context.caller {
            Dialect::Chat => Writer::Chat(chat::StreamWriter::new(context.clone())),
            Dialect::Responses => Writer::Responses(responses::StreamWriter::new(context.clone())),
            Dialect::Messages => Writer::Messages(messages::StreamWriter::new(context.clone())),
        };
        let undo = context.answer_tool.as_deref().map(structured::Undo::new);
        StreamTranslator { reader, undo, writer, over: false }
    }

    /// The number of the next event for a Responses caller; 0 for others.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        match &self.writer {
            Writer::Responses(w) => w.next_sequence(),
            Writer::Chat(_) | Writer::Messages(_) => 0,
        }
    }

    /// Takes one event of the provider and gives what the caller gets for it; possibly nothing.
    ///
    /// # Errors
    /// The event is not of the dialect, or the stream ends without having said why.
    pub fn push(&mut self, frame: &Frame) -> Result<Bytes, BadStream> {
        if self.over {
            return Ok(Bytes::new());
        }
        let mut out = String::new();
        if let Some(text) = self.more_text(frame) {
            out.reserve(frame.raw.len() + 256);
            self.write(Event::Text(text.into_owned()), &mut out)?;
            return Ok(out.into());
        }
        let mut events = vec![];
        match &mut self.reader {
            Reader::Chat(r) => r.read(frame, &mut events)?,
            Reader::Responses(r) => r.read(frame, &mut events)?,
            Reader::Messages(r) => r.read(frame, &mut events)?,
        }
        if let Some(undo) = &mut self.undo {
            for event in std::mem::take(&mut events) {
                undo.pass(event, &mut events)?;
            }
        }
        for event in events {
            if self.over {
                break;
            }
            self.over = matches!(event, Event::End | Event::Error(_));
            self.write(event, &mut out)?;
        }
        Ok(out.into())
    }

    /// The text, where the event is nothing but some more of it, as most are.
    fn more_text<'a>(&mut self, frame: &'a Frame) -> Option<Cow<'a, str>> {
        match &mut self.reader {
            _ if self.undo.is_some() => None,
            Reader::Chat(r) => r.text(frame),
            Reader::Responses(r) => r.text(frame),
            Reader::Messages(r) => r.text(frame),
        }
    }

    fn write(&mut self, event: Event, out: &mut String) -> Result<(), BadStream> {
        match &mut self.writer {
            Writer::Chat(w) => w.write(event, out),
            Writer::Responses(w) => w.write(event, out),
            Writer::Messages(w) => w.write(event, out),
        }
    }
}
