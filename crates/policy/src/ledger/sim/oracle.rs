//! What the providers billed, and whether any window holds more than its cap. It knows nothing of rings and holds.

use std::{collections::BTreeMap, time::Duration};

use super::super::{Cap, Key};

/// A second in nanoseconds of true time.
pub(in crate::ledger) const S: u64 = 1_000_000_000;

#[derive(Default)]
pub(in crate::ledger) struct Oracle {
    bills: BTreeMap<Key, Vec<Bill>>,
    epochs: Vec<(Cap, Vec<Epoch>)>,
    /// Holds of callers that can wait.
    later: Vec<Later>,
    /// True time from a hold to its final bill.
    pub(in crate::ledger) horizon: u64,
    /// For so long after an edit somebody may go by the window before.
    pub(in crate::ledger) late: u64,
}

/// From when which limit and window were in force.
type Epoch = (u64, u64, Duration);

/// One of them: when, how much, and what all could take then together.
struct Later {
    key: Key,
    from: u64,
    at: u64,
    amount: u64,
    most: u64,
}

#[derive(Clone, Copy)]
struct Bill {
    at: u64,
    amount: u64,
    /// It is above what was held.
    is_surprise: bool,
}

impl Oracle {
    pub(in crate::ledger) fn new(horizon: u64) -> Oracle {
        Oracle { horizon, ..Oracle::default() }
    }

    /// These caps are in force from `at` on.
    pub(in crate::ledger) fn edit(&mut self, caps: &[Cap], at: u64) {
        for cap in caps {
            let is = |c: &Cap| (c.unit, &c.name, c.scope) == (cap.unit, &cap.name, cap.scope);
            match self.epochs.iter_mut().find(|(c, _)| is(c)) {
                Some((_, all)) => all.push((at, cap.limit, cap.window)),
                None => self.epochs.push((cap.clone(), vec![(at, cap.limit, cap.window)])),
            }
        }
    }

    pub(in crate::ledger) fn bill(&mut self, key: &Key, at: u64, amount: u64, is_surprise: bool) {
        if amount > 0 {
            self.bills.entry(key.clone()).or_default().push(Bill { at, amount, is_surprise });
        }
    }

    /// At least so much of `key` is spent now.
    pub(in crate::ledger) fn spent(&self, key: &Key, cap: &Cap, at: u64) -> u64 {
        let from = self.since(cap, at);
        let recent = |b: &&Bill| (from..=at).contains(&b.at) && !b.is_surprise;
        self.bills.get(key).into_iter().flatten().filter(recent).map(|b| b.amount).sum()
    }

    /// The window of `cap` that ends at `at`, as far as it was that long.
    fn since(&self, cap: &Cap, at: u64) -> u64 {
        let edited = self.epochs.iter().flat_map(|(_, all)| all).map(|(from, ..)| *from).max().unwrap_or(0);
        at.saturating_sub(cap.window.as_nanos() as u64).max(edited)
    }

    /// A caller that can wait holds `amount` of `key` now. All that was billed within the window that ends now, and this, is
    /// below where the cap is spared: `degradeAt`, or half.
    pub(in crate::ledger) fn spares(&mut self, key: &Key, cap: &Cap, at: u64, amount: u64) {
        let most = match cap.degrade_at {
            Some(ratio) => (u128::from(cap.limit) * u128::from(ratio.0)).div_ceil(10_000) as u64 - 1,
            None => cap.limit.div_ceil(2),
        };
        if amount > 0 {
            self.later.push(Later { key: key.clone(), from: self.since(cap, at), at, amount, most });
        }
    }

    /// Billed to `key` from `from` up to `to`.
    pub(in crate::ledger) fn billed(&self, name: &str, from: u64, to: u64) -> u64 {
        let of = self.bills.iter().filter(|(key, _)| *key.name == *name).flat_map(|(_, bills)| bills);
        of.filter(|b| (from..to).contains(&b.at)).map(|b| b.amount).sum()
    }

    /// Slides over every bill of every key. Gives the fullest window as a share of its cap.
    pub(in crate::ledger) fn judge(&mut self) -> Result<f64, String> {
        let mut fullest = 0f64;
        for (key, bills) in &mut self.bills {
            bills.sort_by_key(|b| b.at);
            let is = |c: &Cap| (c.unit, &c.name, c.scope) == (key.unit, &key.name, key.scope);
            let Some((_, epochs)) = self.epochs.iter().find(|(c, _)| is(c)) else { continue };
            for (start, first) in bills.iter().enumerate() {
                // The shortest window in force while it lasts, and the largest cap: what was held under that may still
                // be billed.
                let mut last = u64::MAX;
                let mut cap = 0;
                for (n, (from, limit, window)) in epochs.iter().enumerate() {
                    let gone = epochs.get(n + 1).map_or(u64::MAX, |e| e.0);
                    if *from <= last && gone.saturating_add(self.horizon) >= first.at {
                        cap = cap.max(*limit);
                    }
                    let is_lengthened = epochs.get(n + 1).is_some_and(|e| e.2 > *window);
                    let gone = if is_lengthened { gone.saturating_add(self.late) } else { gone };
                    if *from <= last && gone > first.at {
                        last = last.min(first.at + window.as_nanos() as u64);
                    }
                }
                let window = || bills[start..].iter().take_while(|b| b.at <= last);
                let sum: u64 = window().map(|b| b.amount).sum();
                let surprises: u64 = window().filter(|b| b.is_surprise).map(|b| b.amount).sum();
                if sum > cap + surprises {
                    let (from, to) = (first.at as f64 / 1e9, last as f64 / 1e9);
                    return Err(format!("{key:?}: {sum} of {cap} from {from} s to {to} s, {surprises} surprising"));
                }
                fullest = fullest.max((sum - surprises) as f64 / cap as f64);
            }
        }
        for Later { key, from, at, amount, most } in &self.later {
            let before = self.bills.get(key).into_iter().flatten().filter(|b| (*from..=*at).contains(&b.at));
            let sum: u64 = before.filter(|b| !b.is_surprise).map(|b| b.amount).sum();
            if sum + amount > *most {
                let at = *at as f64 / 1e9;
                return Err(format!("{key:?}: {amount} is held at {at} s by who can wait, {sum} of {most} are billed"));
            }
        }
        Ok(fullest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::Unit, snapshot::Scope};

    /// The judge itself is judged: one coin over, at the very edge of the window.
    #[test]
    fn one_coin_too_many_in_a_closed_window_is_seen() {
        for (edge, over) in [(60 * S, true), (60 * S + 1, false)] {
            let cap = super::super::shape::cap(Unit::Money, "all", Scope::Policy, 60, 10);
            let key = Key { unit: cap.unit, name: cap.name.clone(), scope: cap.scope, value: None };
            let mut oracle = Oracle::default();
            oracle.edit(&[cap], 0);
            oracle.bill(&key, 5 + edge, 4, false);
            oracle.bill(&key, 5, 7, false);
            assert_eq!(oracle.judge().is_err(), over);
        }
    }
}
