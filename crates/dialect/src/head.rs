//! The members of a request body that decisions and edits use, read in one pass; long strings stay unread.

use std::borrow::Cow;

use crate::{
    Dialect,
    bill::{Noted, is_odd, is_odd_name, is_prompt},
    json::{self, JsonError, Member, Span, Types},
};

/// What decisions use of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The model the caller named.
    pub model: Option<String>,
    /// A stream was asked.
    pub stream: bool,
    /// Chat: the stream's usage chunk was asked.
    pub include_usage: bool,
    /// Tool definitions.
    pub tools: u32,
    /// Messages, or input items (a string input counts as one).
    pub messages: u32,
    /// Image parts.
    pub images: u32,
    /// Document and file parts.
    pub documents: u32,
    /// Audio parts.
    pub audio: u32,
    /// Chat, Messages: the last message is the model's own.
    pub ends_with_model: bool,
    /// Bytes of the base64 data inside images and documents: they are no text.
    pub media_bytes: u64,
    /// The caller's output limit.
    pub max_tokens: Option<u64>,
    /// A JSON schema constrains the answer.
    pub json_schema: bool,
    /// Chat: answers asked for; 1 where unset.
    pub n: u32,
    /// State at the provider is referred to: Responses' `previous_response_id` and `conversation`, and a `thread` of
    /// Messages that goes on.
    pub stateful: bool,
    /// Responses: to be made in the background.
    pub background: bool,
    /// Messages and Responses: the history holds thoughts.
    pub thoughts: bool,
    /// Responses: items are named by their ids.
    pub references: bool,
    pub(crate) spots: Spots,
    pub(crate) noted: Noted,
    /// Long texts of the prompt that no reader looks into, in order.
    pub(crate) long: Vec<Span>,
}

/// Where edits go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spots {
    /// Behind the brace that opens the body.
    pub(crate) open: usize,
    /// The body has no member.
    pub(crate) empty: bool,
    pub(crate) model: Option<Span>,
    pub(crate) stream_options: Option<Span>,
    pub(crate) background: Option<Span>,
    /// Members that limit the output, by name; one may be null.
    pub(crate) limits: Vec<(&'static str, Span)>,
    /// The one of them that counts.
    pub(crate) limit: Option<&'static str>,
    /// Members that some models refuse, none of them null.
    pub(crate) asked: Vec<Asked>,
}

/// A member that some models refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: &'static str,
    /// From the quote that opens its name.
    pub(crate) start: usize,
    pub(crate) value: Span,
}

/// Their names, in any format.
fn asked(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"temperature" => "temperature",
        b"top_p" => "top_p",
        b"top_k" => "top_k",
        b"stop" => "stop",
        b"presence_penalty" => "presence_penalty",
        b"frequency_penalty" => "frequency_penalty",
        b"logit_bias" => "logit_bias",
        b"logprobs" => "logprobs",
        b"top_logprobs" => "top_logprobs",
        b"reasoning_effort" => "reasoning_effort",
        b"reasoning" => "reasoning",
        b"thinking" => "thinking",
        b"output_config" => "output_config",
        b"output_format" => "output_format",
        b"response_format" => "response_format",
        b"text" => "text",
        b"tool_choice" => "tool_choice",
        b"parallel_tool_calls" => "parallel_tool_calls",
        _ => return None,
    })
}

/// Why a body is refused: a sentence with the member and the remedy, and never any text of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Not JSON, or too deep.
    #[error("the body {0}")]
    Json(#[from] JsonError),
    /// An array, a string, ...
    #[error("the body must be a JSON object")]
    NotObject,
    /// A member stands twice: a provider might read the other one.
    #[error("member `{0}` stands more than once; send it once")]
    Repeated(String),
    /// A member has the wrong type.
    #[error("member `{member}` must be {want}")]
    WrongType {
        /// Which.
        member: &'static str,
        /// What it must be.
        want: &'static str,
    },
}

/// Most members whose names are compared for repetition one by one; beyond, they are sorted.
const FEW: usize = 64;

