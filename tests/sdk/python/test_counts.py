"""The Anthropic SDK counts the tokens of a prompt, whoever would answer it."""

import os

import pytest

import apis
import stack
from conftest import ASKED_MODEL, CELLS, MODELS, received

PATHS = {"claude": "/v1/messages/count_tokens", "openai": "/v1/responses/input_tokens"}


@pytest.fixture(params=[apis.Blocking, apis.Async], ids=lambda caller: caller.language)
def api(request):
    caller = request.param()
    api = apis.Messages(caller, os.environ["LLMROUTE_URL"], stack.CALLERS_KEY)
    yield api
    caller.close(api.client)


@pytest.mark.parametrize("provider", PATHS)
@pytest.mark.parametrize("feature", ["plain", "tools", "images"])
def test_a_prompt_is_counted(api, provider, feature):
    ask = {name: value for name, value in CELLS["messages"][feature]["ask"].items() if name != "max_tokens"}
    hints = {"x-llmroute-scene": provider}
    counting = api.endpoint.with_raw_response.count_tokens(model=ASKED_MODEL, **ask, extra_headers=hints)
    raw = api.caller.done(counting)
    count = api.caller.done(raw.parse())
    assert type(apis.published(count)).__name__ == "MessageTokensCount"
    assert list(count.to_dict()) == ["input_tokens"] and count.input_tokens > 0
    told = [raw.headers.get(f"x-llmroute-{name}") for name in ["status", "provider", "model", "dropped"]]
    assert told == ["ok", provider, MODELS[provider][0], None]
    [request] = received()
    assert (request["path"], request["body"]["model"]) == (PATHS[provider], MODELS[provider][0])
