//! Who has which part of what is guaranteed.

use std::{collections::BTreeMap, sync::Arc};

use super::super::{
    message::{Incarnation, ShareGrant, ShareReport},
    rules::{Rule, on},
    terms::WHOLE,
};
use super::allowed::Allowed;
use crate::Tick;

/// The shares of all pods, those included that ended and may still be billed for. They sum up to no more than the whole.
#[derive(Debug, Default)]
pub(super) struct Shares {
    pub(super) pods: BTreeMap<Arc<str>, PodShare>,
    /// Of numbers given.
    number: u64,
    /// After a lost ledger: the rest may be anybody's until then.
    pub(super) unknown_until: Option<Tick>,
}

#[derive(Clone, Debug)]
pub(super) struct PodShare {
    /// The most that it may go by.
    pub(super) parts: u64,
    /// Of those, what it may be told.
    pub(super) allowed: Allowed,
    /// What it is told, and under which number.
    told: u64,
    number: u64,
    /// It was told less than it has, and did not agree yet.
    is_shrinking: bool,
    /// Whom it was told first.
    told_to: Option<Incarnation>,
    /// The process of the pod that began last: it is told to no other, and given back by no other.
    holder: Option<Incarnation>,
    /// Somebody of this pod may have drawn on it under another lender.
    is_known: bool,
    /// When it was heard last.
    pub(super) contact: Tick,
    /// When it is free, of a pod that ended or gave it back.
    pub(super) free_at: Option<Tick>,
    /// No process of the pod comes any more.
    is_over: bool,
    /// The newest terms that it obeys.
    pub(super) edition: u64,
}

impl PodShare {
    fn new(contact: Tick) -> PodShare {
        PodShare {
            parts: 0,
            allowed: Allowed::of(0),
            told: 0,
            number: 0,
            is_shrinking: false,
            told_to: None,
            holder: None,
            is_known: false,
            contact,
            free_at: None,
            is_over: false,
            edition: 0,
        }
    }
}

impl Shares {
    /// Numbers grow over terms.
    pub(super) fn new(term: u64) -> Shares {
        Shares { number: term << 32, ..Shares::default() }
    }

    pub(super) fn found(&mut self, pod: Arc<str>, parts: u64, contact: Tick, free_at: Option<Tick>) {
        let allowed = Allowed::of(if free_at.is_some() { 0 } else { parts });
        self.pods.insert(pod, PodShare { parts, allowed, is_known: true, free_at, ..PodShare::new(contact) });
    }

    fn given(&self) -> u64 {
        self.pods.values().fold(0, |sum, p| sum.saturating_add(p.parts))
    }

    /// Hears of `pod`. A share that it obeys is what it has, from then on.
    pub(super) fn hear(&mut self, pod: &Arc<str>, said: &ShareReport, edition: u64, now: Tick) {
        let share = self.pods.entry(pod.clone()).or_insert_with(|| PodShare::new(now));
        share.contact = share.contact.max(now);
        share.edition = share.edition.max(edition);
        if share.is_shrinking && said.number == share.number {
            (share.parts, share.is_shrinking) = (share.told, false);
        }
    }

    /// A process of the pod was heard for the first time: what one before it gave back is this one's. It knows what that
    /// one drew, or is told that it does not.
    pub(super) fn begin(&mut self, pod: &Arc<str>, by: Incarnation) {
        if let Some(share) = self.pods.get_mut(pod).filter(|share| !share.is_over) {
            (share.free_at, share.holder) = (None, Some(by));
        }
    }

    /// A process of the pod gave its share back, which is free at `at`, or later if one before it said so; unless there is
    /// an `heir`, another process that may draw on it. Nothing is given back by one that another has followed: what it says
    /// may come late.
    pub(super) fn leave(&mut self, pod: &Arc<str>, by: Incarnation, heir: Option<Incarnation>, at: Tick) {
        let is_holder = |share: &PodShare| share.holder == Some(by);
        let rule = on(Rule::HolderGivesBack);
        if let Some(share) = self.pods.get_mut(pod).filter(|s| is_holder(s) || !rule) {
            match heir.filter(|_| rule) {
                Some(_) => share.holder = heir,
                None => share.free_at = share.free_at.max(Some(at)),
            }
        }
    }

    /// The pod ended: its share is free at `at`, or sooner if that was known.
    pub(super) fn end(&mut self, pod: &Arc<str>, at: Tick) {
        if let Some(share) = self.pods.get_mut(pod) {
            share.free_at = Some(share.free_at.map_or(at, |known| known.min(at)));
            share.is_over = true;
        }
    }

    /// Frees what is free: `silent_for` nanoseconds after a pod was heard last, its share is. True if something was.
    pub(super) fn expire(&mut self, silent_for: u64, now: Tick) -> bool {
        if self.unknown_until.is_some_and(|until| until <= now) {
            self.unknown_until = None;
        }
        let before = self.pods.len();
        self.pods.retain(|_, share| {
            let silent = Tick(share.contact.0.saturating_add(silent_for));
            now < share.free_at.map_or(silent, |at| at.min(silent))
        });
        self.pods.len() < before
    }

    /// Aims at four fifths of the whole, shared evenly: the rest is for those who come. True if something is to be written
    /// before it is told.
    pub(super) fn balance(&mut self) -> bool {
        let living = self.pods.values().filter(|p| p.free_at.is_none()).count() as u64;
        if living == 0 || self.unknown_until.is_some() {
            return false;
        }
        let target = WHOLE / 5 * 4 / living;
        let mut free = WHOLE.saturating_sub(self.given());
        let mut wants_write = false;
        let is_short = self.pods.values().any(|p| p.free_at.is_none() && p.parts < target / 2);
        for share in self.pods.values_mut().filter(|p| p.free_at.is_none()) {
            let is_small = share.parts < target / 2 || share.parts == 0;
            if is_small && !share.is_shrinking && free > 0 {
                let parts = target.min(share.parts.saturating_add(free));
                free -= parts - share.parts;
                share.parts = parts;
            }
            let is_large = share.parts > target && (is_short || share.parts > target.saturating_mul(2));
            let aim = if is_large || share.is_shrinking { target.min(share.parts) } else { share.parts };
            let may_tell = aim <= share.allowed.now() || !on(Rule::ShareWhenWritten);
            if may_tell && (aim != share.told || share.number == 0) {
                self.number += 1;
                (share.told, share.number, share.is_shrinking) = (aim, self.number, aim < share.parts);
                if !on(Rule::ShrunkWhenAgreed) {
                    (share.parts, share.is_shrinking) = (aim, false);
                }
            }
            wants_write |= share.parts > share.allowed.now();
        }
        wants_write
    }

    /// What an incarnation of `pod` is told.
    pub(super) fn grant(&mut self, pod: &Arc<str>, to: Incarnation) -> Option<ShareGrant> {
        let share = self.pods.get_mut(pod).filter(|s| s.number > 0 && s.free_at.is_none())?;
        let is_holder = share.holder == Some(to) || !on(Rule::HolderGivesBack);
        let is_written = share.told <= share.allowed.now() || !on(Rule::ShareWhenWritten);
        if !is_holder || !is_written {
            return None;
        }
        let first = *share.told_to.get_or_insert(to);
        Some(ShareGrant { number: share.number, parts: share.told, is_known: share.is_known || first != to })
    }
}
