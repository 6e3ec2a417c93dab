"""An install as the README says it, an upgrade, and an end that leaves nothing but the CRD and what users own."""

import concurrent.futures
import json
import re
import shlex
import subprocess

import installed
import node as nodes
import pytest
from installed import SYSTEM
from node import ROOT

pytestmark = pytest.mark.skipif(nodes.EXISTING, reason="USE_EXISTING_CLUSTER: what is installed there stays")

SPACE, POLICY = "shop", "shop-assistant"
SECTION = re.search(r"^## In a cluster\n(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S)[1]
INSTALL, UPGRADE, UNINSTALL = re.findall(r"^```\n(.*?)^```", SECTION, re.M | re.S)
# Events end by themselves after an hour.
FLEETING = {"events", "events.events.k8s.io"}
# What every namespace has.
GIVEN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


@pytest.fixture(scope="module")
def fresh(archives):
    """A node with images and simulated providers, and nothing of llmroute installed."""
    with nodes.temporary() as node:
        cluster = installed.Installed(node)
        cluster.load(archives)
        cluster.providers()
        yield cluster


def commands(cluster, block):
    """What is printed by what the README says, with keys in the place of dots."""
    for name, key in installed.KEYS.items():
        block = block.replace(f"{name}=…", f"{name}={key}")
    return [cluster.output(*shlex.split(line), cwd=ROOT, stderr=subprocess.STDOUT) for line in block.splitlines()]


def objects(cluster):
    """Every object of every kind, but for what kubelets write when they please: (kind, namespace, name)."""
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").split()
    listed = cluster.get(",".join(kind for kind in kinds if kind not in FLEETING), "--all-namespaces")["items"]
    found = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in listed}
    return {one for one in found if one[1] != "kube-node-lease"}


def test_what_is_installed_is_upgraded_and_goes(fresh):
    before = objects(fresh)
    commands(fresh, INSTALL)
    fresh.condition(POLICY, "Ready", "True", "no selected pod has a sidecar", SPACE)
    fresh.apply(installed.example("minimal"), namespace=SPACE)
    fresh.app("early", SPACE)
    ready(fresh, "1 of 1")
    assert request(fresh, "early") == "20m"

    bundles = trusted(fresh)
    upgraded(fresh, "--set=operator.replicas=1,sidecar.resources.requests.cpu=30m,operator.logLevel=debug")
    operator = fresh.get("deployment/llmroute-operator", namespace=SYSTEM)
    assert (operator["spec"]["replicas"], operator["status"]["updatedReplicas"]) == (1, 1)
    assert trusted(fresh) == bundles
    fresh.app("late", SPACE)
    ready(fresh, "2 of 2")
    assert (request(fresh, "early"), request(fresh, "late")) == ("20m", "30m")

    uninstall, delete_namespace = UNINSTALL.splitlines()
    [said] = commands(fresh, uninstall)
    assert "not deleted" not in said, said
    fresh.until(lambda: bare(fresh), "its namespace is as bare as a new one")
    commands(fresh, delete_namespace)
    mine = {("Namespace", "", SPACE), *((kind, SPACE, name) for kind, name in GIVEN), ("Secret", SPACE, "llm-keys"),
            ("Pod", SPACE, "early"), ("Pod", SPACE, "late"),
            ("LLMRoutePolicy", SPACE, POLICY), ("ConfigMap", SPACE, f"llmroute-{POLICY}"),
            ("CustomResourceDefinition", "", "llmroutepolicies.llmroute.dev"), ("APIService", "", "v1alpha1.llmroute.dev")}

    def left():
        more = objects(fresh) - before
        return more == mine, {"more": more - mine, "less": mine - more}

    fresh.until(left, "nothing is left but what users own")
    # Pods go on without it.
    for name in ("early", "late"):
        [told] = fresh.ask(name, "openai", "plain", namespace=SPACE)
        assert told["headers"]["x-llmroute-status"] == "ok", told
    # The copy beside a policy goes with it, and so does everything with the CRD.
    fresh.kubectl("delete", "lrp", POLICY, namespace=SPACE)
    gone = ("ConfigMap", SPACE, f"llmroute-{POLICY}")
    fresh.until(lambda: (gone not in objects(fresh), gone), "the policy's ConfigMap goes with it")


def bare(cluster):
    """Whether the release's namespace has what every namespace has and no more."""
    there = {(kind, name) for kind, namespace, name in objects(cluster) if namespace == SYSTEM}
    return there == GIVEN, there - GIVEN


def upgraded(cluster, values):
    """Upgrades, with other values, while pods are created all the time: each of them gets its sidecar."""
    before, pod = replicas(cluster), json.dumps(installed.pod("tried"))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        upgrade = pool.submit(commands, cluster, f"{UPGRADE.rstrip()} {values}")
        tried = 0
        while not upgrade.done() or before & replicas(cluster):
            made = cluster.kubectl("create", "--dry-run=server", "--filename=-", "--output=json", namespace=SPACE, input=pod)
            assert json.loads(made)["spec"]["initContainers"][0]["name"] == "llmroute-sidecar"
            tried += 1
        upgrade.result()
    assert tried > 5


def replicas(cluster):
    """The operator's pods that are there."""
    return {pod["metadata"]["name"] for pod in cluster.get("pods", namespace=SYSTEM)["items"]}


def ready(cluster, acknowledged):
    generation = cluster.policy(POLICY, SPACE)["metadata"]["generation"]
    cluster.condition(POLICY, "Ready", "True", f"{acknowledged} sidecars acknowledged generation {generation}", SPACE)


def request(cluster, pod):
    """The CPU that a pod's sidecar asks for."""
    return cluster.get("pod", pod, namespace=SPACE)["spec"]["initContainers"][0]["resources"]["requests"]["cpu"]


def trusted(cluster):
    """The CA by which the API server knows each webhook."""
    configurations = cluster.get("mutatingwebhookconfiguration/llmroute", "validatingwebhookconfiguration/llmroute")["items"]
    bundles = [hook["clientConfig"]["caBundle"] for one in configurations for hook in one["webhooks"]]
    assert len(bundles) == 3 and all(bundles), bundles
    return bundles
