//! One metric with its rows by label values, in the terms of the Prometheus client library.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use parking_lot::Mutex;
use policy::money::Usd;
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::Counter, gauge::Gauge, histogram::Histogram},
};

/// Name, type, labels and help: what dashboards depend on.
#[derive(Debug)]
pub(super) struct Desc {
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

pub(super) const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Desc {
    Desc { name, kind: MetricType::Counter, labels, help }
}

pub(super) const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Desc {
    Desc { name, kind: MetricType::Gauge, labels, help }
}

pub(super) const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Desc {
    Desc { name, kind: MetricType::Histogram, labels, help }
}

/// A value that can stand on the page.
pub(super) trait Sample {
    fn sample(&self, to: MetricEncoder<'_>) -> fmt::Result;
}

/// Written as gauges are, since the library appends `_total` to the name of a counter.
impl Sample for Counter {
    fn sample(&self, mut to: MetricEncoder<'_>) -> fmt::Result {
        to.encode_gauge(&self.get())
    }
}

impl Sample for Gauge {
    fn sample(&self, to: MetricEncoder<'_>) -> fmt::Result {
        self.encode(to)
    }
}

impl Sample for f64 {
    fn sample(&self, mut to: MetricEncoder<'_>) -> fmt::Result {
        to.encode_gauge(self)
    }
}

/// Exact: the shortest decimal of the nearest double is the amount itself up to 9 million USD.
impl Sample for Usd {
    fn sample(&self, to: MetricEncoder<'_>) -> fmt::Result {
        self.for_display().sample(to)
    }
}

/// Money spent, a counter of nano-dollars.
#[derive(Clone, Debug, Default)]
pub(super) struct Money(Counter<u64, AtomicU64>);

impl Money {
    pub(super) fn add(&self, cost: Usd) {
        self.0.inc_by(cost.0);
    }
}

impl Sample for Money {
    fn sample(&self, to: MetricEncoder<'_>) -> fmt::Result {
        Usd(self.0.get()).sample(to)
    }
}

/// Seconds by bucket: 10 ms doubled up to 82 s, the bounds of the GenAI conventions.
#[derive(Clone, Debug)]
pub(super) struct Seconds(Histogram);

impl Default for Seconds {
    fn default() -> Self {
        Seconds(Histogram::new((0..14).map(|i| 0.01 * f64::from(1 << i))))
    }
}

impl Seconds {
    pub(super) fn observe(&self, d: Duration) {
        self.0.observe(d.as_secs_f64());
    }
}

impl Sample for Seconds {
    fn sample(&self, to: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(to)
    }
}

/// Values by names, made when first asked for; callers on the hot path keep what [`Rows::of`] gives.
#[derive(Debug)]
pub(super) struct Rows<M, const N: usize>(Mutex<BTreeMap<[Arc<str>; N], M>>);

impl<M, const N: usize> Default for Rows<M, N> {
    fn default() -> Self {
        Rows(Mutex::default())
    }
}

impl<M: Clone + Default, const N: usize> Rows<M, N> {
    pub(super) fn of(&self, names: [&str; N]) -> M {
        self.0.lock().entry(names.map(Arc::from)).or_default().clone()
    }

    /// Drops the rows that are no longer wanted.
    pub(super) fn retain(&self, keep: impl Fn(&[Arc<str>; N]) -> bool) {
        self.0.lock().retain(|names, _| keep(names));
    }
}

/// A metric with its rows by label values.
#[derive(Debug)]
pub(super) struct Table<M, const N: usize> {
    desc: &'static Desc,
    pub(super) rows: Rows<M, N>,
}

impl<M: Clone + Default, const N: usize> Table<M, N> {
    pub(super) fn new(desc: &'static Desc) -> Table<M, N> {
        debug_assert_eq!(desc.labels.len(), N, "{}", desc.name);
        Table { desc, rows: Rows::default() }
    }

    /// The row of these values.
    pub(super) fn of(&self, values: [&str; N]) -> M {
        self.rows.of(values)
    }
}

/// A metric without labels.
#[derive(Debug)]
pub(super) struct Single<M> {
    desc: &'static Desc,
    pub(super) value: M,
}

impl<M: Default> Single<M> {
    pub(super) fn new(desc: &'static Desc) -> Single<M> {
        Single { desc, value: M::default() }
    }
}

/// The page in the making.
pub(super) struct Out<'a>(pub(super) DescriptorEncoder<'a>);

impl Out<'_> {
    /// A metric with its rows.
    pub(super) fn rows<V: AsRef<str>, S: Sample, const N: usize>(
        &mut self,
        desc: &Desc,
        rows: impl IntoIterator<Item = ([V; N], S)>,
    ) -> fmt::Result {
        debug_assert_eq!(desc.labels.len(), N, "{}", desc.name);
        let mut metric = self.0.encode_descriptor(desc.name, desc.help, None, desc.kind)?;
        for (values, sample) in rows {
            let labels: [(&str, &str); N] = std::array::from_fn(|i| (desc.labels[i], values[i].as_ref()));
            sample.sample(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A metric without labels.
    pub(super) fn one(&mut self, desc: &Desc, sample: impl Sample) -> fmt::Result {
        sample.sample(self.0.encode_descriptor(desc.name, desc.help, None, desc.kind)?)
    }

    /// The same, kept.
    pub(super) fn single<M: Clone + Sample>(&mut self, single: &Single<M>) -> fmt::Result {
        self.one(single.desc, single.value.clone())
    }

    /// All rows of a table.
    pub(super) fn table<M: Clone + Sample, const N: usize>(&mut self, table: &Table<M, N>) -> fmt::Result {
        let rows: Vec<_> = table.rows.0.lock().iter().map(|(values, m)| (values.clone(), m.clone())).collect();
        self.rows(table.desc, rows)
    }
}
