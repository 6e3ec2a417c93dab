//! A strict JSON scanner that builds nothing: it checks the grammar, skips strings by SIMD search, and tells the spans
//! of an object's members.
//!
//! It accepts what RFC 8259 accepts, up to [`MAX_DEPTH`] levels; nesting is kept in one machine word, so hostile bodies
//! cost neither stack nor heap.

mod block;
mod string;

use std::{borrow::Cow, ops::Range};

pub use string::unescape;
pub(crate) use string::{plain_length, string_end};

/// Deepest nesting of arrays and objects; no deeper than what the JSON library reads, so that what is accepted here can
/// be translated.
pub const MAX_DEPTH: u32 = 127;

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON from this byte on.
    #[error("is not valid JSON at byte {0}")]
    Syntax(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// A value's place in the text.
pub type Span = Range<usize>;

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Name, unescaped.
    pub name: Cow<'a, [u8]>,
    /// From the quote that opens the name.
    pub start: usize,
    /// The value.
    pub value: Span,
}

/// What a scan tells of the strings that it passes inside a value, at any depth, as they stand between their quotes.
pub trait Types {
    /// A string value under the name `type`.
    fn seen(&mut self, raw: &[u8]);

    /// A string value under the name `role`, in an object that is an element of the value itself.
    fn role(&mut self, _raw: &[u8]) {}

    /// The name of a member; `escaped` if it is spelt with escapes.
    fn name(&mut self, raw: &[u8], escaped: bool);

    /// A string of [`LONG`] bytes or more that is the value itself, or content of it: reached through lists, and through
    /// objects by the names `content`, `text` and `output`.
    fn long(&mut self, _at: Span) {}
}

impl Types for () {
    fn seen(&mut self, _: &[u8]) {}
    fn name(&mut self, _: &[u8], _: bool) {}
}

/// What is long enough for [`Types::long`].
pub const LONG: usize = 256;

/// Keys whose values are told.
#[derive(Clone, Copy)]
enum Key {
    Type,
    Role,
    /// What content is under.
    Content,
    Other,
}

/// Walks a text.
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Levels open around the value at hand.
    around: u32,
    /// The last string has no escape: known of short ones.
    is_plain: bool,
    /// Strings may be no UTF-8: the text was not checked before.
    unchecked: bool,
}

/// Checks that `text` is one JSON value and nothing else.
///
/// # Errors
/// Where it is not.
pub fn check(text: &[u8]) -> Result<(), JsonError> {
    let mut s = Scanner::unchecked(text);
    s.space();
    s.skip(&mut ())?;
    s.end()
}

/// The members of the object that `text` is, in order; `Ok(false)` if it is another kind of value.
///
/// # Errors
/// Where the text is not JSON.
pub fn members<'a>(
    text: &'a [u8],
    mut each: impl FnMut(Member<'a>, &mut Scanner<'a>) -> Result<(), JsonError>,
) -> Result<bool, JsonError> {
    let mut s = Scanner::unchecked(text);
    s.space();
    if s.peek() != Some(b'{') {
        s.skip(&mut ())?;
        s.end()?;
        return Ok(false);
    }
    s.object(&mut each)?;
    s.end()?;
    Ok(true)
}

/// The members of an object inside a text that was already checked; nothing if `span` is no object.
pub fn members_within<'a>(text: &'a [u8], span: &Span, mut each: impl FnMut(Member<'a>)) {
    let mut s = Scanner::checked(text, span.start);
    if s.peek() == Some(b'{') {
        let _ = s.object(&mut |m, s: &mut Scanner<'a>| {
            let start = s.at;
            s.skip(&mut ())?;
            each(Member { value: start..s.at, ..m });
            Ok(())
        });
    }
}

/// Deepest object whose leaves are told.
const MAX_LEAF_DEPTH: u32 = 8;

impl<'a> Scanner<'a> {
    fn unchecked(text: &'a [u8]) -> Scanner<'a> {
        Scanner { unchecked: true, ..Scanner::checked(text, 0) }
    }

    /// From `at` on in a text that was checked before.
    fn checked(text: &'a [u8], at: usize) -> Scanner<'a> {
        Scanner { text, at, around: 0, is_plain: true, unchecked: false }
    }

    /// Where it stands.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at != self.text.len() {
            return Err(JsonError::Syntax(self.at));
        }
        Ok(())
    }

    fn expect(&mut self, b: u8) -> Result<(), JsonError> {
        if self.peek() == Some(b) {
            self.at += 1;
            return Ok(());
        }
        Err(JsonError::Syntax(self.at))
    }

