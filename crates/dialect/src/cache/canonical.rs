//! One form for what a JSON value means: member order, white space and the spelling of numbers and strings do not matter.
//!
//! A value is a byte for its kind and what tells it from others of the kind, so that no two values share a form. Long
//! strings and arrays stand as their hash, so that the form of a large body is small.

use std::{borrow::Cow, ops::Range};

use ring::digest::{Context, SHA256, digest};

use crate::walk::Walk;

/// SHA-256.
pub(super) type Hash = [u8; 32];

/// Longest string that stands as it is.
const SHORT: usize = 64;

/// Bytes of an array's elements that are gathered before they are hashed.
const GATHERED: usize = 4096;

/// A form as it grows.
#[derive(Default)]
pub(super) struct Form(Vec<u8>);

/// Whether two checked texts are one value.
pub(crate) fn means_the_same(a: &[u8], b: &[u8]) -> bool {
    let form = |text| {
        let mut form = Form::default();
        form.value(&mut Walk::new(text, 0), &mut |_, _| {});
        form.0
    };
    form(a) == form(b)
}

impl Form {
    /// Of everything that was added.
    pub(super) fn hash(&self, kind: &[u8]) -> Hash {
        let mut context = Context::new(&SHA256);
        context.update(kind);
        context.update(&self.0);
        let mut out = [0; 32];
        out.iter_mut().zip(context.finish().as_ref()).for_each(|(out, byte)| *out = *byte);
        out
    }

    /// Passes the value at hand of a checked text and adds it. `note` sees each member that is a string, by name.
    pub(super) fn value(&mut self, walk: &mut Walk<'_>, note: &mut impl FnMut(&[u8], &str)) {
        match walk.first() {
            b'{' => {
                self.0.push(b'{');
                let mut places = vec![];
                walk.members(|name, walk| places.push(self.member(name, walk, note)));
                self.object(places);
            }
            b'[' => self.array(walk, note),
            b'"' => self.text(b'"', walk.string().unwrap_or_default().as_bytes()),
            b'-' | b'0'..=b'9' => self.text(b'0', &number(walk.skip())),
            _ => self.text(b'w', walk.skip()),
        }
    }

    /// Passes the value of a member and adds both; where they stand.
    pub(super) fn member(
        &mut self,
        name: &[u8],
        walk: &mut Walk<'_>,
        note: &mut impl FnMut(&[u8], &str),
    ) -> Range<usize> {
        let start = self.0.len();
        self.text(b'"', name);
        if walk.first() == b'"' {
            let string = walk.string().unwrap_or_default();
            note(name, &string);
            self.text(b'"', string.as_bytes());
        } else {
            self.value(walk, note);
        }
        start..self.0.len()
    }

    /// Makes the members that were added last one object, whatever their order was.
    pub(super) fn object(&mut self, mut places: Vec<Range<usize>>) {
        let start = places.first().map_or(self.0.len(), |first| first.start);
        let in_order = |a: &Range<usize>, b: &Range<usize>| self.0[a.clone()] <= self.0[b.clone()];
        if !places.is_sorted_by(in_order) {
            places.sort_unstable_by(|a, b| self.0[a.clone()].cmp(&self.0[b.clone()]));
            let sorted: Vec<u8> = places.into_iter().flat_map(|place| self.0[place].iter().copied()).collect();
            self.0.truncate(start);
            self.0.extend(sorted);
        }
        self.0.push(b'}');
    }

    fn array(&mut self, walk: &mut Walk<'_>, note: &mut impl FnMut(&[u8], &str)) {
        self.0.push(b'[');
        let start = self.0.len();
        let mut hashed: Option<Context> = None;
        walk.elements(|walk| {
            self.value(walk, note);
            if self.0.len() - start > GATHERED {
                hashed.get_or_insert_with(|| Context::new(&SHA256)).update(&self.0[start..]);
                self.0.truncate(start);
            }
        });
        if let Some(mut hashed) = hashed {
            hashed.update(&self.0[start..]);
            self.0.truncate(start);
            self.0.push(b'#');
            self.0.extend(hashed.finish().as_ref());
        }
        self.0.push(b']');
    }

    fn text(&mut self, kind: u8, text: &[u8]) {
        self.0.push(kind);
        if text.len() > SHORT {
            // No length of a short one.
            self.0.push(u8::MAX);
            self.0.extend(digest(&SHA256, text).as_ref());
        } else {
            self.0.push(text.len() as u8);
            self.0.extend(text);
        }
    }
}

