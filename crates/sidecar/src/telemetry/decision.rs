//! The end of one request, told once: to metrics, to spans, and as one JSON line of facts and reasons, without any text
//! of the prompt or the answer, from which the decision can be made again under another policy.

use std::{sync::Arc, time::Duration};

use dialect::Head;
use hyper::Uri;
use policy::{
    ask::Ask,
    catalogue::Tokens,
    matching::{Matched, Source},
    money::Usd,
    plan::{Plan, Standing, TargetKey},
    reason::Reason,
    snapshot::Snapshot,
};
use serde_json::{Value, json};

use crate::{clock, exchange::Try, state::InForce};

/// Longest text in a record that a caller chose: a model, a tenant, a path.
const MOST: usize = 200;
/// Paths of lost members that are listed.
const MOST_DROPPED: usize = 32;

/// What became of a request, as the status header says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The first target answered the request as sent.
    Ok,
    /// Any other target, a cheaper model, or a trimmed request.
    Degraded,
    /// An answer from before.
    Cached,
    /// It waited in line for money.
    Queued,
    /// A provider's error passed on, or a stream that was cut after its first content.
    Failed,
    /// Our own no.
    Refused,
}

impl Status {
    /// All, in the order of their index.
    pub const ALL: [Status; 6] =
        [Status::Ok, Status::Degraded, Status::Cached, Status::Queued, Status::Failed, Status::Refused];

    /// Header value and metric label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Degraded => "degraded",
            Status::Cached => "cached",
            Status::Queued => "queued",
            Status::Failed => "failed",
            Status::Refused => "refused",
        }
    }
}

/// Facts of the body that rules may read, beside those in the `Ask`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    tools: u32,
    documents: u32,
    messages: u32,
    json_schema: bool,
}

impl From<&Head> for Facts {
    fn from(head: &Head) -> Facts {
        Facts { tools: head.tools, documents: head.documents, messages: head.messages, json_schema: head.json_schema }
    }
}

/// The end of one request.
pub struct Ending {
    /// `rt_YYYYMMDD_<32 hex>`, in ASCII.
    pub id: [u8; 44],
    /// The policy pinned by the request; `None` before one was in force.
    pub in_force: Option<Arc<InForce>>,
    /// The path, one of a closed set of labels (`chat`, `responses`, `messages`, `count_tokens`, `models`, `through`, `none`).
    pub call: &'static str,
    /// The path itself.
    pub uri: Uri,
    /// What was asked; `None` if the request was refused before it was understood.
    pub ask: Option<Arc<Ask>>,
    /// What settled scene and tier.
    pub matched: Option<Matched>,
    /// Facts of the body.
    pub facts: Facts,
    /// Candidates and those left out.
    pub plan: Option<Arc<Plan>>,
    /// What became of it.
    pub status: Status,
    /// HTTP status sent.
    pub http: u16,
    /// Why, where it is not plainly ok.
    pub reason: Option<Reason>,
    /// Who answered.
    pub served: Option<TargetKey>,
    /// Each try in order.
    pub tries: Vec<Try>,
    /// Tokens of the answer given.
    pub tokens: Option<Tokens>,
    /// What that answer cost.
    pub cost: Option<Usd>,
    /// Losses in translation.
    pub dropped: Vec<String>,
    /// From accept to first content or whole answer.
    pub first_content: Option<Duration>,
    /// From accept to the end.
    pub duration: Duration,
    /// The caller went away before the end.
    pub client_gone: bool,
}

impl Ending {
    /// A reason's text.
    #[must_use]
    pub fn reason_text(&self, reason: Reason) -> String {
        match &self.in_force {
            Some(in_force) => reason.text(&in_force.snapshot),
            None => reason.cause.row().label.to_owned(),
        }
    }

