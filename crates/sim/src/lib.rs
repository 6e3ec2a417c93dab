//! Pretend OpenAI and Anthropic providers: real-looking answers and refusals, scripted faults, and a bill.
//!
//! Shares no code with the rest of the workspace, so that it can contradict it. Building an answer, breaking it by a
//! fault and pricing it are pure functions; `server` alone does IO.
//!
//! ```
//! use sim::{Config, Fault, Rule, Sim, Vendor};
//!
//! let sim = Sim::start(Config::default())?;
//! sim.script(vec![Rule::fault(Fault::Overloaded).vendor(Vendor::Anthropic).times(2)]);
//! println!("{} has seen {} requests", sim.url(), sim.log().len());
//! # Ok::<_, std::io::Error>(())
//! ```

mod answer;
mod ask;
mod bill;
mod catalog;
mod chat;
mod check;
mod clock;
mod config;
mod fault;
mod headers;
mod ids;
mod image;
mod log;
mod marker;
mod memory;
mod messages;
mod node;
mod offline;
mod price;
mod refusal;
mod responses;
mod schema;
mod script;
mod server;
mod side;
mod state;
mod tokens;
mod turn;
mod vendor;

pub use bill::{Bill, Charged, Item, Total};
pub use config::{Config, Tls};
pub use fault::{Act, Delays, Fault};
pub use log::{Ended, Entry};
pub use offline::{Offline, Quote};
pub use script::{Rule, When, parse as parse_script};
pub use server::Sim;
pub use state::Dark;
pub use vendor::Vendor;
