"""Medians as markdown tables, and the verdict against the bars."""
import dataclasses
import math
import statistics
from collections import defaultdict

from peers import ARROWS, FLOOR, MEMORY, NAMES, SIDECAR, SPAN_RATIO

SPANS_A_REQUEST = 3  # server, GenAI client, one attempt
SIGMAS = 4
MIB = 1024
# What a translation may cost over the pass-through of its caller, in microseconds, by load.
ALLOWED = {"1k": 2.0, "32k": 10.0, "stream": 0.5}
SAID = {"1k": "a request of 1 KiB", "32k": "a request of 32 KiB", "stream": "a stream event"}


class Medians:
    """The kept runs of all rounds, by peer and scenario."""

    def __init__(self, results):
        self.runs = defaultdict(list)
        for r in results:
            if r["kept"]:
                self.runs[r["peer"], r["scenario"]].append(r)

    def get(self, peer, scenario, *keys):
        values = []
        for value in self.runs.get((peer, scenario), []):
            for key in keys:
                value = value.get(key) if value else None
            if value is not None:
                values.append(value)
        return statistics.median(values) if values else None

    def cpu(self, peer, scenario):
        chunk = "stream" in scenario
        return self.get(peer, scenario, "cpu_us_per_chunk" if chunk else "cpu_us_per_request") if peer != "direct" else None

    def added(self, peer, scenario, quantile):
        return minus(*(self.get(p, scenario, "latency_us", quantile) for p in (peer, "direct")))

    def grown(self, peer):
        """By how many percent resident memory has grown at full load."""
        first, last = (self.get(peer, MEMORY, key) for key in ("rss_first_kib", "rss_last_kib"))
        return (last / first - 1) * 100 if first and last else None

    def rss(self, peer, scenario, key):
        kib = self.get(peer, scenario, key)
        return None if kib is None else kib / MIB

    def errors(self):
        failed = defaultdict(int)
        for (peer, scenario), runs in self.runs.items():
            failed[peer] += sum(sum(r.get("errors", {}).values()) for r in runs)
        return {peer: n for peer, n in failed.items() if n}


def ratio(a, b):
    return a / b if a and b else None


def minus(a, b):
    return None if a is None or b is None else a - b


def num(value, digits=1):
    return "-" if value is None else f"{value:,.{digits if abs(value) < 1000 else 0}f}"


