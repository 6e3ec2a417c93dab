//! Pods that are to be created.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Admission, NotYet,
    review::{Answer, Denial, Question},
};
use crate::{
    inject::{Verdict, inject},
    observe::SIDECAR,
    world::Pod,
};

/// What becomes of one.
pub(super) fn judge(admission: &Admission, question: &Question) -> Answer {
    if question.kind != "Pod" || question.operation != "CREATE" {
        return Answer::Allowed(Vec::new());
    }
    let refused = |status, message| Answer::Denied(Denial { status, message, causes: Vec::new() });
    let chosen = match (admission.choose)(&pod(question)) {
        Ok(chosen) => chosen,
        Err(NotYet) => {
            let why =
                "llmroute: this replica of the operator has just started and does not know all policies yet; try again";
            return refused((503, "ServiceUnavailable"), why.to_owned());
        }
    };
    let ca = admission.trust.borrow().clone();
    match inject(&admission.settings, &question.namespace, &question.object, chosen.as_ref(), &ca) {
        Verdict::Unchanged => Answer::Allowed(Vec::new()),
        Verdict::Patched(patch) => Answer::Patched(patch),
        Verdict::Refused(why) => refused((403, "Forbidden"), why),
    }
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
