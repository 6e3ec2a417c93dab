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

    /// A walk over leaves checks what a skip checks.
    #[test]
    fn leaves_are_checked_like_everything(text in prop_oneof![soup(), objects()], cut in 0usize..200) {
        let text = &text[..text.len().saturating_sub(cut % 3)];
        let walked = members(text, |_, s| if s.is_object() { s.leaves(|_, _, _| {}) } else { s.skip(&mut ()).map(|_| ()) });
        prop_assert_eq!(walked.is_ok(), check(text).is_ok(), "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = check(&text);
        let _ = members(&text, |_, _| Ok(()));
    }
}

/// Whatever stands in a string, at whatever place of a block: it ends where it ends, or the fault is found.
#[test]
fn strings_of_all_lengths() {
    let good: &[&[u8]] =
        &[b"", b"!", b"\x7f", "\u{e9}".as_bytes(), br#"\""#, br"\\", br"\n", br"\u0041", br"\uD83d\uDe00"];
    let bad: &[&[u8]] =
        &[b"\x00", b"\x1f", b"\n", br"\x", br"\u00g0", br"\ude00", br"\ud83d", br"\ud83d\n", br"\ud83d\u0041", b"\xff"];
    for before in 0..150 {
        for after in [0, 1, 5, 20, 70] {
            let around = |piece: &[u8]| [b"\"", &*vec![b'a'; before], piece, &*vec![b'b'; after], b"\""].concat();
            for piece in good {
                let text = around(piece);
                assert_eq!(check(&text), Ok(()), "{}", String::from_utf8_lossy(&text));
                assert!(check(&text[..text.len() - 1]).is_err(), "unended");
                let rest = [&*text, b" x"].concat();
                assert_eq!(check(&rest), Err(JsonError::Syntax(text.len() + 1)), "{}", String::from_utf8_lossy(&rest));
            }
            for piece in bad {
                let text = around(piece);
                let Err(JsonError::Syntax(at)) = check(&text) else {
                    panic!("accepted {}", String::from_utf8_lossy(&text))
                };
                // The second half of a pair is at fault, or the whole of an escape.
                assert!((before + 1..=before + 7).contains(&at), "{at} {}", String::from_utf8_lossy(&text));
                let among = [br#"{"a":"plain","#, &*text, br#":"plain too"}"#].concat();
                assert!(check(&among).is_err(), "{}", String::from_utf8_lossy(&among));
            }
        }
    }
}

proptest! {
    #[test]
    fn long_strings_agree_with_serde_json(
        pieces in proptest::collection::vec(
            prop_oneof![
                8 => "[ -!#-\\[\\]-~]{0,70}",
                4 => r#"\\["\\/bfnrt]"#,
                2 => r"\\u[0-9a-fA-F]{4}",
                1 => Just(r"\ud83d\ude00".to_owned()),
                1 => "[\u{80}-\u{10ffff}]{0,20}",
                1 => r"\\[a-z]?",
            ],
            0..20,
        ),
    ) {
        let text = format!("\"{}\"", pieces.concat()).into_bytes();
        let theirs = serde_json::from_slice::<String>(&text).is_ok();
        prop_assert_eq!(check(&text).is_ok(), theirs, "{}", String::from_utf8_lossy(&text));
    }
}

/// A string of `before` letters, `middle`, and some more letters.
fn around(before: usize, middle: &[u8]) -> Vec<u8> {
    ["\"".as_bytes(), &vec![b'a'; before], middle, &[b'b'; 70], b"\""].concat()
}

#[test]
fn each_two_bytes_are_utf8_or_not_wherever_they_stand() {
    for first in 0x7f..=0xff {
        for second in 0x7f..=0xff {
            let two = [first, second];
            for before in [16, 62, 63, 64, 126] {
                // What went before decides how closely is looked.
                for behind in ["", "\u{e9}"] {
                    let middle = [behind.as_bytes(), &two].concat();
                    let want = std::str::from_utf8(&middle).is_ok();
                    assert_eq!(accepts(&around(before, &middle)), want, "{two:x?} behind {before} and {behind:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn utf8_agrees_with_the_standard_library(
        pieces in proptest::collection::vec(
            prop_oneof![
                4 => proptest::collection::vec(Just(b'a'), 0..70),
                4 => "[\u{80}-\u{7ff}]{1,9}".prop_map(String::into_bytes),
                4 => "[\u{800}-\u{ffff}]{1,9}".prop_map(String::into_bytes),
                1 => "[\u{10000}-\u{10ffff}]{1,3}".prop_map(String::into_bytes),
                1 => proptest::collection::vec(0x80u8..=0xff, 1..3),
                // One that is cut.
                1 => "[\u{80}-\u{ffff}]".prop_map(|s| s.as_bytes()[..s.len() - 1].to_vec()),
            ],
            0..12,
        ),
    ) {
        let inside = pieces.concat();
        let text = [b"\"", &inside[..], b"\""].concat();
        let want = std::str::from_utf8(&inside).map_err(|e| JsonError::Syntax(1 + e.valid_up_to()));
        prop_assert_eq!(check(&text), want.map(|_| ()), "{:x?}", inside);
    }
}