/// Reads the head of a request body.
///
/// # Errors
/// The body is not a JSON object, repeats a member, or a member that decisions use has the wrong type.
pub fn read_head(dialect: Dialect, body: &[u8]) -> Result<Head, BadBody> {
    let mut head = Head { n: 1, ..Head::default() };
    let mut names = Vec::with_capacity(16);
    let (mut long, mut wrong) = (vec![], None);
    let is_object = json::members(body, |member, scan| {
        let start = member.value.start;
        let mut media = Media::new(dialect, is_prompt(&member.name).then_some(&mut long));
        let counted = scan.skip(&mut media)?;
        let value = start..scan.at();
        head.noted.member(&member.name, member.start, &value, media.odd);
        if let Err(e) = take(&mut head, dialect, &member, body, &value, counted, &media) {
            wrong.get_or_insert(e);
        }
        names.push(member.name);
        Ok(())
    })?;
    if !is_object {
        return Err(BadBody::NotObject);
    }
    head.long = long;
    head.spots.open = memchr::memchr(b'{', body).map_or(0, |i| i + 1);
    head.spots.empty = names.is_empty();
    if let Some(name) = repeated(&mut names) {
        return Err(BadBody::Repeated(name));
    }
    match wrong {
        Some(e) => Err(e),
        None => Ok(head),
    }
}

fn repeated(names: &mut [Cow<'_, [u8]>]) -> Option<String> {
    let twice = |name: &[u8]| Some(String::from_utf8_lossy(name).chars().take(64).collect());
    if names.len() <= FEW {
        let (i, _) = names.iter().enumerate().find(|(i, n)| names[..*i].contains(n))?;
        return twice(&names[i]);
    }
    names.sort_unstable();
    names.windows(2).find(|w| w[0] == w[1]).and_then(|w| twice(&w[0]))
}

fn take(
    head: &mut Head,
    dialect: Dialect,
    member: &Member<'_>,
    body: &[u8],
    value: &Span,
    counted: u32,
    media: &Media<'_>,
) -> Result<(), BadBody> {
    let text = &body[value.clone()];
    let first = text[0];
    let null = text == b"null";
    let wrong = |member, want| Err(BadBody::WrongType { member, want });
    if !null && let Some(name) = asked(&member.name) {
        head.spots.asked.push(Asked { name, start: member.start, value: value.clone() });
    }
    match (&*member.name, dialect) {
        (b"model", _) if !null => {
            if first != b'"' {
                return wrong("model", "a string");
            }
            head.model = Some(json::unescape(&text[1..text.len() - 1]).into_owned());
            head.spots.model = Some(value.clone());
        }
        (b"model", _) => head.spots.model = Some(value.clone()),
        (b"stream", _) if !null => match text {
            b"true" => head.stream = true,
            b"false" => {}
            _ => return wrong("stream", "true or false"),
        },
        (b"stream_options", Dialect::Chat) => {
            head.spots.stream_options = Some(value.clone());
            json::members_within(body, value, |m| {
                head.include_usage |= m.name.as_ref() == b"include_usage" && &body[m.value] == b"true"
            });
        }
        (b"tools", _) if first == b'[' => head.tools = counted,
        (b"messages", Dialect::Chat | Dialect::Messages) => {
            if first != b'[' {
                return wrong("messages", "an array");
            }
            head.messages = counted;
            head.ends_with_model = media.ends_with_model;
            head.add(media, value);
        }
        (b"input", Dialect::Responses) => {
            head.messages = if first == b'[' { counted } else { 1 };
            head.add(media, value);
        }
        (b"system", Dialect::Messages) => head.add(media, value),
        (b"max_completion_tokens", Dialect::Chat) => head.limit("max_completion_tokens", text, value)?,
        (b"max_tokens", Dialect::Chat | Dialect::Messages) => head.limit("max_tokens", text, value)?,
        (b"max_output_tokens", Dialect::Responses) => head.limit("max_output_tokens", text, value)?,
        (b"n", Dialect::Chat) if !null => {
            let n = whole(text).and_then(|n| u32::try_from(n).ok());
            head.n = n.ok_or(BadBody::WrongType { member: "n", want: "a whole number" })?;
        }
        (b"response_format", Dialect::Chat) => head.json_schema = is_schema(body, value),
        (b"text" | b"output_config", Dialect::Responses | Dialect::Messages) => {
            json::members_within(body, value, |m| {
                head.json_schema |= m.name.as_ref() == b"format" && is_schema(body, &m.value)
            });
        }
        (b"output_format", Dialect::Messages) => head.json_schema = is_schema(body, value),
        (b"previous_response_id" | b"conversation", Dialect::Responses) => head.stateful |= !null,
        (b"thread", Dialect::Messages) => head.stateful |= !null && !is_of_type(body, value, b"\"create\""),
        (b"background", Dialect::Responses) => {
            (head.background, head.spots.background) = (text == b"true", Some(value.clone()));
        }
        _ => {}
    }
    Ok(())
}

impl Head {
    fn limit(&mut self, member: &'static str, text: &[u8], value: &Span) -> Result<(), BadBody> {
        self.spots.limits.push((member, value.clone()));
        if text == b"null" {
            return Ok(());
        }
        let n = whole(text).ok_or(BadBody::WrongType { member, want: "a whole number" })?;
        // Chat's newer name wins over the older one.
        if member != "max_tokens" || self.max_tokens.is_none() {
            (self.max_tokens, self.spots.limit) = (Some(n), Some(member));
        }
        Ok(())
    }

    fn add(&mut self, media: &Media<'_>, value: &Span) {
        self.thoughts |= media.thoughts;
        self.references |= media.references;
        self.images += media.images;
        self.documents += media.documents;
        self.audio += media.audio;
        if media.images + media.documents > 0 {
            // Text around the data is small beside it; the bound is taken from all of it.
            self.media_bytes += value.len() as u64;
        }
    }
}

fn is_schema(body: &[u8], value: &Span) -> bool {
    is_of_type(body, value, b"\"json_schema\"")
}

fn is_of_type(body: &[u8], value: &Span, wanted: &[u8]) -> bool {
    let mut found = false;
    json::members_within(body, value, |m| found |= m.name.as_ref() == b"type" && &body[m.value] == wanted);
    found
}

/// A JSON number that is a whole number, however it is written: `10`, `10.0`, `1e1`.
pub(crate) fn whole(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    // Doubles are exact up to here.
    const MOST: f64 = 9_007_199_254_740_992.0;
    let spelt = || text.parse::<f64>().ok().filter(|n| n.fract() == 0.0 && (0.0..=MOST).contains(n)).map(|n| n as u64);
    text.parse().ok().or_else(spelt)
}

/// Counts parts by their `type`.
struct Media<'a> {
    dialect: Dialect,
    images: u32,
    documents: u32,
    audio: u32,
    thoughts: bool,
    references: bool,
    /// The last role that was seen is the model's.
    ends_with_model: bool,
    /// More than plain text was seen.
    odd: bool,
    /// Where long texts are noted, if they are.
    long: Option<&'a mut Vec<Span>>,
}

