//! Strings, passed by SIMD search.

use std::borrow::Cow;

use fearless_simd::{Level, Simd, dispatch, prelude::*, u8x16, u8x64};

use super::{JsonError, Scanner, Span};

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
        self.escaped = false;
        let start = self.at;
        // Names and most values are short and plain.
        if let Some(chunk) = self.text[start..].first_chunk() {
            let stop = stops(chunk);
            if chunk.get(stop) == Some(&b'"') {
                self.at = start + stop + 1;
                return self.of_utf8(start..start + stop, u128::from_ne_bytes(*chunk) & HIGH != 0);
            }
        }
        let high = dispatch!(Level::new(), simd => rest_of_string(simd, self))?;
        self.of_utf8(start..self.at - 1, high)
    }

    /// A string of which it is known whether it may be more than ASCII. Outside strings the grammar has only ASCII.
    #[inline]
    fn of_utf8(&self, span: Span, may_be_more: bool) -> Result<Span, JsonError> {
        let text = &self.text[span.clone()];
        if !(may_be_more && self.unchecked) || simdutf8::basic::from_utf8(text).is_ok() {
            return Ok(span);
        }
        let valid = simdutf8::compat::from_utf8(text).map_or_else(|e| e.valid_up_to(), str::len);
        Err(JsonError::Syntax(span.start + valid))
    }
}

/// The highest bit of each byte.
const HIGH: u128 = u128::from_ne_bytes([0x80; 16]);

/// What is left of a string, block by block, with its closing quote; whether it may be more than ASCII.
#[inline(always)]
fn rest_of_string<S: Simd>(simd: S, s: &mut Scanner<'_>) -> Result<bool, JsonError> {
    let text = s.text;
    let mut last = [b' '; BLOCK];
    let mut escapes = Escapes::default();
    let mut high = 0;
    loop {
        let rest = &text[s.at..];
        let bytes = match rest.first_chunk() {
            Some(bytes) => bytes,
            None => {
                last[..rest.len()].copy_from_slice(rest);
                last[rest.len()..].fill(b' ');
                &last
            }
        };
        let marks = Marks::of(simd, bytes);
        high |= marks.high;
        if marks.quotes | marks.backslashes | marks.controls != 0 || escapes.open {
            let escaped = escapes.escaped(marks.backslashes);
            let end = (marks.quotes & !escaped).trailing_zeros();
            let inside = u64::MAX.checked_shr(64 - end).unwrap_or(0);
            s.escaped |= marks.backslashes & inside != 0;
            // Most escapes are of a quote, a backslash or a line's end.
            let mut odd = escaped & inside & !(marks.quotes | marks.backslashes);
            if odd != 0 {
                odd &= !u8x64::simd_from(simd, *bytes).simd_eq(b'n').to_bitmask();
            }
            let controls = marks.controls & inside;
            if odd | controls != 0 {
                escapes.check(text, s.at, odd, controls)?;
            }
            if end < u64::BITS {
                s.at += end as usize + 1;
                break;
            }
        }
        if rest.len() <= BLOCK {
            return Err(JsonError::Syntax(text.len()));
        }
        s.at += BLOCK;
    }
    Ok(high != 0)
}

/// A bit for each byte of a block, by what it is. As numbers at once: vectors that live across branches are taken apart
/// byte by byte by the compiler.
struct Marks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    /// More than ASCII.
    high: u64,
}

impl Marks {
    #[inline(always)]
    fn of<S: Simd>(simd: S, bytes: &[u8; BLOCK]) -> Marks {
        let block = u8x64::simd_from(simd, *bytes);
        Marks {
            quotes: block.simd_eq(b'"').to_bitmask(),
            backslashes: block.simd_eq(b'\\').to_bitmask(),
            controls: block.simd_le(0x1f).to_bitmask(),
            high: block.simd_ge(0x80).to_bitmask(),
        }
    }
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

/// Bytes looked at together in long strings.
const BLOCK: usize = 64;

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
