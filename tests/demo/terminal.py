"""How the story looks: colour on a terminal only, plain lines in a log."""

import os
import sys

COLOURED = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
COLOURS = {"ok": "32", "degraded": "33", "cached": "36", "queued": "35", "refused": "31", "failed": "31;1", "head": "1", "dim": "2"}
ROW = "{at:>6}  {app:<9}  {call:<6}  {status}  {who:<24}  {took:>7}  {first:>7}  {tries:>5}  {cost:>11}  {why}"
HEAD = dict(at="at", app="app", call="call", status="status  ", who="answered by", took="took", first="first", tries="tries",
            cost="cost", why="why")

MONEY_ROW = "{at:>6}  {app:<9}  {call:<6}  {status}  {who:<24}  {took:>7}  {cost:>9}  {stands:<20}  {why}"
MONEY_HEAD = dict(at="at", app="app", call="call", status="status  ", who="answered by", took="took", cost="cost",
                  stands="the budget", why="why, and what was done")


def paint(text, colour):
    return f"\033[{COLOURS[colour]}m{text}\033[0m" if COLOURED else text


def say(text="", colour=None):
    print(paint(text, colour) if colour and text else text, flush=True)


def act(title, *lines):
    say()
    say(title, "head")
    for line in lines:
        say(f"  {line}", "dim")


def table_head():
    say(ROW.format(**HEAD), "dim")


def money_head():
    say(MONEY_ROW.format(**MONEY_HEAD), "dim")


def row(at, answer):
    """One answer on one line; nothing in it that the app was not told."""
    cells = dict(
        at=f"{at:.1f} s",
        app=answer.app,
        call=answer.call,
        status=paint(f"{answer.status:<8}", answer.status),
        who=f"{answer.provider} {answer.model}",
        took=f"{answer.seconds:.2f} s",
        first="" if answer.first_content is None else f"{answer.first_content:.2f} s",
        tries=answer.attempts,
        cost="" if answer.cost is None else f"${answer.cost:.6f}",
        why=answer.error or answer.reason or "",
    )
    say(ROW.format(**cells).rstrip())


def money_row(at, answer, stands, what):
    """The same where money is short: with how the budget stands, and what the ladder did."""
    cells = dict(
        at=f"{at:.1f} s",
        app=answer.app,
        call=answer.call,
        status=paint(f"{answer.status:<8}", answer.status),
        who=f"{answer.provider} {answer.model}".replace("- -", "nobody"),
        took=f"{answer.seconds:.2f} s",
        cost="" if answer.cost is None else f"${answer.cost:.6f}",
        stands=stands,
        why=f"{answer.reason}: {what}" if answer.reason else what,
    )
    say(MONEY_ROW.format(**cells).rstrip())
