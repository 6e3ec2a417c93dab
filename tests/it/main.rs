//! Stories over real sockets: one binary, a story a file.

mod bad_input;
mod breaker;
mod bytes;
mod clients;
mod failover;
mod generated;
mod memory;
mod reload;
mod retries;
mod routing;
mod shutdown;
mod timeouts;
mod upstream;
