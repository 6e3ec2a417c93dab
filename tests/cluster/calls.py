"""Calls from an app's container with the interpreter alone, which starts faster than an SDK, and what they came to."""

import json

CALL = """
import json, os, urllib.error, urllib.request

def call(say="Where is my parcel?", hints={}, **more):
    body = {"model": "gpt-6-sol", "messages": [{"role": "user", "content": say}], **more}
    headers = {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"], **hints}
    ask = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(), headers)
    try:
        told = urllib.request.urlopen(ask, timeout=30)
    except urllib.error.HTTPError as refused:
        told = refused
    return told.status, dict(told.headers), told.read().decode()
"""
# For the end of a program that is to fail unless it is answered.
ANSWERED = CALL + "status, headers, _ = call(); print(status, headers.get('x-llmroute-provider')); assert status == 200\n"
PAGE = "import sys, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:15090' + sys.argv[1], timeout=10).read().decode())"


def call(cluster, pod, namespace):
    """Status, headers and body of one plain call of an app."""
    return tuple(json.loads(cluster.python(pod, CALL + "print(json.dumps(call()))", namespace=namespace)))


def answered(cluster, pod, namespace):
    """One plain call, which must be answered; by whom."""
    status, headers, body = call(cluster, pod, namespace)
    assert status == 200, body
    return headers["x-llmroute-provider"]


def config(cluster, pod, namespace):
    """The sidecar's own page, as its app sees it."""
    return json.loads(cluster.python(pod, PAGE, "/config", namespace=namespace))


def metric(cluster, pod, namespace, name):
    """A number of the sidecar's page of metrics."""
    page = cluster.python(pod, PAGE, "/metrics", namespace=namespace)
    [value] = [line.rsplit(" ", 1)[1] for line in page.splitlines() if line.startswith(name)]
    return float(value)


def statuses(pod):
    """How each container of a pod is, by its name."""
    status = pod.get("status", {})
    return {c["name"]: c for c in status.get("initContainerStatuses", []) + status.get("containerStatuses", [])}
