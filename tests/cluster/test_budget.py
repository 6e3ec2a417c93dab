"""One budget for all pods of a policy: whatever becomes of pods and operators, nothing but the provider's bill is asked."""

import json
import time

import calls
import pytest
from installed import SYSTEM, deployment
from node import EXISTING

SPACE, BANK = "money", "bank"
REPLICAS = "--selector=app.kubernetes.io/component=operator"
CONTROL_PORT = 8443
POLICY = """
apiVersion: llmroute.dev/v1alpha1
kind: LLMRoutePolicy
metadata: {name: %(name)s}
spec:
  podSelector: {matchLabels: {app: %(name)s}}
  credentials: {secretName: llm-keys}
  providers: [{name: openai, api: OpenAI, baseUrl: "http://sim.%(bank)s", credentialKey: openai}]
  scenes: [{name: chat, targets: [{provider: openai, model: gpt-6-sol}]}]
  budgets: [%(budgets)s]
"""
# Asks and asks, with as many callers and as long answers as it is told, for tenants in turn, and tells each second what it was told.
SPENDER = calls.CALL + """
import collections, random, sys, threading, time
callers, tokens, told = int(sys.argv[1]), int(sys.argv[2]), collections.Counter()

def ask():
    while True:
        tenant = "t" + str(min(random.randrange(8), random.randrange(8)))
        try:
            status, headers, _ = call(tenant, {"x-llmroute-tenant": tenant}, max_completion_tokens=tokens)
        except OSError:
            status, headers = 0, {}
        told[str(status) + " " + headers.get("x-llmroute-reason", "")] += 1
        if status != 200:
            time.sleep(random.uniform(0.1, 0.3))

for _ in range(callers):
    threading.Thread(target=ask, daemon=True).start()
while True:
    time.sleep(1)
    print(json.dumps(told), flush=True)
"""


class Spenders:
    """A policy whose pods ask for several times what it lets them spend."""

    def __init__(self, cluster, name, budgets, callers=2, tokens=160):
        self.cluster, self.name = cluster, name
        cluster.apply(POLICY % {"name": name, "bank": BANK, "budgets": budgets}, namespace=SPACE)
        cluster.condition(name, "Accepted", "True", namespace=SPACE)
        # Killed with a request under way, as many an app is.
        args = ["-c", SPENDER, str(callers), str(tokens)]
        labels = {"app": name}
        made = deployment(name, 0, labels, container={"args": args}, terminationGracePeriodSeconds=2)
        cluster.apply(json.dumps(made), namespace=SPACE)

    def scale(self, replicas):
        self.cluster.kubectl("scale", f"deployment/{self.name}", f"--replicas={replicas}", namespace=SPACE)
        self.cluster.until(lambda: ((now := len(self.pods())) == replicas, now), f"{replicas} pods are there")
        # Each has a sidecar that the leader has lent something to, or its app would not have begun.
        ready = ("wait", "--for=condition=Ready", "pod", f"--selector=app={self.name}", "--timeout=180s")
        if replicas:
            self.cluster.kubectl(*ready, namespace=SPACE)

    def pods(self):
        """Names of those that do not end."""
        found = self.cluster.get("pods", f"--selector=app={self.name}", namespace=SPACE)["items"]
        return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def told(self):
        """What the apps were told, and how often."""
        lines = self.cluster.kubectl("logs", f"--selector=app={self.name}", "--container=app", "--tail=1",
                                     "--max-log-requests=30", namespace=SPACE)
        all_told = {}
        for line in lines.splitlines():
            for told, count in json.loads(line).items():
                all_told[told] = all_told.get(told, 0) + count
        return all_told

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """The next ones have the provider for themselves."""
        self.cluster.kubectl("delete", "deployment", self.name, "--cascade=foreground", "--timeout=90s", namespace=SPACE)
        self.cluster.kubectl("delete", "lrp", self.name, namespace=SPACE)


@pytest.fixture(scope="module")
def bank(cluster):
    """The cluster, with a provider whose bill is nobody else's and whose answers are as long as they may be."""
    cluster.namespace(SPACE, opted_in=True)
    cluster.providers(BANK)
    return cluster


