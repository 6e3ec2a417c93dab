//! The loopback harness: pretend providers, a sidecar in this process or as its real program, and callers.
//!
//! Everything speaks over real sockets on 127.0.0.1, so time is real and assertions are patient ([`eventually()`]).

pub mod apiserver;
pub mod bills;
pub mod caller;
pub mod eventually;
pub mod figures;
pub mod gate;
pub mod heavy;
pub mod many;
pub mod operator;
pub mod otlp;
pub mod panics;
pub mod plane;
pub mod policy;
pub mod program;
pub mod prometheus;
pub mod raw;
pub mod scrape;
pub mod speech;
pub mod sse;
pub mod stall;
pub mod stub;
pub mod temp;
pub mod traffic;
pub mod world;

pub use caller::{Ask, Caller, Reply, Streaming};
pub use eventually::eventually;
pub use gate::Gate;
pub use operator::Operator;
pub use plane::{Cluster, Plane};
pub use policy::Policy;
pub use program::Program;
pub use scrape::Metrics;
pub use speech::Speech;
pub use traffic::Traffic;
pub use world::World;
