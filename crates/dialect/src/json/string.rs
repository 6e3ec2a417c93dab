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
            let mut stops = block_stops(block);
            let mut passed = BLOCK;
            while stops != 0 {
                let i = stops.trailing_zeros() as usize;
                match block[i] {
                    b'"' => {
                        self.at += i + 1;
                        return Ok(());
                    }
                    b'\\' => {
                        self.escaped = true;
                        let end = i + escape(text, self.at + i)?;
                        // Stops inside the escape are none; it may end in the next block.
                        if end >= BLOCK {
                            passed = end;
                            break;
                        }
                        stops &= u64::MAX << end;
                    }
                    _ => return Err(JsonError::Syntax(self.at + i)),
                }
            }
            if rest.len() <= passed {
                return Err(JsonError::Syntax(text.len()));
            }
            self.at += passed;
        }
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

#[inline]
fn block_stops(block: &[u8; BLOCK]) -> u64 {
    let (chunks, _) = block.as_chunks();
    chunks.iter().rev().fold(0, |mask, chunk| mask << 16 | u64::from(stops(chunk)))
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
