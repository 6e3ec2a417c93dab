//! Provider accounts: where they are, what they speak, what they bill.

use std::{sync::Arc, time::Duration};

use crate::{
    catalogue::{self, ModelFacts},
    money::Usd,
};

/// Which family of API a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Chat Completions, Responses and the rest of the OpenAI surface.
    OpenAi,
    /// Messages.
    Anthropic,
}

/// A provider account behind one base URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Unique in the policy; metric label and prefix of reasons.
    pub name: Arc<str>,
    /// What it speaks.
    pub api: Api,
    /// Of OpenAI's APIs that make answers it has Chat Completions alone, and keeps nothing.
    pub chat_only: bool,
    /// Where it is.
    pub base: BaseUrl,
    /// File name in the credentials directory; `None` sends no credential.
    pub credential_key: Option<Arc<str>>,
    /// Fixed extra request headers, names in lower case.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Further `/v1` paths that apps may use.
    pub paths: Vec<PathRule>,
    /// HTTP/2 upstream.
    pub http2: bool,
    /// Request and token rates, concurrency bounds.
    pub limits: Limits,
    /// Active probe, for times of thin traffic.
    pub probe: Probe,
    /// What a stream that we end goes on to cost.
    pub cancel_billing: CancelBilling,
    /// How long after its send a bill may still grow.
    pub bill_horizon: Duration,
    /// The policy's own facts on models, by exact name; they win over the built-in catalogue.
    pub models: Vec<ModelFacts>,
}

impl Provider {
    /// Whether it may hold what apps of `api` refer to: responses, conversations, files, threads.
    #[must_use]
    pub fn keeps(&self, api: Api) -> bool {
        self.api == api && !self.chat_only
    }

    /// What is known of `model` here: the policy's own row, else the catalogue's.
    #[must_use]
    pub fn facts(&self, model: &str) -> Option<ModelFacts> {
        self.models.iter().find(|m| *m.name == *model).cloned().or_else(|| catalogue::find(model))
    }
}

/// A base URL taken apart once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    /// `https` rather than `http`.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: Box<str>,
    /// Explicit or the scheme's default.
    pub port: u16,
    /// What stands before `/v1`: empty, or `/prefix` without a trailing slash. A `/v1` at the end of the URL is cut.
    pub prefix: Box<str>,
}

/// A `/v1` path beyond the known ones, or a price for a known one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// Exact path, or a prefix that ends before a `/` of the request's path.
    pub path: Box<str>,
    /// What one call costs, for budgets.
    pub cost: Option<Usd>,
}

/// Rates and concurrency of a provider; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens in any minute.
    pub tokens_per_minute: Option<u64>,
    /// Bounds of the adaptive concurrency window (min, max).
    pub concurrency: Option<(u32, u32)>,
}

/// Active probing of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Between probes.
    pub interval: Duration,
    /// A probe slower than this failed.
    pub timeout: Duration,
}

/// What a cancelled stream goes on to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelBilling {
    /// The provider stops when the connection closes.
    #[default]
    Stops,
    /// It runs to the end and bills all of it.
    RunsOn,
}
