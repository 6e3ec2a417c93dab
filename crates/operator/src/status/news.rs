//! What of a new status is worth an event.

use api::types::PolicyStatus;

use super::find;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Somebody should look at it.
    pub warning: bool,
    /// For machines.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What happened between two statuses. The first one after a restart is compared with what the cluster shows, so nothing is
/// told twice.
#[must_use]
pub fn news(before: &PolicyStatus, after: &PolicyStatus) -> Vec<News> {
    let mut all = vec![];
    for type_ in ["Accepted", "Stalled", "Programmed", "CredentialsReady", "BudgetAvailable"] {
        let Some(now) = find(after, type_) else { continue };
        let then = find(before, type_);
        let says_else = then.is_none_or(|then| (&then.reason, &then.message) != (&now.reason, &now.message));
        let was_no = then.is_some_and(|then| then.status == "False");
        let warning = match (type_, &*now.status, &*now.reason) {
            ("Accepted", "True", _) | ("Programmed", "True", "Programmed") => Some(false),
            ("CredentialsReady", "True", "KeysPresent") | ("BudgetAvailable", "True", "Available") if was_no => {
                Some(false)
            }
            ("BudgetAvailable", "False", _) | ("BudgetAvailable", _, "Degraded" | "Warned") => Some(true),
            ("Accepted" | "CredentialsReady", "False", _)
            | ("Programmed", "False", "Rejected")
            | ("Stalled", "True", "Conflict" | "NotKept") => Some(true),
            // The rest is on the way to one of these, or follows from one.
            _ => None,
        };
        if let Some(warning) = warning.filter(|_| says_else) {
            all.push(News { warning, reason: now.reason.clone(), message: now.message.clone() });
        }
    }
    all
}
