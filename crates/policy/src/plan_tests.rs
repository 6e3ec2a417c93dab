use super::*;
use crate::{
    bound::Content,
    catalogue,
    outcome::Class,
    snapshot::{
        Api, SceneId, TierId,
        tests::{snapshot, target},
    },
};

#[derive(Default)]
struct Fake {
    gates: Vec<(&'static str, Gate)>,
    p95: Vec<(&'static str, u64)>,
    /// The readings are of streams, not of plain calls.
    of_streams: bool,
    no_key: Option<u16>,
    /// A model that cannot carry the request.
    hindered: Option<&'static str>,
    /// A model that is out of reach of what the request goes on from.
    apart: Option<&'static str>,
    /// Losses at any target of that API.
    loses: Option<(Api, &'static str)>,
}

impl View for Fake {
    fn gate(&self, t: &Target) -> Gate {
        self.gates.iter().find(|(m, _)| t.model.as_deref() == Some(*m)).map_or(Gate::Closed, |(_, g)| *g)
    }
    fn p95(&self, t: &Target, stream: bool, _: u64) -> Option<Duration> {
        let readings = if stream == self.of_streams { self.p95.as_slice() } else { &[] };
        readings.iter().find(|(m, _)| t.model.as_deref() == Some(*m)).map(|(_, ms)| Duration::from_millis(*ms))
    }
    fn has_credential(&self, p: ProviderId) -> bool {
        self.no_key != Some(p.0)
    }
    fn hinders(&self, _: &Target, model: &str) -> Option<&'static str> {
        self.hindered.filter(|m| *m == model).map(|_| "the request has images, and the model takes none")
    }
    fn out_of_reach(&self, _: &Target, model: &str) -> Option<&'static str> {
        self.apart.filter(|m| *m == model).map(|_| "the request goes on from a thread")
    }
    fn loses(&self, t: &Target, _: &str) -> Option<String> {
        let api = if t.provider == ProviderId(0) { Api::OpenAi } else { Api::Anthropic };
        self.loses.filter(|(at, _)| *at == api).map(|(_, lost)| lost.to_owned())
    }
}

fn ask() -> Ask {
    Ask {
        call: Call::Chat,
        model: "gpt-6-sol".into(),
        stream: false,
        images: 0,
        input_bytes: 1000,
        input_estimate: 250,
        max_tokens: None,
        content: Content { text_bytes: 1000, messages: 1, answers: 1, ..Content::default() },
        path_cost: None,
        scene: SceneId(0),
        tier: TierId(0),
        tenant: None,
        max_cost: None,
        max_latency: None,
        kept_by: None,
        later: false,
    }
}

const OPEN: Gate = Gate::Open { until: Tick(9_000_000_000), why: Class::Timeout };

#[track_caller]
fn check(s: &Snapshot, ask: &Ask, view: &Fake, candidates: &[&str], left_out: &[(&str, Cause)]) -> Plan {
    let p = plan(s, ask, view, Tick(0));
    assert_eq!(p.candidates.iter().map(|c| &*c.key.model).collect::<Vec<_>>(), candidates);
    let out: Vec<_> = p.left_out.iter().map(|l| (&*l.key.model, l.reason.cause)).collect();
    assert_eq!(out, left_out);
    p
}

const SOL: &str = "gpt-6-sol";
const LUNA: &str = "gpt-6-luna";
const SONNET: &str = "claude-sonnet-5-5";

#[test]
fn objective_orders_and_a_providers_models_stand_together() {
    let mut s = snapshot();
    check(&s, &ask(), &Fake::default(), &[SOL, LUNA, SONNET], &[]);
    let p = check(&s, &Ask { tier: TierId(1), ..ask() }, &Fake::default(), &[LUNA, SOL, SONNET], &[]);
    assert_eq!(p.candidates[0].standing, Standing::Preferred);
    assert_eq!(p.preferred.unwrap().model.as_ref(), LUNA);

    s.scenes[0].targets = vec![target(0, SOL), target(1, SONNET), target(0, LUNA)];
    let p = check(&s, &ask(), &Fake::default(), &[SOL, LUNA, SONNET], &[]);
    let standings: Vec<_> = p.candidates.iter().map(|c| c.standing).collect();
    assert_eq!(standings, [Standing::Preferred, Standing::SameProvider, Standing::NextProvider]);

    s.tiers[0].objective = Objective::Latency;
    let measured = Fake { p95: vec![(SOL, 900), (LUNA, 800), (SONNET, 100)], ..Fake::default() };
    check(&s, &ask(), &measured, &[SONNET, LUNA, SOL], &[]);
}

#[test]
fn what_a_target_cannot_do_leaves_it_out() {
    let mut s = snapshot();
    let f = Fake::default();
    check(&s, &Ask { call: Call::Responses, ..ask() }, &f, &[SOL, LUNA, SONNET], &[]);
    check(&s, &Ask { call: Call::CountTokens, ..ask() }, &f, &[SOL, LUNA, SONNET], &[]);
    check(
        &s,
        &ask(),
        &Fake { no_key: Some(1), ..Fake::default() },
        &[SOL, LUNA],
        &[(SONNET, Cause::CredentialMissing)],
    );
    let long = Ask { input_estimate: 1_000_001, ..ask() };
    check(&s, &long, &f, &[SOL, LUNA], &[(SONNET, Cause::ContextTooLong)]);
    check(&s, &Ask { input_estimate: 1_000_000, ..ask() }, &f, &[SOL, LUNA, SONNET], &[]);
    let hindered = Fake { hindered: Some(LUNA), ..Fake::default() };
    check(&s, &Ask { call: Call::CountTokens, ..ask() }, &hindered, &[SOL, SONNET], &[(LUNA, Cause::CannotCarry)]);
    let p = check(&s, &ask(), &hindered, &[SOL, SONNET], &[(LUNA, Cause::CannotCarry)]);
    assert_eq!(p.left_out[0].detail, "the request has images, and the model takes none");
    s.tiers[0].strict_translation = true;
    let lossy = Fake { loses: Some((Api::Anthropic, "seed")), ..Fake::default() };
    check(&s, &ask(), &lossy, &[SOL, LUNA], &[(SONNET, Cause::StrictTranslation)]);
    let messages = Ask { call: Call::Messages, ..ask() };
    let lossy = Fake { loses: Some((Api::OpenAi, "thinking")), ..Fake::default() };
    check(&s, &messages, &lossy, &[SONNET], &[(SOL, Cause::StrictTranslation), (LUNA, Cause::StrictTranslation)]);
    check(&s, &ask(), &lossy, &[SONNET], &[(SOL, Cause::StrictTranslation), (LUNA, Cause::StrictTranslation)]);
    check(&s, &ask(), &f, &[SOL, LUNA, SONNET], &[]);
}

#[test]
fn a_cap_on_the_cost_is_held_against_the_worst_case() {
    let mut s = snapshot();
    let f = Fake::default();
    let cap = |nano| Ask { max_cost: Some(Usd(nano)), ..ask() };
    let dear = [(SOL, Cause::MaxCostExceeded), (SONNET, Cause::MaxCostExceeded)];
    let answers = |answers, ask: Ask| Ask { content: Content { answers, ..ask.content }, ..ask };
    let worst = |ask: &Ask| {
        let plan = plan(&s, ask, &f, Tick(0));
        plan.candidates.iter().find(|c| *c.key.model == *LUNA).unwrap().worst.bound.unwrap().usd.0
    };
    // Luna: about 1000 of input at 0.125 (written to the cache) and 2048 of output at 0.50 USD/M is 0.001149.
    let most = worst(&ask());
    assert!((1_140_000..1_160_000).contains(&most), "{most}");
    check(&s, &cap(most), &f, &[LUNA], &dear);
    let all = [(SOL, Cause::MaxCostExceeded), (LUNA, Cause::MaxCostExceeded), (SONNET, Cause::MaxCostExceeded)];
    check(&s, &cap(most - 1), &f, &[], &all);
    check(&s, &answers(2, cap(most)), &f, &[], &all);
    check(&s, &answers(2, Ask { max_tokens: Some(1024), ..cap(most) }), &f, &[LUNA], &dear);
    let count = Ask { call: Call::CountTokens, ..cap(0) };
    check(&s, &count, &f, &[SOL, LUNA, SONNET], &[]);
    s.scenes[0].targets = vec![target(0, "mock"), target(0, LUNA)];
    check(&s, &cap(most), &f, &[LUNA], &[("mock", Cause::MaxCostExceeded)]);
}

#[test]
fn a_target_without_a_model_is_judged_by_the_callers() {
    let mut s = snapshot();
    s.scenes[0].targets = vec![Target { provider: ProviderId(0), model: None, facts: None }, target(1, SONNET)];
    let f = Fake::default();
    let p = check(&s, &Ask { model: LUNA.into(), ..ask() }, &f, &[LUNA, SONNET], &[]);
    assert_eq!(p.candidates[0].target.price(), target(0, LUNA).price());
    let cheap = Ask { max_cost: Some(Usd(2_000_000)), ..ask() };
    check(&s, &Ask { model: LUNA.into(), ..cheap.clone() }, &f, &[LUNA], &[(SONNET, Cause::MaxCostExceeded)]);
    check(&s, &cheap, &f, &[], &[(SOL, Cause::MaxCostExceeded), (SONNET, Cause::MaxCostExceeded)]);
    let hindered = Fake { hindered: Some(SOL), ..Fake::default() };
    check(&s, &ask(), &hindered, &[SONNET], &[(SOL, Cause::CannotCarry)]);
    s.providers[0].models = vec![catalogue::ModelFacts { context_tokens: Some(9), ..catalogue::find(SOL).unwrap() }];
    check(&s, &ask(), &f, &[SONNET], &[(SOL, Cause::ContextTooLong)]);
}

#[test]
fn an_open_circuit_is_left_out_unless_all_are_open() {
    let s = snapshot();
    let one = Fake { gates: vec![(SOL, OPEN)], ..Fake::default() };
    let p = check(&s, &ask(), &one, &[LUNA, SONNET], &[(SOL, Cause::CircuitOpen)]);
    assert_eq!(p.candidates[0].standing, Standing::FirstLeft);
    assert_eq!(p.preferred.unwrap().model.as_ref(), SOL, "an answer from luna is degraded");

    let held = Gate::Held { until: Tick(2_000_000_000) };
    let all = Fake { gates: vec![(SOL, OPEN), (LUNA, held), (SONNET, OPEN)], ..Fake::default() };
    let p = check(&s, &ask(), &all, &[LUNA], &[(SOL, Cause::CircuitOpen), (SONNET, Cause::CircuitOpen)]);
    assert_eq!(p.candidates[0].standing, Standing::LastResort { not_before: Tick(2_000_000_000) });

    // An open circuit is due to be tried at once; one that cannot serve the request is no last resort.
    let soon = Gate::Open { until: Tick(1), why: Class::Server };
    let keyless = Fake { gates: vec![(SOL, OPEN), (LUNA, OPEN), (SONNET, soon)], no_key: Some(1), ..Fake::default() };
    let p = check(&s, &ask(), &keyless, &[SOL], &[(LUNA, Cause::CircuitOpen), (SONNET, Cause::CredentialMissing)]);
    assert_eq!(p.candidates[0].standing, Standing::LastResort { not_before: Tick(0) });
}

#[test]
fn slow_targets_are_left_out_while_another_fits() {
    let s = snapshot();
    let hurry = Ask { max_latency: Some(Duration::from_millis(500)), ..ask() };
    let some = Fake { p95: vec![(SOL, 900), (LUNA, 100)], ..Fake::default() };
    check(&s, &hurry, &some, &[LUNA, SONNET], &[(SOL, Cause::MaxLatencyExceeded)]);
    let all = Fake { p95: vec![(SOL, 900), (LUNA, 800), (SONNET, 700)], ..Fake::default() };
    check(&s, &hurry, &all, &[SOL, LUNA, SONNET], &[]);
    let streams = Fake { of_streams: true, ..some };
    check(&s, &hurry, &streams, &[SOL, LUNA, SONNET], &[]);
    let stream = Ask { stream: true, ..hurry.clone() };
    check(&s, &stream, &streams, &[LUNA, SONNET], &[(SOL, Cause::MaxLatencyExceeded)]);
    let rest = [(SOL, Cause::MaxLatencyExceeded), (LUNA, Cause::CircuitOpen)];
    check(&s, &stream, &Fake { gates: vec![(LUNA, OPEN)], ..streams }, &[SONNET], &rest);
}

#[test]
fn who_keeps_what_the_request_goes_on_from_is_asked_alone() {
    let s = snapshot();
    let kept = Ask { kept_by: Some(KeptBy::Known(ProviderId(1))), ..ask() };
    check(&s, &kept, &Fake::default(), &[SONNET], &[(SOL, Cause::CannotCarry), (LUNA, Cause::CannotCarry)]);
    let somewhere = Ask { kept_by: Some(KeptBy::OneOf(Api::OpenAi)), ..ask() };
    check(&s, &somewhere, &Fake::default(), &[SOL, LUNA], &[(SONNET, Cause::CannotCarry)]);
    // Who has Chat Completions alone keeps nothing.
    let mut s = s;
    s.providers[0].chat_only = true;
    check(&s, &somewhere, &Fake::default(), &[SOL, LUNA, SONNET], &[]);
    s.providers[1].api = Api::OpenAi;
    check(&s, &somewhere, &Fake::default(), &[SONNET], &[(SOL, Cause::CannotCarry), (LUNA, Cause::CannotCarry)]);
    let named = Ask { call: Call::Through(Api::OpenAi), ..kept };
    let p = check(&s, &named, &Fake::default(), &["gpt-6-sol"], &[]);
    assert_eq!(p.candidates[0].key.provider, ProviderId(1));
}

#[test]
fn who_could_take_the_whole_conversation_is_hindered_by_what_is_kept_alone() {
    let s = snapshot();
    let kept = Ask { kept_by: Some(KeptBy::Known(ProviderId(0))), ..ask() };
    let takes_whole = |ask: &Ask, view: Fake| {
        let plan = plan(&s, ask, &view, Tick(0));
        plan.left_out.iter().filter(|l| l.takes_whole).map(|l| l.key.model.to_string()).collect::<Vec<_>>()
    };
    let fake = Fake::default;
    for (ask, view, want) in [
        (ask(), fake(), None),
        (ask(), Fake { apart: Some(SONNET), ..fake() }, Some(SONNET)),
        (kept.clone(), fake(), Some(SONNET)),
        // Its own keeper's other models are not another provider's.
        (kept.clone(), Fake { hindered: Some(LUNA), ..fake() }, Some(SONNET)),
        (kept.clone(), Fake { gates: vec![(SOL, OPEN), (LUNA, OPEN)], ..fake() }, Some(SONNET)),
        (kept.clone(), Fake { hindered: Some(SONNET), ..fake() }, None),
        (kept.clone(), Fake { no_key: Some(1), ..fake() }, None),
        (kept.clone(), Fake { gates: vec![(SONNET, OPEN)], ..fake() }, None),
        (ask(), Fake { apart: Some(SONNET), hindered: Some(SONNET), ..fake() }, None),
        (ask(), Fake { hindered: Some(SONNET), ..fake() }, None),
        // Whether the money or the room is there for the whole of it is seen when it comes.
        (Ask { max_cost: Some(Usd(1)), input_estimate: 2_000_000, ..kept }, fake(), Some(SONNET)),
    ] {
        assert_eq!(takes_whole(&ask, view), Vec::from_iter(want), "{ask:?}");
    }
}

#[test]
fn a_passed_through_path_goes_to_the_first_provider_of_its_api_with_the_callers_model() {
    let s = snapshot();
    let through = Ask { call: Call::Through(Api::OpenAi), model: "text-embedding-3-small".into(), ..ask() };
    let p = check(&s, &through, &Fake::default(), &["text-embedding-3-small"], &[]);
    assert_eq!(p.candidates[0].key.provider, ProviderId(0));
    let through = Ask { call: Call::Through(Api::Anthropic), ..through };
    let p = check(&s, &through, &Fake::default(), &["text-embedding-3-small"], &[]);
    assert_eq!(p.candidates[0].key.provider, ProviderId(1));
}

proptest::proptest! {
    /// Every target of the scene is either a candidate or left out with a reason, once.
    #[test]
    fn nothing_is_forgotten(open in proptest::collection::vec(proptest::bool::ANY, 3), cost in 0u64..40_000_000, tokens in 0u64..500_000) {
        let models = [SOL, LUNA, SONNET];
        let gates = models.iter().zip(&open).filter(|(_, o)| **o).map(|(m, _)| (*m, OPEN)).collect();
        let view = Fake { gates, ..Fake::default() };
        let a = Ask { max_cost: Some(Usd(cost)), input_estimate: tokens, ..ask() };
        let p = plan(&snapshot(), &a, &view, Tick(0));
        let mut all: Vec<_> = p.candidates.iter().map(|c| &c.key).chain(p.left_out.iter().map(|l| &l.key)).map(|k| k.model.to_string()).collect();
        all.sort();
        let mut want = models.map(str::to_owned);
        want.sort();
        proptest::prop_assert_eq!(all, want);
    }
}
