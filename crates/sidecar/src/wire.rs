//! The request as it goes to one candidate: the caller's bytes with edits, or a translation; path, headers, key.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use dialect::{Another, Capability, Dialect, Head, Sampling, ToolsInChat};
use hyper::{Method, Uri, http::uri::PathAndQuery};
use policy::{
    ask::{Ask, Call},
    catalogue::ModelFacts,
    plan::Candidate,
    snapshot::{Api, Provider, Snapshot, Target},
};

use crate::{
    capable::{capability, told},
    clock,
    credentials::Secret,
    headers,
    keepers::Keepers,
    memory::Room,
    state::InForce,
    upstream::{OutBody, Outgoing},
};

/// What the caller sent, as far as it is needed to build requests to providers, again for each try.
pub struct Inbound {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Headers.
    pub headers: headers::List,
    /// The whole body, decoded; empty where it is streamed through or there is none.
    pub body: Bytes,
    /// Members of the body that decisions and edits use, for calls that we read.
    pub head: Option<Head>,
    /// The memory that the body takes, where it is counted here.
    pub room: Option<Room>,
}

/// Whether a body is streamed through, once, rather than held.
pub enum Streamed {
    /// Held in [`Inbound::body`].
    No,
    /// Not sent yet.
    Waiting(OutBody),
    /// Sent; no further try is possible.
    Spent,
}

/// One try's request, ready to be built as often as a stale connection demands.
pub struct Wire {
    method: Method,
    uri: Uri,
    headers: headers::List,
    body: Vec<Bytes>,
    /// A translated body, its long texts shortened.
    outline: Bytes,
    /// What the provider will answer in.
    pub dialect: Dialect,
    /// Set when the answer must be translated back.
    pub translation: Option<Arc<dialect::Context>>,
    /// Members lost on the way.
    pub dropped: Vec<String>,
    /// We asked for the stream's usage chunk; the caller did not.
    pub usage_added: bool,
}

/// The request cannot be said in the target's dialect.
pub use dialect::Untranslatable;

impl Streamed {
    /// The body that is streamed through, the first time.
    pub fn take(&mut self) -> Option<OutBody> {
        match std::mem::replace(self, Streamed::Spent) {
            Streamed::Waiting(body) => Some(body),
            Streamed::No => {
                *self = Streamed::No;
                None
            }
            Streamed::Spent => None,
        }
    }

    /// Whether the body is gone.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        matches!(self, Streamed::Spent)
    }
}

impl Inbound {
    /// The head of a request; its body is still to come.
    #[must_use]
    pub fn new(method: Method, uri: Uri, headers: headers::List) -> Inbound {
        Inbound { method, uri, headers, body: Bytes::new(), head: None, room: None }
    }

