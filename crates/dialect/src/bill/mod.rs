//! What the bill of a request can depend on besides the length of its text: media, tools, state that lies elsewhere, the
//! service tier, cache marks.
//!
//! Most of a body is plain text, and [`read_head`](crate::read_head) has seen that it is; other members are walked once
//! more, each byte once.

mod item;
#[cfg(test)]
mod tests;
mod tool;

pub use tool::{ServerTool, ServerTools};

use crate::{
    Dialect,
    cursor::{Cursor, plain},
    head::{Head, whole},
    json::Span,
};

/// What the bill of a body can depend on. Counts are upper bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Bytes that may reach the model as text, with the JSON around them. No more bytes than the body has, but for what
    /// a provider may add when it writes tools and schemas anew: blanks, escapes, digits.
    pub text_bytes: u64,
    /// Messages, or input items.
    pub messages: u32,
    /// Tools that the caller runs.
    pub tools: u32,
    /// Of them, those that the provider defines (`bash_…`, `text_editor_…`): each adds a text that the body lacks.
    pub defined_tools: u32,
    /// Tools that the provider runs.
    pub server_tools: ServerTools,
    /// A schema constrains the answer.
    pub schema: bool,
    /// Images with `detail: low`.
    pub low_images: u32,
    /// Images with `detail: high`.
    pub high_images: u32,
    /// Images of any other detail.
    pub images: u32,
    /// Part of the prompt is not in the body, or not as text: a stored conversation or prompt, a file, a PDF, a URL of a
    /// document, an item whose kind nobody knows.
    pub elsewhere: bool,
    /// Audio or another medium without a price goes in or comes out.
    pub media: bool,
    /// Bytes of a predicted answer: what of it is wrong is billed as output.
    pub prediction_bytes: u64,
    /// The thinking budget that was asked.
    pub thinking_tokens: u64,
    /// The tier that was asked.
    pub tier: ServiceTier,
    /// Inference was asked to stay in one region.
    pub regional: bool,
    /// The longest time for which the prompt was asked to be kept.
    pub cache: CacheMark,
}

/// A service tier, or speed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceTier {
    /// None, or `auto`.
    #[default]
    Auto,
    /// `default`, `standard_only` and the like: the list price.
    Standard,
    /// `flex`
    Flex,
    /// `priority`
    Priority,
    /// `fast`
    Fast,
    /// `ultrafast`
    Ultrafast,
    /// One that nobody knows.
    Unknown,
}

/// How long a prompt was asked to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheMark {
    /// Nothing was asked.
    #[default]
    None,
    /// The short time.
    Short,
    /// Longer.
    Long,
}

/// What the first pass notes while it reads the head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Bytes of the members that may reach the model as text.
    text: u64,
    /// Members that only the second pass reads, each from the quote that opens its name.
    look: Vec<Span>,
}

impl Noted {
    /// Takes a top-level member, which begins at `start`. `odd`: objects in it have types or members that are not plain
    /// text.
    pub(crate) fn member(&mut self, name: &[u8], start: usize, value: &Span, odd: bool) {
        let is_prompt = is_prompt(name);
        if steers(name) {
            return;
        }
        self.text += value.len() as u64;
        if odd || !(is_prompt || name == b"tool_choice") {
            self.look.push(start..value.end);
        }
    }
}

/// Members that are the prompt, in any format.
pub(crate) fn is_prompt(name: &[u8]) -> bool {
    matches!(name, b"messages" | b"input" | b"system" | b"instructions")
}

/// Members that steer a request and are no part of the prompt.
fn steers(name: &[u8]) -> bool {
    matches!(
        name,
        b"model"
            | b"stream"
            | b"stream_options"
            | b"max_tokens"
            | b"max_completion_tokens"
            | b"max_output_tokens"
            | b"n"
            | b"temperature"
            | b"top_p"
            | b"top_k"
            | b"stop"
            | b"stop_sequences"
            | b"seed"
            | b"presence_penalty"
            | b"frequency_penalty"
            | b"logit_bias"
            | b"logprobs"
            | b"top_logprobs"
            | b"user"
            | b"metadata"
            | b"store"
            | b"reasoning_effort"
            | b"reasoning"
            | b"parallel_tool_calls"
            | b"prompt_cache_key"
            | b"safety_identifier"
            | b"include"
            | b"truncation"
            | b"verbosity"
    )
}

/// Whether an object of this type is more than text.
pub(crate) fn is_odd(raw: &[u8]) -> bool {
    !matches!(raw, b"text" | b"input_text" | b"output_text" | b"message")
}

/// What the bill of a body that [`read_head`](crate::read_head) has read can depend on.
#[must_use]
pub fn read_bill(dialect: Dialect, body: &[u8], head: &Head) -> Bill {
    let mut bill = Bill { text_bytes: head.noted.text, messages: head.messages, ..Bill::default() };
    for member in &head.noted.look {
        look(&mut bill, dialect, body.get(member.clone()).unwrap_or_default());
    }
    bill
}