def answers(cluster, **habits):
    """The provider's bill begins anew; how it answers from now on."""
    cluster.tell_sim("reset", namespace=BANK)
    cluster.tell_sim("script", json.dumps({"rules": [{"words": 4000, **habits}]}), namespace=BANK)


def bill(cluster):
    """When how many nano-dollars were billed to whom, oldest first, and what time it is there, in microseconds."""
    page = cluster.sim("bill", BANK)
    tenants = {entry["seq"]: json.loads(entry["body"])["messages"][-1]["content"] for entry in cluster.sim("log", BANK)}
    charges = [(c["at_us"], c["nano_usd"], tenants[item["seq"]]) for item in page["items"] for c in item["charges"]]
    return sorted(charges), page["now_us"]


def fullest(charges, seconds):
    """The most that any window was billed, in dollars; its ends belong to it."""
    first = total = most = 0
    for at, amount, _ in charges:
        total += amount
        while charges[first][0] < at - seconds * 1_000_000:
            total -= charges[first][1]
            first += 1
        most = max(most, total)
    return most / 1e9


def used(charges, between, seconds, limit):
    """How much of a cap was used between two moments."""
    spent = sum(amount for at, amount, _ in charges if between[0] <= at < between[1])
    return spent / 1e9 / limit * seconds * 1e6 / (between[1] - between[0])


def leader(cluster):
    """The operator's pod that leads."""
    lease = cluster.get("lease", "llmroute-operator", namespace=SYSTEM)["spec"]
    names = [pod["metadata"]["name"] for pod in cluster.get("pods", REPLICAS, namespace=SYSTEM)["items"]]
    [found] = [name for name in names if name in lease.get("holderIdentity", "")]
    return found


def ledger_term(cluster, name):
    return cluster.policy(name, SPACE).get("status", {}).get("ledgerTerm", 0)


class Storm:
    """What happens, one thing after the other, while the apps go on."""

    def __init__(self, cluster, spenders):
        self.cluster, self.spenders = cluster, spenders

    def goes_on(self, what, seconds=10):
        """Some are answered whatever happened."""
        before = len(bill(self.cluster)[0])
        time.sleep(seconds)
        more = len(bill(self.cluster)[0]) - before
        print(f"{what}: {more} charges in {seconds} s", flush=True)
        assert more > 0, what

    def another_lends(self, do):
        """Does something to the leader, and waits until there is a new lender: another replica, or the same one anew."""
        term = ledger_term(self.cluster, self.spenders.name)
        do(leader(self.cluster))
        self.cluster.until(lambda: ((now := ledger_term(self.cluster, self.spenders.name)) > term, now), f"a term above {term}")

    def cut(self, pods):
        """Nothing of these comes to an operator, nor to whoever asks at its port."""
        for name in pods:
            address = self.cluster.get("pod", name, namespace=SPACE)["status"]["podIP"]
            self.nft("add", "rule", "inet", "cut", "pods", "ip", "saddr", address, "tcp", "dport", str(CONTROL_PORT), "drop")

    def nft(self, *words):
        self.cluster.node.run("nft", *words)


@pytest.mark.skipif(EXISTING, reason="USE_EXISTING_CLUSTER: its nodes' processes and packets are not ours")
def test_whatever_happens_no_window_is_billed_above_its_cap(bank):
    # Two keys apply to each request; that of its tenant is lent when it is first asked for.
    window, limit, of_tenant = 10, 0.2, 0.03
    answers(bank)
    budgets = f"""
    {{name: all, window: {window}s, limitUsd: "{limit}"}},
    {{name: each, window: {window}s, limitUsd: "{of_tenant}", scope: Tenant}}"""
    with Spenders(bank, "storm", budgets) as spenders:
        try:
            rage(bank, spenders)
        finally:
            # Addresses are given to others.
            bank.node.run("nft", "delete", "table", "inet", "cut", check=False)
        charges, _ = bill(bank)
    tenants = {tenant for _, _, tenant in charges}
    shown = {t: fullest([c for c in charges if c[2] == t], window) for t in tenants}
    print(f"fullest {fullest(charges, window):.4f} of {limit}, a tenant's {max(shown.values()):.4f} of {of_tenant}", flush=True)
    assert fullest(charges, window) <= limit
    assert len(tenants) == 8 and max(shown.values()) <= of_tenant, shown


