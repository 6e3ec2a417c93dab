//! Whose API a path belongs to, and which of its endpoints is meant.

use serde::{Deserialize, Serialize};

/// A provider that is imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// The OpenAI API.
    #[serde(alias = "OpenAI")]
    OpenAi,
    /// The Anthropic API.
    #[serde(alias = "Anthropic")]
    Anthropic,
}

impl Vendor {
    /// The lower-case name used in scripts and logs.
    pub fn name(self) -> &'static str {
        match self {
            Vendor::OpenAi => "openai",
            Vendor::Anthropic => "anthropic",
        }
    }

    /// The vendor of that name.
    pub fn by_name(name: &str) -> Option<Vendor> {
        [Vendor::OpenAi, Vendor::Anthropic].into_iter().find(|v| v.name().eq_ignore_ascii_case(name))
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Responses,
    InputTokens,
    StoredResponse(String),
    DeleteResponse(String),
    Embeddings,
    Moderations,
    Messages,
    CountTokens,
    Models,
    Model(String),
    WrongMethod,
    Unknown,
}

/// Whose request it is. A path that both have is Anthropic's if its version header is present.
pub(crate) fn vendor(path: &str, has_anthropic_version: bool) -> Vendor {
    let anthropic = path.starts_with("/v1/messages") || (path.starts_with("/v1/models") && has_anthropic_version);
    if anthropic { Vendor::Anthropic } else { Vendor::OpenAi }
}

/// The endpoint of a method and a path without its query.
pub(crate) fn endpoint(method: &str, path: &str) -> Endpoint {
    let Some(rest) = path.strip_prefix("/v1/") else { return Endpoint::Unknown };
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        ("POST", ["chat", "completions"]) => Endpoint::Chat,
        ("POST", ["responses"]) => Endpoint::Responses,
        ("POST", ["responses", "input_tokens"]) => Endpoint::InputTokens,
        ("GET", ["responses", id]) => Endpoint::StoredResponse((*id).to_owned()),
        ("DELETE", ["responses", id]) => Endpoint::DeleteResponse((*id).to_owned()),
        ("POST", ["embeddings"]) => Endpoint::Embeddings,
        ("POST", ["moderations"]) => Endpoint::Moderations,
        ("POST", ["messages"]) => Endpoint::Messages,
        ("POST", ["messages", "count_tokens"]) => Endpoint::CountTokens,
        ("GET", ["models"]) => Endpoint::Models,
        ("GET", ["models", id]) => Endpoint::Model((*id).to_owned()),
        (_, ["chat", "completions"] | ["responses" | "embeddings" | "moderations" | "messages" | "models"]) => {
            Endpoint::WrongMethod
        }
        _ => Endpoint::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(vendor("/v1/models", true), Vendor::Anthropic);
        assert_eq!(vendor("/v1/models", false), Vendor::OpenAi);
        assert_eq!(vendor("/v1/messages", false), Vendor::Anthropic);
        assert_eq!(endpoint("POST", "/v1/messages/count_tokens"), Endpoint::CountTokens);
        assert_eq!(endpoint("POST", "/v1/responses/input_tokens"), Endpoint::InputTokens);
        assert_eq!(endpoint("GET", "/v1/models/gpt-6-sol"), Endpoint::Model("gpt-6-sol".into()));
        assert_eq!(endpoint("GET", "/v1/chat/completions"), Endpoint::WrongMethod);
        assert_eq!(endpoint("GET", "/x"), Endpoint::Unknown);
    }
}
