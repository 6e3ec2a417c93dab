//! Standard error behind a bounded queue and a thread of its own: a reader that is slow or stuck never holds a request.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use super::{count::Counter, decision::Ending};

/// Lines that may wait; the largest is a few KiB.
const QUEUE: usize = 2_048;
/// How long the writer rests behind what it wrote. Woken for each line alone it takes a worker's core from it hundreds of
/// times a second.
const REST: Duration = Duration::from_millis(10);

/// The way to the writer; clones share it.
#[derive(Clone)]
pub struct Lines {
    queue: SyncSender<Line>,
    pub(super) counts: Arc<Counts>,
}

/// What was written and what was lost.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) decisions: Counter,
    pub(super) decisions_lost: Counter,
    pub(super) lines_lost: Counter,
}

enum Line {
    Text(Vec<u8>),
    /// Turned into text by the writer's thread, not by the request's.
    Decision(Box<Ending>),
    /// Answered when everything before it is out.
    Flush(SyncSender<()>),
}

impl Lines {
    /// Starts the thread; it ends with the last clone.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Lines> {
        let (queue, lines) = sync_channel(QUEUE);
        let counts = Arc::<Counts>::default();
        let counting = counts.clone();
        thread::Builder::new().name("llmroute-log".into()).spawn(move || write(&lines, out, &counting))?;
        Ok(Lines { queue, counts })
    }

    /// Writes the record of a request, if there is room for it.
    pub(super) fn decision(&self, ending: Box<Ending>) {
        if self.queue.try_send(Line::Decision(ending)).is_err() {
            self.counts.decisions_lost.inc();
        }
    }

    /// Waits until what was said so far is written, at most so long; to be called where a thread may block.
    pub fn flush(&self, at_most: Duration) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Line::Flush(done)).is_ok() {
            let _ = written.recv_timeout(at_most);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, no worker")]
fn write(lines: &Receiver<Line>, mut out: impl Write, counts: &Counts) {
    while let Ok(first) = lines.recv() {
        write_one(first, &mut out, counts);
        lines.try_iter().for_each(|line| write_one(line, &mut out, counts));
        thread::sleep(REST);
    }
}

/// An error of standard error can be told to nobody.
fn write_one(line: Line, out: &mut impl Write, counts: &Counts) {
    let _ = match line {
        Line::Text(text) => out.write_all(&text),
        Line::Decision(ending) => {
            counts.decisions.inc();
            out.write_all(&ending.record())
        }
        Line::Flush(done) => {
            let flushed = out.flush();
            let _ = done.try_send(());
            flushed
        }
    };
}

/// The formatter of log lines writes each with one call.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Line::Text(line.to_vec())).is_err() {
            self.counts.lines_lost.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Takes one line and then nothing more until it is let go.
    struct Stuck(Receiver<()>, SyncSender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_no_time() {
        let (go, gate) = channel();
        let (out, written) = sync_channel(3 * QUEUE);
        let mut lines = Lines::start(Stuck(gate, out)).unwrap();
        for i in 0..2 * QUEUE {
            lines.write_all(format!("{i}\n").as_bytes()).unwrap();
        }
        let lost = lines.counts.lines_lost.get() as usize;
        assert!((QUEUE - 1..=QUEUE).contains(&lost), "one line is in the writer's hand: {lost}");
        drop(go);
        let (done, flushed) = sync_channel(1);
        lines.queue.send(Line::Flush(done)).unwrap();
        flushed.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(written.try_iter().count(), 2 * QUEUE - lost, "the rest is written, in order");
    }
}
