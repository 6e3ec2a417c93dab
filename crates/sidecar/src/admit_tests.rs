use std::panic::{AssertUnwindSafe, catch_unwind};

use policy::{
    ask::Call,
    bound::Content,
    plan::Standing,
    snapshot::{SceneId, TierId},
};

use super::*;
use crate::{adopt::Origin, memory::Memory, telemetry::Telemetry, upstream::Upstream};

const POLICY: &str = r#"
apiVersion: llmroute.dev/v1alpha1
kind: LLMRoutePolicy
metadata: {name: shop}
spec:
  podSelector: {matchLabels: {app: shop}}
  credentials: {secretName: llm-keys}
  providers: [{name: openai, api: OpenAI, credentialKey: openai}]
  scenes: [{name: chat, targets: [{provider: openai, model: gpt-6-sol}]}]
  budgets: [{name: day, window: 24h, limitUsd: "1"}]
"#;

struct Desk {
    state: Arc<State>,
    in_force: Arc<InForce>,
    candidate: Candidate,
    ask: Ask,
}

impl Desk {
    fn new(stream: bool) -> Desk {
        let state = State::new(Upstream::from_env().unwrap(), Memory::new(1000), Telemetry::default());
        state.put_in_force(api::load(POLICY).unwrap(), Origin::default());
        let ask = Ask {
            call: Call::Chat,
            model: "gpt-6-sol".into(),
            stream,
            images: 0,
            input_bytes: 10,
            input_estimate: 3,
            max_tokens: Some(1000),
            content: Content { text_bytes: 10, messages: 1, answers: 1, ..Content::default() },
            path_cost: None,
            scene: SceneId(0),
            tier: TierId(0),
            tenant: None,
            max_cost: None,
            max_latency: None,
            kept_by: None,
            later: false,
        };
        let in_force = state.in_force.load_full().unwrap();
        let target = in_force.snapshot.scene(ask.scene).targets[0].clone();
        let key = TargetKey { provider: target.provider, model: "gpt-6-sol".into() };
        let worst = policy::plan::worst(&in_force.snapshot, &ask, &target).unwrap();
        let candidate = Candidate { target, key, standing: Standing::Preferred, worst };
        Desk { state: Arc::new(state), in_force, candidate, ask }
    }

    fn permit(&self) -> Box<Permit> {
        admit(&self.state, &self.in_force, &self.candidate, &self.ask, &self.candidate.worst, false).unwrap()
    }

    /// Spent and held, in nano-dollars.
    fn stands(&self) -> (u64, u64) {
        let views = self.state.money.nearest(clock::now());
        (views[0].spent, views[0].held)
    }

    fn estimated(&self) -> u64 {
        let page = self.state.telemetry.metrics.render(&self.state, clock::now());
        let name = "llmroute_cost_estimated_usd_total{provider=\"openai\",model=\"gpt-6-sol\"} ";
        let line = page.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
        (line.parse::<f64>().unwrap_or_default() * 1e9).round() as u64
    }
}

#[test]
fn a_panic_gives_the_hold_back_for_what_may_be_billed() {
    let hold = Desk::new(false).candidate.worst.amounts().usd.0;
    // How far the attempt got; what it is charged.
    type Step = fn(&mut Permit);
    let rows: [(&str, bool, Step, u64); 6] = [
        ("unsent", false, |_| {}, 0),
        ("sent", false, |p| assert!(p.send()), hold),
        (
            "about to be sent, when the connection was found dead",
            false,
            |p| {
                assert!(p.send());
                p.unsent();
            },
            0,
        ),
        (
            "refused",
            false,
            |p| {
                assert!(p.send());
                p.refused();
            },
            0,
        ),
        ("a stream that was sent", true, |p| assert!(p.send()), Desk::new(true).early(0)),
        (
            "a stream that had begun",
            true,
            |p| {
                assert!(p.send());
                p.received(100);
            },
            Desk::new(true).early(100),
        ),
    ];
    for (what, stream, step, charged) in rows {
        let desk = Desk::new(stream);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let mut permit = desk.permit();
            assert_eq!(desk.stands(), (0, hold), "{what}");
            step(&mut permit);
            panic!("in a handler");
        }));
        let why = caught.unwrap_err();
        assert_eq!(why.downcast_ref::<&str>(), Some(&"in a handler"), "{what}");
        assert_eq!(desk.stands(), (charged, 0), "{what}");
        assert_eq!(desk.estimated(), charged, "{what}");
    }
}

impl Desk {
    fn early(&self, received: u64) -> u64 {
        self.candidate.worst.bound.unwrap().closed_early(received).0
    }
}

#[test]
fn a_usage_of_zero_is_none() {
    let desk = Desk::new(false);
    let hold = desk.candidate.worst.amounts().usd.0;
    for (tokens, spent) in [
        (Some(Tokens { service_percent: 100, ..Tokens::default() }), hold),
        (None, 2 * hold),
        (Some(Tokens { input: 1, service_percent: 100, ..Tokens::default() }), 2 * hold + 2_000),
    ] {
        let mut permit = desk.permit();
        assert!(permit.send());
        permit.settle(tokens);
        assert_eq!(desk.stands(), (spent, 0));
    }
    assert_eq!(desk.estimated(), 2 * hold);
}

#[test]
fn a_send_that_may_have_arrived_is_charged_before_it_is_sent_again() {
    let desk = Desk::new(false);
    let hold = desk.candidate.worst.amounts().usd.0;
    let mut permit = desk.permit();
    assert!(permit.send() && permit.send_again(&desk.ask, true));
    assert_eq!((desk.stands(), desk.estimated()), ((hold, hold), hold));
    permit.settle(Some(Tokens { input: 1, service_percent: 100, ..Tokens::default() }));
    assert_eq!((desk.stands(), desk.estimated()), ((hold + 2_000, 0), hold));
}
