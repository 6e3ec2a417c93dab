"""The main story: an example is applied, an app's pod gets its sidecar, and the policy says who answers its SDK."""

import json

import installed
import pytest

SPACE = "story"
NAME = "shop-assistant"
MODELS = {"openai": "gpt-6-sol", "claude": "claude-sonnet-5-5"}
VENDORS = {"openai": "openai", "claude": "anthropic"}
OPENAI_FIRST = installed.example("minimal")
CLAUDE = "    - {provider: claude, model: claude-sonnet-5-5}\n"
CLAUDE_FIRST = OPENAI_FIRST.replace(CLAUDE, "").replace("    targets:\n", f"    targets:\n{CLAUDE}")
CONFIG = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:15090/config", timeout=10).read().decode())
"""


@pytest.fixture(scope="module")
def shop(cluster):
    """The cluster, with an app of the example's policy in its namespace."""
    cluster.namespace(SPACE, opted_in=True)
    apply(cluster, OPENAI_FIRST)
    cluster.app("app", namespace=SPACE)
    return cluster


def apply(cluster, manifest):
    """Applies the policy, and waits until the sidecars have it."""
    cluster.apply(manifest, namespace=SPACE)
    generation = cluster.policy(NAME, SPACE)["metadata"]["generation"]
    return cluster.condition(NAME, "Accepted", "True", f"generation {generation} is accepted", SPACE)


def in_force(cluster):
    """Waits until every sidecar has the newest version."""
    generation = cluster.policy(NAME, SPACE)["metadata"]["generation"]
    return cluster.condition(NAME, "Ready", "True", f"1 of 1 sidecars acknowledged generation {generation}", SPACE)


def asked(cluster, provider):
    """Asks with both SDKs, plain and streamed: each answer and each request at the simulator is this provider's."""
    before = cluster.last_seen()
    for sdk in ("openai", "anthropic"):
        for told in cluster.ask("app", sdk, "plain", "stream", namespace=SPACE):
            who = {name: told["headers"].get(f"x-llmroute-{name}") for name in ("status", "provider", "model")}
            assert who == {"status": "ok", "provider": provider, "model": MODELS[provider]}, told
            assert told["text"] and told["sdk_retries"] == 0, told
    seen = cluster.sim(f"log?since={before}")
    assert [(e["vendor"], e["model"], e["stream"], e["status"]) for e in seen] == [
        (VENDORS[provider], MODELS[provider], stream, 200) for stream in (False, True, False, True)
    ]


def row(cluster):
    """What `kubectl get lrp` shows of the policy."""
    head, line = cluster.kubectl("get", "lrp", NAME, namespace=SPACE).splitlines()
    return dict(zip(head.split(), line.split(), strict=True))


def test_a_pod_gets_its_sidecar_and_an_edit_moves_its_next_answer(shop):
    [sidecar] = [c for c in shop.get("pod", "app", namespace=SPACE)["spec"]["initContainers"]]
    assert (sidecar["name"], sidecar["image"]) == ("llmroute-sidecar", "llmroute.dev/sidecar:dev")
    apply(shop, OPENAI_FIRST)
    in_force(shop)
    asked(shop, "openai")
    apply(shop, CLAUDE_FIRST)
    in_force(shop)
    asked(shop, "claude")
    shown = row(shop)
    assert shown.pop("AGE") and shown == {"NAME": NAME, "READY": "True", "ACCEPTED": "True", "IN-SYNC": "1", "SIDECARS": "1"}
    # An outage is survived without an edit.
    shop.tell_sim("dark?vendor=anthropic&mode=refuse")
    try:
        [told] = shop.ask("app", "anthropic", "plain", namespace=SPACE)
    finally:
        shop.tell_sim("light")
    assert (told["headers"]["x-llmroute-status"], told["headers"]["x-llmroute-provider"]) == ("degraded", "openai"), told


def test_a_bad_edit_is_refused_with_all_its_faults(shop):
    apply(shop, OPENAI_FIRST)
    before = shop.policy(NAME, SPACE)["metadata"]["generation"]
    rules = "  classify: {rules: [{scene: chat, when: request.colour}, {scene: chat, when: '1 +'}]}\n"
    bad = OPENAI_FIRST.replace("  scenes:", f"{rules}  scenes:")
    with pytest.raises(installed.Failed) as refused:
        shop.apply(bad, namespace=SPACE)
    said = str(refused.value)
    assert f'LLMRoutePolicy "{NAME}" is invalid' in said, said
    assert "spec.classify.rules[0].when" in said and "spec.classify.rules[1].when" in said, said
    with pytest.raises(installed.Failed) as refused:
        shop.apply(OPENAI_FIRST.replace("limitUsd: \"2.00\"", "limitUsd: \"lots\"").replace("OpenAI,", "OpenAPI,"), namespace=SPACE)
    said = str(refused.value)
    assert "spec.budgets[0].limitUsd" in said and "spec.providers[0].api" in said, said
    assert shop.policy(NAME, SPACE)["metadata"]["generation"] == before


