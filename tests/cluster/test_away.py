"""The control plane goes away, in part and whole, and a sidecar is killed: apps go on."""

import json
import re
import subprocess
from decimal import Decimal

import calls
import images
import pytest
from calls import answered, config, statuses
from installed import SYSTEM, deployment, example
from node import EXISTING

SPACE = "away"
POLICY = "shop-assistant"
# Seen by a day's budget, beside that of a minute.
DAY = '  - {name: day, window: 24h, limitUsd: "20.00"}\n'
LEASE = "llmroute-operator"
DEPLOYMENT = "deployment/llmroute-operator"
REPLICAS = "--selector=app.kubernetes.io/name=llmroute"
# Calls until there is a file, and prints what each call came to: status and cost, or 0 where nobody answered.
ON_AND_ON = calls.CALL + """
import time
while not os.path.exists("/dev/shm/enough"):
    try:
        status, headers, _ = call()
    except OSError:
        status, headers = 0, {}
    print(json.dumps([status, headers.get("x-llmroute-cost-usd", "0")]), flush=True)
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def away(cluster):
    """An app that runs, in a namespace with a policy."""
    cluster.namespace(SPACE, opted_in=True)
    cluster.apply(example("minimal") + DAY, namespace=SPACE)
    cluster.condition(POLICY, "Accepted", "True", namespace=SPACE)
    cluster.app("first", namespace=SPACE)
    in_sync(cluster, 1)
    return cluster


def in_sync(cluster, count):
    """Waits until so many sidecars have the newest version, and there are no others."""
    generation = cluster.policy(POLICY, SPACE)["metadata"]["generation"]
    cluster.condition(POLICY, "Programmed", "True", f"{count} of {count} sidecars acknowledged generation {generation}", SPACE)


def operators(cluster):
    """What each replica's page of metrics says of leading and of streams."""
    found = []
    for made in cluster.get("pods", REPLICAS, namespace=SYSTEM)["items"]:
        page = cluster.kubectl("get", f"--raw=/api/v1/namespaces/{SYSTEM}/pods/{made['metadata']['name']}:8080/proxy/metrics")
        numbers = dict(re.findall(r"^llmroute_operator_(leader|streams) (\d+)$", page, re.MULTILINE))
        found.append((int(numbers["leader"]), int(numbers["streams"])))
    return found


def test_a_pod_starts_while_nobody_leads_and_every_stream_is_cut(away):
    # Somebody else has the Lease: both replicas answer the API server, and none serves sidecars.
    theft = {"spec": {"holderIdentity": "nobody", "leaseDurationSeconds": 3600}, "metadata": {"annotations": {"llmroute.dev/control-address": None}}}
    away.kubectl("patch", "lease", LEASE, "--type=merge", f"--patch={json.dumps(theft)}", namespace=SYSTEM)
    away.until(lambda: ((now := operators(away)) == [(0, 0), (0, 0)], now), "no replica leads or has a stream")
    try:
        away.app("second", namespace=SPACE)
        page = config(away, "second", SPACE)
        assert (page["policy"]["source"], page["control"]["connected"]) == ("ConfigMap", False), page
        # The one has what it was lent; the other nothing of the budget that they share.
        assert answered(away, "first", SPACE) == "openai"
        status, headers, body = calls.call(away, "second", SPACE)
        assert (status, headers["x-llmroute-reason"]) == (429, "budget_exhausted") and "is not reached" in body, body
        assert operators(away) == [(0, 0), (0, 0)]
    finally:
        away.kubectl("delete", "lease", LEASE, namespace=SYSTEM)
    in_sync(away, 2)
    assert sorted(leads for leads, _ in operators(away)) == [0, 1]
    assert config(away, "second", SPACE)["control"]["connected"]
    away.until(lambda: ((said := calls.call(away, "second", SPACE))[0] == 200, said), "it is lent to")


