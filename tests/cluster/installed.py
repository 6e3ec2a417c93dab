"""A cluster with llmroute and the simulated providers in it, and what tests do there."""

import json
import re
import subprocess
import sys
import time

import images
from node import ROOT

SYSTEM = "llmroute-system"
CHART = ROOT / "charts" / "llmroute"
CRD = ROOT / "crds" / "llmroutepolicies.llmroute.dev.yaml"
EXAMPLES = ROOT / "manifests" / "examples"
# The simulator accepts no others, so what reaches it came by a sidecar that has them.
KEYS = {"openai": "sk-cluster-openai-5f2c", "claude": "sk-ant-cluster-claude-91d7"}
SIM_NAMESPACE = "providers"
SIM_URL = f"http://sim.{SIM_NAMESPACE}"
SIM_PATH = "/api/v1/namespaces/{}/services/sim:80/proxy/sim/{}"
SIM = """
apiVersion: v1
kind: Namespace
metadata: {name: %(namespace)s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sim, namespace: %(namespace)s}
spec:
  selector: {matchLabels: {app: sim}}
  template:
    metadata: {labels: {app: sim}}
    spec:
      containers:
      - name: sim
        image: llmroute.dev/sim:dev
        args: ["--listen=0.0.0.0:9100", --openai-key=%(openai)s, --anthropic-key=%(claude)s]
        readinessProbe: {tcpSocket: {port: 9100}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: sim, namespace: %(namespace)s}
spec: {selector: {app: sim}, ports: [{port: 80, targetPort: 9100}]}
"""
# Finds a program's process by the pod's cgroup.
SIGNAL = """
import os, pathlib, signal, sys
program, uid, name = sys.argv[1:]
mine = []
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if uid in (process / "cgroup").read_text().replace("_", "-") and (process / "cmdline").read_bytes().split(b"\\0")[0].endswith(program.encode()):
            mine.append(int(process.name))
    except OSError:
        continue
[pid] = mine
os.kill(pid, signal.Signals[name])
"""
# It does nothing until it is told to.
IDLE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"
WITHIN = 90.0


