use std::{collections::BTreeSet, time::Duration};

use policy::snapshot::{BaseUrl, Ratio};
use proptest::prelude::*;
use regex::bytes::{Regex, RegexBuilder};

use super::{FORMS, Form, base_url, duration, forms, percent, ratio, temperature_milli};

#[test]
fn quantities_are_read_exactly() {
    for (text, want) in [("300ms", 300), ("5s", 5000), ("1m", 60_000), ("24h", 86_400_000), ("30d", 2_592_000_000)] {
        assert_eq!(duration(text), Some(Duration::from_millis(want)), "{text}");
    }
    for (text, want) in [("0", 0), ("1", 10_000), ("0.5", 5000), ("0.0001", 1), ("1.0", 10_000)] {
        assert_eq!(ratio(text), Some(Ratio(want)), "{text}");
    }
    assert_eq!(percent("99.95"), Some(Ratio(9995)));
    assert_eq!(percent("100"), Some(Ratio::ONE));
    assert_eq!(temperature_milli("0.25"), Some(250));
}

#[test]
fn forms_accept_and_refuse() {
    let rows: [(&Form, &[&str], &[&str]); 12] = [
        (
            &forms::SPAN,
            &["1ms", "300ms", "20s", "31d", "744h"],
            &["", "20", "5x", "0s", "32d", "745h", "1.5s", "-1s", "1h30m", " 1s", "1 s", "007s", "99999999999ms"],
        ),
        (&forms::WINDOW, &["5s", "5000ms", "24h", "31d"], &["4s", "4999ms", "32d", "0s"]),
        (
            &forms::USD,
            &["0", "2", "2.00", "0.000000001", "999999999.999999999"],
            &["", "-1", "1e3", "01", ".5", "1.", "1000000000", "0.0000000001", "1,5"],
        ),
        (&forms::PER_MTOK, &["0.10", "999999.999999"], &["1000000", "0.0000001"]),
        (&forms::RATIO, &["0", "0.2", "1.0000"], &["1.1", "2", "0.00001", "20%", "1.00001"]),
        (&forms::SHARE, &["0.0001", "1"], &["0", "0.0", "0.0000"]),
        (&forms::PERCENT, &["99.5", "100", "0"], &["100.01", "99.999", "101"]),
        (&forms::FACTOR, &["2", "1.25", "99.99", "0"], &["100", "1.255", "02"]),
        (&forms::TEMPERATURE, &["0", "0.2", "2.000"], &["2.1", "-1", "0.2345"]),
        (&forms::HEADER_NAME, &["x-intent", "X_a"], &["", "-x", "x y", "x:"]),
        (
            &forms::INSTANT,
            &["2027-01-31T18:00:00Z"],
            &["2027-01-31", "2027-13-01T00:00:00Z", "2027-01-31T18:00:00+01:00", "2027-01-31T24:00:00Z"],
        ),
        (&forms::API_PATH, &["/v1/batches", "/v1/a/b.c"], &["/v1", "/v1/", "/v2/x", "/v1/../x", "/v1/a/", "/v1/a?b"]),
    ];
    for (form, good, bad) in rows {
        for text in good {
            assert_eq!((form.judge)(text), Ok(()), "{text}");
        }
        for text in bad {
            assert!((form.judge)(text).is_err(), "{text:?} {}", form.pattern);
        }
    }
}

#[test]
fn urls_are_taken_apart_once() {
    let url =
        |tls, host: &str, port, prefix: &str| Some(BaseUrl { tls, host: host.into(), port, prefix: prefix.into() });
    let rows = [
        ("https://api.openai.com", url(true, "api.openai.com", 443, "")),
        ("https://api.openai.com/v1", url(true, "api.openai.com", 443, "")),
        ("https://api.openai.com/v1/", url(true, "api.openai.com", 443, "")),
        ("http://127.0.0.1:9100", url(false, "127.0.0.1", 9100, "")),
        ("http://vllm_0.ns.svc:8000/gpu/v1", url(false, "vllm_0.ns.svc", 8000, "/gpu")),
        ("https://[2001:db8::1]:8443/a/b/", url(true, "2001:db8::1", 8443, "/a/b")),
        ("http://h/v1beta", url(false, "h", 80, "/v1beta")),
    ];
    for (text, want) in rows {
        assert_eq!(base_url(text), want, "{text}");
    }
    let bad = [
        "",
        "api.openai.com",
        "ftp://h",
        "https://",
        "https://:80",
        "https://h:0",
        "https://h:65536",
        "https://h:",
        "https://u@h",
        "https://h?x",
        "https://h#x",
        "https://h/a b",
        "https://[::1",
        "https://[1.2.3.4]",
        "https://[::zz]",
        "https://-h",
        "HTTPS://h",
    ];
    for text in bad {
        assert_eq!(base_url(text), None, "{text}");
    }
}

#[test]
fn a_pattern_tells_its_form() {
    let patterns: BTreeSet<&str> = FORMS.iter().map(|form| form.pattern).collect();
    assert_eq!(patterns.len(), FORMS.len());
    let crd = crate::crd_yaml();
    for pattern in crd.lines().filter_map(|line| line.trim().strip_prefix("pattern: ")) {
        assert!(patterns.contains(pattern.trim_matches('\'')), "{pattern}");
    }
}

#[test]
fn the_schema_reserves_the_same_headers() {
    let pattern = format!("(?i)^({}|proxy-.*|x-llmroute-.*)$", forms::RESERVED.join("|"));
    let crd = crate::crd_yaml();
    assert_eq!(crd.matches("|proxy-.*|").count(), 4, "fixed headers, and hints for scene, tier and tenant");
    assert_eq!(crd.matches(&pattern).count(), 4, "{pattern}");
}

fn compiled() -> Vec<(&'static Form, Regex)> {
    let regex = |pattern| RegexBuilder::new(pattern).unicode(false).build().unwrap();
    FORMS.iter().map(|form| (*form, regex(form.pattern))).collect()
}

/// What the API server sees: pattern and length; the rule beside the pattern may refuse more.
fn agree(forms: &[(&Form, Regex)], text: &str) {
    for (form, regex) in forms {
        let theirs = regex.is_match(text.as_bytes());
        let ours = (form.judge)(text);
        if ours.is_ok() || form.extra.is_none() {
            assert_eq!(ours.is_ok(), theirs, "{text:?} {}", form.pattern);
        }
    }
}

const PARTS: [&str; 44] = [
    "0", "1", "2", "9", "00", "10", "99", "100", "655", "35", ".", "..", "-", "_", "~", "/", "/v1", "/v1/", ":", "[",
    "]", "::", "https://", "http://", "a", "Z", "f", "ms", "s", "m", "h", "d", " ", "\t", "\n", "é", "\u{a0}", "@",
    "?", "2027-01-", "T10:", ":00Z", "\x7f", "!",
];

proptest! {
    #[test]
    fn our_judgement_is_the_schemas(texts in prop::collection::vec(prop::collection::vec(prop::sample::select(&PARTS[..]), 0..7), 64)) {
        let forms = compiled();
        for text in texts {
            agree(&forms, &text.concat());
        }
    }
}
