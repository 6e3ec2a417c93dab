"""What is particular to each SDK and API: how it is called, and where its answers keep what the cells look at."""

import asyncio
import contextlib
import functools
import inspect
import json

import anthropic
import openai
import pydantic
from openai.lib import responses_tool_runner


class City(pydantic.BaseModel):
    """What the structured cells ask for."""

    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    population: int


class Blocking:
    """The plain clients."""

    language = "python"
    clients = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}
    beta_tool = staticmethod(anthropic.beta_tool)
    function = responses_tool_runner.RegisteredFunction
    responses_runner = responses_tool_runner.ResponsesToolRunner

    def done(self, value):
        return value

    def gather(self, stream, events, made=lambda event: event):
        """Adds to `events` what is made of each one as it comes."""
        events.extend(map(made, stream))

    def tool(self, function):
        """`function` as an app has it that calls this way."""
        return function

    def opened(self, manager):
        return manager

    def close(self, client):
        client.close()


class Async:
    """The async clients, driven from outside their loop."""

    language = "python async"
    clients = {"openai": openai.AsyncOpenAI, "anthropic": anthropic.AsyncAnthropic}
    beta_tool = staticmethod(anthropic.beta_async_tool)
    function = responses_tool_runner.AsyncRegisteredFunction
    responses_runner = responses_tool_runner.AsyncResponsesToolRunner

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def done(self, value):
        return self.loop.run_until_complete(value) if inspect.isawaitable(value) else value

    def gather(self, stream, events, made=lambda event: event):
        async def each():
            async for event in stream:
                value = made(event)
                events.append(await value if inspect.isawaitable(value) else value)

        self.done(each())

    def tool(self, function):
        @functools.wraps(function)
        async def tool(*given, **named):
            return function(*given, **named)

        return tool

    @contextlib.contextmanager
    def opened(self, manager):
        yield self.done(manager.__aenter__())
        self.done(manager.__aexit__(None, None, None))

    def close(self, client):
        self.done(client.close())
        self.loop.close()


def published(value):
    """`value` as the vendor publishes it: an SDK takes what it gets, so its models are asked once more, strictly."""
    type(value).model_validate_json(value.to_json(indent=None), strict=True)
    return value


class Api:
    """One API through one SDK."""

    def __init__(self, caller, url, key):
        self.caller = caller
        base = f"{url}/v1" if self.vendor == "openai" else url
        self.client = caller.clients[self.vendor](base_url=base, api_key=key, max_retries=2, timeout=30)

    def create(self, ask):
        """The answer and its raw headers; with `stream` in `ask`, the stream."""
        raw = self.caller.done(self.endpoint.with_raw_response.create(**ask))
        said = self.caller.done(raw.parse())
        return said if ask.get("stream") else published(said), raw.headers

    def events(self, ask, events=None):
        """All events of a stream and its raw headers. What came before an error is in `events`."""
        events = [] if events is None else events
        stream, headers = self.create({**ask, "stream": True})
        self.caller.gather(stream, events, published)
        return events, headers

    def helped(self, ask):
        """What the SDK's stream helper yields and what it makes of it in the end."""
        events = []
        with self.caller.opened(self.endpoint.stream(**ask)) as stream:
            self.caller.gather(stream, events)
            return events, self.caller.done(self.final(stream))

    def as_looped(self, body, answers):
        """`body`, of the turn after these answers, as the SDK's runner sends it."""
        return body

    def without_schema(self, ask):
        return {name: value for name, value in ask.items() if name != self.format_in}

    def structured(self, ask, stream):
        """What the SDK's stream helper yields, if it is asked, and the answer that it makes of a class for a schema."""
        ask = {**self.without_schema(ask), self.takes_class: City}
        return self.helped(ask) if stream else ([], self.caller.done(self.endpoint.parse(**ask)))


class Chat(Api):
    vendor, path, errors = "openai", "/v1/chat/completions", openai
    ends = {"text": "stop", "tools": "tool_calls"}
    format_in, takes_class = "response_format", "response_format"

    @property
    def endpoint(self):
        return self.client.chat.completions

    def final(self, stream):
        return stream.get_final_completion()

    def text(self, answer):
        return answer.choices[0].message.content

    def end(self, answer):
        return answer.choices[0].finish_reason

    def calls(self, answer):
        calls = answer.choices[0].message.tool_calls or []
        return [(c.id, c.function.name, json.loads(c.function.arguments)) for c in calls]

    def usage(self, answer):
        return answer.usage.prompt_tokens, answer.usage.completion_tokens

    def deltas(self, events):
        return [c.delta.content for e in events for c in e.choices if c.delta.content]

    def helped_deltas(self, events):
        return [e.delta for e in events if e.type == "content.delta"]

    def streamed_end(self, events):
        assert all(e.usage is None for e in events), "the app did not ask for usage"
        return [c.finish_reason for e in events for c in e.choices if c.finish_reason]

    def then(self, ask, answer, results):
        """The request that brings the tools' results; the answer goes back as the SDK's own object."""
        told = [{"role": "tool", "tool_call_id": id, "content": text} for (id, _, _), text in zip(self.calls(answer), results)]
        return {**ask, "messages": [*ask["messages"], answer.choices[0].message, *told]}

    def with_prompt(self, ask, text):
        return {**ask, "messages": [*ask["messages"][:-1], {"role": "user", "content": text}]}

    def parsed(self, answer):
        return answer.choices[0].message.parsed

    def kind(self, error):
        return error.type

    def error(self, error):
        """The body, of which the SDK shows members."""
        shown = {name: getattr(error, name) for name in ["type", "code", "param"]}
        assert shown == {name: error.body[name] for name in shown}
        return error.body

    def member(self, event):
        return getattr(event, "llmroute", None)