def plus(value):
    return "-" if value is None else f"{value:+,.0f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def measurements(m):
    """What was measured, peer by peer."""
    present = [p for p in NAMES if any(peer == p for peer, _ in m.runs)]
    parts = []

    def section(title, scenarios, head, row):
        rows = [[p, *row(p)] for p in present if any((p, s) in m.runs for s in scenarios)]
        if rows:
            parts.append(f"### {title}\n\n" + table(["peer", *head], rows))

    def requests(p):
        cells = [num(m.get(p, "max_1k", "rps"), 0), num(ratio(m.get(p, "max_1k", "rps"), m.get("nginx", "max_1k", "rps")), 2)]
        for s in ("max_1k", "max_32k", "max_256k"):
            c = m.cpu(p, s)
            cells += [num(c), num(ratio(c, m.cpu("nginx", s)), 2), num(ratio(c, m.cpu(FLOOR, s)), 2)]
        return cells

    cpu_heads = [h for size in ("1 KiB", "32 KiB", "256 KiB") for h in (f"CPU µs, {size}", "x nginx", "x floor")]
    section("Requests at full load, one core", ("max_1k", "max_32k", "max_256k"), ["requests/s, 1 KiB", "x nginx", *cpu_heads], requests)

    def latency(p):
        return [num(m.get(p, s, "latency_us", q), 0) if p == "direct" else plus(m.added(p, s, q))
                for s in ("open_200", "open_2000") for q in ("p50", "p99")]

    section("Latency in open loop, µs (direct: as measured; others: added to it)", ("open_200", "open_2000"),
            ["p50 at 200/s", "p99 at 200/s", "p50 at 2,000/s", "p99 at 2,000/s"], latency)

    def streams(p):
        cells = [num(m.get(p, "stream_max", "chunks_per_s"), 0)]
        for s in ("stream_max", "stream_10k"):
            cells += [num(m.cpu(p, s), 2), num(ratio(m.cpu(p, s), m.cpu(FLOOR, s)), 2)]
        return cells + [num(m.get(p, "stream_10k", "chunk_transit_us", q), 0) for q in ("p50", "p99")]

    section("Streams", ("stream_max", "stream_10k"), ["chunks/s at most", "CPU µs a chunk, full load", "x floor",
            "CPU µs a chunk, 10,000/s", "x floor", "chunk transit µs p50", "p99"], streams)

    def memory(p):
        return [num(m.rss(p, "start", "rss_start_kib")), num(m.rss(p, "rss_500", "rss_peak_kib"))]

    section("Resident memory, MiB", ("start", "rss_500"), ["at start", "with 500 open streams"], memory)

    def secure(p):
        cpu = m.cpu(p, "tls_1k")
        return [num(m.get(p, "tls_1k", "rps"), 0), num(cpu), num(ratio(cpu, m.cpu("nginx", "tls_1k")), 2)]

    section("Provider behind TLS 1.3, 1 KiB at full load", ("tls_1k",), ["requests/s", "CPU µs", "x nginx"], secure)

    rows = []
    for arrow, (caller, _) in ARROWS.items():
        cells = []
        for load in ALLOWED:
            passed, ours = m.cpu(SIDECAR, f"{caller}_passed_{load}"), m.cpu(SIDECAR, f"{arrow}_{load}")
            digits = 2 if load == "stream" else 1
            cells += [num(passed, digits), num(ours, digits), num(minus(ours, passed), digits)]
        if any(cell != "-" for cell in cells):
            rows.append([arrow.replace("_", " "), *cells])
    if rows:
        heads = [h for size in ("1 KiB", "32 KiB", "a stream event") for h in (f"passed on, {size}", "translated", "added")]
        parts.append("### Translation at full load, CPU µs\n\n" + table(["caller to provider", *heads], rows))

    def soaked(p):
        cells = [num(m.rss(p, MEMORY, key), 2) for key in ("rss_first_kib", "rss_last_kib", "rss_peak_kib")]
        return [num(m.get(p, MEMORY, "minutes")), num(m.get(p, MEMORY, "cpu_pct"), 0), *cells]

    section("Resident memory at full load of every kind, MiB", (MEMORY,), ["minutes", "core, %", "first tenth", "last tenth", "peak"], soaked)
    return "\n".join(parts)


@dataclasses.dataclass
class Bar:
    """A measured value, the bar it should meet and the mark it must not pass (None: there is none)."""

    what: str
    value: float | None
    unit: str
    bar: float | None
    never: float | None
    at_least: bool = False
    digits: int = 1

    def verdict(self):
        if self.value is None:
            return "not measured"
        sign = -1 if self.at_least else 1
        if self.never is not None and sign * self.value > sign * self.never:
            return "FAIL"
        return "pass" if sign * self.value <= sign * self.bar else "over bar"

    def row(self):
        def show(v):
            return "-" if v is None else f"{v:,.{2 if self.unit == 'x' else self.digits}f}".removesuffix(".0") + f" {self.unit}"

        word = "at least " if self.at_least else ""
        return [self.what, show(self.value), word + show(self.bar), word + show(self.never), self.verdict()]


