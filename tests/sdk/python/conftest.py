"""The rows of the table, each a fixture, and the record of which cell each test filled."""

import json
import os
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import apis
import stack
import table

CELLS = json.loads((stack.HERE / "cells.json").read_text())
MODELS = {"openai": ["gpt-6-sol", "gpt-6-luna"], "claude": ["claude-sonnet-5-5", "claude-haiku-5-5"]}
KEY_IN = {"openai": ("authorization", "Bearer "), "claude": ("x-api-key", "")}
ASKED_MODEL = "a-model-of-the-app"


def received():
    """The requests that the simulator saw in this test."""
    entries = stack.get(os.environ["LLMROUTE_SIM_URL"] + "/sim/log")
    for entry in entries:
        entry["headers"] = dict(entry["headers"])
        entry["text"], entry["body"] = entry["body"], json.loads(entry["body"])
    return entries


@pytest.fixture(autouse=True)
def forgetful():
    """The simulator forgets what other tests sent."""
    stack.post(os.environ["LLMROUTE_SIM_URL"] + "/sim/reset")


class Target:
    """Who serves an API, in the same dialect or translated."""

    def __init__(self, name, way):
        self.name, self.way = name, way
        openai_serves = (name == "messages") == (way == "translated")
        self.provider, self.other = ("openai", "claude") if openai_serves else ("claude", "openai")
        self.model, self.cheaper = MODELS[self.provider]
        self.served_api = name if way == "same" else ("chat" if openai_serves else "messages")

    def reached(self, request):
        """The simulator was asked under the sidecar's key, and got no hint or key of the app's."""
        assert request["path"].removesuffix("?beta=true") == apis.APIS[self.served_api].path
        header, scheme = KEY_IN[self.provider]
        assert request["headers"][header] == scheme + stack.KEYS[self.provider]
        assert stack.CALLERS_KEY not in json.dumps(request["headers"])
        assert not [name for name in request["headers"] if name.startswith("x-llmroute-")]


class Row(Target):
    """An API, called by a kind of client."""

    def __init__(self, caller, name, way):
        super().__init__(name, way)
        self.api = apis.APIS[name](caller, os.environ["LLMROUTE_URL"], stack.CALLERS_KEY)
        self.has_runner = (caller.language, name) not in table.NO_RUNNER

    def ask(self, feature, scene=None, tier="quick"):
        """What the SDK is given."""
        self.cell = CELLS[self.name][feature]
        hints = {"x-llmroute-scene": scene or self.provider, "x-llmroute-tier": tier}
        return {"model": ASKED_MODEL, **CELLS[self.name][feature]["ask"], "extra_headers": hints}

    def served(self, request, body, model=None):
        """The simulator received this body, with the target's model in it."""
        self.reached(request)
        # The target takes tools in Chat Completions only if it is told not to think.
        thinks = (model or self.model).startswith("gpt-6")
        silent = {"reasoning_effort": "none"} if thinks and self.served_api == "chat" and "tools" in body else {}
        # Some helpers say the default.
        said = {name: value for name, value in request["body"].items() if (name, value) != ("stream", False)}
        assert said == {**silent, **body, "model": model or self.model}

    def sent(self, ask):
        """The body of `ask` as JSON, for a provider of the same dialect."""
        return plain({name: value for name, value in ask.items() if name != "extra_headers"})

    def translated(self, part="translated", calls=()):
        text = json.dumps(self.cell[part])
        for n, (id, _, _) in enumerate(calls):
            text = text.replace(f"$call{n}", id)
        return json.loads(text)

    def streamed(self, body):
        """`body`, asked for as a stream; the sidecar needs its usage."""
        usage = {"stream_options": {"include_usage": True}} if self.served_api == "chat" else {}
        return {**body, "stream": True, **usage}

    def told(self, headers, status="ok", reason=None, model=None):
        """The raw headers say who served it and why."""
        said = {name: headers.get(f"x-llmroute-{name}") for name in ["status", "reason", "provider", "model", "dropped"]}
        dropped = self.cell.get("dropped") if self.way == "translated" else None
        wanted = {"status": status, "reason": reason, "provider": self.provider, "model": model or self.model, "dropped": dropped}
        assert said == wanted
        trace = re.fullmatch(r"rt_\d{8}_([0-9a-f]{32})", headers["x-llmroute-trace-id"])
        assert headers["traceparent"].split("-")[1] == trace[1]
        assert headers["x-request-id" if self.api.vendor == "openai" else "request-id"].startswith("req_")


def plain(value):
    """SDK objects as the JSON they are sent as."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def untitled(schema):
    """`schema` without the titles and descriptions that a Python class brings."""
    if isinstance(schema, list):
        return [untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: untitled(value) for name, value in schema.items() if name not in ("title", "description")}


@pytest.fixture(params=[apis.Blocking, apis.Async], ids=lambda caller: caller.language)
def row(request, api, way):
    caller = request.param()
    row = Row(caller, api, way)
    yield row
    caller.close(row.api.client)


def pytest_generate_tests(metafunc):
    if "row" in metafunc.fixturenames:
        metafunc.parametrize("api,way", table.rows())


def pytest_configure(config):
    config.addinivalue_line("markers", "cell(feature): the column of the table that a test fills")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    marker = item.get_closest_marker("cell")
    if marker and (report.when == "call" or not report.passed):
        given = item.callspec.params
        name = f"{given.get('agent') or given['row'].language}/{given['api']}/{given['way']}"
        table.note(os.environ["LLMROUTE_RESULTS"], name, marker.args[0], report.outcome)
