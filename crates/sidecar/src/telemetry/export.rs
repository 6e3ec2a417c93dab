//! Spans on their way out: a bounded queue that never holds a request, and a task that exports batches. What does not fit,
//! or cannot be delivered, is dropped and counted.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{count::Counter, settings::Batch};

/// At most so long for the last spans when the process ends.
const LAST: Duration = Duration::from_secs(3);

/// What became of spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) exported: Counter,
    pub(super) queue_full: Counter,
    pub(super) export_failed: Counter,
}

/// The SDK's end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    spans: Sender<SpanData>,
    counts: Arc<Counts>,
}

/// The exporting task.
#[derive(Debug)]
pub(super) struct Exporting {
    ending: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    pub(super) counts: Arc<Counts>,
}

/// Starts the task on the current runtime.
pub(super) fn start(exporter: impl SpanExporter + 'static, bounds: Batch, at_most: Duration) -> (Queue, Exporting) {
    let counts = Arc::<Counts>::default();
    let (spans, queued) = channel(bounds.queue);
    let ending = CancellationToken::new();
    let run = run(exporter, queued, bounds, at_most, counts.clone(), ending.clone());
    let task = Mutex::new(Some(tokio::spawn(run)));
    (Queue { spans, counts: counts.clone() }, Exporting { ending, task, counts })
}

impl Exporting {
    /// Exports what is queued, within a bound.
    pub(super) async fn shutdown(&self) {
        self.ending.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            let _ = timeout(LAST, task).await;
        }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.counts.queue_full.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn set_resource(&mut self, _resource: &Resource) {}
}

async fn run(
    exporter: impl SpanExporter,
    mut queued: Receiver<SpanData>,
    bounds: Batch,
    at_most: Duration,
    counts: Arc<Counts>,
    ending: CancellationToken,
) {
    let mut healthy = true;
    loop {
        // A batch is full, or has waited long enough, or is the last one.
        let mut batch = vec![];
        let due = Instant::now() + bounds.delay;
        let last = ending.is_cancelled();
        while batch.len() < bounds.size {
            let room = bounds.size - batch.len();
            tokio::select! {
                biased;
                got = timeout_at(due, queued.recv_many(&mut batch, room)), if !last => if !matches!(got, Ok(1..)) { break },
                () = ending.cancelled() => {
                    while batch.len() < bounds.size && let Ok(span) = queued.try_recv() {
                        batch.push(span);
                    }
                    break;
                }
            }
        }
        if batch.is_empty() {
            if last { return } else { continue }
        }
        let count = batch.len() as u64;
        let told = match timeout(at_most, exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(e)) => Some(e.to_string()),
            Err(_) => Some(format!("no answer within {at_most:?}")),
        };
        match &told {
            None => counts.exported.add(count),
            Some(_) => counts.export_failed.add(count),
        }
        // Told when it changes, not each time.
        match &told {
            Some(why) if healthy => tracing::warn!(why, "spans cannot be exported and are dropped"),
            None if !healthy => tracing::info!("spans are exported again"),
            _ => {}
        }
        healthy = told.is_none();
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanKind, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// Keeps the size of each batch; takes as long as it is told.
    #[derive(Clone, Debug, Default)]
    struct Keeper(Arc<Mutex<Vec<usize>>>, Duration);

    impl SpanExporter for Keeper {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            tokio::time::sleep(self.1).await;
            self.0.lock().push(batch.len());
            Ok(())
        }
    }

    const BOUNDS: Batch = Batch { queue: 10, size: 4, delay: Duration::from_secs(5) };

    fn started(keeper: &Keeper) -> (SdkTracerProvider, Exporting) {
        let (queue, exporting) = start(keeper.clone(), BOUNDS, Duration::from_secs(10));
        (SdkTracerProvider::builder().with_span_processor(queue).build(), exporting)
    }

    fn end_spans(provider: &SdkTracerProvider, count: usize) {
        let tracer = provider.tracer("t");
        for _ in 0..count {
            drop(tracer.span_builder("s").with_kind(SpanKind::Client).start(&tracer));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_goes_at_once_and_the_rest_after_the_delay() {
        let keeper = Keeper::default();
        let (provider, exporting) = started(&keeper);
        end_spans(&provider, 5);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(*keeper.0.lock(), [4]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!((keeper.0.lock().clone(), exporting.counts.exported.get()), (vec![4, 1], 5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_is_counted_and_the_last_ones_are_flushed() {
        let keeper = Keeper::default();
        let (provider, exporting) = started(&keeper);
        end_spans(&provider, 13);
        assert_eq!(exporting.counts.queue_full.get(), 3);
        exporting.shutdown().await;
        assert_eq!(keeper.0.lock().iter().sum::<usize>(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_hangs_costs_its_batch_and_bounds_the_end() {
        let keeper = Keeper(Arc::default(), Duration::from_secs(3600));
        let (provider, exporting) = started(&keeper);
        end_spans(&provider, 4);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(exporting.counts.export_failed.get(), 4);
        end_spans(&provider, 4);
        let began = Instant::now();
        exporting.shutdown().await;
        assert_eq!(began.elapsed(), LAST);
    }
}
