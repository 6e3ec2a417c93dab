//! What was measured as a table, and the verdict against the bars.

use std::{env, fs, path::PathBuf, time::Duration};

use harness::{Metrics, Operator, many::Kube};

use crate::borrower::Seen;

/// From the API server's reply to the last acknowledgement.
const ACKNOWLEDGED: Duration = Duration::from_secs(1);
/// Of the operator, for each sidecar.
const MEMORY_KIB: f64 = 64.0;
/// Of the operator, for each sidecar and edit.
const CPU_MS: f64 = 1.0;
/// Of the operator, for each sidecar and second.
const LENT_MS: f64 = 0.5;
/// Requests a second that the budget has room for: 100 USD a minute, each for 0.045 USD.
const FIT: f64 = 100.0 / 60.0 / 0.045;
/// An edit is told when it is seen, while it is under way, and when it is everywhere.
const STATUSES: f64 = 4.0;
/// One says that it is accepted, one that it is everywhere.
const EVENTS: f64 = 2.0;

/// How it stands with the operator.
pub struct Told {
    rss_kib: f64,
    peak_kib: f64,
    cpu: Duration,
    statuses: f64,
    status_patches: f64,
    events: f64,
    reviews: f64,
}

/// How long one edit took.
pub struct Edit {
    /// Until all have acknowledged it.
    pub acknowledged: Duration,
    /// Until the policy's status says so.
    pub told: Duration,
}

/// While they spend of one budget, and of one of each tenant.
pub struct Lent {
    /// Who.
    pub who: &'static str,
    /// What their requests met.
    pub seen: Seen,
    /// For so long.
    pub took: Duration,
    /// At its begin.
    pub before: Told,
    /// At its end.
    pub after: Told,
}

/// All that was measured.
pub struct Report {
    /// How many there are.
    pub sidecars: usize,
    /// Bytes of the document.
    pub document: usize,
    /// Before any sidecar came.
    pub before: Told,
    /// With all of them.
    pub connected: Told,
    /// From the first call until all have the policy.
    pub first: Duration,
    /// Each edit.
    pub edits: Vec<Edit>,
    /// After the edits.
    pub edited: Told,
    /// What was lent, to one, then to all.
    pub lent: Vec<Lent>,
    /// From the operator's death until all are back.
    pub back: Duration,
    /// Then.
    pub returned: Told,
}

impl Told {
    /// Now.
    pub async fn of(operator: &Operator, kube: &Kube) -> Told {
        let page = Metrics::parse(&operator.admin.get("/metrics").send().await.text());
        // Of a page of megabytes only this.
        let served = kube.raw("/metrics").await;
        let requests: String =
            served.split_inclusive('\n').filter(|l| l.starts_with("apiserver_request_total{")).collect();
        let requests = Metrics::parse(&requests);
        Told {
            rss_kib: operator.memory_kib("VmRSS:") as f64,
            peak_kib: operator.memory_kib("VmHWM:") as f64,
            cpu: operator.cpu(),
            statuses: page.sum("llmroute_operator_status_writes_total", &[]),
            status_patches: requests
                .sum("apiserver_request_total", &[("resource", "llmroutepolicies"), ("subresource", "status")]),
            events: requests.sum("apiserver_request_total", &[("resource", "events")]),
            reviews: requests.sum("apiserver_request_total", &[("resource", "tokenreviews")]),
        }
    }
}

/// A measured value, and the mark that it must not pass, where there is one.
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    bar: Option<f64>,
}

impl Row {
    fn is_good(&self) -> bool {
        self.bar.is_none_or(|bar| self.value < bar)
    }

    fn line(&self) -> String {
        let Row { what, value, unit, bar } = self;
        let bar = bar.map_or("-".to_owned(), |bar| format!("below {bar} {unit}"));
        let verdict = if self.bar.is_none() {
            "-"
        } else if self.is_good() {
            "pass"
        } else {
            "FAIL"
        };
        format!("| {what} | {value:.2} {unit} | {bar} | {verdict} |\n")
    }
}

