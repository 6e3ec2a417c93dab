//! What is held is never less than what is billed: the simulator counts and prices by itself, and is the oracle.

use bytes::Bytes;
use dialect::{Bill, Dialect, read_bill, read_head};
use fastrand::Rng;
use policy::{
    bound::{self, Bound, CacheMark, Content, ServerTools, Tier, Wire},
    catalogue::{self, ServerTool},
    snapshot::Api,
};
use serde_json::{Value, json};
use sim::{Fault, Offline, Quote};

/// Requests of each kind.
const CASES: u64 = 2_000;

/// The facts of a body in the words of the pure core.
fn content(bill: &Bill, answers: u32) -> Content {
    let mut server_tools = ServerTools::default();
    for tool in bill.server_tools.iter() {
        server_tools.add(ServerTool::ALL[tool as usize]);
    }
    Content {
        text_bytes: bill.text_bytes,
        messages: bill.messages,
        tools: bill.tools,
        defined_tools: bill.defined_tools,
        server_tools,
        schema: bill.schema,
        low_images: bill.low_images,
        high_images: bill.high_images,
        images: bill.images,
        elsewhere: bill.elsewhere,
        media: bill.media,
        prediction_bytes: bill.prediction_bytes,
        thinking_tokens: bill.thinking_tokens,
        tier: match bill.tier {
            dialect::ServiceTier::Auto => Tier::Auto,
            dialect::ServiceTier::Standard => Tier::Standard,
            dialect::ServiceTier::Flex => Tier::Flex,
            dialect::ServiceTier::Priority => Tier::Priority,
            dialect::ServiceTier::Fast => Tier::Fast,
            dialect::ServiceTier::Ultrafast => Tier::Ultrafast,
            dialect::ServiceTier::Unknown => Tier::Unknown,
        },
        regional: bill.regional,
        cache: match bill.cache {
            dialect::CacheMark::None => CacheMark::None,
            dialect::CacheMark::Short => CacheMark::Short,
            dialect::CacheMark::Long => CacheMark::Long,
        },
        answers,
    }
}

fn hold(dialect: Dialect, body: &[u8]) -> Bound {
    let head = read_head(dialect, body).expect("a body");
    let model = head.model.clone().expect("a model");
    let api = if dialect == Dialect::Messages { Api::Anthropic } else { Api::OpenAi };
    let facts = catalogue::find(&model);
    let wire = Wire { api, model: &model, facts: facts.as_ref(), limit: head.max_tokens };
    bound::worst(&content(&read_bill(dialect, body, &head), head.n), &wire).expect("a bound")
}

fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "/v1/chat/completions",
        Dialect::Responses => "/v1/responses",
        Dialect::Messages => "/v1/messages",
    }
}

#[track_caller]
fn covered(hold: &Bound, bill: &Quote, what: &str) {
    assert!(bill.input_tokens <= hold.input_tokens, "input {bill:?} above {hold:?}: {what}");
    assert!(bill.output_tokens <= hold.output_tokens, "output {bill:?} above {hold:?}: {what}");
    assert!(bill.nano_usd <= hold.usd.0, "{bill:?} above {hold:?}: {what}");
}

/// Text that a tokenizer counts dearly: signs, other scripts, line ends, escapes.
fn text(rng: &mut Rng, most: usize) -> String {
    let pieces = ["word", "!?", "é", "漢字", "🙂", "\n", "\t", "\"", "\\", "0.5", " ", "{}", "e", "\u{1}", "x1y2"];
    let many = rng.usize(1..=most);
    if rng.u8(0..4) == 0 {
        // One token a byte: nothing is to spare.
        return "!".repeat(many);
    }
    let mut out: String = (0..many).map(|_| *rng.choice(pieces.iter()).unwrap()).collect();
    out.push('.');
    out
}

