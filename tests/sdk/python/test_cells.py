"""Every cell of the table for the Python SDKs: what the SDK returned, and the body that the simulator received."""

import json
import pkgutil
import re

import openai.lib
import pytest

from conftest import ASKED_MODEL, CELLS, received, untitled

HELLO = "You said: Hello there."
# Of Responses, and of an API that nobody translates.
RUNNERS = ["decisions_tool_runner", "responses_tool_runner"]
# Models that take no schema.
FREE_FORM = {"openai": "gpt-4-turbo", "claude": "claude-opus-4-1"}


def body_of(row, ask):
    return row.sent(ask) if row.way == "same" else row.translated()


def then_of(row, then, answer):
    return row.sent(then) if row.way == "same" else row.translated("translated_then", row.api.calls(answer))


@pytest.mark.cell("plain")
def test_plain(row):
    ask = row.ask("plain")
    answer, headers = row.api.create(ask)
    assert row.api.text(answer) == HELLO
    assert (answer.model, row.api.end(answer)) == (row.model, row.api.ends["text"])
    assert min(row.api.usage(answer)) > 0
    assert not row.api.member(answer), "nothing was degraded"
    row.told(headers)
    assert float(headers["x-llmroute-cost-usd"]) > 0
    [request] = received()
    row.served(request, body_of(row, ask))


@pytest.mark.cell("stream")
def test_stream(row):
    ask = row.ask("plain")
    events, headers = row.api.events(ask)
    deltas = row.api.deltas(events)
    assert len(deltas) > 1 and "".join(deltas) == HELLO
    assert row.api.streamed_end(events) == [row.api.ends["text"]]
    row.told(headers)
    [request] = received()
    row.served(request, row.streamed(body_of(row, ask)))


@pytest.mark.cell("helper")
def test_stream_helper(row):
    ask = row.ask("plain")
    events, answer = row.api.helped(ask)
    deltas = row.api.helped_deltas(events)
    assert len(deltas) > 1 and "".join(deltas) == row.api.text(answer) == HELLO
    assert (answer.model, row.api.end(answer)) == (row.model, row.api.ends["text"])
    [request] = received()
    row.served(request, row.streamed(body_of(row, ask)))


@pytest.mark.cell("tools")
def test_a_tool_and_its_result(row):
    ask = row.ask("tools")
    answer, _ = row.api.create(ask)
    calls = row.api.calls(answer)
    assert [call[1:] for call in calls] == [("get_weather", {"city": "Paris"})]
    assert row.api.end(answer) == row.api.ends["tools"]
    then = row.api.then(ask, answer, CELLS["results"])
    last, headers = row.api.create(then)
    assert row.api.text(last) == "The tools answered: sunny."
    assert row.api.end(last) == row.api.ends["text"]
    row.told(headers)
    first, second = received()
    row.served(first, body_of(row, ask))
    row.served(second, then_of(row, then, answer))


