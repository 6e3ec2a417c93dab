//! What the provider would have charged, by its own count and its own clock.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::answer::Charge;
use crate::clock::Moment;
use crate::vendor::Vendor;

/// The bill so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Bill {
    /// All requests together, those that are no longer listed too.
    pub total: Total,
    /// The same by model.
    pub models: BTreeMap<String, Total>,
    /// The newest requests that were charged.
    pub items: VecDeque<Item>,
}

/// A sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Requests that were charged.
    pub requests: u64,
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Nano-dollars.
    pub nano_usd: u64,
}

/// One charged request.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// The number of its log entry.
    pub seq: u64,
    /// Who charges.
    pub vendor: Vendor,
    /// The catalogue's name of the model.
    pub model: &'static str,
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// Of these, read from the cache.
    pub cached_tokens: u64,
    /// Of these, written to the cache.
    pub cache_write_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Nano-dollars in all.
    pub nano_usd: u64,
    /// When how much of it was charged.
    pub charges: Vec<Charged>,
    /// False while more may come.
    pub closed: bool,
}

/// Part of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Charged {
    /// Microseconds since the simulator's start, by a clock that never steps.
    pub at_us: u64,
    /// Unix milliseconds.
    pub time_ms: u64,
    /// Nano-dollars.
    pub nano_usd: u64,
}

impl Bill {
    /// Charges a request up to `output` tokens; `before` is how many were charged already, if it was charged at all.
    pub(crate) fn charge(
        &mut self,
        who: (u64, Vendor),
        charge: &Charge,
        before: Option<u64>,
        output: u64,
        now: Moment,
    ) {
        let nano_usd = charge.nano_usd(output);
        let more = nano_usd - before.map_or(0, |before| charge.nano_usd(before));
        match before {
            None => self.items.push_back(Item::new(who, charge, output, nano_usd, now)),
            Some(_) => {
                if let Some(item) = self.items.iter_mut().rev().find(|item| item.seq == who.0) {
                    item.add(output, nano_usd, more, now);
                }
            }
        }
        let model = self.models.entry(charge.model.to_owned()).or_default();
        for total in [&mut self.total, model] {
            if before.is_none() {
                total.requests += 1;
                total.input_tokens += charge.input.total;
            }
            total.output_tokens += output - before.unwrap_or(0);
            total.nano_usd += more;
        }
    }

    /// No more comes for this request; at most `most` are listed.
    pub(crate) fn close(&mut self, seq: u64, most: usize) {
        if let Some(item) = self.items.iter_mut().rev().find(|item| item.seq == seq) {
            item.closed = true;
        }
        while self.items.len() > most.max(1) {
            self.items.pop_front();
        }
    }
}

impl Item {
    fn new((seq, vendor): (u64, Vendor), charge: &Charge, output: u64, nano_usd: u64, now: Moment) -> Item {
        Item {
            seq,
            vendor,
            model: charge.model,
            input_tokens: charge.input.total,
            cached_tokens: charge.input.cached,
            cache_write_tokens: charge.input.write + charge.input.write_long,
            output_tokens: output,
            nano_usd,
            charges: vec![Charged::new(now, nano_usd)],
            closed: false,
        }
    }

    fn add(&mut self, output: u64, nano_usd: u64, more: u64, now: Moment) {
        match self.charges.last_mut() {
            Some(last) if last.time_ms == now.unix_ms => last.nano_usd += more,
            _ => self.charges.push(Charged::new(now, more)),
        }
        self.output_tokens = output;
        self.nano_usd = nano_usd;
    }
}

impl Charged {
    fn new(now: Moment, nano_usd: u64) -> Charged {
        Charged { at_us: now.us, time_ms: now.unix_ms, nano_usd }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Ask;
    use crate::catalog;

    #[test]
    fn a_stream_is_charged_piece_by_piece() {
        let mut ask = Ask::new(catalog::find(Vendor::OpenAi, "gpt-6-sol").unwrap(), "gpt-6-sol");
        ask.input.total = 10;
        let charge = Charge::of(&ask, 3);
        let mut bill = Bill::default();
        let who = (1, Vendor::OpenAi);
        for (before, output, now) in [(None, 0, 100), (Some(0), 1, 100), (Some(1), 2, 150), (Some(2), 3, 200)] {
            bill.charge(who, &charge, before, output, Moment { us: now * 7, unix_ms: now });
        }
        bill.close(1, 10);
        let item = &bill.items[0];
        let charged: Vec<_> = item.charges.iter().map(|c| (c.at_us, c.time_ms, c.nano_usd)).collect();
        assert_eq!(charged, [(700, 100, 30_000), (1050, 150, 10_000), (1400, 200, 10_000)]);
        assert_eq!((item.nano_usd, item.output_tokens, item.closed), (50_000, 3, true));
        assert_eq!(bill.total, Total { requests: 1, input_tokens: 10, output_tokens: 3, nano_usd: 50_000 });
        assert_eq!(bill.models["gpt-6-sol"], bill.total);
    }

    #[test]
    fn totals_outlive_the_list() {
        let ask = Ask::new(catalog::find(Vendor::OpenAi, "gpt-6-sol").unwrap(), "gpt-6-sol");
        let mut bill = Bill::default();
        for seq in 0..5 {
            bill.charge((seq, Vendor::OpenAi), &Charge::of(&ask, 1), None, 1, Moment::default());
            bill.close(seq, 2);
        }
        assert_eq!((bill.items.len(), bill.total.requests, bill.total.nano_usd), (2, 5, 50_000));
    }
}