fn schema(rng: &mut Rng) -> Value {
    let number = |rng: &mut Rng| {
        let text = *rng.choice(["1e15", "1E3", "0.1", "12345678901234567890", "-7", "1e-7"].iter()).unwrap();
        serde_json::from_str::<Value>(text).unwrap()
    };
    let many = if rng.u8(0..10) == 0 { rng.usize(1..300) } else { 1 };
    json!({"type": "object", "description": text(rng, 20), "properties": {
        "é": {"type": "number", "minimum": number(rng), "enum": [number(rng), number(rng)],
            "examples": vec![number(rng); many]},
        "b": {"type": "string", "description": text(rng, 5)}}})
}

/// The beginning of a PNG of that size, as base64.
fn png(width: u32, height: u32) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let head = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &width.to_be_bytes()[..], &height.to_be_bytes()[..]].concat();
    let mut out = String::new();
    for three in head.chunks(3) {
        let n = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
        out.extend((0..4).map(|i| char::from(DIGITS[(n >> (18 - 6 * i) & 63) as usize])));
    }
    out
}

fn picture(rng: &mut Rng) -> String {
    let side = |rng: &mut Rng| *rng.choice([1, 513, 2048, 60_000].iter()).unwrap();
    let (width, height) = (side(rng), side(rng));
    png(width, height)
}

fn maybe(rng: &mut Rng, body: &mut Value, name: &str, make: impl FnOnce(&mut Rng) -> Value) {
    if rng.u8(0..3) == 0 {
        body[name] = make(rng);
    }
}

fn gpt(rng: &mut Rng) -> &'static str {
    rng.choice(["gpt-6.2-sol", "gpt-6-sol", "gpt-6-luna", "gpt-5.6-sol", "gpt-5.5", "gpt-5.4-mini"]).unwrap()
}

fn claude(rng: &mut Rng) -> &'static str {
    rng.choice(["claude-haiku-5-5", "claude-opus-5", "claude-sonnet-5-5", "claude-opus-4-5", "claude-haiku-4-5"])
        .unwrap()
}

fn tier(rng: &mut Rng) -> Value {
    json!(rng.choice(["auto", "default", "flex", "priority", "fast", "ultrafast"]).unwrap())
}

fn chat(rng: &mut Rng) -> Value {
    let mut turns = vec![json!({"role": "system", "content": text(rng, 30)})];
    for _ in 0..rng.usize(1..5) {
        let part = match rng.u8(0..3) {
            0 => json!(text(rng, 60)),
            1 => json!([{"type": "text", "text": text(rng, 9)}, {"type": "text", "text": text(rng, 9)}]),
            _ => json!([{"type": "image_url", "image_url": {
                "url": format!("data:image/png;base64,{}", picture(rng)),
                "detail": rng.choice(["auto", "low", "high", "original"]).unwrap()}}]),
        };
        turns.push(json!({"role": "user", "content": part}));
        if rng.bool() {
            let call =
                json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": text(rng, 9)}});
            turns.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
            turns.push(json!({"role": "tool", "tool_call_id": "call_1", "content": text(rng, 60)}));
        }
    }
    let mut body = json!({"model": gpt(rng), "messages": turns});
    maybe(rng, &mut body, "max_completion_tokens", |r| json!(r.u64(1..400)));
    maybe(rng, &mut body, "n", |r| json!(r.u64(1..4)));
    maybe(rng, &mut body, "service_tier", tier);
    maybe(rng, &mut body, "reasoning_effort", |_| json!("high"));
    maybe(rng, &mut body, "prompt_cache_retention", |_| json!("24h"));
    maybe(rng, &mut body, "tools", |r| {
        (0..r.usize(1..4))
            .map(|_| json!({"type": "function", "function": {"name": "f", "parameters": schema(r)}}))
            .collect()
    });
    maybe(
        rng,
        &mut body,
        "response_format",
        |r| json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema(r)}}),
    );
    body
}

