//! Which messages a trimmed request keeps.

use super::items::{Item, Role};
use crate::Dialect;

/// Keeps system text, the first user turn, and the last `last` messages with what they cannot stand without.
pub(super) fn keeps(dialect: Dialect, items: &[Item], last: u32) -> Vec<bool> {
    let first_user = items.iter().position(|i| i.role == Role::User);
    let units = units(items);
    let mut keeps = vec![false; items.len()];
    for unit in units.windows(2).map(|w| w[0]..w[1]) {
        let is_pinned = unit.clone().any(|i| Some(i) == first_user || items[i].orphan);
        for i in unit {
            keeps[i] = is_pinned || items[i].role == Role::System;
        }
    }
    let tail = Tail { dialect, items, keeps: &keeps, units: &units }.start(last);
    keeps[tail..].fill(true);
    keeps
}

/// Where the items begin that stand or go together, and where the last ones end.
fn units(items: &[Item]) -> Vec<usize> {
    let mut starts = vec![items.len()];
    let mut from = items.len();
    for (i, item) in items.iter().enumerate().rev() {
        from = from.min(item.from);
        if from == i {
            starts.push(i);
        }
    }
    starts.reverse();
    starts
}

struct Tail<'a> {
    dialect: Dialect,
    items: &'a [Item],
    /// What is kept anyway.
    keeps: &'a [bool],
    units: &'a [usize],
}

impl Tail<'_> {
    /// Its first item.
    fn start(&self, last: u32) -> usize {
        let mut counted = self.items.iter().enumerate().rev().filter(|(_, item)| item.counts).map(|(i, _)| i);
        let Some(nth) = counted.nth((last.max(1) - 1) as usize) else { return 0 };
        let mut start = self.unit_of(nth);
        while start > 0 && self.cannot_start(start) {
            start = self.unit_of(start - 1);
        }
        start
    }

    fn unit_of(&self, item: usize) -> usize {
        let unit = self.units.partition_point(|start| *start <= item);
        unit.checked_sub(1).map_or(0, |i| self.units[i])
    }

    /// Messages alone minds who speaks first, and whether a turn has lost the thinking that it stands on.
    fn cannot_start(&self, start: usize) -> bool {
        self.dialect == Dialect::Messages && (self.repeats_role(start) || self.lost_thinking(start))
    }

    /// Whether the tail begins with the role of what stands before it when all between is gone. Both are one turn then,
    /// which is no longer what was said.
    fn repeats_role(&self, start: usize) -> bool {
        let speaks = |i: &usize| self.items[*i].role != Role::System;
        let before = (0..start).rev().filter(speaks).find(|i| self.keeps[*i]);
        let first = (start..self.items.len()).find(speaks);
        let is_gap = (0..start).rev().find(speaks).is_some_and(|i| !self.keeps[i]);
        is_gap && before.zip(first).is_some_and(|(a, b)| self.items[a].role == self.items[b].role)
    }

    /// Whether a turn that calls tools goes on from one that thought, without having thought itself: as long as tools are
    /// answered, it is one turn, and one that begins with thinking.
    fn lost_thinking(&self, start: usize) -> bool {
        let first = self.items[start..].iter().find(|i| i.role != Role::System);
        if first.is_none_or(|i| i.role != Role::Model || !i.calls || i.opens_thinking) {
            return false;
        }
        let mut before = self.items[..start].iter().rev().filter(|i| i.role != Role::System);
        while before.next().is_some_and(|i| i.results) {
            match before.by_ref().find(|i| i.role == Role::Model) {
                Some(turn) if turn.opens_thinking => return true,
                Some(_) => {}
                None => return false,
            }
        }
        false
    }
}
