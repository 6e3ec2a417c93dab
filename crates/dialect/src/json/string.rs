//! Strings, passed by SIMD search.

use std::borrow::Cow;

use wide::u8x16;

use super::{JsonError, Scanner, Span};

/// The end of the string that begins at `at`, behind its closing quote.
///
/// # Errors
/// Where there is no string that JSON allows.
pub(crate) fn string_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let mut s = Scanner { text, at, around: 0, escaped: false };
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
            let stop = stops(chunk).trailing_zeros() as usize;
            if chunk.get(stop) == Some(&b'"') {
                self.at = start + stop + 1;
                return Ok(start..start + stop);
            }
        }
        self.rest_of_string()?;
        Ok(start..self.at - 1)
    }

    /// What is left of a string, block by block, with its closing quote.
    fn rest_of_string(&mut self) -> Result<(), JsonError> {
        let text = self.text;
        let mut last = [b' '; BLOCK];
        let mut escapes = Escapes::default();
        loop {
            let rest = &text[self.at..];
            let block = match rest.first_chunk() {
                Some(block) => block,
                None => {
                    last[..rest.len()].copy_from_slice(rest);
                    last[rest.len()..].fill(b' ');
                    &last
                }
            };
            let stops = block_stops(block);
            if stops != 0 || escapes.open {
                let quotes = mask(block, b'"');
                let backslashes = mask(block, b'\\');
                let escaped = escapes.escaped(backslashes);
                let end = (quotes & !escaped).trailing_zeros();
                let inside = u64::MAX.checked_shr(64 - end).unwrap_or(0);
                self.escaped |= backslashes & inside != 0;
                // Most escapes are of a quote, a backslash or a line's end.
                let odd = escaped & inside & !(quotes | backslashes | mask(block, b'n'));
                let control = stops & inside & !(quotes | backslashes);
                if odd | control != 0 {
                    escapes.check(text, self.at, odd, control)?;
                }
                if end < u64::BITS {
                    self.at += end as usize + 1;
                    return Ok(());
                }
            }
            if rest.len() <= BLOCK {
                return Err(JsonError::Syntax(text.len()));
            }
            self.at += BLOCK;
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

/// A bit for each byte that is no plain string content: a quote, a backslash, a control character.
#[inline]
fn stops(chunk: &[u8; 16]) -> u32 {
    let (quote, backslash, control) = (u8x16::splat(b'"'), u8x16::splat(b'\\'), u8x16::splat(0x1f));
    let chunk = u8x16::new(*chunk);
    (chunk.simd_eq(quote) | chunk.simd_eq(backslash) | chunk.min(control).simd_eq(chunk)).to_bitmask()
}

/// How many bytes at the beginning of `text` a JSON string has as they are.
#[must_use]
pub(crate) fn plain_length(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks();
    for (at, chunk) in (0..).step_by(16).zip(chunks) {
        let stops = stops(chunk);
        if stops != 0 {
            return at + stops.trailing_zeros() as usize;
        }
    }
    let stop = rest.iter().position(|b| matches!(b, b'"' | b'\\' | ..b' '));
    text.len() - rest.len() + stop.unwrap_or(rest.len())
}

#[inline]
fn block_stops(block: &[u8; BLOCK]) -> u64 {
    bits(block, stops)
}

/// A bit for each byte of a block that is `byte`.
#[inline]
fn mask(block: &[u8; BLOCK], byte: u8) -> u64 {
    bits(block, |chunk| u8x16::new(*chunk).simd_eq(u8x16::splat(byte)).to_bitmask())
}

#[inline]
fn bits(block: &[u8; BLOCK], of: impl Fn(&[u8; 16]) -> u32) -> u64 {
    let (chunks, _) = block.as_chunks();
    chunks.iter().rev().fold(0, |mask, chunk| mask << 16 | u64::from(of(chunk)))
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