fn responses(rng: &mut Rng) -> Value {
    let mut items = vec![];
    for _ in 0..rng.usize(1..5) {
        let part = match rng.u8(0..3) {
            0 => json!(text(rng, 60)),
            1 => json!([{"type": "input_text", "text": text(rng, 9)}]),
            _ => json!([{"type": "input_image", "image_url": format!("data:image/png;base64,{}", picture(rng)),
                "detail": rng.choice(["auto", "low", "high"]).unwrap()}]),
        };
        items.push(json!({"role": "user", "content": part}));
        if rng.bool() {
            items.push(json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": text(rng, 9)}));
            items.push(json!({"type": "function_call_output", "call_id": "c", "output": text(rng, 40)}));
        }
    }
    let input = if rng.bool() { items.into() } else { json!(text(rng, 200)) };
    let mut body = json!({"model": gpt(rng), "input": input});
    maybe(rng, &mut body, "max_output_tokens", |r| json!(r.u64(16..400)));
    maybe(rng, &mut body, "instructions", |r| json!(text(r, 40)));
    maybe(rng, &mut body, "service_tier", tier);
    maybe(rng, &mut body, "reasoning", |_| json!({"effort": "high"}));
    maybe(rng, &mut body, "tools", |r| {
        json!([{"type": "function", "name": "f", "parameters": schema(r)},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g", "parameters": schema(r)}]}])
    });
    body
}

fn messages(rng: &mut Rng) -> Value {
    let mark = |rng: &mut Rng, block: &mut Value| {
        if rng.u8(0..5) == 0 {
            block["cache_control"] = match rng.u8(0..3) {
                0 => json!({"type": "ephemeral"}),
                1 => json!({"type": "ephemeral", "ttl": "5m"}),
                _ => json!({"type": "ephemeral", "ttl": "1h"}),
            };
        }
    };
    let mut turns = vec![];
    for _ in 0..rng.usize(0..3) {
        let mut asked = json!({"type": "text", "text": text(rng, 60)});
        mark(rng, &mut asked);
        turns.push(json!({"role": "user", "content": [asked]}));
        turns.push(json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": schema(rng)}]}));
        let mut told = json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": text(rng, 60)}]});
        mark(rng, &mut told);
        turns.push(json!({"role": "user", "content": [told]}));
        turns.push(json!({"role": "assistant", "content": text(rng, 30)}));
    }
    let last = if rng.bool() {
        json!(text(rng, 900))
    } else {
        let source = json!({"type": "base64", "media_type": "image/png", "data": picture(rng)});
        json!([{"type": "image", "source": source}, {"type": "text", "text": text(rng, 30)}])
    };
    turns.push(json!({"role": "user", "content": last}));
    let mut body = json!({"model": claude(rng), "max_tokens": rng.u64(1..400), "messages": turns});
    maybe(rng, &mut body, "system", |r| json!(text(r, 60)));
    maybe(rng, &mut body, "output_config", |_| json!({"effort": "high"}));
    maybe(rng, &mut body, "tools", |r| {
        let mut tools = json!([{"name": "f", "input_schema": schema(r)}, {"name": "g", "input_schema": schema(r)}]);
        mark(r, &mut tools[1]);
        tools
    });
    body
}

/// The same JSON as other programs write it: with blanks, or all in ASCII.
fn spelt(rng: &mut Rng, body: &Value) -> Vec<u8> {
    match rng.u8(0..3) {
        0 => body.to_string().into_bytes(),
        1 => serde_json::to_vec_pretty(body).unwrap(),
        _ => {
            let mut out = String::new();
            for c in body.to_string().chars() {
                match c {
                    c if c.is_ascii() => out.push(c),
                    c => c.encode_utf16(&mut [0; 2]).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}"))),
                }
            }
            out.into_bytes()
        }
    }
}

/// Holds against bills of `CASES` requests; a prompt that comes again is read from the cache.
fn holds(dialect: Dialect, make: fn(&mut Rng) -> Value) {
    let (mut accepted, mut why) = (0, String::new());
    for seed in 0..CASES {
        let mut rng = Rng::with_seed(seed);
        let sim = Offline::default();
        let body = make(&mut rng);
        let bytes = spelt(&mut rng, &body);
        let sent: Value = serde_json::from_slice(&bytes).unwrap();
        let what = format!("seed {seed}: {}", String::from_utf8_lossy(&bytes));
        for _ in 0..2 {
            match sim.quote(path(dialect), &sent, rng.usize(1..500), 1_795_000_000, None) {
                Ok(bill) => {
                    accepted += 1;
                    covered(&hold(dialect, &bytes), &bill, &what);
                }
                Err(refusal) => why = refusal,
            }
        }
    }
    assert!(accepted > CASES, "{accepted} of {} were accepted; {why}", 2 * CASES);
}

#[test]
fn chat_is_never_billed_above_its_hold() {
    holds(Dialect::Chat, chat);
}

#[test]
fn responses_are_never_billed_above_their_hold() {
    holds(Dialect::Responses, responses);
}

#[test]
fn messages_are_never_billed_above_their_hold() {
    holds(Dialect::Messages, messages);
}

/// Each of these has nothing to spare but one thing: where a token is a byte, no slack hides what was forgotten.
#[test]
fn nothing_is_forgotten_where_a_token_is_a_byte() {
    let dense = |bytes: usize| "!".repeat(bytes);
    let turns = |many: usize| -> Value { (0..many).map(|_| json!({"role": "user", "content": dense(50)})).collect() };
    let marked = |ttl: &str| {
        json!({"model": "claude-opus-5", "max_tokens": 1, "messages": [{"role": "user", "content": [
            {"type": "text", "text": dense(3_000), "cache_control": {"type": "ephemeral", "ttl": ttl}}]}]})
    };
    let image = format!("{}{}", png(1, 1), "A".repeat(20_000));
    let tool = json!({"name": "f", "description": dense(900), "input_schema": {"type": "object"}});
    let rows = [
        (Dialect::Chat, json!({"model": "gpt-6-sol", "messages": turns(100), "max_completion_tokens": 1})),
        (Dialect::Responses, json!({"model": "gpt-6-sol", "input": turns(100), "max_output_tokens": 16})),
        // Above the cliff of the price, and written to the cache.
        (
            Dialect::Chat,
            json!({"model": "gpt-6-sol", "max_completion_tokens": 1, "messages": [
            {"role": "system", "content": dense(290_000)}, {"role": "user", "content": "!"}]}),
        ),
        (Dialect::Messages, marked("5m")),
        (Dialect::Messages, marked("1h")),
        (Dialect::Messages, json!({"model": "claude-opus-5", "max_tokens": 1, "tools": [tool], "messages": turns(1)})),
        (
            Dialect::Messages,
            json!({"model": "claude-opus-5", "max_tokens": 1, "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}},
            {"type": "text", "text": dense(60_000)}]}]}),
        ),
        (
            Dialect::Chat,
            json!({"model": "gpt-6-sol", "n": 3, "max_completion_tokens": 400, "service_tier": "priority",
            "messages": turns(1)}),
        ),
    ];
    for (i, (dialect, body)) in rows.into_iter().enumerate() {
        let bill = Offline::default().quote(path(dialect), &body, 2_000, 1, None).unwrap();
        covered(&hold(dialect, body.to_string().as_bytes()), &bill, &format!("row {i}"));
    }
}

