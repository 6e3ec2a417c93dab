use std::{collections::BTreeMap, env, fs, path::Path, time::Duration};

use dialect::Dialect;
use policy::{
    ask::{Ask, Call},
    bound::Content,
    catalogue::Tokens,
    outcome::Failure,
    plan::{Candidate, Plan, Standing, TargetKey},
    reason::Cause,
    snapshot::{SceneId, Target, TierId},
};

use super::*;
use crate::{
    admit::admit,
    adopt::Origin,
    clock,
    exchange::{Exchange, Told},
    memory::Memory,
    telemetry::Telemetry,
    upstream::Upstream,
    wire::Inbound,
};

const POLICY: &str = r#"
apiVersion: llmroute.dev/v1alpha1
kind: LLMRoutePolicy
metadata: {name: shop, generation: 7}
spec:
  podSelector: {matchLabels: {app: shop}}
  credentials: {secretName: llm-keys}
  providers:
  - {name: openai, api: OpenAI, credentialKey: openai, limits: {requestsPerMinute: 500}}
  - {name: claude, api: Anthropic, credentialKey: claude}
  tiers:
  - {name: gold}
  - {name: silver}
  scenes:
  - name: chat
    targets: [{provider: openai, model: gpt-6-sol}, {provider: openai, model: gpt-6-luna}, {provider: claude, model: claude-sonnet-5-5}]
  - {name: code, targets: [{provider: claude, model: claude-sonnet-5-5}]}
  - {name: any, targets: [{provider: openai}]}
  # No version acts on it yet, so there is a row of it.
  health: {unhealthyBelow: 50}
  budgets:
  - {name: minute, window: 1m, limitUsd: "2.00"}
  - {name: tenant-day, window: 24h, limitUsd: "20", scope: Tenant}
  - {name: scene-hour, window: 1h, limitUsd: "6", scope: Scene}
  - {name: provider-ten, window: 10s, limitUsd: "0.1", scope: Provider}
  cutover: {}
"#;

fn state(policy: &str) -> Arc<State> {
    let state = State::new(Upstream::from_env().unwrap(), Memory::new(1000), Telemetry::default());
    put(&state, policy);
    Arc::new(state)
}

fn put(state: &State, policy: &str) {
    state.put_in_force(api::load(policy).unwrap(), Origin::default());
}

fn in_force(state: &State) -> Arc<InForce> {
    state.in_force.load_full().unwrap()
}

