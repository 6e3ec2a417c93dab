"""A node comes up, runs a pod of local files with a native sidecar, is reached in every way that tests need, and is gone."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import node as nodes
import pytest

BUSYBOX = "/bin/busybox"
IMAGE = "llmroute.dev/busybox:dev"
GET = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=10).read().decode())"
# The app asks its sidecar before it serves: it has an answer only if the sidecar was there first.
POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - name: sidecar
    image: %(image)s
    restartPolicy: Always
    args: [sh, -c, "echo hello >/sidecar/greeting && exec /busybox httpd -f -p 8081 -h /sidecar"]
    startupProbe: {httpGet: {path: /greeting, port: 8081}, periodSeconds: 1}
    volumeMounts: [{name: sidecar, mountPath: /sidecar}]
  containers:
  - name: app
    image: %(image)s
    args: [sh, -c, "cd /app && /busybox wget -q http://127.0.0.1:8081/greeting && echo serving && exec /busybox httpd -f -vv -p 8080"]
    volumeMounts: [{name: app, mountPath: /app}]
  volumes: [{name: sidecar, emptyDir: {}}, {name: app, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
""" % {"image": IMAGE}

pytestmark = pytest.mark.skipif(nodes.EXISTING, reason="USE_EXISTING_CLUSTER: no node of ours to test")


@pytest.fixture(scope="module")
def told():
    """Prints what is said and how long it took since it was said last."""
    last = time.monotonic()

    def tell(what):
        nonlocal last
        last, before = time.monotonic(), last
        print(f"\n{what}: {last - before:.1f} s", end="", flush=True)

    return tell


def test_a_pod_with_a_native_sidecar_runs_is_reached_and_leaves_nothing(told):
    with nodes.temporary() as node:
        told("the node is Ready")
        node.image(IMAGE, BUSYBOX)
        node.run("kubectl", "apply", "--filename=-", input=POD, stdout=subprocess.DEVNULL)
        node.run("kubectl", "wait", "--for=condition=Ready", "pod/web", "--timeout=60s", stdout=subprocess.DEVNULL)
        told("its image is imported and the pod is Ready")

        pod = json.loads(node.output("kubectl", "get", "pod", "web", "--output=json"))
        assert pod["status"]["initContainerStatuses"][0]["ready"]
        address = pod["status"]["podIP"]
        assert node.output(sys.executable, "-c", GET, f"http://{address}:8080/greeting") == "hello\n"
        # Not wget: that of busybox cannot look up names where it is static.
        get = "printf 'GET /greeting HTTP/1.0\\r\\n\\r\\n' | /busybox nc web.default.svc.cluster.local 80"
        inside = ("kubectl", "exec", "web", "--container=app", "--", "/busybox", "sh", "-c", get)
        assert until(lambda: node.output(*inside)).endswith("\n\nhello\n")
        log = node.output("kubectl", "logs", "web", "--container=app").splitlines()
        assert log[0] == "serving" and sum("/greeting" in line for line in log) >= 2, log
        told("reached by its address, and by its name and Service from inside; its log is read")

        node.run("sh", "-c", "kill -9 $(cat $LLMROUTE_NODE/pids/etcd $LLMROUTE_NODE/pids/apiserver)")
        again = ("kubectl", "get", "pod", "web", "--output=name")
        assert until(lambda: node.output(*again, stderr=subprocess.DEVNULL)) == "pod/web\n"
        told("etcd and the API server are killed and back")

        home, pid = node.home, node.pid()
        assert processes(home) and cgroups(pid)
    told("the node is gone")
    assert (processes(home), cgroups(pid), home.exists()) == ([], [], False)


def test_a_node_ends_with_its_owner_even_if_that_is_killed(told):
    with tempfile.TemporaryDirectory(prefix="llmroute-node-") as scratch:
        home = pathlib.Path(scratch, "node")
        start = f"import node; node.Node({str(home)!r}).start()"
        with subprocess.Popen([sys.executable, "-c", start], cwd=nodes.HERE) as owner:
            until(lambda: (home / "pids" / "apiserver").read_text())
            pid = int((home / "pid").read_text())
            owner.send_signal(signal.SIGKILL)
        assert until(lambda: processes(home) == [])
        until(lambda: nodes.sweep() or not cgroups(pid))
        assert cgroups(pid) == []
    told("a node whose owner is killed is gone")


def until(look, within=30.0):
    """What `look` returns once it neither fails nor is false."""
    deadline = time.monotonic() + within
    while True:
        try:
            if (value := look()) or time.monotonic() > deadline:
                return value
        except (OSError, subprocess.CalledProcessError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def processes(home):
    """Command lines of processes that run in a directory or name it, ours and this test's own apart."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(home) in line or os.readlink(process / "cwd").startswith(str(home)):
                found.append(line)
        except OSError:
            continue
    return found


def cgroups(pid):
    return [str(path) for path in nodes.CGROUPS.glob(f"*/llmroute-{pid}")]
