//! JSON written as text, member by member: no value is built only to be written.

use std::fmt::{Display, Write as _};

use serde_json::{Map, Value};

use crate::edit::quote;

/// An object in the making.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    out: &'a mut String,
    begun: bool,
}

impl<'a> Object<'a> {
    /// Begins one behind `out`.
    pub(crate) fn new(out: &'a mut String) -> Object<'a> {
        out.push('{');
        Object { out, begun: false }
    }

    /// A member, whose value the caller writes.
    pub(crate) fn member(&mut self, name: &str) -> &mut String {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(',');
        }
        quote(name, self.out);
        self.out.push(':');
        self.out
    }

    /// A member that is a string.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        quote(text, self.member(name));
    }

    /// A member that is a number, a word of JSON, or JSON already.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.member(name), "{value}");
    }

    /// A member of any kind.
    pub(crate) fn value(&mut self, name: &str, value: &Value) {
        put(value, self.member(name));
    }

    /// A member of any kind, if there is one.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<&Value>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    /// All members of a map.
    pub(crate) fn extend(&mut self, map: &Map<String, Value>) {
        map.iter().for_each(|(name, value)| self.value(name, value));
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.out.push('}');
    }
}

/// A list in the making.
#[derive(Debug)]
pub(crate) struct List<'a> {
    out: &'a mut String,
    begun: bool,
}

impl<'a> List<'a> {
    /// Begins one behind `out`.
    pub(crate) fn new(out: &'a mut String) -> List<'a> {
        out.push('[');
        List { out, begun: false }
    }

    /// The next item, which the caller writes.
    pub(crate) fn item(&mut self) -> &mut String {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(',');
        }
        self.out
    }

    /// The next item, an object.
    pub(crate) fn object(&mut self) -> Object<'_> {
        Object::new(self.item())
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.out.push(']');
    }
}

/// A list behind `out`; `write` is given each item.
pub(crate) fn list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(T, &mut String)) {
    let mut list = List::new(out);
    items.into_iter().for_each(|item| write(item, list.item()));
    list.end();
}

/// A value behind `out`.
pub(crate) fn put(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => quote(text, out),
        // A value has string keys alone: it can always be written.
        other => out.push_str(&serde_json::to_string(other).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_in_order() {
        let mut out = String::from(">");
        let mut o = Object::new(&mut out);
        o.text("a\"", "b\n");
        o.plain("n", 1.5);
        o.value("v", &json!({"x": [null, "\u{1}"]}));
        o.maybe("no", None);
        list(o.member("l"), [1, 2], |n, out| out.push_str(&n.to_string()));
        list(o.member("empty"), [0; 0], |_, _| {});
        o.extend(json!({"p": true, "q": {}}).as_object().unwrap());
        o.end();
        Object::new(&mut out).end();
        let want = r#">{"a\"":"b\n","n":1.5,"v":{"x":[null,"\u0001"]},"l":[1,2],"empty":[],"p":true,"q":{}}{}"#;
        assert_eq!(out, want);
    }
}