/// Whether a member of that name, somewhere inside the prompt, is told by no type beside it, or may be: spelt with escapes
/// it can be any.
pub(crate) fn is_odd_name(dialect: Dialect, raw: &[u8], escaped: bool) -> bool {
    escaped
        || match dialect {
            Dialect::Chat => raw == b"audio" || raw == b"prompt_cache_breakpoint",
            Dialect::Responses => raw == b"id" || raw == b"prompt_cache_breakpoint",
            Dialect::Messages => raw == b"cache_control",
        }
}

/// Reads one member.
fn look(bill: &mut Bill, dialect: Dialect, member: &[u8]) {
    let mut c = Cursor::new(member);
    if let Some(name) = c.member() {
        match (&*name, dialect) {
            (b"messages" | b"input" | b"system", _) => bill.list(&mut c, dialect),
            (b"tools", _) => bill.tool_list(&mut c, dialect),
            (b"functions", Dialect::Chat) => {
                bill.tools += 1;
                bill.rewritten(c.value());
            }
            (b"response_format" | b"text" | b"output_config" | b"output_format", _) => {
                bill.schema = true;
                bill.rewritten(c.value());
            }
            (b"service_tier", Dialect::Chat | Dialect::Responses) | (b"speed", Dialect::Messages) => {
                bill.tier = c.text().map_or(ServiceTier::Auto, tier);
            }
            (b"inference_geo", Dialect::Messages) => bill.regional |= c.text().is_some_and(|t| t != b"global"),
            (b"previous_response_id" | b"conversation" | b"prompt", Dialect::Responses)
            | (b"thread", Dialect::Messages) => bill.elsewhere |= is_something(c.value()),
            (b"prediction", Dialect::Chat) => bill.prediction_bytes += c.value().len() as u64,
            (b"modalities", Dialect::Chat) if c.enter(b'[') => {
                while c.element() {
                    bill.media |= c.text() != Some(b"text");
                }
            }
            (b"audio", Dialect::Chat) => bill.media |= is_something(c.value()),
            (b"thinking", Dialect::Messages) => bill.thinking(&mut c),
            (b"prompt_cache_retention", _) if c.peek() == b'"' => {
                if c.text() != Some(b"in_memory") {
                    bill.mark(CacheMark::Long);
                }
            }
            (b"prompt_cache_options", _) => {
                if is_something(c.value()) {
                    bill.mark(CacheMark::Long);
                }
            }
            (b"cache_control", Dialect::Messages) => bill.cache_control(&mut c),
            (name, _) => {
                if let Some(tool) = tool::of_member(name, c.value()) {
                    bill.server_tools.add(tool);
                }
            }
        }
    }
}

/// Neither null nor an empty list or object.
fn is_something(value: &[u8]) -> bool {
    let inner = value.get(1..value.len().saturating_sub(1)).unwrap_or_default();
    value != b"null" && (!matches!(value.first(), Some(b'{' | b'[')) || !inner.trim_ascii().is_empty())
}

/// Most digits that a number with an exponent is written out in.
const DIGITS: u64 = 24;

impl Bill {
    /// All images.
    #[must_use]
    pub fn all_images(&self) -> u32 {
        self.images.saturating_add(self.low_images).saturating_add(self.high_images)
    }

    fn mark(&mut self, mark: CacheMark) {
        self.cache = self.cache.max(mark);
    }

    /// Counts what a provider may add to a value that it writes anew before the model reads it: a blank behind each comma
    /// and colon, an escape for each character outside ASCII (6 bytes for 2 and 3, 12 for 4), the digits of a number that
    /// was sent with an exponent.
    fn rewritten(&mut self, value: &[u8]) {
        let mut before = 0u8;
        for b in value {
            self.text_bytes += match b {
                b',' | b':' => 1,
                b'e' | b'E' if before.is_ascii_digit() => DIGITS,
                0x80.. => 2,
                _ => 0,
            };
            before = *b;
        }
    }

    fn thinking(&mut self, c: &mut Cursor<'_>) {
        if !c.enter(b'{') {
            c.value();
            return;
        }
        while let Some(name) = c.member() {
            let value = c.value();
            if *name == *b"budget_tokens" {
                let tokens = whole(value).unwrap_or(0);
                self.thinking_tokens = self.thinking_tokens.max(tokens);
            }
        }
    }

    /// `{"type": "ephemeral", "ttl": "5m"}`; any time that is not the short one is taken for the long one.
    fn cache_control(&mut self, c: &mut Cursor<'_>) {
        if !c.enter(b'{') {
            if is_something(c.value()) {
                self.mark(CacheMark::Long);
            }
            return;
        }
        self.mark(CacheMark::Short);
        while let Some(name) = c.member() {
            let ttl = c.text();
            if *name == *b"ttl" && ttl != Some(b"5m") {
                self.mark(CacheMark::Long);
            }
        }
    }
}

fn tier(raw: &[u8]) -> ServiceTier {
    match &*plain(raw) {
        b"auto" => ServiceTier::Auto,
        b"default" | b"standard" | b"standard_only" | b"scale" => ServiceTier::Standard,
        b"flex" => ServiceTier::Flex,
        b"priority" => ServiceTier::Priority,
        b"fast" => ServiceTier::Fast,
        b"ultrafast" => ServiceTier::Ultrafast,
        _ => ServiceTier::Unknown,
    }
}
