//! Orders to the simulator inside a prompt or a tool's result: `@@sim:fault=cut_stream,after=3@@`.

use std::collections::BTreeMap;

/// The `name=value` pairs of an order. `args` is always last and takes everything up to the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marker(BTreeMap<String, String>);

const OPEN: &str = "@@sim:";
const CLOSE: &str = "@@";

impl Marker {
    /// Reads `a=1,b=2`; a first word without `=` is the fault's name.
    pub(crate) fn parse(text: &str) -> Marker {
        let mut pairs = BTreeMap::new();
        let (text, args) = match text.find("args=") {
            Some(at) => (text[..at].trim_end_matches([',', ' ']), Some(&text[at + 5..])),
            None => (text, None),
        };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or(("fault", part));
            pairs.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        if let Some(args) = args {
            pairs.insert("args".to_owned(), args.to_owned());
        }
        Marker(pairs)
    }

    /// The last order in a JSON body.
    pub(crate) fn in_body(body: &[u8]) -> Option<Marker> {
        let start = memchr::memmem::rfind(body, OPEN.as_bytes())? + OPEN.len();
        let len = memchr::memmem::find(&body[start..], CLOSE.as_bytes())?;
        let raw = std::str::from_utf8(&body[start..start + len]).ok()?;
        let text = serde_json::from_str::<String>(&format!("\"{raw}\"")).unwrap_or_else(|_| raw.to_owned());
        Some(Marker::parse(&text))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The order as text, the same for the same pairs.
    pub(crate) fn key(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value},")).collect()
    }
}

/// Whether there is an order in the text.
pub(crate) fn is_in(text: &str) -> bool {
    text.contains(OPEN)
}

/// The text without orders in it.
pub(crate) fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        out.push_str(&rest[..at]);
        let after = &rest[at + OPEN.len()..];
        rest = after.find(CLOSE).map_or("", |end| &after[end + CLOSE.len()..]);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_found_and_stripped() {
        let body = br#"{"messages":[{"content":"@@sim:fault=rate_limit@@ a @@sim:cut_stream, after=3,args={\"a\":\"b,c\"}@@"}]}"#;
        let marker = Marker::in_body(body).unwrap();
        assert_eq!(marker.get("fault"), Some("cut_stream"));
        assert_eq!(marker.number("after"), Some(3));
        assert_eq!(marker.get("args"), Some(r#"{"a":"b,c"}"#));
        assert_eq!(strip("hi @@sim:x@@ there@@sim:y"), "hi  there");
        assert_eq!(Marker::in_body(b"{}"), None);
    }
}