    /// Why `model` at `provider` cannot carry the request at all, if it cannot.
    #[must_use]
    pub fn hindered(
        &self,
        call: Call,
        caller: Dialect,
        provider: &Provider,
        model: &str,
        facts: Option<&ModelFacts>,
    ) -> Option<&'static str> {
        if call == Call::CountTokens && provider.chat_only {
            return Some("the provider has no API that counts tokens");
        }
        let head = self.head.as_ref()?;
        // Most requests have nothing that a model may be unable to carry.
        let is_plain = head.images + head.documents + head.audio + head.tools == 0;
        if is_plain && !head.ends_with_model {
            return None;
        }
        let can = capability(model, facts);
        let target = self.target_dialect(call, caller, provider, model, &can);
        // What the caller asks of the model that it named is between the two, but for what the policy says of it.
        let can = if target == caller && !self.is_swapped(model) { told(facts)? } else { can };
        dialect::hindrance(target, head, &can)
    }

    /// Why the request is of no use to a target whoever is asked there: it goes on from what another provider keeps.
    #[must_use]
    pub fn kept_elsewhere(
        &self,
        call: Call,
        caller: Dialect,
        provider: &Provider,
        model: &str,
        facts: Option<&ModelFacts>,
    ) -> Option<&'static str> {
        let head = self.head.as_ref().filter(|head| head.stateful)?;
        let target = self.target_dialect(call, caller, provider, model, &capability(model, facts));
        dialect::kept_elsewhere(caller, target, head)
    }

    /// What of the request would be lost at a target, for strict tiers.
    #[must_use]
    pub fn loses(
        &self,
        (snapshot, keepers): (&Snapshot, &Keepers),
        ask: &Ask,
        caller: Dialect,
        target: &Target,
        model: &str,
    ) -> Option<String> {
        let provider = snapshot.provider(target.provider);
        let (head, facts) = (self.head.as_ref()?, target.facts.as_deref());
        let can = self.capability(caller, provider, model, facts);
        let wire = self.target_dialect(ask.call, caller, provider, model, &can);
        let to = dialect::TargetModel {
            provider: &provider.name,
            model,
            default_max_tokens: snapshot.scene(ask.scene).max_output_tokens,
            most_tokens: facts.and_then(|f| f.max_output_tokens),
            capability: &can,
            now: 0,
        };
        let lost = if wire == caller {
            let another = keepers.another(snapshot, target.provider, ask.scene);
            self.edited(caller, head, &to, facts, another.as_ref().map(|a| a as _)).dropped
        } else {
            match self.translation(ask.call, caller, wire, head, &to) {
                Ok(done) => done.dropped,
                Err(why) => return Some(why.to_string()),
            }
        };
        (!lost.is_empty()).then(|| lost.join(", "))
    }

    /// What `model` takes at `provider`, in the version of the API that it is asked in.
    #[must_use]
    pub fn capability(
        &self,
        caller: Dialect,
        provider: &Provider,
        model: &str,
        facts: Option<&ModelFacts>,
    ) -> Capability {
        let mut can = capability(model, facts);
        if provider.api == Api::Anthropic {
            // A translation carries none of the caller's headers.
            let passed_on = Some(&self.headers).filter(|_| caller == Dialect::Messages);
            if headers::refuse_sampling(passed_on, provider) {
                can.sampling = Sampling::Fixed;
            }
        }
        can
    }

    /// What `model` at `provider` is asked in.
    fn target_dialect(
        &self,
        call: Call,
        caller: Dialect,
        provider: &Provider,
        model: &str,
        can: &Capability,
    ) -> Dialect {
        match (caller, provider.api) {
            (_, Api::Anthropic) => Dialect::Messages,
            (_, Api::OpenAi) if provider.chat_only => Dialect::Chat,
            (Dialect::Responses, Api::OpenAi) => Dialect::Responses,
            // Tokens are counted there alone.
            (_, Api::OpenAi) if call == Call::CountTokens => Dialect::Responses,
            // Some models take tools in the Responses API alone.
            (_, Api::OpenAi)
                if can.tools_in_chat == ToolsInChat::Never
                    && self.head.as_ref().is_some_and(|head| head.tools > 0)
                    && (caller == Dialect::Messages || self.is_swapped(model)) =>
            {
                Dialect::Responses
            }
            (_, Api::OpenAi) => Dialect::Chat,
        }
    }

    /// The body in another format.
    fn translation(
        &self,
        call: Call,
        caller: Dialect,
        target: Dialect,
        head: &Head,
        to: &dialect::TargetModel<'_>,
    ) -> Result<dialect::Translated, Untranslatable> {
        match call {
            Call::CountTokens => dialect::translate_count(&self.body, to),
            _ => dialect::translate_request(caller, target, &self.body, head, to),
        }
    }

    /// Whether another model goes on the wire than the caller named.
    fn is_swapped(&self, model: &str) -> bool {
        self.head.as_ref().is_some_and(|head| head.model.as_deref() != Some(model))
    }

    /// The request to `candidate`.
    ///
    /// # Errors
    /// What cannot be translated.
    pub fn wire(
        &self,
        in_force: &InForce,
        ask: &Ask,
        caller: Dialect,
        candidate: &Candidate,
        secret: Option<&Secret>,
    ) -> Result<Wire, Untranslatable> {
        let snapshot = &in_force.snapshot;
        let provider = snapshot.provider(candidate.key.provider);
        let (model, facts) = (&*candidate.key.model, candidate.target.facts.as_deref());
        let can = self.capability(caller, provider, model, facts);
        let most_tokens = facts.and_then(|f| f.max_output_tokens);
        let target = self.target_dialect(ask.call, caller, provider, model, &can);
        let limit = output_limit(snapshot, ask, candidate);
        let to = dialect::TargetModel {
            provider: &provider.name,
            model,
            default_max_tokens: limit,
            most_tokens,
            capability: &can,
            now: clock::unix().as_secs(),
        };
        let mut wire = match &self.head {
            Some(head) if target == caller => {
                let another = in_force.keepers.another(snapshot, candidate.key.provider, ask.scene);
                self.edited(caller, head, &to, facts, another.as_ref().map(|a| a as _))
            }
            Some(head) => {
                let to = dialect::TargetModel { default_max_tokens: limit.or(most_tokens), ..to };
                self.translated(ask.call, caller, target, head, &to)?
            }
            None => self.untouched(caller),
        };
        let path = match wire.translation {
            Some(_) => PathAndQuery::from_static(path_of(ask.call, target)),
            None => self.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")),
        };
        wire.uri = match &*provider.base.prefix {
            "" => path.into(),
            prefix => Uri::try_from(format!("{prefix}{path}")).unwrap_or_default(),
        };
        wire.headers = match wire.translation {
            Some(_) => headers::translated(provider),
            None => headers::forward(&self.headers, &snapshot.classify, provider),
        };
        headers::sign(&mut wire.headers, in_force.live(candidate.key.provider), provider.api, secret);
        Ok(wire)
    }

    fn edited(
        &self,
        caller: Dialect,
        head: &Head,
        to: &dialect::TargetModel<'_>,
        facts: Option<&ModelFacts>,
        another: Option<&Another<'_>>,
    ) -> Wire {
        let done = dialect::edit_request(caller, &self.body, head, to, told(facts).as_ref(), another);
        Wire { body: done.body, dropped: done.dropped, usage_added: done.usage_added, ..self.untouched(caller) }
    }

    fn translated(
        &self,
        call: Call,
        caller: Dialect,
        target: Dialect,
        head: &Head,
        to: &dialect::TargetModel<'_>,
    ) -> Result<Wire, Untranslatable> {
        let done = self.translation(call, caller, target, head, to)?;
        Ok(Wire {
            body: done.body,
            outline: done.outline,
            dialect: target,
            translation: Some(Arc::new(done.context)),
            dropped: done.dropped,
            ..self.untouched(caller)
        })
    }

    fn untouched(&self, caller: Dialect) -> Wire {
        Wire {
            method: self.method.clone(),
            uri: Uri::default(),
            headers: headers::List::default(),
            body: if self.body.is_empty() { vec![] } else { vec![self.body.clone()] },
            outline: Bytes::new(),
            dialect: caller,
            translation: None,
            dropped: vec![],
            usage_added: false,
        }
    }
}