/// The value that this share of them does not exceed.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        let Report { sidecars, document, before, connected, first, edits, edited, lent, back, returned } = self;
        let (n, made) = (*sidecars as f64, edits.len() as f64);
        let sorted = |of: fn(&Edit) -> Duration| {
            let mut all: Vec<f64> = edits.iter().map(|e| of(e).as_secs_f64() * 1000.0).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let (acknowledged, told) = (sorted(|e| e.acknowledged), sorted(|e| e.told));
        let row = |what: &str, value: f64, unit, bar| Row { what: what.to_owned(), value, unit, bar };
        let each_kib = |then: f64| (then - before.rss_kib) / n;
        let cpu = (edited.cpu - connected.cpu).as_secs_f64() * 1000.0;
        let mut rows = vec![
            row("edit to last acknowledgement, p50", quantile(&acknowledged, 0.5), "ms", None),
            row(
                "edit to last acknowledgement, p99",
                quantile(&acknowledged, 0.99),
                "ms",
                Some(ACKNOWLEDGED.as_millis() as f64),
            ),
            row("edit to last acknowledgement, most", quantile(&acknowledged, 1.0), "ms", None),
            row("edit until the status says so, p50", quantile(&told, 0.5), "ms", None),
            row("edit until the status says so, p99", quantile(&told, 0.99), "ms", None),
            row("operator's memory a sidecar, connected", each_kib(connected.rss_kib), "KiB", Some(MEMORY_KIB)),
            row("operator's memory a sidecar, after the edits", each_kib(edited.rss_kib), "KiB", Some(MEMORY_KIB)),
            row("operator's memory a sidecar, at its peak", each_kib(edited.peak_kib), "KiB", None),
            row("operator's memory a sidecar, after its restart", each_kib(returned.rss_kib), "KiB", Some(MEMORY_KIB)),
            row("operator's memory without sidecars", before.rss_kib / 1024.0, "MiB", None),
            row("operator's CPU a sidecar and edit", cpu / n / made, "ms", Some(CPU_MS)),
            row("statuses written an edit", (edited.statuses - connected.statuses) / made, "", Some(STATUSES)),
            row(
                "status requests an edit, as the API server counts",
                (edited.status_patches - connected.status_patches) / made,
                "",
                None,
            ),
            row("events written an edit", (edited.events - connected.events) / made, "", Some(EVENTS + 0.5)),
        ];
        for Lent { who, seen, took, before: idle, after } in lent {
            let mut waits = seen.waits.clone();
            waits.sort_by(f64::total_cmp);
            let [at_once, waited, _] = seen.counts.map(|n| n as f64);
            let (all, seconds) = (seen.counts.iter().sum::<u64>() as f64, took.as_secs_f64());
            let spent = (after.cpu - idle.cpu).as_secs_f64() * 1000.0 / n / seconds;
            let mut of = |what: &str, value, unit, bar| rows.push(row(&format!("{who}: {what}"), value, unit, bar));
            of("operator's CPU a sidecar and second", spent, "ms", Some(LENT_MS));
            of("operator's memory a sidecar", each_kib(after.rss_kib), "KiB", Some(MEMORY_KIB));
            of("requests a second, three times what fits", all / seconds, "", None);
            of("of what fits, answered", (at_once + waited) / seconds / FIT * 100.0, "%", None);
            of("of these, without asking the lender", at_once / (at_once + waited) * 100.0, "%", None);
            of("a wait for the lender, p50", quantile(&waits, 0.5), "ms", None);
            of("a wait for the lender, p99", quantile(&waits, 0.99), "ms", None);
        }
        rows.extend([
            row("all sidecars come at once: until all have the policy", first.as_secs_f64(), "s", None),
            row("the operator is killed and starts again: until all are back", back.as_secs_f64(), "s", None),
            row("tokens reviewed after that", returned.reviews - edited.reviews, "", None),
            row("CPU of the operator for that", returned.cpu.as_secs_f64(), "s", None),
            row("the document", *document as f64 / 1024.0, "KiB", None),
        ]);
        rows
    }

    /// Prints it and keeps it where other benchmarks do; whether all is well.
    pub fn print_and_keep(&self) -> bool {
        let rows = self.rows();
        let machine = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = machine.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut text = format!(
            "# Control plane\n\n{} sidecars, {} edits. {}, {cores} cores, for all of it: etcd, API server, operator, sidecars.\n\n\
             | what | measured | bar | verdict |\n|---|---|---|---|\n",
            self.sidecars,
            self.edits.len(),
            cpu.unwrap_or("unknown CPU"),
        );
        text.extend(rows.iter().map(Row::line));
        let dir = target().join("bench");
        let file = dir.join("control.md");
        let kept = fs::create_dir_all(&dir).and_then(|()| fs::write(&file, &text));
        println!("\n{text}\n{}", kept.map_or_else(|e| e.to_string(), |()| file.display().to_string()));
        rows.iter().all(Row::is_good)
    }
}

/// The directory with cargo's builds.
fn target() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).with_file_name("target");
    env::var_os("CARGO_TARGET_DIR").map_or(root, PathBuf::from)
}
