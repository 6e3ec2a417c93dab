//! Prints what the hot paths cost: `cargo run --release -p dialect --example speed`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a measuring tool, never shipped")]

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use dialect::{
    AnswerOfStream, Dialect, StreamTranslator, TargetModel, Tee, Trim, cache_key, capability, classify, read_answer,
    read_head, sse::Splitter, stream_of_answer, translate_answer, translate_request, trim,
};

fn main() {
    for kib in [1usize, 32, 256] {
        let body = prompt(kib << 10);
        time(&format!("read_head, {kib} KiB in one string"), 1, || read_head(Dialect::Chat, &body).unwrap());
    }
    let turns = conversation(32 << 10);
    time("read_head, 32 KiB in short turns with escapes", 1, || read_head(Dialect::Chat, &turns).unwrap());
    let head = read_head(Dialect::Chat, &turns).unwrap();
    let to = Trim { keep_messages: Some(6), max_output_tokens: Some(512), temperature_milli: Some(200) };
    time("trim, the same", 1, || trim(Dialect::Chat, &head, &turns, &to, capability("m")).unwrap());
    time("cache_key, the same", 1, || cache_key(Dialect::Chat, &head, &turns).unwrap());
    let answer = answer();
    time("read_answer, 1 KiB", 1, || read_answer(Dialect::Chat, &answer).unwrap());
    time("stream_of_answer, 1 KiB", 1, || stream_of_answer(Dialect::Chat, &answer, true).unwrap());

    use Dialect::{Chat, Messages, Responses};
    for (caller, provider) in [(Chat, Messages), (Messages, Chat), (Messages, Responses), (Responses, Messages)] {
        println!("{caller:?} to {provider:?}");
        let to = TargetModel {
            provider: "p",
            model: "gpt-6-sol",
            default_max_tokens: Some(256),
            most_tokens: None,
            capability: capability("gpt-6-sol"),
            now: 1,
        };
        for kib in [1usize, 32] {
            let body = Bytes::from(request(caller, kib << 10));
            time(&format!("  read_head, {kib} KiB"), 1, || read_head(caller, &body).unwrap());
            let head = read_head(caller, &body).unwrap();
            time(&format!("  translate_request, {kib} KiB"), 1, || {
                translate_request(caller, provider, &body, &head, &to).unwrap()
            });
        }
        let body = Bytes::from(request(caller, 1024));
        let head = read_head(caller, &body).unwrap();
        let context = translate_request(caller, provider, &body, &head, &to).unwrap().context;
        let answer = answer_of(provider);
        time("  translate_answer, 1 KiB", 1, || translate_answer(&context, &answer).unwrap());
        let chunk = Bytes::from(opening(provider).to_owned() + &event(provider).repeat(1000));
        time("  split and translate events", 1000, || {
            let mut translator = StreamTranslator::new(&context);
            split(&chunk, |f| _ = black_box(translator.push(&f)));
        });
    }

    for dialect in [Chat, Messages, Responses] {
        let event = event(dialect);
        let chunk = Bytes::from(event.repeat(1000));
        println!("{dialect:?} events of {} bytes", event.len());
        time("  split", 1000, || split(&chunk, |_| {}));
        time("  split and tee", 1000, || {
            let mut tee = Tee::new(dialect);
            split(&chunk, |f| _ = black_box(tee.frame(&f)));
        });
        time("  split and assemble", 1000, || {
            let mut answer = AnswerOfStream::new(dialect, 1 << 20);
            split(&chunk, |f| answer.frame(&f));
            answer.answer(None)
        });
        time("  split and classify", 1000, || split(&chunk, |f| _ = black_box(classify(dialect, &f))));
    }
}

/// Median of many rounds, in nanoseconds a unit.
fn time<T>(what: &str, units: u32, mut work: impl FnMut() -> T) {
    let mut rounds: Vec<u128> = (0..301)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..20 {
                black_box(work());
            }
            start.elapsed().as_nanos() / 20
        })
        .collect();
    rounds.sort_unstable();
    println!("{what}: {:.1} ns", rounds[150] as f64 / f64::from(units));
}

fn split(chunk: &Bytes, mut each: impl FnMut(dialect::sse::Frame)) {
    let mut splitter = Splitter::new(16 << 20);
    splitter.push(chunk.clone());
    while let Some(frame) = splitter.next_frame().unwrap() {
        each(frame);
    }
}

