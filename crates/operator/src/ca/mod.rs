//! The operator's own CA: when to renew what is a pure function of dates (`plan`), `make` does it, `keep` is its form in a
//! Secret, `tls` serves with it and is swapped hot. `given` takes what somebody else makes in its stead.
//!
//! A CA is replaced without a gap: the next one is trusted a while before anything is signed by it, the old one a while after.

mod given;
mod keep;
mod make;
mod plan;
mod tls;

pub use given::{Unfit, given};
pub use keep::{Certificates, InUse, Pair};
pub use make::{Failed, renew, renew_within};
pub use plan::{CA_LIFE, Dates, LEAF_LIFE, LeafDates, Lives, OVERLAP, Span, Step, due};
pub use tls::{Serving, server_config};
