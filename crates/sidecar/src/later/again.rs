//! Whether a request by id that failed is run again.

use policy::reason::Cause;

/// What a failure means for a request that can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Money or a rate lacks, and nobody was asked: it waits until there is some. Others may have theirs.
    Short,
    /// Nothing was spent: it waits until there is room, or a provider.
    Waits,
    /// A provider may charge for it although there is no answer: a few more runs, far apart.
    Charged,
    /// No wait helps.
    Never,
}

/// Why a run failed, for whoever decides what becomes of the request.
#[derive(Clone, Copy, Debug)]
pub struct Why {
    /// What its caller would be told: the first failure.
    pub cause: Cause,
    /// A provider may charge for one of its tries, whatever failed first.
    pub may_cost: bool,
}

/// A run that may have cost something is none that simply waits.
#[must_use]
pub fn again(why: Why) -> Again {
    match by_cause(why.cause) {
        Again::Short | Again::Waits if why.may_cost => Again::Charged,
        again => again,
    }
}

fn by_cause(cause: Cause) -> Again {
    match cause {
        Cause::BudgetExhausted | Cause::BudgetNearLimit | Cause::RateLimitExceeded => Again::Short,
        Cause::RateLimited
        | Cause::Unreachable
        | Cause::ConnectTimeout
        | Cause::Overloaded
        | Cause::ServerError
        | Cause::CircuitOpen
        | Cause::OutOfCredit
        | Cause::CredentialRefused
        | Cause::CredentialMissing
        | Cause::MaxLatencyExceeded
        | Cause::SidecarOverloaded
        | Cause::SidecarDraining
        | Cause::PolicyNotReady
        | Cause::QueueFull
        | Cause::StateUnavailable => Again::Waits,
        Cause::ConnectionLost | Cause::TimeoutBudgetExceeded | Cause::InvalidAnswer => Again::Charged,
        Cause::ModelNotFound
        | Cause::ContextTooLong
        | Cause::RequestRejected
        | Cause::CannotCarry
        | Cause::StrictTranslation
        | Cause::MaxCostExceeded
        | Cause::PriceUnknown
        | Cause::CostUnbounded
        | Cause::NoCandidate
        | Cause::Untranslatable
        | Cause::BadRequest
        | Cause::BodyTooLarge
        | Cause::BodyTimeout
        | Cause::UnsupportedEncoding
        | Cause::PathNotFound
        | Cause::MethodNotAllowed
        | Cause::UpgradeRefused
        | Cause::IdNotFound
        | Cause::IdempotencyConflict
        | Cause::Expired
        | Cause::Cancelled
        | Cause::Internal => Again::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_faults_never_wait() {
        for cause in Cause::ALL {
            let row = cause.row();
            // What tells an SDK to try again is never final here.
            if row.should_retry && cause != Cause::BodyTimeout {
                assert_eq!(again(Why { cause, may_cost: false }), Again::Waits, "{cause:?}");
            }
            if matches!(row.status, 400 | 404 | 405 | 413) {
                assert_eq!(again(Why { cause, may_cost: false }), Again::Never, "{cause:?}");
            }
        }
    }

    #[test]
    fn what_may_have_cost_something_counts_whatever_failed_first() {
        for cause in Cause::ALL {
            let [free, paid] = [false, true].map(|may_cost| again(Why { cause, may_cost }));
            let want = if free == Again::Never { Again::Never } else { Again::Charged };
            assert_eq!(paid, want, "{cause:?}");
        }
    }
}
