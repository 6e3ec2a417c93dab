//! The forms: one row a kind of string, with the pattern for the API server beside the function that we run.

use policy::money;

use super::{Extra, Form, quantity, url};
use crate::when;

/// Every form, so that the walker finds one by its pattern.
pub(crate) const FORMS: [&Form; 22] = [
    &API_PATH,
    &FACTOR,
    &HEADER_NAME,
    &HEADER_VALUE,
    &INSTANT,
    &KEY_NAME,
    &LABEL_KEY,
    &LABEL_VALUE,
    &MODEL_NAME,
    &NAME,
    &OBJECT_NAME,
    &PER_MTOK,
    &PERCENT,
    &RATIO,
    &REASON,
    &SHARE,
    &SPAN,
    &TEMPERATURE,
    &URL,
    &USD,
    &WHEN,
    &WINDOW,
];

const UNITS: &str = "write a number with ms, s, m, h or d, such as 20s";

/// A form without [`Extra`].
const fn form(
    pattern: &'static str,
    max_length: usize,
    judge: fn(&str) -> Result<(), &'static str>,
    remedy: &'static str,
) -> Form {
    Form { pattern, max_length, extra: None, judge, remedy }
}

pub(super) const SPAN: Form = Form {
    pattern: r"^([1-9][0-9]{0,9}ms|[1-9][0-9]{0,6}s|[1-9][0-9]{0,4}m|[1-9][0-9]{0,2}h|[1-9][0-9]?d)$",
    max_length: 16,
    extra: Some(Extra {
        format: Some("duration"),
        rule: "self >= duration('1ms') && self <= duration('744h')",
        message: "must be from 1ms to 31d",
    }),
    judge: |s| duration_between(s, 1, "is shorter than 1ms"),
    remedy: UNITS,
};

pub(super) const WINDOW: Form = Form {
    pattern: r"^([1-9][0-9]{3,9}ms|[1-9][0-9]{0,6}s|[1-9][0-9]{0,4}m|[1-9][0-9]{0,2}h|[1-9][0-9]?d)$",
    max_length: 16,
    extra: Some(Extra {
        format: Some("duration"),
        rule: "self >= duration('5s') && self <= duration('744h')",
        message: "must be from 5s to 31d",
    }),
    judge: |s| duration_between(s, 5000, "is shorter than 5s"),
    remedy: "write a number with s, m, h or d from 5s to 31d, such as 24h",
};

pub(super) const USD: Form = form(
    r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$",
    19,
    |s| given(whole_digits(s, 9) && money::Usd::parse(s).is_ok(), "is not an amount of USD"),
    "write a decimal string with at most nine decimals, such as \"2.50\"",
);

pub(super) const PER_MTOK: Form = form(
    r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,6})?$",
    13,
    |s| {
        let ok = whole_digits(s, 6) && money::PerToken::parse_per_million(s).is_ok();
        given(ok, "is not a price in USD per million tokens")
    },
    "write a decimal string with at most six decimals, such as \"2.50\"",
);

pub(super) const RATIO: Form = form(
    r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$",
    6,
    |s| given(whole_digits(s, 1) && quantity::ratio(s).is_some(), "is not a share from 0 to 1"),
    "write a decimal string with at most four decimals, such as \"0.25\"",
);

pub(super) const SHARE: Form = form(
    r"^(1(\.0{1,4})?|0\.([1-9][0-9]{0,3}|0[1-9][0-9]{0,2}|00[1-9][0-9]?|000[1-9]))$",
    6,
    |s| {
        let positive = quantity::ratio(s).is_some_and(|r| r.0 > 0);
        given(whole_digits(s, 1) && positive, "is not a share above 0, up to 1")
    },
    "write a decimal string with at most four decimals, such as \"0.5\"",
);

pub(super) const PERCENT: Form = form(
    r"^(100(\.0{1,2})?|(0|[1-9][0-9]?)(\.[0-9]{1,2})?)$",
    6,
    |s| given(whole_digits(s, 3) && quantity::percent(s).is_some(), "is not a percentage from 0 to 100"),
    "write a decimal string with at most two decimals, such as \"99.5\"",
);

pub(super) const FACTOR: Form = form(
    r"^(0|[1-9][0-9]?)(\.[0-9]{1,2})?$",
    5,
    |s| given(whole_digits(s, 2) && quantity::factor_percent(s).is_some(), "is not a factor below 100"),
    "write a decimal string with at most two decimals, such as \"1.5\"",
);

pub(super) const TEMPERATURE: Form = form(
    r"^([01](\.[0-9]{1,3})?|2(\.0{1,3})?)$",
    5,
    |s| given(whole_digits(s, 1) && quantity::temperature_milli(s).is_some(), "is not a temperature from 0 to 2"),
    "write a decimal string with at most three decimals, such as \"0.2\"",
);

pub(super) const NAME: Form = form(
    r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$",
    63,
    |s| given(between(s, u8::is_ascii_alphanumeric, b"-_."), "is not a name"),
    "use letters, digits, and inside of the name also - _ . such as eu-west.2",
);

pub(super) const LABEL_VALUE: Form = form(
    r"^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$",
    63,
    |s| given(s.is_empty() || between(s, u8::is_ascii_alphanumeric, b"-_."), "is not a label value"),
    "use letters, digits, and inside of it also - _ .",
);

pub(super) const LABEL_KEY: Form = form(
    r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$",
    317,
    |s| given(is_label_key(s), "is not a label key"),
    "write a name such as app or example.com/team",
);

