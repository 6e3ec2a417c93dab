//! A body is the caller's bytes plus a list of edits; what no edit touches is never copied.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::{
    Dialect,
    capability::{Capability, Limit},
    head::Head,
    json::{self, Span},
};

/// Replacements in the order of their places, none overlapping.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    list: Vec<(Span, Bytes)>,
}

impl Edits {
    /// Puts `model` on the wire.
    pub fn set_model(&mut self, head: &Head, model: &str) {
        let value = quoted(model);
        match &head.spots.model {
            Some(span) => self.replace(span.clone(), value),
            None => self.insert(head, "model", &value),
        }
    }

    /// Puts an output limit on the wire, under the name that the model takes; an older name gives way.
    pub fn set_max_tokens(&mut self, head: &Head, dialect: Dialect, limit: u64, capability: &Capability) {
        let name = match dialect {
            Dialect::Chat if capability.limit == Limit::Old => "max_tokens",
            Dialect::Chat => "max_completion_tokens",
            Dialect::Responses => "max_output_tokens",
            Dialect::Messages => "max_tokens",
        };
        let limits = &head.spots.limits;
        match limits.iter().find(|(n, _)| *n == name) {
            Some((_, span)) => self.replace(span.clone(), limit.to_string()),
            None => self.insert(head, name, &limit.to_string()),
        }
        // Both names at once are refused; null is none.
        for (_, other) in limits.iter().filter(|(n, _)| *n != name) {
            self.replace(other.clone(), "null".into());
        }
    }

    /// Lowers the caller's output limit to the longest answer of the model that is asked, which refuses a higher one; the
    /// member that says less then than the caller wrote.
    pub fn lower_max_tokens(
        &mut self,
        head: &Head,
        dialect: Dialect,
        most: u64,
        capability: &Capability,
    ) -> Option<&'static str> {
        head.max_tokens.filter(|own| *own > most)?;
        self.set_max_tokens(head, dialect, most, capability);
        head.spots.limit
    }

    /// Chat: asks for the stream's usage chunk.
    pub fn set_include_usage(&mut self, head: &Head, body: &[u8]) {
        const ASKED: &str = "{\"include_usage\":true}";
        let Some(span) = &head.spots.stream_options else {
            return self.insert(head, "stream_options", ASKED);
        };
        let mut empty = true;
        let mut own = None;
        json::members_within(body, span, |m| {
            empty = false;
            if m.name.as_ref() == b"include_usage" {
                own = Some(m.value);
            }
        });
        match own {
            Some(value) => self.replace(value, "true".into()),
            None if empty => self.replace(span.clone(), ASKED.into()),
            None => self.replace(span.start + 1..span.start + 1, "\"include_usage\":true,".into()),
        }
    }

    /// Responses: to be answered at once, not in the background.
    pub fn set_foreground(&mut self, head: &Head) {
        if let Some(span) = &head.spots.background {
            self.replace(span.clone(), "false".into());
        }
    }

    /// Gives the member of that name the value, a JSON text; `own` is the place of the value that it has.
    pub(crate) fn set_member(&mut self, head: &Head, name: &str, own: Option<&Span>, value: &str) {
        match own {
            Some(span) => self.replace(span.clone(), value.to_owned()),
            None => self.insert(head, name, value),
        }
    }

    /// Gives the value at a place another text.
    pub(crate) fn set_value(&mut self, own: Span, value: &str) {
        self.replace(own, value.to_owned());
    }

    /// Takes bytes out, and with them what was to be changed within.
    pub(crate) fn cut(&mut self, span: Span) {
        self.list.retain(|(s, _)| s.start <= span.start || s.end > span.end);
        self.replace(span, String::new());
    }

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes of the edited body, of one that has `body` bytes now.
    #[must_use]
    pub fn len_of(&self, body: usize) -> usize {
        self.list.iter().fold(body, |len, (span, with)| (len + with.len()).saturating_sub(span.len()))
    }

    fn insert(&mut self, head: &Head, name: &str, value: &str) {
        let open = head.spots.open;
        let member = format!("\"{name}\":{value}");
        let name = &member.as_bytes()[..name.len() + 3];
        // A member that was put in before gets the new value.
        if let Some((_, own)) = self.list.iter_mut().find(|(s, w)| *s == (open..open) && w.starts_with(name)) {
            let comma = if own.ends_with(b",") { "," } else { "" };
            *own = (member + comma).into();
            return;
        }
        // In an empty body the member that was put first has none behind it.
        let first = self.list.iter().all(|(span, _)| span.start != open);
        let comma = if head.spots.empty && first { "" } else { "," };
        self.replace(open..open, member + comma);
    }

    /// Takes members of the outermost object out with their commas, given from the quote of the name to the end of the
    /// value; one that has no other member beside it stays.
    pub(crate) fn cut_members(&mut self, body: &[u8], mut members: Vec<Span>) {
        members.sort_by_key(|m| m.start);
        let mut cuts: Vec<Span> = vec![];
        let at = |i: usize| body.get(i).copied().unwrap_or_default();
        for mut cut in members {
            let mut end = cut.end;
            while at(end).is_ascii_whitespace() {
                end += 1;
            }
            if at(end) == b',' {
                cut.end = end + 1;
            } else {
                // The last one: the comma before it goes too, and with it what was cut behind that.
                let mut kept = cuts.len();
                loop {
                    match kept.checked_sub(1).and_then(|i| cuts.get(i)) {
                        Some(before) if before.end >= cut.start => (cut.start, kept) = (before.start, kept - 1),
                        _ if cut.start > 0 && at(cut.start - 1).is_ascii_whitespace() => cut.start -= 1,
                        _ => break,
                    }
                }
                match cut.start.checked_sub(1).map(at) {
                    Some(b',') => cut.start -= 1,
                    _ => continue,
                }
                cuts.truncate(kept);
            }
            cuts.push(cut);
        }
        cuts.into_iter().for_each(|cut| self.cut(cut));
    }

    /// The last edit of a place wins; insertions at one place stay side by side, later ones before earlier ones.
    pub(crate) fn replace(&mut self, span: Span, with: String) {
        // What is put in at a place stands before what is taken out from there on.
        let is_before = |s: &Span| s.start < span.start || (s.start == span.start && s.is_empty() && !span.is_empty());
        let at = self.list.partition_point(|(s, _)| is_before(s));
        match self.list.get_mut(at) {
            Some((own, old)) if *own == span && !span.is_empty() => *old = with.into(),
            _ => self.list.insert(at, (span, with.into())),
        }
    }

    /// The edited body, in pieces.
    #[must_use]
    pub fn apply(&self, body: &Bytes) -> Vec<Bytes> {
        let mut out = Vec::with_capacity(2 * self.list.len() + 1);
        let mut from = 0;
        for (span, with) in &self.list {
            if span.start > from {
                out.push(body.slice(from..span.start));
            }
            if !with.is_empty() {
                out.push(with.clone());
            }
            from = span.end;
        }
        if from < body.len() {
            out.push(body.slice(from..));
        }
        out
    }
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote(text, &mut out);
    out
}

