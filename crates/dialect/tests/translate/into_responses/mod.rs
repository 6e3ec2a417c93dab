//! Requests: the two others to Responses.

mod content;
mod params;

use dialect::Dialect::{self, Messages, Responses};
use serde_json::{Value, json};

use crate::rows::sent_to;

const THINKER: &str = "gpt-6-sol";

/// Messages in, and the whole request that comes out.
fn talk(caller: Dialect, messages: &Value) -> Result<(Value, Vec<String>), String> {
    let mut body = json!({"model": "m", "messages": messages});
    if caller == Messages {
        body["max_tokens"] = 2000.into();
    }
    sent_to(caller, Responses, THINKER, &body)
}

/// The members of `extra` on an otherwise plain request, and the members that the provider gets for them.
#[track_caller]
fn gives(caller: Dialect, model: &str, rows: &[(Value, Value, &[&str])]) {
    let mut plain = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    if caller == Messages {
        plain["max_tokens"] = 2000.into();
    }
    let before = sent_to(caller, Responses, model, &plain).unwrap().0;
    for (extra, want, lost) in rows {
        let mut body = plain.clone();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let (got, dropped) = sent_to(caller, Responses, model, &body).unwrap();
        let differs = got.as_object().unwrap().iter().filter(|(k, v)| before.get(*k) != Some(v));
        let differs: Value = differs.map(|(k, v)| (k.clone(), v.clone())).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(differs, *want, "{caller:?}: {extra}");
        assert_eq!(dropped, *lost, "{caller:?}: {extra}");
    }
}
