//! A request passed on in its own format to another model than the caller named: what that model refuses is taken out of
//! the bytes, or said in its words. Where the caller's own choice goes on the wire, nothing is touched.

use crate::{
    Dialect,
    capability::{Capability, Effort, Efforts, Limit, Off, Sampling, Thinks, ToolsInChat},
    edit::{Edits, quoted},
    head::{Asked, Head},
    json::{self, Span},
};

/// Why a model cannot carry a request at all, in words; `target` is what it is asked in, and `head` the head of the
/// request in the caller's format.
#[must_use]
pub fn hindrance(target: Dialect, head: &Head, can: &Capability) -> Option<&'static str> {
    if head.images > 0 && !can.images {
        return Some("the request has images, and the model takes none");
    }
    if head.documents > 0 && !can.documents {
        return Some("the request has documents, and the model takes none");
    }
    if head.audio > 0 && !can.audio {
        return Some("the request has audio, and the model takes none");
    }
    if target == Dialect::Chat && head.tools > 0 && can.tools_in_chat == ToolsInChat::Never {
        return Some("the model takes tools in the Responses API alone");
    }
    if target == Dialect::Messages && head.ends_with_model && !can.prefill {
        return Some("the model does not continue a last assistant turn");
    }
    None
}

/// Why a request is of no use to a provider that is asked in `target`, in words: it goes on from what one of the caller's
/// own API keeps.
#[must_use]
pub fn kept_elsewhere(caller: Dialect, target: Dialect, head: &Head) -> Option<&'static str> {
    (head.stateful && target != caller).then_some(match caller {
        Dialect::Messages => "the request goes on from a thread that one provider keeps; send the whole conversation",
        _ => "the request goes on from state that one provider keeps; send the earlier turns in input",
    })
}

/// Edits `body`, whose head is `head`, so that a model takes it that `can` describes. What is lost, as paths of the body.
#[must_use]
pub fn conform(edits: &mut Edits, dialect: Dialect, head: &Head, body: &[u8], can: &Capability) -> Vec<String> {
    let mut c = Conform { edits, head, body, can, cuts: vec![], lost: vec![] };
    match dialect {
        Dialect::Chat => c.chat(),
        Dialect::Responses => c.responses(),
        Dialect::Messages => c.messages(),
    }
    let cuts = std::mem::take(&mut c.cuts);
    c.edits.cut_members(body, cuts);
    c.lost
}

struct Conform<'a> {
    edits: &'a mut Edits,
    head: &'a Head,
    body: &'a [u8],
    can: &'a Capability,
    /// Members that go, from the quote of the name to the end of the value.
    cuts: Vec<Span>,
    lost: Vec<String>,
}

