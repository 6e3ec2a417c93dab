//! Why the money for a request cannot be had, in words.

use std::time::Duration;

use policy::{
    ledger::{Denied, Key, Unit},
    money::Usd,
    reason::Cause,
};

use crate::refusal::Refusal;

/// While no lender is reached, a refused caller is to come back after that at the latest.
const CUT_OFF: Duration = Duration::from_secs(5);

/// Of several caps in the way, the one that gives room first.
#[derive(Default)]
pub struct Shortage {
    /// That one.
    pub soonest: Option<Denied>,
}

impl Shortage {
    /// Nothing was.
    pub fn is_empty(&self) -> bool {
        self.soonest.is_none()
    }

    /// There is money, but not for a request that can wait.
    pub fn is_spared(&self) -> bool {
        matches!(self.soonest, Some(Denied::Spared { .. }))
    }

    /// One more is in the way.
    pub fn note(&mut self, denied: Denied) {
        let wait = |d: &Denied| match d {
            Denied::Journal => (0, None),
            Denied::Short { retry_after, .. } | Denied::Spared { retry_after, .. } => (1, Some(*retry_after)),
            Denied::Impossible { .. } => (2, None),
        };
        if self.soonest.as_ref().is_none_or(|s| wait(&denied) < wait(s)) {
            self.soonest = Some(denied);
        }
    }

    /// What the caller is told. `cut_off`: no lender is reached, so what others have left is not known.
    pub fn refusal(self, cut_off: bool, by_id: bool) -> Refusal {
        let exhausted = Refusal::own(Cause::BudgetExhausted);
        match self.soonest {
            Some(Denied::Short { key, retry_after, .. }) if cut_off => exhausted
                .because(format!(
                    "the operator, which shares out the budget `{}`, is not reached, and this pod's guaranteed share is spent",
                    key.name
                ))
                .after(retry_after.min(CUT_OFF)),
            Some(Denied::Short { key, retry_after, .. }) => {
                let seconds = retry_after.as_millis().div_ceil(1000);
                exhausted
                    .because(format!("the budget `{}` is spent; it has room for this request in {seconds} s", key.name))
                    .after(retry_after)
            }
            Some(Denied::Spared { key, retry_after }) => Refusal::own(Cause::BudgetNearLimit)
                .because(format!("what is left of the budget `{}` is for requests that cannot wait", key.name))
                .after(retry_after),
            Some(Denied::Impossible { key, limit }) => exhausted.because(never(&key, limit, by_id)),
            Some(Denied::Journal) => Refusal::own(Cause::StateUnavailable)
                .because("what this request may cost cannot be written down: the state directory takes nothing now"),
            None => exhausted,
        }
    }
}

/// Why a request never fits: it can take more than the cap `key`, or than the `limit` that requests by id have of it.
pub fn never(key: &Key, limit: u64, by_id: bool) -> String {
    const SMALLER: &str = "lower its output limit or shorten it";
    let name = &key.name;
    match (key.unit, by_id) {
        (Unit::Money, false) => {
            let usd = Usd(limit);
            format!("this request could cost more than the whole budget `{name}` of {usd} USD; {SMALLER}")
        }
        (Unit::Money, true) => {
            let usd = Usd(limit);
            format!(
                "this request could cost more than the {usd} USD of the budget `{name}` that requests by id may use; \
                 {SMALLER}, raise the budget or its degradeAt, or ask for the answer at once"
            )
        }
        (unit, false) => {
            let unit = unit.name();
            format!("this request could take more than the {limit} {unit} a minute of the provider `{name}`; {SMALLER}")
        }
        (unit, true) => {
            let unit = unit.name();
            format!(
                "this request could take more than the {limit} {unit} a minute of the provider `{name}` that requests by \
                 id may use; {SMALLER}, raise the provider's limit, or ask for the answer at once"
            )
        }
    }
}
