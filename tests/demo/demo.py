#!/usr/bin/env python3
"""The main job, seen live: two apps on official SDKs; an outage of each provider in turn and no failed answer; then a small
budget that is spent, down the ladder and back.

Exits 1 if the story did not come true, as told by the answers themselves."""

import argparse
import decimal
import pathlib
import sys
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "sdk"))

import budget
import stack
import terminal
from cast import Cast, Untrue
from outage import Real, Simulated

# Which app has which provider first; the other one stands behind it.
HOME = {"openai": "openai", "anthropic": "claude"}
CALLS = ("plain", "stream")
PATIENCE = 45


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--credentials", type=pathlib.Path, default=ROOT / "credentials", help="key files `openai` and `claude`")
    try:
        with setting(flags.parse_args().credentials) as scene, Cast(scene.url, scene.pause) as cast:
            tell(scene, cast)
            cast.curtain()
            summary(scene, cast)
        budget.play()
    except Untrue as why:
        terminal.say(f"\nThe story did not come true: {why}", "failed")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def setting(credentials):
    keys = [credentials / name for name in stack.KEYS]
    return Real(credentials.resolve()) if all(key.is_file() and key.read_text().strip() for key in keys) else Simulated()


def tell(scene, cast):
    terminal.act("llmroute: two apps, two providers, one sidecar on localhost", *scene.intro,
                 f"OPENAI_BASE_URL={scene.url}/v1 ANTHROPIC_BASE_URL={scene.url} is all that the apps know.",
                 "Each calls its own provider first: a plain call, then a stream, and again.",
                 "An undisturbed stream is the provider's, byte for byte: its cost is in the metrics only.")
    terminal.act("1. All is well")
    terminal.table_head()
    at_home(cast, list(HOME))
    act = 2
    for app, provider in HOME.items():
        outage(scene, cast, act, app, provider)
        act += 2


def outage(scene, cast, act, app, provider):
    """`provider` goes dark until its app has been served around it and its circuit is open; then it comes back."""
    done, cause = scene.dark(provider)
    terminal.act(f"{act}. {provider} goes dark", done)
    found_out, circuit_open = f"{provider}_{cause}", f"{provider}_circuit_open"

    def served_around(answers):
        mine = [a for a in answers if a.app == app and a.status == "degraded"]
        found = any(a.reason == found_out for a in mine)
        return found and all(sum(a.call == call and a.reason == circuit_open for a in mine) >= 2 for call in CALLS)

    answers = cast.play(f"the {app} app is served around {provider}, plain and streamed", served_around, PATIENCE)
    for answer in answers:
        if answer.status == "degraded" and (answer.provider == provider or answer.reason not in (found_out, circuit_open)):
            raise Untrue(f"{provider} is dark, but: {answer}")
        if answer.status == "degraded" and answer.app != app:
            raise Untrue(f"the {answer.app} app has nothing to do with {provider}, but: {answer}")
    waited = max(a.seconds for a in answers if a.reason == found_out)
    after = [a.seconds for a in answers if a.reason == circuit_open]
    terminal.say(f"  All {len(answers)} calls were answered. Finding out took {waited:.2f} s at most; "
                 f"with the circuit open an answer took {sorted(after)[len(after) // 2]:.2f} s.", "head")
    terminal.act(f"{act + 1}. {provider} comes back", scene.light(provider),
                 "The circuit lets a probe through when it is due, and closes when probes are answered.")
    at_home(cast, [app])


def at_home(cast, apps):
    """Every one of `apps` is answered by its own provider, plain and streamed, the last thing it says."""
    def home(answers):
        last = {(a.app, a.call): a for a in answers}
        mine = [last.get((app, call)) for app in apps for call in CALLS]
        return all(a and a.status == "ok" and a.provider == HOME[a.app] for a in mine)

    cast.play(f"{' and '.join(apps)}: answered by its own provider, plain and streamed", home, PATIENCE)


def summary(scene, cast):
    terminal.act("Summary")
    for app, provider in HOME.items():
        mine = [a for a in cast.answers if a.app == app]
        moved = sum(a.status == "degraded" for a in mine)
        terminal.say(f"  {app} app: {len(mine)} calls, {len(mine) - moved} answered by {provider} as asked, "
                     f"{moved} degraded and told so, none failed, none repeated by the SDK")
    told = sum((a.cost for a in cast.answers if a.cost is not None), decimal.Decimal())
    terminal.say(f"  cost told in answers: ${told:.6f}")
    for provider in stack.get(f"{scene.admin_url}/health/providers")["providers"]:
        circuits = ", ".join(f"{model['name']} {model['circuit']}" for model in provider["models"])
        terminal.say(f"  {provider['name']}, circuits now: {circuits}")
    metrics = core_metrics(scene.admin_url)
    for line in metrics:
        terminal.say(f"  metric: {line}")
    counted = sum(int(line.split()[-1]) for line in metrics if line.startswith("fallback_trigger_count{"))
    degraded = sum(a.status == "degraded" for a in cast.answers)
    if counted != degraded:
        raise Untrue(f"{degraded} answers were degraded, but fallback_trigger_count says {counted}")
    bill = scene.bill()
    for model, total in bill.items():
        tokens = f"{total['input_tokens']} + {total['output_tokens']} tokens"
        terminal.say(f"  billed: {model}, {total['requests']} requests, {tokens}, ${total['nano_usd'] / 1e9:.6f}")
    billed = sum(total["requests"] for total in bill.values())
    if bill and billed != len(cast.answers):
        raise Untrue(f"{len(cast.answers)} calls were answered, but {billed} are on the providers' bill")
    terminal.say("\nNo call failed, every degradation was told, and both providers are back in use.", "ok")


def core_metrics(admin_url):
    """What dashboards see, of the metrics that speak of this story."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{admin_url}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    names = ("fallback_trigger_count{", "degrade_response_ratio{", "provider_success_rate{")
    return [line for line in lines if line.startswith(names)]


if __name__ == "__main__":
    sys.exit(main())
