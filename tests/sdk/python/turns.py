"""What a request that a provider received says, turn by turn, in each API."""

import json

THOUGHT = ("thought",)


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
                # The kind is in the id.
                yield THOUGHT if item["id"].startswith("rs_") else ("said", item["id"])
            case "function_call", _:
                calls[item["call_id"]] = item["name"], json.loads(item["arguments"])
                yield "call", *calls[item["call_id"]]
            case "custom_tool_call", _:
                calls[item["call_id"]] = item["name"], item["input"]
                yield "call", *calls[item["call_id"]]
            case "function_call_output" | "custom_tool_call_output", _:
                yield "result", *calls[item["call_id"]], text(item["output"])


def messages(body):
    """As `chat`, for a request of Messages."""
    calls = {}
    yield "system", text(body["system"])
    for message in body["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match block["type"], message["role"]:
                case "text", "assistant":
                    yield "said", block["text"]
                case "text", role:
                    yield role, block["text"]
                case "thinking", _:
                    yield THOUGHT
                case "tool_use", _:
                    calls[block["id"]] = block["name"], block["input"]
                    yield "call", *calls[block["id"]]
                case "tool_result", _:
                    yield "result", *calls[block["tool_use_id"]], text(block["content"])


READERS = {"chat": chat, "responses": responses, "messages": messages}
