//! A request made to fit the model that it goes to, whatever the two formats: what the model refuses is left out and
//! listed, and what cannot be left out is refused in words. What only Messages has, its writer fits.

use crate::{
    Dialect,
    capability::{Capability, Effort, Sampling, Thinks, ToolsInChat},
    model::{Choice, Media, Part, Request, Thinking, ToolResult},
    translate::{Read, refuse},
};

/// Makes `r` fit.
pub(crate) fn fit(r: &mut Request, provider: Dialect, can: &Capability) -> Read<()> {
    for turn in &r.turns {
        media(&turn.parts, can)?;
    }
    if !can.forced_tools && matches!(r.choice, Some(Choice::Any | Choice::Named(_))) {
        r.drop_member("tool_choice");
        r.choice = None;
    }
    if !can.parallel_switch && r.parallel.take() == Some(false) {
        r.drop_member(r.words.parallel);
    }
    if provider != Dialect::Messages {
        effort(r, provider, can)?;
        sampling(r, can);
    }
    Ok(())
}

fn media(parts: &[Part], can: &Capability) -> Read<()> {
    for part in parts {
        match part {
            Part::Image(Media { at, .. }) if !can.images => return refuse(at, "the target's model takes no images"),
            Part::Document { media: Media { at, .. }, .. } if !can.documents => {
                return refuse(at, "the target's model takes no documents");
            }
            Part::Result(ToolResult { content, .. }) => media(content, can)?,
            _ => {}
        }
    }
    Ok(())
}

/// OpenAI: the effort that the model takes for what is asked; said, or by the size of a thinking budget, of which the
/// figure is lost.
fn effort(r: &mut Request, provider: Dialect, can: &Capability) -> Read<()> {
    let asked = asked_effort(r);
    let has_word = r.effort.take().is_some();
    let mut given = None;
    if can.thinks == Thinks::Effort {
        // Chat does not know `max` (BerriAI/litellm-docs#1173, measured).
        let efforts = if provider == Dialect::Chat { can.efforts.without(Effort::Max) } else { can.efforts };
        given = asked.and_then(|asked| efforts.nearest(asked));
    }
    if provider == Dialect::Chat && !r.tools.is_empty() {
        match can.tools_in_chat {
            ToolsInChat::Always => {}
            ToolsInChat::Unthinking => given = Some(Effort::None),
            ToolsInChat::Never => return refuse("tools", "the target's model takes tools in the Responses API alone"),
        }
    }
    // A model that does not think need not be told so.
    let is_met = asked.is_some() && given == asked || given.is_none() && asked == Some(Effort::None);
    if has_word && !is_met {
        r.drop_member(r.words.effort);
    }
    let thinks = given.is_some_and(|e| e > Effort::None);
    let is_lost = match r.thinking {
        None => false,
        Some(Thinking::Off) => thinks,
        Some(Thinking::Budget(_) | Thinking::Adaptive) => can.thinks != Thinks::Effort || given == Some(Effort::None),
    };
    if is_lost {
        r.drop_member("thinking");
    } else if matches!(r.thinking, Some(Thinking::Budget(_))) {
        r.drop_member("thinking.budget_tokens");
    }
    r.effort = given.map(|e| e.word().to_owned());
    Ok(())
}

/// What is asked, if it is known.
fn asked_effort(r: &Request) -> Option<Effort> {
    match (r.effort.as_deref(), r.thinking) {
        (Some(word), _) => Effort::of(word),
        (None, Some(Thinking::Off)) => Some(Effort::None),
        (None, Some(Thinking::Budget(0..4096))) => Some(Effort::Low),
        (None, Some(Thinking::Budget(4096..16_384))) => Some(Effort::Medium),
        (None, Some(Thinking::Budget(_))) => Some(Effort::High),
        (None, Some(Thinking::Adaptive) | None) => None,
    }
}

/// OpenAI: what is left of sampling parameters; the default is none.
fn sampling(r: &mut Request, can: &Capability) {
    let is_free = match can.sampling {
        Sampling::Free => true,
        Sampling::One => r.temperature.is_none() || r.top_p.is_none(),
        Sampling::Unthinking => r.effort.as_deref() == Some("none"),
        Sampling::Fixed => false,
    };
    if is_free {
        return;
    }
    if can.sampling != Sampling::One && r.temperature.take().is_some_and(|t| t != 1.0) {
        r.drop_member("temperature");
    }
    if r.top_p.take().is_some_and(|p| p != 1.0) {
        r.drop_member("top_p");
    }
}
