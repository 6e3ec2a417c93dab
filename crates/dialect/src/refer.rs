//! Items of a Responses answer that a caller names by id later, believing them stored, where no provider stores them.

use bytes::Bytes;

use crate::{
    foreign::elements,
    json::{Span, members_within},
    walk::Walk,
};

/// An item with its id.
pub type Item = (Box<str>, Bytes);

/// The items of a whole Responses answer.
#[must_use]
pub fn items_of_answer(answer: &[u8]) -> Vec<Item> {
    let output = member(answer, &(0..answer.len()), b"output");
    let items = output.map(|output| elements(answer, &output)).unwrap_or_default();
    let named = items.into_iter().filter_map(|item| {
        let id = text_of(answer, &item, b"id")?;
        Some((id, Bytes::copy_from_slice(answer.get(item)?)))
    });
    named.collect()
}

/// The items of the answer that the last event of a stream holds; none of other events. `events`: as we write them.
#[must_use]
pub fn items_of_events(events: &[u8]) -> Vec<Item> {
    let ends = [&b"event: response.completed\ndata: "[..], b"event: response.incomplete\ndata: "];
    let data = ends.iter().find_map(|end| Some(memchr::memmem::find(events, end)? + end.len()));
    let Some(data) = data.and_then(|at| events.get(at..)) else { return vec![] };
    let data = data.split(|b| *b == b'\n').next().unwrap_or_default();
    member(data, &(0..data.len()), b"response")
        .and_then(|answer| data.get(answer))
        .map(items_of_answer)
        .unwrap_or_default()
}

/// The ids of the response that an answer is, and of its items; of an event, those of the response that it holds, as the
/// first and the last of a stream do.
#[must_use]
pub fn ids_of_response(said: &[u8]) -> Vec<Box<str>> {
    // An answer says what it is; most events hold no response.
    if memchr::memmem::find(said, b"\"response\"").is_none() {
        return vec![];
    }
    let whole = object(said);
    let response = member(said, &whole, b"response").unwrap_or(whole);
    let output = member(said, &response, b"output").map(|output| elements(said, &output)).unwrap_or_default();
    [response].iter().chain(&output).filter_map(|object| text_of(said, object, b"id")).collect()
}

/// The ids that the references of a checked Responses body name.
#[must_use]
pub fn references(body: &[u8]) -> Vec<Box<str>> {
    named(body).into_iter().map(|(_, id)| id).collect()
}

/// The references of a Responses body, each with the id that it names.
fn named(body: &[u8]) -> Vec<(Span, Box<str>)> {
    let input = member(body, &object(body), b"input").map(|input| elements(body, &input)).unwrap_or_default();
    let is_reference = |item: &Span| text_of(body, item, b"type").as_deref() == Some("item_reference");
    let referring = input.into_iter().filter(is_reference);
    referring.filter_map(|item| text_of(body, &item, b"id").map(|id| (item, id))).collect()
}

/// Where the object begins that a text holds.
fn object(text: &[u8]) -> Span {
    memchr::memchr(b'{', text).unwrap_or(text.len())..text.len()
}

/// Encrypted reasoning in an answer of Responses or an event of one, as it is written.
pub fn sealed_in(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    texts_named(said, b"\"encrypted_content\"").filter(|sealed| !sealed.is_empty())
}

/// Whether a body of any format names a file that a provider keeps.
#[must_use]
pub fn names_files(body: &[u8]) -> bool {
    texts_named(body, b"\"file_id\"").next().is_some()
}

/// The texts of members of this quoted name, at any depth.
fn texts_named<'a>(text: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    memchr::memmem::find_iter(text, name).filter_map(move |at| {
        let value = text.get(at + name.len()..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        value.strip_prefix(b"\"")?.split(|b| *b == b'"').next()
    })
}

