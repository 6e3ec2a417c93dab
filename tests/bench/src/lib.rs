//! What the bench programs share: what the mock says and the load looks for, and the clock
//! that stamps chunks in one process and reads them in another.

use rustix::time::{ClockId, clock_gettime};

/// How a plain answer of the mock begins.
pub const ANSWER_BEGINS: &str = "The mock upstream answers every question with the same sentence";

/// Nanoseconds of `CLOCK_MONOTONIC`, the same in every process of one machine.
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// CPU time of this process, in nanoseconds.
pub fn own_cpu_ns() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
