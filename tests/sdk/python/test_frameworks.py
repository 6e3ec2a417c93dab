"""Frameworks for agents, unmodified, each finish two streaming tool loops in one conversation, on either provider."""

import asyncio
import json
import os

import pytest

import stack
import table
from conftest import Target, received, untitled
from frameworks import FRAMEWORKS, Talk

# What apps ask for; the sidecar puts other models in.
MODELS = {"chat": "gpt-6-luna", "responses": "gpt-6-luna", "messages": "claude-opus-5-5"}
SYSTEM = "Answer briefly."
TOOLS = [
    ("get_weather", "The weather now.", {"city": {"type": "string"}}, ["city"]),
    ("get_time", "The local time.", {"city": {"type": "string"}}, ["city"]),
]
THOUGHT = ("thought",)
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
        assert list(READERS[target.served_api](body)) == before(turns, thoughtful)


def before(turns, thoughtful):
    """The turns in a row; each turn of the model begins with its thought, where the app's API shows it."""
    model = [turn[0][0] in ("call", "said") for turn in TURNS]
    return [one for turn, own in zip(TURNS[:turns], model) for one in ([THOUGHT] if own and thoughtful else []) + turn]


def offered(tool):
    """What the model is told of a tool."""
    schema = tool.get("input_schema") or tool["parameters"]
    return tool["name"], tool["description"], untitled(schema["properties"]), schema["required"]


def text(content):
    """The text of a string or of text parts."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def chat(body):
    """What a request of Chat Completions says, in order; a result with the call that its id names."""
    calls = {}
    for message in body["messages"]:
        match message["role"]:
            case "system" | "developer":
                yield "system", text(message["content"])
            case "user":
                yield "user", text(message["content"])
            case "tool":
                yield "result", *calls[message["tool_call_id"]], text(message["content"])
            case "assistant":
                if message.get("content"):
                    yield "said", text(message["content"])
                for call in message.get("tool_calls", []):
                    calls[call["id"]] = call["function"]["name"], json.loads(call["function"]["arguments"])
                    yield "call", *calls[call["id"]]


def responses(body):
    """As `chat`, for a request of Responses."""
    calls = {}
    if "instructions" in body:
        yield "system", body["instructions"]
    for item in body["input"]:
        match item.get("type", "message"), item.get("role"):
            case "message", "system" | "developer":
                yield "system", text(item["content"])
            case "message", "user":
                yield "user", text(item["content"])
            case "message", "assistant":
                yield "said", text(item["content"])
            case "reasoning", _:
                yield THOUGHT
            case "item_reference", _:
                # The simulator refuses what it did not say; the only text of a turn before is this.
                yield THOUGHT if item["id"].startswith("rs_") else ("said", RAINY)
            case "function_call", _:
                calls[item["call_id"]] = item["name"], json.loads(item["arguments"])
                yield "call", *calls[item["call_id"]]
            case "function_call_output", _:
                yield "result", *calls[item["call_id"]], text(item["output"])


def messages(body):
    """As `chat`, for a request of Messages."""
    calls = {}
    yield "system", text(body["system"])
    for message in body["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match block["type"], message["role"]:
                case "text", role:
                    yield "user" if role == "user" else "said", block["text"]
                case "thinking", _:
                    yield THOUGHT
                case "tool_use", _:
                    calls[block["id"]] = block["name"], block["input"]
                    yield "call", *calls[block["id"]]
                case "tool_result", _:
                    yield "result", *calls[block["tool_use_id"]], text(block["content"])


READERS = {"chat": chat, "responses": responses, "messages": messages}
