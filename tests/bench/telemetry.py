"""Watches what the sidecar says of itself while it is under load: /metrics each second, spans at the receiver."""
import http.client
import json
import threading
import time

METRIC = "llmroute_requests_total"  # summed over its labels
SCRAPE_EVERY = 1.0


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise OSError(f"GET {path}: status {answer.status}")
        return body
    except http.client.HTTPException as e:
        raise OSError(f"GET {path}: {e!r}") from e
    finally:
        connection.close()


def answers(port, path):
    try:
        return bool(get(port, path)) or True
    except OSError:
        return False


def spans(otlp):
    return json.loads(get(otlp, "/otlp/count"))


def total(text):
    """Sum of the metric over its labels; None if it is not there."""
    lines = [line for line in text.splitlines() if line.startswith((METRIC + "{", METRIC + " "))]
    # a sample is `name{labels} value [timestamp]`, and a label's value may hold spaces
    values = [line[line.rfind("}") + 1:].removeprefix(METRIC).split()[0] for line in lines]
    return round(sum(map(float, values))) if values else None


class Watch:
    """Scrapes each second from a thread of its own until it is ended."""

    def __init__(self, admin, otlp):
        self.admin, self.otlp = admin, otlp
        self.spans_before = spans(otlp)["spans"]
        self.sent, self.scrapes, self.failures, self.last = 0, 0, [], 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def scrape(self):
        try:
            self.scrapes += 1
            now = total(get(self.admin, "/metrics"))
            if now is not None and now < self.last:
                self.failures.append(f"{METRIC} went back from {self.last} to {now}")
            self.last = now or 0
        except OSError as e:
            self.failures.append(str(e))

    def run(self):
        while not self.ended.wait(SCRAPE_EVERY):
            self.scrape()

    def end(self):
        """Last scrape, given a moment for the last bodies to settle."""
        self.ended.set()
        self.thread.join()
        until = time.monotonic() + 5
        self.scrape()
        while self.last != self.sent and time.monotonic() < until:
            time.sleep(0.2)
            self.scrape()

    def result(self):
        """To be asked for after the sidecar has ended, when the last spans are out."""
        after = spans(self.otlp)
        return {"sent": self.sent, "metrics_total": self.last, "scrapes": self.scrapes, "failures": self.failures,
                "spans": after["spans"] - self.spans_before, "receiver": after}
