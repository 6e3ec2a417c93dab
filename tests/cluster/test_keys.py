"""The providers' keys are in the sidecar alone: an app that is root, and sees the sidecar's process, finds them nowhere."""

import json
import secrets

import calls
import images
import pytest
from installed import KEYS, SYSTEM, Failed, example, pod
from node import EXISTING

SPACE = "keys"
POLICY = "shop-assistant"
OPERATOR = f"--as=system:serviceaccount:{SYSTEM}:llmroute-operator"
# What every search must find: it is in the app's own variables, in a file and in a process of the app.
DECOY = f"decoy-{secrets.token_hex(12)}"
# Searches everything that the container can read. Words come over stdin and reversed, so that the search finds not itself.
SEARCH = """
import json, os, re, stat, sys
words = {name: bytes(reversed(word.encode())) for name, word in json.load(sys.stdin).items()}
found, denied, seen = set(), set(), set()

def look(path, read):
    try:
        data = read()
    except OSError:
        denied.add(path)
    else:
        found.update((name, path) for name, word in words.items() if word in data)

def file(path):
    with open(path, "rb") as opened:
        return opened.read()

def tree(top):
    for folder, inner, names in os.walk(top, onerror=lambda e: denied.add(e.filename)):
        if os.path.dirname(folder) == folder:
            inner[:] = [name for name in inner if name not in ("proc", "sys", "dev")]
        for path in (os.path.join(folder, name) for name in names):
            if os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode):
                look(path, lambda: file(path))

def memory(pid):
    data = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for low, high, mode in re.findall(r"^(\\w+)-(\\w+) (\\S+)", maps.read(), re.MULTILINE):
            if mode.startswith("rw"):
                mem.seek(int(low, 16))
                try:
                    data.append(mem.read(int(high, 16) - int(low, 16)))
                except OSError:
                    pass
    return b"".join(data)

tree("/")
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) == os.getpid():
        continue
    own = f"/proc/{pid}/"
    try:
        seen.add(file(own + "comm").decode().strip())
    except OSError:
        continue
    for name in ("environ", "cmdline"):
        look(own + name, lambda: file(own + name))
    look(own + "mem", lambda: memory(pid))
    try:
        if not os.path.samefile(own + "root", "/"):
            tree(own + "root/")
        for fd in os.listdir(own + "fd"):
            if stat.S_ISREG(os.stat(own + "fd/" + fd).st_mode):
                look(own + "fd/" + fd, lambda: file(own + "fd/" + fd))
    except OSError as e:
        denied.add(e.filename)
print(json.dumps({"found": sorted(found), "denied": sorted(denied), "seen": sorted(seen)}))
"""
# Ends the sidecar as root, becomes its user, and reaches for all that it has while it starts again.
THIEF = """
import json, os, signal, time
NAMES = ("root/etc/llmroute/credentials/openai", "root/var/run/secrets/kubernetes.io/serviceaccount/token", "environ", "mem", "maps", "fd")

def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as opened:
            return opened.read().strip()
    except OSError:
        return ""

def reach(path):
    try:
        if path.endswith("/fd"):
            os.listdir(path)
        else:
            os.close(os.open(path, os.O_RDONLY))
        return True
    except OSError:
        return False

pids = lambda: {int(name) for name in os.listdir("/proc") if name.isdigit()}
[before] = [pid for pid in pids() if comm(pid) == "llmroute-sideca"]
old = pids()
os.setgroups([])
os.kill(before, signal.SIGKILL)
os.setresgid(2102, 2102, 2102)
os.setresuid(2102, 2102, 2102)
got, tries, new, until = set(), 0, None, time.monotonic() + 90
while time.monotonic() < until:
    for pid in pids() - old:
        if new is None and comm(pid) == "llmroute-sideca":
            new, until = pid, time.monotonic() + 3
        for name in NAMES:
            tries += 1
            if reach(f"/proc/{pid}/{name}"):
                got.add(f"{comm(pid)}: {name}")
print(json.dumps({"before": before, "new": new, "user": os.geteuid(), "tries": tries, "got": sorted(got)}))
"""
# Every page of both ports: what is asked, its status, and all that it says.
PAGES = """
import json, urllib.error, urllib.request
BODY = {"model": "gpt-6-sol", "messages": [{"role": "user", "content": "Where is my parcel?"}]}
ROWS = [(15080, "/", None), (15080, "/v1/models", None), (15080, "/v1/files", None), (15080, "/config", None), (15080, "/metrics", None),
        (15080, "/v1/chat/completions", BODY), (15080, "/v1/chat/completions", {**BODY, "stream": True}), (15080, "/v1/messages", {**BODY, "max_tokens": 40}),
        (15080, "/v1/responses", {"model": "gpt-6-sol", "input": "hi"}), (15080, "/v1/chat/completions", {"model": 5}),
        (15090, "/livez", None), (15090, "/readyz", None), (15090, "/metrics", None), (15090, "/health/providers", None),
        (15090, "/config", None), (15090, "/explain", BODY), (15090, "/", None), (15090, "/etc/llmroute/credentials/openai", None)]
told = []
for port, path, body in ROWS:
    headers = {"content-type": "application/json", "authorization": "Bearer llmroute"}
    ask = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body and json.dumps(body).encode(), headers)
    try:
        answer = urllib.request.urlopen(ask, timeout=30)
    except urllib.error.HTTPError as refused:
        answer = refused
    told.append([f"{port}{path}", answer.status, f"{answer.headers}{answer.read().decode()}"])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def apps(cluster):
    """Two pods whose app is root; one of them sees the processes of all its containers."""
    cluster.namespace(SPACE, opted_in=True)
    cluster.apply(example("minimal"), namespace=SPACE)
    cluster.condition(POLICY, "Accepted", "True", namespace=SPACE)
    root = {"env": [{"name": "DECOY", "value": DECOY}], "securityContext": {"runAsUser": 0}}
    for made in (pod("alone", container=root), pod("together", container=root, shareProcessNamespace=True)):
        cluster.apply(json.dumps(made), namespace=SPACE)
    for name in ("alone", "together"):
        cluster.ready(name, SPACE)
        assert calls.answered(cluster, name, SPACE) == "openai", "the sidecar has the key"
        cluster.python(name, "import sys; open('/decoy', 'w').write(sys.argv[1])", DECOY, namespace=SPACE)
    return cluster


def test_an_app_that_is_root_finds_no_key_in_files_variables_and_processes(apps):
    words = {name: word[::-1] for name, word in {**KEYS, "decoy": DECOY}.items()}
    for name, processes in [("alone", {"python"}), ("together", {"python", "pause", "llmroute-sideca"})]:
        # The program itself holds no word.
        said = apps.exec(name, images.PYTHON, "-c", SEARCH, namespace=SPACE, input=json.dumps(words))
        told = json.loads(said)
        assert processes <= set(told["seen"]), told["seen"]
        found = {path for word, path in told["found"] if word == "decoy"}
        assert "/decoy" in found and {path.split("/")[-1] for path in found} >= {"decoy", "environ", "mem"}, found
        assert [row for row in told["found"] if row[0] != "decoy"] == []
        hidden = {path.split("/")[-1] for path in told["denied"] if path.startswith("/proc/")}
        assert name == "alone" or hidden >= {"environ", "mem", "root"}, told["denied"]


def test_nobody_gets_at_a_sidecar_while_it_starts(apps):
    for _ in range(2):
        told = json.loads(apps.exec("together", images.PYTHON, "-c", THIEF, namespace=SPACE))
        assert told["new"] not in (None, told["before"]) and told["user"] == 2102 and told["tries"] > 1000, told
        assert told["got"] == [], told
        apps.ready("together", SPACE)


def test_no_page_of_either_port_tells_a_key(apps):
    told = json.loads(apps.python("alone", PAGES, namespace=SPACE))
    assert {page: status for page, status, _ in told if page.startswith("15090")} == {
        "15090/livez": 200, "15090/readyz": 200, "15090/metrics": 200, "15090/health/providers": 200, "15090/config": 200,
        "15090/explain": 200, "15090/": 404, "15090/etc/llmroute/credentials/openai": 404,
    }
    answers = [status for page, status, _ in told if page == "15080/v1/chat/completions"]
    assert answers == [200, 200, 400]
    [config] = [json.loads(text[text.index("{"):]) for page, _, text in told if page == "15090/config"]
    assert [key["name"] for key in config["credentials"]] == sorted(KEYS), "it names what it does not tell"
    assert [page for page, _, text in told if any(key in text for key in KEYS.values())] == []


def test_nothing_that_is_stored_or_logged_has_a_key_or_a_token(apps):
    written = {kind: apps.kubectl("get", kind, "--output=yaml", namespace=SPACE) for kind in ("pods", "configmaps", "events", "lrp")}
    assert "credentialKey: openai" in written["lrp"] and POLICY in written["configmaps"]
    for made in apps.get("pods", namespace=SYSTEM)["items"]:
        name = made["metadata"]["name"]
        written[name] = apps.kubectl("logs", name, namespace=SYSTEM)
        assert "who leads" in written[name]
    for name in ("alone", "together"):
        written[name] = apps.kubectl("logs", name, "--container=llmroute-sidecar", namespace=SPACE)
        assert "policy in force" in written[name]
    words = [*KEYS.values()]
    if not EXISTING:
        # What the sidecar has: the kubelet's volumes of the pod, from the node.
        for name in ("alone", "together"):
            uid = apps.get("pod", name, namespace=SPACE)["metadata"]["uid"]
            volume = f"$LLMROUTE_NODE/kubelet/pods/{uid}/volumes/kubernetes.io~"
            assert apps.output("sh", "-c", f"cat {volume}secret/llmroute-credentials/openai") == KEYS["openai"]
            words.append(apps.output("sh", "-c", f"cat {volume}projected/llmroute-identity/token"))
            written[f"state of {name}"] = apps.output("sh", "-c", f"cd {volume}empty-dir/llmroute-state && cat $(find . -type f)", errors="replace")
            assert '"credentialKey":"openai"' in written[f"state of {name}"]
    assert [where for where, text in written.items() if any(word in text for word in words) or "eyJ" in text] == []


def test_the_accounts_of_operator_and_app_cannot_read_the_secret(apps):
    def may(who, verb, what, namespace=SPACE):
        try:
            return apps.kubectl("auth", "can-i", verb, what, who, namespace=namespace) == "yes\n"
        except Failed as told:
            assert "no" in str(told), told
            return False

    app = f"--as=system:serviceaccount:{SPACE}:default"
    rows = [(OPERATOR, "get", "secrets/llmroute-tls", SYSTEM), (OPERATOR, "list", "pods", SPACE), (OPERATOR, "create", "configmaps", SPACE)]
    assert [row for row in rows if not may(*row)] == [], "it may what it needs"
    nothing = ["secrets", "secrets/llm-keys"]
    rows = [(who, verb, what) for who in (OPERATOR, app) for what in nothing for verb in ("get", "list", "watch", "patch", "delete")]
    # By which it could get at them all the same.
    more = ["pods", "pods/exec", "pods/ephemeralcontainers", "pods/attach", "serviceaccounts/token", "deployments.apps", "jobs.batch"]
    rows += [(OPERATOR, "create", what) for what in more]
    rows += [(OPERATOR, verb, what) for verb in ("impersonate", "bind", "escalate") for what in ("serviceaccounts", "clusterroles.rbac.authorization.k8s.io")]
    assert [row for row in rows if may(*row)] == []
    with pytest.raises(Failed, match="Forbidden"):
        apps.kubectl("get", "secret", "llm-keys", OPERATOR, namespace=SPACE)
