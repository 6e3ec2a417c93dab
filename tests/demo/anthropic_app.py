"""An app on the Anthropic SDK. Nothing here knows of llmroute but ANTHROPIC_BASE_URL in the environment, and what it prints."""

import time

import anthropic

import app

client = anthropic.Anthropic()
ask = client.messages.with_raw_response.create


def request(messages, limit):
    return {"model": "claude-sonnet-5-5", "max_tokens": limit, "messages": messages}


def plain(messages, limit):
    raw = ask(**request(messages, limit))
    answer = raw.parse()
    return app.answered(raw, "".join(block.text for block in answer.content), app.member_of(answer))


def stream(messages, limit):
    began, first, text, member = time.monotonic(), None, "", {}
    raw = ask(**request(messages, limit), stream=True)
    for event in raw.parse():
        member |= app.member_of(event)
        if event.type == "message_start":
            member |= app.member_of(event.message)
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
            first = first or time.monotonic() - began
    return app.answered(raw, text, member, first)


app.run(plain, stream)
