"""The second part: a small budget is spent, the apps keep asking, and what the tier's ladder does about it."""

import dataclasses
import decimal
import itertools
import pathlib
import tempfile
import time

import money
import stack
import terminal
from app import QUESTIONS
from cast import Cast, Untrue
from outage import Simulated

POLICY_FILE = pathlib.Path(__file__).with_name("budget.yaml")
# As budget.yaml has them.
NAME, WINDOW, LIMIT_NANO = "demo", 20, 16_000_000
PATIENCE = 60
PAUSE = 0.2
LIMIT = 240
TALK = [
    {"role": "user", "content": "I ordered a coat in March."},
    {"role": "assistant", "content": "Thank you. What is the number of your order?"},
    {"role": "user", "content": "It is 4711, a blue one, size M."},
    {"role": "assistant", "content": "I see it. It was sent on the third. What can I do for you?"},
    {"role": "user", "content": "It fits, thank you."},
    {"role": "assistant", "content": "I am glad to hear that."},
]
# Each app repeats its own two questions; an answer to one of them can be given again.
USUAL = {"openai": QUESTIONS[:2], "anthropic": QUESTIONS[2:]}
NEW = {"openai": "Can I change the colour?", "anthropic": "Can I pay by invoice?"}
# Both apps in turn, both questions, plain and streamed.
ORDER = [("openai", 0, "plain"), ("anthropic", 0, "stream"), ("openai", 1, "stream"), ("anthropic", 1, "plain"),
         ("openai", 0, "stream"), ("anthropic", 0, "plain"), ("openai", 1, "plain"), ("anthropic", 1, "stream")]
# What is said where a rung is first reached, in the order of the ladder.
RUNGS = {
    "full": ("6. Money is there",
             "The preferred model answers. Each call first holds the most that it can cost, then settles to its bill."),
    "cheaper": ("7. degradeAt is reached: a cheaper model", "The rest is spared, although the preferred model would still fit."),
    "trimmed": ("8. That does not fit any more: a smaller request",
                "The first turn and the last messages stay, and the answer is kept short."),
    "cached": ("9. Nothing fits: answers from before", "Each app has asked this before, and got a whole answer."),
    "refused": ("10. A new question: refused, and told when to come back",
                "The tier of the anthropic app does not wait. The openai app asks a new one too: it waits in line, unanswered yet."),
    "queued": ("11. Money comes back: the head of the line is served",
               f"What was spent {WINDOW} s ago has left the window."),
}
# Words of an answer: longer than in the first part, and quicker, since the money is to go and not the time.
ANSWER = 100
MANNER = b'{"rules": [{"match": {}, "words": %d, "head_ms": 150, "first_ms": 80, "event_ms": 2}]}' % ANSWER


def play():
    """Tells it all, on simulated providers."""
    with Shop() as scene, Cast(scene.url) as cast:
        limit = money.dollars(LIMIT_NANO)
        terminal.act(f"A budget: {limit} in any {WINDOW} s, for both apps together",
                     "A sidecar and simulated providers of their own, also if you gave keys, since money is spent on purpose.",
                     "The ladder of both tiers: CheaperModel, Trim, Cache; then the openai app's has Queue, both Reject.",
                     "How the budget stands is what the answer's head said (x-llmroute-budget); a stream is still held then.")
        terminal.money_head()
        part = Part(scene, cast)
        down(part)
        back(part)
        summary(part, scene)


def down(part):
    """From the preferred models to answers from before, and to where nothing is left."""
    def from_before(act):
        return {answer.app for answer, rung in act if rung == "cached"} == set(Cast.APPS)

    part.until("both apps are answered from before", from_before)
    for app in Cast.APPS:
        part.ask(app, "plain", NEW[app])
    # On a slow machine money may come back just now; then they ask again.
    want = {"openai": "queued", "anthropic": "refused"}
    while (told := part.hear())[1] != "refused":
        if told[1] != want[told[0].app]:
            part.ask(told[0].app, "plain", NEW[told[0].app])
    part.come_back = time.monotonic() + told[0].retry_after


def back(part):
    """The window passes."""
    while "queued" not in part.reached:
        part.hear()
    terminal.act("12. The anthropic app comes back when it was told to")
    time.sleep(max(0.0, part.come_back - time.monotonic()))
    part.ask("anthropic", "plain", NEW["anthropic"])
    answer, rung = part.hear()
    if rung == "refused":
        raise Untrue(f"it came when it was told to, but: {answer}")
    terminal.act("13. The window passes: the preferred models again", "Nobody asks until half of the money is back.")
    deadline = time.monotonic() + PATIENCE
    while part.spent() > LIMIT_NANO / 2:
        if time.monotonic() > deadline:
            raise Untrue("the money does not come back")
        time.sleep(PAUSE)
    for app in Cast.APPS:
        part.ask(app, "stream", NEW[app])
        answer, rung = part.hear()
        if rung != "full":
            raise Untrue(f"half of the money is there, but: {answer}")


