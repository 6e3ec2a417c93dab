//! retry_budget
