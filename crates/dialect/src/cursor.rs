//! A cursor over JSON that was checked before: it pulls members and elements, skips what nobody asks for, and passes each
//! byte once. On text that was not checked it says nonsense, and ends.

use std::borrow::Cow;

use crate::json::{self, unescape};

/// Where one stands in a text.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    /// Objects and arrays that were entered and not left.
    depth: u32,
}

impl<'a> Cursor<'a> {
    /// Before the first value of `text`.
    pub(crate) fn new(text: &'a [u8]) -> Cursor<'a> {
        let mut c = Cursor { text, at: 0, depth: 0 };
        c.blanks();
        c
    }

    /// What begins here: `{`, `[`, `"`, or a byte of a number or word; 0 behind the end.
    pub(crate) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Enters the object or array at hand; false where none begins, and then nothing moves.
    pub(crate) fn enter(&mut self, open: u8) -> bool {
        let is = self.peek() == open;
        if is {
            self.at += 1;
            self.depth += 1;
            self.blanks();
        }
        is
    }

    /// The next member's name, with its value at hand; `None` leaves the object.
    pub(crate) fn member(&mut self) -> Option<Cow<'a, [u8]>> {
        if !self.goes_on(b'}') {
            return None;
        }
        let raw = self.string();
        if self.peek() == b':' {
            self.at += 1;
        }
        self.blanks();
        Some(plain(raw))
    }

    /// Whether there is another element, which is then at hand; false leaves the array.
    pub(crate) fn element(&mut self) -> bool {
        self.goes_on(b']')
    }

    /// Passes the value at hand; its bytes.
    pub(crate) fn value(&mut self) -> &'a [u8] {
        let start = self.at;
        match self.peek() {
            b'"' => drop(self.string_raw()),
            b'{' | b'[' => self.skip_nested(),
            _ => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let len = rest.iter().position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
                // Nothing valid is empty; to move on all the same is what makes every walk end.
                self.at += len.unwrap_or(rest.len()).max(1);
            }
        }
        let value = self.text.get(start..self.at.min(self.text.len())).unwrap_or_default();
        self.blanks();
        value
    }

    /// Passes the value at hand, and gives the raw text between the quotes if it is a string.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        if self.peek() == b'"' {
            return Some(self.string());
        }
        self.value();
        None
    }

    /// Whether all that was entered has been left, and nothing follows.
    pub(crate) fn is_over(&self) -> bool {
        self.depth == 0 && self.at >= self.text.len()
    }

    /// Passes the value at hand, which must be null.
    pub(crate) fn null(&mut self) -> Option<()> {
        (self.value() == b"null").then_some(())
    }

    /// Passes the value at hand, and gives the raw text between the quotes if it is a string that JSON allows.
    pub(crate) fn checked_text(&mut self) -> Option<&'a [u8]> {
        let Ok(end) = json::string_end(self.text, self.at) else {
            self.value();
            return None;
        };
        let raw = self.text.get(self.at + 1..end - 1);
        self.at = end;
        self.blanks();
        raw
    }

    fn goes_on(&mut self, close: u8) -> bool {
        if self.peek() == b',' {
            self.at += 1;
            self.blanks();
        }
        match self.peek() {
            0 => false,
            b if b == close => {
                self.at += 1;
                self.depth = self.depth.saturating_sub(1);
                self.blanks();
                false
            }
            _ => true,
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn string(&mut self) -> &'a [u8] {
        let raw = self.string_raw();
        self.blanks();
        raw
    }

    fn string_raw(&mut self) -> &'a [u8] {
        let start = self.at + 1;
        if let Ok(end) = json::string_end(self.text, self.at) {
            self.at = end;
            return self.text.get(start..end - 1).unwrap_or_default();
        }
        // Text that was not checked.
        self.at = start;
        while let Some(i) = self.text.get(self.at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
            let at = self.at + i;
            if self.text.get(at) == Some(&b'"') {
                self.at = at + 1;
                return self.text.get(start..at).unwrap_or_default();
            }
            self.at = at + 2;
        }
        self.at = self.text.len();
        self.text.get(start..).unwrap_or_default()
    }

    fn skip_nested(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                0 => return,
                b'"' => {
                    self.string_raw();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}

/// A raw string without its escapes.
pub(crate) fn plain(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return raw.into();
    }
    unescape(raw).into_owned().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_elements_and_what_is_skipped() {
        let text = br#" { "a" : [1, "x\"]", {"y":[]} , true ] , "\u0062":"q\\" ,"c":null,"d":{ },"e":-1.5e3} "#;
        let mut c = Cursor::new(text);
        assert!(c.enter(b'{') && !c.enter(b'['));
        assert_eq!(c.member().as_deref(), Some(&b"a"[..]));
        assert!(c.enter(b'['));
        let mut seen = vec![];
        while c.element() {
            seen.push(c.value());
        }
        assert_eq!(seen, [&b"1"[..], br#""x\"]""#, br#"{"y":[]}"#, b"true"]);
        assert_eq!(c.member().as_deref(), Some(&b"b"[..]));
        assert_eq!(c.text(), Some(&br"q\\"[..]));
        assert_eq!((c.member().as_deref(), c.value()), (Some(&b"c"[..]), &b"null"[..]));
        assert_eq!((c.member().as_deref(), c.value()), (Some(&b"d"[..]), &b"{ }"[..]));
        assert_eq!((c.member().as_deref(), c.value()), (Some(&b"e"[..]), &b"-1.5e3"[..]));
        assert_eq!(c.member(), None);
    }

    proptest::proptest! {
        /// Whatever the bytes are, every walk ends and none panics.
        #[test]
        fn any_bytes_end(text in proptest::collection::vec(proptest::sample::select(b"{}[]\",:\\ a1\0".to_vec()), 0..40)) {
            fn walk(c: &mut Cursor<'_>, left: &mut u32) {
                *left = left.checked_sub(1).expect("it ends");
                if c.enter(b'{') {
                    while c.member().is_some() { walk(c, left); }
                } else if c.enter(b'[') {
                    while c.element() { walk(c, left); }
                } else {
                    c.value();
                }
            }
            walk(&mut Cursor::new(&text), &mut 200);
        }
    }
}
