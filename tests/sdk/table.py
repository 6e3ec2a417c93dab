"""Which cells the suite must fill, and how the table is printed."""

import json

FEATURES = ["plain", "stream", "helper", "tools", "parallel", "images", "structured", "errors", "degraded", "degraded stream"]
APIS = {"chat": "openai", "responses": "openai", "messages": "anthropic"}
WAYS = ["same", "translated"]
LANGUAGES = ["python", "python async", "node"]
AGENTS = ["claude-code", "codex"]


def left_out(api, way, feature):
    """Why a cell may be empty, or None."""
    if api == "responses" and way == "translated":
        return "Responses is served by OpenAI providers only so far"
    if feature == "structured" and way == "translated":
        return "structured output is asked for in the same dialect only"
    return None


def rows(feature):
    """The (API, way) pairs that have a cell in a column."""
    return [(api, way) for api in APIS for way in WAYS if left_out(api, way, feature) is None]


def expected():
    """Every cell that must be there, as (row, column)."""
    cells = [
        (f"{language}/{api}/{way}", feature) for language in LANGUAGES for feature in FEATURES for api, way in rows(feature)
    ]
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
                cells = [
                    "-" if left_out(api, way, feature) else signs.get(outcomes.get((row, feature)), "MISSING")
                    for feature in FEATURES
                ]
                lines.append([f"{language} {vendor}", api, way, *cells])
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    told = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    told += [f"{agent}: tool loop {signs.get(outcomes.get((agent, 'tool loop')), 'MISSING')}" for agent in AGENTS]
    reasons = {left_out(api, way, feature) for api in APIS for way in WAYS for feature in FEATURES} - {None}
    return "\n".join([*told, *(f"-  {why}" for why in sorted(reasons))])
