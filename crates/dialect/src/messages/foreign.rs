//! What only OpenAI can be asked for.

use serde_json::Value;

use crate::model::{Media, Part, Request};

/// Lists it.
pub(super) fn tell_foreign(r: &mut Request) {
    let mut lost: Vec<String> = r.shared.iter().filter(|(n, v)| !is_user(r, n, v)).map(|(n, _)| n.clone()).collect();
    let words = r.words;
    lost.extend(r.json_object.then(|| words.format.to_owned()));
    lost.extend(r.verbosity.iter().map(|_| words.verbosity.to_owned()));
    let strict = r.tools.iter().filter(|t| t.strict == Some(true));
    lost.extend(strict.map(|t| format!("{}.{}", t.at, words.strict)));
    let details = r.turns.iter().flat_map(|t| details(&t.parts));
    lost.extend(details.map(|at| format!("{at}.{}", words.detail)));
    lost.into_iter().for_each(|at| r.drop_member(at));
}

/// Who asks is told in Messages' own words; there is room for one name.
fn is_user(r: &Request, name: &str, value: &Value) -> bool {
    (name == "user" || name == "safety_identifier") && value.as_str() == r.user.as_deref()
}

/// Images that are to be looked at in a certain way.
fn details(parts: &[Part]) -> Vec<&str> {
    let mut found = vec![];
    for part in parts {
        match part {
            Part::Image(Media { detail: Some(_), at, .. }) => found.push(at.as_str()),
            Part::Result(result) => found.extend(details(&result.content)),
            _ => {}
        }
    }
    found
}
