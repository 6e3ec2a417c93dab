//! What one caller wants: the facts of a request, and the `Ask` that classification makes of them.

use std::{sync::Arc, time::Duration};

use crate::{
    bound::Content,
    money::Usd,
    snapshot::{Api, ProviderId, SceneId, TierId},
};

/// Headers as the pure core sees them: by lower-case name, text only.
pub trait Headers {
    /// First value of `name` that is text.
    fn get(&self, name: &str) -> Option<&str>;
}

/// What rules may read of a request; borrowed, nothing copied.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Path without query.
    pub path: &'a str,
    /// The model the caller named; empty where none.
    pub model: &'a str,
    /// A stream was asked.
    pub stream: bool,
    /// Tool definitions.
    pub tools: u32,
    /// Image parts.
    pub images: u32,
    /// Document parts.
    pub documents: u32,
    /// Messages or input items.
    pub messages: u32,
    /// Bytes of the body.
    pub input_bytes: u64,
    /// The caller's output limit.
    pub max_tokens: Option<u64>,
    /// A JSON schema constrains the answer.
    pub json_schema: bool,
    /// The request's headers.
    pub headers: &'a dyn Headers,
}

/// The format the caller speaks and wants to be answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
    /// A path passed through to the first provider of an API.
    Through(Api),
}

/// Who keeps something that is of use to nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptBy {
    /// This provider.
    Known(ProviderId),
    /// One of this API, it is not known which: the first that may be asked is.
    OneOf(Api),
}

/// One request, classified: all that the plan needs to know.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is called.
    pub call: Call,
    /// The model the caller named; empty where none.
    pub model: Arc<str>,
    /// A stream was asked.
    pub stream: bool,
    /// Image parts.
    pub images: u32,
    /// Bytes of the body.
    pub input_bytes: u64,
    /// Rough size of the prompt in tokens (bytes / 4), for context checks.
    pub input_estimate: u64,
    /// The caller's output limit.
    pub max_tokens: Option<u64>,
    /// What the bill can depend on.
    pub content: Content,
    /// What a call of a passed-through path costs, by the policy.
    pub path_cost: Option<Usd>,
    /// Scene in force.
    pub scene: SceneId,
    /// Tier in force.
    pub tier: TierId,
    /// Tenant, where a hint named one.
    pub tenant: Option<Arc<str>>,
    /// Cap on this request: the lower of the tier's and the hint's.
    pub max_cost: Option<Usd>,
    /// `x-llmroute-max-latency-ms`.
    pub max_latency: Option<Duration>,
    /// Who alone keeps what the request goes on from, or names.
    pub kept_by: Option<KeptBy>,
    /// Its caller comes back for the answer.
    pub later: bool,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) struct Rows(pub(crate) &'static [(&'static str, &'static str)]);

    impl Headers for Rows {
        fn get(&self, name: &str) -> Option<&str> {
            self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
        }
    }

    pub(crate) fn facts() -> Facts<'static> {
        Facts {
            path: "/v1/chat/completions",
            model: "gpt-6",
            stream: true,
            tools: 2,
            images: 0,
            documents: 0,
            messages: 3,
            input_bytes: 1024,
            max_tokens: None,
            json_schema: false,
            headers: &Rows(&[("x-plan", "pro")]),
        }
    }
}
