"""A simulator and a sidecar on free ports, each in a temporary directory of its own."""

import json
import os
import pathlib
import string
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BINARIES = pathlib.Path(os.environ.get("LLMROUTE_BIN_DIR", ROOT / "target" / "debug")).resolve()

# The keys that the sidecar holds; the simulator accepts no others, so a caller's own key never gets through.
KEYS = {"openai": "sk-sidecar-openai-0000", "claude": "sk-ant-sidecar-claude-0000"}
CALLERS_KEY = "sk-placeholder-of-the-app"
READY_WITHIN = 20.0


class Program:
    """A running program, its directory, and its JSON log."""

    def __init__(self, name, *args):
        binary = BINARIES / name
        if not binary.exists():
            raise SystemExit(f"{binary} is missing: run `make bins` or set LLMROUTE_BIN_DIR")
        self.name = name
        self.dir = tempfile.TemporaryDirectory(prefix=f"{name}-")
        self.log = pathlib.Path(self.dir.name, "stderr.log")
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [binary, *args], cwd=self.dir.name, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=environment
            )

    def ready(self):
        """The fields of the line that says the program is ready."""
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            for line in self.log.read_text(errors="replace").splitlines():
                fields = fields_of(line)
                if fields.get("message") == "ready":
                    return fields
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            time.sleep(0.02)
        raise SystemExit(f"{self.name} was not ready within {READY_WITHIN:.0f} s:\n{self.tail()}")

    def tail(self, lines=25):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.dir.cleanup()


class Stack:
    """One simulator and one sidecar in front of it; a context manager."""

    def __init__(self, policy, sim_flags=()):
        self.policy = pathlib.Path(policy)
        self.sim_flags = sim_flags

    def __enter__(self):
        self.running = []
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        keys = [f"--openai-key={KEYS['openai']}", f"--anthropic-key={KEYS['claude']}"]
        self.sim = Program("llmroute-sim", "--listen", "127.0.0.1:0", *keys, *self.sim_flags)
        self.running.append(self.sim)
        self.sim_url = f"http://{self.sim.ready()['listen']}"
        home = tempfile.TemporaryDirectory(prefix="llmroute-policy-")
        self.home = home
        policy = pathlib.Path(home.name, "policy.yaml")
        policy.write_text(string.Template(self.policy.read_text()).substitute(sim=self.sim_url))
        credentials = pathlib.Path(home.name, "credentials")
        credentials.mkdir(mode=0o700)
        for name, key in KEYS.items():
            pathlib.Path(credentials, name).write_text(key + "\n")
        self.sidecar = start_sidecar(policy, credentials)
        self.running.append(self.sidecar)
        ready = self.sidecar.ready()
        self.url = f"http://{ready['listen']}"
        self.admin_url = f"http://{ready['admin']}"

    def __exit__(self, *_):
        for program in reversed(self.running):
            program.stop()
        if hasattr(self, "home"):
            self.home.cleanup()

    def environment(self):
        """What a suite needs to know, for a child process."""
        return {**os.environ, "LLMROUTE_URL": self.url, "LLMROUTE_SIM_URL": self.sim_url, "NO_PROXY": "127.0.0.1"}


def start_sidecar(policy, credentials):
    addresses = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    return Program("llmroute-sidecar", "--policy", str(policy), "--credentials", str(credentials), *addresses)


def fields_of(line):
    """A JSON log line as one flat object."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return {**fields, **fields.get("fields", {})} if isinstance(fields, dict) else {}


def call(method, url, body=None):
    """A small JSON request; the answer's JSON, or None if it has no body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {url}: {error.code} {error.read().decode(errors='replace')[:400]}") from None
    return json.loads(text) if text.strip() else None