/// One spelling for each number: sign, digits without zeros at either end, power of ten. Exact, since no float holds it.
fn number(text: &[u8]) -> Cow<'_, [u8]> {
    let (negative, rest) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (mantissa, power) = match rest.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(i) => (&rest[..i], std::str::from_utf8(&rest[i + 1..]).ok().and_then(|p| p.parse::<i64>().ok())),
        None => (rest, Some(0)),
    };
    // A power beyond all measure stands as it is written.
    let Some(power) = power.filter(|p| p.unsigned_abs() < 1 << 40) else { return text.into() };
    let point = mantissa.iter().position(|b| *b == b'.');
    let fraction = point.map_or(0, |i| mantissa.len() - i - 1);
    let digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
    let kept = digits.iter().rposition(|b| *b != b'0').map_or(0, |i| i + 1);
    let leading = digits.iter().take_while(|b| **b == b'0').count().min(kept);
    if kept == 0 {
        return Cow::Borrowed(b"0");
    }
    let power = power - fraction as i64 + (digits.len() - kept) as i64;
    let mut out = Vec::with_capacity(kept + 8);
    out.extend(negative.then_some(b'-'));
    out.extend(&digits[leading..kept]);
    out.extend(format!("e{power}").bytes());
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn hash(text: &str) -> Hash {
        let mut form = Form::default();
        form.value(&mut Walk::new(text.as_bytes(), 0), &mut |_, _| {});
        form.hash(b"")
    }

    /// Long arrays and strings, whose forms are hashes, differ by any part of them, and by none else.
    #[test]
    fn length_does_not_matter() {
        let list = |n: usize, at: usize, what: &str| {
            let one = |i| if i == at { what.to_owned() } else { format!("{{\"n\":{i},\"t\":\"x\"}}") };
            format!("[{}]", (0..n).map(one).collect::<Vec<_>>().join(","))
        };
        for n in [10, 400, 2000] {
            let plain = hash(&list(n, n, ""));
            for at in [0, n / 2, n - 1] {
                assert_eq!(hash(&list(n, at, &format!("{{ \"t\":\"x\",\"n\":{at}.0 }}"))), plain);
                assert_ne!(hash(&list(n, at, "{}")), plain);
            }
            assert_ne!(hash(&list(n + 1, n + 1, "")), plain);
        }
        for n in [63, 64, 65, 300] {
            let plain = hash(&format!("\"{}a\"", "x".repeat(n)));
            assert_ne!(hash(&format!("\"{}b\"", "x".repeat(n))), plain);
            assert_eq!(hash(&format!("\"{}\\u0061\"", "x".repeat(n))), plain);
        }
    }

    #[test]
    fn spelling_does_not_matter() {
        let same: &[&[&str]] = &[
            &["1", "1.0", "1e0", "10e-1", "0.1E+1", "1.000"],
            &["0", "-0", "0.0", "0e9", "-0.0e-3"],
            &["-120", "-1.2e2", "-1200e-1"],
            &["12345678901234567890123", "12345678901234567890123.0"],
            &[r#""é""#, r#""\u00e9""#],
            &[r#""a/b""#, r#""a\/b""#, r#" "\u0061/b" "#],
            &[r#"{"a":1,"b":[1,{}]}"#, r#" { "b" : [ 1.0 , { } ] , "\u0061" : 1 } "#],
        ];
        for row in same {
            assert!(row.iter().all(|text| hash(text) == hash(row[0])), "{row:?}");
        }
        let all: Vec<Hash> = same.iter().map(|row| hash(row[0])).collect();
        assert!((0..all.len()).all(|i| !all[..i].contains(&all[i])));
    }

    #[test]
    fn meaning_does() {
        let rows = [
            ("1", "\"1\""),
            ("1", "10"),
            ("1", "-1"),
            ("0.1", "0.01"),
            ("12345678901234567890123", "12345678901234567890124"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            ("null", "\"null\""),
            ("null", "false"),
            ("[]", "{}"),
            ("[]", "null"),
            ("[1,2]", "[2,1]"),
            ("[[1],2]", "[[1,2]]"),
            (r#"["a","b",{"x":"y"}]"#, r#"[{"a":"b","x":"y"}]"#),
            ("[\"ab\",\"c\"]", "[\"a\",\"bc\"]"),
            (r#"{"a":"b"}"#, r#"{"b":"a"}"#),
            (r#"{"a":"b"}"#, r#"["a","b"]"#),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":{"b":1},"c":2}"#, r#"{"a":{"b":1,"c":2}}"#),
        ];
        for (a, b) in rows {
            assert_ne!(hash(a), hash(b), "{a} {b}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1000i32..1000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
            "[a\"\\\\\u{e9}\n]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let pairs = prop::collection::vec(("[ab\u{e9}]{0,2}", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                pairs.prop_map(|p| Value::Object(p.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    /// The same, spelled otherwise.
    fn respelled(v: &Value) -> String {
        match v {
            Value::Object(map) => {
                let members: Vec<String> = map
                    .iter()
                    .rev()
                    .map(|(k, v)| format!("{} :{}", respelled(&k.as_str().into()), respelled(v)))
                    .collect();
                format!("{{ {} }}", members.join("\t,"))
            }
            Value::Array(list) => format!("[\n{}]", list.iter().map(respelled).collect::<Vec<_>>().join(" , ")),
            Value::String(s) => format!("\"{}\"", s.encode_utf16().map(|u| format!("\\u{u:04X}")).collect::<String>()),
            Value::Number(n) if n.is_i64() => format!("{n}0e-1"),
            Value::Number(n) => format!("{n}000E0"),
            _ => v.to_string(),
        }
    }

    proptest! {
        #[test]
        fn equal_is_equal_and_nothing_else(a in json(), b in json()) {
            prop_assert_eq!(hash(&a.to_string()), hash(&respelled(&a)));
            // 2.0 and 2 are one number to us, two to the JSON library.
            let one = |v: &Value| serde_json::to_string(v).unwrap().replace(".0,", ",").replace(".0]", "]").replace(".0}", "}");
            let same = a == b || one(&Value::from(vec![a.clone()])) == one(&Value::from(vec![b.clone()]));
            prop_assert_eq!(hash(&a.to_string()) == hash(&b.to_string()), same);
        }
    }
}
