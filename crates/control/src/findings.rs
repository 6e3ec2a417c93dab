//! What pods find of providers, as messages: to them and back.

use std::time::Duration;

use policy::{breaker::Finding, outcome::Class};

use crate::v1::{self, finding::State};

/// Rows of one message.
pub const MOST_ROWS: usize = 500;

/// A row about a provider, or about one of its models; `model` is empty for the provider.
#[must_use]
pub fn row(provider: &str, model: &str, found: Option<Finding>) -> v1::Finding {
    let (state, left, why) = match found {
        None => (State::Unspecified, Duration::ZERO, ""),
        Some(Finding::Works) => (State::Works, Duration::ZERO, ""),
        Some(Finding::Fails { left, why }) => (State::Fails, left, why.label()),
        Some(Finding::Held { left }) => (State::Held, left, ""),
    };
    v1::Finding {
        provider: provider.to_owned(),
        model: model.to_owned(),
        state: state.into(),
        left: u64::try_from(left.as_nanos()).unwrap_or(u64::MAX),
        why: why.to_owned(),
    }
}

/// What a row says. A class that this build does not know is a server's error.
#[must_use]
pub fn found(row: &v1::Finding) -> Option<Finding> {
    let left = Duration::from_nanos(row.left);
    match row.state() {
        State::Unspecified => None,
        State::Works => Some(Finding::Works),
        State::Fails => Some(Finding::Fails { left, why: Class::labelled(&row.why).unwrap_or(Class::Server) }),
        State::Held => Some(Finding::Held { left }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_heard() {
        let left = Duration::from_millis(1_234);
        let fails = Class::ALL.map(|why| Some(Finding::Fails { left, why }));
        let all = [None, Some(Finding::Works), Some(Finding::Held { left })].into_iter().chain(fails);
        for said in all {
            let row = row("openai", "gpt-6-sol", said);
            assert_eq!((&*row.provider, &*row.model), ("openai", "gpt-6-sol"));
            assert_eq!(found(&row), said);
        }
        let newer = v1::Finding { state: 77, ..v1::Finding::default() };
        assert_eq!(found(&newer), None);
    }
}
