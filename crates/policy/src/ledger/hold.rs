//! What is asked of the ledger and what it answers.

use std::{sync::Arc, time::Duration};

use super::{
    overrun::ModelKey,
    rules::{Rule, on},
    terms::{GUARD, LAST_LOOK},
};
use crate::{Tick, money::Usd, snapshot::Scope};

/// What a cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Nano-dollars.
    Money,
    /// Requests sent.
    Requests,
    /// Tokens, input and output.
    Tokens,
}

impl Unit {
    /// All, with their names in what is written and sent; these never change.
    pub const NAMED: [(Unit, &str); 3] = [(Unit::Money, "usd"), (Unit::Requests, "requests"), (Unit::Tokens, "tokens")];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Unit::NAMED.iter().find(|(unit, _)| *unit == self).map_or("", |(_, name)| name)
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Unit> {
        Unit::NAMED.iter().find(|(_, known)| *known == name).map(|(unit, _)| *unit)
    }
}

/// An amount of each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Money.
    pub usd: Usd,
    /// Tokens.
    pub tokens: u64,
    /// Requests.
    pub requests: u64,
}

impl Amounts {
    /// One request.
    #[must_use]
    pub fn request(usd: Usd, tokens: u64) -> Amounts {
        Amounts { usd, tokens, requests: 1 }
    }

    /// The amount of `unit`.
    #[must_use]
    pub fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Money => self.usd.0,
            Unit::Requests => self.requests,
            Unit::Tokens => self.tokens,
        }
    }

    /// `f` of each unit of both.
    pub(super) fn zip(&self, other: &Amounts, f: impl Fn(u64, u64) -> u64) -> Amounts {
        Amounts {
            usd: Usd(f(self.usd.0, other.usd.0)),
            tokens: f(self.tokens, other.tokens),
            requests: f(self.requests, other.requests),
        }
    }
}

/// One attempt that wants to be sent: where it counts, and the most that it can cost.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Tenant, where one is named; all that name none share a key.
    pub tenant: Option<&'a Arc<str>>,
    /// Scene.
    pub scene: &'a Arc<str>,
    /// Tier.
    pub tier: &'a Arc<str>,
    /// Provider of this attempt.
    pub provider: &'a Arc<str>,
    /// Its provider and model, for the factor that overruns leave.
    pub model: ModelKey,
    /// Upper bounds.
    pub amounts: Amounts,
    /// Its caller comes back for the answer: it leaves the last part of each cap to those who cannot wait.
    pub later: bool,
}

/// Coins taken for one attempt. Handed back by [`super::Ledger::settle`], once; it cannot be copied.
#[derive(Debug)]
#[must_use = "a hold that is not settled keeps its coins for good"]
pub struct Hold {
    pub(super) at: Tick,
    /// From here on its bill is final, whatever happens.
    pub(super) final_at: Tick,
    pub(super) asked: Amounts,
    pub(super) held: Amounts,
    pub(super) model: ModelKey,
    /// Of the borrower's incarnation.
    pub(super) epoch: u32,
    pub(super) parts: Vec<Part>,
}

/// What a hold takes of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The account.
    pub(super) at: u32,
    /// Of the amount, borrowed coins.
    pub(super) borrowed: u64,
}

impl Hold {
    /// What is held: what was asked, raised by the model's factor.
    #[must_use]
    pub fn held(&self) -> Amounts {
        self.held
    }

    /// Whether the first byte may leave now. An older hold is settled as [`How::Unsent`] and taken anew: its horizon
    /// counts from the hold, and the process may have been asleep since.
    #[must_use]
    pub fn may_send(&self, now: Tick) -> bool {
        !on(Rule::SendGuard) || now.since(self.at) <= GUARD - LAST_LOOK
    }

    /// What it is charged, the date of that, and whether it is an estimate.
    pub(super) fn charge(&self, how: How, now: Tick) -> (Amounts, Tick, bool) {
        let requests = |requests| Amounts { requests, ..Amounts::default() };
        let seen = if on(Rule::StampAtSettle) { now } else { self.at };
        // One that ran on for longer than its horizon may have been billed until now.
        let unseen = match (on(Rule::Horizon), on(Rule::HorizonOrNow)) {
            (true, true) => self.final_at.max(now),
            (true, false) => self.final_at,
            (false, _) => now,
        };
        match how {
            How::Ended(cost) => (Amounts { requests: self.held.requests, ..cost }, seen, false),
            How::EndedWithoutUsage => (self.held, seen, true),
            How::Closed(bound) => {
                let bound = Amounts { requests: self.held.requests, ..bound };
                (bound.zip(&self.held, u64::min), seen, true)
            }
            How::Unseen if !on(Rule::WholeHold) => (Amounts::default(), unseen, true),
            How::Unseen => (self.held, unseen, true),
            How::Refused if !on(Rule::RefusedIsFree) => (self.held, seen, false),
            How::Refused => (requests(self.held.requests), seen, false),
            How::Unsent => (Amounts::default(), seen, false),
        }
    }
}

/// How an attempt ended, as far as its bill goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The answer ended, and this is what it cost. More than was held is charged too, as debt.
    Ended(Amounts),
    /// The answer ended and told no usage.
    EndedWithoutUsage,
    /// We closed a stream of a provider that then stops billing; charged is this bound (input, what was received, slack),
    /// at most the hold.
    Closed(Amounts),
    /// Anything else that was sent: a timeout, a reset, a cut, a cancel where billing runs on, a panic.
    Unseen,
    /// A clear refusal (a 4xx, 429 or 5xx status): a request was made, nothing is billed.
    Refused,
    /// It was never sent.
    Unsent,
}

/// What settling did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Charged to each key.
    pub charged: Amounts,
    /// It is a bound, not what the provider said.
    pub estimated: bool,
    /// Of it, what passed the hold.
    pub debt: Amounts,
}

/// Names a key to people and to the journal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What is counted.
    pub unit: Unit,
    /// Of the budget, or of the provider whose limit it is.
    pub name: Arc<str>,
    /// Counted by.
    pub scope: Scope,
    /// Value of the scope, empty for a request without tenant; `None` for the key that all share: of a policy-wide cap, or
    /// of the tenants beyond the table.
    pub value: Option<Arc<str>>,
}

/// Why nothing is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It does not fit now.
    Short {
        /// The key that takes longest.
        key: Key,
        /// How much more than is free there.
        missing: u64,
        /// When so much will be free if nobody else takes it: exact for what is spent; open holds are taken for their
        /// worst.
        retry_after: Duration,
    },
    /// It can wait, and what is free is left to those who cannot.
    Spared {
        /// The key that takes longest.
        key: Key,
        /// When it may be had if nobody else takes it, as of [`Denied::Short`].
        retry_after: Duration,
    },
    /// It never fits: it is more than the whole cap, or than requests that can wait have of it.
    Impossible {
        /// Where.
        key: Key,
        /// So much.
        limit: u64,
    },
    /// There is money, but the journal must be written first: take a checkpoint, make it durable, ask again.
    Journal,
}

/// How full the fullest key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Below every threshold.
    #[default]
    Normal,
    /// `warnAt` is reached.
    Warn,
    /// `degradeAt` is reached.
    Degrade,
    /// Nothing is left.
    Full,
}
