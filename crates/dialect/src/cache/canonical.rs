//! A hash of what a JSON value means: member order, white space and the spelling of numbers and strings do not matter.

use std::borrow::Cow;

use ring::digest::{Context, SHA256};

use crate::walk::Walk;

/// SHA-256 of a value's meaning.
pub(super) type Hash = [u8; 32];

/// A hash of one kind of value; the kind is part of it.
pub(super) struct Hasher(Context);

impl Hasher {
    pub(super) fn new(kind: &[u8]) -> Hasher {
        let mut context = Context::new(&SHA256);
        context.update(kind);
        Hasher(context)
    }

    /// Adds bytes; only the last part may have any length.
    pub(super) fn add(mut self, bytes: &[u8]) -> Hasher {
        self.0.update(bytes);
        self
    }

    pub(super) fn finish(self) -> Hash {
        let mut out = [0; 32];
        out.iter_mut().zip(self.0.finish().as_ref()).for_each(|(out, byte)| *out = *byte);
        out
    }
}

/// Whether two checked texts are one value.
pub(crate) fn means_the_same(a: &[u8], b: &[u8]) -> bool {
    let hash = |text| value(&mut Walk::new(text, 0), &mut |_, _| {});
    hash(a) == hash(b)
}

/// Passes the value at hand of a checked text and hashes it. `note` sees each member that is a string, by name.
pub(super) fn value(walk: &mut Walk<'_>, note: &mut impl FnMut(&[u8], &str)) -> Hash {
    match walk.first() {
        b'{' => {
            let mut members = vec![];
            walk.members(|name, walk| members.push(member(name, walk, note)));
            object(members)
        }
        b'[' => {
            let mut hashes = vec![];
            walk.elements(|walk| hashes.push(value(walk, note)));
            hashes.iter().fold(Hasher::new(b"["), |h, hash| h.add(hash)).finish()
        }
        b'"' => text(&walk.string().unwrap_or_default()),
        b'-' | b'0'..=b'9' => Hasher::new(b"0").add(&number(walk.skip())).finish(),
        _ => Hasher::new(b"w").add(walk.skip()).finish(),
    }
}

/// Passes the value of a member and hashes both.
pub(super) fn member(name: &[u8], walk: &mut Walk<'_>, note: &mut impl FnMut(&[u8], &str)) -> (Hash, Hash) {
    let value = match walk.first() {
        b'"' => {
            let string = walk.string().unwrap_or_default();
            note(name, &string);
            text(&string)
        }
        _ => value(walk, note),
    };
    (Hasher::new(b"n").add(name).finish(), value)
}

/// The hash of an object with these members, in any order.
pub(super) fn object(mut members: Vec<(Hash, Hash)>) -> Hash {
    members.sort_unstable();
    members.iter().fold(Hasher::new(b"{"), |h, (name, value)| h.add(name).add(value)).finish()
}

fn text(text: &str) -> Hash {
    Hasher::new(b"\"").add(text.as_bytes()).finish()
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
        value(&mut Walk::new(text.as_bytes(), 0), &mut |_, _| {})
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
