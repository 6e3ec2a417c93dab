//! CPU time and memory of processes and of the machine, from /proc.

use std::{collections::HashMap, fs};

use rustix::param::{clock_ticks_per_second, page_size};

/// CPU time in microseconds.
pub(crate) fn cpu_us(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|&pid| stat(pid)).map(|f| to_us(f[11] + f[12])).sum()
}

/// Resident memory.
pub(crate) fn rss_kib(pids: &[u32]) -> u64 {
    let pages = |pid| fs::read_to_string(format!("/proc/{pid}/statm")).ok()?.split(' ').nth(1)?.parse::<u64>().ok();
    pids.iter().filter_map(pages).sum::<u64>() * page_size() as u64 / 1024
}

/// `roots` and every process below them.
pub(crate) fn tree(roots: &[u32]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(fields) = stat(pid)
        {
            children.entry(fields[1] as u32).or_default().push(pid);
        }
    }
    let mut all = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        all.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    all
}

/// Microseconds that the whole machine was busy, and that its host kept from it.
pub(crate) fn busy_and_stolen_us() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.map_while(|f| f.parse().ok()).collect();
    match ticks[..] {
        [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] => {
            (to_us(user + nice + system + irq + softirq), to_us(steal))
        }
        _ => (0, 0),
    }
}

/// The numbers of /proc/PID/stat after the name: `[1]` is the parent, `[11]` user time, `[12]` system time.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<u64> = text[text.rfind(')')? + 2..].split(' ').map(|f| f.parse().unwrap_or(0)).collect();
    (fields.len() > 12).then_some(fields)
}

fn to_us(ticks: u64) -> u64 {
    ticks * 1_000_000 / clock_ticks_per_second()
}
