"""Which cells the suite must fill, and how the table is printed."""

import json

FEATURES = ["plain", "stream", "helper", "tools", "parallel", "images", "structured", "errors", "degraded", "degraded stream"]
APIS = {"chat": "openai", "responses": "openai", "messages": "anthropic"}
WAYS = ["same", "translated"]
LANGUAGES = ["python", "python async", "node"]
AGENTS = ["claude-code", "codex"]


def rows():
    """The (API, way) pairs; each has a cell in every column."""
    return [(api, way) for api in APIS for way in WAYS]


def expected():
    """Every cell that must be there, as (row, column)."""
    cells = [(f"{language}/{api}/{way}", feature) for language in LANGUAGES for feature in FEATURES for api, way in rows()]
    return cells + [(agent, "tool loop") for agent in AGENTS]


def note(path, row, cell, outcome):
    """Adds an outcome to the file of results."""
    with open(path, "a") as results:
        results.write(json.dumps({"row": row, "cell": cell, "outcome": outcome}) + "\n")


def faults(results):
    """What is wrong with `results`, a list of {row, cell, outcome}: cells missing, failed, or unknown."""
    outcomes = {}
    for result in results:
        cell = (result["row"], result["cell"])
        outcomes[cell] = "failed" if "failed" in (outcomes.get(cell), result["outcome"]) else result["outcome"]
    wanted = expected()
    wrong = [f"{row}, {cell}: nothing ran" for row, cell in wanted if (row, cell) not in outcomes]
    wrong += [f"{row}, {cell}: {outcome}" for (row, cell), outcome in outcomes.items() if outcome != "passed"]
    wrong += [f"{row}, {cell}: no such cell in the table" for row, cell in outcomes if (row, cell) not in set(wanted)]
    return outcomes, wrong


def render(outcomes):
    """The table as text."""
    signs = {"passed": "ok", "failed": "FAILED", "skipped": "SKIPPED"}
    lines = [["SDK", "API", "dialect", *FEATURES]]
    for language in LANGUAGES:
        for api, vendor in APIS.items():
            for way in WAYS:
                row = f"{language}/{api}/{way}"
                cells = [signs.get(outcomes.get((row, feature)), "MISSING") for feature in FEATURES]
                lines.append([f"{language} {vendor}", api, way, *cells])
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    told = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    told += [f"{agent}: tool loop {signs.get(outcomes.get((agent, 'tool loop')), 'MISSING')}" for agent in AGENTS]
    return "\n".join(told)
