//! Policies as text, from small pieces.

/// A policy in the making.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    providers: Vec<String>,
    scenes: Vec<String>,
    tiers: Vec<String>,
    rest: Vec<String>,
}

/// Times short enough for tests: nothing waits longer than two seconds and a half.
pub const QUICK: &str = "{name: quick, sla: 5s, \
    timeouts: {connect: 500ms, tls: 500ms, firstByte: 700ms, idle: 700ms, total: 2500ms}, \
    retries: {attempts: 3, base: 5ms, cap: 20ms}}";

/// A breaker that stays out of the way of what is not about breakers.
pub const PATIENT: &str = "breaker: {consecutiveFailures: 1000, failureRatio: \"1\", minRequests: 1000}";

impl Policy {
    /// An empty one.
    pub fn new() -> Policy {
        Policy::default()
    }

    /// A provider whose key is the file of its own name.
    pub fn provider(self, name: &str, api: &str, url: &str) -> Policy {
        self.provider_with(name, api, url, "")
    }

    /// The same with further fields, such as `, http2: true`.
    pub fn provider_with(mut self, name: &str, api: &str, url: &str, more: &str) -> Policy {
        self.providers.push(format!("{{name: {name}, api: {api}, baseUrl: \"{url}\", credentialKey: {name}{more}}}"));
        self
    }

    /// A scene with its targets as `(provider, model)`; no model sends the caller's.
    pub fn scene(self, name: &str, targets: &[(&str, &str)]) -> Policy {
        self.scene_with(name, targets, "")
    }

    /// The same with further fields.
    pub fn scene_with(mut self, name: &str, targets: &[(&str, &str)], more: &str) -> Policy {
        let target = |(provider, model): &(&str, &str)| match *model {
            "" => format!("{{provider: {provider}}}"),
            model => format!("{{provider: {provider}, model: {model}}}"),
        };
        let targets = targets.iter().map(target).collect::<Vec<_>>().join(", ");
        self.scenes.push(format!("{{name: {name}, targets: [{targets}]{more}}}"));
        self
    }

    /// A tier, as a YAML flow mapping.
    pub fn tier(mut self, tier: &str) -> Policy {
        self.tiers.push(tier.to_owned());
        self
    }

    /// Any other field of the spec, as `name: value`.
    pub fn field(mut self, field: &str) -> Policy {
        self.rest.push(field.to_owned());
        self
    }

    /// The manifest.
    pub fn yaml(&self) -> String {
        let mut out = "apiVersion: llmroute.dev/v1alpha1\nkind: LLMRoutePolicy\nmetadata: {name: story}\nspec:\n  \
            podSelector: {matchLabels: {app: story}}\n  credentials: {secretName: llm-keys}\n"
            .to_owned();
        for (name, items) in [("providers", &self.providers), ("tiers", &self.tiers), ("scenes", &self.scenes)] {
            if !items.is_empty() {
                out.push_str(&format!("  {name}:\n"));
                out.extend(items.iter().map(|item| format!("  - {item}\n")));
            }
        }
        out.extend(self.rest.iter().map(|field| format!("  {field}\n")));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_writes_loads() {
        let policy = Policy::new()
            .provider("openai", "OpenAI", "http://127.0.0.1:1")
            .provider_with("claude", "Anthropic", "http://127.0.0.1:2", ", http2: true")
            .tier(QUICK)
            .scene("chat", &[("openai", "gpt-6-sol"), ("claude", "")])
            .field(PATIENT);
        assert_eq!(api::load(&policy.yaml()).map(|_| ()), Ok(()));
    }
}
