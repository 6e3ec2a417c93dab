//! The messages of a request, or its input items, as places in the body with what binds them to each other.

use std::{borrow::Cow, collections::HashMap};

use crate::{Dialect, head::Head, json::Span, walk::Walk};

/// Who speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Instructions: system or developer.
    System,
    User,
    /// The model: its words, calls, reasoning.
    #[default]
    Model,
    /// A tool's result where it stands apart.
    Tool,
}

/// A message or an input item.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    /// Its first byte.
    pub(super) start: usize,
    pub(super) role: Role,
    /// The first item that it cannot stand without; itself where there is none before it.
    pub(super) from: usize,
    /// Calls tools.
    pub(super) calls: bool,
    /// Holds results of tools.
    pub(super) results: bool,
    /// It answers a call that is not in the body: one that the provider keeps.
    pub(super) orphan: bool,
    /// Begins with thinking.
    pub(super) opens_thinking: bool,
    /// Counts as one of the last messages.
    pub(super) counts: bool,
}

/// What trimming reads of a body.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Empty where nothing may be left out.
    pub(super) items: Vec<Item>,
    pub(super) temperature: Option<Span>,
    pub(super) has_top_p: bool,
    /// Messages: thinking is on.
    pub(super) thinks: bool,
    /// Messages: its budget, in tokens.
    pub(super) thinking_budget: Option<u64>,
}

/// What a message says of itself, until its role is known.
#[derive(Default)]
struct Said<'a> {
    kind: Option<Cow<'a, str>>,
    role: Option<Cow<'a, str>>,
    /// Ids of calls.
    calls: Vec<Cow<'a, str>>,
    /// Ids of calls that it answers.
    results: Vec<Cow<'a, str>>,
    opens_thinking: bool,
}

/// Reads a body in one pass; its messages only if they are wanted.
pub(super) fn read(dialect: Dialect, head: &Head, body: &[u8], wants_items: bool) -> Found {
    let mut found = Found::default();
    let list: &[u8] = if dialect == Dialect::Responses { b"input" } else { b"messages" };
    Walk::new(body, head.spots.open.saturating_sub(1)).members(|name, walk| match name {
        b"temperature" => {
            let start = walk.at();
            walk.skip();
            found.temperature = Some(start..walk.at());
        }
        b"top_p" => found.has_top_p = walk.skip() != b"null",
        b"thinking" if dialect == Dialect::Messages => walk.members(|name, walk| match name {
            b"type" => found.thinks = walk.string().is_some_and(|t| t != "disabled"),
            b"budget_tokens" => {
                found.thinking_budget = std::str::from_utf8(walk.skip()).ok().and_then(|n| n.parse().ok());
            }
            _ => {}
        }),
        _ if name == list && wants_items => found.items = items(dialect, walk),
        _ => {}
    });
    found
}

fn items(dialect: Dialect, walk: &mut Walk<'_>) -> Vec<Item> {
    let mut items: Vec<Item> = vec![];
    // The last item that made a call, by the call's id.
    let mut callers: HashMap<Cow<'_, str>, usize> = HashMap::new();
    // The first of the model's items at hand that the later ones cannot stand without.
    let mut run = None;
    let mut known = true;
    walk.elements(|walk| {
        let (at, start) = (items.len(), walk.at());
        let said = match dialect {
            Dialect::Chat => chat(walk),
            Dialect::Messages => messages(walk),
            Dialect::Responses => responses(walk),
        };
        let Some(role) = said.role(dialect) else {
            known = false;
            return;
        };
        let is_reasoning = said.kind.as_deref() == Some("reasoning");
        run = match (role, dialect) {
            // Neighbours of one role are one turn, which its thinking opens.
            (Role::Model, Dialect::Messages) => run.or(Some(at)),
            // What follows reasoning comes from the same answer, and is refused without it.
            (Role::Model, Dialect::Responses) => run.or(is_reasoning.then_some(at)),
            _ => None,
        };
        let mut item = Item {
            start,
            role,
            from: run.unwrap_or(at),
            calls: !said.calls.is_empty(),
            results: !said.results.is_empty(),
            orphan: !said.results.is_empty(),
            opens_thinking: said.opens_thinking,
            counts: role != Role::System && !is_reasoning,
        };
        for caller in said.results.iter().filter_map(|id| callers.get(id)) {
            item.from = item.from.min(*caller);
            item.orphan = false;
        }
        for id in said.calls {
            callers.insert(id, at);
        }
        items.push(item);
    });
    if known { items } else { vec![] }
}