impl<'a> Conform<'a> {
    fn asked(&self, name: &str) -> Option<&'a Asked> {
        self.head.spots.asked.iter().find(|a| a.name == name)
    }

    fn text(&self, span: &Span) -> &'a [u8] {
        self.body.get(span.clone()).unwrap_or_default()
    }

    /// Takes a member out.
    fn cut(&mut self, asked: &Asked) {
        self.cuts.push(asked.start..asked.value.end);
    }

    fn lose(&mut self, path: impl Into<String>) {
        self.lost.push(path.into());
    }

    fn chat(&mut self) {
        let limits = &self.head.spots.limits;
        let is_old = |(name, span): &(&str, Span)| *name == "max_tokens" && self.text(span) != b"null";
        if self.can.limit == Limit::New
            && limits.iter().any(is_old)
            && let Some(limit) = self.head.max_tokens
        {
            self.edits.set_max_tokens(self.head, Dialect::Chat, limit, self.can);
        }
        let asked = self.asked("reasoning_effort");
        let mut effort = asked.and_then(|a| self.effort(&a.value));
        if self.head.tools > 0 && self.can.tools_in_chat == ToolsInChat::Unthinking {
            if effort.is_some_and(|e| e > Effort::None) {
                self.lose("reasoning_effort");
            }
            if effort != Some(Effort::None) {
                self.edits.set_member(self.head, "reasoning_effort", asked.map(|a| &a.value), "\"none\"");
            }
            effort = Some(Effort::None);
        } else if let (Some(asked), Some(level)) = (asked, effort) {
            // Chat does not know `max` (BerriAI/litellm-docs#1173, measured).
            let knows_max = self.can.thinks != Thinks::Effort;
            let efforts = if knows_max { self.can.efforts } else { self.can.efforts.without(Effort::Max) };
            effort = efforts.nearest(level);
            match effort {
                None => self.cut(asked),
                Some(given) if given != level => self.edits.replace(asked.value.clone(), quoted(given.word())),
                Some(_) => {}
            }
            if effort != Some(level) && !(effort.is_none() && level == Effort::None) {
                self.lose("reasoning_effort");
            }
        }
        self.sampling(effort);
        if !self.can.stop
            && let Some(stop) = self.asked("stop")
        {
            self.cut(stop);
            self.lose("stop");
        }
        self.choice();
        if !self.can.schema
            && let Some(format) = self.asked("response_format")
            && self.is_schema(&format.value)
        {
            self.cut(format);
            self.lose("response_format");
        }
    }

    fn responses(&mut self) {
        let mut effort = None;
        if let Some(reasoning) = self.asked("reasoning") {
            let place = self.member_of(&reasoning.value, "effort");
            let level = place.as_ref().and_then(|place| self.effort(place));
            effort = level.and_then(|level| self.can.efforts.nearest(level));
            match (place, level, effort) {
                (Some(place), Some(level), Some(given)) if given != level => {
                    self.edits.replace(place, quoted(given.word()));
                    self.lose("reasoning.effort");
                }
                (_, level, _) if self.can.efforts == Efforts::EMPTY => {
                    self.cut(reasoning);
                    if level != Some(Effort::None) {
                        self.lose("reasoning");
                    }
                }
                _ => {}
            }
        }
        self.sampling(effort);
        self.choice();
        if !self.can.schema
            && let Some(format) = self.asked("text").and_then(|text| self.member_of(&text.value, "format"))
            && self.is_schema(&format)
        {
            self.edits.replace(format, r#"{"type":"text"}"#.into());
            self.lose("text.format");
        }
    }

    fn messages(&mut self) {
        self.sampling(None);
        let effort = self.config();
        self.thinking(effort);
        if !self.can.schema
            && let Some(format) = self.asked("output_format")
        {
            self.cut(format);
            self.lose("output_format");
        }
        if !self.can.forced_tools
            && let Some(choice) = self.asked("tool_choice")
            && let Some(kind) = self.member_of(&choice.value, "type")
            && matches!(self.text(&kind), b"\"any\"" | b"\"tool\"")
        {
            let rest = self.kept(&choice.value, &["disable_parallel_tool_use"]);
            self.edits.replace(choice.value.clone(), object(r#""type":"auto""#, &rest));
            self.lose("tool_choice");
        }
    }

    /// `temperature` and its like; `effort` is what goes on the wire.
    fn sampling(&mut self, effort: Option<Effort>) {
        const FAMILY: [(&str, &[u8]); 8] = [
            ("temperature", b"1"),
            ("top_p", b"1"),
            ("top_k", b""),
            ("presence_penalty", b"0"),
            ("frequency_penalty", b"0"),
            ("logit_bias", b"{}"),
            ("logprobs", b"false"),
            ("top_logprobs", b"0"),
        ];
        match self.can.sampling {
            Sampling::Free => return,
            Sampling::Unthinking if effort == Some(Effort::None) => return,
            Sampling::One => {
                if let (Some(_), Some(top_p)) = (self.asked("temperature"), self.asked("top_p")) {
                    self.cut(top_p);
                    self.lose("top_p");
                }
                return;
            }
            Sampling::Unthinking | Sampling::Fixed => {}
        }
        for (name, default) in FAMILY {
            let Some(asked) = self.asked(name) else { continue };
            self.cut(asked);
            let text = self.text(&asked.value);
            if text != default && text.strip_suffix(b".0") != Some(default) {
                self.lose(name);
            }
        }
    }

    /// OpenAI: which tools are called, and how many at once.
    fn choice(&mut self) {
        if !self.can.forced_tools
            && let Some(choice) = self.asked("tool_choice")
            && !matches!(self.text(&choice.value), b"\"auto\"" | b"\"none\"")
        {
            self.cut(choice);
            self.lose("tool_choice");
        }
        if !self.can.parallel_switch
            && let Some(parallel) = self.asked("parallel_tool_calls")
        {
            self.cut(parallel);
            if self.text(&parallel.value) == b"false" {
                self.lose("parallel_tool_calls");
            }
        }
    }

    /// Messages: `output_config`; gives the effort that goes on the wire.
    fn config(&mut self) -> Option<Effort> {
        let config = self.asked("output_config")?;
        let place = self.member_of(&config.value, "effort");
        let level = place.as_ref().and_then(|place| self.effort(place));
        let given = level.and_then(|level| self.can.efforts.nearest(level));
        let format = self.member_of(&config.value, "format");
        let loses_format = format.is_some() && !self.can.schema;
        let loses_effort = level.is_some() && given.is_none();
        if given != level {
            self.lose("output_config.effort");
        }
        if loses_format {
            self.lose("output_config.format");
        }
        if loses_format || loses_effort {
            let gone: &[&str] = match (loses_effort, loses_format) {
                (true, true) => &["effort", "format"],
                (true, false) => &["effort"],
                _ => &["format"],
            };
            let rest = self.without(&config.value, gone);
            match rest.is_empty() {
                true => self.cut(config),
                false => self.edits.replace(config.value.clone(), object("", &rest)),
            }
        } else if let (Some(place), Some(given)) = (place, given.filter(|_| given != level)) {
            self.edits.replace(place, quoted(given.word()));
        }
        given
    }

    /// Messages: `thinking`, in the words that the model knows.
    fn thinking(&mut self, effort: Option<Effort>) {
        let Some(thinking) = self.asked("thinking") else { return };
        let Some(kind) = self.member_of(&thinking.value, "type") else { return };
        let can = self.can;
        // Above `high` no model lets itself be told not to think.
        let may_be_off = !can.thinks_unasked || effort.is_none_or(|e| e <= Effort::High);
        let word = match self.text(&kind) {
            b"\"enabled\"" if can.budget.is_some() => return,
            b"\"enabled\"" if can.thinks == Thinks::Adaptive => {
                self.lose("thinking.budget_tokens");
                Some("adaptive")
            }
            b"\"adaptive\"" if can.thinks == Thinks::Adaptive || is_unknown(can) => return,
            b"\"disabled\"" | b"\"between_tools\"" if is_unknown(can) => return,
            b"\"disabled\"" | b"\"between_tools\"" => match can.off {
                Off::Disabled if may_be_off => Some("disabled"),
                Off::BetweenTools if may_be_off => Some("between_tools"),
                _ => None,
            },
            b"\"enabled\"" | b"\"adaptive\"" => None,
            _ => return,
        };
        match word {
            Some(word) if self.text(&kind) == quoted(word).as_bytes() => {}
            Some(word) => {
                // Only adaptive thinking can be shown.
                let rest = if word == "adaptive" { self.kept(&thinking.value, &["display"]) } else { vec![] };
                self.edits.replace(thinking.value.clone(), object(&format!(r#""type":"{word}""#), &rest));
            }
            None => {
                self.cut(thinking);
                self.lose("thinking");
            }
        }
    }

    fn is_schema(&self, format: &Span) -> bool {
        self.member_of(format, "type").is_some_and(|kind| self.text(&kind) == b"\"json_schema\"")
    }

    /// The level that a string names.
    fn effort(&self, place: &Span) -> Option<Effort> {
        let word = self.text(place).strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        Effort::of(std::str::from_utf8(word).ok()?)
    }

    /// The place of the value of an object's member.
    fn member_of(&self, object: &Span, name: &str) -> Option<Span> {
        let mut found = None;
        json::members_within(self.body, object, |m| {
            if m.name.as_ref() == name.as_bytes() {
                found = Some(m.value);
            }
        });
        found
    }

    /// Members of an object, as they stand, of these names.
    fn kept(&self, object: &Span, names: &[&str]) -> Vec<&'a [u8]> {
        self.members(object, |name| names.iter().any(|n| n.as_bytes() == name))
    }

    fn without(&self, object: &Span, names: &[&str]) -> Vec<&'a [u8]> {
        self.members(object, |name| !names.iter().any(|n| n.as_bytes() == name))
    }

    fn members(&self, object: &Span, is_kept: impl Fn(&[u8]) -> bool) -> Vec<&'a [u8]> {
        let mut kept = vec![];
        json::members_within(self.body, object, |m| {
            if is_kept(&m.name) {
                kept.push(self.text(&(m.start..m.value.end)));
            }
        });
        kept
    }
}

/// Nothing is known of how the model thinks.
fn is_unknown(can: &Capability) -> bool {
    can.thinks == Thinks::No && can.budget.is_some()
}

/// An object of `first` and members as they stand.
fn object(first: &str, rest: &[&[u8]]) -> String {
    let first = Some(first.into()).filter(|f: &std::borrow::Cow<'_, str>| !f.is_empty());
    let rest = rest.iter().map(|m| String::from_utf8_lossy(m));
    let all: Vec<_> = first.into_iter().chain(rest).collect();
    format!("{{{}}}", all.join(","))
}

#[cfg(test)]
#[path = "conform_tests.rs"]
mod tests;
