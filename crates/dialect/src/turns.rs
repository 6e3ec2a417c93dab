//! Turns as both vendors want them: neighbours of one role are one, results first, every call answered at once.

use crate::{
    Dialect,
    model::{Media, Part, Request, Role, Seal, Source, Thought, Turn},
    translate::{Read, refuse},
};

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Joins neighbours of one role; empty turns vanish; tool results come first in their turn.
pub(crate) fn merge(r: &mut Request) {
    let mut turns: Vec<Turn> = vec![];
    for turn in std::mem::take(&mut r.turns) {
        match turns.last_mut() {
            _ if turn.parts.is_empty() => {}
            Some(last) if last.role == turn.role => last.parts.extend(turn.parts),
            _ => turns.push(turn),
        }
    }
    for turn in turns.iter_mut().filter(|t| t.role == Role::User) {
        turn.parts.sort_by_key(|p| !matches!(p, Part::Result(_)));
    }
    r.turns = turns;
}

/// Every result answers a call of the turn before it, and every call is answered in the turn after it, once.
pub(crate) fn check_links(r: &Request) -> Read<()> {
    let mut open: Vec<(&str, &str)> = vec![];
    for turn in &r.turns {
        for part in &turn.parts {
            match part {
                Part::Result(result) if turn.role != Role::User => {
                    return refuse(&result.at, "a tool result belongs into a user turn");
                }
                Part::Result(result) => match open.iter().position(|(id, _)| *id == result.id) {
                    Some(i) => _ = open.remove(i),
                    None => {
                        return refuse(
                            &result.at,
                            "answers no tool call of the turn before it; send the call's own id",
                        );
                    }
                },
                Part::Call(call) if turn.role != Role::Assistant => {
                    return refuse(&call.at, "a tool call belongs into an assistant turn");
                }
                _ => {}
            }
        }
        unanswered(&open)?;
        open.clear();
        for part in &turn.parts {
            if let Part::Call(call) = part {
                if open.iter().any(|(id, _)| *id == call.id) {
                    return refuse(&call.at, "has the id of another tool call; give each its own");
                }
                open.push((&call.id, &call.at));
            }
        }
    }
    unanswered(&open)
}

fn unanswered(open: &[(&str, &str)]) -> Read<()> {
    match open.first() {
        None => Ok(()),
        Some((_, at)) => refuse(*at, "is answered by no tool result in the turn after it; send one for each call"),
    }
}

/// Images and documents are of the types that both vendors read.
pub(crate) fn check_media(parts: &[Part]) -> Read<()> {
    for part in parts {
        match part {
            Part::Image(m) => check_source(m, &IMAGES, "must be a JPEG, PNG, GIF or WebP image")?,
            Part::Document { media, .. } => {
                check_source(media, &["application/pdf"], "must be a PDF document; send other files as text")?;
            }
            Part::Result(result) => check_media(&result.content)?,
            Part::Text(_) | Part::Refusal(_) | Part::Thought(_) | Part::Call(_) => {}
        }
    }
    Ok(())
}

fn check_source(m: &Media, types: &[&str], why: &'static str) -> Read<()> {
    match &m.source {
        Source::Base64 { media_type, .. } if !types.contains(&media_type.as_str()) => refuse(&m.at, why),
        Source::Url(url) if !["http://", "https://"].iter().any(|s| is_prefix(url, s)) => {
            refuse(&m.at, "must be a data: or http(s) URL")
        }
        _ => Ok(()),
    }
}

fn is_prefix(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme))
}

/// Leaves out thoughts that `provider` did not seal for requests in `dialect`: nobody else can read them, and some answer
/// them with a 400.
pub(crate) fn strip_thoughts(r: &mut Request, dialect: Dialect, provider: &str) {
    fn strip(parts: &mut Vec<Part>, is_kept: &dyn Fn(&Thought) -> bool, lost: &mut Vec<String>) {
        parts.retain_mut(|part| match part {
            Part::Thought(thought) if !is_kept(thought) => {
                lost.push(std::mem::take(&mut thought.at));
                false
            }
            Part::Result(result) => {
                strip(&mut result.content, &|_| false, lost);
                true
            }
            _ => true,
        });
    }
    let is_ours = |t: &Thought| match t.seal {
        _ if t.by != provider => false,
        Some(Seal::Signature(_) | Seal::Redacted(_)) => dialect == Dialect::Messages,
        Some(Seal::Encrypted { .. }) => dialect == Dialect::Responses,
        None => false,
    };
    let mut lost = vec![];
    for turn in &mut r.turns {
        if turn.role == Role::Assistant {
            strip(&mut turn.parts, &is_ours, &mut lost);
        } else {
            strip(&mut turn.parts, &|_| false, &mut lost);
        }
    }
    lost.into_iter().for_each(|at| r.drop_member(at));
}

/// Instructions in the midst of a conversation become the user's words, where the target has no place for them.
pub(crate) fn demote_system(r: &mut Request) {
    let paths: Vec<String> = r.turns.iter().filter(|t| t.role == Role::System).map(|t| t.at.clone()).collect();
    for at in paths {
        r.drop_member(format!("{at}.role"));
    }
    r.turns.iter_mut().filter(|t| t.role == Role::System).for_each(|t| t.role = Role::User);
    if r.turns.is_empty() && !r.system.is_empty() {
        // Instructions alone: there must be a turn, and they are what it is about.
        r.drop_member(r.words.system);
        let parts = std::mem::take(&mut r.system).into_iter().map(Part::Text).collect();
        r.turns.push(Turn { role: Role::User, parts, at: "messages[0]".into() });
    }
}

/// Text of white space alone, which Messages refuses: it joins the text before it, or vanishes.
pub(crate) fn drop_blanks(r: &mut Request) {
    r.system.retain(|t| !t.text.trim().is_empty());
    for turn in &mut r.turns {
        drop_blank_parts(&mut turn.parts);
    }
}

fn drop_blank_parts(parts: &mut Vec<Part>) {
    let mut kept: Vec<Part> = vec![];
    for mut part in std::mem::take(parts) {
        if let Part::Result(result) = &mut part {
            drop_blank_parts(&mut result.content);
        }
        match (&part, kept.last_mut()) {
            (Part::Text(blank), Some(Part::Text(last))) if blank.text.trim().is_empty() => last.text += &blank.text,
            (Part::Text(blank), _) if blank.text.trim().is_empty() => {}
            _ => kept.push(part),
        }
    }
    *parts = kept;
}
