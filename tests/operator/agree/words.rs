//! Strings for the patterns of the CRD: which one fits which pattern, the pattern itself says.

use regex::bytes::{Regex, RegexBuilder};

/// Those that fit a pattern and break no rule beside it, and near misses of all forms. What is a duration is from 5 s to 31 d.
pub const WORDS: [&str; 118] = [
    "",
    "a",
    "-",
    "a-b",
    "a b",
    "a.b",
    "a_b",
    "-a",
    "a-",
    ".a",
    "a.",
    "_a",
    "A",
    "aB",
    "a..b",
    "a.-b",
    "é",
    "a\u{a0}b",
    "a\tb",
    "a\nb",
    "a\n",
    "\u{7f}",
    " a",
    "a ",
    "  ",
    "!",
    "~",
    "a/b",
    "/a",
    "a/",
    "a//b",
    "a/b/c",
    "A/b",
    "example.com/team",
    "@",
    "a:b",
    "a,b",
    "0",
    "1",
    "2",
    "00",
    "01",
    "10",
    "99",
    "100",
    "101",
    "0.",
    ".5",
    "0.5",
    "0.50",
    "1.0",
    "1.1",
    "1.0000",
    "1.00001",
    "0.0001",
    "0.00001",
    "0.00",
    "2.0",
    "2.000",
    "2.001",
    "1.9999",
    "99.99",
    "99.999",
    "100.0",
    "100.01",
    "-1",
    "+1",
    "1e3",
    "1,5",
    "999999",
    "999999.999999",
    "1000000",
    "999999999",
    "999999999.999999999",
    "1000000000",
    "0.000000001",
    "0.0000000001",
    "20",
    "5s",
    "60s",
    "1m",
    "24h",
    "744h",
    "31d",
    "5000ms",
    "2678400s",
    "5x",
    "0s",
    "05s",
    "1.5s",
    "-5s",
    "1h30m",
    "5 s",
    "5S",
    "99999999999ms",
    "2 days",
    "1w",
    "/v1",
    "/v1/",
    "/v1/a",
    "/v1/a/b.c",
    "/v2/a",
    "/v1/../a",
    "/v1/a?b",
    "https://h",
    "http://127.0.0.1:9100/v1",
    "https://[2001:db8::1]:8443/a",
    "https://h:0",
    "https://h:65536",
    "https://u@h",
    "HTTPS://h",
    "ftp://h",
    "2027-01-31T18:00:00Z",
    "2027-13-01T00:00:00Z",
    "2027-01-31T24:00:00Z",
    "2027-01-31T18:00:00+01:00",
    "2027-01-31",
    "request.tools > 0",
];

/// Those that fit a pattern and may break the rule beside it; the first that fits does.
pub const EDGES: [&str; 9] =
    ["32d", "https://[:::1]", "1ms", "1s", "4999ms", "4s", "745h", "9999999999ms", "https://[1:2:3:4:5:6:7:8:9]"];

/// A pattern, as the API server reads it.
pub struct Form {
    pattern: Regex,
    /// In characters.
    pub max: usize,
}

impl Form {
    /// Of a schema of strings.
    pub fn of(schema: &serde_json::Value) -> Option<Form> {
        let pattern = RegexBuilder::new(schema["pattern"].as_str()?).unicode(false).build().expect("a pattern");
        Some(Form { pattern, max: schema["maxLength"].as_u64().expect("a bound").try_into().expect("a small one") })
    }

    fn fits(&self, word: &str) -> bool {
        self.pattern.is_match(word.as_bytes())
    }

    /// Words that are right here.
    pub fn good(&self) -> Vec<&'static str> {
        WORDS.into_iter().filter(|word| self.fits(word)).collect()
    }

    /// Words that the pattern refuses, and they are not too long.
    pub fn bad(&self) -> Vec<&'static str> {
        WORDS.into_iter().filter(|word| !self.fits(word) && word.chars().count() <= self.max).collect()
    }

    /// Words that a rule beside the pattern may refuse.
    pub fn edges(&self) -> Vec<&'static str> {
        EDGES.into_iter().filter(|word| self.fits(word)).collect()
    }

    /// A word of this length that fits the pattern, if the pattern leaves that open, else one that does not.
    pub fn long(&self, length: usize) -> String {
        let grown = |word: &str| {
            let (at, c) = word.char_indices().rev().find(|(_, c)| c.is_ascii_alphanumeric())?;
            let more = c.to_string().repeat(length.checked_sub(word.chars().count())?);
            Some(format!("{}{more}{}", &word[..at], &word[at..])).filter(|long| self.fits(long))
        };
        self.good().into_iter().find_map(grown).unwrap_or_else(|| "1".repeat(length))
    }

    /// As many words that fit and differ.
    pub fn many(&self, count: usize) -> Vec<String> {
        let all = |word: &&str| (0..count).map(|i| format!("{word}{i}")).collect::<Vec<_>>();
        let fit = |words: &Vec<String>| words.iter().all(|word| self.fits(word));
        self.good().iter().map(all).find(fit).unwrap_or_else(|| vec![self.good()[0].to_owned(); count])
    }
}
