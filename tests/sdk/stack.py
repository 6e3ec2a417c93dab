"""A simulator and a sidecar in front of it, on free ports, each in a temporary directory of its own."""

import contextlib
import json
import os
import pathlib
import string
import subprocess
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BINARIES = pathlib.Path(os.environ.get("LLMROUTE_BIN_DIR", ROOT / "target" / "debug")).resolve()

# The keys that the sidecar holds; the simulator accepts no others, so a caller's own key never gets through.
KEYS = {"openai": "sk-sidecar-openai-0000", "claude": "sk-ant-sidecar-claude-0000"}
CALLERS_KEY = "sk-placeholder-of-the-app"
READY_WITHIN = 20.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Stack(contextlib.ExitStack):
    """What runs; `url`, `admin_url` and `sim_url` say where. Everything is stopped and removed on the way out."""

    def __init__(self, policy):
        super().__init__()
        self.policy = pathlib.Path(policy).read_text()

    def __enter__(self):
        super().__enter__()
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def start(self):
        self.dir = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-sdk-")))
        keys = [f"--openai-key={KEYS['openai']}", f"--anthropic-key={KEYS['claude']}"]
        sim = self.run("llmroute-sim", "--words", "0", *keys)
        self.sim_url = "http://" + self.wait_for(sim, sim_ready)
        (self.dir / "policy.yaml").write_text(string.Template(self.policy).substitute(sim=self.sim_url))
        (self.dir / "credentials").mkdir(mode=0o700)
        for name, key in KEYS.items():
            (self.dir / "credentials" / name).write_text(key + "\n")
        files = ["--policy", "policy.yaml", "--credentials", "credentials", "--state", "state"]
        sidecar = self.run("llmroute-sidecar", *files, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        ready = self.wait_for(sidecar, sidecar_ready)
        self.url, self.admin_url = f"http://{ready['listen']}", f"http://{ready['admin']}"

    def run(self, name, *args):
        binary = BINARIES / name
        if not binary.exists():
            raise SystemExit(f"{binary} is missing: run `make bins` or set LLMROUTE_BIN_DIR")
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                [binary, *args], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self.callback(stop, process)
        return name, process

    def wait_for(self, program, found):
        """What `found` reads from a line of the program's log."""
        name, process = program
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline and process.poll() is None:
            for line in self.log(name).read_text(errors="replace").splitlines():
                if value := found(line):
                    return value
            time.sleep(0.02)
        raise SystemExit(f"{name} was not ready within {READY_WITHIN:.0f} s:\n{self.tail(name)}")

    def log(self, name):
        return self.dir / f"{name}.log"

    def tail(self, name, lines=25):
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def sim_ready(line):
    return line.removeprefix("listening on ") if line.startswith("listening on ") else None


def sidecar_ready(line):
    fields = json.loads(line) if line.startswith("{") else {}
    fields = {**fields, **fields.get("fields", {})}
    return fields if fields.get("message") == "ready" else None


def get(url):
    """The JSON at a loopback address."""
    with DIRECT.open(url, timeout=10) as answer:
        return json.load(answer)


def post(url):
    """Calls a control of the simulator that takes no body."""
    DIRECT.open(urllib.request.Request(url, b"", method="POST"), timeout=10).close()
