//! Items of an answer, and the response around them, as they are written.

use serde_json::{Value, json};

use crate::{
    Dialect,
    edit::quoted,
    model::{Seal, Stop},
    names,
    object::{Object, list},
    seal,
    translate::Context,
    usage::Usage,
};

/// What an item holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    Text(&'a str),
    Refusal(&'a str),
    Thought { text: &'a str, seal: Option<&'a Seal> },
    Call { id: &'a str, name: &'a str, arguments: &'a str },
}

/// Who answers: what ids are made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) model: String,
    /// The provider's id without what its dialect puts in front.
    base: String,
}

impl Named {
    /// Our name for the provider's answer, which no provider keeps.
    pub(super) fn new(id: &str, model: String) -> Named {
        let base = names::short(names::bare(id), 40).into_owned();
        Named { id: format!("resp_llmroute_t_{base}"), model, base }
    }

    /// The id of the item at `index`; one of a thought is told from a provider's own.
    pub(super) fn item(&self, context: &Context, index: usize, content: &Content<'_>) -> String {
        let prefix = match content {
            Content::Text(_) | Content::Refusal(_) => "msg",
            Content::Thought { .. } => "rs_llmroute",
            Content::Call { name, .. } if is_free(context, name) => "ctc",
            Content::Call { .. } => "fc",
        };
        format!("{prefix}_{}_{index}", self.base)
    }
}

/// Whether the caller has this tool for free text.
pub(super) fn is_free(context: &Context, name: &str) -> bool {
    !context.free.is_empty() && context.free.contains(&context.restore(name))
}

/// The text that a tool for free text is called with.
pub(super) fn free_input(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut map)) => match map.remove("input") {
            Some(Value::String(text)) => text,
            None if map.is_empty() => String::new(),
            _ => arguments.to_owned(),
        },
        _ => arguments.to_owned(),
    }
}

/// An item. One that begins (`in_progress`) has no content yet.
pub(super) fn item(context: &Context, id: &str, status: &str, content: &Content<'_>) -> String {
    let begins = status == "in_progress";
    let push = |part: String, out: &mut String| out.push_str(&part);
    let mut out = String::with_capacity(256);
    let mut o = Object::new(&mut out);
    o.text("id", id);
    match content {
        Content::Text(_) | Content::Refusal(_) => {
            o.text("type", "message");
            o.text("status", status);
            o.text("role", "assistant");
            list(o.member("content"), (!begins).then(|| part(content)), push);
        }
        Content::Thought { text, seal } => {
            o.text("type", "reasoning");
            list(o.member("summary"), (!begins && !text.is_empty()).then(|| part(content)), push);
            match begins {
                true => o.plain("encrypted_content", "null"),
                false => o.text("encrypted_content", &seal::close(*seal, &context.provider_name)),
            }
        }
        Content::Call { id: call, name, arguments } => {
            let free = is_free(context, name);
            o.text("type", if free { "custom_tool_call" } else { "function_call" });
            o.text("status", status);
            o.text("call_id", call);
            let (own, group) = own_name(context, name);
            o.text("name", &own);
            match (free, begins) {
                (true, true) => o.text("input", ""),
                (true, false) => o.text("input", &free_input(arguments)),
                (false, true) => o.text("arguments", ""),
                (false, false) => o.text("arguments", arguments),
            }
            if let Some(group) = group {
                o.text("namespace", group);
            }
        }
    }
    o.end();
    out
}

/// The caller's name of a tool, and the group that it stands in.
pub(super) fn own_name<'a>(context: &'a Context, wire: &str) -> (String, Option<&'a str>) {
    let own = context.restore(wire);
    let group = context.groups.iter().find(|(both, _)| *both == own).map(|(_, group)| group.as_str());
    match group.and_then(|group| own.strip_prefix(group)?.strip_prefix('.')) {
        Some(name) => (name.to_owned(), group),
        None => (own, group),
    }
}

/// The part of an item that holds its text; null for a call.
pub(super) fn part(content: &Content<'_>) -> String {
    let (kind, member, text) = match content {
        Content::Text(text) => ("output_text", "text", text),
        Content::Refusal(text) => ("refusal", "refusal", text),
        Content::Thought { text, .. } => ("summary_text", "text", text),
        Content::Call { .. } => return "null".into(),
    };
    let mut out = String::with_capacity(text.len() + 80);
    let mut o = Object::new(&mut out);
    o.text("type", kind);
    o.text(member, text);
    if kind == "output_text" {
        o.plain("annotations", "[]");
        o.plain("logprobs", "[]");
    }
    o.end();
    out
}

/// How a response stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State<'a> {
    pub(super) status: &'static str,
    /// Why it is incomplete.
    pub(super) why: Option<&'static str>,
    /// Code and words of a failure.
    pub(super) error: Option<(&'static str, &'a str)>,
}

/// Status, and why it is incomplete. What is not known is told as out of tokens: never a clean end. `refused`: in words.
pub(super) fn state(stop: &Stop, refused: bool) -> State<'static> {
    let why = match stop {
        Stop::End | Stop::Tools | Stop::Sequence(_) => None,
        Stop::Refusal if refused => None,
        Stop::Refusal => Some("content_filter"),
        Stop::Length | Stop::Unknown => Some("max_output_tokens"),
    };
    State { status: if why.is_some() { "incomplete" } else { "completed" }, why, error: None }
}

/// The whole response. `output`: its items, with commas between.
pub(super) fn response(
    context: &Context,
    named: &Named,
    state: &State<'_>,
    output: &str,
    usage: Option<&Usage>,
) -> String {
    let Named { id, model, .. } = named;
    let details = state.why.map(|reason| json!({"reason": reason}));
    let error = state.error.map(|(code, message)| json!({"code": code, "message": message}));
    format!(
        "{{\"id\":{},\"object\":\"response\",\"created_at\":{},\"status\":\"{}\",\"background\":false,\"error\":{},\
         \"incomplete_details\":{},\"model\":{},\"output\":[{output}],\"usage\":{},\"store\":false,\
         \"service_tier\":{}{}}}",
        quoted(id),
        context.created,
        state.status,
        Value::from(error),
        Value::from(details),
        quoted(model),
        usage.map_or_else(|| "null".into(), counted),
        // What was asked may not be what was given; who has not told yet may still give any.
        quoted(usage.and_then(|u| u.tier(context.provider, Dialect::Responses)).unwrap_or("auto")),
        context.echo,
    )
}

/// The count in Responses' words: cached and written tokens are inside the input's.
fn counted(u: &Usage) -> String {
    format!(
        "{{\"input_tokens\":{},\"input_tokens_details\":{{\"cached_tokens\":{},\"cache_write_tokens\":{}}},\
         \"output_tokens\":{},\"output_tokens_details\":{{\"reasoning_tokens\":{}}},\"total_tokens\":{}}}",
        u.input,
        u.cached,
        u.cache_write + u.cache_write_long,
        u.output,
        u.reasoning,
        u.input.saturating_add(u.output),
    )
}
