//! What a response repeats of its request.

use serde_json::{Map, Value};

use crate::{background::REPEATED, object::put};

/// The members, but for the model, each with a comma in front.
pub(crate) fn echo(body: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (name, default) in REPEATED.iter().filter(|(name, _)| *name != "model") {
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