pub(super) const OBJECT_NAME: Form = form(
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    253,
    |s| given(s.split('.').all(|part| between(part, is_lower, b"-")), "is not a name of a Kubernetes object"),
    "use lower-case letters, digits, - and . such as llm-keys",
);

pub(super) const KEY_NAME: Form = form(
    r"^[-_A-Za-z0-9][-._A-Za-z0-9]*$",
    253,
    |s| {
        let ok = s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        given(ok && !s.is_empty() && !s.starts_with('.'), "is not a key of a Secret")
    },
    "use letters, digits, - _ . such as openai",
);

pub(super) const MODEL_NAME: Form = form(
    r"^[!-~]+$",
    256,
    |s| given(!s.is_empty() && s.bytes().all(|b| b.is_ascii_graphic()), "is not a model name"),
    "write it as the provider spells it, without spaces",
);

pub(super) const HEADER_NAME: Form = form(
    r"^[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?$",
    64,
    |s| given(is_header_name(s), "is not a header name"),
    "use letters, digits and - such as x-intent",
);

pub(super) const HEADER_VALUE: Form = form(
    r"^[!-~]([ -~]*[!-~])?$",
    1024,
    |s| given(between(s, u8::is_ascii_graphic, b" "), "is not a header value"),
    "use visible ASCII characters, and spaces only between them",
);

pub(super) const API_PATH: Form = form(
    r"^/v1(/[A-Za-z0-9_][-._~A-Za-z0-9]*)+$",
    256,
    |s| given(is_api_path(s), "is not a path under /v1"),
    "write it without query and trailing slash, such as /v1/batches",
);

pub(super) const URL: Form = Form {
    pattern: concat!(
        r"^https?://([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])",
        r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[-._~/A-Za-z0-9]*)?$",
    ),
    max_length: 512,
    extra: Some(Extra {
        format: None,
        rule: "!self.contains('[') || isIP(self.split(']')[0].split('[')[1])",
        message: "has an address in brackets that is no IP address",
    }),
    judge: |s| given(url::base_url(s).is_some(), "is not a base URL"),
    remedy: "write http:// or https:// with a host, then at most a port and a path, such as https://api.openai.com",
};

pub(super) const INSTANT: Form = form(
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$",
    20,
    |s| given(is_instant(s), "is not a point in time"),
    "write it in UTC, such as 2027-01-31T18:00:00Z",
);

pub(super) const REASON: Form = form(
    r"^[^\x00-\x1f\x7f]+$",
    256,
    |s| given(!s.is_empty() && !s.bytes().any(|b| b < 0x20 || b == 0x7f), "is not a reason"),
    "say in one line why",
);

pub(super) const WHEN: Form = form(
    r"\S",
    when::MAX_LENGTH,
    |s| given(s.bytes().any(|b| !b" \t\n\r\x0c".contains(&b)), "is not a condition"),
    "write a CEL condition such as request.tools > 0",
);

/// A token that fits for a header; underscores inside, since some clients use them.
pub(crate) fn is_header_name(s: &str) -> bool {
    between(s, u8::is_ascii_alphanumeric, b"-_")
}

/// Headers that a policy may neither add nor read a hint from: credentials, framing, connection, our own.
pub(crate) fn reserved_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str()) || name.starts_with("proxy-") || name.starts_with("x-llmroute-")
}

pub(super) const RESERVED: [&str; 17] = [
    "authorization",
    "x-api-key",
    "api-key",
    "cookie",
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "accept-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "traceparent",
];

fn given(ok: bool, wrong: &'static str) -> Result<(), &'static str> {
    if ok { Ok(()) } else { Err(wrong) }
}

fn duration_between(s: &str, min_millis: u128, short: &'static str) -> Result<(), &'static str> {
    let superfluous_zero = s.starts_with('0') && s.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    let Some(long) = quantity::duration(s).filter(|_| !superfluous_zero) else { return Err("is not a duration") };
    match long.as_millis() {
        ms if ms < min_millis => Err(short),
        ms if ms > 31 * 86_400_000 => Err("is longer than 31d"),
        _ => Ok(()),
    }
}

/// At most `most` digits before the point, without a superfluous zero in front.
fn whole_digits(s: &str, most: usize) -> bool {
    let whole = s.split('.').next().unwrap_or_default();
    whole.len() <= most && (whole == "0" || !whole.starts_with('0'))
}

/// Starts and ends with `edge`; `inner` may stand between.
fn between(s: &str, edge: fn(&u8) -> bool, inner: &[u8]) -> bool {
    let bytes = s.as_bytes();
    bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(|b| edge(b) || inner.contains(b))
}

fn is_lower(b: &u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// A label key, with or without a prefix.
pub(crate) fn is_label_key(s: &str) -> bool {
    let (prefix, name) = s.split_once('/').map_or((None, s), |(p, n)| (Some(p), n));
    prefix.is_none_or(|p| between(p, is_lower, b"-.")) && between(name, u8::is_ascii_alphanumeric, b"-_.")
}

fn is_api_path(s: &str) -> bool {
    let Some(rest) = s.strip_prefix("/v1/") else { return false };
    rest.split('/').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    })
}

fn is_instant(s: &str) -> bool {
    let shape: Vec<u8> = s.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect();
    if shape != b"0000-00-00T00:00:00Z" {
        return false;
    }
    let part = |from: usize| s.get(from..from + 2).and_then(|d| d.parse::<u8>().ok()).unwrap_or(u8::MAX);
    (1..=12).contains(&part(5)) && (1..=31).contains(&part(8)) && part(11) < 24 && part(14) < 60 && part(17) < 60
}
