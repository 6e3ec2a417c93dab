//! `AdmissionReview` (admission.k8s.io/v1): the question and the answer.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const API: &str = "admission.k8s.io/v1";
/// Longest message; a fault of a policy may quote much.
const MAX_MESSAGE: usize = 8 << 10;
/// The API server cuts longer ones.
const MAX_WARNING: usize = 256;
const MAX_WARNINGS: usize = 16;
/// Members, elements and brackets of a body. Parsed, each takes 200 bytes at most, however short it is; the largest pods and
/// policies have some tens of thousands.
const MOST_PARTS: usize = 200_000;

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    /// Goes back with the answer.
    uid: String,
    /// `kind` of the object.
    pub(super) kind: String,
    /// CREATE, UPDATE, …
    pub(super) operation: String,
    /// Of the object; a pod itself may not have it yet.
    pub(super) namespace: String,
    /// As it would be stored.
    pub(super) object: Value,
    /// As it is stored.
    pub(super) old: Value,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// As it is; people read the warnings.
    Allowed(Vec<String>),
    /// With these operations.
    Patched(Vec<Value>),
    /// No.
    Denied(Denial),
}

/// Why not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Denial {
    /// Status of HTTP, and its name to Kubernetes.
    pub(super) status: (u16, &'static str),
    /// For people.
    pub(super) message: String,
    /// Fields and what is wrong with them.
    pub(super) causes: Vec<(String, String)>,
}

impl Answer {
    /// What is counted of it.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Answer::Allowed(_) => "allowed",
            Answer::Patched(_) => "patched",
            Answer::Denied(Denial { status: (503, _), .. }) => "unavailable",
            Answer::Denied(_) => "denied",
        }
    }
}

impl Question {
    /// Reads one.
    ///
    /// # Errors
    /// It is none; the text says why.
    pub(super) fn read(body: &[u8]) -> Result<Question, String> {
        if body.iter().filter(|b| matches!(b, b',' | b':' | b'[' | b'{')).count() > MOST_PARTS {
            return Err(format!("the body has more than {MOST_PARTS} members and elements"));
        }
        let mut review: Value = serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
        if review["apiVersion"] != API || review["kind"] != "AdmissionReview" {
            return Err(format!("the body is no AdmissionReview of {API}"));
        }
        let mut request = review.get_mut("request").map(Value::take).unwrap_or_default();
        let text = |path: &str| request.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (uid, kind, operation, namespace) =
            (text("/uid"), text("/kind/kind"), text("/operation"), text("/namespace"));
        if uid.is_empty() {
            return Err("the request has no uid".to_owned());
        }
        let mut take = |name: &str| request.get_mut(name).map(Value::take).unwrap_or_default();
        Ok(Question { uid, kind, operation, namespace, object: take("object"), old: take("oldObject") })
    }

    /// The answer to it, as JSON.
    pub(super) fn answered(&self, answer: Answer) -> Value {
        let mut response = json!({"uid": self.uid, "allowed": !matches!(answer, Answer::Denied(_))});
        match answer {
            Answer::Allowed(warnings) if warnings.is_empty() => {}
            Answer::Allowed(warnings) => {
                let short = warnings.into_iter().take(MAX_WARNINGS).map(|text| cut(text, MAX_WARNING));
                response["warnings"] = short.collect::<Vec<_>>().into();
            }
            Answer::Patched(patch) => {
                response["patchType"] = "JSONPatch".into();
                response["patch"] = STANDARD.encode(Value::from(patch).to_string()).into();
            }
            Answer::Denied(Denial { status: (code, reason), message, causes }) => {
                response["status"] =
                    json!({"status": "Failure", "code": code, "reason": reason, "message": cut(message, MAX_MESSAGE)});
                if !causes.is_empty() {
                    let cause = |(field, message)| json!({"reason": "FieldValueInvalid", "field": field, "message": cut(message, MAX_MESSAGE)});
                    let causes: Vec<Value> = causes.into_iter().map(cause).collect();
                    let name = &self.object["metadata"]["name"];
                    response["status"]["details"] =
                        json!({"group": "llmroute.dev", "kind": self.kind, "name": name, "causes": causes});
                }
            }
        }
        json!({"apiVersion": API, "kind": "AdmissionReview", "response": response})
    }
}

fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}