def summary(part, scene):
    terminal.act("Summary of the budget")
    rungs = [call.rung for call in part.calls]
    if part.reached != set(RUNGS):
        raise Untrue(f"the ladder has {set(RUNGS)}, but: {part.reached}")
    counts = ", ".join(f"{rungs.count(rung)} {rung}" for rung in RUNGS if rung in rungs)
    terminal.say(f"  {len(rungs)} calls were answered ({counts}), 1 was refused")
    bill = stack.get(f"{scene.sim_url}/sim/bill")
    spent, instead = bill["total"]["nano_usd"], without_the_ladder(part.calls)
    terminal.say(f"  spent, by the simulator's bill: {money.dollars(spent)}")
    terminal.say(f"  without the ladder: {money.dollars(instead)}, what the simulator bills for the same {len(rungs)} requests "
                 "when the apps ask it directly, without the sidecar, for their preferred models")
    terminal.say(f"  saved: {money.dollars(instead - spent)}, {1 - spent / instead:.0%}", "ok")
    fullest = money.fullest_window(bill, WINDOW * 1_000_000)
    terminal.say(f"  the fullest {WINDOW} s of that bill, slid over every charge: {money.dollars(fullest)} "
                 f"of {money.dollars(LIMIT_NANO)} ({fullest / LIMIT_NANO:.0%})")
    if fullest > LIMIT_NANO or spent >= instead:
        raise Untrue("the cap was passed, or nothing was saved")
    terminal.say("\nThe cap held in every window, every step down was told, and who was refused was told when to come back.", "ok")


def without_the_ladder(calls):
    """What the same requests cost if their preferred models answer them all, in nano-dollars: a simulator is asked."""
    with Bare() as sim, Cast(sim.sim_url) as cast:
        for call in calls:
            cast.ask(call.app, call.name, talk(call.question), LIMIT)
            answer = cast.hear("the simulator answers", time.monotonic() + PATIENCE)
            if answer is None or answer.error:
                raise Untrue(f"the simulator itself did not answer: {answer}")
        bill = stack.get(f"{sim.sim_url}/sim/bill")
    if bill["total"]["requests"] != len(calls):
        raise Untrue(f"{len(calls)} requests were asked, {bill['total']['requests']} billed")
    return bill["total"]["nano_usd"]


def talk(question):
    return [*TALK, {"role": "user", "content": question}]


@dataclasses.dataclass(frozen=True)
class Call:
    """One that was answered."""

    app: str
    name: str
    question: str
    rung: str


class Part:
    """The apps ask in turn, and what they are told is printed as it comes."""

    def __init__(self, scene, cast):
        self.scene = scene
        self.cast = cast
        self.order = itertools.cycle(ORDER)
        self.asked = {}
        self.seen = 0
        self.reached = set()
        self.calls = []

    def ask(self, app, name, question):
        """Says it to the app; its answer is heard later."""
        self.asked[app] = name, question
        self.cast.ask(app, name, talk(question), LIMIT)

    def hear(self):
        """The next answer, printed, and its rung."""
        answer = self.cast.hear("an answer", time.monotonic() + PATIENCE)
        if answer is None:
            raise Untrue("an app ended before its time")
        name, question = self.asked[answer.app]
        sent = money.Request(len(talk(question)), LIMIT)
        got = self.got(answer)
        rung = money.rung(answer.status, sent, got)
        if rung not in self.reached:
            self.reached.add(rung)
            terminal.act(*RUNGS[rung])
        standing = money.Standing.of(answer.budgets, NAME)
        at = time.monotonic() - self.cast.began
        terminal.money_row(at, answer, str(standing), words(rung, answer, sent, got))
        if rung == "refused":
            if answer.reason != "budget_exhausted" or not answer.retry_after or "429" not in answer.error:
                raise Untrue(f"a refusal must be a 429 that says when to come back: {answer}")
        else:
            answer.check()
            self.calls.append(Call(answer.app, name, question, rung))
        return answer, rung

    def got(self, answer):
        """The request as the provider got it, by the simulator's log; None if it got none."""
        if answer.status in ("cached", "refused"):
            return None
        entry, = stack.get(f"{self.scene.sim_url}/sim/log?since={self.seen}")
        self.seen = entry["seq"]
        return money.Request.of(entry["body"])

    def spent(self):
        """What has not left the window, in nano-dollars."""
        row, = stack.get(f"{self.scene.admin_url}/health/budgets")["budgets"]
        return int(decimal.Decimal(row["spent"]) / money.NANO)

    def until(self, what, come_true):
        """The apps ask their usual questions in turn until `come_true(answers with their rungs)`."""
        act, deadline = [], time.monotonic() + PATIENCE
        while not come_true(act):
            if time.monotonic() > deadline:
                raise Untrue(f"it took too long: {what}")
            app, which, name = next(self.order)
            self.ask(app, name, USUAL[app][which])
            act.append(self.hear())
            time.sleep(PAUSE)


def words(rung, answer, sent, got):
    """What was done, in words."""
    match rung:
        case "full":
            return ""
        case "cheaper":
            return "a cheaper model"
        case "trimmed":
            return f"{got.messages} of {sent.messages} messages sent, answer cut to {got.limit} of {sent.limit} tokens"
        case "cached":
            return "nobody was asked"
        case "queued":
            return "waited in line"
        case "refused":
            return f"429, come back in {answer.retry_after} s"


class Shop(Simulated):
    """Simulator and sidecar under a budget."""

    manner = MANNER

    def __init__(self):
        stack.Stack.__init__(self, POLICY_FILE)


class Bare(stack.Stack):
    """The simulator alone, which takes any key and does not dawdle."""

    def __init__(self):
        super().__init__(POLICY_FILE)

    def start(self):
        self.dir = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="llmroute-demo-")))
        self.sim_url = "http://" + self.wait_for(self.run("llmroute-sim", "--words", str(ANSWER)), stack.sim_ready)
