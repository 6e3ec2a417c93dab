//! Thoughts in a history that another dialect's provider had: the one that is asked now would answer them with a 400.

use crate::{
    Dialect, Edits, Head,
    json::{Span, members_within},
    seal,
    walk::Walk,
};

/// Whether a piece of encrypted reasoning is another provider's than the one that is asked.
pub type Another<'a> = dyn Fn(&[u8]) -> bool + 'a;

impl Edits {
    /// Takes out the thoughts that came through a translation, for a provider of the caller's own dialect, and encrypted
    /// reasoning of Responses that is `another`'s of the same dialect. What was taken out, as paths of the body.
    pub fn cut_foreign_thoughts(
        &mut self,
        head: &Head,
        dialect: Dialect,
        body: &[u8],
        another: Option<&Another<'_>>,
    ) -> Vec<String> {
        let another = another.filter(|_| dialect == Dialect::Responses);
        if !head.thoughts || (another.is_none() && memchr::memmem::find(body, b"llmroute").is_none()) {
            return vec![];
        }
        let whole = 0..body.len();
        let start = memchr::memchr(b'{', body).unwrap_or(whole.end);
        let (mut turns, mut thinking) = (None, None);
        members_within(body, &(start..whole.end), |m| match (dialect, &*m.name) {
            (Dialect::Messages, b"messages") | (Dialect::Responses, b"input") => turns = Some(m.value),
            (Dialect::Messages, b"thinking") => thinking = Some(m.value),
            _ => {}
        });
        let Some(turns) = turns else { return vec![] };
        match dialect {
            Dialect::Messages => self.cut_blocks(body, &turns, thinking),
            Dialect::Chat | Dialect::Responses => {
                let items = elements(body, &turns);
                let is_foreign: Vec<bool> = items.iter().map(|item| is_foreign(body, item, another)).collect();
                self.cut_elements(&items, &is_foreign);
                at(&is_foreign, "input")
            }
        }
    }

    /// Blocks of Messages; a turn that held nothing else goes with them. Thinking is turned off where the turn that calls
    /// tools would have to begin with what is gone.
    fn cut_blocks(&mut self, body: &[u8], turns: &Span, thinking: Option<Span>) -> Vec<String> {
        let mut lost = vec![];
        let turns = elements(body, turns);
        let mut is_empty = vec![];
        let mut is_bare = false;
        for (i, turn) in turns.iter().enumerate() {
            let (mut content, mut is_user) = (None, false);
            members_within(body, turn, |m| match &*m.name {
                b"content" => content = Some(m.value),
                b"role" => is_user = body.get(m.value) == Some(b"\"user\""),
                _ => {}
            });
            let blocks = content.map(|c| elements(body, &c)).unwrap_or_default();
            if is_user {
                is_empty.push(false);
                continue;
            }
            let is_foreign: Vec<bool> = blocks.iter().map(|block| is_foreign(body, block, None)).collect();
            lost.extend(at(&is_foreign, &format!("messages[{i}].content")));
            // An own thought behind ours begins the turn then.
            let first = blocks.iter().zip(&is_foreign).find(|(_, is_foreign)| !**is_foreign);
            is_bare = is_foreign.first() == Some(&true)
                && first.is_some_and(|(block, _)| !is_thought(body, block))
                && blocks.iter().any(|block| kind(body, block) == b"tool_use\"");
            is_empty.push(first.is_none() && !blocks.is_empty());
            if first.is_some() {
                self.cut_elements(&blocks, &is_foreign);
            }
        }
        self.cut_elements(&turns, &is_empty);
        if let Some(span) = thinking.filter(|t| is_bare && is_enabled(body, t)) {
            self.set_value(span, "{\"type\":\"disabled\"}");
            lost.push("thinking".into());
        }
        lost
    }

    /// Takes elements out of an array: each with the comma behind it, those at the end with the comma before them.
    fn cut_elements(&mut self, all: &[Span], out: &[bool]) {
        let stays = out.iter().rposition(|out| !out);
        for (i, (span, next)) in all.iter().zip(all.iter().skip(1)).enumerate() {
            if out.get(i) == Some(&true) && stays.is_some_and(|last| i < last) {
                self.cut(span.start..next.start);
            }
        }
        let tail = stays.map_or_else(|| all.first().map(|s| s.start), |last| all.get(last).map(|s| s.end));
        if let (Some(start), Some(end)) = (tail, all.last().map(|s| s.end))
            && start < end
        {
            self.cut(start..end);
        }
    }
}

/// The places of an array's elements; none of what is no array.
pub(crate) fn elements(body: &[u8], array: &Span) -> Vec<Span> {
    let mut found = vec![];
    let mut walk = Walk::new(body, array.start);
    if walk.first() == b'[' {
        walk.elements(|w| {
            let start = w.at();
            w.skip();
            found.push(start..w.at());
        });
    }
    found
}

/// Types of items and blocks that are thoughts, with the quote behind them.
const THOUGHTS: [&[u8]; 3] = [b"thinking\"", b"redacted_thinking\"", b"reasoning\""];

fn is_thought(body: &[u8], element: &Span) -> bool {
    THOUGHTS.contains(&kind(body, element))
}

/// The type of an item or a block, with the quote behind it.
fn kind<'a>(body: &'a [u8], element: &Span) -> &'a [u8] {
    let mut found = &b""[..];
    members_within(body, element, |m| {
        if m.name.as_ref() == b"type" {
            found = body.get(m.value).and_then(|t| t.strip_prefix(b"\"")).unwrap_or_default();
        }
    });
    found
}

