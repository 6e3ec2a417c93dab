//! Content of a Chat message: a string, or parts.

use serde_json::{Value, json};

use crate::{
    model::{Media, Part, Request, Source, Text},
    translate::{Read, refuse},
};

/// The texts of instructions; anything else among them is listed as dropped.
pub(super) fn texts(r: &mut Request, at: &str, content: Value) -> Read<Vec<Text>> {
    let mut texts = vec![];
    for part in parts(r, at, content)? {
        match part {
            Part::Text(t) => texts.push(t),
            Part::Image(media) | Part::Document { media, .. } => r.drop_member(media.at),
            Part::Refusal(_) | Part::Thought(_) | Part::Call(_) | Part::Result(_) => {}
        }
    }
    Ok(texts)
}

/// The parts of a message's content.
pub(super) fn parts(r: &mut Request, at: &str, content: Value) -> Read<Vec<Part>> {
    match content {
        Value::Null => Ok(vec![]),
        Value::String(text) if text.is_empty() => Ok(vec![]),
        Value::String(text) => Ok(vec![Part::Text(Text { text, cache: None })]),
        Value::Array(list) => {
            let each = list.into_iter().enumerate();
            let read = each.map(|(j, p)| part(r, format!("{at}.content[{j}]"), p));
            Ok(read.collect::<Read<Vec<_>>>()?.into_iter().flatten().collect())
        }
        _ => refuse(format!("{at}.content"), "must be a string or an array"),
    }
}

fn part(r: &mut Request, at: String, mut p: Value) -> Read<Option<Part>> {
    let cache = p.get("cache_control").filter(|c| !c.is_null()).cloned();
    let text = |v: Value, cache| match v {
        Value::String(text) if !text.is_empty() => Some(Part::Text(Text { text, cache })),
        _ => None,
    };
    match p["type"].as_str().unwrap_or_default() {
        "text" => Ok(text(p["text"].take(), cache)),
        "refusal" => Ok(p["refusal"].as_str().filter(|t| !t.is_empty()).map(|t| Part::Refusal(t.to_owned()))),
        "image_url" => {
            let detail = p["image_url"]["detail"].as_str().filter(|d| *d != "auto").map(str::to_owned);
            let url = match &p["image_url"] {
                Value::String(url) => url.as_str(),
                object => object["url"].as_str().unwrap_or_default(),
            };
            let source = source(&format!("{at}.image_url.url"), url)?;
            Ok(Some(Part::Image(Media { source, detail, cache, at })))
        }
        "file" => {
            let file = &p["file"];
            let Some(data) = file["file_data"].as_str() else {
                return refuse(
                    format!("{at}.file.file_id"),
                    "a file held by one provider cannot be sent to another; send file_data",
                );
            };
            let name = file["filename"].as_str().map(str::to_owned);
            let source = source(&format!("{at}.file.file_data"), data)?;
            Ok(Some(Part::Document { media: Media { source, detail: None, cache, at }, name }))
        }
        "input_audio" => refuse(at, "audio input has no counterpart; send text"),
        _ => {
            r.drop_member(at);
            Ok(None)
        }
    }
}

/// A data URL taken apart, or another one as it is.
pub(crate) fn source(at: &str, url: &str) -> Read<Source> {
    let is_data = url.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("data:"));
    let Some((head, data)) = url.split_once(',').filter(|_| is_data) else {
        return Ok(Source::Url(url.to_owned()));
    };
    // data:<type>[;<parameter>…];base64,<data>
    let mut fields = head["data:".len()..].split(';');
    let media_type = fields.next().unwrap_or_default().to_ascii_lowercase();
    if fields.next_back() != Some("base64") {
        return refuse(at, "a data URL must be base64");
    }
    Ok(Source::Base64 { media_type, data: data.to_owned() })
}

/// A part as Chat has it, for a user message; refused what a user message does not hold.
pub(super) fn written(p: &Part) -> Read<Value> {
    Ok(match p {
        Part::Text(t) => json!({"type": "text", "text": t.text}),
        Part::Refusal(text) => json!({"type": "text", "text": text}),
        Part::Image(m) => {
            let mut image = json!({"url": url(&m.source)});
            if let Some(detail) = &m.detail {
                image["detail"] = detail.clone().into();
            }
            json!({"type": "image_url", "image_url": image})
        }
        Part::Document { media: Media { source: Source::Url(_), at, .. }, .. } => {
            return refuse(at, "a document by URL has no counterpart; send its data");
        }
        Part::Document { media, name } => {
            let name = name.clone().unwrap_or_else(|| "document.pdf".into());
            json!({"type": "file", "file": {"filename": name, "file_data": url(&media.source)}})
        }
        Part::Thought(thought) => return refuse(&thought.at, "a thought belongs into an assistant turn"),
        Part::Call(call) => return refuse(&call.at, "a tool call belongs into an assistant turn"),
        Part::Result(result) => return refuse(&result.at, "a tool result belongs into a turn, not into a result"),
    })
}

pub(crate) fn url(s: &Source) -> String {
    match s {
        Source::Url(url) => url.clone(),
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}"),
    }
}
