//! Messages, input items and the parts in them.

use super::{Bill, CacheMark, is_something};
use crate::{
    Dialect,
    cursor::{Cursor, plain},
};

/// What an item or a part is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// No type: a message, or nothing that is known.
    #[default]
    Untyped,
    /// All of it stands in the body, as text.
    Text,
    /// Reasoning of Responses: text if it is sent along, else a reference.
    Reasoning,
    Image,
    Document,
    Media,
    Unknown,
}

/// What was read of one object.
#[derive(Default)]
struct Seen {
    kind: Kind,
    /// As a source: text.
    is_inline: bool,
    /// It has a source that is text.
    has_text: bool,
    has_type: bool,
    has_role: bool,
    has_id: bool,
    has_sealed: bool,
    cites: bool,
    /// Bytes of data that are no text.
    data: u64,
    has_detail: bool,
    low: bool,
    high: bool,
}

impl Bill {
    /// A list of items or parts; a string is text.
    pub(super) fn list(&mut self, c: &mut Cursor<'_>, dialect: Dialect) {
        if !c.enter(b'[') {
            c.value();
            return;
        }
        while c.element() {
            self.item(c, dialect);
        }
    }

    fn item(&mut self, c: &mut Cursor<'_>, dialect: Dialect) {
        if !c.enter(b'{') {
            c.value();
            return;
        }
        let seen = self.object(c, dialect);
        match seen.kind {
            Kind::Text => {}
            Kind::Untyped => self.elsewhere |= !seen.has_role,
            Kind::Reasoning => self.elsewhere |= seen.has_id && !seen.has_sealed,
            Kind::Image => {
                let count = match (seen.low, seen.high) {
                    (true, _) => &mut self.low_images,
                    (_, true) => &mut self.high_images,
                    _ => &mut self.images,
                };
                *count = count.saturating_add(1);
                self.text_bytes = self.text_bytes.saturating_sub(seen.data);
            }
            Kind::Document => self.elsewhere |= !seen.has_text,
            Kind::Media => self.media = true,
            Kind::Unknown => self.elsewhere = true,
        }
        self.elsewhere |= seen.cites;
    }

    /// The members of an object that was entered.
    fn object(&mut self, c: &mut Cursor<'_>, dialect: Dialect) -> Seen {
        let mut seen = Seen::default();
        while let Some(name) = c.member() {
            match &*name {
                b"type" => {
                    let name = c.text().map(plain).unwrap_or_default();
                    // Of two types a provider may read either.
                    seen.kind = if seen.has_type { Kind::Unknown } else { kind(&name) };
                    seen.is_inline = !seen.has_type && matches!(&*name, b"text" | b"content");
                    seen.has_type = true;
                }
                b"role" => seen.has_role = c.text().is_some(),
                b"id" => seen.has_id = is_something(c.value()),
                b"encrypted_content" => seen.has_sealed = is_something(c.value()),
                b"content" | b"output" if c.peek() == b'{' => self.item(c, dialect),
                b"content" | b"output" => self.list(c, dialect),
                b"image_url" | b"source" | b"file" | b"input_audio" if c.enter(b'{') => {
                    let inner = self.object(c, dialect);
                    seen.has_text = inner.is_inline;
                    seen.data += inner.data;
                    seen.low |= inner.low;
                    seen.high |= inner.high;
                }
                b"image_url" | b"url" | b"data" | b"file_data" | b"result" => {
                    seen.data += c.text().map_or(0, |t| t.len() as u64);
                }
                b"detail" => {
                    let detail = c.text();
                    let known = !seen.has_detail;
                    seen.low = known && detail == Some(b"low");
                    seen.high = known && detail == Some(b"high");
                    seen.has_detail = true;
                }
                // Citations cut a document into marked pieces: an object asks for them, a list tells of some.
                b"citations" => seen.cites |= c.value().first() == Some(&b'{'),
                b"audio" => self.media |= is_something(c.value()),
                b"input" if c.peek() == b'{' => self.rewritten(c.value()),
                b"tools" => self.tool_list(c, dialect),
                b"cache_control" => self.cache_control(c),
                b"prompt_cache_breakpoint" => {
                    c.value();
                    self.mark(CacheMark::Long);
                }
                _ => drop(c.value()),
            }
        }
        seen
    }
}

/// All three dialects' types; none means two things.
fn kind(name: &[u8]) -> Kind {
    match name {
        b"message"
        | b"text"
        | b"input_text"
        | b"output_text"
        | b"refusal"
        | b"thinking"
        | b"redacted_thinking"
        | b"tool_use"
        | b"tool_result"
        | b"search_result"
        | b"function_call"
        | b"function_call_output"
        | b"custom_tool_call"
        | b"custom_tool_call_output"
        | b"local_shell_call"
        | b"local_shell_call_output"
        | b"apply_patch_call"
        | b"apply_patch_call_output"
        | b"additional_tools" => Kind::Text,
        b"reasoning" => Kind::Reasoning,
        b"image" | b"image_url" | b"input_image" | b"computer_screenshot" | b"image_generation_call" => Kind::Image,
        b"document" | b"file" | b"input_file" => Kind::Document,
        b"input_audio" | b"audio" => Kind::Media,
        _ => Kind::Unknown,
    }
}