/// Whether an item or a block is a thought that we marked, or that is another's.
fn is_foreign(body: &[u8], element: &Span, another: Option<&Another<'_>>) -> bool {
    let mut is_foreign = false;
    members_within(body, element, |m| {
        let Some(text) = body.get(m.value).and_then(|t| t.strip_prefix(b"\"")) else { return };
        match &*m.name {
            b"signature" | b"data" => is_foreign |= seal::is_ours(text),
            b"encrypted_content" => {
                let sealed = text.strip_suffix(b"\"").unwrap_or(text);
                is_foreign |= seal::is_ours(text) || another.is_some_and(|another| another(sealed));
            }
            b"id" => is_foreign |= text.starts_with(seal::ITEM.as_bytes()),
            _ => {}
        }
    });
    is_foreign && is_thought(body, element)
}

fn at(is_foreign: &[bool], array: &str) -> Vec<String> {
    let each = is_foreign.iter().enumerate().filter(|(_, f)| **f);
    each.map(|(i, _)| format!("{array}[{i}]")).collect()
}

/// Whether thinking was asked for by a budget.
fn is_enabled(body: &[u8], thinking: &Span) -> bool {
    let mut found = false;
    members_within(body, thinking, |m| {
        found |= m.name.as_ref() == b"type" && body.get(m.value) == Some(&b"\"enabled\""[..]);
    });
    found
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::read_head;

    fn cut(dialect: Dialect, body: &str) -> (String, Vec<String>) {
        let head = read_head(dialect, body.as_bytes()).unwrap();
        let mut edits = Edits::default();
        let lost = edits.cut_foreign_thoughts(&head, dialect, body.as_bytes(), Some(&|sealed| sealed == b"theirs"));
        assert_eq!(edits.is_empty(), lost.is_empty());
        let out = edits.apply(&Bytes::copy_from_slice(body.as_bytes())).concat();
        (String::from_utf8(out).unwrap(), lost)
    }

    #[test]
    fn t45_items_of_responses() {
        let ours = r#"{"type":"reasoning","id":"rs_llmroute_1_0","summary":[]}"#;
        let sealed = r#"{"encrypted_content":"llmroute:claude:s:x","type":"reasoning"}"#;
        let own = r#"{"type":"reasoning","id":"rs_1","encrypted_content":"gAAA"}"#;
        let theirs = r#"{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"theirs"}"#;
        let said = r#"{"role":"user","content":"rs_llmroute_ llmroute:"}"#;
        let rows: &[(String, String, &[&str])] = &[
            (format!("[{ours}, {said}]"), format!("[{said}]"), &["input[0]"]),
            (format!("[{said} , {ours},{sealed}]"), format!("[{said}]"), &["input[1]", "input[2]"]),
            (
                format!("[{ours},{own}, {sealed}, {said},{ours} ]"),
                format!("[{own}, {said} ]"),
                &["input[0]", "input[2]", "input[4]"],
            ),
            (format!("[{ours}]"), "[]".into(), &["input[0]"]),
            (format!("[{own}, {theirs},{said}]"), format!("[{own}, {said}]"), &["input[1]"]),
            (format!("[{own},{said}]"), format!("[{own},{said}]"), &[]),
            ("\"llmroute: reasoning\"".into(), "\"llmroute: reasoning\"".into(), &[]),
        ];
        for (input, want, lost) in rows {
            let (got, told) = cut(Dialect::Responses, &format!("{{\"x\":[{{\"input\":1}}],\"input\":{input}}}"));
            assert_eq!(got, format!("{{\"x\":[{{\"input\":1}}],\"input\":{want}}}"));
            assert_eq!(told, *lost);
        }
    }

    #[test]
    fn t45_blocks_of_messages_and_thinking_that_cannot_go_on() {
        let ours = r#"{"type":"thinking","thinking":"a","signature":"llmroute:openai:n:"}"#;
        let hidden = r#"{"type":"redacted_thinking","data":"llmroute:openai:e:rs_1:x"}"#;
        let own = r#"{"type":"thinking","thinking":"a","signature":"EqQ"}"#;
        let call = r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#;
        let body = |content: &str, thinking: &str| {
            format!(
                r#"{{"messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":[{content}]}},{{"role":"user","content":[]}}],"thinking":{thinking}}}"#
            )
        };
        let (on, off) = (r#"{"budget_tokens":2048,"type":"enabled"}"#, r#"{"type":"disabled"}"#);
        let (got, lost) = cut(Dialect::Messages, &body(&format!("{ours},{hidden},{call}"), on));
        assert_eq!(got, body(call, off));
        assert_eq!(lost, ["messages[1].content[0]", "messages[1].content[1]", "thinking"]);
        let (got, lost) = cut(Dialect::Messages, &body(&format!("{own},{hidden},{call}"), on));
        assert_eq!((got, lost), (body(&format!("{own},{call}"), on), vec!["messages[1].content[1]".to_owned()]));
        let (got, lost) = cut(Dialect::Messages, &body(&format!("{ours},{call}"), r#"{"type":"adaptive"}"#));
        assert_eq!((got, lost.len()), (body(call, r#"{"type":"adaptive"}"#), 1));
        let (got, lost) = cut(Dialect::Messages, &body(&format!("{ours},{{\"type\":\"text\",\"text\":\"a\"}}"), on));
        assert_eq!((got, lost.len()), (body(r#"{"type":"text","text":"a"}"#, on), 1), "no tool loop: thinking goes on");
        let (got, _) = cut(Dialect::Messages, &body(ours, on));
        assert_eq!(
            got,
            format!(
                r#"{{"messages":[{{"role":"user","content":"hi"}},{{"role":"user","content":[]}}],"thinking":{on}}}"#
            )
        );
        assert_eq!(cut(Dialect::Messages, &body(own, on)), (body(own, on), vec![]));
    }
}
