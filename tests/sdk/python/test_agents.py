"""Claude Code and Codex CLI each finish two tool loops in one session through the sidecar, on either provider, with no other
network.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import threading

import pytest

import stack
import table
from conftest import Target, received
from turns import READERS

WITHIN = 90.0
MODULES = stack.HERE / "node_modules"
EXEC = "functions_exec_dd48ea0c017c1ff9"


class Outside:
    """A proxy that leads nowhere and remembers who came."""

    def __enter__(self):
        self.came = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()
        return self

    def accept(self):
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            with caller:
                caller.settimeout(1)
                try:
                    self.came.append(caller.recv(200).split(b"\r\n")[0])
                except OSError:
                    self.came.append(b"nothing said")

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def desk(tmp_path):
    """A home and a directory to work in."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    with Outside() as outside:
        proxies = {name: outside.url for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]}
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "NO_PROXY": "127.0.0.1", **proxies}
        yield work, environment
        assert outside.came == []


def run(command, work, environment):
    """The standard output of a program that ends well in time; whatever it started ends with it."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=work, env=environment, start_new_session=True, **streams)
    try:
        out, err = process.communicate(timeout=WITHIN)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    assert process.returncode == 0, f"{out}\n{err}"
    return out


class Chain:
    """Files that only tools can read: each orders the model to read the next, whose name nobody else knows, and the last holds
    a word. One more, with another word, is for a second prompt. `call` makes the tool and its arguments of a file's name.
    """

    LONG = 4

    def __init__(self, work, call):
        self.calls = [call("first.txt")]
        self.found = []
        for _ in range(self.LONG - 1):
            name = f"{secrets.token_hex(8)}.txt"
            self.found.append((name, order(*call(name))))
            self.calls.append(call(name))
        self.word, self.later = f"word-{secrets.token_hex(8)}", f"word-{secrets.token_hex(8)}"
        self.calls.append(call("later.txt"))
        self.found += [(self.word, self.word), (self.later, self.later)]
        names = ["first.txt", *(name for name, _ in self.found[: self.LONG - 1]), "later.txt"]
        for name, (_, content) in zip(names, self.found, strict=True):
            (work / name).write_text(content + "\n")
        self.prompts = [order(*self.calls[0]) + " Which word is it?", order(*self.calls[-1]) + " And now?"]

    def was_read(self, target):
        """The simulator received a request for each prompt and each call: with the calls so far, in order and once, each with
        what its file holds, and nothing of what is still to be found.
        """
        done = [*range(self.LONG + 1), self.LONG, self.LONG + 1]
        for request, done in zip(received(), done, strict=True):
            target.reached(request)
            body = request["body"]
            assert (request["status"], body["stream"], body["model"]) == (200, True, target.model)
            told = [turn for turn in READERS[target.served_api](body) if turn[0] in ("call", "result")]
            assert [kind for kind, *_ in told] == ["call", "result"] * done
            for call, result, wanted, (_, content) in zip(told[::2], told[1::2], self.calls, self.found):
                assert call[1:] == result[1:3] == wanted
                assert content in result[3]
            for secret, _ in self.found[done:]:
                assert secret not in request["text"]


def order(tool, args):
    """What has the simulated model call a tool."""
    return f"@@sim:tool={tool},args={args if isinstance(args, str) else json.dumps(args)}@@"


@pytest.mark.cell(table.LOOP)
@pytest.mark.parametrize("agent,api,way", table.loops("claude-code"))
def test_claude_code_reads_files(desk, agent, api, way):
    work, environment = desk
    target = Target(api, way)
    environment |= {
        "ANTHROPIC_CUSTOM_HEADERS": f"x-llmroute-scene: {target.provider}",
        "ANTHROPIC_BASE_URL": os.environ["LLMROUTE_URL"],
        "ANTHROPIC_API_KEY": stack.CALLERS_KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    chain = Chain(work, lambda name: ("Bash", {"command": f"cat {name}", "description": "Read it"}))
    # The wrapper finds the program for this platform; no install script has to run.
    program = ["node", MODULES / "@anthropic-ai/claude-code/cli-wrapper.cjs"]
    options = ["--allowedTools", "Bash(cat:*)", "--output-format", "json", "--model", "claude-sonnet-5-5"]
    sessions = []
    for more, prompt, turns, word in zip([[], ["--continue"]], chain.prompts, [chain.LONG + 1, 2], [chain.word, chain.later]):
        said = json.loads(run([*program, *more, "--print", prompt, *options], work, environment))
        told = (said["subtype"], said["is_error"], said["num_turns"], said["permission_denials"], said["result"])
        assert told == ("success", False, turns, [], f"The tools answered: {word}.")
        sessions.append(said["session_id"])
    assert sessions[0] == sessions[1]
    chain.was_read(target)


@pytest.mark.cell(table.LOOP)
@pytest.mark.parametrize("agent,api,way", table.loops("codex"))
def test_codex_reads_files(desk, agent, api, way):
    work, environment = desk
    target = Target(api, way)
    environment["OPENAI_API_KEY"] = stack.CALLERS_KEY
    settings = {
        "model": "gpt-6-sol",
        "model_provider": "llmroute",
        "model_providers.llmroute.name": "llmroute",
        "model_providers.llmroute.base_url": os.environ["LLMROUTE_URL"] + "/v1",
        "model_providers.llmroute.env_key": "OPENAI_API_KEY",
        "model_providers.llmroute.wire_api": "responses",
        "model_providers.llmroute.http_headers.x-llmroute-scene": target.provider,
        "sandbox_mode": "danger-full-access",
        "approval_policy": "never",
        "analytics.enabled": False,
        "check_for_update_on_startup": False,
        "features.plugins": False,
    }

    def call(name):
        script = f'text((await tools.exec_command({{cmd: "cat {name}"}})).output)'
        # Claude knows no tools for free text and no groups of tools: it calls `exec` of `functions` with one argument.
        return ("exec", script) if way == "same" else (EXEC, {"input": script})

    chain = Chain(work, call)
    program = ["node", MODULES / "@openai/codex/bin/codex.js", "exec"]
    options = [word for name, value in settings.items() for word in ["--config", f"{name}={json.dumps(value)}"]]
    sessions = []
    # What the shell says of each file: all that was found in this turn.
    said_of = [chain.found[: chain.LONG], chain.found[chain.LONG :]]
    for more, prompt, found in zip([[], ["resume", "--last"]], chain.prompts, said_of):
        out = run([*program, *more, "--skip-git-repo-check", "--json", *options, prompt], work, environment)
        lines = [json.loads(line) for line in out.splitlines()]
        items = [line["item"] for line in lines if line["type"] == "item.completed"]
        *ran, said = [item for item in items if item["type"] in ("command_execution", "agent_message")]
        assert [(one["exit_code"], one["aggregated_output"]) for one in ran] == [(0, content + "\n") for _, content in found]
        assert said["text"].startswith("The tools answered: ") and found[-1][1] in said["text"]
        assert (lines[0]["type"], lines[-1]["type"]) == ("thread.started", "turn.completed")
        sessions.append(lines[0]["thread_id"])
    assert sessions[0] == sessions[1]
    chain.was_read(target)
