//! Names and ids within a vendor's limits: what does not fit gets a short form, the same each time, since it recurs in
//! history.

use std::borrow::Cow;

use crate::model::{Choice, Part, Request};

/// Gives tools, and calls of them, names of at most `most` plain characters. The list holds what was changed: (on the
/// wire, the caller's).
pub(crate) fn shorten_tools(r: &mut Request, most: usize) -> Vec<(String, String)> {
    let mut changed: Vec<(String, String)> = vec![];
    let mut shorten = |name: &mut String| {
        if let Cow::Owned(wire) = short(name, most) {
            let own = std::mem::replace(name, wire.clone());
            if !changed.iter().any(|(_, known)| *known == own) {
                changed.push((wire, own));
            }
        }
    };
    r.tools.iter_mut().for_each(|t| shorten(&mut t.name));
    for part in r.turns.iter_mut().flat_map(|t| &mut t.parts) {
        if let Part::Call(call) = part {
            shorten(&mut call.name);
        }
    }
    if let Some(Choice::Named(name)) = &mut r.choice {
        shorten(name);
    }
    changed
}

/// Gives calls and their results ids of at most `most` plain characters.
pub(crate) fn shorten_ids(r: &mut Request, most: usize) {
    for part in r.turns.iter_mut().flat_map(|t| &mut t.parts) {
        let (Part::Call(crate::model::Call { id, .. }) | Part::Result(crate::model::ToolResult { id, .. })) = part
        else {
            continue;
        };
        if let Cow::Owned(wire) = short(id, most) {
            *id = wire;
        }
    }
}

/// An id for the `n`th call of an answer whose provider gave it none.
pub(crate) fn made_up(answer: &str, n: usize) -> String {
    short(&format!("call_{answer}_{n}"), 40).into_owned()
}

/// An answer's id without what its dialect puts in front.
pub(crate) fn bare(id: &str) -> &str {
    ["chatcmpl-", "msg_", "resp_"].iter().find_map(|p| id.strip_prefix(p)).unwrap_or(id)
}

/// `name` itself, or what fits of it and a hash that tells it from its like.
pub(crate) fn short(name: &str, most: usize) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= most && name.chars().all(is_plain) {
        return name.into();
    }
    let kept = name.chars().map(|c| if is_plain(c) { c } else { '_' }).take(most - 17);
    format!("{}_{:016x}", kept.collect::<String>(), fnv1a(name.as_bytes())).into()
}

/// FNV-1a, 64 bits: stable across versions.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_told_apart() {
        assert_eq!(short("get_weather-2", 64), "get_weather-2");
        let (a, b) = ("x".repeat(80) + "a", "x".repeat(80) + "b");
        assert!(short(&a, 64).len() == 64 && short(&a, 64) != short(&b, 64));
        assert_eq!(short("functions.f:0", 40), short("functions.f:0", 40));
        assert!(short("functions.f:0", 40).starts_with("functions_f_0_"));
        assert!(short("\u{e9}\u{e9}", 40).is_ascii() && !short("", 40).is_empty());
    }
}