/// A Responses body with the items in place of the references to them that `find` knows; `None` where it knows none. It
/// grows by `most` bytes at most; further references stay.
#[must_use]
pub fn put_items(body: &[u8], most: usize, find: impl Fn(&str) -> Option<Bytes>) -> Option<Bytes> {
    let mut out = Vec::new();
    let (mut copied, mut room) = (0, most);
    for (element, id) in named(body) {
        let Some(item) = find(&id) else { continue };
        let Some(left) = room.checked_sub(item.len()) else { break };
        room = left;
        out.extend_from_slice(body.get(copied..element.start)?);
        out.extend_from_slice(&item);
        copied = element.end;
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(body.get(copied..)?);
    Some(out.into())
}

/// The value of a member.
fn member(text: &[u8], object: &Span, name: &[u8]) -> Option<Span> {
    let mut found = None;
    members_within(text, object, |m| {
        if m.name.as_ref() == name {
            found = Some(m.value);
        }
    });
    found
}

fn text_of(text: &[u8], object: &Span, name: &[u8]) -> Option<Box<str>> {
    let value = member(text, object, name)?;
    Some(Walk::new(text, value.start).string()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_and_its_items_are_found_in_answers_and_events() {
        let rows: [(&str, &[&str]); 7] = [
            (r#"{"object":"response","output":[{"id":"msg_1"},{}],"id":"resp_1"}"#, &["resp_1", "msg_1"]),
            (r#"{"type":"response.created","response":{"id":"resp_1","output":[]}}"#, &["resp_1"]),
            (r#"{"type":"response.completed","response":{"output":[{"id":"rs_1"}],"id":"r"}}"#, &["r", "rs_1"]),
            (r#"{"type":"response.output_text.delta","id":"msg_1"}"#, &[]),
            (" {\"object\":\"response\",\"id\":\"r\"}", &["r"]),
            (r#"{"response":7}"#, &[]),
            ("[\"response\"", &[]),
        ];
        for (said, ids) in rows {
            let found = ids_of_response(said.as_bytes());
            assert_eq!(found.iter().map(|id| &**id).collect::<Vec<_>>(), ids, "{said}");
        }
    }

    #[test]
    fn what_a_request_names_is_found() {
        let body = br#"{"input":[{"type":"item_reference","id":"rs_1"},{"id":"msg_2","type":"message"},7,{"type":"item_reference"}]}"#;
        assert_eq!(references(body), ["rs_1".into()]);
        assert_eq!(references(b"{\"input\":\"item_reference\"}"), []);
        assert!(names_files(br#"{"input":[{"file_id" : "file-1"}]}"#));
        assert!(!names_files(br#"{"tools":[{"properties":{"file_id":{"type":"string"}}}],"x":"file_id"}"#));
    }

    #[test]
    fn what_is_sealed_is_found() {
        let said = r#"{"output":[{"encrypted_content" : "gAA=","type":"reasoning"},{"encrypted_content":null},{"text":"\"encrypted_content\": x"},{"encrypted_content":""},{"encrypted_content":"b"#;
        assert_eq!(sealed_in(said.as_bytes()).collect::<Vec<_>>(), [&b"gAA="[..], b"b"]);
    }

    const SAID: &str =
        r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"a, [b] }"}]}"#;
    const THOUGHT: &str = r#"{"type":"reasoning","summary":[],"id":"rs_1"}"#;

    fn find(id: &str) -> Option<Bytes> {
        [("msg_1", SAID), ("rs_1", THOUGHT)].iter().find(|(own, _)| *own == id).map(|(_, item)| (*item).into())
    }

    #[test]
    fn the_items_of_an_answer_have_their_ids() {
        let answer = format!(r#"{{"id":"resp_1","output":[{THOUGHT}, {SAID},{{"type":"x"}}],"store":false}}"#);
        let items = vec![("rs_1".into(), THOUGHT.into()), ("msg_1".into(), SAID.into())];
        assert_eq!(items_of_answer(answer.as_bytes()), items);
        for end in ["completed", "incomplete"] {
            let last = format!(r#"{{"type":"response.{end}","response":{answer},"sequence_number":9}}"#);
            let events =
                format!("event: response.output_item.done\ndata: {{}}\n\nevent: response.{end}\ndata: {last}\n\n");
            assert_eq!(items_of_events(events.as_bytes()), items);
        }
        for other in ["", "[]", "{}", r#"{"output":7}"#, r#"{"output":[7,[],{"id":7}]}"#, r#"{"output":[{"id":"#] {
            assert_eq!(items_of_answer(other.as_bytes()), []);
            assert_eq!(items_of_events(format!("event: response.completed\ndata: {other}").as_bytes()), []);
        }
        assert_eq!(
            items_of_events(format!("event: response.created\ndata: {{\"response\":{answer}}}\n\n").as_bytes()),
            []
        );
    }

    #[test]
    fn references_that_are_known_become_items_and_others_stay() {
        let refer = |id: &str| format!(r#"{{ "type" : "item_reference", "id" : "{id}" }}"#);
        let body = |items: &[&str]| format!(r#" {{"model":"m","input":[ {} ],"tools":[]}}"#, items.join(" , "));
        let put = |items: &[&str], most| put_items(body(items).as_bytes(), most, find);
        let (said, thought, lost, user) =
            (refer("msg_1"), refer("rs_1"), refer("msg_2"), r#"{"role":"user","content":"x"}"#);
        let got = put(&[user, &thought, &lost, &said, user], 1000).unwrap();
        assert_eq!(got, body(&[user, THOUGHT, &lost, SAID, user]));
        assert_eq!(put(&[&said, &said], SAID.len()).unwrap(), body(&[SAID, &said]), "no more than may be added");
        assert_eq!(put(&[&said], SAID.len() - 1), None);
        assert_eq!(put(&[&lost, user], 1000), None);
        for other in ["", "7", "[]", "{}", r#"{"input":"msg_1"}"#, r#"{"input":[7,{"type":"item_reference"}]}"#] {
            assert_eq!(put_items(other.as_bytes(), 1000, find), None);
        }
    }
}