fn prompt(size: usize) -> Vec<u8> {
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(size / 45);
    format!(r#"{{"model":"gpt-6-sol","messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"{text}"}}],"temperature":0.2,"max_completion_tokens":256,"stream":true,"stream_options":{{"include_usage":true}}}}"#).into_bytes()
}

fn conversation(size: usize) -> Vec<u8> {
    let turn = r#"{"role":"user","content":"He said \"no\",\nand left. Then it rained for forty days."},"#;
    let turns = turn.repeat(size / turn.len());
    format!(r#"{{"model":"m","messages":[{}]}}"#, turns.trim_end_matches(',')).into_bytes()
}

fn answer() -> Vec<u8> {
    let text = "word ".repeat(150);
    format!(r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":150,"total_tokens":159}},"service_tier":"default"}}"#).into_bytes()
}

/// A prompt with an escape in each third word or so, a turn for each 8 KiB.
fn request(dialect: Dialect, size: usize) -> Vec<u8> {
    const WORDS: [&str; 8] =
        ["he ", "said ", r#"\"no\", "#, r"and left.\n", "Then ", "it ", "na\u{ef}vely ", "rained "];
    let turns = (size / 8192).max(1);
    let mut text = String::new();
    let mut n = 1u64;
    while text.len() < size / turns {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text += WORDS[(n >> 61) as usize];
    }
    let turn = format!(r#"{{"role":"user","content":"{text}"}}"#);
    let turns = vec![turn; turns].join(r#",{"role":"assistant","content":"Go on."},"#);
    match dialect {
        Dialect::Chat => format!(r#"{{"model":"m","messages":[{{"role":"system","content":"Be brief."}},{turns}],"temperature":0.7,"max_tokens":256}}"#),
        Dialect::Messages => format!(r#"{{"model":"m","max_tokens":256,"system":"Be brief.","messages":[{turns}],"tools":[{{"name":"get_weather","description":"The weather at a place, now.","input_schema":{{"type":"object","properties":{{"place":{{"type":"string"}}}},"required":["place"]}}}}]}}"#),
        Dialect::Responses => format!(r#"{{"model":"m","instructions":"Be brief.","input":[{turns}],"max_output_tokens":256,"store":false}}"#),
    }
    .into_bytes()
}

fn answer_of(dialect: Dialect) -> Vec<u8> {
    let text = "word ".repeat(40);
    match dialect {
        Dialect::Chat => format!(r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":40,"total_tokens":49,"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}},"system_fingerprint":"fp"}}"#),
        Dialect::Messages => format!(r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":9,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":40,"service_tier":"standard"}}}}"#),
        Dialect::Responses => format!(r#"{{"id":"resp_1","object":"response","created_at":1,"status":"completed","error":null,"incomplete_details":null,"model":"m","output":[{{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{{"type":"output_text","text":"{text}","annotations":[],"logprobs":[]}}]}}],"parallel_tool_calls":true,"tools":[],"usage":{{"input_tokens":9,"input_tokens_details":{{"cached_tokens":0}},"output_tokens":40,"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":49}},"metadata":{{}}}}"#),
    }
    .into_bytes()
}

/// What comes before the first text of a stream.
fn opening(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "",
        Dialect::Messages => "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\"}}\n\n",
        Dialect::Responses => {
            "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"model\":\"m\"}}\n\n"
        }
    }
}

fn event(dialect: Dialect) -> String {
    match dialect {
        Dialect::Chat => concat!(
            r#"data: {"id":"chatcmpl-9f2c1b7ae04d4d1cb0","object":"chat.completion.chunk","created":1790000000,"model":"gpt-6-sol","system_fingerprint":null,"#,
            r#""choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"usage":null}"#, "\n\n"
        ),
        Dialect::Messages => concat!(
            "event: content_block_delta\n",
            r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" a few more words of an answer that goes on and on, as they do"}}"#, "\n\n"
        ),
        Dialect::Responses => concat!(
            "event: response.output_text.delta\n",
            r#"data: {"type":"response.output_text.delta","sequence_number":17,"item_id":"msg_0a1b2c3d4e5f","output_index":0,"content_index":0,"delta":" token","logprobs":[],"obfuscation":"a8Gh2kQ"}"#, "\n\n"
        ),
    }
    .to_owned()
}