impl Wire {
    /// Method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// Path at the provider, without query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The body, where it is a translation of the caller's: its outline, and the bytes of text that are left out there.
    #[must_use]
    pub fn translated_body(&self) -> Option<(&Bytes, usize)> {
        self.translation.as_ref()?;
        let whole: usize = self.body.iter().map(Bytes::len).sum();
        Some((&self.outline, whole.saturating_sub(self.outline.len())))
    }

    /// Headers, for those that join the call to a trace.
    pub fn headers(&mut self) -> &mut headers::List {
        &mut self.headers
    }

    /// The request, once more.
    #[must_use]
    pub fn build(&self) -> Outgoing<'_> {
        self.around(OutBody::Rope(VecDeque::from(self.body.clone())))
    }

    /// The head of the request around another body.
    #[must_use]
    pub fn around(&self, body: OutBody) -> Outgoing<'_> {
        Outgoing { method: &self.method, uri: &self.uri, headers: &self.headers, body }
    }
}

/// The output limit to be put on the wire, where the caller set none.
fn output_limit(snapshot: &Snapshot, ask: &Ask, candidate: &Candidate) -> Option<u64> {
    if ask.max_tokens.is_some() || !matches!(ask.call, Call::Chat | Call::Responses | Call::Messages) {
        return None;
    }
    policy::plan::output_limit(snapshot, ask, candidate.target.facts.as_deref())
}

fn path_of(call: Call, dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Responses if call == Call::CountTokens => "/v1/responses/input_tokens",
        Dialect::Chat => "/v1/chat/completions",
        Dialect::Responses => "/v1/responses",
        Dialect::Messages => "/v1/messages",
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
