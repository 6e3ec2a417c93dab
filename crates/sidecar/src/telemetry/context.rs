//! W3C trace context: what a caller's `traceparent` says, what we say onward, and `rt_…` ids.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use crate::{clock, headers::List};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A caller's span that ours join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) sampled: bool,
}

/// The caller's span, if it sends one valid `traceparent`; a malformed or repeated one is as good as none.
pub(super) fn parent(headers: &List) -> Option<Parent> {
    let mut values = headers.get_all(&TRACEPARENT);
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    parse(value.as_bytes())
}

fn parse(text: &[u8]) -> Option<Parent> {
    let version = read_hex(text.get(..2)?)?;
    let shape = text.len() == 55 || (version > 0 && text.get(55) == Some(&b'-'));
    let dashes = [2, 35, 52].iter().all(|i| text.get(*i) == Some(&b'-'));
    if version == 0xff || !shape || !dashes {
        return None;
    }
    let trace_id = read_hex(&text[3..35])?;
    let span_id = read_hex(&text[36..52])? as u64;
    let sampled = read_hex(&text[53..55])? & 1 == 1;
    (trace_id != 0 && span_id != 0).then_some(Parent { trace_id, span_id, sampled })
}

/// Lower-case hex only, as the specification demands.
fn read_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// `00-<trace id>-<span id>-<flags>`.
pub(super) fn traceparent(trace_id: u128, span_id: u64, sampled: bool) -> Option<HeaderValue> {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&trace_id.to_be_bytes(), &mut text[3..35]);
    write_hex(&span_id.to_be_bytes(), &mut text[36..52]);
    text[54] += u8::from(sampled);
    HeaderValue::from_bytes(&text).ok()
}

/// `rt_YYYYMMDD_<32 hex>`, in ASCII.
pub(super) fn id(trace_id: u128, began: Duration) -> [u8; 44] {
    let mut text = *b"rt_00000000_00000000000000000000000000000000";
    text[3..11].copy_from_slice(&clock::date(began));
    write_hex(&trace_id.to_be_bytes(), &mut text[12..]);
    text
}

/// Written by hand: every request has two of these, and `format!` costs ten times as much.
fn write_hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in bytes.iter().zip(into.as_chunks_mut().0) {
        *digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_parent_is_joined() {
        let want = Parent {
            trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            span_id: 0x00f0_67aa_0ba9_02b7,
            sampled: true,
        };
        let unsampled = Parent { sampled: false, ..want };
        for (text, want) in [
            (GOOD.to_owned(), want),
            (GOOD.replace("-01", "-00"), unsampled),
            (GOOD.replace("-01", "-03"), want),
            (GOOD.replace("-01", "-ff"), want),
            (GOOD.replace("-01", "-02"), unsampled),
            (GOOD.replacen("00-", "cc-", 1), want),
            (GOOD.replacen("00-", "cc-", 1) + "-what-comes-later", want),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(want), "{text}");
        }
    }

    #[test]
    fn anything_else_starts_a_trace_of_our_own() {
        for text in [
            String::new(),
            "00".into(),
            GOOD.replacen("00-", "ff-", 1),
            GOOD.replacen("00-", "0x-", 1),
            GOOD.to_uppercase(),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
            GOOD.replace("4bf9", "4Bf9"),
            GOOD.replace("4bf9", "4bg9"),
            GOOD.replace('-', "_"),
            GOOD[..54].into(),
            format!("{GOOD}0"),
            format!("{GOOD}-00"),
            format!("{}x", GOOD.replacen("00-", "cc-", 1)),
            format!(" {GOOD}"),
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn fuzz_traceparents() {
        let later = format!("{}-what-comes-later", GOOD.replacen("00-", "cc-", 1));
        let seeds = [GOOD.to_owned(), GOOD.replace("-01", "-fe"), later, GOOD.to_uppercase()];
        crate::fuzz::run_over(
            "traceparents",
            |mutator| mutator.raw(&seeds),
            |input, _| {
                if let Some(parent) = parse(input) {
                    let said = traceparent(parent.trace_id, parent.span_id, parent.sampled).unwrap();
                    assert_eq!(parse(said.as_bytes()), Some(parent));
                    // Versions and flags are the caller's; the ids are taken as they stand.
                    assert_eq!(said.as_bytes()[2..53], input[2..53]);
                }
                input.len() > 2 && read_hex(&input[..2]).is_some() && input[2] == b'-'
            },
        );
    }

    #[test]
    fn a_repeated_header_is_none() {
        let mut headers = List::default();
        headers.add(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert!(parent(&headers).is_some());
        headers.add(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(parent(&headers), None);
    }

    #[test]
    fn texts() {
        let said = traceparent(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, true);
        assert_eq!(said.unwrap(), GOOD);
        assert_eq!(traceparent(1, 1, false).unwrap(), "00-00000000000000000000000000000001-0000000000000001-00");
        assert_eq!(id(0xabc, Duration::from_secs(1_795_507_199)), *b"rt_20261124_00000000000000000000000000000abc");
    }
}
