"""Pods of all kinds, some older than their policy, and what becomes of each."""

import json

import images
import pytest
from calls import ANSWERED, CALL, answered, call, config, statuses
from installed import KEYS, SIM_URL, Failed, example, pod

SPACE, GUARDED, WAITS = "pods", "guarded", "waits"
POLICY = "shop-assistant"
ASKS = {"app": POLICY, "llmroute.dev/inject": "enabled"}
SIDECAR = "llmroute-sidecar"
RESTRICTED = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "container": {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}},
}


def job(name, program, labels=None):
    """A Job that runs a Python program once."""
    made = pod(name, labels, restartPolicy="Never", container={"args": ["-c", program]})
    template = {"metadata": {"labels": made["metadata"]["labels"]}, "spec": made["spec"]}
    meta = {"name": name}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"backoffLimit": 0, "template": template}}


def stateful_set(name):
    made = pod(name)
    labels = {**made["metadata"]["labels"], "set": name}
    template = {"metadata": {"labels": labels}, "spec": made["spec"]}
    spec = {"serviceName": name, "replicas": 1, "selector": {"matchLabels": {"set": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": spec}


def prepared(name):
    """A pod whose first init container calls a model, and whose second has base URLs of its own."""
    def init(name, program, **env):
        variables = [{"name": name, "value": value} for name, value in env.items()]
        return {"name": name, "image": images.APP, "args": ["-c", program], "env": variables}

    own = init("own", ANSWERED, OPENAI_BASE_URL=f"{SIM_URL}/v1", OPENAI_API_KEY=KEYS["openai"])
    return pod(name, initContainers=[init("before", ANSWERED), own])


def apply(cluster, namespace, *objects):
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), namespace=namespace)


def refused(cluster, namespace, made):
    """What kubectl says where an object is not taken."""
    with pytest.raises(Failed) as told:
        cluster.apply(json.dumps(made), namespace=namespace)
    return str(told.value)


def events(cluster, namespace, kind, name, reason):
    """Messages of events."""
    all = cluster.get("events", f"--field-selector=involvedObject.kind={kind},involvedObject.name={name},reason={reason}", namespace=namespace)
    return [event["message"] for event in all["items"]]


def complete(cluster, name):
    cluster.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=90s", namespace=SPACE)
    [made] = cluster.get("pods", f"--selector=job-name={name}", namespace=SPACE)["items"]
    return made


def sidecars(made):
    """Names of the containers before the app, the sidecar first where there is one."""
    return [c["name"] for c in made["spec"].get("initContainers", [])]


@pytest.fixture(scope="module")
def space(cluster):
    """A namespace that is not opted in and has no policy, with a pod and with a Job whose pod asks for a sidecar."""
    cluster.namespace(SPACE, opted_in=False)
    apply(cluster, SPACE, pod("old"), job("early", ANSWERED, ASKS))
    cluster.ready("old", SPACE)
    return cluster


@pytest.fixture(scope="module")
def opted_in(space):
    """Then opted in, with a policy, and with pods of all kinds."""
    space.kubectl("label", "namespace", SPACE, "llmroute.dev/inject=enabled")
    space.apply(example("minimal"), namespace=SPACE)
    space.condition(POLICY, "Accepted", "True", namespace=SPACE)
    space.namespace(GUARDED, opted_in=True, **{"pod-security.kubernetes.io/enforce": "restricted"})
    space.apply(example("minimal"), namespace=GUARDED)
    space.condition(POLICY, "Accepted", "True", namespace=GUARDED)
    fails = CALL + "assert call()[0] == 200; raise SystemExit(3)"
    apply(space, SPACE, stateful_set("set"), prepared("prepared"), job("task", ANSWERED), job("fails", fails))
    apply(space, GUARDED, pod("guarded", **RESTRICTED))
    return space


def test_a_pod_that_asks_while_there_is_no_policy_is_refused_and_told_why(space):
    why = "llmroute: this pod asks for a sidecar by its label llmroute.dev/inject, and no LLMRoutePolicy in the namespace pods selects it"
    assert why in refused(space, SPACE, pod("asks", ASKS))

    def told():
        messages = events(space, SPACE, "Job", "early", "FailedCreate")
        return any(why in message for message in messages), messages

    space.until(told, "the Job's own events say why it has no pod")
    assert space.get("pods", "--selector=job-name=early", namespace=SPACE)["items"] == []


def test_a_pod_of_before_is_left_alone_and_counted(opted_in):
    def counted():
        status = opted_in.policy(POLICY, SPACE).get("status", {})
        return status.get("sidecars", {}).get("missing") == 1, status

    opted_in.until(counted, "the pod without a sidecar is counted")
    text = opted_in.kubectl("describe", "lrp", POLICY, namespace=SPACE)
    assert "1 selected pod has no sidecar" in text, text
    old = opted_in.get("pod", "old", namespace=SPACE)
    assert sidecars(old) == [] and statuses(old)["app"]["restartCount"] == 0
    opted_in.kubectl("delete", "pod", "old", namespace=SPACE)
    opted_in.until(lambda: (not counted()[0], counted()[1]), "it is gone and counted no more")


def test_jobs_end_those_too_whose_policy_came_later(opted_in):
    for name in ("early", "task"):
        made = complete(opted_in, name)
        assert sidecars(made) == [SIDECAR]
        ended = {name: c["state"]["terminated"]["exitCode"] for name, c in statuses(made).items()}
        assert ended == {SIDECAR: 0, "app": 0}
        assert opted_in.kubectl("logs", f"job/{name}", "--container=app", namespace=SPACE) == "200 openai\n"
    opted_in.kubectl("wait", "--for=condition=Failed", "job/fails", "--timeout=90s", namespace=SPACE)
    [made] = opted_in.get("pods", "--selector=job-name=fails", namespace=SPACE)["items"]
    assert statuses(made)["app"]["state"]["terminated"]["exitCode"] == 3, "its own fault and not a call's"


def test_a_stateful_set_keeps_its_pods_name_and_gets_a_sidecar_each_time(opted_in):
    def served(before):
        opted_in.until(lambda: uid(before), "the set has its pod")
        opted_in.ready("set-0", SPACE)
        now = opted_in.get("pod", "set-0", namespace=SPACE)
        assert sidecars(now) == [SIDECAR]
        assert answered(opted_in, "set-0", SPACE) == "openai"
        return now["metadata"]["uid"]

    def uid(before):
        now = opted_in.get("pod", "set-0", namespace=SPACE)["metadata"]["uid"]
        return now != before, now

    first = served(None)
    opted_in.kubectl("delete", "pod", "set-0", namespace=SPACE)
    served(first)
    # The one before under the same name counts no more.
    def in_sync():
        counted = opted_in.policy(POLICY, SPACE)["status"]["sidecars"]
        return counted["total"] == counted["inSync"] == 2 and counted["missing"] == 0, counted

    opted_in.until(in_sync, "the sidecars of set-0 and prepared are counted, and no other")


def test_init_containers_call_too_and_base_urls_of_their_own_stay(opted_in):
    opted_in.ready("prepared", SPACE)
    made = opted_in.get("pod", "prepared", namespace=SPACE)
    assert sidecars(made) == [SIDECAR, "before", "own"]
    said = {name: opted_in.kubectl("logs", "prepared", f"--container={name}", namespace=SPACE) for name in ("before", "own")}
    assert said == {"before": "200 openai\n", "own": "200 None\n"}, "by the sidecar; straight to the provider"
    env = {c["name"]: {e["name"]: e["value"] for e in c["env"]} for c in made["spec"]["initContainers"][1:]}
    ours = {"OPENAI_BASE_URL": "http://127.0.0.1:15080/v1", "OPENAI_API_KEY": "llmroute",
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:15080", "ANTHROPIC_API_KEY": "llmroute"}
    assert env == {"before": ours, "own": {**ours, "OPENAI_BASE_URL": f"{SIM_URL}/v1", "OPENAI_API_KEY": KEYS["openai"]}}


def test_pod_security_restricted_is_kept_and_pods_without_any_context_work(opted_in):
    opted_in.ready("guarded", GUARDED)
    assert answered(opted_in, "guarded", GUARDED) == "openai"
    told = refused(opted_in, GUARDED, pod("loose"))
    assert "violates PodSecurity" in told and 'container "app"' in told and SIDECAR not in told, told
    # Without a context the app's user is its image's.
    rows = [("guarded", GUARDED, 1000), ("set-0", SPACE, 65532)]
    for name, namespace, app in rows:
        made = opted_in.get("pod", name, namespace=namespace)
        users = {name: c["user"]["linux"]["uid"] for name, c in statuses(made).items()}
        assert users == {SIDECAR: 2102, "app": app}


def test_a_dry_run_shows_the_sidecar_and_leaves_nothing(opted_in):
    shown = json.loads(opted_in.apply(json.dumps(pod("dry")), "--dry-run=server", "--output=json", namespace=SPACE))
    assert sidecars(shown) == [SIDECAR]
    assert opted_in.kubectl("get", "pod", "dry", "--ignore-not-found", namespace=SPACE) == ""


def test_a_pod_whose_policy_went_away_before_it_started_waits_and_is_told_why(cluster):
    cluster.namespace(WAITS, opted_in=True)
    cluster.apply(example("minimal"), namespace=WAITS)
    cluster.condition(POLICY, "Accepted", "True", namespace=WAITS)
    apply(cluster, WAITS, pod("gated", schedulingGates=[{"name": "test/gate"}]))
    cluster.kubectl("delete", "lrp", POLICY, namespace=WAITS)

    def none_kept():
        now = cluster.kubectl("get", "configmap", f"llmroute-{POLICY}", "--ignore-not-found", namespace=WAITS)
        return now == "", now

    cluster.until(none_kept, "the policy's ConfigMap goes with it")
    cluster.kubectl("patch", "pod", "gated", "--type=json", '--patch=[{"op": "remove", "path": "/spec/schedulingGates"}]', namespace=WAITS)

    def told():
        messages = events(cluster, WAITS, "Pod", "gated", "NoPolicy")
        return bool(messages), messages

    cluster.until(told, "the pod's events say why it waits")
    waiting = statuses(cluster.get("pod", "gated", namespace=WAITS))
    assert "running" in waiting[SIDECAR]["state"] and not waiting[SIDECAR]["started"], waiting
    assert waiting["app"]["state"]["waiting"]["reason"] == "PodInitializing", waiting
    cluster.apply(example("minimal"), namespace=WAITS)
    cluster.ready("gated", WAITS)
    assert statuses(cluster.get("pod", "gated", namespace=WAITS))[SIDECAR]["restartCount"] == 0
    assert answered(cluster, "gated", WAITS) == "openai"
