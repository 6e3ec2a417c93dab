"""How the story looks: colour on a terminal only, plain lines in a log."""

import os
import sys

COLOURED = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
COLOURS = {"ok": "32", "degraded": "33", "failed": "31;1", "head": "1", "dim": "2"}
ROW = "{at:>6}  {app:<9}  {call:<6}  {status}  {who:<24}  {took:>7}  {first:>7}  {tries:>5}  {cost:>11}  {why}"
HEAD = dict(at="at", app="app", call="call", status="status  ", who="answered by", took="took", first="first", tries="tries",
            cost="cost", why="why")


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
