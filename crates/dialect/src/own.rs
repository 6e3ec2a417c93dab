//! A request for a provider of the caller's own format: the caller's bytes, edited where something must be otherwise.

use bytes::Bytes;

use crate::{Another, Dialect, Edits, Head, TargetModel, conform};

/// A request in the caller's own format.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The body, in pieces.
    pub body: Vec<Bytes>,
    /// What was lost, as paths of the caller's body.
    pub dropped: Vec<String>,
    /// We asked for the stream's usage chunk; the caller did not.
    pub usage_added: bool,
}

/// Edits a body, whose head is `head`, for a model at a provider of the same format; `another` tells other providers'
/// encrypted reasoning. What is between the caller and the model that it named is left as it is.
#[must_use]
pub fn edit_request(
    dialect: Dialect,
    body: &Bytes,
    head: &Head,
    to: &TargetModel<'_>,
    another: Option<&Another<'_>>,
) -> Edited {
    let mut edits = Edits::default();
    let mut dropped = edits.cut_foreign_thoughts(head, dialect, body, another);
    if head.model.as_deref() != Some(to.model) {
        let more = conform(&mut edits, dialect, head, body, to.capability);
        // A limit above the longest answer is refused.
        let lowered = to.most_tokens.and_then(|most| edits.lower_max_tokens(head, dialect, most, to.capability));
        for member in more.into_iter().chain(lowered.map(str::to_owned)) {
            if !dropped.contains(&member) {
                dropped.push(member);
            }
        }
        edits.set_model(head, to.model);
    }
    if let Some(limit) = to.default_max_tokens.filter(|_| head.max_tokens.is_none()) {
        edits.set_max_tokens(head, dialect, limit, to.capability);
    }
    let usage_added = dialect == Dialect::Chat && head.stream && !head.include_usage;
    if usage_added {
        edits.set_include_usage(head, body);
    }
    Edited { body: edits.apply(body), dropped, usage_added }
}
