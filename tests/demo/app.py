"""The loop that both apps share: plain and streamed calls in turn, each told as a line of JSON on stdout."""

import json
import signal
import sys
import time

QUESTIONS = ["Where is my parcel?", "Can I send it back?", "Do you ship abroad?", "Which size fits me?"]
going = True


def run(plain, streamed):
    """Asks every `argv[1]` seconds until a SIGTERM, and ends with a whole answer."""
    signal.signal(signal.SIGTERM, stop)
    turn = 0
    while going:
        call = [plain, streamed][turn % 2]
        question = f"{QUESTIONS[turn // 2 % len(QUESTIONS)]} Answer in one short sentence."
        began = time.monotonic()
        try:
            told = call(question)
        except Exception as error:  # whatever the SDK raises is what a user of the app would see
            told = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"call": call.__name__, "seconds": time.monotonic() - began, **told}), flush=True)
        turn += 1
        time.sleep(float(sys.argv[1]))


def stop(*_):
    global going
    going = False


def answered(raw, text, member, first_content=None):
    """What the SDK saw: headers, the `llmroute` member, and how often it had to ask again by itself."""
    headers = {name: value for name, value in raw.headers.items() if name.startswith("x-llmroute-")}
    told = {"headers": headers, "member": member, "text": text, "sdk_retries": raw.retries_taken}
    return told if first_content is None else {**told, "first_content": first_content}


def member_of(model):
    """The `llmroute` member of an answer or event, which the SDKs keep as an extra field."""
    return (model.model_extra or {}).get("llmroute") or {}
