//! What is left of an object once a reader took what it carries.

use serde_json::{Map, Value};

use crate::model::Request;

/// Lists the members that are left, by their paths; null and an empty list say nothing.
pub(crate) fn drop_rest(r: &mut Request, at: &str, rest: Map<String, Value>) {
    let says_nothing = |v: &Value| v.is_null() || v.as_array().is_some_and(Vec::is_empty);
    for (name, _) in rest.into_iter().filter(|(_, v)| !says_nothing(v)) {
        r.drop_member(format!("{at}.{name}"));
    }
}

/// Takes a member if it is a string; another value stays, and is listed with the rest.
pub(crate) fn take_string(from: &mut Map<String, Value>, name: &str) -> Option<String> {
    match from.remove(name)? {
        Value::String(s) => Some(s),
        other => {
            from.insert(name.into(), other);
            None
        }
    }
}

/// Takes a member if it is an object; another value stays, and is listed with the rest.
pub(crate) fn take_object(from: &mut Map<String, Value>, name: &str) -> Option<Map<String, Value>> {
    match from.remove(name)? {
        Value::Object(map) => Some(map),
        other => {
            from.insert(name.into(), other);
            None
        }
    }
}

/// Takes the caller's cache mark.
pub(crate) fn take_cache(from: &mut Map<String, Value>) -> Option<Value> {
    from.remove("cache_control").filter(|c| !c.is_null())
}
