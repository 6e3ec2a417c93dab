//! A request for a provider of the caller's own format: the caller's bytes, edited where something must be otherwise.

use bytes::Bytes;

use crate::{Another, Capability, Dialect, Edits, Head, TargetModel, conform};

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

/// Edits a body, whose head is `head`, for a model at a provider of the same format. What the caller asks of the model that
/// it named itself is between the two, but for what is `told` of that; `another` tells other providers' encrypted reasoning.
#[must_use]
pub fn edit_request(
    dialect: Dialect,
    body: &Bytes,
    head: &Head,
    to: &TargetModel<'_>,
    told: Option<&Capability>,
    another: Option<&Another<'_>>,
) -> Edited {
    let mut edits = Edits::default();
    let mut dropped = edits.cut_foreign_thoughts(head, dialect, body, another);
    let is_swapped = head.model.as_deref() != Some(to.model);
    let mut lose = |member: String| {
        if !dropped.contains(&member) {
            dropped.push(member);
        }
    };
    if let Some(can) = if is_swapped { Some(to.capability) } else { told } {
        conform(&mut edits, dialect, head, body, can).into_iter().for_each(&mut lose);
    }
    if is_swapped {
        // A limit above the longest answer is refused.
        let lowered = to.most_tokens.and_then(|most| edits.lower_max_tokens(head, dialect, most, to.capability));
        lowered.into_iter().for_each(|member| lose(member.to_owned()));
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
