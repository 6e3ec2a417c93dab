//! What the pretend providers billed, by their own count and their own clocks, and how the sidecar says its budgets stand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

use crate::world::World;

/// Part of one bill.
#[derive(Clone, Debug)]
pub struct Charge {
    /// Who charged, by its name in the policy.
    pub provider: String,
    /// The request that it is for, as the provider got it.
    pub request: u64,
    /// Its body.
    pub body: Arc<str>,
    /// When, in microseconds of one clock for all providers.
    pub at_us: u64,
    /// How much, in nano-dollars.
    pub nano_usd: u64,
}

/// One budget, as `x-llmroute-budget` and `/health/budgets` say it; money in nano-dollars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What has not cooled.
    pub spent: u64,
    /// In open holds.
    pub held: u64,
    /// The cap.
    pub limit: u64,
    /// Seconds until the oldest money spent is free, rounded down.
    pub free: u64,
}

/// `0.0125` dollars in nano-dollars.
#[track_caller]
pub fn nano(usd: &str) -> u64 {
    let (whole, part) = usd.split_once('.').unwrap_or((usd, ""));
    let digits = format!("{whole}{part:0<9}");
    digits.parse().unwrap_or_else(|_| panic!("not an amount of dollars: {usd}"))
}

/// The budgets of a header `x-llmroute-budget`.
#[track_caller]
pub fn standings(header: &str) -> BTreeMap<String, Standing> {
    let one = |text: &str| {
        let mut fields = text.trim().split(';');
        let name = fields.next().unwrap_or_default().to_owned();
        let mut standing = Standing::default();
        for field in fields {
            let (field, value) = field.split_once('=').unwrap_or_else(|| panic!("{header}"));
            match field {
                "spent" => standing.spent = nano(value),
                "held" => standing.held = nano(value),
                "limit" => standing.limit = nano(value),
                "free" => standing.free = value.parse().unwrap_or_else(|_| panic!("{header}")),
                other => panic!("a field `{other}` in {header}"),
            }
        }
        (name, standing)
    };
    header.split(',').filter(|text| !text.is_empty()).map(one).collect()
}

/// The row of one budget on `/health/budgets`.
#[track_caller]
pub fn standing(page: &Value, name: &str) -> Standing {
    let rows = page["budgets"].as_array().cloned().unwrap_or_default();
    let row = rows.iter().find(|r| r["name"] == name).unwrap_or_else(|| panic!("no budget {name} in {page}"));
    let amount = |member: &str| nano(row[member].as_str().unwrap_or_default());
    Standing {
        spent: amount("spent"),
        held: amount("held"),
        limit: amount("limit"),
        free: row["next_free_seconds"].as_f64().unwrap_or_default() as u64,
    }
}

/// The most that fell into any window of `window_us`, both its ends included: it is slid over every charge.
pub fn fullest_window<'c>(charges: impl IntoIterator<Item = &'c Charge>, window_us: u64) -> u64 {
    let charges = in_order(charges);
    let (mut first, mut sum, mut most) = (0, 0, 0);
    for (at, amount) in &charges {
        sum += amount;
        while charges[first].0 + window_us < *at {
            sum -= charges[first].1;
            first += 1;
        }
        most = most.max(sum);
    }
    most
}

/// How long it takes on average to bill `limit` nano-dollars, from each charge on that is followed by so much.
#[track_caller]
pub fn turnover<'c>(charges: impl IntoIterator<Item = &'c Charge>, limit: u64) -> Duration {
    let charges = in_order(charges);
    let (mut last, mut through) = (0, 0);
    let (mut weight, mut sum) = (0, 0u128);
    for (at, amount) in &charges {
        while through < limit && last < charges.len() {
            through += charges[last].1;
            last += 1;
        }
        if through < limit {
            break;
        }
        sum += u128::from(charges[last - 1].0 - at) * u128::from(*amount);
        weight += amount;
        through -= amount;
    }
    assert!(weight > 0, "never was so much billed");
    Duration::from_micros((sum / u128::from(weight)) as u64)
}

fn in_order<'c>(charges: impl IntoIterator<Item = &'c Charge>) -> Vec<(u64, u64)> {
    let mut all: Vec<_> = charges.into_iter().map(|c| (c.at_us, c.nano_usd)).collect();
    all.sort_unstable();
    all
}

impl World {
    /// Everything that was billed so far.
    pub fn charges(&self) -> Vec<Charge> {
        let now = self.providers().first().map_or(0, |p| p.sim.now_us());
        let mut all = vec![];
        for provider in self.providers() {
            // All clocks are read at one moment, so their readings differ by their starts alone.
            let ahead = now as i64 - provider.sim.now_us() as i64;
            let bodies: BTreeMap<u64, Arc<str>> =
                provider.sim.log().into_iter().map(|e| (e.seq, Arc::from(String::from_utf8_lossy(&e.body)))).collect();
            for item in provider.sim.bill().items {
                let body = bodies.get(&item.seq).cloned().unwrap_or_default();
                all.extend(item.charges.iter().map(|c| Charge {
                    provider: provider.name.clone(),
                    request: item.seq,
                    body: body.clone(),
                    at_us: c.at_us.saturating_add_signed(ahead),
                    nano_usd: c.nano_usd,
                }));
            }
        }
        all
    }

    /// What was billed in all, in nano-dollars.
    pub fn billed(&self) -> u64 {
        self.providers().iter().map(|p| p.sim.bill().total.nano_usd).sum()
    }

    /// `/health/budgets`.
    pub async fn budgets(&self) -> Value {
        let reply = self.admin.get("/health/budgets").send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// The row of one budget on `/health/budgets`.
    pub async fn budget(&self, name: &str) -> Standing {
        standing(&self.budgets().await, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charges(rows: &[(u64, u64)]) -> Vec<Charge> {
        let one = |(at_us, nano_usd): &(u64, u64)| Charge {
            provider: String::new(),
            request: 0,
            body: "".into(),
            at_us: *at_us,
            nano_usd: *nano_usd,
        };
        rows.iter().map(one).collect()
    }

    #[test]
    fn windows_slide_over_every_charge() {
        let all = charges(&[(0, 5), (100, 1), (50, 2), (101, 9), (200, 3)]);
        for (window, most) in [(0, 9), (1, 10), (50, 10), (51, 12), (100, 13), (101, 17), (1000, 20)] {
            assert_eq!(fullest_window(&all, window), most, "{window}");
        }
        assert_eq!(fullest_window(&[], 1), 0);
    }

    #[test]
    fn the_turnover_of_a_steady_flow_and_of_bursts() {
        let steady = charges(&(0..1000).map(|n| (n * 10, 7)).collect::<Vec<_>>());
        assert_eq!(turnover(&steady, 700), Duration::from_micros(990));
        assert_eq!(turnover(&steady, 701), Duration::from_micros(1000));
        let bursts = charges(&[(0, 10), (1, 10), (100, 10), (101, 10), (230, 10)]);
        assert_eq!(turnover(&bursts, 21), Duration::from_micros((100 + 100 + 130) / 3));
    }

    #[test]
    fn headers_of_budgets() {
        let all = standings("minute;spent=0.012;held=0;limit=2;free=12, day;spent=0;held=0.000000001;limit=20;free=0");
        assert_eq!(all["minute"], Standing { spent: 12_000_000, held: 0, limit: 2_000_000_000, free: 12 });
        assert_eq!((all.len(), all["day"].held), (2, 1));
        assert!(standings("").is_empty());
    }
}