    /// Walks the object at hand; `each` must consume the value it is given the start of, or the walk skips it.
    fn object(
        &mut self,
        each: &mut impl FnMut(Member<'a>, &mut Scanner<'a>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'{')?;
        self.around += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.around -= 1;
            return Ok(());
        }
        loop {
            let start = self.at;
            let raw = self.string()?;
            let raw = &self.text[raw];
            let name = match self.has_escapes(raw) {
                true => unescape(raw).into_owned().into_bytes().into(),
                false => raw.into(),
            };
            self.space();
            self.expect(b':')?;
            self.space();
            let value = self.at;
            each(Member { name, start, value: value..value }, self)?;
            if self.at == value {
                self.skip(&mut ())?;
            }
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b'}') => {
                    self.at += 1;
                    self.around -= 1;
                    return Ok(());
                }
                _ => return Err(JsonError::Syntax(self.at)),
            }
        }
    }

    /// Whether the value at hand is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Walks the object at hand and the objects in it; `each` is told of every member that is no object itself, with the
    /// name of the object that holds it, empty for the outermost. Names are raw.
    ///
    /// # Errors
    /// Where the text is not JSON.
    pub fn leaves(&mut self, mut each: impl FnMut(&'a [u8], &'a [u8], &'a [u8])) -> Result<(), JsonError> {
        self.leaves_of(b"", &mut each)
    }

    fn leaves_of(
        &mut self,
        holder: &'a [u8],
        each: &mut impl FnMut(&'a [u8], &'a [u8], &'a [u8]),
    ) -> Result<(), JsonError> {
        self.expect(b'{')?;
        self.around += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.around -= 1;
            return Ok(());
        }
        loop {
            let name = self.string()?;
            let name = &self.text[name];
            self.space();
            self.expect(b':')?;
            self.space();
            if self.is_object() && self.around < MAX_LEAF_DEPTH {
                self.leaves_of(name, each)?;
            } else {
                let start = self.at;
                self.skip(&mut ())?;
                each(holder, name, &self.text[start..self.at]);
            }
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b'}') => {
                    self.at += 1;
                    self.around -= 1;
                    return Ok(());
                }
                _ => return Err(JsonError::Syntax(self.at)),
            }
        }
    }

    /// Skips one value and counts the elements of it, if it is an array, or the members, if it is an object.
    ///
    /// # Errors
    /// Where the text is not JSON.
    pub fn skip(&mut self, types: &mut impl Types) -> Result<u32, JsonError> {
        // One bit a level: set for an object. `depth` levels are in use.
        let mut objects: u128 = 0;
        // Set for what is content: lists and objects in it are.
        let mut contents: u128 = 1;
        let mut depth = 0u32;
        let mut count = 0u32;
        let mut key = Key::Other;
        'value: loop {
            match self.peek() {
                Some(b'"') => {
                    let raw = self.string()?;
                    if raw.len() >= LONG && is_content(key, objects, contents) {
                        types.long(raw.clone());
                    }
                    match key {
                        Key::Other | Key::Content => {}
                        Key::Type => types.seen(&self.text[raw]),
                        Key::Role if depth == 2 => types.role(&self.text[raw]),
                        Key::Role => {}
                    }
                }
                Some(open @ (b'{' | b'[')) => {
                    if self.around + depth >= MAX_DEPTH {
                        return Err(JsonError::TooDeep);
                    }
                    self.at += 1;
                    depth += 1;
                    contents = (contents << 1) | u128::from(is_content(key, objects, contents));
                    objects = (objects << 1) | u128::from(open == b'{');
                    self.space();
                    if self.peek() == Some(if open == b'{' { b'}' } else { b']' }) {
                        self.at += 1;
                        depth -= 1;
                        objects >>= 1;
                        contents >>= 1;
                    } else {
                        count += u32::from(depth == 1);
                        key = if open == b'{' { self.key(types)? } else { Key::Other };
                        continue 'value;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return Err(JsonError::Syntax(self.at)),
            }
            // A value has ended: close what it closes, or go on to the next.
            loop {
                if depth == 0 {
                    return Ok(count);
                }
                self.space();
                let in_object = objects & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        count += u32::from(depth == 1);
                        key = if in_object { self.key(types)? } else { Key::Other };
                        continue 'value;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ => return Err(JsonError::Syntax(self.at)),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
                contents >>= 1;
            }
        }
    }

    /// Whether the last string has escapes, which `raw` is.
    fn has_escapes(&self, raw: &[u8]) -> bool {
        !self.is_plain && memchr::memchr(b'\\', raw).is_some()
    }

    /// A key and its colon.
    fn key(&mut self, types: &mut impl Types) -> Result<Key, JsonError> {
        let raw = self.string()?;
        let raw = &self.text[raw];
        types.name(raw, self.has_escapes(raw));
        let key = match raw {
            b"type" => Key::Type,
            b"role" => Key::Role,
            b"content" | b"text" | b"output" => Key::Content,
            _ => Key::Other,
        };
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(key)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let digits = |s: &mut Self| {
            let start = s.at;
            while matches!(s.peek(), Some(b'0'..=b'9')) {
                s.at += 1;
            }
            if s.at == start { Err(JsonError::Syntax(s.at)) } else { Ok(()) }
        };
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            digits(self)?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits(self)?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            digits(self)?;
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(JsonError::Syntax(self.at))
    }
}

/// Whether a value is content: of what is content, in a list or under such a name.
fn is_content(key: Key, objects: u128, contents: u128) -> bool {
    contents & 1 == 1 && (objects & 1 == 0 || matches!(key, Key::Content))
}

#[cfg(test)]
mod tests;
