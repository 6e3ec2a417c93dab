//! Cases as files: what one side says, and what the other gets, in exact JSON. A new case is a new document in
//! `tests/cases/<caller>_to_<provider>/`, found by itself.
//!
//! ```yaml
//! numbers: [T07, T10]            # of the checklist
//! model: gpt-6-sol               # the target's; a plain one of its vendor where left out
//! limits: {default: 50, most: 100}       # the policy's output limit where the caller sets none; the model's
//! counts: true                   # what is asked is how many tokens the request has
//! request: {…}                   # the caller's; a plain one where left out
//! upstream: {…}                  # what the provider gets for it
//! dropped: [seed]                # and what was lost, in order
//! refused: "stop: must be …"     # or why it has no form there
//! answer: {from: {…}, to: {…}}   # the provider's, and the caller's; text where it is no JSON; `fault` instead of `to`
//! stream: {from: […], to: […]}   # events, or the bytes of a stream as text; `ends: broken` where the provider's last
//!                                # event is no event of its dialect, `ends: open` where more would follow
//!                                # either may have `counted: {…}`: the tokens, and the service tier that they cost by
//! error: {from: {status: 529, body: {…}}, to: {status: 503, body: {…}}}
//! headers: {from: {…}, to: {…}}  # of any answer
//! ```
//!
//! `LLMROUTE_CASE=<part of a file's name>` runs those files alone and prints what comes out.

mod diff;
mod run;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use dialect::Dialect;
use serde::Deserialize;
use serde_json::Value;

use crate::{DIALECTS, name};

/// One document of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub numbers: Vec<String>,
    model: Option<String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    counts: bool,
    request: Option<Value>,
    upstream: Option<Value>,
    #[serde(default)]
    dropped: Vec<String>,
    refused: Option<String>,
    answer: Option<Answer>,
    stream: Option<Stream>,
    error: Option<Pair<Status>>,
    headers: Option<Pair<BTreeMap<String, String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    default: Option<u64>,
    most: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair<T> {
    from: T,
    to: T,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    from: Value,
    to: Option<Value>,
    fault: Option<String>,
    counted: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stream {
    from: Value,
    to: Vec<Value>,
    #[serde(default)]
    ends: Ends,
    counted: Option<Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Ends {
    /// With the terminator, or with an error.
    #[default]
    Over,
    /// The provider's last event breaks it.
    Broken,
    /// It would go on.
    Open,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    status: u16,
    body: Value,
}

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Request,
    Answer,
    Stream,
    Error,
    Headers,
}

impl Case {
    pub fn modes(&self) -> Vec<Mode> {
        let each = [
            (self.upstream.is_some() || self.refused.is_some(), Mode::Request),
            (self.answer.is_some(), Mode::Answer),
            (self.stream.is_some(), Mode::Stream),
            (self.error.is_some(), Mode::Error),
            (self.headers.is_some(), Mode::Headers),
        ];
        each.into_iter().filter_map(|(is, mode)| is.then_some(mode)).collect()
    }
}

/// From whom to whom: the caller's dialect, the provider's.
pub type Arrow = (Dialect, Dialect);

/// A case and where it stands.
pub struct Found {
    pub arrow: Arrow,
    /// `chat_to_messages/t07_instructions.yaml#2`.
    pub place: String,
    pub case: Case,
}

/// All cases.
pub fn all() -> Vec<Found> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut found = vec![];
    for folder in sorted(&root) {
        let title = folder.file_name().unwrap().to_string_lossy().into_owned();
        let arrows = DIALECTS.into_iter().flat_map(|a| DIALECTS.map(|b| (a, b)));
        let arrow = arrows.into_iter().find(|(a, b)| title == format!("{}_to_{}", name(*a), name(*b)));
        let arrow = arrow.unwrap_or_else(|| panic!("{title}: a folder is <caller>_to_<provider>"));
        for file in sorted(&folder) {
            let text = std::fs::read_to_string(&file).unwrap();
            for (i, document) in serde_yaml::Deserializer::from_str(&text).enumerate() {
                let place = format!("{title}/{}#{}", file.file_name().unwrap().to_string_lossy(), i + 1);
                let case = Case::deserialize(document).unwrap_or_else(|e| panic!("{place}: {e}"));
                found.push(Found { arrow, place, case });
            }
        }
    }
    found
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn every_case() {
    let only = std::env::var("LLMROUTE_CASE").ok();
    let mut faults = vec![];
    for found in all() {
        let is_asked = only.as_ref().is_none_or(|part| found.place.contains(part.as_str()));
        if is_asked && !crate::coverage::is_pending(&found.case.numbers) {
            let told = run::check(found.arrow, &found.case, only.is_some());
            faults.extend(told.into_iter().map(|f| format!("{}\n{f}", found.place)));
        }
    }
    assert!(faults.is_empty(), "{} of the cases differ\n\n{}", faults.len(), faults.join("\n"));
}
