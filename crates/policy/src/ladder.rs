//! What is done about money before an attempt: the tier's ladder, top to bottom (DESIGN section 4, "The ladder").

use crate::{money::Usd, snapshot::Rung};

/// One way to serve a request, or to refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Ask `candidate`, if the money for it can be held.
    Ask {
        /// Index into the plan's candidates.
        candidate: usize,
        /// With a smaller request.
        trimmed: bool,
    },
    /// Give an answer from before, if there is one.
    Cached,
    /// Wait in line until one of the offers before this one can be held.
    Wait,
    /// A clear no.
    Refuse,
}

/// What the ladder must know of a candidate.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// The most that the request as sent can cost there; `None` where nothing bounds it.
    pub worst: Option<Usd>,
    /// It can still be tried.
    pub open: bool,
}

/// Everything that may be done for a request whose next candidate is `base`, in order; the last one is a refusal.
///
/// The request as sent comes first, or, where the budget is so far spent that money is `spared` (from `degradeAt` on),
/// behind the cheaper models and the smaller request. Cache, queue and refusal come only when the money does not fit.
#[must_use]
pub fn offers(rungs: &[Rung], base: usize, legs: &[Leg], spared: bool) -> Vec<Offer> {
    let as_sent = Offer::Ask { candidate: base, trimmed: false };
    let worst = |i: usize| legs.get(i).and_then(|l: &Leg| l.worst);
    let cheaper = |i: &usize| legs[*i].open && *i != base && worst(*i) < worst(base) && worst(*i).is_some();
    let mut asked = vec![base];
    let mut less = vec![];
    let mut others = vec![];
    for rung in rungs {
        match rung {
            Rung::CheaperModel => {
                asked.extend((0..legs.len()).filter(cheaper));
                less.extend(asked[1..].iter().map(|i| Offer::Ask { candidate: *i, trimmed: false }));
            }
            Rung::Trim => less.extend(asked.iter().map(|i| Offer::Ask { candidate: *i, trimmed: true })),
            Rung::Cache => others.push(Offer::Cached),
            Rung::Queue => others.push(Offer::Wait),
            Rung::Reject => break,
        }
    }
    let mut offers = Vec::with_capacity(less.len() + others.len() + 2);
    if spared {
        offers.extend(less);
        offers.push(as_sent);
    } else {
        offers.push(as_sent);
        offers.extend(less);
    }
    offers.extend(others);
    offers.push(Offer::Refuse);
    offers
}

#[cfg(test)]
mod tests {
    use super::*;
    use Rung::{Cache, CheaperModel, Queue, Reject, Trim};

    const fn ask(candidate: usize) -> Offer {
        Offer::Ask { candidate, trimmed: false }
    }

    const fn trimmed(candidate: usize) -> Offer {
        Offer::Ask { candidate, trimmed: true }
    }

    /// Dear, cheap, without a price, cheap but out, as dear as the first.
    fn legs() -> Vec<Leg> {
        [(Some(9), true), (Some(1), true), (None, true), (Some(1), false), (Some(9), true)]
            .map(|(worst, open)| Leg { worst: worst.map(Usd), open })
            .to_vec()
    }

    #[test]
    fn ladders() {
        let rows: &[(&[Rung], bool, &[Offer])] = &[
            (&[Reject], false, &[ask(0), Offer::Refuse]),
            (&[Reject], true, &[ask(0), Offer::Refuse]),
            (&[CheaperModel, Reject], false, &[ask(0), ask(1), Offer::Refuse]),
            (&[CheaperModel, Reject], true, &[ask(1), ask(0), Offer::Refuse]),
            (&[Trim, CheaperModel], false, &[ask(0), trimmed(0), ask(1), Offer::Refuse]),
            (&[Trim, CheaperModel], true, &[trimmed(0), ask(1), ask(0), Offer::Refuse]),
            (
                &[CheaperModel, Trim, Cache, Queue, Reject],
                true,
                &[ask(1), trimmed(0), trimmed(1), ask(0), Offer::Cached, Offer::Wait, Offer::Refuse],
            ),
            (&[Queue, Cache], false, &[ask(0), Offer::Wait, Offer::Cached, Offer::Refuse]),
            (&[Reject, Queue], false, &[ask(0), Offer::Refuse]),
        ];
        for (rungs, spared, want) in rows {
            assert_eq!(offers(rungs, 0, &legs(), *spared), *want, "{rungs:?} {spared}");
        }
    }

    #[test]
    fn nothing_is_cheaper_than_the_cheapest_nor_than_the_unpriced() {
        for base in [1, 2] {
            assert_eq!(offers(&[CheaperModel], base, &legs(), false), [ask(base), Offer::Refuse]);
        }
    }
}
