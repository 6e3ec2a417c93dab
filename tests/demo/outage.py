"""Two settings for the same story: simulated providers that can go dark, and real ones whose address can be lost."""

import pathlib
import socket
import string
import tempfile
import urllib.request

import stack

POLICY_FILE = pathlib.Path(__file__).with_name("policy.yaml")
POLICY = string.Template(POLICY_FILE.read_text())
VENDORS = {"openai": "openai", "claude": "anthropic"}
# Answers as long and as slow as a small model's, so that the figures mean something to the eye.
MANNER = b'{"rules": [{"match": {}, "words": 24, "head_ms": 120, "first_ms": 80, "event_ms": 12, "jitter_ms": 20}]}'


class Simulated(stack.Stack):
    """Simulator and sidecar; a provider goes dark by the simulator's own switch."""

    manner = MANNER

    # Seconds that an app waits between two calls.
    pause = 0.5
    intro = (
        "The providers are simulated (llmroute-sim): no keys, no cost; the prices are list prices.",
        "With your keys in ./credentials/openai and ./credentials/claude the real providers answer.",
    )

    def __init__(self):
        super().__init__(POLICY_FILE)
        self.policy = POLICY.substitute(openai="$sim", claude="$sim", patience="1500ms")

    def start(self):
        super().start()
        self.control("script", self.manner)

    def dark(self, provider):
        """Takes it away. What was done, in words, and the cause that answers will name."""
        mode, words, cause = {
            "openai": ("silent", "takes requests and never answers", "timeout_budget_exceeded"),
            "claude": ("refuse", "resets every connection", "connection_lost"),
        }[provider]
        page = f"dark?vendor={VENDORS[provider]}&mode={mode}"
        self.control(page)
        return f"{provider} {words} (POST /sim/{page})", cause

    def light(self, provider):
        page = f"light?vendor={VENDORS[provider]}"
        self.control(page)
        return f"{provider} answers again (POST /sim/{page})"

    def bill(self):
        """What the providers would charge, by their own count: a total for each model."""
        return stack.get(f"{self.sim_url}/sim/bill")["models"]

    def control(self, page, body=b""):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(f"{self.sim_url}/sim/{page}", body, timeout=10).close()


class Real(stack.Stack):
    """The sidecar before the real providers, which nobody can switch off: their address in the policy is lost instead."""

    ADDRESSES = {"openai": "https://api.openai.com", "claude": "https://api.anthropic.com"}
    pause = 2.0
    intro = (
        "REAL providers, with the keys in ./credentials: some sixty short calls, a few cents.",
        "They cannot be switched off, so an outage is a policy that sends the provider to a port where nobody listens.",
    )

    def __init__(self, credentials):
        super().__init__(POLICY_FILE)
        self.credentials = credentials

    def start(self):
        self.dir = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-demo-")))
        # Bound and never listening: connections to it are refused for as long as the demo holds it.
        self.nobody = self.enter_context(socket.socket())
        self.nobody.bind(("127.0.0.1", 0))
        self.write(self.ADDRESSES)
        files = ["--policy", "policy.yaml", "--credentials", str(self.credentials)]
        sidecar = self.run("llmroute-sidecar", *files, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        ready = self.wait_for(sidecar, stack.sidecar_ready)
        self.url, self.admin_url = f"http://{ready['listen']}", f"http://{ready['admin']}"

    def write(self, addresses):
        (self.dir / "policy.yaml").write_text(POLICY.substitute(addresses, patience="20s"))

    def dark(self, provider):
        nowhere = f"http://127.0.0.1:{self.nobody.getsockname()[1]}"
        self.write({**self.ADDRESSES, provider: nowhere})
        return f"the policy now sends {provider} to {nowhere}, where nobody listens (in force within 2 s)", "unreachable"

    def light(self, provider):
        self.write(self.ADDRESSES)
        return f"the policy is as it was: {provider} is at {self.ADDRESSES[provider]} (in force within 2 s)"

    def bill(self):
        return {}
