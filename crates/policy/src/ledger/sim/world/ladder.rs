//! Callers that go down the ladder, as the sidecar does: each way is a hold of its own size.

use std::sync::Arc;

use super::{
    super::super::{
        Amounts, Ask, Cap, Denied, Hold, How, Key, Pressure, Unit,
        rules::{Rule, on},
        terms::{GUARD, LAST_LOOK},
    },
    Attempt, Event, MS, S, World,
};
use crate::{
    ladder::{Leg, Offer, offers},
    money::Usd,
    snapshot::Rung,
};

/// What one caller wants.
pub(super) struct Wanted {
    tenant: Arc<str>,
    scene: Arc<str>,
    tier: Arc<str>,
    /// Of the dear model, and of the cheap one.
    providers: [Arc<str>; 2],
    asked: u64,
    later: bool,
    /// It stands in line, until then.
    until: Option<u64>,
}

/// As sent: the first candidate, whole.
const AS_SENT: Offer = Offer::Ask { candidate: 0, trimmed: false };

impl Wanted {
    /// The cheap model costs a third, the smaller request half.
    fn amount(&self, candidate: usize, trimmed: bool) -> u64 {
        self.asked / [1, 3][candidate] / if trimmed { 2 } else { 1 }
    }

    fn ask(&self, world: &World, candidate: usize, amount: u64) -> Ask<'_> {
        Ask {
            tenant: (*self.tenant != *"t1").then_some(&self.tenant),
            scene: &self.scene,
            tier: &self.tier,
            provider: &self.providers[candidate],
            model: world.ledger.model("any", "model"),
            amounts: Amounts::request(Usd(amount), amount / 100),
            later: self.later,
        }
    }
}

impl World {
    pub(super) fn attempt(&mut self, n: usize) -> Result<(), String> {
        if self.now > self.shape.lasts {
            return Ok(());
        }
        if !self.is_open && self.shape.journal.as_ref().is_some_and(|j| j.is_patient) {
            self.at(self.now + 100 * MS, Event::Try(n));
            return Ok(());
        }
        let mut wanted = self.waiting[n].take().unwrap_or_else(|| self.wanted());
        let (is_near, fullest) = self.pressure(&wanted)?;
        let rungs = self.shape.rungs.clone();
        let spares = rungs.iter().any(|r| matches!(r, Rung::CheaperModel | Rung::Trim));
        let would_do = is_near && self.fits_cheaper(&wanted);
        let spared = spares && fullest >= Pressure::Degrade && on(Rule::CheaperFirst);
        let legs = [0, 1].map(|c| Leg { worst: Some(Usd(wanted.amount(c, false))), open: true });
        let mut wait = self.rng.u64(..500 * MS);
        let mut soonest = None;
        for offer in offers(&rungs, 0, &legs, spared) {
            match offer {
                Offer::Ask { candidate, trimmed } => {
                    let asked = wanted.amount(candidate, trimmed);
                    match self.offer(&wanted, candidate, asked)? {
                        Ok((hold, keys)) => {
                            if offer == AS_SENT && would_do {
                                return Err(format!("{asked} is held near the limit, although less would do"));
                            }
                            self.ways[way(offer)] += usize::from(offer != AS_SENT);
                            self.took(n, hold, keys, asked);
                            return Ok(());
                        }
                        Err(Denied::Journal) => {
                            if self.writing.is_none() {
                                self.compose(false);
                            }
                            wait = self.rng.u64(..200 * MS);
                            self.waiting[n] = wanted.until.is_some().then_some(wanted);
                            break;
                        }
                        Err(Denied::Short { retry_after, .. } | Denied::Spared { retry_after, .. }) => {
                            soonest = soonest.min(Some(retry_after)).or(Some(retry_after));
                        }
                        Err(Denied::Impossible { .. }) => {}
                    }
                }
                Offer::Cached if wanted.until.is_none() && self.rng.u32(..4) == 0 => {
                    self.ways[way(offer)] += 1;
                    break;
                }
                // In line the moment that is promised is waited for, or less where somebody else may give coins back.
                Offer::Wait if !wanted.later && soonest.is_some() => {
                    let until = wanted.until.unwrap_or_else(|| self.now + self.rng.u64(1..30) * S);
                    if self.now < until {
                        self.ways[way(offer)] += usize::from(wanted.until.is_none());
                        wanted.until = Some(until);
                        self.waiting[n] = Some(wanted);
                        let promised = soonest.map_or(0, |after| self.true_time(after));
                        wait = promised.min(wait).min(until - self.now);
                        break;
                    }
                }
                Offer::Cached | Offer::Wait => {}
                Offer::Refuse => {
                    self.ways[way(offer)] += 1;
                    // Sometimes at the very moment that is promised.
                    if let Some(after) = soonest.filter(|_| self.rng.bool()) {
                        wait = self.true_time(after);
                    }
                }
            }
        }
        if self.ledger.wants_checkpoint() && self.writing.is_none() {
            self.compose(false);
        }
        self.at(self.now + wait, Event::Try(n));
        Ok(())
    }

