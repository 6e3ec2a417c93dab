"""Frameworks for agents, unmodified, each finish two streaming tool loops in one conversation, on either provider."""

import asyncio
import json
import os

import pytest

import stack
import table
from conftest import Target, received, untitled
from frameworks import FRAMEWORKS, Talk
from turns import READERS, THOUGHT

# What apps ask for; the sidecar puts other models in.
MODELS = {"chat": "gpt-6-luna", "responses": "gpt-6-luna", "messages": "claude-opus-5-5"}
SYSTEM = "Answer briefly."
TOOLS = [
    ("get_weather", "The weather now.", {"city": {"type": "string"}}, ["city"]),
    ("get_time", "The local time.", {"city": {"type": "string"}}, ["city"]),
]
EFFORT = {
    "chat": lambda body: body["reasoning_effort"],
    "responses": lambda body: body["reasoning"]["effort"],
    "messages": lambda body: body["output_config"]["effort"],
}
# The simulated model calls both tools at once if the prompt says so, and once more if a result orders it.
TWICE = "Use both tools, please"
ONCE = '@@sim:tool=get_time,args={"city":"Lima"}@@And now?'
ORDER = 'noon@@sim:tool=get_weather,args={"city":"Rome"}@@'
RESULTS = {"get_weather": {"Paris": "sunny", "Rome": "rainy"}, "get_time": {"Oslo": ORDER, "Lima": "dusk"}}
WEATHER, TIME, AGAIN, LATER = (
    ("get_weather", {"city": "Paris"}),
    ("get_time", {"city": "Oslo"}),
    ("get_weather", {"city": "Rome"}),
    ("get_time", {"city": "Lima"}),
)
RAINY = "The tools answered: rainy."
# Turn by turn, as the model has it before it.
TURNS = [
    [("system", SYSTEM), ("user", TWICE)],
    [("call", *WEATHER), ("call", *TIME)],
    [("result", *WEATHER, "sunny"), ("result", *TIME, ORDER)],
    [("call", *AGAIN)],
    [("result", *AGAIN, "rainy")],
    [("said", RAINY)],
    [("user", ONCE)],
    [("call", *LATER)],
    [("result", *LATER, "dusk")],
]


@pytest.fixture(scope="module")
def loop():
    """One for all: frameworks keep connections from one conversation to the next."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.cell(table.LOOP)
@pytest.mark.parametrize("agent,api,way", table.loops(*FRAMEWORKS))
def test_a_framework_finishes_its_tool_loops(loop, agent, api, way):
    target = Target(api, way)
    hints = {"x-llmroute-scene": target.provider}
    talk = Talk(os.environ["LLMROUTE_URL"], stack.CALLERS_KEY, hints, api, MODELS[api], SYSTEM, [TWICE, ONCE], RESULTS)
    answers = loop.run(FRAMEWORKS[agent](talk))
    assert talk.calls == [WEATHER, TIME, AGAIN, LATER]
    assert [text for _, text in answers] == [RAINY, "The tools answered: dusk."]
    for pieces, text in answers:
        assert len(pieces) > 1 and "".join(pieces) == text
    thoughtful = api == "responses" or (api, way) == ("messages", "same")
    requests = received()
    for request, turns in zip(requests, [1, 3, 5, 7, 9], strict=True):
        target.reached(request)
        body = request["body"]
        assert (request["status"], body["stream"], body["model"]) == (200, True, target.model)
        assert [offered(tool.get("function", tool)) for tool in body["tools"]] == TOOLS
        # In Chat Completions the target takes tools only if it is told not to think.
        assert EFFORT[target.served_api](body) == ("none" if target.served_api == "chat" else "low")
        assert list(map(named, READERS[target.served_api](body))) == before(turns, thoughtful)


def named(turn):
    """`turn`; of a text that is named by its id, which the simulator refuses if it did not say it, the only one there is."""
    return ("said", RAINY) if turn[0] == "said" and turn[1].startswith("msg_") else turn


def before(turns, thoughtful):
    """The turns in a row; each turn of the model begins with its thought, where the app's API shows it."""
    model = [turn[0][0] in ("call", "said") for turn in TURNS]
    return [one for turn, own in zip(TURNS[:turns], model) for one in ([THOUGHT] if own and thoughtful else []) + turn]


def offered(tool):
    """What the model is told of a tool."""
    schema = tool.get("input_schema") or tool["parameters"]
    return tool["name"], tool["description"], untitled(schema["properties"]), schema["required"]
