"""An app on the OpenAI SDK. Nothing here knows of llmroute but OPENAI_BASE_URL in the environment, and what it prints."""

import time

import openai

import app

client = openai.OpenAI()
ask = client.chat.completions.with_raw_response.create


def request(messages, limit):
    return {"model": "gpt-6-sol", "max_completion_tokens": limit, "messages": messages}


def plain(messages, limit):
    raw = ask(**request(messages, limit))
    answer = raw.parse()
    return app.answered(raw, answer.choices[0].message.content, app.member_of(answer))


def stream(messages, limit):
    began, first, text, member = time.monotonic(), None, "", {}
    raw = ask(**request(messages, limit), stream=True)
    for chunk in raw.parse():
        member |= app.member_of(chunk)
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        first = first or (time.monotonic() - began if text else None)
    return app.answered(raw, text, member, first)


app.run(plain, stream)
