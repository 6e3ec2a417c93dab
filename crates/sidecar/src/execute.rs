//! The tries of one request: each with a permit, bounded in time, ending in a committed answer or a failure that says
//! what may follow. What fails before the first content may be tried elsewhere; nothing after it is.

use std::{sync::Arc, time::Duration};

use dialect::Dialect;
use policy::{
    Tick,
    ask::Ask,
    attempt::{Course, Leg, Present, Step},
    outcome::{Blame, Next},
    plan::{Candidate, Plan, Standing},
    reason::{Cause, Reason},
    snapshot::{ProviderId, Retries, Rung, Tier},
};

use crate::{
    attempt::{Answer, Asked, Failed, attempt},
    clock,
    enter::{Entered, Entrance, Entry},
    exchange::{Exchange, Try},
    refusal::Refusal,
    state::InForce,
    wire::{Inbound, Streamed},
};

/// What the tries came to.
#[expect(clippy::large_enum_variant, reason = "moved once a request; a box would cost an allocation")]
pub enum Executed {
    /// A committed answer of this candidate.
    Answer(Candidate, Answer),
    /// All failed; the first candidate's failure is the caller's.
    Failed(Box<Failed>),
    /// Nobody was asked: there is an answer from before.
    Kept(Option<Reason>),
    /// Nothing could be tried.
    Refused(Refusal),
}

impl Executed {
    /// Whether an answer from before may stand in, and then why: nobody was asked, or no provider answers. A request that
    /// is itself at fault, and one for which there is no money, stay refused.
    #[must_use]
    pub fn may_be_kept(&self) -> Option<Option<Reason>> {
        match self {
            Executed::Answer(..) => None,
            Executed::Kept(reason) => Some(*reason),
            Executed::Failed(failed) => (failed.failure.row().blame != Blame::Nobody
                || failed.reason.cause == Cause::CircuitOpen)
                .then_some(Some(failed.reason)),
            Executed::Refused(refusal) => matches!(
                refusal.reason.cause,
                Cause::CircuitOpen | Cause::RateLimited | Cause::RateLimitExceeded | Cause::CredentialMissing
            )
            .then_some(Some(refusal.reason)),
        }
    }
}

/// Runs the plan.
pub async fn execute(
    x: &mut Exchange,
    in_force: &Arc<InForce>,
    inbound: &Inbound,
    mut stream: Streamed,
    (plan, ask): (&Plan, &Ask),
    bounds: Bounds,
) -> Executed {
    let mut deadline = bounds.deadline(x.accepted);
    let tier = in_force.snapshot.tier(ask.tier);
    let Some(first) = plan.candidates.first() else {
        return Executed::Refused(whole(x, inbound, plan).unwrap_or_else(|| nothing_to_try(x, plan)));
    };
    let mut wait = Duration::ZERO;
    if let Standing::LastResort { not_before } = first.standing {
        wait = not_before.since(clock::now());
        if not_before >= deadline {
            let limited = Reason::of(first.key.provider, Cause::RateLimited);
            return Executed::Refused(whole(x, inbound, plan).unwrap_or_else(|| Refusal::of(limited).after(wait)));
        }
    }

    let mut course = course(plan, tier);
    let entrance = Entrance { in_force, inbound, plan, ask, tier };
    let mut first_failure: Option<Failed> = None;
    let mut step = course.first();
    while let Step::Try { candidate: index, wait: pause } = step {
        let pause = pause.max(std::mem::take(&mut wait));
        // The runtime's timers are a millisecond coarse, also for no time at all.
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let first = x.tries.is_empty();
        let entry = match entrance.enter(x, index, &course, first, deadline).await {
            Entered::In(entry) => entry,
            Entered::Over(failed) => {
                x.passed.push((plan.candidates[index].key.clone(), failed.reason));
                first_failure.get_or_insert(*failed);
                step = course.skip(index, &mut present(deadline, &mut |p| repeat(in_force, tier, p)));
                continue;
            }
            Entered::Kept(cause) => return Executed::Kept(Some(Reason::own(cause))),
            Entered::Refused(refusal) => return Executed::Refused(refusal),
        };
        let Entry { index, mut wire, mut permit, secret } = entry;
        if x.squeeze.is_some_and(|s| s.rung == Rung::Queue) && first {
            // Who waited in line has its time from here on.
            deadline = bounds.deadline(clock::now());
        }
        let candidate = &plan.candidates[index];
        if course.made() > 0 {
            in_force.series.retry(candidate.key.provider);
        }
        course.begin(index);
        permit.span = x.trace.attempt(course.made(), &in_force.snapshot, &candidate.key, wire.method(), wire.path());
        x.trace.join(&permit.span, &inbound.headers, wire.headers());
        let began = clock::now();
        let asked = Asked { ask, tier, began, deadline, hold_preamble: course.could_go_on() };
        let result = attempt(&asked, candidate, &mut wire, stream.take(), secret.as_ref(), permit).await;
        let took = clock::now().since(began);
        let key = candidate.key.clone();
        match result {
            Ok(answer) => {
                x.tries.push(Try { key, class: policy::outcome::Class::Success, reason: None, may_cost: false, took });
                return Executed::Answer(candidate.clone(), answer);
            }
            Err(failed) => {
                let class = failed.failure.class();
                let (reason, may_cost) = (Some(failed.reason), failed.may_cost);
                x.tries.push(Try { key, class, reason, may_cost, took });
                let mut repeat = |p| repeat(in_force, tier, p);
                step = course.after(index, &failed.failure, &mut present(deadline, &mut repeat));
                if stream.is_spent() {
                    step = Step::Stop;
                }
                // A 4xx that only a later candidate provoked never hides what the first one met.
                first_failure.get_or_insert(failed);
            }
        }
    }
    match first_failure {
        Some(failed) => match whole(x, inbound, plan).filter(|_| failed.failure.row().next == Next::Yes) {
            Some(refusal) => Executed::Refused(refusal),
            None => Executed::Failed(Box::new(failed)),
        },
        None => Executed::Refused(Refusal::own(Cause::NoCandidate)),
    }
}

