//! A smaller request in place of the one asked: fewer messages, a lower output limit, a lower temperature. Edits of the
//! caller's bytes; what is kept stays byte for byte.

mod items;
mod keep;

use crate::{
    Dialect,
    capability::{Capability, Sampling},
    edit::Edits,
    head::Head,
};

/// How small a request becomes; what is `None` is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trim {
    /// Last messages kept, beside system text and the first user turn. Whole tool exchanges, so it may be more; never
    /// none.
    pub keep_messages: Option<u32>,
    /// The output limit where the caller's is higher or missing, in tokens.
    pub max_output_tokens: Option<u64>,
    /// The temperature where the caller's is higher, in thousandths.
    pub temperature_milli: Option<u32>,
}

/// A trimmed request.
#[derive(Clone, Debug)]
pub struct Trimmed {
    /// What to change in the body. Further edits for the same target may join them. A new hold, or another dialect, wants
    /// the pieces as one body and its head read again.
    pub edits: Edits,
    /// Messages or input items that are gone.
    pub dropped: u32,
}

/// Trims a request whose `head` was read from `body`, for a target of the caller's dialect or of another one that takes
/// what `capability` says; `None` if there is nothing to trim.
#[must_use]
pub fn trim(dialect: Dialect, head: &Head, body: &[u8], to: &Trim, capability: &Capability) -> Option<Trimmed> {
    let found = items::read(dialect, head, body, to.keep_messages.is_some());
    let mut edits = Edits::default();
    let mut dropped = 0;
    if let Some(last) = to.keep_messages {
        let keeps = keep::keeps(dialect, &found.items, last);
        dropped = drop_items(&mut edits, &found.items, &keeps);
    }
    if let Some(limit) = to.max_output_tokens.map(|limit| found.limit(dialect, limit))
        && head.max_tokens.is_none_or(|own| own > limit)
    {
        edits.set_max_tokens(head, dialect, limit, capability);
    }
    if let Some(milli) = to.temperature_milli
        && found.takes_temperature(milli, body, capability)
    {
        edits.set_member(head, "temperature", found.temperature.as_ref(), &decimal(milli));
    }
    (!edits.is_empty()).then_some(Trimmed { edits, dropped })
}

/// Takes out what is not kept, from its first byte to that of the next one kept; the last is always kept.
fn drop_items(edits: &mut Edits, items: &[items::Item], keeps: &[bool]) -> u32 {
    let mut dropped = 0;
    let mut from = None;
    for (item, keep) in items.iter().zip(keeps) {
        if !keep {
            dropped += 1;
            from.get_or_insert(item.start);
        } else if let Some(from) = from.take() {
            edits.cut(from..item.start);
        }
    }
    dropped
}

impl items::Found {
    /// The output limit that the API takes for the one wanted.
    fn limit(&self, dialect: Dialect, wanted: u64) -> u64 {
        match self.thinking_budget {
            // Messages: it must exceed the budget for thinking, so what is wanted is granted beside that.
            Some(budget) if wanted <= budget => wanted.saturating_add(budget),
            // Responses refuses less than 16: 400 `integer_below_min_value`.
            _ if dialect == Dialect::Responses => wanted.max(16),
            _ => wanted,
        }
    }

    /// Whether a temperature of `milli` thousandths is lower than the caller's, which is 1 where unset, and goes on the
    /// wire. Thinking wants the default.
    fn takes_temperature(&self, milli: u32, body: &[u8], capability: &Capability) -> bool {
        let own = self.temperature.clone().and_then(|span| body.get(span)).filter(|text| text != b"null");
        let lower = match own.and_then(|text| std::str::from_utf8(text).ok()) {
            Some(own) => own.parse::<f64>().is_ok_and(|own| own > f64::from(milli) / 1000.0),
            None => milli < 1000 && (capability.sampling == Sampling::Free || !self.has_top_p),
        };
        lower && matches!(capability.sampling, Sampling::Free | Sampling::One) && !self.thinks
    }
}

/// Thousandths as a JSON number.
fn decimal(milli: u32) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
