//! Answers that are nothing but text, as most are, read without a value; whatever says anything beside is left to the
//! readers of whole answers. The body was looked at before, so it is JSON, and it is known where its members are.

use crate::{
    Dialect,
    answer::Seen,
    chat,
    cursor::Cursor,
    json::{Span, unescape},
    messages,
    model::{Answer, Part, Stop, Text},
};

/// An answer of nothing but text.
pub(crate) fn read(dialect: Dialect, body: &[u8], seen: &Seen) -> Option<Answer> {
    match dialect {
        Dialect::Chat => chat(body, seen),
        Dialect::Responses => responses(body, seen),
        Dialect::Messages => messages(body, seen),
    }
}

fn chat(body: &[u8], seen: &Seen) -> Option<Answer> {
    let mut answer = named(body, seen)?;
    choice(&mut at(body, &seen.choices), &mut answer)?;
    Some(answer)
}

/// The only choice.
fn choice(c: &mut Cursor<'_>, answer: &mut Answer) -> Option<()> {
    open(c, b'[')?;
    if !c.element() {
        return None;
    }
    open(c, b'{')?;
    let mut reason = None;
    while let Some(name) = c.member() {
        match &*name {
            b"message" => answer.parts = vec![text(message(c)?)],
            b"finish_reason" => reason = Some(word(c)?),
            _ => _ = c.value(),
        }
    }
    answer.stop = chat::stop(reason.as_deref(), false, false);
    (!c.element() && !answer.parts.is_empty()).then_some(())
}

fn message(c: &mut Cursor<'_>) -> Option<String> {
    let mut said = None;
    open(c, b'{')?;
    while let Some(name) = c.member() {
        match &*name {
            b"content" => said = Some(word(c).filter(|t| !t.is_empty())?),
            b"refusal" | b"reasoning" | b"reasoning_content" | b"tool_calls" => c.null()?,
            _ => _ = c.value(),
        }
    }
    said
}

fn messages(body: &[u8], seen: &Seen) -> Option<Answer> {
    let reason = if seen.stop_reason.is_empty() { None } else { Some(word(&mut at(body, &seen.stop_reason))?) };
    let sequence = word(&mut at(body, &seen.stop_sequence));
    let mut answer = named(body, seen)?;
    answer.parts = texts(&mut at(body, &seen.content), b"text")?;
    answer.stop = messages::stop(reason.as_deref(), sequence.as_deref());
    Some(answer)
}

/// A Responses answer: one message, of one text.
fn responses(body: &[u8], seen: &Seen) -> Option<Answer> {
    let mut answer = named(body, seen)?;
    answer.parts = item(&mut at(body, &seen.output))?;
    answer.stop = Stop::End;
    let is_whole = at(body, &seen.status).text() == Some(b"completed");
    Some(answer).filter(|a| is_whole && a.parts.len() == 1)
}

/// An answer without its content.
fn named(body: &[u8], seen: &Seen) -> Option<Answer> {
    let said = |span: &Span| if span.is_empty() { Some(String::new()) } else { word(&mut at(body, span)) };
    Some(Answer { id: said(&seen.id)?, model: said(&seen.model)?, ..Answer::default() })
}

/// At the value of a member.
fn at<'a>(body: &'a [u8], span: &Span) -> Cursor<'a> {
    Cursor::new(body.get(span.clone()).unwrap_or_default())
}

/// The only item of the output.
fn item(c: &mut Cursor<'_>) -> Option<Vec<Part>> {
    let (mut is_message, mut parts) = (false, vec![]);
    open(c, b'[')?;
    if !c.element() {
        return None;
    }
    open(c, b'{')?;
    while let Some(name) = c.member() {
        match &*name {
            b"type" => is_message = word(c)? == "message",
            b"content" => parts = texts(c, b"output_text")?,
            _ => _ = c.value(),
        }
    }
    Some(parts).filter(|_| is_message && !c.element())
}

/// Parts that are all text of this type.
fn texts(c: &mut Cursor<'_>, kind: &[u8]) -> Option<Vec<Part>> {
    let mut parts = vec![];
    open(c, b'[')?;
    while c.element() {
        open(c, b'{')?;
        let (mut is_text, mut said) = (false, None);
        while let Some(name) = c.member() {
            match &*name {
                b"type" => is_text = c.text()? == kind,
                b"text" => said = Some(word(c).filter(|t| !t.is_empty())?),
                _ => _ = c.value(),
            }
        }
        parts.push(text(said.filter(|_| is_text)?));
    }
    Some(parts)
}

