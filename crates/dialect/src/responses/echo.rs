//! What a response repeats of its request.

use serde_json::{Map, Value};

use crate::{background::REPEATED, object::put};

/// Members that are the answer's own to say.
const OWN: [&str; 2] = ["model", "service_tier"];

/// The members that are, each with a comma in front.
pub(crate) fn echo(body: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (name, default) in REPEATED.iter().filter(|(name, _)| !OWN.contains(name)) {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        match body.get(*name).filter(|v| !v.is_null()) {
            Some(value) => put(value, &mut out),
            None => out.push_str(default),
        }
    }
    out
}
