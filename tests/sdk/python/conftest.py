"""Clients that point at the sidecar, the simulator's log, and the record of which cell each test fills."""

import json
import os
import re
import sys
import pathlib

import anthropic
import openai
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import stack
import wire

URL = os.environ.get("LLMROUTE_URL", "")
SIM_URL = os.environ.get("LLMROUTE_SIM_URL", "")
RESULTS = os.environ.get("LLMROUTE_RESULTS")


class Sim:
    """What the simulator received since the test began."""

    def __init__(self):
        self.seen_before = len(self.log())

    @staticmethod
    def log():
        entries = stack.call("GET", f"{SIM_URL}/sim/log")
        return [e for e in entries if e["method"] == "POST" and e["path"].startswith("/v1/")]

    def received(self):
        return [wire.request(entry) for entry in self.log()[self.seen_before :]]

    def only(self):
        """The one request that was received."""
        received = self.received()
        assert len(received) == 1, [r.path for r in received]
        return received[0]


class Lane:
    """How a row of the table is served: by which provider, in which dialect, with which model."""

    def __init__(self, caller, way):
        openai_serves = (caller == "messages") == (way == "translated")
        self.way = way
        self.caller = caller
        self.provider, self.other = ("openai", "claude") if openai_serves else ("claude", "openai")
        self.model = "gpt-6-sol" if openai_serves else "claude-sonnet-5-5"
        self.api = caller if way == "same" else ("chat" if openai_serves else "messages")

    def hint(self, scene=None):
        return {"x-llmroute-scene": scene or f"{self.provider}-only"}

    def served(self, request):
        """The request went to the right provider, with the sidecar's key and the target's model."""
        assert request.api == self.api
        assert request.key == stack.KEYS[self.provider]
        assert request.body["model"] == self.model
        assert stack.CALLERS_KEY not in json.dumps(request.headers)
        assert not [name for name in request.headers if name.startswith("x-llmroute-")]

    def told(self, headers, status="ok", provider=None, model=None):
        """The answer's headers say who served it and why."""
        assert headers["x-llmroute-status"] == status
        assert headers["x-llmroute-provider"] == (provider or self.provider)
        assert headers["x-llmroute-model"] == (model or self.model)
        assert headers["x-llmroute-tier"] == "quick"
        assert re.fullmatch(r"rt_\d{8}_[0-9a-f]{32}", headers["x-llmroute-trace-id"])
        assert headers["traceparent"].split("-")[1] == headers["x-llmroute-trace-id"].rsplit("_", 1)[1]
        assert ("x-llmroute-reason" in headers) == (status != "ok")


@pytest.fixture
def sim():
    return Sim()


@pytest.fixture
def openai_client():
    return openai.OpenAI(base_url=f"{URL}/v1", api_key=stack.CALLERS_KEY, max_retries=2, timeout=30)


@pytest.fixture
def anthropic_client():
    return anthropic.Anthropic(base_url=URL, api_key=stack.CALLERS_KEY, max_retries=2, timeout=30)


@pytest.fixture
def lane(request, way):
    return Lane(request.node.get_closest_marker("cell").args[0], way)


def pytest_configure(config):
    config.addinivalue_line("markers", "cell(api, feature): the cell of the table that a test fills")


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("cell")
    if marker and "way" in metafunc.fixturenames:
        only_same = marker.args[0] == "responses" or marker.args[1] == "structured"
        metafunc.parametrize("way", ["same"] if only_same else ["same", "translated"])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    marker = item.get_closest_marker("cell")
    ended = report.when == "call" or not report.passed
    if not (RESULTS and marker and ended):
        return
    api, feature = marker.args
    line = {"row": f"python/{api}/{item.callspec.params['way']}", "cell": feature, "outcome": report.outcome}
    with open(RESULTS, "a") as results:
        results.write(json.dumps(line) + "\n")
