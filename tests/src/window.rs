//! What was billed in any window.

use std::time::Duration;

use sim::Bill;

/// The most that was charged in any window of this length, both of its ends included, wherever it starts: nano-dollars.
/// `of` says which requests count, by their number in the simulator's log.
pub fn fullest(bill: &Bill, window: Duration, of: impl Fn(u64) -> bool) -> u64 {
    let items = bill.items.iter().filter(|item| of(item.seq));
    let mut charges: Vec<(u64, u64)> = items.flat_map(|i| &i.charges).map(|c| (c.at_us, c.nano_usd)).collect();
    charges.sort_unstable();
    let window = window.as_micros() as u64;
    let (mut sum, mut most, mut oldest) = (0, 0, 0);
    for (at, amount) in &charges {
        sum += amount;
        while charges[oldest].0 + window < *at {
            sum -= charges[oldest].1;
            oldest += 1;
        }
        most = most.max(sum);
    }
    most
}

#[cfg(test)]
mod tests {
    use sim::{Charged, Item, Vendor};

    use super::*;

    #[test]
    fn every_window_is_looked_at() {
        let item = |seq, charges: &[(u64, u64)]| Item {
            seq,
            vendor: Vendor::OpenAi,
            model: "m",
            input_tokens: 0,
            cached_tokens: 0,
            cache_write_tokens: 0,
            output_tokens: 0,
            nano_usd: 0,
            charges: charges.iter().map(|&(at_us, nano_usd)| Charged { at_us, time_ms: 0, nano_usd }).collect(),
            closed: true,
        };
        let items = [item(1, &[(0, 1), (2_000_001, 10)]), item(2, &[(1_000_000, 100), (1_999_999, 1000)])];
        let bill = Bill { items: items.into(), ..Bill::default() };
        let most = |secs| fullest(&bill, Duration::from_secs(secs), |_| true);
        assert_eq!((most(1), most(2), most(3)), (1100, 1110, 1111));
        assert_eq!(fullest(&bill, Duration::from_secs(1), |seq| seq == 1), 10);
        assert_eq!(fullest(&Bill::default(), Duration::from_secs(1), |_| true), 0);
    }
}
