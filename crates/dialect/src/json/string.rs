//! Strings, passed by SIMD search.

use std::borrow::Cow;

use fearless_simd::{Level, Simd, dispatch, mask8x64, prelude::*, u8x16};

use super::{
    JsonError, Scanner, Span,
    block::{self, BEHIND, BLOCK, Marks, Window},
};

/// The end of the string that begins at `at`, behind its closing quote.
///
/// # Errors
/// Where there is no string that JSON allows.
pub(crate) fn string_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let mut s = Scanner::checked(text, at);
    s.string()?;
    Ok(s.at)
}

impl Scanner<'_> {
    /// A string; the span between its quotes.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Span, JsonError> {
        self.expect(b'"')?;
        self.is_plain = true;
        let start = self.at;
        // Names and most values are short and plain.
        if let Some(chunk) = self.text[start..].first_chunk() {
            let stop = stops(chunk);
            if chunk.get(stop) == Some(&b'"') {
                self.at = start + stop + 1;
                return self.of_utf8(start..start + stop, u128::from_ne_bytes(*chunk) & HIGH != 0);
            }
        }
        self.is_plain = false;
        let may_be_odd = dispatch!(Level::new(), simd => rest_of_string(simd, self))?;
        self.of_utf8(start..self.at - 1, may_be_odd)
    }

    /// A string of which it is known whether it may be no UTF-8. Outside strings the grammar has only ASCII.
    #[inline]
    fn of_utf8(&self, span: Span, may_be_odd: bool) -> Result<Span, JsonError> {
        let text = &self.text[span.clone()];
        if !(may_be_odd && self.unchecked) || simdutf8::basic::from_utf8(text).is_ok() {
            return Ok(span);
        }
        let valid = simdutf8::compat::from_utf8(text).map_or_else(|e| e.valid_up_to(), str::len);
        Err(JsonError::Syntax(span.start + valid))
    }
}

/// The highest bit of each byte.
const HIGH: u128 = u128::from_ne_bytes([0x80; 16]);

/// What is left of a string, block by block, with its closing quote; whether it must still be seen to be UTF-8.
#[inline(always)]
fn rest_of_string<S: Simd>(simd: S, s: &mut Scanner<'_>) -> Result<bool, JsonError> {
    let text = s.text;
    let mut padded;
    let mut escapes = Escapes::default();
    let mut utf8 = if s.unchecked { Utf8::Ascii } else { Utf8::Any };
    loop {
        let window = match window(text, s.at) {
            Some(window) => window,
            None => {
                padded = block::padded(text, s.at);
                &padded
            }
        };
        let end = match escapes.end_of_plain(simd, window) {
            Some(end) => end,
            None => escapes.end(simd, text, s.at, window)?,
        };
        // The closing quote tells of a character that is cut short before it.
        let inside = u64::MAX >> (63 - end.min(63));
        if utf8 == Utf8::Ascii && block::high(simd, window).to_bitmask() & inside != 0 {
            utf8 = Utf8::Short;
        }
        if utf8 == Utf8::Short && block::odd_utf8(simd, window).to_bitmask() & inside != 0 {
            utf8 = Utf8::Any;
        }
        if end < u64::BITS {
            s.at += end as usize + 1;
            return Ok(s.unchecked && utf8 == Utf8::Any);
        }
        if text.len() - s.at <= BLOCK {
            return Err(JsonError::Syntax(text.len()));
        }
        s.at += BLOCK;
        // In long strings nearly all blocks are plain.
        if escapes.open == (text[s.at - 1] == b'\\') {
            s.at = match utf8 {
                Utf8::Ascii => behind_plain(text, s.at, |w| block::stops(simd, w) | block::high(simd, w)),
                Utf8::Short => behind_plain(text, s.at, |w| block::stops(simd, w) | block::odd_utf8(simd, w)),
                Utf8::Any => behind_plain(text, s.at, |w| block::stops(simd, w)),
            };
            escapes.open = text[s.at - 1] == b'\\';
        }
    }
}

/// Where the first block stands, from `at` on, in which there is something to see, or that the text does not fill.
#[inline(always)]
fn behind_plain<S: Simd>(text: &[u8], mut at: usize, marks: impl Fn(&Window) -> mask8x64<S>) -> usize {
    while window(text, at).is_some_and(|window| marks(window).to_bitmask() == 0) {
        at += BLOCK;
    }
    at
}

/// The block at `at`, with the bytes before it.
#[inline(always)]
fn window(text: &[u8], at: usize) -> Option<&Window> {
    text.get(at.checked_sub(BEHIND)?..)?.first_chunk()
}

/// What a string may hold, by what was seen of it.
#[derive(Clone, Copy, PartialEq)]
enum Utf8 {
    Ascii,
    /// Characters of which the walk sees that they are right.
    Short,
    Any,
}

/// The escapes of a string, from block to block.
#[derive(Default)]
struct Escapes {
    /// The last block ended in a backslash that begins one.
    open: bool,
    /// Up to here they are known to be right.
    checked: usize,
}