/// A translated call is held by the body that goes on the wire.
#[test]
fn translated_calls_are_never_billed_above_their_hold() {
    use Dialect::{Chat, Messages, Responses};
    type Make = fn(&mut Rng) -> Value;
    let callers: [(Dialect, Make); 3] = [(Chat, chat), (Responses, responses), (Messages, messages)];
    let arrows = callers.into_iter().flat_map(|caller| [Chat, Responses, Messages].map(|to| (caller, to)));
    for ((from, make), to) in arrows.filter(|((from, _), to)| from != to) {
        let mut accepted = 0;
        let mut why = String::new();
        for seed in 0..CASES / 2 {
            let mut rng = Rng::with_seed(seed);
            let body = make(&mut rng);
            let model = if to == Messages { claude(&mut rng) } else { gpt(&mut rng) };
            let target = dialect::TargetModel {
                provider: "p",
                model,
                default_max_tokens: Some(300),
                most_tokens: Some(64_000),
                capability: dialect::capability(model),
                now: 0,
            };
            let body = Bytes::from(spelt(&mut rng, &body));
            let head = dialect::read_head(from, &body).unwrap();
            let Ok(done) = dialect::translate_request(from, to, &body, &head, &target) else { continue };
            let done = done.body.concat();
            let sent: Value = serde_json::from_slice(&done).unwrap();
            let sim = Offline::default();
            for _ in 0..2 {
                match sim.quote(path(to), &sent, rng.usize(1..500), 1_795_000_000, None) {
                    Ok(bill) => {
                        accepted += 1;
                        covered(&hold(to, &done), &bill, &format!("{from:?} to {to:?}, seed {seed}: {sent}"));
                    }
                    Err(refusal) => why = refusal,
                }
            }
        }
        println!("{from:?} to {to:?}: {accepted} of {CASES}");
        assert!(accepted > CASES / 4, "{from:?} to {to:?}: {accepted} were accepted; {why}");
    }
}

