"""What the second part reckons with: how a budget stands, which rung an answer is of, and what bills come to."""

import dataclasses
import decimal
import json

NANO = decimal.Decimal("1e-9")


@dataclasses.dataclass(frozen=True)
class Standing:
    """One budget of the header `x-llmroute-budget`."""

    spent: decimal.Decimal
    held: decimal.Decimal
    limit: decimal.Decimal
    free: int

    @classmethod
    def of(cls, header, name):
        """Reads `minute;spent=0.012;held=0.001;limit=2;free=12, day;…`."""
        for text in header.split(","):
            told, *fields = text.strip().split(";")
            if told == name:
                fields = dict(field.split("=") for field in fields)
                amounts = {key: decimal.Decimal(fields[key]) for key in ("spent", "held", "limit")}
                return cls(**amounts, free=int(fields["free"]))
        raise ValueError(f"no budget {name} in {header!r}")

    def __str__(self):
        held = f", {self.held / self.limit:.0%} held" if self.held else ""
        return f"{self.spent / self.limit:.0%} spent{held}"


@dataclasses.dataclass(frozen=True)
class Request:
    """What the ladder can change of a request, as an app sends it or a provider gets it."""

    messages: int
    limit: int

    @classmethod
    def of(cls, body):
        body = json.loads(body)
        return cls(len(body["messages"]), body.get("max_completion_tokens") or body["max_tokens"])


def rung(status, asked, got):
    """The rung that an answer is of; `got` is the request that reached a provider, None if none did."""
    if status in ("cached", "queued", "refused"):
        return status
    if status == "ok":
        return "full"
    return "cheaper" if got == asked else "trimmed"


def fullest_window(bill, window_us):
    """The most, in nano-dollars, that fell into any window of so many microseconds, both its ends included."""
    charges = sorted((charge["at_us"], charge["nano_usd"]) for item in bill["items"] for charge in item["charges"])
    first, inside, most = 0, 0, 0
    for at, amount in charges:
        inside += amount
        while charges[first][0] + window_us < at:
            inside -= charges[first][1]
            first += 1
        most = max(most, inside)
    return most


def dollars(nano_usd):
    return f"${nano_usd * NANO:.6f}"
