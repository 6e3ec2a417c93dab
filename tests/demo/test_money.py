"""The second part's sums."""

import decimal

import money
import pytest

HEADER = "demo;spent=0.0112;held=0.0004;limit=0.016;free=7, day;spent=0;held=0;limit=20;free=0"


def test_a_budgets_header():
    demo = money.Standing.of(HEADER, "demo")
    assert demo == money.Standing(decimal.Decimal("0.0112"), decimal.Decimal("0.0004"), decimal.Decimal("0.016"), 7)
    assert str(demo) == "70% spent, 2% held"
    assert str(money.Standing.of(HEADER, "day")) == "0% spent"
    with pytest.raises(ValueError, match="no budget week"):
        money.Standing.of(HEADER, "week")


def test_rungs():
    asked = money.Request.of('{"messages": [1, 2, 3], "max_tokens": 240}')
    assert asked == money.Request.of('{"messages": [1, 2, 3], "max_completion_tokens": 240}')
    fewer = money.Request.of('{"messages": [1], "max_tokens": 240}')
    shorter = money.Request.of('{"messages": [1, 2, 3], "max_tokens": 40}')
    rows = [
        ("ok", asked, "full"),
        ("degraded", asked, "cheaper"),
        ("degraded", fewer, "trimmed"),
        ("degraded", shorter, "trimmed"),
        ("cached", None, "cached"),
        ("queued", asked, "queued"),
        ("refused", None, "refused"),
    ]
    for status, got, want in rows:
        assert money.rung(status, asked, got) == want, (status, got)


def bill(*items):
    return {"items": [{"charges": [{"at_us": at, "nano_usd": amount} for at, amount in item]} for item in items]}


def test_windows_slide_over_every_charge_of_every_item():
    all_of_it = bill([(0, 5), (100, 1)], [(50, 2), (101, 9)], [(200, 3)])
    for window, most in [(0, 9), (1, 10), (50, 10), (51, 12), (100, 13), (101, 17), (1000, 20)]:
        assert money.fullest_window(all_of_it, window) == most, window
    assert money.fullest_window(bill(), 1) == 0


def test_dollars():
    assert money.dollars(16_000_000) == "$0.016000"
