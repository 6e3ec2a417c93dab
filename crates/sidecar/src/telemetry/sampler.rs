//! Which requests are traced, by `OTEL_TRACES_SAMPLER`: decided from ids alone, before any span exists.

use anyhow::{Context, bail};

use super::context::Parent;

/// The sampler of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampler {
    /// What the caller decided goes, where it sent a trace.
    parent_based: bool,
    root: Share,
}

/// A share of all trace ids; by default none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share {
    /// Trace ids whose lower 63 bits stand below it are in.
    bound: u64,
}

impl Share {
    pub(super) const ALL: Share = Share { bound: 1 << 63 };
    pub(super) const NONE: Share = Share { bound: 0 };

    /// A ratio between 0 and 1.
    pub(super) fn parse(text: &str) -> anyhow::Result<Share> {
        let ratio: f64 =
            text.trim().parse().ok().filter(|r| (0.0..=1.0).contains(r)).context("must be a ratio from 0 to 1")?;
        Ok(Share { bound: (ratio * (1u64 << 63) as f64) as u64 })
    }

    /// The same answer everywhere for one trace, by the lower half of its id as OpenTelemetry SDKs do.
    pub(super) fn holds(self, trace_id: u128) -> bool {
        (trace_id as u64) >> 1 < self.bound
    }

    /// A random id that it holds; any id where it holds none.
    pub(super) fn draw(self) -> u128 {
        let low = if self == Share::NONE {
            fastrand::u64(1..)
        } else {
            fastrand::u64(..self.bound) << 1 | fastrand::u64(..2)
        };
        u128::from(fastrand::u64(1..)) << 64 | u128::from(low)
    }
}

impl Sampler {
    /// From the values of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    pub(super) fn parse(name: Option<&str>, arg: Option<&str>) -> anyhow::Result<Sampler> {
        let ratio = || arg.map_or(Ok(Share::ALL), |a| Share::parse(a).context("OTEL_TRACES_SAMPLER_ARG"));
        let (parent_based, root) = match name.unwrap_or("parentbased_always_on") {
            "always_on" => (false, Share::ALL),
            "always_off" => (false, Share::NONE),
            "traceidratio" => (false, ratio()?),
            "parentbased_always_on" => (true, Share::ALL),
            "parentbased_always_off" => (true, Share::NONE),
            "parentbased_traceidratio" => (true, ratio()?),
            other => bail!(
                "OTEL_TRACES_SAMPLER: `{other}` is not supported; use always_on, always_off, traceidratio, or one of them with parentbased_ in front"
            ),
        };
        Ok(Sampler { parent_based, root })
    }

    /// The share of traces that begin here.
    pub(super) fn root(self) -> Share {
        self.root
    }

    /// Whether the trace is recorded.
    pub(super) fn samples(self, trace_id: u128, parent: Option<Parent>) -> bool {
        match parent {
            Some(parent) if self.parent_based => parent.sampled,
            _ => self.root.holds(trace_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions() {
        let parent = |sampled| Some(Parent { trace_id: 1, span_id: 1, sampled });
        let low = 0x10;
        let high = u128::from(u64::MAX);
        // name, argument, then: root with a low id, root with a high id, below a sampled parent, below an unsampled one
        for (name, arg, want) in [
            (None, None, [true, true, true, false]),
            (Some("always_on"), None, [true, true, true, true]),
            (Some("always_off"), Some("1"), [false, false, false, false]),
            (Some("traceidratio"), Some("0.5"), [true, false, true, true]),
            (Some("traceidratio"), Some("0"), [false, false, false, false]),
            (Some("traceidratio"), Some("1.0"), [true, true, true, true]),
            (Some("traceidratio"), None, [true, true, true, true]),
            (Some("parentbased_always_on"), None, [true, true, true, false]),
            (Some("parentbased_always_off"), None, [false, false, true, false]),
            (Some("parentbased_traceidratio"), Some(" 0.01 "), [true, false, true, false]),
        ] {
            let sampler = Sampler::parse(name, arg).unwrap();
            let got = [
                sampler.samples(low, None),
                sampler.samples(high, None),
                sampler.samples(low, parent(true)),
                sampler.samples(low, parent(false)),
            ];
            assert_eq!(got, want, "{name:?} {arg:?}");
        }
    }

    #[test]
    fn unusable_settings_are_named() {
        for (name, arg) in [
            ("jaeger_remote", None),
            ("traceidratio", Some("half")),
            ("traceidratio", Some("1.5")),
            ("ALWAYS_ON", None),
        ] {
            let why = format!("{:#}", Sampler::parse(Some(name), arg).unwrap_err());
            assert!(why.contains("OTEL_TRACES_SAMPLER"), "{why}");
        }
    }

    #[test]
    fn a_ratio_takes_its_share() {
        let share = Share::parse("0.25").unwrap();
        let taken = (0..100_000).filter(|_| share.holds(fastrand::u128(..))).count();
        assert!((24_000..26_000).contains(&taken), "{taken}");
    }

    #[test]
    fn what_is_drawn_is_held() {
        for text in ["1", "0.5", "0.000000001"] {
            let share = Share::parse(text).unwrap();
            let drawn: Vec<u128> = (0..1000).map(|_| share.draw()).collect();
            assert!(drawn.iter().all(|id| share.holds(*id) && *id >> 64 != 0), "{text}");
        }
        assert_ne!(Share::NONE.draw(), 0);
    }
}
