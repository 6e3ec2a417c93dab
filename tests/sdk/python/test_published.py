"""The check of answers against what the vendors publish notices what their SDKs let through."""

import anthropic
import anthropic._models
import openai._models
import openai.types.chat
import openai.types.responses
import pydantic
import pytest

import apis

CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
CHOICE = {"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}
CHAT = openai._models, openai.types.chat.ChatCompletionChunk
RESPONSES = openai._models, openai.types.responses.ResponseStreamEvent
MESSAGES = anthropic._models, anthropic.types.RawMessageStreamEvent
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}}


@pytest.mark.parametrize("api,said", [(CHAT, {**CHUNK, "choices": [CHOICE]}), (CHAT, {**CHUNK, "llmroute": {}}), (MESSAGES, DELTA)])
def test_what_is_published_passes(api, said):
    models, kind = api
    assert apis.published(models.construct_type(type_=kind, value=said))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "api,said",
    [
        (CHAT, {**CHUNK, "created": "1"}),
        (CHAT, {**CHUNK, "choices": [{**CHOICE, "delta": {"content": 3}}]}),
        (CHAT, {**CHUNK, "choices": [{**CHOICE, "finish_reason": "done"}]}),
        (RESPONSES, {"type": "response.output_text.delta", "delta": "hi"}),
        (RESPONSES, {"type": "response.unheard_of", "delta": "hi"}),
        (MESSAGES, {**DELTA, "usage": {}}),
        (MESSAGES, {"type": "unheard_of"}),
    ],
)
def test_what_is_not_does_not(api, said):
    models, kind = api
    with pytest.raises(pydantic.ValidationError):
        apis.published(models.construct_type(type_=kind, value=said))
