//! JSON with its members in the order they were written, as the real APIs send them.

use std::fmt::Write as _;

use serde_json::Value;

/// A JSON value for output only.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(u64),
    /// JSON text put out verbatim.
    Raw(String),
    Str(String),
    List(Vec<Node>),
    Map(Vec<(&'static str, Node)>),
    Value(Value),
}

/// Builds a [`Node::Map`] from `"member": value` pairs.
macro_rules! obj {
    ($($name:literal : $value:expr),* $(,)?) => {
        $crate::node::Node::Map(vec![$(($name, $crate::node::Node::from($value))),*])
    };
}
pub(crate) use obj;

impl Node {
    /// The compact JSON text.
    pub(crate) fn text(&self) -> String {
        let mut out = String::with_capacity(256);
        self.write(&mut out);
        out
    }

    /// Adds a member to a map; anything else is left as it is.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Node>) -> Node {
        if let Node::Map(members) = &mut self {
            members.push((name, value.into()));
        }
        self
    }

    fn write(&self, out: &mut String) {
        match self {
            Node::Null => out.push_str("null"),
            Node::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Node::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Node::Raw(text) => out.push_str(text),
            Node::Str(text) => quote(text, out),
            Node::Value(value) => {
                let _ = write!(out, "{value}");
            }
            Node::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Node::Map(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    quote(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Node::Str(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Node::Str(text)
    }
}

impl From<&String> for Node {
    fn from(text: &String) -> Self {
        Node::Str(text.clone())
    }
}

impl From<bool> for Node {
    fn from(yes: bool) -> Self {
        Node::Bool(yes)
    }
}

impl From<u64> for Node {
    fn from(number: u64) -> Self {
        Node::Int(number)
    }
}

impl From<usize> for Node {
    fn from(number: usize) -> Self {
        Node::Int(number as u64)
    }
}

impl From<Vec<Node>> for Node {
    fn from(items: Vec<Node>) -> Self {
        Node::List(items)
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Node::Value(value)
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        Node::Value(value.clone())
    }
}

impl<T: Into<Node>> From<Option<T>> for Node {
    fn from(value: Option<T>) -> Self {
        value.map_or(Node::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_text_is_escaped() {
        let node = obj! {"z": "a\"b\n\u{1}", "a": vec![Node::from(1u64), Node::Null], "n": Node::Raw("1.0e2".into())};
        assert_eq!(node.text(), r#"{"z":"a\"b\n\u0001","a":[1,null],"n":1.0e2}"#);
        let back: Value = serde_json::from_str(&node.text()).unwrap();
        assert_eq!(back["z"], "a\"b\n\u{1}");
    }
}
