"""The loop that both apps share: plain and streamed calls in turn, each told as a line of JSON on stdout."""

import json
import signal
import sys
import time

QUESTIONS = ["Where is my parcel?", "Can I send it back?", "Do you ship abroad?", "Which size fits me?"]
LIMIT = 1000
going = True


def run(plain, streamed):
    """Asks every `argv[1]` seconds until a SIGTERM, and ends with a whole answer; without a time, what stdin says."""
    for name, messages, limit in told_on_stdin() if len(sys.argv) < 2 else by_itself(float(sys.argv[1])):
        call = {"plain": plain, "stream": streamed}[name]
        began = time.monotonic()
        try:
            told = call(messages, limit)
        except Exception as error:  # whatever the SDK raises is what a user of the app would see
            told = failed(error)
        print(json.dumps({"call": name, "seconds": time.monotonic() - began, **told}), flush=True)


def by_itself(pause):
    signal.signal(signal.SIGTERM, stop)
    turn = 0
    while going:
        question = f"{QUESTIONS[turn // 2 % len(QUESTIONS)]} Answer in one short sentence."
        yield ["plain", "stream"][turn % 2], [{"role": "user", "content": question}], LIMIT
        turn += 1
        time.sleep(pause)


def told_on_stdin():
    for line in sys.stdin:
        asked = json.loads(line)
        yield asked["call"], asked["messages"], asked["limit"]


def stop(*_):
    global going
    going = False


def answered(raw, text, member, first_content=None):
    """What the SDK saw: headers, the `llmroute` member, and how often it had to ask again by itself."""
    told = {"headers": ours(raw.headers), "member": member, "text": text, "sdk_retries": raw.retries_taken}
    return told if first_content is None else {**told, "first_content": first_content}


def failed(error):
    """What the SDK raised, with the headers of the answer if there was one."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    return {"error": f"{type(error).__name__}: {error}", "headers": ours(headers)}


def ours(headers):
    return {name: value for name, value in headers.items() if name.startswith("x-llmroute-") or name == "retry-after"}


def member_of(model):
    """The `llmroute` member of an answer or event, which the SDKs keep as an extra field."""
    return (model.model_extra or {}).get("llmroute") or {}
