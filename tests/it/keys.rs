//! What stands in the head of a request to a provider, on every arrow: the provider's own key in its own place, its version,
//! and nothing of the app's that is not for it.

use harness::{
    Speech, World,
    policy::{PATIENT, QUICK},
    world::key_of,
};
use hyper::StatusCode;
use serde_json::json;
use sim::Entry;

const CHAT: (&str, &str) = ("local", "gpt-6-sol");
/// It takes tools in Responses alone.
const RESPONSES: (&str, &str) = ("openai", "gpt-6.1-sol");
const MESSAGES: (&str, &str) = ("claude", "claude-sonnet-5-5");

/// What an app sends along, for whichever vendor it was written.
const SENT: [(&str, &str); 11] = [
    ("authorization", "Bearer sk-of-the-app"),
    ("x-api-key", "sk-of-the-app"),
    ("api-key", "sk-of-the-app"),
    ("cookie", "session=sk-of-the-app"),
    ("proxy-authorization", "Basic sk-of-the-app"),
    ("anthropic-version", "2026-10-21"),
    ("anthropic-beta", "a-beta"),
    ("openai-organization", "org-of-the-app"),
    ("openai-project", "project-of-the-app"),
    ("x-llmroute-tenant", "of-the-app"),
    ("x-own", "of-the-app"),
];

/// Names and values that are not the transport's, sorted.
fn head(entry: &Entry) -> Vec<(String, String)> {
    let transport =
        ["host", "content-length", "content-type", "accept", "accept-encoding", "user-agent", "traceparent"];
    let own = entry.headers.iter().filter(|(name, _)| !transport.contains(&name.as_str()));
    let mut own: Vec<_> = own.cloned().collect();
    own.sort();
    own
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t54_each_arrow_has_the_providers_key_and_nothing_of_the_apps() {
    let bearer = |name: &str| ("authorization", format!("Bearer {}", key_of(name)));
    let own = || ("x-own", "of-the-app".to_owned());
    let account = || {
        let of = |name, value: &str| (name, value.to_owned());
        [of("openai-organization", "org-of-the-app"), of("openai-project", "project-of-the-app")]
    };
    let key = || ("x-api-key", key_of("claude"));
    let version = |version: &str| ("anthropic-version", version.to_owned());
    let beta = || ("anthropic-beta", "a-beta".to_owned());
    // In the app's own format all else is passed on; a translation is ours from the first header on.
    let openai = |name: &str| [vec![bearer(name), own()], account().to_vec()].concat();
    let rows = [
        (Speech::Chat, CHAT, "/v1/chat/completions", openai("local")),
        (Speech::Chat, RESPONSES, "/v1/responses", vec![bearer("openai")]),
        (Speech::Chat, MESSAGES, "/v1/messages", vec![key(), version("2023-06-01")]),
        (Speech::Responses, CHAT, "/v1/chat/completions", vec![bearer("local")]),
        (Speech::Responses, RESPONSES, "/v1/responses", openai("openai")),
        (Speech::Responses, MESSAGES, "/v1/messages", vec![key(), version("2023-06-01")]),
        (Speech::Messages, CHAT, "/v1/chat/completions", vec![bearer("local")]),
        (Speech::Messages, RESPONSES, "/v1/responses", vec![bearer("openai")]),
        (Speech::Messages, MESSAGES, "/v1/messages", vec![key(), version("2026-10-21"), beta(), own()]),
    ];
    let world = World::builder().openai("local").openai("openai").claude("claude");
    let policy = world.policy(|p| {
        let p = p.tier(QUICK).field(PATIENT);
        [CHAT, RESPONSES, MESSAGES].into_iter().fold(p, |p, target| p.scene(target.0, &[target]))
    });
    let yaml = policy.yaml().replacen("name: local, api: OpenAI", "name: local, api: ChatCompletions", 1);
    let world = world.start_with(&yaml).await;
    let schema = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    for (speech, target, path, want) in rows {
        for stream in [false, true] {
            let mut body = speech.body("ping pong", stream);
            body["tools"] = match speech {
                Speech::Chat => json!([{"type": "function", "function": {"name": "a", "parameters": schema}}]),
                Speech::Responses => json!([{"type": "function", "name": "a", "parameters": schema}]),
                Speech::Messages => json!([{"name": "a", "input_schema": schema}]),
            };
            let ask = world.app.post(speech.path(), body.to_string()).header("x-llmroute-scene", target.0);
            let ask = SENT.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
            let reply = ask.send().await.expect(StatusCode::OK);
            assert_eq!(reply.header("x-llmroute-provider"), target.0, "{}", reply.text());
            let seen = world.seen(target.0).pop().expect("asked");
            let mut want: Vec<_> = want.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            want.sort();
            assert_eq!((seen.path.as_str(), head(&seen)), (path, want), "{speech:?} at {}, {stream}", target.0);
        }
    }
}
