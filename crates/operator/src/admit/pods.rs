//! Pods that are to be created.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Admission,
    review::{Answer, Denial, Question},
};
use crate::{
    inject::{NotYet, Verdict, inject},
    observe::SIDECAR,
    world::Pod,
};

/// What is known of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// What the watch shows, which may be behind.
    Watched,
    /// They were asked for.
    Asked,
    /// They were asked for in vain.
    Nothing,
}

/// What becomes of one. `None` if that hangs on policies that may be others by now: they are to be asked for.
pub(super) fn judge(admission: &Admission, question: &Question, known: Known) -> Option<Answer> {
    if question.kind != "Pod" || question.operation != "CREATE" {
        return Some(Answer::Allowed(Vec::new()));
    }
    let chosen = match ((admission.choose)(&pod(question)), known) {
        (Ok(Some(chosen)), _) if chosen.accepted => Some(chosen),
        // Who applies a policy and its pods together, or mends one, must not find that the watch was a moment behind.
        (_, Known::Watched) => return None,
        (Ok(chosen), Known::Asked) => chosen,
        (Err(NotYet), Known::Asked) | (_, Known::Nothing) => return Some(unknown()),
    };
    let ca = admission.trust.borrow().clone();
    Some(match inject(&admission.settings, &question.namespace, &question.object, chosen.as_ref(), &ca) {
        Verdict::Unchanged => Answer::Allowed(Vec::new()),
        Verdict::Patched(patch) => Answer::Patched(patch),
        Verdict::Refused(message) => Answer::Denied(Denial { status: (403, "Forbidden"), message, causes: Vec::new() }),
    })
}

/// Not known is not none: the pod might be one that must not start without a sidecar.
fn unknown() -> Answer {
    let why = "llmroute: this replica of the operator does not know yet which policies there are; try again";
    Answer::Denied(Denial { status: (503, "ServiceUnavailable"), message: why.to_owned(), causes: Vec::new() })
}

/// The pod as far as selectors look at it. One that is asked about is opted in: else the API server would not ask.
fn pod(question: &Question) -> Pod {
    let metadata = &question.object["metadata"];
    let labels = metadata["labels"].as_object().into_iter().flatten();
    let labels: BTreeMap<String, String> =
        labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    let init = question.object["spec"]["initContainers"].as_array();
    Pod {
        namespace: question.namespace.as_str().into(),
        name: metadata["name"].as_str().unwrap_or_default().into(),
        labels,
        opted_in: true,
        sidecar: init.is_some_and(|all| all.iter().any(|c: &Value| c["name"] == SIDECAR)),
        ..Pod::default()
    }
}