class Installed:
    """llmroute, installed in `node`."""

    def __init__(self, node):
        self.node = node
        self.namespaces = [SYSTEM]

    def install(self, archives):
        """Images, the simulator, the chart, and the opted-in namespace `shop`; all of it is up when this returns."""
        self.load(archives)
        self.providers()
        # The CRD, the webhooks, two replicas: Ready when this returns.
        self.output("helm", "install", "llmroute", CHART, f"--namespace={SYSTEM}", "--create-namespace", "--wait", "--timeout=3m")
        self.namespace("shop", opted_in=True)

    def remove(self):
        """What an existing cluster got by this: the release, the CRD and all namespaces."""
        self.output("helm", "uninstall", "llmroute", f"--namespace={SYSTEM}", "--wait")
        self.kubectl("delete", "namespace", *self.namespaces)
        self.kubectl("delete", f"--filename={CRD}")

    def load(self, archives):
        """Imports images."""
        for archive in archives:
            self.node.load(archive)

    def providers(self, namespace=SIM_NAMESPACE):
        """A simulator, which answers at `http://sim.NAMESPACE`."""
        self.namespaces.append(namespace)
        self.apply(SIM % {"namespace": namespace, **KEYS})
        self.kubectl("rollout", "status", "deployment/sim", "--timeout=90s", namespace=namespace)

    def output(self, *command, **options):
        """What a command prints; its failure carries what it said."""
        done = self.node.run(*command, **{"check": False, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})
        if done.returncode:
            raise Failed(f"{' '.join(map(str, command))}: {done.stdout or ''}{done.stderr or ''}")
        return done.stdout

    def kubectl(self, *args, namespace=None, **options):
        """What kubectl prints."""
        within = [f"--namespace={namespace}"] if namespace else []
        return self.output("kubectl", *within, *args, **options)

    def get(self, *args, namespace=None):
        """Objects as kubectl gives them."""
        return json.loads(self.kubectl("get", *args, "--output=json", namespace=namespace))

    def apply(self, manifest, *args, namespace=None):
        """Applies a manifest, given as text."""
        return self.kubectl("apply", "--filename=-", *args, namespace=namespace, input=manifest)

    def namespace(self, name, opted_in, **labels):
        """A namespace with the providers' keys in it."""
        self.namespaces.append(name)
        labels = {**labels, **({"llmroute.dev/inject": "enabled"} if opted_in else {})}
        meta = {"name": name, "labels": labels}
        keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "llm-keys", "namespace": name}, "stringData": KEYS}
        self.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}))
        self.apply(json.dumps(keys))

    def app(self, name, namespace="shop", labels=None, **spec):
        """A pod of the app's image, labelled for the examples' policy, that does what `ask` tells it; Ready."""
        self.apply(json.dumps(pod(name, labels, **spec)), namespace=namespace)
        self.ready(name, namespace)

    def ready(self, name, namespace="shop"):
        self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={WITHIN:.0f}s", namespace=namespace)

    def exec(self, name, *command, namespace="shop", container="app", **options):
        """What a command in a container prints."""
        return self.kubectl("exec", "--stdin", name, f"--container={container}", "--", *command, namespace=namespace, **options)

    def python(self, name, program, *args, **options):
        """What a Python program in an app's container prints."""
        return self.exec(name, images.PYTHON, "-c", program, *args, **options)

    def ask(self, name, sdk, *calls, namespace="shop", say="Where is my parcel?"):
        """What the app was told for each of `calls` (`plain`, `stream`), asked with the SDK `openai` or `anthropic`."""
        lines = [json.dumps({"call": call, "messages": [{"role": "user", "content": say}], "limit": 500}) for call in calls]
        said = self.exec(name, images.PYTHON, f"{images.APPS}/{sdk}_app.py", namespace=namespace, input="\n".join(lines))
        return [json.loads(line) for line in said.splitlines()]

    def sim(self, page, namespace=SIM_NAMESPACE):
        """A page of a simulator: `log?since=SEQ`, `bill`."""
        return json.loads(self.kubectl("get", f"--raw={SIM_PATH.format(namespace, page)}"))

    def tell_sim(self, page, body="{}", namespace=SIM_NAMESPACE):
        """A control of a simulator: `dark?vendor=openai`, `light`, `reset`, `script`."""
        return json.loads(self.kubectl("create", f"--raw={SIM_PATH.format(namespace, page)}", "--filename=-", input=body))

    def signal(self, name, program, signal, namespace):
        """Sends a signal to the process of a program in a pod; such a pod has one."""
        uid = self.get("pod", name, namespace=namespace)["metadata"]["uid"]
        self.node.run(sys.executable, "-c", SIGNAL, program, uid, signal)

    def last_seen(self):
        """The number of the request that the simulator saw last."""
        return max((entry["seq"] for entry in self.sim("log")), default=0)

    def policy(self, name, namespace="shop"):
        return self.get("lrp", name, namespace=namespace)

    def condition(self, name, type, status, text="", namespace="shop", kind="lrp"):
        """The object, once its condition is as said and its message holds `text`."""
        def look():
            one = self.get(kind, name, namespace=namespace)
            current = [c for c in one.get("status", {}).get("conditions", []) if c["type"] == type]
            held = [c for c in current if c["status"] == status and text in c["message"]]
            return (one if held else None), current

        return self.until(look, f"{kind} {name}: {type}={status} {text!r}")

    def until(self, look, what, within=WITHIN):
        """The first of what `look` returns, once it is true; the second says how things are, should that never come."""
        deadline = time.monotonic() + within
        while True:
            try:
                found, now = look()
            except Failed as e:
                found, now = None, e
            if found:
                return found
            if time.monotonic() > deadline:
                shown = self.kubectl("get", "pods,lrp", "--all-namespaces", "--output=wide")
                raise AssertionError(f"not within {within:.0f} s: {what}; but {now}\n{shown}")
            time.sleep(0.2)


class Failed(Exception):
    """A command failed; what it said."""


def example(name):
    """An example policy, changed in nothing but where its providers are."""
    text = (EXAMPLES / f"{name}.yaml").read_text()
    text, replaced = re.subn(r"baseUrl: [^,}\s]+", f"baseUrl: {SIM_URL}", text)
    text, added = re.subn(r"(api: (?:OpenAI|Anthropic))(?!, baseUrl)([,}])", rf"\1, baseUrl: {SIM_URL}\2", text)
    assert replaced + added, text
    return text


def pod(name, labels=None, **spec):
    """A pod of the app's image, as an object; its container is `app`."""
    container = {"name": "app", "image": images.APP, "args": ["-c", IDLE], **spec.pop("container", {})}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": "shop-assistant"}},
        "spec": {"terminationGracePeriodSeconds": 5, "containers": [container], **spec},
    }


def deployment(name, replicas=1, labels=None, **spec):
    """A deployment of such pods, as an object; they have the label `deployment` too."""
    made = pod(name, labels, **spec)
    template = {"metadata": {"labels": {**made["metadata"]["labels"], "deployment": name}}, "spec": made["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"deployment": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