impl<'a> Media<'a> {
    fn new(dialect: Dialect, long: Option<&'a mut Vec<Span>>) -> Media<'a> {
        Media {
            dialect,
            images: 0,
            documents: 0,
            audio: 0,
            thoughts: false,
            references: false,
            ends_with_model: false,
            odd: false,
            long,
        }
    }
}

impl Types for Media<'_> {
    fn seen(&mut self, raw: &[u8]) {
        self.odd |= is_odd(raw);
        match (self.dialect, raw) {
            (Dialect::Chat, b"image_url") | (Dialect::Messages, b"image") | (Dialect::Responses, b"input_image") => {
                self.images += 1;
            }
            (Dialect::Chat, b"file") | (Dialect::Messages, b"document") | (Dialect::Responses, b"input_file") => {
                self.documents += 1;
            }
            (Dialect::Chat | Dialect::Responses, b"input_audio") => self.audio += 1,
            (Dialect::Messages, b"thinking" | b"redacted_thinking") | (Dialect::Responses, b"reasoning") => {
                self.thoughts = true;
            }
            (Dialect::Responses, b"item_reference") => self.references = true,
            _ => {}
        }
    }

    fn role(&mut self, raw: &[u8]) {
        self.ends_with_model = raw == b"assistant";
    }

    fn name(&mut self, raw: &[u8], escaped: bool) {
        self.odd |= is_odd_name(self.dialect, raw, escaped);
    }

    fn long(&mut self, at: Span) {
        if let Some(long) = &mut self.long {
            long.push(at);
        }
    }
}

/// Whether `text` is JSON.
#[must_use]
pub fn is_json(text: &[u8]) -> bool {
    json::check(text).is_ok()
}

#[cfg(test)]
mod tests;