    fn wanted(&mut self) -> Wanted {
        let [tenants, scenes, tiers, providers] = &self.names;
        let rng = &mut self.rng;
        let mut one = |names: &[Arc<str>]| names[rng.usize(..names.len())].clone();
        let (tenant, scene, tier) = (one(tenants), one(scenes), one(tiers));
        let dear = rng.usize(..2);
        let providers = [dear, 1 - dear].map(|p| providers[p].clone());
        let asked = rng.u64(self.shape.asks.clone());
        let later = rng.u32(..100) < self.shape.later;
        Wanted { tenant, scene, tier, providers, asked, later, until: None }
    }

    /// The hold of one way, and the keys that it counts under.
    fn offer(
        &mut self,
        wanted: &Wanted,
        candidate: usize,
        asked: u64,
    ) -> Result<Result<(Hold, Vec<Key>), Denied>, String> {
        let tick = self.tick();
        let ask = wanted.ask(self, candidate, asked);
        let dry = self.ledger.check(&ask, tick);
        let held = self.ledger.hold(&ask, tick);
        let fits = match &held {
            Ok(_) | Err(Denied::Journal) => Ok(()),
            Err(denied) => Err(denied.clone()),
        };
        if dry != fits {
            return Err(format!("the dry run says {dry:?}, the hold {fits:?}"));
        }
        Ok(held.map(|hold| {
            let keys = self.keys(&ask);
            for (key, cap) in keys.iter().filter(|_| wanted.later) {
                self.oracle.spares(key, cap, self.now, hold.held.of(cap.unit));
            }
            (hold, keys.into_iter().map(|(key, _)| key).collect())
        }))
    }

    fn keys(&self, ask: &Ask<'_>) -> Vec<(Key, Cap)> {
        let in_force = self.ledger.in_force.iter().map(|i| &self.ledger.books[usize::from(*i)]);
        let key = |b: &super::super::super::cap::Book| b.key(b.value(ask, &self.ledger.nobody).cloned());
        in_force.filter(|b| b.cap.applies(ask)).map(|b| (key(b), b.cap.clone())).collect()
    }

    /// A way that is cheaper than the request as sent has room.
    fn fits_cheaper(&self, wanted: &Wanted) -> bool {
        let less = |candidate| {
            let ask = wanted.ask(self, candidate, wanted.amount(candidate, false));
            self.ledger.check(&ask, self.tick()).is_ok()
        };
        self.shape.rungs.contains(&Rung::CheaperModel) && less(1)
    }

    /// What is told of the thresholds is what the budgets stand at, and at least what the bills and the open requests say.
    /// Whether those alone reach a `degradeAt`, and the fullest budget.
    fn pressure(&mut self, wanted: &Wanted) -> Result<(bool, Pressure), String> {
        let tick = self.tick();
        let ask = wanted.ask(self, 0, wanted.asked);
        let told = self.ledger.pressure(&ask, tick);
        let keys: Vec<_> = self.keys(&ask).into_iter().filter(|(key, _)| key.unit == Unit::Money).collect();
        let mut taken = vec![];
        self.ledger.standing(&ask, tick, |s| taken.push(s.spent.0 + s.held.0));
        let stands = keys.iter().zip(&taken).map(|((_, cap), taken)| level(cap, *taken)).max().unwrap_or_default();
        if told != stands {
            return Err(format!("{told:?} is told, and it stands at {stands:?}: {taken:?}"));
        }
        let looks = self.rng.u32(..8) == 0;
        let mut least = Pressure::Normal;
        for (key, cap) in keys.iter().filter(|(_, cap)| cap.warn_at.or(cap.degrade_at).is_some()) {
            let open = self.attempts.iter().flatten().filter(|a| a.keys.contains(key)).map(|a| a.asked).sum();
            let billed = if looks { self.oracle.spent(key, cap, self.now) } else { 0 };
            least = least.max(level(cap, billed.max(open)));
        }
        if told < least {
            return Err(format!("{told:?} is told, and bills and open requests say {least:?}"));
        }
        Ok((least >= Pressure::Degrade, told))
    }

    fn took(&mut self, n: usize, hold: Hold, keys: Vec<Key>, asked: u64) {
        let (how, known) = (How::Unsent, self.worst);
        self.attempts[n] = Some(Attempt { hold, ends: 0, how, keys, asked, known, billed: None });
        let wait = if self.rng.u32(..100) < self.shape.pauses {
            self.pause()
        } else if self.shape.is_late && self.rng.bool() {
            self.true_time(GUARD - LAST_LOOK) - 4
        } else {
            self.rng.u64(..20 * MS)
        };
        self.at(self.now + wait, Event::Send(n));
    }
}

/// Where a budget stands, said anew.
fn level(cap: &Cap, taken: u64) -> Pressure {
    let reaches = |ratio: Option<crate::snapshot::Ratio>| {
        ratio.is_some_and(|r| u128::from(taken) * 10_000 >= u128::from(cap.limit) * u128::from(r.0))
    };
    match () {
        () if taken >= cap.limit => Pressure::Full,
        () if reaches(cap.degrade_at) => Pressure::Degrade,
        () if reaches(cap.warn_at) => Pressure::Warn,
        () => Pressure::Normal,
    }
}

fn way(offer: Offer) -> usize {
    match offer {
        Offer::Ask { trimmed: true, .. } => 1,
        Offer::Ask { .. } => 0,
        Offer::Cached => 2,
        Offer::Wait => 3,
        Offer::Refuse => 4,
    }
}
