//! The event loop.

use std::{collections::VecDeque, io};

use llmroute_bench::monotonic_ns;
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    fd::OwnedFd,
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime},
};
use serde_json::Value;

use crate::{
    Config,
    conn::{Conn, Ready},
    machine,
    report::{Clocks, Tally},
};

const TIMER: u64 = u64::MAX;
const SECOND: u64 = 1_000_000_000;
const SAMPLE_EVERY: u64 = SECOND / 10;
/// How long answers may take after the last request was sent.
const DRAIN: u64 = 20 * SECOND;

/// Sends the load and reports.
pub(crate) fn run(config: &Config) -> io::Result<Value> {
    let mut load = Load::new(config)?;
    let mut schedule = config.rate.map(|rate| Schedule::new(rate, &load.epoll)).transpose()?;
    if schedule.is_none() {
        for conn in std::mem::take(&mut load.idle) {
            load.free(conn)?;
        }
    }
    let (mut before, mut after, mut next_sample) = (None, None, 0);
    let mut events = Vec::with_capacity(1024);
    let mut scratch = vec![0; 256 * 1024];
    loop {
        let now = monotonic_ns();
        if before.is_none() && now >= load.tally.from {
            before = Some(load.clocks());
        }
        if after.is_none() && now >= load.tally.to {
            after = Some(load.clocks());
        }
        if now >= next_sample {
            load.tally.rss(now, machine::rss_kib(&load.tree));
            next_sample = now + SAMPLE_EVERY;
        }
        if let Some(schedule) = &mut schedule {
            while let Some(due) = schedule.take(now.min(load.tally.to)) {
                load.due(due)?;
            }
            schedule.arm(now)?;
        }
        let unfinished = load.in_flight + load.overdue.len();
        if now >= load.tally.to && (unfinished == 0 || now >= load.tally.to + DRAIN) {
            if unfinished > 0 {
                load.tally.error("unfinished", unfinished as u64);
            }
            return Ok(load.tally.report(&before.unwrap_or_default(), &after.unwrap_or_default()));
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        match epoll::wait(&load.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                TIMER => schedule.iter().try_for_each(Schedule::acknowledge)?,
                conn => load.ready(conn as usize, &mut scratch)?,
            }
        }
    }
}

struct Load<'a> {
    config: &'a Config,
    epoll: OwnedFd,
    conns: Vec<Conn>,
    idle: VecDeque<usize>,
    /// Due times of requests that found no idle connection (open loop).
    overdue: VecDeque<u64>,
    in_flight: usize,
    /// The processes under test.
    tree: Vec<u32>,
    tally: Tally,
}

impl<'a> Load<'a> {
    fn new(config: &'a Config) -> io::Result<Self> {
        let tree = machine::tree(&config.tested);
        let rss_start_kib = machine::rss_kib(&tree);
        let conns =
            (0..config.conns).map(|_| Conn::connect(config.addr, config.expected)).collect::<io::Result<_>>()?;
        let from = monotonic_ns() + (config.warmup * SECOND as f64) as u64;
        let to = from + (config.duration * SECOND as f64) as u64;
        let load = Load {
            config,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            conns,
            idle: (0..config.conns).collect(),
            overdue: VecDeque::new(),
            in_flight: 0,
            tree,
            tally: Tally::new(from, to, rss_start_kib),
        };
        (0..config.conns).try_for_each(|conn| load.register(conn))?;
        Ok(load)
    }

    fn register(&self, conn: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, &self.conns[conn].socket, EventData::new_u64(conn as u64), flags)?)
    }

    /// A request falls due (open loop).
    fn due(&mut self, due: u64) -> io::Result<()> {
        match self.idle.pop_front() {
            Some(conn) => self.send(conn, due),
            None => {
                self.overdue.push_back(due);
                Ok(())
            }
        }
    }

    /// A connection is free: what does it do next?
    fn free(&mut self, conn: usize) -> io::Result<()> {
        let next = match self.config.rate {
            Some(_) => self.overdue.pop_front(),
            None => Some(monotonic_ns()).filter(|now| *now < self.tally.to),
        };
        match next {
            Some(due) => self.send(conn, due),
            None => {
                self.idle.push_back(conn);
                Ok(())
            }
        }
    }

    fn send(&mut self, conn: usize, due: u64) -> io::Result<()> {
        self.tally.sent += 1;
        if self.conns[conn].start(&self.config.request, due).is_err() {
            self.tally.error("write", 1);
            self.idle.push_back(conn);
            return self.renew(conn);
        }
        self.in_flight += 1;
        self.tally.peak_in_flight = self.tally.peak_in_flight.max(self.in_flight);
        Ok(())
    }

    fn renew(&mut self, conn: usize) -> io::Result<()> {
        self.tally.reconnects += 1;
        self.conns[conn].reconnect()?;
        self.register(conn)
    }

    fn ready(&mut self, conn: usize, scratch: &mut [u8]) -> io::Result<()> {
        let _ = self.conns[conn].write(&self.config.request); // if it failed, the read below sees why
        let tally = &mut self.tally;
        let Ready { finished, spent } = self.conns[conn].read(scratch, &mut |at, stamp| tally.chunk(at, stamp));
        if spent {
            self.renew(conn)?;
        }
        if let Some(exchange) = finished {
            self.in_flight -= 1;
            self.tally.exchange(&exchange);
            self.free(conn)?;
        }
        Ok(())
    }

    fn clocks(&mut self) -> Clocks {
        self.tree = machine::tree(&self.config.tested);
        Clocks::read(self.config, &self.tree)
    }
}

/// When requests fall due in the open loop, and the timer that wakes for them.
struct Schedule {
    timer: OwnedFd,
    begin: u64,
    step: f64,
    taken: u64,
}

impl Schedule {
    fn new(rate: f64, epoll: &OwnedFd) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Schedule { timer, begin: monotonic_ns(), step: SECOND as f64 / rate, taken: 0 })
    }

    fn next(&self) -> u64 {
        self.begin + (self.taken as f64 * self.step) as u64
    }

    /// The next due time, if it is not after `now`.
    fn take(&mut self, now: u64) -> Option<u64> {
        let due = Some(self.next()).filter(|due| *due < now);
        self.taken += u64::from(due.is_some());
        due
    }

    fn arm(&self, now: u64) -> io::Result<()> {
        let at = self.next().max(now + 1);
        let it_value = Timespec { tv_sec: (at / SECOND) as i64, tv_nsec: (at % SECOND) as i64 };
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    fn acknowledge(&self) -> io::Result<()> {
        let mut expirations = [0; 8];
        match rustix::io::read(&self.timer, &mut expirations) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}
