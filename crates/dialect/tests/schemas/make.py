#!/usr/bin/env python3
"""Writes the vendors' published schemas of requests beside this file, as their SDKs for Python carry them.

    .cache/venv/bin/python crates/dialect/tests/schemas/make.py

A type is "str", "int", "num", "bool", "null", "any", "#Name", or one of {"is": literals}, {"list": type}, {"map": type},
{"one": types}. An object has the members that it needs and those that it may have.
"""

import collections.abc
import json
import pathlib
import typing

import anthropic
import openai
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming as Messages
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming as Chat
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming as Responses
from typing_extensions import Annotated, Literal, NotRequired, Required, get_args, get_origin, get_type_hints, is_typeddict

LEAVES = {str: "str", int: "int", float: "num", bool: "bool", type(None): "null", object: "any", typing.Any: "any"}
WRAPPERS = (Required, NotRequired, Annotated)


def written(kind, known):
    """`kind` in the words above; objects go into `known`."""
    origin, args = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        name = f"{kind.__module__.rsplit('.', 1)[-1]}.{kind.__name__}"
        if name not in known:
            known[name] = {}
            hints = get_type_hints(kind, include_extras=True)
            known[name] = {"need": {}, "may": {}}
            for member, hint in sorted(hints.items()):
                known[name]["need" if get_origin(hint) is Required else "may"][member] = written(hint, known)
        return f"#{name}"
    if origin in WRAPPERS:
        return written(args[0], known)
    if origin is Literal:
        return {"is": list(args)}
    if origin in (dict, collections.abc.Mapping):
        return {"map": written(args[1], known)}
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence):
        return {"list": written(args[0], known)}
    if args:
        found = []
        for one in (written(arg, known) for arg in args):
            found.extend(one for one in (one["one"] if isinstance(one, dict) and "one" in one else [one]) if one not in found)
        return {"one": found} if len(found) > 1 else found[0]
    return LEAVES.get(kind, "any")


for name, root, sdk in [("chat", Chat, openai), ("responses", Responses, openai), ("messages", Messages, anthropic)]:
    known = {}
    head = {"of": f"{sdk.__name__} {sdk.__version__}", "root": written(root, known)}
    lines = [f"  {json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known)]
    text = json.dumps(head)[:-1] + ', "types": {\n' + ",\n".join(lines) + "\n}}\n"
    pathlib.Path(__file__).with_name(f"{name}.json").write_text(text)