def test_describe_tells_the_story_of_a_bad_edit(shop):
    apply(shop, OPENAI_FIRST)
    good = in_force(shop)["metadata"]["generation"]
    # While no replica answers, whatever the schema lets through is stored; it is judged as soon as one does.
    scale(shop, 0)
    try:
        bad = OPENAI_FIRST.replace("  scenes:", "  classify: {rules: [{scene: chat, when: request.colour}]}\n  scenes:")
        shop.apply(bad, namespace=SPACE)
        asked(shop, "openai")
    finally:
        scale(shop, 2)
    kept = f"generation {good + 1} is refused, and generation {good} stays in force"
    shop.condition(NAME, "Accepted", "False", kept, SPACE)
    shop.condition(NAME, "Programmed", "True", f"1 of 1 sidecars acknowledged generation {good}", SPACE)
    told = told_by_describe(shop, "Warning", "Invalid")
    assert kept in told and "spec.classify.rules[0].when" in told and "request.colour" in told, told
    shown = row(shop)
    assert (shown["READY"], shown["ACCEPTED"], shown["IN-SYNC"], shown["SIDECARS"]) == ("False", "False", "1", "1")
    asked(shop, "openai")

    apply(shop, CLAUDE_FIRST)
    in_force(shop)
    asked(shop, "claude")
    told = told_by_describe(shop, "Normal", "Accepted")
    assert f"generation {good + 2} is accepted" in told, told


def test_describe_tells_of_a_key_that_is_not_there(shop):
    apply(shop, OPENAI_FIRST)
    in_force(shop)
    apply(shop, OPENAI_FIRST.replace("credentialKey: claude", "credentialKey: cloude"))
    shop.condition(NAME, "CredentialsReady", "False", "cloude", SPACE)
    told = told_by_describe(shop, "Warning", "KeysMissing")
    assert "the Secret llm-keys lacks, or holds no usable key for cloude" in told, told
    assert row(shop)["READY"] == "False"
    apply(shop, OPENAI_FIRST)
    in_force(shop)


def scale(cluster, replicas):
    cluster.kubectl("scale", "deployment/llmroute-operator", f"--replicas={replicas}", namespace=installed.SYSTEM)
    cluster.kubectl("rollout", "status", "deployment/llmroute-operator", "--timeout=90s", namespace=installed.SYSTEM)
    if not replicas:
        pods = "--selector=app.kubernetes.io/component=operator"
        cluster.kubectl("wait", "pod", "--for=delete", pods, "--timeout=90s", namespace=installed.SYSTEM)


def told_by_describe(cluster, kind, reason):
    """What `kubectl describe` prints, once it shows such an event."""
    def look():
        told = cluster.kubectl("describe", "lrp", NAME, namespace=SPACE)
        events = told.partition("\nEvents:")[2]
        return (told if [line for line in events.splitlines() if line.split()[:2] == [kind, reason]] else None), told

    return cluster.until(look, f"an event {kind} {reason}")


@pytest.mark.parametrize("name", ["minimal", "budgets", "everything"])
def test_the_very_file_is_applied_and_is_run_by_a_sidecar_alone(cluster, name, tmp_path):
    # One of them states its namespace.
    stated = name == "everything"
    space, policy = ("shop", name) if stated else (f"file-{name}", NAME)
    cluster.namespace(space, opted_in=True)
    file = tmp_path / "policy.yaml"
    file.write_text(installed.example(name))
    cluster.kubectl("apply", f"--filename={file}", namespace=None if stated else space)
    labels = {"app": NAME, "track": "stable"}
    cluster.app("injected", space, labels)

    cluster.kubectl("create", "configmap", "the-file", f"--from-file={file}", namespace=space)
    policy_file, keys = {"configMap": {"name": "the-file"}}, {"secret": {"secretName": "llm-keys"}}
    mounts = [("policy", policy_file), ("keys", keys), ("state", {"emptyDir": {}})]
    alone = {
        "name": "sidecar", "image": "llmroute.dev/sidecar:dev",
        "args": ["--policy=/policy/policy.yaml", "--credentials=/keys", "--state=/state"],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 15090}, "periodSeconds": 1},
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name, _ in mounts],
    }
    base = [{"name": "OPENAI_BASE_URL", "value": "http://127.0.0.1:15080/v1"}, {"name": "OPENAI_API_KEY", "value": "none"}]
    made = installed.pod("alone", {**labels, "llmroute.dev/inject": "disabled"}, container={"env": base})
    made["spec"]["containers"].append(alone)
    made["spec"]["volumes"] = [{"name": name, **source} for name, source in mounts]
    cluster.apply(json.dumps(made), namespace=space)
    cluster.ready("alone", space)

    both = ("injected", "alone")
    answers = [answer for pod in both for answer in cluster.ask(pod, "openai", "plain", "stream", namespace=space)]
    assert {answer["headers"].get("x-llmroute-status") for answer in answers} == {"ok"}, answers
    assert len({answer["headers"]["x-llmroute-model"] for answer in answers}) == 1, answers
    first, second = [json.loads(cluster.python(pod, CONFIG, namespace=space))["policy"] for pod in both]
    assert first["source"] in ("Stream", "ConfigMap") and second["source"] == "File"
    assert (first["name"], second["name"]) == (f"{space}/{policy}", f"{'shop' if stated else 'default'}/{policy}")
    # What a file does not know of itself.
    other = ("source", "generation", "hash", "since", "name")
    assert {**second, **{name: first[name] for name in other}} == first
    # It would select pods of other tests.
    cluster.kubectl("delete", "lrp", policy, namespace=space)
    cluster.kubectl("delete", "pod", *both, "--wait=false", namespace=space)
