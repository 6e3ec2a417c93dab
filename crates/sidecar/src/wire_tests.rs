use policy::{
    catalogue::{self, Capabilities},
    snapshot::ProviderId,
};
use serde_json::{Value, json};

use super::*;

const POLICY: &str = "{apiVersion: llmroute.dev/v1alpha1, kind: LLMRoutePolicy, metadata: {name: p}, spec: {\
    providers: [{name: openai, api: OpenAI}, {name: claude, api: Anthropic}], \
    scenes: [{name: s, targets: [{provider: openai, model: gpt-6-sol}, {provider: claude, model: claude-sonnet-5-5}]}]}}";

fn inbound(caller: Dialect, body: &Value) -> Inbound {
    let body = Bytes::from(body.to_string());
    let head = dialect::read_head(caller, &body).ok();
    Inbound { body, head, ..Inbound::new(Method::POST, Uri::default(), headers::List::default()) }
}

fn target(provider: u16, model: &str, capabilities: Capabilities) -> Target {
    let facts = catalogue::find(model).map(|f| Arc::new(ModelFacts { capabilities, ..f }));
    Target { provider: ProviderId(provider), model: Some(model.into()), facts }
}

fn edited(caller: Dialect, body: &Value, target: Target) -> (Value, Vec<String>) {
    let inbound = inbound(caller, body);
    let (model, facts) = (target.model.as_deref().unwrap(), target.facts.as_deref());
    let to = dialect::TargetModel {
        provider: "p",
        model,
        default_max_tokens: None,
        most_tokens: facts.and_then(|f| f.max_output_tokens),
        capability: &capability(model, facts),
        now: 0,
    };
    let wire = inbound.edited(caller, inbound.head.as_ref().unwrap(), &to, facts, None);
    (serde_json::from_slice(&wire.body.concat()).unwrap(), wire.dropped)
}

#[test]
fn t06_a_model_put_in_the_place_of_another_is_asked_what_it_takes() {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = |model: &str| json!({"model": model, "messages": messages, "max_tokens": 500_000, "temperature": 0.5});
    let none = Capabilities::default;
    // The caller's own choice is between it and the provider.
    let own = body("gpt-6-sol");
    assert_eq!(edited(Dialect::Chat, &own, target(0, "gpt-6-sol", none())), (own.clone(), vec![]));
    let (got, lost) = edited(Dialect::Chat, &body("gpt-4o"), target(0, "gpt-6-sol", none()));
    let want =
        json!({"model": "gpt-6-sol", "messages": messages, "max_tokens": null, "max_completion_tokens": 128_000});
    assert_eq!((got, lost), (want, vec!["temperature".to_owned(), "max_tokens".to_owned()]));
    // What the policy says has the last word.
    let own = Capabilities { sampling: Some(catalogue::Sampling::All), ..none() };
    let (got, lost) = edited(Dialect::Chat, &body("gpt-4o"), target(0, "gpt-6-sol", own));
    assert_eq!((&got["temperature"], lost), (&json!(0.5), vec!["max_tokens".to_owned()]));
    // Of the model that the caller named, too: that fact, and no other that the catalogue may know.
    let own = Capabilities { sampling: Some(catalogue::Sampling::None), ..none() };
    let (got, lost) = edited(Dialect::Chat, &body("gpt-6-sol"), target(0, "gpt-6-sol", own));
    let want = json!({"model": "gpt-6-sol", "messages": messages, "max_tokens": 500_000});
    assert_eq!((got, lost), (want, vec!["temperature".to_owned()]));
}

#[test]
fn t06_what_hinders_and_what_strict_tiers_would_lose() {
    let snapshot = api::load(POLICY).unwrap();
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]);
    let request = inbound(Dialect::Chat, &json!({"model": "gpt-4o", "messages": image}));
    let openai = snapshot.provider(ProviderId(0));
    let why = |model, facts: Option<&ModelFacts>| request.hindered(Call::Chat, Dialect::Chat, openai, model, facts);
    assert!(why("gpt-3.5-turbo", None).is_some_and(|w| w.contains("images")));
    assert_eq!((why("gpt-6-sol", None), why("gpt-4o", None)), (None, None));
    let blind = ModelFacts { images: Some(false), ..catalogue::find("gpt-6-sol").unwrap() };
    assert!(why("gpt-6-sol", Some(&blind)).is_some() && why("gpt-4o", Some(&blind)).is_some(), "as the policy says");

    let body =
        json!({"model": "gpt-6-sol", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5, "seed": 1});
    let request = inbound(Dialect::Chat, &body);
    let head = request.head.as_ref();
    let headers = headers::List::default();
    let (ask, _) =
        crate::classify::ask(&snapshot, Call::Chat, "/v1/chat/completions", &headers, head, &request.body, None)
            .unwrap();
    let loses = |t: &Target| {
        request.loses((&snapshot, &Keepers::default()), &ask, Dialect::Chat, t, t.model.as_deref().unwrap())
    };
    let none = Capabilities::default;
    assert_eq!(loses(&target(0, "gpt-6-sol", none())), None);
    assert_eq!(loses(&target(0, "gpt-6-luna", none())).as_deref(), Some("temperature"));
    assert_eq!(loses(&target(0, "gpt-4o", none())), None);
    assert_eq!(loses(&target(1, "claude-sonnet-5-5", none())).as_deref(), Some("seed, temperature"));
    assert_eq!(loses(&target(1, "claude-haiku-4-5", none())).as_deref(), Some("seed"));
}

