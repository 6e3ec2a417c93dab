//! One case, run through the public way of a translation.

use bytes::Bytes;
use dialect::{
    AnswerFault, Context, Dialect, ErrorShape, StreamTranslator, TargetModel, Tee, Usage, edit_request, map_headers,
    map_status, read_error, read_head, sse::Splitter, translate_answer, translate_count, usage_of_answer, write_error,
};
use serde_json::{Value, json};

use super::{Arrow, Case, Ends, Mode, Stream, diff::diff};
use crate::{events, order, plain_request, target, translate};

/// What is wrong; nothing where all is as it stands.
pub fn check((caller, provider): Arrow, case: &Case, print: bool) -> Vec<String> {
    let mut faults = vec![];
    let mut compare = |what: &str, want: Value, got: Value| {
        if print {
            println!("{what}: {got:#}");
        }
        let lines = diff(&want, &got);
        if !lines.is_empty() {
            faults.push(format!("  {what}\n{}", lines.join("\n")));
        }
    };
    let request = case.request.clone().unwrap_or_else(|| plain_request(caller));
    let model = case.model.as_deref().unwrap_or(plain_model(provider));
    let to = TargetModel { default_max_tokens: case.limits.default, most_tokens: case.limits.most, ..target(model) };
    if caller == provider {
        // What comes back is passed on byte by byte: there is nothing else to see.
        assert_eq!(case.modes(), [Mode::Request], "a case of one format has a request that is carried");
        let (body, dropped) = edited(caller, &request, &to);
        compare(
            "request",
            json!({"upstream": case.upstream, "dropped": case.dropped}),
            json!({"upstream": body, "dropped": dropped}),
        );
        return faults;
    }
    let done = if case.counts {
        assert_eq!((caller, provider), (Dialect::Messages, Dialect::Responses), "the one arrow of counts");
        translate_count(request.to_string().as_bytes(), &to)
    } else {
        translate(caller, provider, &request, &to)
    };
    let request = match &done {
        Ok(d) => json!({"upstream": json_of(&d.body.concat()), "dropped": d.dropped}),
        Err(e) => json!({"refused": e.to_string()}),
    };
    match (&case.upstream, &case.refused) {
        (Some(upstream), None) => {
            compare("request", json!({"upstream": upstream, "dropped": case.dropped}), request.clone());
        }
        (None, Some(refused)) => compare("request", json!({"refused": refused}), request.clone()),
        _ => {}
    }
    let Ok(done) = done else {
        if case.refused.is_none() {
            compare("request", json!("that is translated"), request);
        }
        return faults;
    };
    if let Some(answer) = &case.answer {
        let want = json!({"to": answer.to, "fault": answer.fault});
        let got = match translate_answer(&done.context, &bytes_of(&answer.from)) {
            Ok(answer) => json!({"to": json_of(&answer.body), "fault": null}),
            Err(fault) => json!({"to": null, "fault": told(&fault)}),
        };
        compare("answer", want, got);
        if let Some(counted) = &answer.counted {
            let usage = usage_of_answer(provider, &bytes_of(&answer.from));
            compare("answer counted", counted.clone(), json_of_usage(usage.as_ref()));
        }
    }
    if let Some(stream) = &case.stream {
        let bytes = framed(provider, &stream.from);
        let (out, broken) = translated(&done.context, &[&bytes]);
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        if translated(&done.context, &each) != (out.clone(), broken) {
            compare("stream", json!("the same"), json!("another, byte by byte"));
        }
        if let Some(counted) = &stream.counted {
            let usage = count(provider, &bytes);
            compare("stream counted", counted.clone(), json_of_usage(usage.as_ref()));
        }
        let told = events(caller, out);
        let is_broken = stream.ends == Ends::Broken;
        compare("stream", json!({"to": stream.to, "broken": is_broken}), json!({"to": told, "broken": broken}));
    }
    if let Some(error) = &case.error {
        let fault = read_error(provider, error.from.status, &bytes_of(&error.from.body));
        let status = map_status(provider, caller, error.from.status);
        let body = write_error(caller, &ErrorShape::of_fault(&fault, status));
        let want = json!({"status": error.to.status, "body": error.to.body});
        compare("error", want, json!({"status": status, "body": json_of(&body)}));
    }
    if let Some(headers) = &case.headers {
        let from = headers.from.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let got: Vec<_> = map_headers(provider, caller, from).collect();
        let to = got.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        assert_eq!(got.len(), serde_json::Map::len(&to), "a header twice: {got:?}");
        compare("headers", json!(headers.to), Value::Object(to));
    }
    faults.extend(check_order((caller, provider), case).err().map(|e| format!("  {e}")));
    faults
}

