//! Content of a Responses item: a string, or parts.

use serde_json::Value;

use crate::{
    chat::{source, url},
    model::{Media, Part, Request, Source, Text},
    object::Object,
    rest::{drop_rest, take_string},
    translate::{Read, refuse},
};

const HELD: &str = "a file held by one provider cannot be sent to another; send its data or its URL";

/// The parts of a message's content, or of a tool's output.
pub(super) fn parts(r: &mut Request, at: &str, content: Value) -> Read<Vec<Part>> {
    match content {
        Value::Null => Ok(vec![]),
        Value::String(text) if text.is_empty() => Ok(vec![]),
        Value::String(text) => Ok(vec![Part::Text(Text { text, cache: None })]),
        Value::Array(list) => {
            let each = list.into_iter().enumerate();
            let read = each.map(|(j, p)| part(r, format!("{at}[{j}]"), p));
            Ok(read.collect::<Read<Vec<_>>>()?.into_iter().flatten().collect())
        }
        _ => refuse(at, "must be a string or an array"),
    }
}

fn part(r: &mut Request, at: String, p: Value) -> Read<Option<Part>> {
    let Value::Object(mut p) = p else { return refuse(at, "must be an object") };
    let kind = take_string(&mut p, "type").unwrap_or_default();
    let mut word = |name: &str| take_string(&mut p, name).filter(|t| !t.is_empty());
    let part = match kind.as_str() {
        "input_text" | "output_text" | "text" => word("text").map(|text| Part::Text(Text { text, cache: None })),
        "refusal" => word("refusal").map(Part::Refusal),
        "input_image" => {
            let Some(url) = word("image_url") else { return refuse(format!("{at}.file_id"), HELD) };
            let source = source(&format!("{at}.image_url"), &url)?;
            let detail = word("detail").filter(|d| *d != "auto");
            Some(Part::Image(Media { source, detail, cache: None, at: at.clone() }))
        }
        "input_file" => {
            let source = match word("file_data") {
                Some(data) => source(&format!("{at}.file_data"), &data)?,
                None => match word("file_url") {
                    Some(url) => Source::Url(url),
                    None => return refuse(format!("{at}.file_id"), HELD),
                },
            };
            let name = word("filename");
            Some(Part::Document { media: Media { source, detail: None, cache: None, at: at.clone() }, name })
        }
        "input_audio" => return refuse(at, "audio input has no counterpart; send text"),
        _ => {
            r.drop_member(at);
            return Ok(None);
        }
    };
    if p.get("detail").is_some_and(|d| d == "auto") {
        p.remove("detail");
    }
    drop_rest(r, &at, p);
    Ok(part)
}

/// Writes a part as Responses has it, for a user message or a tool's output; refused what they do not hold.
pub(super) fn write(p: &Part, out: &mut String) -> Read<()> {
    let mut o = Object::new(out);
    match p {
        Part::Text(Text { text, .. }) | Part::Refusal(text) => {
            o.text("type", "input_text");
            o.text("text", text);
        }
        Part::Image(m) => {
            o.text("type", "input_image");
            o.text("image_url", &url(&m.source));
            o.text("detail", m.detail.as_deref().unwrap_or("auto"));
        }
        Part::Document { media: Media { source: Source::Url(url), .. }, .. } => {
            o.text("type", "input_file");
            o.text("file_url", url);
        }
        Part::Document { media, name } => {
            o.text("type", "input_file");
            o.text("filename", name.as_deref().unwrap_or("document.pdf"));
            o.text("file_data", &url(&media.source));
        }
        Part::Thought(thought) => return refuse(&thought.at, "a thought belongs into an assistant turn"),
        Part::Call(call) => return refuse(&call.at, "a tool call belongs into an assistant turn"),
        Part::Result(result) => return refuse(&result.at, "a tool result belongs into a turn, not into a result"),
    }
    o.end();
    Ok(())
}
