"""What is particular to each SDK and API: how it is called, and where its answers keep what the cells look at."""

import asyncio
import contextlib
import inspect
import json

import anthropic
import openai
import pydantic


class City(pydantic.BaseModel):
    """What the structured cells ask for."""

    model_config = pydantic.ConfigDict(extra="forbid")
    name: str
    population: int


class Blocking:
    """The plain clients."""

    language = "python"
    clients = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}

    def done(self, value):
        return value

    def gather(self, stream, events):
        events.extend(stream)

    def opened(self, manager):
        return manager

    def close(self, client):
        client.close()


class Async:
    """The async clients, driven from outside their loop."""

    language = "python async"
    clients = {"openai": openai.AsyncOpenAI, "anthropic": anthropic.AsyncAnthropic}

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def done(self, value):
        return self.loop.run_until_complete(value) if inspect.isawaitable(value) else value

    def gather(self, stream, events):
        async def each():
            async for event in stream:
                events.append(event)

        self.done(each())

    @contextlib.contextmanager
    def opened(self, manager):
        yield self.done(manager.__aenter__())
        self.done(manager.__aexit__(None, None, None))

    def close(self, client):
        self.done(client.close())
        self.loop.close()


class Api:
    """One API through one SDK."""

    def __init__(self, caller, url, key):
        self.caller = caller
        base = f"{url}/v1" if self.vendor == "openai" else url
        self.client = caller.clients[self.vendor](base_url=base, api_key=key, max_retries=2, timeout=30)

    def create(self, ask):
        """The answer and its raw headers; with `stream` in `ask`, the stream."""
        raw = self.caller.done(self.endpoint.with_raw_response.create(**ask))
        return self.caller.done(raw.parse()), raw.headers

    def events(self, ask, events=None):
        """All events of a stream and its raw headers. What came before an error is in `events`."""
        events = [] if events is None else events
        stream, headers = self.create({**ask, "stream": True})
        self.caller.gather(stream, events)
        return events, headers

    def helped(self, ask):
        """What the SDK's stream helper yields and what it makes of it in the end."""
        events = []
        with self.caller.opened(self.endpoint.stream(**ask)) as stream:
            self.caller.gather(stream, events)
            return events, self.caller.done(self.final(stream))

    def parsed(self, ask, given):
        """The structured answer as the SDK parsed it; `given` is where a class takes the schema's place."""
        return self.caller.done(self.endpoint.parse(**ask, **{given: City}))


class Chat(Api):
    vendor, path, errors = "openai", "/v1/chat/completions", openai
    ends = {"text": "stop", "tools": "tool_calls"}

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

    def structured(self, ask):
        schema = ask.pop("response_format")["json_schema"]
        return self.parsed(ask, "response_format").choices[0].message.parsed, schema

    def schema(self, body):
        return body["response_format"]["json_schema"]

    def kind(self, error):
        return error.type

    def member(self, event):
        return getattr(event, "llmroute", None)


class Responses(Api):
    vendor, path, errors = "openai", "/v1/responses", openai
    ends = {"text": "completed", "tools": "completed"}

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

    def structured(self, ask):
        schema = ask.pop("text")["format"]
        return self.parsed(ask, "text_format").output_parsed, schema

    def schema(self, body):
        return body["text"]["format"]

    def kind(self, error):
        return error.code

    def member(self, event):
        return getattr(getattr(event, "response", event), "llmroute", None)


class Messages(Api):
    vendor, path, errors = "anthropic", "/v1/messages", anthropic
    ends = {"text": "end_turn", "tools": "tool_use"}

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

    def structured(self, ask):
        schema = ask.pop("output_config")["format"]
        return self.parsed(ask, "output_format").parsed_output, schema

    def schema(self, body):
        return body["output_config"]["format"]

    def kind(self, error):
        return error.body["error"]["type"]

    def member(self, event):
        return getattr(getattr(event, "message", event), "llmroute", None)


APIS = {"chat": Chat, "responses": Responses, "messages": Messages}
