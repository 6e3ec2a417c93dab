use proptest::prelude::*;

use super::*;

fn accepts(text: &[u8]) -> bool {
    check(text).is_ok()
}

#[test]
fn grammar() {
    let yes = ["{}", " [1, -0.5e+3 ,\"a\\u00e9\\ud83d\\ude00\"] ", "null", "0", "{\"a\":{\"b\":[[]]}}", "\"\""];
    let no = [
        "",
        "{",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        "-",
        "\"\n\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "tru",
        "{} {}",
        "[1 2]",
        "\"",
        "{\"a\" 1}",
        "\u{feff}{}",
        "NaN",
        "[1}",
        "{\"a\":1]",
    ];
    for t in yes {
        assert!(accepts(t.as_bytes()), "{t}");
    }
    for t in no {
        assert!(!accepts(t.as_bytes()), "{t}");
    }
    assert!(!accepts(b"\"\xff\""));
    assert_eq!(check("[".repeat(128).as_bytes()), Err(JsonError::TooDeep));
    for (levels, ok) in [(127, true), (128, false)] {
        let list = "[".repeat(levels) + &"]".repeat(levels);
        let nested = "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
        assert_eq!((accepts(list.as_bytes()), accepts(nested.as_bytes())), (ok, ok));
        assert_eq!(members(nested.as_bytes(), |_, _| Ok(())).is_ok(), ok, "counted from the top");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&nested).is_ok(), ok, "as deep as can be translated");
    }
}

#[test]
fn members_and_their_spans() {
    let text = br#" {"mod\u0065l" : "x", "n":[1,{"type":"image"}] } "#;
    let mut seen = vec![];
    let is_object = members(text, |m, s| {
        let start = s.at();
        let count = s.skip(&mut ())?;
        seen.push((m.name.into_owned(), String::from_utf8_lossy(&text[start..s.at()]).into_owned(), count));
        Ok(())
    });
    assert_eq!(is_object, Ok(true));
    assert_eq!(seen, [("model".into(), "\"x\"".into(), 0), ("n".into(), "[1,{\"type\":\"image\"}]".into(), 2)]);
    assert_eq!(members(b"[1]", |_, _| Ok(())), Ok(false));
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let bit = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just("\"a\"".to_owned()),
        Just("\"\\u0041\\n\"".to_owned()),
        Just("1".to_owned()),
        Just("-0.5e3".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just(" ".to_owned()),
        "[ -~]{0,4}",
    ];
    proptest::collection::vec(bit, 0..12).prop_map(|v| v.concat().into_bytes())
}

/// Members in order, repeated ones too.
struct Pairs(Vec<(String, Vec<u8>)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Pairs, D::Error> {
        struct Walk;
        impl<'de> serde::de::Visitor<'de> for Walk {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = vec![];
                while let Some((name, value)) = map.next_entry::<String, Box<serde_json::value::RawValue>>()? {
                    pairs.push((name, value.get().as_bytes().to_vec()));
                }
                Ok(Pairs(pairs))
            }
        }
        d.deserialize_map(Walk)
    }
}

fn objects() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("1"),
        Just("-0.5e3"),
        Just(" [ {\"a\" : [ ] } , \"\\u0041\\n\" ] "),
        Just("\"\\ud83d\\ude00 \u{e9}\""),
        Just("null"),
        Just("{}"),
        Just("{ \"type\" :\"image\"}"),
        Just("123456789012345678901234567890"),
        Just("\"0123456789012345678901234567890123456789012345678901234567890123456789\""),
    ];
    proptest::collection::vec(("[a-c]|\\\\u006[1-3]", value), 0..6).prop_map(|members| {
        let list: Vec<String> = members.iter().map(|(n, v)| format!(" \"{n}\" :{v}")).collect();
        format!(" {{{} }}\n", list.join(" ,")).into_bytes()
    })
}

proptest! {
    #[test]
    fn agrees_with_serde_json(text in soup()) {
        // serde_json also refuses numbers that no double holds, which are JSON all the same.
        let theirs = serde_json::from_slice::<serde_json::Value>(&text);
        prop_assume!(!theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range")));
        prop_assert_eq!(accepts(&text), theirs.is_ok(), "{}", String::from_utf8_lossy(&text));
    }

    /// Members and their spans are those that serde_json sees.
    #[test]
    fn spans_are_raw_values(text in objects()) {
        let mut ours = vec![];
        let is_object = members(&text, |m, s| {
            let start = s.at();
            s.skip(&mut ())?;
            ours.push((String::from_utf8(m.name.into_owned()).unwrap(), text[start..s.at()].to_vec()));
            Ok(())
        });
        prop_assert_eq!(is_object, Ok(true));
        let theirs: Pairs = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(ours, theirs.0);
    }

    #[test]
    fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = check(&text);
        let _ = members(&text, |_, _| Ok(()));
    }
}

#[test]
fn a_run_ends_at_the_first_special_byte_wherever_it_stands() {
    for size in 0..200 {
        for at in (0..size).step_by(if size > 40 { 7 } else { 1 }) {
            for (special, ends) in [
                (b'"', true),
                (b'\\', true),
                (0x1f, true),
                (0, true),
                (b'!', false),
                (0x7f, false),
                (0xc3, false),
                (0xff, false),
            ] {
                let mut text = vec![b'a'; size];
                text[at] = special;
                let mut high = false;
                let run = plain_run(&text, &mut high);
                assert_eq!(run, if ends { at } else { size }, "{special:#x} at {at} of {size}");
                assert_eq!(high, special >= 0x80, "{special:#x} at {at} of {size}");
            }
        }
    }
}

proptest! {
    #[test]
    fn runs_agree_with_a_plain_loop(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let want = text.iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20).unwrap_or(text.len());
        let mut high = false;
        prop_assert_eq!(plain_run(&text, &mut high), want);
        prop_assert_eq!(high, text[..want].iter().any(|b| *b >= 0x80));
    }
}