/// Samples by their name and labels as they stand on the page.
fn page(state: &Arc<State>, now: Tick) -> BTreeMap<String, String> {
    let text = state.telemetry.metrics.render(state, now);
    let samples = text.lines().filter(|l| !l.starts_with('#'));
    samples.map(|l| l.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect()
}

#[track_caller]
fn has(page: &BTreeMap<String, String>, rows: &[(&str, &str)]) {
    for (name, want) in rows {
        assert_eq!(page.get(*name).map(String::as_str), Some(*want), "{name}");
    }
}

fn ask(scene: u16, tenant: Option<&str>) -> Ask {
    Ask {
        call: Call::Chat,
        model: "gpt-6-sol".into(),
        stream: false,
        images: 0,
        input_bytes: 10,
        input_estimate: 3,
        max_tokens: Some(100),
        content: Content { text_bytes: 10, messages: 1, answers: 1, ..Content::default() },
        path_cost: None,
        scene: SceneId(scene),
        tier: TierId(0),
        tenant: tenant.map(Arc::from),
        max_cost: None,
        max_latency: None,
        kept_by: None,
        later: false,
    }
}

fn candidate(snapshot: &Snapshot, ask: &Ask, target: &Target) -> Candidate {
    let model = target.model.clone().unwrap_or_else(|| "named-by-a-caller".into());
    let key = TargetKey { provider: target.provider, model };
    let worst = policy::plan::worst(snapshot, ask, target).unwrap_or_default();
    Candidate { target: target.clone(), key, standing: Standing::Preferred, worst }
}

/// One attempt of the scene's `target`th target, that costs 1000 input tokens where it succeeds.
fn attempt(state: &Arc<State>, ask: &Ask, target: usize, failure: Option<Failure>) {
    let in_force = in_force(state);
    let candidate = candidate(&in_force.snapshot, ask, &in_force.snapshot.scene(ask.scene).targets[target]);
    let mut permit = admit(state, &in_force, &candidate, ask, &candidate.worst, false).unwrap();
    assert!(permit.send());
    match failure {
        Some(failure) => {
            if let Failure::Rejected { .. } = failure {
                permit.refused();
            }
            permit.fail(failure, None);
        }
        None => {
            permit.first_content();
            permit.settle(Some(Tokens {
                input: 1000,
                cached: 400,
                output: 20,
                service_percent: 100,
                ..Tokens::default()
            }));
        }
    }
}

fn inbound() -> Inbound {
    Inbound::new(hyper::Method::GET, hyper::Uri::default(), crate::headers::List::default())
}

/// One request of a scene, `None` if it was not understood, that ends so.
fn request(state: &Arc<State>, scene: Option<u16>, told: Told) {
    let mut x = Exchange::new(state.clone(), state.in_force.load_full(), &inbound(), Dialect::Chat);
    x.call = "chat";
    x.ask = scene.map(|s| Arc::new(ask(s, None)));
    x.end(told);
}

fn answered(status: Status) -> Told {
    let served = TargetKey { provider: ProviderId(0), model: "gpt-6-sol".into() };
    let reason = (status != Status::Ok).then_some(Reason::of(ProviderId(0), Cause::TimeoutBudgetExceeded));
    Told { served: Some(served), first_content: Some(Duration::from_millis(15)), ..Told::new(status, 200, reason) }
}

#[test]
fn the_core_metrics_exist_from_the_start() {
    let state = state(POLICY);
    has(
        &page(&state, clock::now()),
        &[
            ("provider_success_rate{provider=\"openai\"}", "1.0"),
            ("provider_success_rate{provider=\"claude\"}", "1.0"),
            ("provider_p95_latency{provider=\"openai\"}", "0.0"),
            ("provider_timeout_ratio{provider=\"claude\"}", "0.0"),
            ("token_cost_per_min{budget=\"minute\"}", "0.0"),
            ("token_cost_per_min{budget=\"tenant-day\"}", "0.0"),
            ("budget_limit_per_min{budget=\"minute\"}", "2.0"),
            ("budget_limit_per_min{budget=\"tenant-day\"}", "0.013888888888888888"),
            ("budget_limit_per_min{budget=\"scene-hour\"}", "0.1"),
            ("budget_limit_per_min{budget=\"provider-ten\"}", "0.6"),
            ("degrade_response_ratio{scene=\"chat\"}", "0.0"),
            ("degrade_response_ratio{scene=\"code\"}", "0.0"),
        ],
    );
}

#[test]
fn attempts_move_the_core_metrics_for_a_minute() {
    let state = state(POLICY);
    let ask = ask(0, None);
    for failure in [None, None, None, Some(Failure::Timeout), Some(Failure::Rejected { status: 400 })] {
        attempt(&state, &ask, 0, failure);
    }
    let now = clock::now();
    let full = page(&state, now);
    has(
        &full,
        &[
            ("provider_success_rate{provider=\"openai\"}", "0.75"),
            ("provider_timeout_ratio{provider=\"openai\"}", "0.25"),
            ("provider_success_rate{provider=\"claude\"}", "1.0"),
            // 600 fresh at 2, 400 cached at 0.20, 20 out at 10 USD/M, three times; and the whole hold of what timed out.
            ("token_cost_per_min{budget=\"minute\"}", "0.005920074"),
            ("llmroute_cost_estimated_usd_total{provider=\"openai\",model=\"gpt-6-sol\"}", "0.001480074"),
            ("llmroute_attempts_total{provider=\"openai\",model=\"gpt-6-sol\",class=\"success\"}", "3"),
            ("llmroute_attempts_total{provider=\"openai\",model=\"gpt-6-sol\",class=\"timeout\"}", "1"),
            ("llmroute_attempts_total{provider=\"openai\",model=\"gpt-6-sol\",class=\"caller_error\"}", "1"),
            ("llmroute_attempts_total{provider=\"openai\",model=\"gpt-6-luna\",class=\"success\"}", "0"),
            ("llmroute_attempt_duration_seconds_count{provider=\"openai\",model=\"gpt-6-sol\"}", "5"),
            ("llmroute_attempt_first_content_seconds_count{provider=\"openai\",model=\"gpt-6-sol\"}", "3"),
            ("llmroute_tokens_total{provider=\"openai\",model=\"gpt-6-sol\",kind=\"input\"}", "1800"),
            ("llmroute_tokens_total{provider=\"openai\",model=\"gpt-6-sol\",kind=\"cached_input\"}", "1200"),
            ("llmroute_tokens_total{provider=\"openai\",model=\"gpt-6-sol\",kind=\"cache_write\"}", "0"),
            ("llmroute_tokens_total{provider=\"openai\",model=\"gpt-6-sol\",kind=\"output\"}", "60"),
            ("llmroute_cost_usd_total{provider=\"openai\",model=\"gpt-6-sol\"}", "0.00444"),
        ],
    );
    assert_ne!(full["provider_p95_latency{provider=\"openai\"}"], "0.0");
    has(
        &page(&state, now.after(Duration::from_secs(61))),
        &[
            ("provider_success_rate{provider=\"openai\"}", "1.0"),
            ("provider_p95_latency{provider=\"openai\"}", "0.0"),
            ("provider_timeout_ratio{provider=\"openai\"}", "0.0"),
            ("token_cost_per_min{budget=\"minute\"}", "0.0"),
            ("budget_limit_per_min{budget=\"minute\"}", "2.0"),
            ("llmroute_cost_usd_total{provider=\"openai\",model=\"gpt-6-sol\"}", "0.00444"),
        ],
    );
}

#[test]
fn a_scoped_budget_speaks_of_the_value_nearest_its_limit() {
    let state = state(POLICY);
    for (scene, target, tenant) in
        [(0, 0, Some("a")), (0, 2, Some("b")), (1, 0, Some("b")), (1, 0, None), (0, 0, Some("b")), (0, 1, Some("c"))]
    {
        attempt(&state, &ask(scene, tenant), target, None);
    }
    // sol 0.00148; sonnet 600 at 2, 400 at 0.10, 20 at 10 USD/M: 0.00144; luna 0.000074
    has(
        &page(&state, clock::now()),
        &[
            ("token_cost_per_min{budget=\"minute\"}", "0.007354"),
            ("token_cost_per_min{budget=\"tenant-day\"}", "0.00436"),
            ("token_cost_per_min{budget=\"scene-hour\"}", "0.004474"),
            ("token_cost_per_min{budget=\"provider-ten\"}", "0.00432"),
        ],
    );
}

#[test]
fn models_that_callers_name_share_a_row() {
    let state = state(POLICY);
    attempt(&state, &ask(2, None), 0, None);
    let page = page(&state, clock::now());
    has(&page, &[("llmroute_attempts_total{provider=\"openai\",model=\"*\",class=\"success\"}", "1")]);
    assert!(!page.keys().any(|k| k.contains("named-by-a-caller")));
}

#[test]
fn requests_are_counted_by_how_they_ended() {
    let state = state(POLICY);
    request(&state, Some(0), answered(Status::Ok));
    request(&state, Some(0), answered(Status::Ok));
    request(&state, Some(0), answered(Status::Degraded));
    request(&state, Some(0), Told::new(Status::Failed, 502, Some(Reason::of(ProviderId(1), Cause::Unreachable))));
    request(&state, Some(1), Told { client_gone: true, ..Told::new(Status::Failed, 499, None) });
    request(&state, Some(1), Told { client_gone: true, ..answered(Status::Degraded) });
    request(&state, None, Told::new(Status::Refused, 400, Some(Reason::own(Cause::BadRequest))));
    let now = clock::now();
    let full = page(&state, now);
    let row = |rest: &str| format!("llmroute_requests_total{{call=\"chat\",{rest}}}");
    let late = "openai_timeout_budget_exceeded";
    has(
        &full,
        &[
            (&row("scene=\"chat\",tier=\"gold\",status=\"ok\",reason=\"\""), "2"),
            (&row(&format!("scene=\"chat\",tier=\"gold\",status=\"degraded\",reason=\"{late}\"")), "1"),
            (&row("scene=\"chat\",tier=\"gold\",status=\"failed\",reason=\"claude_unreachable\""), "1"),
            (&row("scene=\"code\",tier=\"gold\",status=\"client_gone\",reason=\"\""), "1"),
            (&row(&format!("scene=\"code\",tier=\"gold\",status=\"client_gone\",reason=\"{late}\"")), "1"),
            (&row("scene=\"\",tier=\"\",status=\"refused\",reason=\"bad_request\""), "1"),
            ("degrade_response_ratio{scene=\"chat\"}", "0.25"),
            ("degrade_response_ratio{scene=\"code\"}", "1.0"),
            ("llmroute_requests_in_flight", "0"),
            ("llmroute_request_duration_seconds_count{scene=\"chat\",tier=\"gold\",stream=\"false\"}", "4"),
            ("llmroute_request_first_content_seconds_count{scene=\"chat\",tier=\"gold\",stream=\"false\"}", "3"),
            (
                "llmroute_request_first_content_seconds_bucket{le=\"0.01\",scene=\"chat\",tier=\"gold\",stream=\"false\"}",
                "0",
            ),
            (
                "llmroute_request_first_content_seconds_bucket{le=\"0.02\",scene=\"chat\",tier=\"gold\",stream=\"false\"}",
                "3",
            ),
        ],
    );
    has(&page(&state, now.after(Duration::from_secs(61))), &[("degrade_response_ratio{scene=\"chat\"}", "0.0")]);
}

#[test]
fn a_request_before_any_policy_is_counted_too() {
    let state = Arc::new(State::new(Upstream::from_env().unwrap(), Memory::new(1000), Telemetry::default()));
    request(&state, None, Told::new(Status::Refused, 503, Some(Reason::own(Cause::PolicyNotReady))));
    let name =
        "llmroute_requests_total{call=\"chat\",scene=\"\",tier=\"\",status=\"refused\",reason=\"policy_not_ready\"}";
    has(&page(&state, clock::now()), &[(name, "1"), ("llmroute_policy_in_force_since_seconds", "0.0")]);
}

fn fall_back(state: &Arc<State>, to: TargetKey, reason: Option<Reason>) {
    let mut x = Exchange::new(state.clone(), state.in_force.load_full(), &inbound(), Dialect::Chat);
    let preferred = Some(TargetKey { provider: ProviderId(0), model: "gpt-6-sol".into() });
    x.plan = Some(Arc::new(Plan { candidates: vec![], left_out: vec![], preferred }));
    x.went_to(&to, reason);
    x.end(answered(Status::Ok));
}

#[test]
fn fallbacks_are_counted_by_providers_and_reason() {
    let state = state(POLICY);
    let key = |p, model: &str| TargetKey { provider: ProviderId(p), model: model.into() };
    let open = Some(Reason::of(ProviderId(0), Cause::CircuitOpen));
    fall_back(&state, key(1, "claude-sonnet-5-5"), open);
    fall_back(&state, key(1, "claude-sonnet-5-5"), open);
    fall_back(&state, key(0, "gpt-6-luna"), open);
    fall_back(&state, key(0, "gpt-6-sol"), None);
    let mut rows: Vec<_> = page(&state, clock::now()).into_iter().filter(|(n, _)| n.starts_with("fallback")).collect();
    rows.sort();
    let row = |to, n: &str| {
        let labels = format!("from=\"openai\",to=\"{to}\",reason=\"openai_circuit_open\"");
        (format!("fallback_trigger_count{{{labels}}}"), n.to_owned())
    };
    assert_eq!(rows, [row("claude", "2"), row("openai", "1")]);
}

#[test]
fn after_a_reload_names_that_stay_keep_their_values_and_others_vanish() {
    let state = state(POLICY);
    let before = in_force(&state);
    attempt(&state, &ask(0, None), 0, None);
    attempt(&state, &ask(1, None), 0, None);
    request(&state, Some(0), answered(Status::Degraded));
    request(&state, Some(1), answered(Status::Degraded));
    fall_back(
        &state,
        TargetKey { provider: ProviderId(1), model: "claude-sonnet-5-5".into() },
        Some(Reason::own(Cause::Internal)),
    );
    // `claude` and `code` are renamed, openai moves to the second place, a budget changes its scope.
    let renamed = POLICY
        .replace("claude", "anthropic")
        .replace("anthropic-sonnet", "claude-sonnet")
        .replace("name: code", "name: coding")
        .replace("scope: Scene", "scope: Tier");
    let openai = "  - {name: openai, api: OpenAI, credentialKey: openai, limits: {requestsPerMinute: 500}}\n";
    put(&state, &renamed.replace(openai, "").replace("  tiers:\n", &format!("{openai}  tiers:\n")));
    let page_of = || page(&state, clock::now());
    let now = page_of();
    let chat = "scene=\"chat\",tier=\"gold\",status=\"degraded\",reason=\"openai_timeout_budget_exceeded\"";
    let chat = format!("llmroute_requests_total{{call=\"chat\",{chat}}}");
    has(
        &now,
        &[
            (&chat, "1"),
            ("token_cost_per_min{budget=\"minute\"}", "0.00292"),
            ("token_cost_per_min{budget=\"scene-hour\"}", "0.0"),
            ("degrade_response_ratio{scene=\"chat\"}", "1.0"),
            ("degrade_response_ratio{scene=\"coding\"}", "0.0"),
            ("llmroute_attempts_total{provider=\"openai\",model=\"gpt-6-sol\",class=\"success\"}", "1"),
            ("llmroute_attempts_total{provider=\"anthropic\",model=\"claude-sonnet-5-5\",class=\"success\"}", "0"),
        ],
    );
    let gone = |page: &BTreeMap<String, String>| {
        page.keys().filter(|k| k.contains("\"claude\"") || k.contains("\"code\"")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(gone(&now), Vec::<String>::new());
    // A request under way is still counted by the policy it began with, and brings no name back.
    for (scene, status) in [(0, Status::Degraded), (0, Status::Ok), (1, Status::Failed)] {
        let mut x = Exchange::new(state.clone(), Some(before.clone()), &inbound(), Dialect::Chat);
        x.call = "chat";
        x.ask = Some(Arc::new(ask(scene, None)));
        x.end(answered(status));
    }
    let now = page_of();
    let ok = "llmroute_requests_total{call=\"chat\",scene=\"chat\",tier=\"gold\",status=\"ok\",reason=\"\"}";
    has(&now, &[(&chat, "2"), (ok, "1"), ("degrade_response_ratio{scene=\"chat\"}", "0.6666666666666666")]);
    assert_eq!(gone(&now), Vec::<String>::new());
}

#[test]
fn the_list_of_metrics_is_what_dashboards_depend_on() {
    let state = state(POLICY);
    attempt(&state, &ask(0, None), 0, None);
    request(&state, Some(0), answered(Status::Ok));
    let reason = Some(Reason::of(ProviderId(0), Cause::CircuitOpen));
    fall_back(&state, TargetKey { provider: ProviderId(1), model: "claude-sonnet-5-5".into() }, reason);
    let dir = env::temp_dir().join(format!("llmroute-metrics-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("openai"), "sk-a-key-for-the-list").unwrap();
    state.keys.store(Arc::new(state.keys.load().reread(&dir).unwrap().0));
    fs::remove_dir_all(&dir).unwrap();

    state.telemetry.metrics.later_ended("completed");

    let fresh = list(&state.telemetry.metrics.render(&state, clock::now()));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/metrics.txt");
    if env::var_os("LLMROUTE_GENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &fresh).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == fresh, "{} is stale: run `make gen`; it should say\n{fresh}", path.display());
}

/// `name type {labels} help`, a metric a line, in the order of the page.
fn list(page: &str) -> String {
    let mut out = String::new();
    let blocks = page.split("# HELP ").skip(1);
    for block in blocks {
        let mut lines = block.lines();
        let (name, help) = lines.next().unwrap().split_once(' ').unwrap();
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        let sample = lines.next().unwrap_or_else(|| panic!("{name} has no sample"));
        let labels =
            sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
        let labels = labels.split("\",").filter_map(|l| l.split_once("=\"")).map(|(name, _)| name);
        out.push_str(&format!("{name} {kind} {{{}}} {help}\n", labels.collect::<Vec<_>>().join(",")));
    }
    out
}
