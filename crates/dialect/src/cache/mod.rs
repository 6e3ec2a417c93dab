//! Exact answers kept for equal requests: what makes two requests equal, which answers are worth keeping, and what an
//! answer says of the request that it was made for.

mod canonical;
mod echo;
mod key;
mod worth;

pub(crate) use canonical::means_the_same;
pub use echo::echo_request;
pub use key::cache_key;
pub use worth::is_cacheable_answer;