/// A request for a provider of its own format.
fn edited(dialect: Dialect, request: &Value, to: &TargetModel<'_>) -> (Value, Vec<String>) {
    let body = Bytes::from(request.to_string());
    let head = read_head(dialect, &body).unwrap();
    let done = edit_request(dialect, &body, &head, to, None, None);
    (json_of(&done.body.concat()), done.dropped)
}

/// Whether the stream that the case wants could come from the caller's dialect.
fn check_order((caller, _): Arrow, case: &Case) -> Result<(), String> {
    let Some(Stream { to, ends, .. }) = &case.stream else { return Ok(()) };
    let counted = case.request.as_ref().is_none_or(|r| r["stream_options"]["include_usage"] == true);
    match order::of(caller, to, counted) {
        Ok(over) if over == (*ends == Ends::Over) => Ok(()),
        Ok(over) => Err(format!("over: {over}, but it is to end {ends:?}")),
        Err(why) => Err(format!("out of order: {why}")),
    }
}

fn plain_model(provider: Dialect) -> &'static str {
    if provider == Dialect::Messages { "claude-haiku-4-5" } else { "gpt-4o" }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// A body; text stands for itself.
fn bytes_of(v: &Value) -> Bytes {
    v.as_str().map_or_else(|| v.to_string(), str::to_owned).into()
}

fn told(fault: &AnswerFault) -> String {
    match fault {
        AnswerFault::ErrorObject(fault) => format!("{} {}", fault.status.unwrap_or_default(), fault.message),
        other => format!("{other:?}"),
    }
}

/// Events as their dialect frames them; text stands for itself.
fn framed(provider: Dialect, from: &Value) -> Vec<u8> {
    let Some(list) = from.as_array() else { return bytes_of(from).to_vec() };
    let frames = list.iter().map(|e| match e["type"].as_str().filter(|_| provider != Dialect::Chat) {
        Some(kind) => format!("event: {kind}\ndata: {e}\n\n"),
        None => format!("data: {}\n\n", e.as_str().map_or_else(|| e.to_string(), str::to_owned)),
    });
    frames.collect::<String>().into()
}

/// What a stream's provider counted, as a bill reads it.
fn count(provider: Dialect, bytes: &[u8]) -> Option<Usage> {
    let (mut splitter, mut tee) = (Splitter::new(1 << 20), Tee::new(provider));
    splitter.push(Bytes::copy_from_slice(bytes));
    splitter.finish();
    while let Some(frame) = splitter.next_frame().unwrap() {
        tee.frame(&frame);
    }
    tee.usage().cloned()
}

/// What is not zero of it.
fn json_of_usage(usage: Option<&Usage>) -> Value {
    let Some(Usage { input, cached, cache_write, cache_write_long, output, reasoning, service_tier }) = usage else {
        return Value::Null;
    };
    let counts = [
        ("input", input),
        ("cached", cached),
        ("cache_write", cache_write),
        ("cache_write_long", cache_write_long),
        ("output", output),
        ("reasoning", reasoning),
    ];
    let counts = counts.into_iter().filter(|(_, n)| **n > 0).map(|(name, n)| (name.to_owned(), json!(n)));
    let tier = service_tier.iter().map(|tier| ("service_tier".to_owned(), json!(tier)));
    Value::Object(counts.chain(tier).collect())
}

/// What the caller gets for chunks of a stream, and whether it broke.
fn translated(context: &Context, chunks: &[&[u8]]) -> (Bytes, bool) {
    let mut splitter = Splitter::new(1 << 20);
    let mut translator = StreamTranslator::new(context);
    let mut out = vec![];
    for chunk in chunks.iter().map(Some).chain([None]) {
        match chunk {
            Some(chunk) => splitter.push(Bytes::copy_from_slice(chunk)),
            None => splitter.finish(),
        }
        while let Some(frame) = splitter.next_frame().unwrap() {
            match translator.push(&frame) {
                Ok(bytes) => out.extend_from_slice(&bytes),
                Err(_) => return (out.into(), true),
            }
        }
    }
    (out.into(), false)
}
