"""Reads a request that the simulator received, whatever its dialect, into one plain form."""

import dataclasses
import json
import re


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as the provider saw it."""

    path: str
    headers: dict
    body: dict
    status: int
    fault: str | None

    @property
    def api(self):
        paths = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "messages"}
        return paths[self.path.split("?")[0]]

    @property
    def key(self):
        """The credential that came, from whichever header carries it."""
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def members(self):
        return set(self.body)

    @property
    def turns(self):
        """[(role, [part, …]), …] with parts ("text", …), ("image", type, data), ("call", id, name, arguments), ("result", id, text)."""
        if self.api == "responses":
            turns = list(responses_turns(self.body))
        else:
            system = parts(self.body.get("system")) if self.api == "messages" else []
            turns = [("system", system)] if system else []
            turns += [turn(message) for message in self.body["messages"]]
        return merged(turns)

    @property
    def tools(self):
        """[(name, description, schema), …]"""
        flat = [tool.get("function", tool) for tool in self.body.get("tools", [])]
        return [(t["name"], t.get("description"), t.get("parameters", t.get("input_schema"))) for t in flat]


def request(entry):
    """A request from an entry of the simulator's log."""
    body = json.loads(entry["body"]) if entry["body"] else {}
    return Request(entry["path"], dict(map(tuple, entry["headers"])), body, entry["status"], entry["fault"])


def turn(message):
    role = {"developer": "system", "tool": "user"}.get(message["role"], message["role"])
    if message["role"] == "tool":
        return role, [("result", message["tool_call_id"], text_of(message["content"]))]
    calls = [call(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or []]
    return role, parts(message.get("content")) + calls


def responses_turns(body):
    if body.get("instructions"):
        yield "system", [("text", body["instructions"])]
    items = body["input"]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        kind = item.get("type", "message")
        if kind == "message":
            yield turn(item)
        elif kind == "function_call":
            yield "assistant", [call(item["call_id"], item["name"], item["arguments"])]
        elif kind == "function_call_output":
            yield "user", [("result", item["call_id"], text_of(item["output"]))]
        else:
            yield kind, []


def merged(turns):
    """Neighbours of one role are one turn, as Messages wants them."""
    out = []
    for role, content in turns:
        if out and out[-1][0] == role:
            out[-1] = (role, out[-1][1] + content)
        else:
            out.append((role, content))
    return out


def parts(content):
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [("text", content)]
    return [part(one) for one in content]


def part(one):
    match one["type"]:
        case "text" | "input_text" | "output_text":
            return ("text", one["text"])
        case "image_url":
            return image(one["image_url"]["url"])
        case "input_image":
            return image(one["image_url"])
        case "image":
            return ("image", one["source"]["media_type"], one["source"]["data"])
        case "tool_use":
            return call(one["id"], one["name"], one["input"])
        case "tool_result":
            return ("result", one["tool_use_id"], text_of(one["content"]))
        case kind:
            return (kind,)


def image(url):
    kind, data = re.fullmatch(r"data:([^;]+);base64,(.*)", url, re.S).groups()
    return ("image", kind, data)


def call(id, name, arguments):
    return ("call", id, name, json.loads(arguments) if isinstance(arguments, str) else arguments)


def text_of(content):
    return content if isinstance(content, str) else "".join(p["text"] for p in content)
