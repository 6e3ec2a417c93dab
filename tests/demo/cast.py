"""The apps, running, and what they say."""

import dataclasses
import decimal
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

import terminal

HERE = pathlib.Path(__file__).resolve().parent


class Untrue(Exception):
    """The story did not come true."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One call as the app saw it, told by the answer's headers and its `llmroute` member."""

    app: str
    call: str
    seconds: float
    first_content: float | None
    status: str
    provider: str
    model: str
    reason: str | None
    attempts: str
    cost: decimal.Decimal | None
    member: dict
    sdk_retries: int
    text: str
    error: str | None
    budgets: str
    retry_after: int | None

    @classmethod
    def of(cls, app, line):
        told = json.loads(line)
        headers, member = told.get("headers", {}), told.get("member", {})
        cost = headers.get("x-llmroute-cost-usd", member.get("cost_usd"))
        wait = headers.get("retry-after")
        return cls(
            app=app,
            call=told["call"],
            seconds=told["seconds"],
            first_content=told.get("first_content"),
            status=headers.get("x-llmroute-status", "failed"),
            provider=headers.get("x-llmroute-provider", "-"),
            model=headers.get("x-llmroute-model", "-"),
            reason=headers.get("x-llmroute-reason"),
            attempts=headers.get("x-llmroute-attempts", ""),
            cost=None if cost is None else decimal.Decimal(cost),
            member=member,
            sdk_retries=told.get("sdk_retries", 0),
            text=told.get("text", ""),
            error=told.get("error"),
            budgets=headers.get("x-llmroute-budget", ""),
            retry_after=None if wait is None else int(wait),
        )

    def check(self):
        """Answered at the SDK's first try, with words; a degraded body says the same as its headers."""
        if self.error:
            raise Untrue(f"the {self.app} app got no answer: {self.error}")
        if not self.text or self.sdk_retries:
            raise Untrue(f"no words, or the SDK had to ask again: {self}")
        told = tuple(self.member.get(name) for name in ("status", "provider", "model", "reason"))
        if self.status != "ok" and told != (self.status, self.provider, self.model, self.reason):
            raise Untrue(f"headers and body disagree: {self}")


class Cast:
    """Both apps as programs of their own, pointed at the sidecar by environment variables alone. With a `pause` they ask by
    themselves, so many seconds apart; without one they ask what they are told."""

    APPS = ("openai", "anthropic")

    def __init__(self, url, pause=None):
        self.pauses = [] if pause is None else [str(pause)]
        self.lines = queue.Queue()
        self.answers = []
        self.programs = {}
        self.environment = {
            **os.environ,
            "OPENAI_BASE_URL": f"{url}/v1",
            "ANTHROPIC_BASE_URL": url,
            "OPENAI_API_KEY": "placeholder",
            "ANTHROPIC_API_KEY": "placeholder",
            "NO_PROXY": "127.0.0.1",
        }

    def __enter__(self):
        self.began = time.monotonic()
        for app in self.APPS:
            command = [sys.executable, str(HERE / f"{app}_app.py"), *self.pauses]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            program = self.programs[app] = subprocess.Popen(command, **pipes, text=True, env=self.environment)
            threading.Thread(target=self.listen, args=(app, program), daemon=True).start()
        return self

    def __exit__(self, *_):
        for program in self.programs.values():
            program.kill()
            program.wait()

    def listen(self, app, program):
        for line in program.stdout:
            self.lines.put((app, line))
        self.lines.put((app, None))

    def ask(self, app, call, messages, limit):
        """Tells an app what to ask next; its answer is heard later."""
        program = self.programs[app]
        try:
            print(json.dumps({"call": call, "messages": messages, "limit": limit}), file=program.stdin, flush=True)
        except BrokenPipeError:
            raise Untrue(f"the {app} app ended before its time") from None

    def play(self, what, come_true, within):
        """Prints answers until `come_true(answers of this act)`; none within so many seconds, or a failed one, is untrue."""
        act, deadline = [], time.monotonic() + within
        while not come_true(act):
            answer = self.hear(what, deadline)
            if answer is None:
                raise Untrue("an app ended before its time")
            act.append(self.applaud(answer))
        return act

    def curtain(self):
        """Both apps finish what they are asking, and end."""
        for program in self.programs.values():
            program.terminate()
        ended, deadline = 0, time.monotonic() + 60
        while ended < len(self.programs):
            answer = self.hear("both apps end", deadline)
            if answer is None:
                ended += 1
            else:
                self.applaud(answer)

    def hear(self, what, deadline):
        """The next answer; None for an app that ended. `what` does not come true if there is none by `deadline`."""
        try:
            app, line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise Untrue(f"it took too long: {what}") from None
        return None if line is None else Answer.of(app, line)

    def applaud(self, answer):
        """Prints an answer, which must be one."""
        terminal.row(time.monotonic() - self.began, answer)
        answer.check()
        self.answers.append(answer)
        return answer
