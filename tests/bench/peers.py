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
class Peer:
    name: str
    port: int
    cmd: list
    admin: int = 0
    env: dict = dataclasses.field(default_factory=dict)


def prepare(name, work, binaries, sidecar, mock, otlp):
    """Writes what the peer needs into `work` and tells how to start it."""
    if name == "direct":
        return Peer(name, mock, [])
    listen, admin = rig.free_port(), rig.free_port()

    def config(file):
        text = string.Template((CONF / file).read_text()).substitute(mock=mock, listen=listen)
        (work / file).write_text(text)
        return file

    if name == "nginx":
        return Peer(name, listen, ["nginx", "-p", work, "-c", config("nginx.conf")])
    if name == "haproxy":
        return Peer(name, listen, ["haproxy", "-db", "-f", config("haproxy.cfg")])
    if name.startswith(FLOOR):
        inspect = ["--inspect"] if name == "floor-inspect" else []
        cmd = [binaries / "bench-floor", "--listen", f"127.0.0.1:{listen}", "--upstream", f"127.0.0.1:{mock}"]
        return Peer(name, listen, cmd + inspect)
    keys = work / "keys"
    keys.mkdir(exist_ok=True)
    (keys / "openai").write_text("sk-bench-not-a-secret\n")
    cmd = [sidecar, "--policy", config("policy.yaml"), "--listen", f"127.0.0.1:{listen}",
           "--admin", f"127.0.0.1:{admin}", "--credentials", keys, "--state", work / "state"]
    env = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": str(SPAN_RATIO),
           "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}"}
    return Peer(name, listen, cmd, admin, env)


def versions():
    """First line of what each packaged peer says of itself."""
    ask = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"]}
    said = {name: subprocess.run(cmd, capture_output=True, text=True) for name, cmd in ask.items()}
    return {name: (s.stdout + s.stderr).splitlines()[0].removeprefix("nginx version: ") for name, s in said.items()}


@dataclasses.dataclass
class Scenario:
    load: str
    latency: bool = False  # real-time priority, cores kept out of idle
    path: str = "/v1/chat/completions"
    by_name_only: bool = False  # for profiling: not in a full run
    peers: tuple = tuple(NAMES)


PACED = "--stream --pace chunk_delay_us={},chunks={}"
SCENARIOS = {
    "max_1k": Scenario("--conns 64 --duration 3"),
    "max_32k": Scenario("--conns 16 --duration 2.5 --kib 32"),
    "max_256k": Scenario("--conns 16 --duration 2.5 --kib 256"),
    "open_200": Scenario("--rate 200 --conns 128 --duration 4", latency=True),
    "open_2000": Scenario("--rate 2000 --conns 128 --duration 3", latency=True),
    "stream_max": Scenario("--conns 32 --duration 3 --stream"),
    "stream_10k": Scenario("--conns 110 --duration 5 " + PACED.format(10000, 50), latency=True),
    "rss_500": Scenario("--conns 500 --duration 4 --warmup 0 " + PACED.format(1000000, 5), peers=tuple(NAMES[1:])),
    "anthropic_1k": Scenario("--conns 64 --duration 3 --format anthropic", path="/v1/messages",
                             by_name_only=True, peers=(SIDECAR,)),
    "anthropic_stream": Scenario("--conns 32 --duration 3 --format anthropic --stream", path="/v1/messages",
                                 by_name_only=True, peers=(SIDECAR,)),
}
QUICK = ["max_1k", "max_256k", "open_2000", "stream_max", "stream_10k", "rss_500"]
