//! What providers billed above the bound, and how much later holds are raised for it.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use super::{
    hold::{Amounts, Unit},
    rules::{Rule, on},
};

/// A model at a provider, as a keyed hash; made by [`super::Ledger::model`], best once a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModelKey(u64);

impl ModelKey {
    pub(super) fn new(hasher: &RandomState, provider: &str, model: &str) -> ModelKey {
        ModelKey(hasher.hash_one((provider, model)))
    }
}

/// Models are told apart up to here; the worst of the others counts for all of them, since callers may name any.
const MOST: usize = 1_000;

/// Of each model the worst ratio of cost to asked bound, in 1/10,000. It lasts as long as the process.
#[derive(Debug, Default)]
pub(super) struct Overruns {
    by: HashMap<(ModelKey, Unit), u64>,
    others: u64,
}

impl Overruns {
    /// `asked`, times the worst ratio seen of the model, rounded up.
    pub(super) fn raised(&self, model: ModelKey, asked: Amounts) -> Amounts {
        if self.by.is_empty() || !on(Rule::Raise) {
            return asked;
        }
        let raise = |unit| {
            let ratio = self.by.get(&(model, unit)).copied().unwrap_or(self.others).max(ONE);
            let raised = (u128::from(asked.of(unit)) * u128::from(ratio)).div_ceil(u128::from(ONE));
            u64::try_from(raised).unwrap_or(u64::MAX)
        };
        Amounts { usd: crate::money::Usd(raise(Unit::Money)), tokens: raise(Unit::Tokens), requests: asked.requests }
    }

    /// An attempt cost more than it held.
    pub(super) fn note(&mut self, model: ModelKey, unit: Unit, asked: u64, cost: u64) {
        if asked == 0 {
            return;
        }
        let ratio = (u128::from(cost) * u128::from(ONE)).div_ceil(u128::from(asked));
        let ratio = u64::try_from(ratio).unwrap_or(u64::MAX);
        let room = self.by.len() < MOST;
        let worst = match self.by.get_mut(&(model, unit)) {
            Some(worst) => worst,
            None if room => self.by.entry((model, unit)).or_default(),
            None => &mut self.others,
        };
        *worst = ratio.max(*worst);
    }
}

const ONE: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Usd;

    #[test]
    fn the_worst_ratio_raises_later_holds_of_that_model_and_unit() {
        let mut all = Overruns::default();
        let asked = Amounts::request(Usd(1000), 100);
        let model = ModelKey;
        all.note(model(1), Unit::Money, 1000, 1500);
        all.note(model(1), Unit::Money, 1000, 1200);
        all.note(model(1), Unit::Money, 0, 1200);
        assert_eq!(all.raised(model(1), asked), Amounts::request(Usd(1500), 100));
        assert_eq!(all.raised(model(2), asked), asked);
        all.note(model(1), Unit::Tokens, 3, 4);
        assert_eq!(all.raised(model(1), asked), Amounts::request(Usd(1500), 134));
    }

    #[test]
    fn models_beyond_the_table_share_a_ratio() {
        let mut all = Overruns::default();
        for n in 0..2 * MOST as u64 {
            all.note(ModelKey(n), Unit::Money, 1000, 1001 + n);
        }
        assert_eq!(all.by.len(), MOST);
        let asked = Amounts::request(Usd(1000), 0);
        assert_eq!(all.raised(ModelKey(5), asked).usd, Usd(1006));
        assert_eq!(all.raised(ModelKey(u64::MAX), asked).usd, Usd(3000));
    }
}