class Responses(Api):
    vendor, path, errors = "openai", "/v1/responses", openai
    ends = {"text": "completed", "tools": "completed"}
    format_in, takes_class = "text", "text_format"

    @property
    def endpoint(self):
        return self.client.responses

    def final(self, stream):
        return stream.get_final_response()

    def text(self, answer):
        return answer.output_text

    def end(self, answer):
        return answer.status

    def calls(self, answer):
        return [(o.call_id, o.name, json.loads(o.arguments)) for o in answer.output if o.type == "function_call"]

    def usage(self, answer):
        return answer.usage.input_tokens, answer.usage.output_tokens

    def deltas(self, events):
        return [e.delta for e in events if e.type == "response.output_text.delta"]

    helped_deltas = deltas

    def streamed_end(self, events):
        return [e.response.status for e in events if e.type == "response.completed"]

    def then(self, ask, answer, results):
        told = [
            {"type": "function_call_output", "call_id": id, "output": text}
            for (id, _, _), text in zip(self.calls(answer), results)
        ]
        return {**ask, "input": [*ask["input"], *answer.output, *told]}

    def with_prompt(self, ask, text):
        return {**ask, "input": text}

    def looped(self, ask, tools, stream):
        """The model's answers, turn by turn, while the SDK's runner calls the functions in `tools`."""
        described = ask.pop("tools")
        functions = [self.caller.function(tool, self.called(tools[tool["name"]])) for tool in described]
        turns = []
        self.caller.gather(self.caller.responses_runner(functions=functions).iterate(self.client, ask, stream=stream), turns)
        return [published(turn.response) for turn in turns]

    def as_looped(self, body, answers):
        """Without what its stream helper adds to a call."""
        items = [{name: value for name, value in item.items() if name != "parsed_arguments"} for item in body["input"]]
        return {**body, "input": items}

    def called(self, function):
        """`function` as the runner calls it: with one object."""
        return self.caller.tool(lambda arguments: function(**arguments))

    def parsed(self, answer):
        return answer.output_parsed

    def kind(self, error):
        return error.code

    error = Chat.error

    def member(self, event):
        return getattr(getattr(event, "response", event), "llmroute", None)


class Messages(Api):
    vendor, path, errors = "anthropic", "/v1/messages", anthropic
    ends = {"text": "end_turn", "tools": "tool_use"}
    format_in, takes_class = "output_config", "output_format"

    @property
    def endpoint(self):
        return self.client.messages

    def final(self, stream):
        return stream.get_final_message()

    def text(self, answer):
        return "".join(b.text for b in answer.content if b.type == "text")

    def end(self, answer):
        return answer.stop_reason

    def calls(self, answer):
        return [(b.id, b.name, b.input) for b in answer.content if b.type == "tool_use"]

    def usage(self, answer):
        return answer.usage.input_tokens, answer.usage.output_tokens

    def deltas(self, events):
        return [e.delta.text for e in events if e.type == "content_block_delta"]

    def helped_deltas(self, events):
        return [e.text for e in events if e.type == "text"]

    def streamed_end(self, events):
        assert events[-1].type == "message_stop"
        return [e.delta.stop_reason for e in events if e.type == "message_delta"]

    def then(self, ask, answer, results):
        told = [
            {"type": "tool_result", "tool_use_id": id, "content": text}
            for (id, _, _), text in zip(self.calls(answer), results)
        ]
        turns = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": told}]
        return {**ask, "messages": [*ask["messages"], *turns]}

    def with_prompt(self, ask, text):
        return {**ask, "messages": [{"role": "user", "content": text}]}

    def looped(self, ask, tools, stream):
        """As for Responses; a stream of this runner is each turn's."""
        runnable = [self.caller.beta_tool(self.caller.tool(tools[tool["name"]]), **tool) for tool in ask.pop("tools")]
        runner = self.client.beta.messages.tool_runner(**ask, tools=runnable, stream=stream)
        answers = []
        self.caller.gather(runner, answers, self.final if stream else lambda answer: answer)
        return list(map(published, answers))

    def as_looped(self, body, answers):
        """This runner has the provider keep the conversation, as a thread."""
        if not answers:
            return {**body, "thread": {"type": "create"}}
        told = {name: value for name, value in body.items() if name != "tools"}
        goes_on = {"type": "continue", "previous_message_id": answers[-1].id}
        return {**told, "messages": body["messages"][-1:], "thread": goes_on}

    def parsed(self, answer):
        return answer.parsed_output

    def kind(self, error):
        return error.body["error"]["type"]

    def error(self, error):
        body = dict(error.body)
        assert error.request_id == error.response.headers["request-id"] and body.pop("request_id")
        assert error.type == body["error"]["type"]
        return body

    def member(self, event):
        return getattr(getattr(event, "message", event), "llmroute", None)


APIS = {"chat": Chat, "responses": Responses, "messages": Messages}
