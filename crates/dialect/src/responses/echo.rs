//! What a response repeats of its request.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::background::REPEATED;

/// The members, but for the model, each with a comma in front.
pub(crate) fn echo(body: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (name, default) in REPEATED.iter().filter(|(name, _)| *name != "model") {
        let _ = match body.get(*name).filter(|v| !v.is_null()) {
            Some(value) => write!(out, ",\"{name}\":{value}"),
            None => write!(out, ",\"{name}\":{default}"),
        };
    }
    out
}
