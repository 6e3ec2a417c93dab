"""Claude Code and Codex CLI each finish a tool loop through the sidecar on either provider, with no other network."""

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
from conftest import KEY_IN, received

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
    """A home and a directory to work in, with a word in a file that only a tool can read."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    word = f"word-{secrets.token_hex(8)}"
    (work / "word.txt").write_text(word + "\n")
    with Outside() as outside:
        proxies = {name: outside.url for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]}
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "NO_PROXY": "127.0.0.1", **proxies}
        yield work, environment, word
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


def looped(provider, path):
    """The two requests of a tool loop, both answered by this provider."""
    header, scheme = KEY_IN[provider]
    asked = received()
    assert [(entry["path"].split("?")[0], entry["status"], entry["stream"]) for entry in asked] == [(path, 200, True)] * 2
    assert {entry["headers"][header] for entry in asked} == {scheme + stack.KEYS[provider]}
    return [entry["body"] for entry in asked]


@pytest.mark.cell(table.LOOP)
@pytest.mark.parametrize("agent,api,way", table.loops("claude-code"))
def test_claude_code_reads_a_file(desk, agent, api, way):
    work, environment, word = desk
    environment |= {
        "ANTHROPIC_CUSTOM_HEADERS": f"x-llmroute-scene: {'claude' if way == 'same' else 'openai'}",
        "ANTHROPIC_BASE_URL": os.environ["LLMROUTE_URL"],
        "ANTHROPIC_API_KEY": stack.CALLERS_KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    prompt = '@@sim:tool=Bash,args={"command":"cat word.txt","description":"Read the word"}@@ Which word is it?'
    # The wrapper finds the program for this platform; no install script has to run.
    command = ["node", MODULES / "@anthropic-ai/claude-code/cli-wrapper.cjs", "--print", prompt]
    options = ["--allowedTools", "Bash(cat:*)", "--output-format", "json", "--model", "claude-sonnet-5-5"]
    said = json.loads(run([*command, *options], work, environment))
    assert (said["subtype"], said["is_error"], said["num_turns"], said["permission_denials"]) == ("success", False, 2, [])
    assert said["result"].startswith("The tools answered: ") and word in said["result"]
    if way == "translated":
        asked, told = looped("openai", "/v1/chat/completions")
        answer, result = told["messages"][-2:]
        [call] = answer["tool_calls"]
        assert (call["function"]["name"], result["role"], result["tool_call_id"]) == ("Bash", "tool", call["id"])
    else:
        asked, told = looped("claude", "/v1/messages")
        call, result = claude_exchange(told)
        assert call["name"] == "Bash"
    assert word not in json.dumps(asked)
    assert word in json.dumps(result["content"])


def claude_exchange(body):
    """The last call and its result in a request for Claude."""
    [call] = [part for part in body["messages"][-2]["content"] if part["type"] == "tool_use"]
    [result] = [part for part in body["messages"][-1]["content"] if part["type"] == "tool_result"]
    assert result["tool_use_id"] == call["id"]
    return call, result


@pytest.mark.cell(table.LOOP)
@pytest.mark.parametrize("agent,api,way", table.loops("codex"))
def test_codex_reads_a_file(desk, agent, api, way):
    work, environment, word = desk
    environment["OPENAI_API_KEY"] = stack.CALLERS_KEY
    settings = {
        "model": "gpt-6-sol",
        "model_provider": "llmroute",
        "model_providers.llmroute.name": "llmroute",
        "model_providers.llmroute.base_url": os.environ["LLMROUTE_URL"] + "/v1",
        "model_providers.llmroute.env_key": "OPENAI_API_KEY",
        "model_providers.llmroute.wire_api": "responses",
        "model_providers.llmroute.http_headers.x-llmroute-scene": "openai" if way == "same" else "claude",
        "sandbox_mode": "danger-full-access",
        "approval_policy": "never",
        "analytics.enabled": False,
        "check_for_update_on_startup": False,
        "features.plugins": False,
    }
    options = [word for name, value in settings.items() for word in ["--config", f"{name}={json.dumps(value)}"]]
    script = 'text((await tools.exec_command({cmd: "cat word.txt"})).output)'
    # Claude knows no tools for free text and no groups of tools: it calls `exec` of `functions` with one argument.
    called = f"exec,args={script}" if way == "same" else f"{EXEC},args={json.dumps({'input': script})}"
    prompt = f"@@sim:tool={called}@@ Which word is it?"
    command = ["node", MODULES / "@openai/codex/bin/codex.js", "exec", "--skip-git-repo-check", "--ephemeral", "--json"]
    lines = [json.loads(line) for line in run([*command, *options, prompt], work, environment).splitlines()]
    items = [line["item"] for line in lines if line["type"] == "item.completed"]
    ran, said = [item for item in items if item["type"] in ("command_execution", "agent_message")]
    assert (ran["exit_code"], ran["aggregated_output"]) == (0, word + "\n")
    assert said["text"].startswith("The tools answered: ") and word in said["text"]
    assert lines[-1]["type"] == "turn.completed"
    if way == "translated":
        asked, told = looped("claude", "/v1/messages")
        call, result = claude_exchange(told)
        assert (call["name"], call["input"]) == (EXEC, {"input": script})
        output = result["content"]
    else:
        asked, told = looped("openai", "/v1/responses")
        *_, call, result = told["input"]
        assert (call["type"], call["name"], result["type"]) == ("custom_tool_call", "exec", "custom_tool_call_output")
        assert result["call_id"] == call["call_id"]
        output = result["output"]
    assert word not in json.dumps(asked)
    assert word in json.dumps(output)