fn text(text: String) -> Part {
    Part::Text(Text { text, cache: None })
}

/// The string at hand.
fn word(c: &mut Cursor<'_>) -> Option<String> {
    let raw = c.text()?;
    let plain = std::str::from_utf8(raw).ok()?;
    Some(if raw.contains(&b'\\') { unescape(raw).into_owned() } else { plain.to_owned() })
}

fn open(c: &mut Cursor<'_>, with: u8) -> Option<()> {
    c.enter(with).then_some(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{answer::look, responses};

    /// Whether an answer is taken here, as it is read elsewhere.
    fn takes(dialect: Dialect, whole: fn(&Value) -> Option<Answer>, answer: &Value) -> bool {
        let body = answer.to_string();
        let (seen, _) = look(dialect, body.as_bytes()).unwrap();
        let taken = read(dialect, body.as_bytes(), &seen);
        if let Some(taken) = &taken {
            assert_eq!(Some(taken), whole(answer).as_ref(), "{answer}");
        }
        taken.is_some()
    }

    /// `answer` with another member at `at`.
    fn with(answer: &Value, at: &str, value: Value) -> Value {
        let mut answer = answer.clone();
        let (object, name) = at.rsplit_once('/').unwrap();
        answer.pointer_mut(object).unwrap()[name] = value;
        answer
    }

    #[test]
    fn text_alone_is_read_as_by_the_readers_of_whole_answers() {
        let chat_answer = json!({"id": "chatcmpl-1", "model": "m\"", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "a\n\u{e9}", "refusal": null, "annotations": []}, "finish_reason": "stop"}
        ], "usage": {}});
        for (at, value, want) in [
            ("/x", json!(1), true),
            ("/choices/0/finish_reason", json!("length"), true),
            ("/choices/0/finish_reason", json!("novelty"), true),
            ("/choices/0/finish_reason", json!(null), false),
            ("/choices/0/message/content", json!(""), false),
            ("/choices/0/message/content", json!(null), false),
            ("/choices/0/message/refusal", json!("no"), false),
            ("/choices/0/message/reasoning", json!("hm"), false),
            ("/choices/0/message/tool_calls", json!([{}]), false),
            ("/model", json!(null), false),
        ] {
            assert_eq!(takes(Dialect::Chat, chat::read_answer, &with(&chat_answer, at, value)), want, "{at}");
        }
        let block = json!({"type": "text", "text": "a\n"});
        let messages_answer =
            json!({"id": "msg_1", "model": "m", "content": [block], "stop_reason": "end_turn", "stop_sequence": null});
        for (at, value, want) in [
            ("/x", json!([1]), true),
            ("/stop_reason", json!("stop_sequence"), true),
            ("/stop_sequence", json!("END"), true),
            ("/content", json!([block, block]), true),
            ("/content", json!([]), true),
            ("/content", json!([block, {"type": "tool_use", "id": "i", "name": "n", "input": {}}]), false),
            ("/content", json!([{"type": "thinking", "thinking": "t", "text": "a"}]), false),
            ("/stop_reason", json!(null), false),
        ] {
            assert_eq!(
                takes(Dialect::Messages, messages::read_answer, &with(&messages_answer, at, value)),
                want,
                "{at}"
            );
        }
        let part = json!({"type": "output_text", "text": "a", "annotations": []});
        let item = json!({"type": "message", "role": "assistant", "content": [part]});
        let responses_answer = json!({"id": "resp_1", "model": "m", "status": "completed", "output": [item]});
        for (at, value, want) in [
            ("/x", json!({}), true),
            ("/status", json!("incomplete"), false),
            ("/output", json!([]), false),
            ("/output", json!([item, item]), false),
            ("/output/0/content", json!([part, part]), false),
            ("/output/0/content", json!([{"type": "refusal", "refusal": "no"}]), false),
            ("/output/0/type", json!("reasoning"), false),
        ] {
            assert_eq!(
                takes(Dialect::Responses, responses::read_answer, &with(&responses_answer, at, value)),
                want,
                "{at}"
            );
        }
    }
}
