"""What is measured: the peers with their settings, and the scenarios."""
import dataclasses
import string
import subprocess
from pathlib import Path

import rig

CONF = Path(__file__).resolve().parent / "conf"
SIDECAR, FLOOR = "llmroute", "floor"
NAMES = ["direct", "nginx", "haproxy", FLOOR, "floor-inspect", SIDECAR]
PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy"}
SPAN_RATIO = 0.01


@dataclasses.dataclass
class Mock:
    """Where the pretend provider listens, and whom to trust for its TLS."""

    port: int
    tls: int
    otlp: int
    ca: Path

    def cmd(self, binaries):
        at = "127.0.0.1:{}".format
        return [binaries / "bench-mock", "--listen", at(self.port), "--tls", at(self.tls), "--otlp", at(self.otlp), "--ca", self.ca]


@dataclasses.dataclass
class Peer:
    name: str
    port: int
    cmd: list
    tls: int = 0  # where it listens for those whose provider is behind TLS
    admin: int = 0
    env: dict = dataclasses.field(default_factory=dict)


def prepare(name, work, binaries, sidecar, mock):
    """Writes what the peer needs into `work` and tells how to start it."""
    if name == "direct":
        return Peer(name, mock.port, [])
    listen, tls, admin = rig.free_port(), rig.free_port(), rig.free_port()

    def config(file):
        text = string.Template((CONF / file).read_text()).substitute(mock=mock.port, secure=mock.tls, ca=mock.ca, listen=listen, tls=tls)
        (work / file).write_text(text)
        return file

    if name == "nginx":
        return Peer(name, listen, ["nginx", "-p", work, "-c", config("nginx.conf")], tls)
    if name == "haproxy":
        return Peer(name, listen, ["haproxy", "-db", "-f", config("haproxy.cfg")])
    if name.startswith(FLOOR):
        inspect = ["--inspect"] if name == "floor-inspect" else []
        cmd = [binaries / "bench-floor", "--listen", f"127.0.0.1:{listen}", "--upstream", f"127.0.0.1:{mock.port}"]
        return Peer(name, listen, cmd + inspect)
    keys = work / "keys"
    keys.mkdir(exist_ok=True)
    for provider in ("openai", "claude"):
        (keys / provider).write_text("sk-bench-not-a-secret\n")
    cmd = [sidecar, "--policy", config("policy.yaml"), "--listen", f"127.0.0.1:{listen}",
           "--admin", f"127.0.0.1:{admin}", "--credentials", keys, "--state", work / "state"]
    env = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": str(SPAN_RATIO),
           "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{mock.otlp}",
           "SSL_CERT_FILE": str(mock.ca)}
    return Peer(name, listen, cmd, listen, admin, env)


def versions():
    """First line of what each packaged peer says of itself."""
    ask = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"]}
    said = {name: subprocess.run(cmd, capture_output=True, text=True) for name, cmd in ask.items()}
    return {name: (s.stdout + s.stderr).splitlines()[0].removeprefix("nginx version: ") for name, s in said.items()}


@dataclasses.dataclass
class Scenario:
    conns: int
    seconds: float  # measured, after the warm-up
    load: str = ""  # further settings of the load generator
    warmup: float = 1
    latency: bool = False  # real-time priority, cores kept out of idle
    path: str = "/v1/chat/completions"
    tls: bool = False  # the provider is behind TLS
    peers: tuple = tuple(NAMES)


PACE = " --pace chunk_delay_us={},chunks={}"


def sized(load, name, path, peers=(SIDECAR,)):
    """A load as it is made of any API: 1 KiB, 32 KiB, a stream."""
    return {
        f"{name}_1k": Scenario(64, 2.5, load, path=path, peers=peers),
        f"{name}_32k": Scenario(16, 2.5, load + " --kib 32", path=path, peers=peers),
        f"{name}_stream": Scenario(32, 2.5, load + " --stream", path=path, peers=peers),
    }


def scene(name):
    return f" --header 'x-llmroute-scene: {name}'"


# A tool in each Messages request: agents bring some, and only with one is such a caller translated to Responses.
CHAT, MESSAGES, RESPONSES = "", "--format messages --tool", "--format responses"
BODIES = {
    "chat": (CHAT, "/v1/chat/completions"),
    "messages": (MESSAGES, "/v1/messages"),
    "responses": (RESPONSES, "/v1/responses"),
}
# (caller, scene of the policy) by name; the pass-through of the caller's own API stands beside it.
ARROWS = {
    "chat_to_messages": ("chat", "claude"),
    "messages_to_chat": ("messages", "openai"),
    "messages_to_responses": ("messages", "openai-tools"),
    "responses_to_messages": ("responses", "claude"),
}
PASSED_ON = {"chat": "openai", "messages": "mock-claude", "responses": "openai"}


def arrows():
    """Each caller passed on, then translated, size by size, so that what is compared is measured close together."""
    made = {}
    for caller, target in PASSED_ON.items():
        load, path = BODIES[caller]
        rows = [sized(load + scene(target), f"{caller}_passed", path)]
        rows += [sized(load + scene(to), name, path) for name, (own, to) in ARROWS.items() if own == caller]
        for same_size in zip(*(row.items() for row in rows)):
            made.update(same_size)
    return made


SCENARIOS = {
    "max_1k": Scenario(64, 3),
    "max_32k": Scenario(16, 2.5, "--kib 32"),
    "max_256k": Scenario(16, 2.5, "--kib 256"),
    "open_200": Scenario(128, 4, "--rate 200", latency=True),
    "open_2000": Scenario(128, 3, "--rate 2000", latency=True),
    "stream_max": Scenario(32, 3, "--stream"),
    "stream_10k": Scenario(110, 5, "--stream" + PACE.format(10000, 50), latency=True),
    "rss_500": Scenario(500, 4, "--stream" + PACE.format(1000000, 5), warmup=0, peers=tuple(NAMES[1:])),
    "tls_1k": Scenario(64, 3, scene("secure"), tls=True, peers=("nginx", SIDECAR)),
    **arrows(),
}
# What a sidecar can be loaded with, as fast as it goes.
LOAD = [name for name, s in SCENARIOS.items() if not s.latency and s.warmup]
QUICK = ["max_1k", "max_256k", "open_2000", "stream_max", "stream_10k", "rss_500", "tls_1k",
         "chat_passed_1k", "chat_to_messages_1k", "chat_passed_stream", "chat_to_messages_stream"]

# All at once, on a process of its own: scenario and its connections.
MEMORY = "memory"
MIX = {"max_1k": 16, "max_32k": 8, "stream_max": 16, "chat_to_messages_1k": 16, "messages_to_chat_32k": 8,
       "messages_to_responses_1k": 8, "responses_to_messages_stream": 8, "tls_1k": 8}