def test_without_a_replica_new_pods_are_refused_and_come_when_it_is_back(away):
    away.kubectl("scale", DEPLOYMENT, "--replicas=0", namespace=SYSTEM)
    try:
        away.kubectl("wait", "--for=delete", "pod", REPLICAS, "--timeout=60s", namespace=SYSTEM)
        assert [answered(away, name, SPACE) for name in ("first", "second")] == ["openai", "openai"]
        # The others are not asked about.
        away.app("plain", namespace=SPACE, labels={"llmroute.dev/inject": "disabled"})
        # An edit is stored, and judged when one is back.
        patch = [{"op": "replace", "path": "/spec/budgets/1/limitUsd", "value": "30"}]
        away.kubectl("patch", "lrp", POLICY, "--type=json", f"--patch={json.dumps(patch)}", namespace=SPACE)
        # Last: its owner tries again after twice as long as it has tried.
        away.apply(json.dumps(deployment("late")), namespace=SPACE)

        def told():
            [owner] = away.get("replicasets", "--selector=deployment=late", namespace=SPACE)["items"]
            said = [c["message"] for c in owner.get("status", {}).get("conditions", []) if c["type"] == "ReplicaFailure"]
            return said and said[0], owner.get("status")

        why = away.until(told, "the ReplicaSet says why it has no pod")
        assert 'failed calling webhook "namespace.inject.llmroute.dev"' in why and "https://llmroute-webhook.llmroute-system.svc" in why, why
        events = away.kubectl("get", "events", "--field-selector=reason=FailedCreate,involvedObject.kind=ReplicaSet", namespace=SPACE)
        assert "namespace.inject.llmroute.dev" in events
    finally:
        away.kubectl("scale", DEPLOYMENT, "--replicas=2", namespace=SYSTEM)
        away.kubectl("rollout", "status", DEPLOYMENT, "--timeout=90s", namespace=SYSTEM)
    away.kubectl("rollout", "status", "deployment/late", "--timeout=120s", namespace=SPACE)
    in_sync(away, 3)


@pytest.mark.skipif(EXISTING, reason="USE_EXISTING_CLUSTER: its nodes' processes are not ours to kill")
def test_a_sidecar_that_is_killed_comes_back_alone_with_what_was_spent(away):
    before = away.get("pod", "first", namespace=SPACE)
    command = ("kubectl", "exec", "first", f"--namespace={SPACE}", "--container=app", "--", images.PYTHON, "-c", ON_AND_ON)
    with subprocess.Popen(away.node.command(*command), env=away.node.environment(), stdout=subprocess.PIPE, text=True) as app:
        said = [json.loads(app.stdout.readline()) for _ in range(40)]
        away.signal("first", "llmroute-sidecar", "SIGKILL", SPACE)
        while said[-1][0] != 0:
            said.append(json.loads(app.stdout.readline()))
        while said[-1][0] == 0:
            said.append(json.loads(app.stdout.readline()))
        again = [json.loads(app.stdout.readline()) for _ in range(20)]
        away.python("first", "open('/dev/shm/enough', 'w')", namespace=SPACE)
        again += [json.loads(line) for line in app.stdout]
    assert {status for status, _ in said} == {200, 0} and {status for status, _ in again} == {200}
    away.ready("first", SPACE)
    now = away.get("pod", "first", namespace=SPACE)
    was, after = statuses(before), statuses(now)
    sidecar = after["llmroute-sidecar"]
    assert (sidecar["restartCount"], sidecar["lastState"]["terminated"]["exitCode"]) == (1, 137)
    assert after["app"] == was["app"], "the app is the same process"
    # All that was answered, before and after, is in what is spent of the day's budget: its leader keeps that.
    paid = sum(Decimal(cost) for _, cost in said + again)
    lost = sum(Decimal(cost) for _, cost in said)
    assert lost > paid / 4, (lost, paid)

    def kept():
        [day] = [b for b in away.policy(POLICY, SPACE)["status"].get("budgets", []) if b["name"] == "day"]
        return Decimal(day["spentUsd"]) + Decimal(day.get("unknownUsd", "0")) >= paid, (day, paid)

    away.until(kept, "the status tells of it")
    in_sync(away, 3)