#[test]
fn which_api_a_provider_is_asked_in() {
    let (chat, responses, messages) = (Dialect::Chat, Dialect::Responses, Dialect::Messages);
    let policy = POLICY.replace("{name: claude, api: Anthropic}", "{name: claude, api: ChatCompletions}");
    let (both, one) = (api::load(POLICY).unwrap(), api::load(&policy).unwrap());
    let of_openai = [both.provider(ProviderId(0)), one.provider(ProviderId(1))];
    let tools = json!([{"name": "a"}]);
    for (caller, model, tools, call, want) in [
        (chat, "gpt-6-sol", true, Call::Chat, [chat, chat]),
        (chat, "gpt-6.1-sol", false, Call::Chat, [chat, chat]),
        (chat, "gpt-6.1-sol", true, Call::Chat, [responses, chat]),
        (responses, "gpt-6-sol", true, Call::Responses, [responses, chat]),
        (messages, "gpt-6-sol", true, Call::Messages, [chat, chat]),
        (messages, "gpt-6.1-sol", true, Call::Messages, [responses, chat]),
        (messages, "gpt-6-sol", false, Call::CountTokens, [responses, chat]),
    ]
    .map(|(caller, model, has_tools, call, want)| (caller, model, has_tools.then_some(&tools), call, want))
    {
        let request = inbound(caller, &json!({"model": "other", "messages": [], "input": [], "tools": tools}));
        let can = capability(model, None);
        let asked = of_openai.map(|p| request.target_dialect(call, caller, p, model, &can));
        assert_eq!(asked, want, "{caller:?} {model} {tools:?}");
        // Where that is no API for it, the provider is left out.
        let hindered = of_openai.map(|p| request.hindered(call, caller, p, model, None).is_some());
        let in_vain = call == Call::CountTokens || tools.is_some() && model == "gpt-6.1-sol";
        assert_eq!(hindered, [false, in_vain], "{caller:?} {model} {tools:?}");
    }
    let goes_on = inbound(responses, &json!({"model": "gpt-6-sol", "input": "a", "previous_response_id": "resp_1"}));
    let kept = of_openai.map(|p| goes_on.kept_elsewhere(Call::Responses, responses, p, "gpt-6-sol", None).is_some());
    assert_eq!(kept, [false, true]);
}

#[test]
fn t45_what_another_provider_thought_is_cut_for_a_provider_of_the_callers_dialect() {
    let (said, next) = (json!({"role": "user", "content": "hi"}), json!({"role": "user", "content": "on"}));
    let ours = json!({"type": "reasoning", "id": "rs_llmroute_1_0", "summary": [], "encrypted_content": "llmroute:claude:s:x"});
    let own = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"});
    for model in ["gpt-6-sol", "gpt-6-luna"] {
        let body = |input: Value| json!({"model": model, "input": input});
        let asked = json!({"model": "gpt-6-sol", "input": [said, ours, own, next]});
        let (got, lost) = edited(Dialect::Responses, &asked, target(0, model, Capabilities::default()));
        assert_eq!((got, lost), (body(json!([said, own, next])), vec!["input[1]".to_owned()]));
        let snapshot = api::load(POLICY).unwrap();
        let request = inbound(Dialect::Responses, &asked);
        let head = request.head.as_ref();
        let headers = headers::List::default();
        let (ask, _) =
            crate::classify::ask(&snapshot, Call::Responses, "/v1/responses", &headers, head, &request.body, None)
                .unwrap();
        let at = target(0, model, Capabilities::default());
        assert_eq!(
            request.loses((&snapshot, &Keepers::default()), &ask, Dialect::Responses, &at, model).as_deref(),
            Some("input[1]")
        );
    }
}

#[test]
fn t02_a_version_without_sampling_parameters_is_given_none() {
    let policy = POLICY.replace(
        "{name: claude, api: Anthropic}",
        "{name: claude, api: Anthropic}, {name: new, api: Anthropic, headers: {anthropic-version: \"2026-10-21\"}}",
    );
    let snapshot = api::load(&policy).unwrap();
    let sampling = |caller, provider: u16, version: Option<&str>| {
        let mut request = inbound(caller, &json!({"model": "m", "messages": []}));
        let name = hyper::header::HeaderName::from_static("anthropic-version");
        request.headers = version.map(|v| (name, v.parse().unwrap())).into_iter().collect();
        request.capability(caller, snapshot.provider(ProviderId(provider)), "claude-sonnet-4-5", None).sampling
    };
    for (caller, provider, version, want) in [
        (Dialect::Messages, 1, None, Sampling::One),
        (Dialect::Messages, 1, Some("2023-06-01"), Sampling::One),
        (Dialect::Messages, 1, Some("2026-10-20"), Sampling::One),
        (Dialect::Messages, 1, Some("2026-10-21"), Sampling::Fixed),
        (Dialect::Messages, 1, Some("2027-01-01"), Sampling::Fixed),
        // It is between the caller and Anthropic alone.
        (Dialect::Messages, 0, Some("2026-10-21"), Sampling::One),
        (Dialect::Chat, 1, Some("2026-10-21"), Sampling::One),
        // The policy's own headers win.
        (Dialect::Chat, 2, None, Sampling::Fixed),
        (Dialect::Messages, 2, Some("2023-06-01"), Sampling::Fixed),
    ] {
        assert_eq!(sampling(caller, provider, version), want, "{caller:?} {provider} {version:?}");
    }
}
