//! Content of a Chat message: a string, or parts.

use serde_json::{Value, json};

use crate::{
    model::{Media, Part, Request, Source, Text},
    rest::{drop_rest, take_cache, take_object, take_string},
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

fn part(r: &mut Request, at: String, p: Value) -> Read<Option<Part>> {
    let Value::Object(mut p) = p else {
        r.drop_member(at);
        return Ok(None);
    };
    let cache = take_cache(&mut p);
    let kind = take_string(&mut p, "type").unwrap_or_default();
    let part = match kind.as_str() {
        "text" => {
            let text = take_string(&mut p, "text").filter(|t| !t.is_empty());
            text.map(|text| Part::Text(Text { text, cache }))
        }
        "refusal" => take_string(&mut p, "refusal").filter(|t| !t.is_empty()).map(Part::Refusal),
        "image_url" => {
            let (url, detail) = match take_object(&mut p, "image_url") {
                Some(mut image) => {
                    let url = take_string(&mut image, "url");
                    let detail = take_string(&mut image, "detail").filter(|d| d != "auto");
                    drop_rest(r, &format!("{at}.image_url"), image);
                    (url, detail)
                }
                None => (take_string(&mut p, "image_url"), None),
            };
            let source = source(&format!("{at}.image_url.url"), &url.unwrap_or_default())?;
            Some(Part::Image(Media { source, detail, cache, at: at.clone() }))
        }
        "file" => {
            let mut file = take_object(&mut p, "file").unwrap_or_default();
            let Some(data) = take_string(&mut file, "file_data") else {
                return refuse(
                    format!("{at}.file.file_id"),
                    "a file held by one provider cannot be sent to another; send file_data",
                );
            };
            let name = take_string(&mut file, "filename");
            drop_rest(r, &format!("{at}.file"), file);
            let source = source(&format!("{at}.file.file_data"), &data)?;
            Some(Part::Document { media: Media { source, detail: None, cache, at: at.clone() }, name })
        }
        "input_audio" => return refuse(at, "audio input has no counterpart; send text"),
        _ => {
            r.drop_member(at);
            return Ok(None);
        }
    };
    drop_rest(r, &at, p);
    Ok(part)
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
