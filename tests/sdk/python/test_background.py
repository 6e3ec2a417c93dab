"""The OpenAI SDK's background mode: made later by the sidecar, fetched, cancelled and deleted by id."""

import json
import os
import time

import openai
import pytest

import apis
import stack
from conftest import ASKED_MODEL, received

SLOW = "Hello there@@sim:head_ms=6000@@"


@pytest.fixture(params=[apis.Blocking, apis.Async], ids=lambda caller: caller.language)
def api(request):
    caller = request.param()
    api = apis.Responses(caller, os.environ["LLMROUTE_URL"], stack.CALLERS_KEY)
    yield api
    caller.close(api.client)


def create(api, prompt, **more):
    return apis.published(api.caller.done(api.endpoint.create(model=ASKED_MODEL, input=prompt, background=True, **more)))


def until(api, response, *states):
    deadline = time.monotonic() + 20
    while response.status not in states:
        assert time.monotonic() < deadline, f"still {response.status}"
        time.sleep(0.05)
        response = apis.published(api.caller.done(api.endpoint.retrieve(response.id)))
    return response


def test_created_retrieved_and_deleted(api):
    created = create(api, "Hello there", instructions="Be brief.", metadata={"team": "blue"})
    assert created.id.startswith("resp_llmroute_") and created.object == "response" and created.background is True
    assert created.status in ("queued", "in_progress") and created.output == [] and created.error is None
    assert (created.model, created.instructions, created.metadata) == (ASKED_MODEL, "Be brief.", {"team": "blue"})
    assert created.tools == [] and created.tool_choice == "auto" and created.parallel_tool_calls is True
    done = until(api, created, "completed", "failed")
    assert (done.status, done.id, done.background) == ("completed", created.id, True)
    assert done.output_text == "You said: Hello there." and min(api.usage(done)) > 0
    [request] = received()
    assert request["body"] == {
        "model": "gpt-6-sol", "input": "Hello there", "instructions": "Be brief.", "metadata": {"team": "blue"}, "background": False,
    }
    assert stack.CALLERS_KEY not in json.dumps(request["headers"])
    assert api.caller.done(api.endpoint.cancel(created.id)).status == "completed"
    assert api.caller.done(api.endpoint.delete(created.id)) is None
    with pytest.raises(openai.NotFoundError) as gone:
        api.caller.done(api.endpoint.retrieve(created.id))
    assert gone.value.code == "id_not_found"


def test_cancelled(api):
    running = until(api, create(api, SLOW), "in_progress")
    assert api.caller.done(api.endpoint.cancel(running.id)).status == "cancelled"
    assert api.caller.done(api.endpoint.retrieve(running.id)).status == "cancelled"


def test_failed(api):
    failed = until(api, create(api, "Hello there@@sim:fault=bad_request@@"), "failed")
    assert failed.error.code == "invalid_prompt" and failed.error.message and failed.output_text == ""


def test_refused(api):
    created = create(api, "Hello there")
    for more in [{"stream": True}, {"previous_response_id": created.id}]:
        with pytest.raises(openai.BadRequestError):
            create(api, "and then?", **more)