    /// The line, as it is written.
    #[must_use]
    pub(super) fn record(&self) -> Vec<u8> {
        let snapshot = self.in_force.as_ref().map(|f| &f.snapshot);
        let request = self.ask.as_ref().map(|ask| {
            let Facts { tools, documents, messages, json_schema } = self.facts;
            json!({
                "model": cut(&ask.model), "stream": ask.stream, "tools": tools, "images": ask.images,
                "documents": documents, "messages": messages, "json_schema": json_schema,
                "input_bytes": ask.input_bytes, "estimated_input_tokens": ask.input_estimate,
                "max_tokens": ask.max_tokens, "answers": ask.content.answers.max(1), "max_cost_usd": ask.max_cost.map(|c| c.to_string()),
                "max_latency_ms": ask.max_latency.map(ms),
            })
        });
        let mut line = json!({
            "timestamp": clock::timestamp(clock::unix()), "level": "INFO", "target": "llmroute::decision",
            "message": "decision", "trace_id": String::from_utf8_lossy(&self.id),
            "policy": snapshot.map(|s| &*s.name), "generation": snapshot.and_then(|s| s.generation),
            "call": self.call, "path": cut(crate::later::told_path(self.uri.path())),
            "status": self.status.label(), "http_status": self.http,
            "reason": self.reason.map(|r| self.reason_text(r)),
            "request": request,
            "client_gone": self.client_gone,
            "first_content_ms": self.first_content.map(ms), "duration_ms": ms(self.duration),
            "cost_usd": self.cost.map(|c| c.to_string()),
            "tokens": self.tokens.map(|t| json!({
                "input": t.input, "cached": t.cached, "cache_write": t.cache_write + t.cache_write_long, "output": t.output,
            })),
            "dropped": self.dropped.iter().take(MOST_DROPPED).map(|d| cut(d)).collect::<Vec<_>>(),
        });
        if let Some(snapshot) = snapshot {
            self.add_decisions(&mut line, snapshot);
        }
        let mut text = line.to_string().into_bytes();
        text.push(b'\n');
        text
    }

    /// What was settled, planned and tried, by the names of the policy.
    fn add_decisions(&self, line: &mut Value, snapshot: &Snapshot) {
        let target =
            |key: &TargetKey| json!({"provider": &*snapshot.provider(key.provider).name, "model": cut(&key.model)});
        let with = |mut row: Value, name: &str, value: Value| {
            row[name] = value;
            row
        };
        if let (Some(ask), Some(matched)) = (&self.ask, &self.matched) {
            line["scene"] = json!({"name": &*snapshot.scene(ask.scene).name, "by": source(matched.scene.1)});
            line["tier"] = json!({"name": &*snapshot.tier(ask.tier).name, "by": source(matched.tier.1)});
            line["tenant"] = ask.tenant.as_deref().map(cut).into();
            line["unknown_hints"] = matched.unknown_hints.into();
            line["failed_rules"] = matched.failed_rules.into();
        }
        if let Some(plan) = &self.plan {
            let candidates =
                plan.candidates.iter().map(|c| with(target(&c.key), "standing", standing(c.standing).into()));
            line["candidates"] = candidates.collect();
            let left_out = plan.left_out.iter().map(|l| {
                let row = with(target(&l.key), "reason", l.reason.text(snapshot).into());
                with(row, "why", l.detail.as_str().into())
            });
            line["left_out"] = left_out.collect();
        }
        let tries = self.tries.iter().map(|t| {
            let row = with(target(&t.key), "class", t.class.label().into());
            let row = with(row, "reason", t.reason.map(|r| r.text(snapshot)).into());
            with(row, "ms", ms(t.took).into())
        });
        line["tries"] = tries.collect();
        line["served"] = self.served.as_ref().map(target).into();
    }
}

/// What settled a scene or a tier.
pub(crate) fn source(source: Source) -> String {
    match source {
        Source::Hint => "hint".into(),
        Source::Rule(i) => format!("spec.classify.rules[{i}]"),
        Source::Default => "default".into(),
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Preferred => "preferred",
        Standing::FirstLeft => "first_left",
        Standing::SameProvider => "same_provider",
        Standing::NextProvider => "next_provider",
        Standing::LastResort { .. } => "last_resort",
    }
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// The beginning of a text that a caller chose.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST)]
}
