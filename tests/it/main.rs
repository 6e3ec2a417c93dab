//! Stories over real sockets: one binary, a story a file.

mod arrows;
mod bad_input;
mod breaker;
mod by_id;
mod bytes;
mod clients;
mod control;
mod explain;
mod failover;
mod faults;
mod generated;
mod logs;
mod memory;
mod metrics;
mod money;
mod prometheus;
mod reload;
mod restart;
mod retries;
mod routing;
mod secrets;
mod shutdown;
mod telemetry;
mod timeouts;
mod upstream;
mod versions;
