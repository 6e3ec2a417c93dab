//! The ledger object in parts: a store takes no object of any size. Each part is replaced by whoever read it last, like the
//! whole; what a key says stands in one part, so parts of different writes beside each other are harmless.

use super::{
    super::hold::Key,
    written::{Written, WrittenPot},
};

/// What each part of a write holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// All but the keys.
    pub main: Written,
    /// The keys, by [`part_of`].
    pub pots: Vec<Vec<WrittenPot>>,
}

impl Written {
    /// In one main part and `count` others.
    #[must_use]
    pub fn split(mut self, count: usize) -> Parts {
        let mut pots = vec![vec![]; count];
        for pot in std::mem::take(&mut self.pots) {
            pots[part_of(&pot.key, count)].push(pot);
        }
        Parts { main: self, pots }
    }
}

impl Parts {
    /// The whole again. The highest term that any part names is that of a lender who wrote.
    #[must_use]
    pub fn join(self, terms: impl IntoIterator<Item = u64>) -> Written {
        let term = terms.into_iter().fold(self.main.term, u64::max);
        Written { term, pots: self.pots.into_iter().flatten().collect(), ..self.main }
    }
}

/// A part as it was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    term: u64,
    digest: u64,
}

impl Said {
    /// By the lender of `term`.
    #[must_use]
    pub fn new(term: u64, pots: &[WrittenPot]) -> Said {
        let digest = pots.iter().fold(FNV, |sum, pot| fnv(of_key(sum, &pot.key), &pot.out.to_le_bytes()));
        Said { term, digest }
    }

    /// Whether a part that says this may stand for these: what cools there is told to cool for longer, and that is all.
    #[must_use]
    pub fn stands_for(self, term: u64, pots: &[WrittenPot]) -> bool {
        self == Said::new(term, pots) && pots.iter().all(|pot| !pot.is_changed)
    }
}

/// The part that a key stands in, of `count`; the same in every version of this program.
#[must_use]
pub fn part_of(key: &Key, count: usize) -> usize {
    let sum = of_key(FNV, key);
    // Its low bits alone know little of the key.
    usize::try_from((sum ^ sum >> 32) % count.max(1) as u64).unwrap_or(0)
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
const FNV: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn of_key(sum: u64, key: &Key) -> u64 {
    let value = key.value.as_deref().unwrap_or_default();
    let words = [key.unit.name(), &*key.name, key.scope.name(), value];
    words.into_iter().fold(sum, |sum, word| fnv(fnv(sum, word.as_bytes()), &[0xff]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::super::hold::Unit, *};
    use crate::snapshot::Scope;

    fn pot(value: &str, out: u64) -> WrittenPot {
        let key = Key { unit: Unit::Money, name: "day".into(), scope: Scope::Tenant, value: Some(value.into()) };
        WrittenPot { key, out, cooling: vec![(Duration::from_secs(9), 1)], is_changed: false }
    }

    #[test]
    fn parts_come_together_again() {
        let mut pots: Vec<_> = (0..1_000).map(|n| pot(&format!("t{n}"), n)).collect();
        let whole = Written { term: 7, pots: pots.clone(), ..Written::default() };
        let parts = whole.clone().split(8);
        assert!(parts.main.pots.is_empty());
        let sizes: Vec<_> = parts.pots.iter().map(Vec::len).collect();
        assert!(sizes.iter().all(|n| (80..180).contains(n)), "{sizes:?}");
        let mut joined = parts.clone().join([3, 9]);
        assert_eq!(joined.term, 9);
        joined.pots.sort_by_key(|p| p.out);
        pots.sort_by_key(|p| p.out);
        assert_eq!(joined.pots, pots);
        assert_eq!(parts.join([]).term, 7);
    }

    #[test]
    fn a_part_that_says_the_same_is_left_alone() {
        let said = Said::new(7, &[pot("a", 1), pot("b", 2)]);
        let cooler = WrittenPot { cooling: vec![], ..pot("b", 2) };
        assert!(said.stands_for(7, &[pot("a", 1), cooler]));
        let changed = WrittenPot { is_changed: true, ..pot("b", 2) };
        for (term, pots) in [
            (8, vec![pot("a", 1), pot("b", 2)]),
            (7, vec![pot("a", 1), pot("b", 3)]),
            (7, vec![pot("a", 1)]),
            (7, vec![pot("a", 1), pot("c", 2)]),
            (7, vec![pot("a", 1), changed]),
        ] {
            assert!(!said.stands_for(term, &pots), "{term} {pots:?}");
        }
    }

    #[test]
    fn a_key_stands_where_it_stood() {
        let places: Vec<_> = ["a", "b", "c", "d"].iter().map(|t| part_of(&pot(t, 0).key, 32)).collect();
        assert_eq!(places, [17, 30, 7, 12]);
    }
}
