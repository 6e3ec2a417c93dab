//! A hold that waits for the one answer that may bring its coins.

use super::super::{
    Ledger,
    hold::{Amounts, Ask},
};
use crate::Tick;

/// A hold that waits. Ended by [`Ledger::leave`], once.
#[derive(Debug)]
#[must_use = "one that is not ended asks for its coins for good"]
pub struct Wait {
    /// The report that tells of it.
    number: u64,
    epoch: u32,
    keys: Vec<(u32, u64)>,
}

impl Ledger {
    /// Has the lender asked for what `ask` lacks, with the next report, which is due at once; `None` where no lender
    /// answers, or none could help: what is left to those who cannot wait would be lent to no use.
    pub fn wait(&mut self, ask: &Ask<'_>, now: Tick) -> Option<Wait> {
        let borrower = self.borrower.as_ref().filter(|b| b.is_live(now) && !b.is_silent)?;
        let (number, epoch) = (borrower.number + 1, borrower.epoch);
        let held = self.overruns.raised(ask.model, ask.amounts);
        if self.is_above_later(ask, &held, now) {
            return None;
        }
        let mut parts = self.parts(ask, now);
        self.make(ask, &mut parts, now);
        let mut keys = vec![];
        for index in parts.iter().map(|p| p.at) {
            let account = &mut self.accounts[index as usize];
            let book = &self.books[usize::from(account.cap)];
            let need = held.of(book.cap.unit);
            let Some(float) = self.borrower.as_mut().and_then(|b| account.borrow(index, book, b, now)) else {
                continue;
            };
            if float.free(now, &book.grid).saturating_sub(float.pend()) < need {
                float.wait(need);
                keys.push((index, need));
            }
        }
        if let Some(borrower) = self.borrower.as_mut().filter(|_| !keys.is_empty()) {
            borrower.is_urgent = true;
            return Some(Wait { number, epoch, keys });
        }
        None
    }

    /// Some key is too full for one that can wait, whatever is lent.
    fn is_above_later(&self, ask: &Ask<'_>, held: &Amounts, now: Tick) -> bool {
        self.places(ask, now).any(|(index, at)| {
            let need = held.of(self.books[usize::from(index)].cap.unit);
            self.above_later(ask, index, at, need, now) > 0
        })
    }

    /// The lender has answered: there is no more to wait for.
    #[must_use]
    pub fn is_answered(&self, wait: &Wait) -> bool {
        let float = |index: u32| self.accounts.get(index as usize).and_then(|a| a.float.as_deref());
        let is_coming = || wait.keys.iter().any(|(index, _)| float(*index).is_some_and(|f| f.is_coming));
        self.borrower.as_ref().is_none_or(|b| b.epoch != wait.epoch || b.echo >= wait.number && !is_coming())
    }

    /// Ends a wait, whatever came of it.
    pub fn leave(&mut self, wait: Wait) {
        if self.is_over(wait.epoch) {
            return;
        }
        for (index, need) in wait.keys {
            if let Some(float) = self.accounts.get_mut(index as usize).and_then(|a| a.float.as_deref_mut()) {
                float.leave(need);
            }
        }
    }
}
