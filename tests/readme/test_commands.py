"""The README's commands do what it says, run as a new user runs them: in a fresh clone, one block after the other.

Only what belongs to a place is replaced: the repository's address, and the ports, by free ones."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import documents
import pytest
from documents import ROOT

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
READY_WITHIN = 20.0
# After the build.
DEMO_WITHIN = 120.0
# What the outer make and the developer's own shell would add to a new user's.
FOREIGN = re.compile(r"^(MAKE.*|MFLAGS|LLMROUTE_.*|OPENAI_.*|ANTHROPIC_.*|.*_proxy)$", re.I)


@pytest.fixture(scope="module")
def home():
    """Where the new user begins: `origin` is this repository as the working tree has it."""
    with tempfile.TemporaryDirectory(prefix="llmroute-new-user-") as folder:
        origin = pathlib.Path(folder, "origin")
        listed = subprocess.check_output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).exists():
                (origin / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, origin / name)
        git = ["git", "-c", "user.name=new", "-c", "user.email=new@localhost", "-c", "commit.gpgsign=false"]
        for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=all of it"]):
            subprocess.run([*git, *command], cwd=origin, check=True)
        yield origin.parent


@pytest.fixture(scope="module")
def ports():
    """A free port for each that the README names."""
    held = {told: socket.create_server(("127.0.0.1", 0)) for told in ("15080", "15090", "9100")}
    free = {told: str(listener.getsockname()[1]) for told, listener in held.items()}
    for listener in held.values():
        listener.close()
    return free


@pytest.fixture(scope="module")
def blocks(home, ports):
    """The README's shell blocks, by their place in it; a block more or less has no test and fails here."""
    names = ("try", "run", "export", "explain", "simulate", "control")
    texts = documents.blocks("sh")
    assert len(texts) == len(names), texts
    for told, free in ports.items():
        texts = [re.sub(rf"\b{told}\b", free, text) for text in texts]
    return dict(zip(names, texts))


def shell(block):
    """A shell that stops at the first failure."""
    return ["bash", "-euo", "pipefail", "-c", block]


def environment(**more):
    return {name: value for name, value in os.environ.items() if not FOREIGN.match(name)} | more


def printed(block, cwd):
    return subprocess.run(shell(block), cwd=cwd, env=environment(), check=True, stdout=subprocess.PIPE, text=True).stdout


@contextlib.contextmanager
def running(block, cwd, ready, **more):
    """A block whose last command serves, until the test is through."""
    process = subprocess.Popen(shell(block), cwd=cwd, env=environment(**more), start_new_session=True)
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not answers(ready):
            assert process.poll() is None and time.monotonic() < deadline, f"not ready at {ready}:\n{block}"
            time.sleep(0.1)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def get(url, **headers):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers=headers), timeout=5) as answer:
        return answer.read()


def answers(url):
    with contextlib.suppress(OSError):
        get(url)
        return True
    return False


@pytest.fixture(scope="module")
def demo(home, blocks):
    """The clone that the first block makes, and how long its demo took once it was built. Built in our own target folder, since
    only we know that it is fresh."""
    commands = blocks["try"].strip().splitlines()
    assert len(commands) == 2, "a running demo in two commands"
    block = blocks["try"].replace("<this repository>", "origin")
    began, built = time.monotonic(), None
    env = environment(CARGO_TARGET_DIR=str(TARGET), PYTHONUNBUFFERED="1")
    with subprocess.Popen(shell(block), cwd=home, env=env, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if built is None and "two apps, two providers" in line:
                built = time.monotonic()
    ended = time.monotonic()
    assert process.returncode == 0 and built, block
    print(f"git clone and make demo: {ended - began:.0f} s, of which the build {built - began:.0f} s", flush=True)
    clone = home / "llmroute"
    (clone / "target").symlink_to(TARGET)
    return clone, ended - built


@pytest.fixture(scope="module")
def clone(demo):
    return demo[0]


def test_the_demo_takes_less_than_two_minutes_after_the_build(demo):
    assert demo[1] < DEMO_WITHIN


def test_the_clone_runs_the_demo_and_stays_clean(clone):
    assert subprocess.check_output(["git", "status", "--porcelain"], cwd=clone, text=True) == ""


def test_the_sidecar_runs_and_the_exported_addresses_answer(clone, blocks, ports):
    block = f"{blocks['run'].rstrip()} --listen 127.0.0.1:{ports['15080']} --admin 127.0.0.1:{ports['15090']}"
    keys = {"OPENAI_API_KEY": "sk-dummy", "ANTHROPIC_API_KEY": "sk-ant-dummy"}
    with running(block, clone, f"http://127.0.0.1:{ports['15090']}/readyz", **keys):
        told = printed(f"{blocks['export']}\necho $OPENAI_BASE_URL $ANTHROPIC_BASE_URL", clone)
        openai, anthropic = told.split()
        models = json.loads(get(f"{openai}/models"))
        assert models["object"] == "list" and models["data"][0]["id"] == "gpt-6-sol"
        models = json.loads(get(f"{anthropic}/v1/models", **{"anthropic-version": "2023-06-01"}))
        assert models["data"][0]["type"] == "model" and models["first_id"] == "gpt-6-sol"

        plan = json.loads(printed(blocks["explain"], clone))
        order = [(c["provider"], c["model"]) for c in plan["candidates"]]
        assert order == [("openai", "gpt-6-sol"), ("openai", "gpt-6-luna"), ("claude", "claude-sonnet-5-5")]
        assert all(c["why"] for c in plan["candidates"]) and plan["left_out"] == []
    assert subprocess.run(["git", "check-ignore", "--quiet", "credentials"], cwd=clone).returncode == 0


def test_the_simulator_runs_and_goes_dark(clone, blocks, ports):
    with running(blocks["simulate"], clone, f"http://127.0.0.1:{ports['9100']}/sim/bill"):
        lines = printed(blocks["control"].replace("\n", "; echo\n"), clone).split("\n")
        dark, light, bill = [json.loads(line) for line in lines if line]
        assert (dark, light) == ({"dark": "openai"}, {"light": "openai"})
        assert bill["total"]["requests"] == 0
