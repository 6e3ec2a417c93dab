"""Which cells the suite must fill, and how the tables are printed."""

import json

FEATURES = [
    "plain", "stream", "helper", "tools", "parallel", "runner", "runner stream", "images", "structured", "structured stream",
    "emulated", "emulated stream", "errors", "degraded", "degraded stream",
]
APIS = {"chat": "openai", "responses": "openai", "messages": "anthropic"}
WAYS = ["same", "translated"]
LANGUAGES = ["python", "python async", "node"]
# The SDKs that run no tools in an API.
NO_RUNNER = {(language, "chat") for language in ["python", "python async"]}
# What runs a tool loop by itself, in the APIs that it speaks.
LOOP = "tool loop"
AGENTS = {
    "claude-code": ["messages"],
    "codex": ["responses"],
    "langchain": ["chat", "responses", "messages"],
    "pydantic-ai": ["chat", "responses", "messages"],
    "agents-sdk": ["chat", "responses"],
    "ai-sdk": ["chat", "responses", "messages"],
}


def is_absent(language, api, way, cell):
    """Whether there is nothing to be had in a cell; its test holds that this is still so."""
    if cell.startswith("runner"):
        return (language, api) in NO_RUNNER
    # What is passed on to a model that takes no schema goes without.
    return cell.startswith("emulated") and way == "same"


def rows():
    """The (API, way) pairs; each has a cell in every column."""
    return [(api, way) for api in APIS for way in WAYS]


def loops(*agents):
    """The (agent, API, way) triples; each is a cell of the second table."""
    return [(agent, api, way) for agent in agents for api in AGENTS[agent] for way in WAYS]


def expected():
    """Every cell that must be there, as (row, column)."""
    cells = [(f"{language}/{api}/{way}", feature) for language in LANGUAGES for feature in FEATURES for api, way in rows()]
    return cells + [("/".join(loop), LOOP) for loop in loops(*AGENTS)]


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
    """Both tables as text: what SDKs do, and who finishes a tool loop."""
    signs = {"passed": "ok", "failed": "FAILED", "skipped": "SKIPPED"}

    def sign(row, cell):
        outcome = outcomes.get((row, cell))
        return "n/a" if outcome == "passed" and is_absent(*row.split("/"), cell) else signs.get(outcome, "MISSING")

    sdks = [["SDK", "API", "dialect", *FEATURES]]
    for language in LANGUAGES:
        for api, way in rows():
            cells = [sign(f"{language}/{api}/{way}", feature) for feature in FEATURES]
            sdks.append([f"{language} {APIS[api]}", api, way, *cells])
    agents = [[LOOP, "API", *WAYS]]
    for agent, apis in AGENTS.items():
        agents += [[agent, api, *(sign(f"{agent}/{api}/{way}", LOOP) for way in WAYS)] for api in apis]
    return f"{aligned(sdks)}\n\n{aligned(agents)}"


def aligned(lines):
    """Lines of cells as text, the first of them a heading."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