/// A conversation that the provider keeps is bounded by the context length, however long it has grown.
#[test]
fn what_the_provider_keeps_is_within_the_hold() {
    let sim = Offline::default();
    let mut rng = Rng::with_seed(1);
    let mut previous = Value::Null;
    for turn in 0..4 {
        let body = json!({"model": "gpt-6-sol", "input": text(&mut rng, 3_000), "max_output_tokens": 50, "previous_response_id": previous});
        let bytes = body.to_string();
        let bill = sim.quote(path(Dialect::Responses), &body, 9, 1, None).unwrap();
        let hold = hold(Dialect::Responses, bytes.as_bytes());
        covered(&hold, &bill, &bytes);
        assert_eq!(hold.input_tokens == 1_050_000, turn > 0);
        previous = serde_json::from_str::<Value>(&bill.answer).unwrap()["id"].clone();
    }
}

/// A hold is of use where the answer is the larger part of the cost, as it is for a short prompt.
#[test]
fn a_short_prompt_is_held_within_a_fifth_of_its_cost() {
    let body = json!({"model": "gpt-6-sol", "max_completion_tokens": 900, "messages": [
        {"role": "user", "content": "Write down what a tide is, and why there are two of them each day."}]});
    let bytes = body.to_string();
    let bill = Offline::default().quote(path(Dialect::Chat), &body, 2_000, 1, None).unwrap();
    let hold = hold(Dialect::Chat, bytes.as_bytes());
    covered(&hold, &bill, &bytes);
    assert!(hold.usd.0 * 10 <= bill.nano_usd * 12, "{hold:?} for {bill:?}");
}

/// Only a provider that ignores the limit on the wire bills more, and that is seen.
#[test]
fn a_provider_that_overruns_its_limit_is_seen_to() {
    let body =
        json!({"model": "gpt-6-sol", "max_completion_tokens": 900, "messages": [{"role": "user", "content": "hi"}]});
    let bill = Offline::default().quote(path(Dialect::Chat), &body, 9, 1, Some(Fault::IgnoreMaxTokens)).unwrap();
    let hold = hold(Dialect::Chat, body.to_string().as_bytes());
    assert!(bill.output_tokens > hold.output_tokens && bill.nano_usd > hold.usd.0, "{bill:?} {hold:?}");
}