impl Said<'_> {
    /// Whose item it is; `None` for what is not known here, which other items may depend on.
    fn role(&self, dialect: Dialect) -> Option<Role> {
        match (self.kind.as_deref(), self.role.as_deref()) {
            (None | Some("message"), Some("system" | "developer")) => Some(Role::System),
            (None | Some("message"), Some("user")) => Some(Role::User),
            (None | Some("message"), Some("assistant")) => Some(Role::Model),
            (None, Some("tool" | "function")) if dialect == Dialect::Chat => Some(Role::Tool),
            // What stands for a conversation that is gone already.
            (Some("compaction"), _) => Some(Role::System),
            (Some("reasoning" | "mcp_list_tools" | "mcp_approval_request"), _) => Some(Role::Model),
            (Some(kind), _) if kind.ends_with("_call") => Some(Role::Model),
            (Some(kind), _) if kind.ends_with("_call_output") || kind == "mcp_approval_response" => Some(Role::Tool),
            _ => None,
        }
    }
}

fn chat<'a>(walk: &mut Walk<'a>) -> Said<'a> {
    let mut said = Said::default();
    let mut name = None;
    walk.members(|member, walk| match member {
        b"role" => said.role = walk.string(),
        b"name" => name = walk.string(),
        b"tool_call_id" => said.results.extend(walk.string()),
        b"tool_calls" => walk.elements(|walk| {
            walk.members(|member, walk| {
                if member == b"id" {
                    said.calls.extend(walk.string());
                }
            });
        }),
        // The older form of one call, known by its function's name.
        b"function_call" => walk.members(|member, walk| {
            if member == b"name" {
                said.calls.extend(walk.string());
            }
        }),
        _ => {}
    });
    if said.role.as_deref() == Some("function") {
        said.results.extend(name);
    }
    said
}

fn messages<'a>(walk: &mut Walk<'a>) -> Said<'a> {
    let mut said = Said::default();
    walk.members(|member, walk| match member {
        b"role" => said.role = walk.string(),
        b"content" => {
            let mut first = true;
            walk.elements(|walk| {
                let (mut kind, mut id) = (None, None);
                walk.members(|member, walk| match member {
                    b"type" => kind = walk.string(),
                    b"id" => id = walk.string(),
                    b"tool_use_id" => said.results.extend(walk.string()),
                    _ => {}
                });
                let kind = kind.unwrap_or_default();
                said.opens_thinking |= first && matches!(&*kind, "thinking" | "redacted_thinking");
                first = false;
                // Also of tools that the provider runs, whose results may stand in a later turn.
                said.calls.extend(id.filter(|_| kind.ends_with("tool_use")));
            });
        }
        _ => {}
    });
    // A turn may answer its own calls.
    let Said { calls, results, .. } = &mut said;
    results.retain(|id| {
        let own = calls.iter().position(|call| call == id);
        own.map(|i| calls.swap_remove(i)).is_none()
    });
    said
}

fn responses<'a>(walk: &mut Walk<'a>) -> Said<'a> {
    let mut said = Said::default();
    let mut ids = vec![];
    let mut answers = None;
    walk.members(|member, walk| match member {
        b"type" => said.kind = walk.string(),
        b"role" => said.role = walk.string(),
        b"id" | b"call_id" => ids.extend(walk.string()),
        b"approval_request_id" => answers = walk.string(),
        _ => {}
    });
    match said.role(Dialect::Responses) {
        Some(Role::Model)
            if said.kind.as_deref().is_some_and(|k| k.ends_with("_call") || k == "mcp_approval_request") =>
        {
            said.calls = ids;
        }
        // By the call's id; a local shell names the call by the item's own.
        Some(Role::Tool) => said.results = answers.map_or(ids, |id| vec![id]),
        _ => {}
    }
    said
}