@pytest.mark.cell("parallel")
def test_parallel_tools_and_their_results(row):
    ask = row.ask("parallel")
    wanted = [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Oslo"})]
    events, _ = row.api.events(ask)
    assert row.api.streamed_end(events) == [row.api.ends["tools"]]
    _, helped = row.api.helped(ask)
    answer, _ = row.api.create(ask)
    for one in [helped, answer]:
        assert [call[1:] for call in row.api.calls(one)] == wanted
        assert row.api.end(one) == row.api.ends["tools"]
    then = row.api.then(ask, answer, CELLS["results"])
    last, headers = row.api.create(then)
    assert row.api.text(last) == "The tools answered: sunny; noon."
    row.told(headers)
    *streamed, plain, second = received()
    body = body_of(row, ask)
    assert len(streamed) == 2
    for request in streamed:
        row.served(request, row.streamed(body))
    row.served(plain, body)
    row.served(second, then_of(row, then, answer))


@pytest.mark.cell("runner")
def test_a_tool_runner(row):
    runs_tools(row, stream=False)


@pytest.mark.cell("runner stream")
def test_a_streaming_tool_runner(row):
    runs_tools(row, stream=True)


def runs_tools(row, stream):
    """The SDK runs two tools that are called at once, and one more that a result of theirs calls for."""
    if not row.has_runner:
        assert [name for name in dir(row.api.endpoint) if "run" in name] == [], "there is one now: use it here"
        assert [module.name for module in pkgutil.iter_modules(openai.lib.__path__) if "runner" in module.name] == RUNNERS
        return
    ask = row.ask("runner")
    results, ran = CELLS["runner"]["results"], []

    def get_weather(city: str) -> str:
        ran.append(["get_weather", {"city": city}])
        return results["get_weather"][city]

    def get_time(city: str) -> str:
        ran.append(["get_time", {"city": city}])
        return results["get_time"][city]

    answers = row.api.looped(dict(ask), {"get_weather": get_weather, "get_time": get_time}, stream)
    calls = [row.api.calls(answer) for answer in answers]
    assert ran == [list(call[1:]) for turn in calls for call in turn] == CELLS["runner"]["ran"]
    assert [row.api.end(answer) for answer in answers] == [row.api.ends[end] for end in ["tools", "tools", "text"]]
    assert [len(turn) for turn in calls] == [2, 1, 0]
    assert row.api.text(answers[-1]) == "The tools answered: rainy."
    for n, request in enumerate(requests := received()):
        if row.way == "same":
            body = row.api.as_looped(row.sent(ask), answers[:n])
            told = [results[name][given["city"]] for _, name, given in calls[n]]
            ask = row.api.then(ask, answers[n], told)
        else:
            body = row.translated(calls=[call for turn in calls for call in turn])
            body["messages"] = body["messages"][: row.cell["turns"][n]]
        row.served(request, row.streamed(body) if stream else body)
    assert len(requests) == len(answers)


@pytest.mark.cell("images")
def test_an_image(row):
    ask = row.ask("images")
    answer, headers = row.api.create(ask)
    assert row.api.text(answer) == "You said: What is this?. I see 1 image."
    row.told(headers)
    [request] = received()
    row.served(request, body_of(row, ask))


@pytest.mark.cell("structured")
def test_structured_output(row):
    describes_a_city(row, stream=False)


@pytest.mark.cell("structured stream")
def test_a_stream_of_structured_output(row):
    describes_a_city(row, stream=True)


def describes_a_city(row, stream):
    ask = row.ask("structured")
    is_a_city(row, *row.api.structured(ask, stream))
    body = body_of(row, ask)
    classless(row, row.streamed(body) if stream else body)


def classless(row, body, model=None):
    """The simulator received this body, but for what the SDK makes of a class."""
    [request] = received()
    row.served({**request, "body": untitled(request["body"])}, untitled(body), model)


def is_a_city(row, events, answer):
    """The SDK parsed the answer, and its text in pieces as they came is the whole."""
    city = row.api.parsed(answer)
    assert (type(city).__name__, city.name, city.population) == ("City", "sim", 1)
    assert row.api.end(answer) == row.api.ends["text"] and row.api.calls(answer) == []
    assert json.loads(row.api.text(answer)) == {"name": "sim", "population": 1}
    if events:
        assert "".join(row.api.helped_deltas(events)) == row.api.text(answer)


@pytest.mark.cell("emulated")
def test_structured_output_of_a_model_without(row):
    describes_a_city_without_schemas(row, stream=False)


@pytest.mark.cell("emulated stream")
def test_a_stream_of_structured_output_of_a_model_without(row):
    describes_a_city_without_schemas(row, stream=True)


def describes_a_city_without_schemas(row, stream):
    """Translated, a tool stands for the schema; a request that is passed on goes without, and that is told."""
    ask = row.ask("emulated", scene=f"{row.provider}-free-form")
    if row.way == "same":
        said, headers = row.api.events(ask) if stream else row.api.create(ask)
        assert headers["x-llmroute-dropped"] == row.cell["dropped_same"]
        assert ("".join(row.api.deltas(said)) if stream else row.api.text(said)) == "You said: Describe a city."
        body = {**row.sent(row.api.without_schema(ask)), **row.cell["same"]}
    else:
        events, answer = row.api.structured(ask, stream)
        assert bool(events) == stream
        is_a_city(row, events, answer)
        body = row.translated()
    classless(row, row.streamed(body) if stream else body, FREE_FORM[row.provider])


@pytest.mark.cell("errors")
def test_errors(row):
    for error in CELLS["errors"]:
        status, name, body = error[row.way][row.api.vendor]
        ask = row.api.with_prompt(row.ask("plain", tier="once"), f"Hello @@sim:fault={error['fault']}@@")
        for stream in [False, True]:
            before = len(received())
            with pytest.raises(row.api.errors.APIStatusError) as raised:
                row.api.create({**ask, "stream": stream})
            assert (type(raised.value).__name__, raised.value.status_code) == (name, status), error
            headers = raised.value.response.headers
            assert headers["x-should-retry"] == "false"
            assert headers["x-llmroute-status"] == "failed"
            assert headers["x-llmroute-reason"].startswith(f"{row.provider}_")
            assert str(status) in str(raised.value)
            assert row.api.error(raised.value) == body, error
            assert len(received()) == before + 1, f"{error}: the SDK came again"
            assert received()[-1]["body"]["model"] == row.model


@pytest.mark.cell("errors")
@pytest.mark.parametrize("fault", CELLS["stream_errors"])
def test_an_error_in_the_stream(row, fault):
    ask = row.api.with_prompt(row.ask("plain"), f"Hello there, all of you @@sim:fault={fault},after=2@@")
    events = []
    if row.name == "responses":
        # This SDK hands this API's errors on as events: one of its own, or the failed response.
        row.api.events(ask, events)
        last = events[-1]
        assert last.type in ("error", "response.failed")
        error = last if last.type == "error" else last.response.error
    else:
        with pytest.raises(row.api.errors.APIError) as raised:
            row.api.events(ask, events)
        error = raised.value
    assert error.message
    assert row.api.kind(error) == CELLS["stream_errors"][fault][row.name][row.way]
    assert len(row.api.deltas(events)) == 2, "what came before the error was delivered"
    assert len(received()) == 1


@pytest.mark.cell("degraded")
def test_a_degraded_answer(row):
    ask, reason, model = degraded(row)
    answer, headers = row.api.create(ask)
    assert row.api.text(answer) == HELLO
    row.told(headers, "degraded", reason, model)
    cost = headers["x-llmroute-cost-usd"]
    assert row.api.member(answer) == {**member(row, headers, reason, model), "cost_usd": cost}
    _, second = received()
    row.served(second, degraded_body(row, ask), model)


@pytest.mark.cell("degraded stream")
def test_a_degraded_stream(row):
    ask, reason, model = degraded(row)
    events, headers = row.api.events(ask)
    assert "".join(row.api.deltas(events)) == HELLO
    row.told(headers, "degraded", reason, model)
    members = [(n, told) for n, event in enumerate(events) if (told := row.api.member(event))]
    wanted = member(row, headers, reason, model)
    assert members[0] == (0, wanted)
    last, told = members[-1]
    assert last == len(events) - 1 and float(told["cost_usd"]) > 0
    assert {**told, "cost_usd": None} == {**wanted, "cost_usd": None}
    assert len(members) == 2
    _, second = received()
    row.served(second, row.streamed(degraded_body(row, ask)), model)
    _, answer = row.api.helped(ask)
    assert row.api.text(answer) == HELLO


def degraded(row):
    """A request that its first target does not answer, and what is said of the second."""
    if row.way == "same":
        scene, fault, reason = f"{row.provider}-two-models", f"not_found,model={row.model}", f"{row.provider}_model_not_found"
        model = row.cheaper
    else:
        vendor = {"openai": "openai", "claude": "anthropic"}[row.other]
        scene, fault, reason = f"{row.other}-then-{row.provider}", f"server_error,vendor={vendor}", f"{row.other}_server_error"
        model = row.model
    ask = row.ask("plain", scene)
    return row.api.with_prompt(ask, f"Hello there@@sim:fault={fault}@@"), reason, model


def degraded_body(row, ask):
    """`ask` as its second target receives it: whole, with the prompt in it."""
    if row.way == "same":
        return row.sent(ask)
    [prompt] = re.findall(r"Hello there@@[^@]*@@", json.dumps(ask))
    return json.loads(json.dumps(row.translated()).replace("Hello there", prompt))


def member(row, headers, reason, model):
    return {
        "status": "degraded",
        "provider": row.provider,
        "model": model,
        "reason": reason,
        "trace_id": headers["x-llmroute-trace-id"],
        "attempts": 2,
        "requested_model": ASKED_MODEL,
    }