def rage(bank, spenders):
    """One thing after the other goes wrong, while apps ask for several times what there is."""
    storm = Storm(bank, spenders)
    spenders.scale(1)
    storm.goes_on("one pod")
    spenders.scale(20)
    storm.goes_on("twenty pods")
    told = spenders.told()
    print(told, flush=True)
    # Who is refused waits before he asks again.
    assert told["429 budget_exhausted"] > 2 * told["200 "], told
    storm.nft("add", "table", "inet", "cut")
    storm.nft("add", "chain", "inet", "cut", "pods", "{ type filter hook forward priority -10; }")
    names = spenders.pods()
    storm.cut(names[:2])
    for name in names[2:5]:
        bank.signal(name, "llmroute-sidecar", "SIGKILL", SPACE)
    storm.goes_on("two are cut off, three sidecars are killed")
    storm.another_lends(lambda name: bank.signal(name, "llmroute-operator", "SIGKILL", SYSTEM))
    storm.goes_on("the leader is killed")
    bank.kubectl("delete", "pod", *names[5:7], "--force", "--grace-period=0", namespace=SPACE)
    storm.another_lends(lambda name: bank.kubectl("delete", "pod", name, namespace=SYSTEM))
    storm.goes_on("two pods are deleted by force, and the leader's ends")
    storm.another_lends(lambda name: bank.signal(name, "llmroute-operator", "SIGSTOP", SYSTEM))
    for replica in bank.get("pods", REPLICAS, namespace=SYSTEM)["items"]:
        bank.signal(replica["metadata"]["name"], "llmroute-operator", "SIGCONT", SYSTEM)
    storm.goes_on("the leader was frozen, and goes on beside the next one")
    bank.kubectl("rollout", "restart", f"deployment/{spenders.name}", namespace=SPACE)
    storm.goes_on("all pods are replaced", 30)
    storm.nft("delete", "table", "inet", "cut")
    spenders.scale(1)
    storm.goes_on("one pod again", 20)


def test_ten_pods_use_most_of_a_cap(bank):
    # As in the simulation: requests of a second and a cent, demand of several times two dollars a minute.
    window, limit = 60, 2.0
    answers(bank, head_ms=1000)
    with Spenders(bank, "steady", f'{{name: all, window: {window}s, limitUsd: "{limit}"}}', tokens=995) as spenders:
        spenders.scale(10)
        time.sleep(window)
        _, begin = bill(bank)
        time.sleep(2 * window)
        charges, end = bill(bank)
        told = spenders.told()
    share = used(charges, (begin, end), window, limit)
    print(f"{share:.3f} of the cap is used, the fullest window has {fullest(charges, window):.4f} of {limit}; {told}", flush=True)
    assert fullest(charges, window) <= limit
    assert share >= 0.901
    assert set(told) == {"200 ", "429 budget_exhausted"}, told


@pytest.mark.skipif(EXISTING, reason="USE_EXISTING_CLUSTER: its nodes' processes are not ours to kill")
def test_an_hours_budget_is_spent_once_whoever_lends(bank):
    limit = 0.6
    answers(bank)
    with Spenders(bank, "hour", f'{{name: hour, window: 1h, limitUsd: "{limit}"}}') as spenders:
        storm = Storm(bank, spenders)
        spenders.scale(3)
        storm.another_lends(lambda name: bank.signal(name, "llmroute-operator", "SIGKILL", SYSTEM))
        bank.condition(spenders.name, "BudgetAvailable", "False", "hour", SPACE)
        time.sleep(5)
        charges, _ = bill(bank)
    spent = sum(amount for _, amount, _ in charges) / 1e9
    print(f"{spent:.4f} of {limit}", flush=True)
    assert limit * 0.7 < spent <= limit
