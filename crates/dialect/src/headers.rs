//! Answer headers under the names that the other vendor has for them.

use crate::Dialect;

/// (OpenAI, Anthropic). Resets differ in form, a duration against a date, and are not mapped.
const PAIRS: [(&str, &str); 7] = [
    ("x-request-id", "request-id"),
    ("x-ratelimit-limit-requests", "anthropic-ratelimit-requests-limit"),
    ("x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"),
    ("x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-limit"),
    ("x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"),
    ("retry-after", "retry-after"),
    ("retry-after-ms", "retry-after-ms"),
];

/// The headers of an answer in `from` that have a counterpart in `to`; names are in lower case.
pub fn map_headers<'a>(
    from: Dialect,
    to: Dialect,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let (from, to) = (from == Dialect::Messages, to == Dialect::Messages);
    headers.filter_map(move |(name, value)| {
        if from == to {
            return Some((name, value));
        }
        let pair = PAIRS.iter().find(|(openai, anthropic)| *(if from { anthropic } else { openai }) == name)?;
        Some((if to { pair.1 } else { pair.0 }, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counterparts() {
        let rows = [("request-id", "r"), ("anthropic-ratelimit-tokens-limit", "5"), ("server", "x")];
        let mapped: Vec<_> = map_headers(Dialect::Messages, Dialect::Chat, rows.into_iter()).collect();
        assert_eq!(mapped, [("x-request-id", "r"), ("x-ratelimit-limit-tokens", "5")]);
    }
}
