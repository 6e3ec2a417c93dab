//! Walks a text that was checked before, value by value and in one pass; builds nothing. The strict scanner stands before
//! it: of a text that is no JSON it makes no sense, but it ends, and without a panic.

use std::borrow::Cow;

use crate::json::unescape;

/// Stands at a value.
pub(crate) struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// At the first value from byte `at` on.
    pub(crate) fn new(text: &'a [u8], at: usize) -> Walk<'a> {
        let mut walk = Walk { text, at };
        walk.space();
        walk
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The byte that the value begins with; 0 behind the end.
    pub(crate) fn first(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Passes an object. `each` may pass the value that it is given; else it is skipped. Another value is skipped whole.
    pub(crate) fn members(&mut self, mut each: impl FnMut(&[u8], &mut Walk<'a>)) {
        if self.first() != b'{' {
            self.skip();
            return;
        }
        self.inside(|walk| {
            let name = walk.quoted();
            walk.space();
            walk.at += usize::from(walk.first() == b':');
            walk.space();
            let value = walk.at;
            each(unescape(name).as_bytes(), walk);
            if walk.at == value {
                walk.skip();
            }
        });
    }

    /// Passes an array, as [`Walk::members`] passes an object.
    pub(crate) fn elements(&mut self, mut each: impl FnMut(&mut Walk<'a>)) {
        if self.first() != b'[' {
            self.skip();
            return;
        }
        self.inside(|walk| {
            let value = walk.at;
            each(walk);
            if walk.at == value {
                walk.skip();
            }
        });
    }

    /// Passes the value; its text, if it is a string.
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        let is_string = self.first() == b'"';
        let raw = self.skip();
        is_string.then(|| unescape(raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()))
    }

    /// Passes the value; its bytes.
    pub(crate) fn skip(&mut self) -> &'a [u8] {
        let start = self.at;
        match self.first() {
            b'"' => _ = self.quoted(),
            b'{' | b'[' => self.nested(),
            _ => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn space(&mut self) {
        while matches!(self.first(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Passes an object or an array; `one` passes each thing in it.
    fn inside(&mut self, mut one: impl FnMut(&mut Walk<'a>)) {
        self.at += 1;
        loop {
            self.space();
            let start = self.at;
            match self.first() {
                b',' => self.at += 1,
                b'}' | b']' => {
                    self.at += 1;
                    return;
                }
                _ => one(self),
            }
            if self.at == start {
                return;
            }
        }
    }

    /// Passes a string; what is between its quotes.
    fn quoted(&mut self) -> &'a [u8] {
        let start = self.at + 1;
        let mut end = start;
        loop {
            let rest = self.text.get(end..).unwrap_or_default();
            match memchr::memchr2(b'"', b'\\', rest) {
                Some(i) if rest[i] == b'\\' => end += i + 2,
                Some(i) => {
                    self.at = end + i + 1;
                    return self.text.get(start..end + i).unwrap_or_default();
                }
                None => {
                    self.at = self.text.len();
                    return self.text.get(start..).unwrap_or_default();
                }
            }
        }
    }

    fn nested(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.text.get(self.at) {
                None => return,
                Some(b'"') => {
                    self.quoted();
                    continue;
                }
                Some(b'{' | b'[') => depth += 1,
                Some(b'}' | b']') => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn rebuilt(walk: &mut Walk<'_>) -> Value {
        match walk.first() {
            b'{' => {
                let mut map = serde_json::Map::new();
                walk.members(|name, w| {
                    map.insert(String::from_utf8(name.to_vec()).unwrap(), rebuilt(w));
                });
                map.into()
            }
            b'[' => {
                let mut list = vec![];
                walk.elements(|w| list.push(rebuilt(w)));
                list.into()
            }
            b'"' => walk.string().unwrap().into_owned().into(),
            _ => serde_json::from_slice(walk.skip()).unwrap(),
        }
    }

    #[test]
    fn a_walk_sees_what_a_parser_sees() {
        let rows = [
            "{}",
            "[ ]",
            r#" { "a" : [ 1 , {"b\u0041":"\"]}\\"} , [], null ] , "\"" : -1.5e3 , "c":{"d":{}},"e":"" } "#,
            r#"[[[["x"]]],true,false,"\ud83d\ude00"]"#,
        ];
        for text in rows {
            let mut walk = Walk::new(text.as_bytes(), 0);
            assert_eq!(rebuilt(&mut walk), serde_json::from_str::<Value>(text).unwrap(), "{text}");
            assert!(text[walk.at()..].trim().is_empty());
            let mut walk = Walk::new(text.as_bytes(), 0);
            assert_eq!(walk.skip(), text.trim().as_bytes());
            // A value that nobody wants is skipped.
            Walk::new(text.as_bytes(), 0).members(|_, _| {});
        }
    }

    proptest! {
        /// What was never checked neither panics nor goes on for ever.
        #[test]
        fn any_bytes_end(text in r#"[\[\]{},:"\\ a1n\x{e9}]{0,40}"#) {
            fn go(walk: &mut Walk<'_>, depth: u32) {
                if depth > 0 {
                    walk.members(|_, w| go(w, depth - 1));
                    walk.elements(|w| go(w, depth - 1));
                    walk.string();
                }
            }
            go(&mut Walk::new(text.as_bytes(), 0), 5);
        }
    }
}