impl Escapes {
    /// Where the string ends in a block, 64 if it goes on; nothing if it must be looked at more closely.
    #[inline(always)]
    fn end_of_plain<S: Simd>(&mut self, simd: S, window: &Window) -> Option<u32> {
        // A backslash before the block tells of all of them only where it begins an escape.
        if self.open != (window[BEHIND - 1] == b'\\') {
            return None;
        }
        let end = block::stops(simd, window).to_bitmask().trailing_zeros();
        let at = BEHIND + end as usize;
        if end == u64::BITS {
            self.open = window[at - 1] == b'\\';
            return Some(end);
        }
        (window[at] == b'"' && window[at - 1] != b'\\').then_some(end)
    }

    /// Where the string ends in the block at `at`, 64 if it goes on.
    #[inline(always)]
    fn end<S: Simd>(&mut self, simd: S, text: &[u8], at: usize, window: &Window) -> Result<u32, JsonError> {
        let marks = Marks::of(simd, window);
        let escaped = self.escaped(marks.backslashes);
        let end = (marks.quotes & !escaped).trailing_zeros();
        let inside = u64::MAX.checked_shr(64 - end).unwrap_or(0);
        let letters = escaped & inside & !(marks.quotes | marks.backslashes);
        let controls = marks.controls & inside;
        if letters | controls != 0 {
            self.check(text, at, letters, controls)?;
        }
        Ok(end)
    }

    /// A bit for each byte of a block that a backslash in front escapes: of a row of backslashes, every second. As simdjson
    /// does it (`json_escape_scanner.h`): a subtraction that carries through each row flips the bit behind its end.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        let first = u64::from(self.open);
        let begins = backslashes & !first;
        let ends = (begins << 1 | ODD).wrapping_sub(begins) ^ ODD;
        self.open = (ends & backslashes) >> 63 == 1;
        ends ^ (backslashes | first)
    }

    /// Checks escapes, one by one: `letters` has a bit for each byte behind a backslash, `controls` for each control
    /// character, of the block at `at`.
    #[cold]
    fn check(&mut self, text: &[u8], at: usize, mut letters: u64, controls: u64) -> Result<(), JsonError> {
        let control = controls.trailing_zeros();
        while letters.trailing_zeros() <= control.min(63) {
            let letter = at + letters.trailing_zeros() as usize;
            letters &= letters - 1;
            if letter >= self.checked {
                self.checked = letter - 1 + escape(text, letter - 1)?;
            }
        }
        if control < u64::BITS { Err(JsonError::Syntax(at + control as usize)) } else { Ok(()) }
    }
}

/// Where the first byte is that is no plain string content: a quote, a backslash, a control character.
#[inline]
fn stops(chunk: &[u8; 16]) -> usize {
    dispatch!(Level::baseline(), simd => {
        let chunk = u8x16::simd_from(simd, *chunk);
        (chunk.simd_eq(b'"') | chunk.simd_eq(b'\\') | chunk.simd_le(0x1f)).to_bitmask().trailing_zeros() as usize
    })
}

/// How many bytes at the beginning of `text` a JSON string has as they are.
#[must_use]
pub(crate) fn plain_length(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks();
    for (at, chunk) in (0..).step_by(16).zip(chunks) {
        let stop = stops(chunk);
        if stop < 16 {
            return at + stop;
        }
    }
    let stop = rest.iter().position(|b| matches!(b, b'"' | b'\\' | ..b' '));
    text.len() - rest.len() + stop.unwrap_or(rest.len())
}

/// Letters that alone make an escape; a table, since a jump by letter is guessed wrong too often.
const ESCAPES: [bool; 256] = {
    let mut table = [false; 256];
    let mut letters: &[u8] = br#""\/bfnrt"#;
    while let [letter, rest @ ..] = letters {
        table[*letter as usize] = true;
        letters = rest;
    }
    table
};

/// How long the escape is whose backslash stands at `at`.
#[inline]
fn escape(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at + 1) {
        Some(letter) if ESCAPES[usize::from(*letter)] => Ok(2),
        Some(b'u') => unicode_escape(text, at),
        _ => Err(JsonError::Syntax(at)),
    }
}

/// `\uXXXX`, or two of them that make a surrogate pair; neither half may stand alone.
fn unicode_escape(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0u32, |n, b| Some(n * 16 + char::from(*b).to_digit(16)?))
    };
    match unit(at).ok_or(JsonError::Syntax(at))? {
        0xd800..0xdc00 => match unit(at + 6) {
            Some(0xdc00..0xe000) => Ok(12),
            _ => Err(JsonError::Syntax(at + 6)),
        },
        0xdc00..0xe000 => Err(JsonError::Syntax(at)),
        _ => Ok(6),
    }
}

/// The text of a string that was already checked, from between its quotes.
#[must_use]
pub fn unescape(raw: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw).is_none() {
        return std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed);
    }
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).map_or(Cow::Borrowed(""), Cow::Owned)
}