/// Puts `text` as a JSON string behind `out`.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, from) = rest.split_at(json::plain_length(rest.as_bytes()));
        out.push_str(plain);
        let mut chars = from.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(other) => _ = write!(out, "\\u{:04x}", u32::from(other)),
            None => break,
        }
        rest = chars.as_str();
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capability, head::read_head};

    fn edited(body: &'static str, edit: impl Fn(&mut Edits, &Head)) -> String {
        let head = read_head(Dialect::Chat, body.as_bytes()).unwrap();
        let mut edits = Edits::default();
        edit(&mut edits, &head);
        let pieces = edits.apply(&Bytes::from_static(body.as_bytes()));
        assert_eq!(edits.len_of(body.len()), pieces.iter().map(Bytes::len).sum::<usize>());
        assert!(pieces.iter().all(|p| !p.is_empty()), "each piece is a write");
        String::from_utf8(pieces.concat()).unwrap()
    }

    proptest::proptest! {
        #[test]
        fn a_quoted_text_is_as_the_json_library_has_it(text in "[a-c\"\\\\\u{0}-\u{20}\u{7f}\u{e9}\u{2028}\u{1f600}]{0,20}") {
            proptest::prop_assert_eq!(quoted(&text), serde_json::Value::from(text.as_str()).to_string());
        }
    }

    #[test]
    fn edits_touch_nothing_else() {
        let odd = r#" { "n" : 1 , "model" :  "a" , "big":123456789012345678901234567890, "x":"\u00e9" } "#;
        assert_eq!(edited(odd, |e, h| e.set_model(h, "b\"")), odd.replace("\"a\"", "\"b\\\"\""));
        assert_eq!(edited("{}", |e, h| e.set_model(h, "m")), r#"{"model":"m"}"#);
        assert_eq!(edited(r#"{"n":1}"#, |e, h| e.set_model(h, "m")), r#"{"model":"m","n":1}"#);
    }

    #[test]
    fn the_background_is_left() {
        let rows = [
            (r#"{"background": true,"x":1}"#, true, r#"{"background": false,"x":1}"#),
            (r#"{"background":null}"#, false, r#"{"background":false}"#),
            (r#"{"x":{"background":true}}"#, false, r#"{"x":{"background":true}}"#),
        ];
        for (body, asked, want) in rows {
            let head = read_head(Dialect::Responses, body.as_bytes()).unwrap();
            let mut edits = Edits::default();
            edits.set_foreground(&head);
            assert_eq!((head.background, edits.apply(&Bytes::from(body)).concat()), (asked, want.into()), "{body}");
        }
    }

    #[test]
    fn nothing_is_no_piece() {
        assert!(Edits::default().apply(&Bytes::new()).is_empty());
        assert_eq!(Edits::default().apply(&Bytes::from_static(b"{}")), ["{}"]);
    }

    #[test]
    fn a_limit_stands_once_under_the_name_the_model_takes() {
        let limited = |model: &str, body: &'static str| {
            let can = capability(model);
            edited(body, |e, h| e.set_max_tokens(h, Dialect::Chat, 9, can))
        };
        let rows = [
            ("gpt-6-sol", r#"{"n":1}"#, r#"{"max_completion_tokens":9,"n":1}"#),
            ("gpt-4o", r#"{"n":1}"#, r#"{"max_tokens":9,"n":1}"#),
            ("gpt-6-sol", r#"{"max_completion_tokens":null}"#, r#"{"max_completion_tokens":9}"#),
            ("gpt-6-sol", r#"{"max_tokens":50}"#, r#"{"max_completion_tokens":9,"max_tokens":null}"#),
            (
                "gpt-6-sol",
                r#"{"max_tokens":50,"max_completion_tokens":60}"#,
                r#"{"max_tokens":null,"max_completion_tokens":9}"#,
            ),
        ];
        for (model, body, want) in rows {
            assert_eq!(limited(model, body), want, "{model} {body}");
        }
    }

    /// Any edits of any body change the members they name and nothing else.
    #[test]
    fn all_edits_together() {
        let body = r#"{"stream_options":{"x":1},"model":"a","max_tokens":1,"x":1}"#;
        let all = edited(body, |e, h| {
            e.set_include_usage(h, body.as_bytes());
            e.set_max_tokens(h, Dialect::Chat, 9, capability("gpt-6-sol"));
            e.set_model(h, "b");
        });
        assert_eq!(
            all,
            r#"{"max_completion_tokens":9,"stream_options":{"include_usage":true,"x":1},"model":"b","max_tokens":null,"x":1}"#
        );
        let bare = edited("{}", |e, h| {
            e.set_model(h, "b");
            e.set_max_tokens(h, Dialect::Chat, 9, capability("gpt-6-sol"));
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&bare).unwrap()["model"], "b");
    }

    #[test]
    fn the_last_edit_of_a_member_wins() {
        for body in ["{}", r#"{"x":1}"#, r#"{"max_tokens":50,"model":"a"}"#] {
            let twice = edited(body, |e, h| {
                for (model, limit) in [("b", 9), ("c", 7)] {
                    e.set_model(h, model);
                    e.set_max_tokens(h, Dialect::Chat, limit, capability("gpt-6-sol"));
                }
            });
            let once = edited(body, |e, h| {
                e.set_model(h, "c");
                e.set_max_tokens(h, Dialect::Chat, 7, capability("gpt-6-sol"));
            });
            assert_eq!(twice, once);
        }
    }

    #[test]
    fn usage_is_asked_for_once() {
        let ask = |body: &'static str| edited(body, |e, h| e.set_include_usage(h, body.as_bytes()));
        assert_eq!(ask(r#"{"stream":true}"#), r#"{"stream_options":{"include_usage":true},"stream":true}"#);
        assert_eq!(
            ask(r#"{"stream_options":{"include_usage":false}}"#),
            r#"{"stream_options":{"include_usage":true}}"#
        );
        assert_eq!(ask(r#"{"stream_options":{"x":1}}"#), r#"{"stream_options":{"include_usage":true,"x":1}}"#);
        assert_eq!(ask(r#"{"stream_options":{ }}"#), r#"{"stream_options":{"include_usage":true}}"#);
        assert_eq!(ask(r#"{"stream_options":null}"#), r#"{"stream_options":{"include_usage":true}}"#);
    }
}