fn course(plan: &Plan, tier: &Tier) -> Course {
    let last_resort = plan.candidates.iter().any(|c| matches!(c.standing, Standing::LastResort { .. }));
    let attempts = if last_resort { 1 } else { tier.retries.attempts };
    let legs = plan.candidates.iter().map(|c| Leg {
        provider: c.key.provider,
        context_tokens: c.target.facts.as_ref().and_then(|f| f.context_tokens),
    });
    Course::new(legs, Retries { attempts, ..tier.retries })
}

fn present(deadline: Tick, repeat: &mut dyn FnMut(ProviderId) -> bool) -> Present<'_> {
    Present { now: clock::now(), deadline, random: fastrand::u32(0..10_000), repeat }
}

fn repeat(in_force: &InForce, tier: &Tier, provider: ProviderId) -> bool {
    in_force.live(provider).cell.repeats(|b| b.withdraw(clock::now(), tier.retries.budget_ratio))
}

/// Why nobody can be asked: the preferred target's reason, with every target's detail.
fn nothing_to_try(x: &Exchange, plan: &Plan) -> Refusal {
    let preferred = plan.left_out.iter().find(|l| Some(&l.key) == plan.preferred.as_ref()).or(plan.left_out.first());
    let Some(preferred) = preferred else {
        return Refusal::own(Cause::NoCandidate).because("no provider of the policy speaks this API");
    };
    let name = |p| x.in_force.as_ref().map_or("", |f| &*f.snapshot.provider(p).name).to_owned();
    let each = plan.left_out.iter().map(|l| format!("{} at {}: {}", l.key.model, name(l.key.provider), l.detail));
    let list = each.collect::<Vec<_>>().join("; ");
    Refusal::of(preferred.reason).because(format!("{} ({list})", preferred.reason.cause.row().message))
}

/// For a turn of a thread whose keeper cannot take it, while another target could take the whole conversation: Anthropic's
/// SDKs and Claude Code know this refusal, send all turns and go on without a thread. A request by id can wait for the
/// keeper.
fn whole(x: &Exchange, inbound: &Inbound, plan: &Plan) -> Option<Refusal> {
    let head = inbound.head.as_ref().filter(|head| x.dialect == Dialect::Messages && head.stateful && !x.later)?;
    let other = plan.left_out.iter().find(|l| l.takes_whole)?;
    // The keeper's files stay with it, whoever has the turns.
    if head.images + head.documents > 0 && dialect::names_files(&inbound.body) {
        return None;
    }
    let why = "the provider that keeps the thread cannot take this turn; send the whole conversation without `thread`";
    Some(Refusal::of(other.reason).because(why).called("thread_unsupported_request"))
}

/// What bounds a request in time.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The tier's total, or less where the request asks for that.
    total: Duration,
    /// When the caller gives up, a little before.
    patience: Option<Tick>,
}

impl Bounds {
    /// The tier's total, and the caller's own limits.
    #[must_use]
    pub fn new(accepted: Tick, tier: &Tier, ask: &Ask, client_timeout: Option<Duration>) -> Bounds {
        let client = client_timeout.map(|t| t.saturating_sub((t / 20).max(Duration::from_millis(200))));
        let total = ask.max_latency.map_or(tier.timeouts.total, |most| most.min(tier.timeouts.total));
        Bounds { total, patience: client.map(|c| accepted.after(c)) }
    }

    /// When a request must be committed whose time starts at `start`.
    #[must_use]
    pub fn deadline(&self, start: Tick) -> Tick {
        let total = start.after(self.total);
        self.patience.map_or(total, |patience| patience.min(total))
    }
}