def bars(m, binary_mib):
    """The Speed table."""
    us = SIDECAR

    def over(scenario, peer):
        return ratio(m.cpu(us, scenario), m.cpu(peer, scenario))

    all_bars = [
        Bar("CPU a request, 1 KiB, over nginx", over("max_1k", "nginx"), "x", 1.3, 1.6),
        Bar("CPU a request, 1 KiB, over bare hyper", over("max_1k", FLOOR), "x", 1.25, 1.6),
        Bar("CPU a request, 32 KiB, over nginx", over("max_32k", "nginx"), "x", 1.0, 1.3),
        Bar("CPU a request, 256 KiB, over nginx", over("max_256k", "nginx"), "x", 1.0, 1.3),
        Bar("requests a second, 1 KiB, over nginx", ratio(m.get(us, "max_1k", "rps"), m.get("nginx", "max_1k", "rps")),
            "x", 0.8, 0.6, at_least=True),
    ]
    for q, bar, never in (("p50", 85, 110), ("p99", 200, 400)):
        added, nginx = m.added(us, "open_2000", q), m.added("nginx", "open_2000", q)
        all_bars.append(Bar(f"{q} added over direct at 2,000/s", added, "µs", bar, never))
        all_bars.append(Bar(f"{q} added, no worse than nginx", None if nginx is None else added, "µs", nginx, None))
    return all_bars + translations(m) + [
        Bar("CPU a request, 1 KiB, provider behind TLS, over nginx", over("tls_1k", "nginx"), "x", 0.8, 1.3),
        Bar("resident memory grown at full load (up to 1%: not measurable)", m.grown(us), "%", 1, 5),
        Bar("CPU a stream event, paced, over bare hyper", over("stream_10k", FLOOR), "x", 1.15, 1.4),
        Bar("CPU a stream event, full load, over bare hyper", over("stream_max", FLOOR), "x", 1.15, 1.4),
        Bar("resident memory at start", m.rss(us, "start", "rss_start_kib"), "MiB", 10, 20),
        Bar("resident memory with 500 open streams", m.rss(us, "rss_500", "rss_peak_kib"), "MiB", 30, 60),
        Bar("stripped release binary", binary_mib, "MiB", 12, 20),
    ]


def translations(m):
    """A translation may cost what its caller's pass-through costs in the same run and an allowance, never 1.3 times that."""
    made = []
    for arrow, (caller, _) in ARROWS.items():
        for load, allowed in ALLOWED.items():
            passed = m.cpu(SIDECAR, f"{caller}_passed_{load}")
            bar = None if passed is None else passed + allowed
            value = None if bar is None else m.cpu(SIDECAR, f"{arrow}_{load}")
            what = f"CPU of {SAID[load]}, {arrow.replace('_', ' ')}, passed on + {allowed:g}"
            made.append(Bar(what, value, "µs", bar, bar and 1.3 * bar, digits=2 if load == "stream" else 1))
    return made


def checks(m):
    """What must simply be true: (what, seen, ok)."""
    told = m.runs.get((SIDECAR, "telemetry"), [])
    if not told:
        return []
    sent = sum(t["sent"] for t in told)
    failures = [f for t in told for f in t["failures"]]
    scrapes = sum(t["scrapes"] for t in told)
    totals = ", ".join(f"{t['metrics_total']:,} of {t['sent']:,}" for t in told)
    spans, want = sum(t["spans"] for t in told), SPANS_A_REQUEST * SPAN_RATIO * sent
    # a request is sampled or not, with all its spans
    error = SIGMAS * SPANS_A_REQUEST * math.sqrt(SPAN_RATIO * (1 - SPAN_RATIO) * sent)
    exits = sorted({str(t["exit"]) for t in told})
    failed = m.errors()
    return [
        ("requests failed", ", ".join(f"{p} {n:,}" for p, n in failed.items()) or "none", SIDECAR not in failed),
        ("/metrics counts each request", totals, all(t["metrics_total"] == t["sent"] for t in told)),
        ("/metrics scraped each second under load", f"{scrapes} scrapes, " + ("; ".join(failures[:3]) or "none failed"),
         scrapes > 0 and not failures),
        ("spans received", f"{spans:,}, expected {want:,.0f} ± {error:,.0f}", abs(spans - want) <= error),
        ("exit code after SIGTERM", ", ".join(exits), exits == ["0"]),
    ]


def verdict(m, binary_mib, complete):
    """Markdown, and whether all is well. In a complete run what was not measured is not well."""
    judged = bars(m, binary_mib)
    checked = checks(m)
    text = "### Verdict\n\n" + table(["what", "measured", "bar", "never above", "verdict"], [b.row() for b in judged])
    rows = [[what, seen, "pass" if ok else "FAIL"] for what, seen, ok in checked]
    text += "\n" + table(["what", "seen", "verdict"], rows or [["checks of the telemetry", "-", "not measured"]])
    failed = any(b.verdict() == "FAIL" for b in judged) or any(not ok for _, _, ok in checked)
    missing = not checked or any(b.verdict() == "not measured" for b in judged)
    return text, not failed and not (complete and missing)
