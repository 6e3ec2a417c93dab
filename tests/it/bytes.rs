//! Same dialect on both sides: bytes arrive as they were sent.

use harness::{
    Policy, Speech, World,
    policy::{PATIENT, QUICK},
    stub::{self, Stub},
};

/// Odd forms that a parser and a writer would change: numbers, escapes, spaces, order, unknown members, big integers.
const ODD: &str = r#""x_odd" :  { "b":1.0e2,"a":-0.0, "big":123456789012345678901234567890, "f":1e-7,"esc":"\u00e9\/\ud83d\ude00\n", "t" : [ 1 ,2,   {} ],"z":null }"#;

fn answer(speech: Speech) -> String {
    match speech {
        Speech::Chat => format!(
            r#"{{ "id":"c1",  "object":"chat.completion","model":"gpt-6-sol", {ODD} ,"choices":[ {{"index":0,"message":{{"role":"assistant","content":"h\u00e9llo \/ there","refusal":null}},"finish_reason":"stop"}} ],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}} }}{newline}"#,
            newline = "\n"
        ),
        Speech::Responses => format!(
            r#"{{"id":"resp_1","object":"response","status":"completed",  {ODD},"model":"gpt-6-sol","output":[{{"type":"x_new_item","x":1.50}},{{"type":"message","id":"m","role":"assistant","status":"completed","content":[{{"type":"output_text","text":"h\u00e9llo","annotations":[]}}]}}],"usage":{{"input_tokens":3,"output_tokens":2,"total_tokens":5}}}}"#
        ),
        Speech::Messages => format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5", {ODD},"content":[{{"type":"x_new_block","x":1.50}},{{"type":"text","text":"h\u00e9llo"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":3,"output_tokens":2,"x_tokens":1E1}}}}"#
        ),
    }
}

/// A stream of known and unknown events in odd forms and odd framing.
fn stream(speech: Speech) -> String {
    match speech {
        Speech::Chat => format!(
            ": hello\n\ndata: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\", {ODD},\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}}}}]}}\n\n\
            data:{{\"id\":\"c1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"h\\u00e9llo \"}}}}],\"obfuscation\":\"xy\"}}\r\n\r\n\
            event: x_unknown\nid: 7\nretry: 3000\ndata: {{\"x\": 1.0e2}}\n\n\
            data: {{\"id\":\"c1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"there 😀\"}}}}]}}\n\n\
            data: {{\"id\":\"c1\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n\
            data: {{\"id\":\"c1\",\"choices\":[],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}}}\n\n\
            data: [DONE]\n\n"
        ),
        Speech::Responses => format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"sequence_number\":0, {ODD},\"response\":{{\"id\":\"resp_1\",\"status\":\"in_progress\",\"output\":[]}}}}\n\n\
            event: response.output_item.added\ndata: {{\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{{\"type\":\"message\",\"id\":\"m\",\"role\":\"assistant\",\"content\":[]}}}}\n\n\
            event: response.x_unknown\ndata: {{\"type\":\"response.x_unknown\",\"sequence_number\":2,\"x\":  1.50}}\n\n\
            event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":3,\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"h\\u00e9llo 😀\"}}\n\n\
            event: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":4,\"response\":{{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],\"usage\":{{\"input_tokens\":3,\"output_tokens\":2,\"total_tokens\":5}}}}}}\n\n"
        ),
        Speech::Messages => format!(
            "event: message_start\ndata: {{\"type\":\"message_start\", {ODD},\"message\":{{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"usage\":{{\"input_tokens\":3,\"output_tokens\":1}}}}}}\n\n\
            event: ping\ndata: {{\"type\": \"ping\"}}\n\n\
            event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\n\
            event: x_unknown\ndata: {{\"type\":\"x_unknown\",\"x\":  1.50}}\n\n\
            event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"h\\u00e9llo 😀\"}}}}\n\n\
            event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"x_new_delta\",\"x\":-0.0}}}}\n\n\
            event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\n\
            event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{{\"output_tokens\":2}}}}\n\n\
            event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        ),
    }
}

/// A request in odd forms; the model is the target's own, so that nothing has to be changed.
fn request(speech: Speech, stream: bool) -> String {
    let more = match (speech, stream) {
        (Speech::Chat, true) => r#","stream" :true , "stream_options":{ "include_usage":true,"x":1e0 }"#,
        (_, true) => r#", "stream" :true"#,
        (_, false) => "",
    };
    match speech {
        Speech::Chat => {
            format!(
                r#" {{ {ODD},"model":"gpt-6-sol" ,"messages":[{{"role":"user","content":"h\u00e9llo \/ 😀"}}], "seed":1.0e1{more} }} "#
            )
        }
        Speech::Responses => {
            format!(r#"{{ {ODD},"input":"h\u00e9llo \/",  "model" : "gpt-6-sol", "x_new":{{}}{more} }}"#)
        }
        Speech::Messages => format!(
            r#"{{ "max_tokens":64,{ODD},"messages":[{{"role":"user","content":"h\u00e9llo"}}],"model":"claude-sonnet-5-5"{more}}}"#
        ),
    }
}

async fn world(speech: Speech, url: &str) -> World {
    let (api, model) =
        if speech == Speech::Messages { ("Anthropic", "claude-sonnet-5-5") } else { ("OpenAI", "gpt-6-sol") };
    let policy = Policy::new().provider("only", api, url).scene("chat", &[("only", model)]).tier(QUICK).field(PATIENT);
    World::builder().start_with(&policy.yaml()).await
}

async fn send(world: &World, speech: Speech, body: String) -> harness::Reply {
    let ask = world.app.post(speech.path(), body);
    let ask = if speech == Speech::Messages { ask.header("anthropic-version", "2023-06-01") } else { ask };
    ask.send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_both_ways() {
    for speech in Speech::ALL {
        let stub = Stub::start(move |_| stub::json(answer(speech))).await;
        let world = world(speech, &stub.url()).await;
        let reply = send(&world, speech, request(speech, false)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.text(), answer(speech), "{speech:?}: the answer");
        assert_eq!(stub.seen()[0].text(), request(speech, false), "{speech:?}: the request");
        assert_eq!(reply.header("x-llmroute-status"), "ok");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_both_ways_split_anywhere() {
    for speech in Speech::ALL {
        let whole = stream(speech);
        // At once, at every byte, in parts of every size up to a few lines, and split once at each place.
        let mut cuts: Vec<Vec<usize>> = vec![vec![], (1..whole.len()).collect()];
        cuts.extend([2, 3, 5, 7, 11, 17, 31, 64, 129].map(|size| (size..whole.len()).step_by(size).collect()));
        cuts.extend((1..whole.len()).step_by(3).map(|at| vec![at]));
        let plan = cuts.clone();
        let bytes = whole.clone().into_bytes();
        let stub = Stub::start(move |seen| {
            let ends = plan[seen.number].iter().copied().chain([bytes.len()]);
            let parts: Vec<Vec<u8>> =
                ends.scan(0, |from, to| Some(bytes[std::mem::replace(from, to)..to].to_vec())).collect();
            stub::stream(parts)
        })
        .await;
        let world = world(speech, &stub.url()).await;
        for (number, cut) in cuts.iter().enumerate() {
            let reply = send(&world, speech, request(speech, true)).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(reply.text(), whole, "{speech:?}: split {number} at {:?}", &cut[..cut.len().min(3)]);
            assert!(reply.header("content-type").starts_with("text/event-stream"));
        }
        assert!(stub.seen().iter().all(|seen| seen.text() == request(speech, true)), "{speech:?}: the request");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_touches_nothing_else() {
    // Another model, a bound on output, usage asked for: the rest keeps its form.
    for (speech, member) in
        [(Speech::Chat, "max_completion_tokens"), (Speech::Responses, "max_output_tokens"), (Speech::Messages, "")]
    {
        let stub = Stub::start(move |_| stub::json(answer(speech))).await;
        let (api, model) =
            if speech == Speech::Messages { ("Anthropic", "claude-opus-5") } else { ("OpenAI", "gpt-6-luna") };
        let policy = Policy::new()
            .provider("only", api, &stub.url())
            .scene_with("chat", &[("only", model)], ", maxOutputTokens: 77")
            .tier(QUICK);
        let world = World::builder().start_with(&policy.yaml()).await;
        assert_eq!(send(&world, speech, request(speech, false)).await.status, 200);
        let got = stub.seen()[0].text();
        assert!(got.contains(ODD), "{got}");
        let json: serde_json::Value = serde_json::from_str(&got).expect("JSON");
        assert_eq!(json["model"], model);
        if member.is_empty() {
            assert_eq!(json["max_tokens"], 64, "the caller's own bound stays");
            assert_eq!(got, request(speech, false).replace("claude-sonnet-5-5", "claude-opus-5"));
        } else {
            assert_eq!(json[member], 77, "{got}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_that_only_we_asked_for_is_not_given() {
    let stub = Stub::start(|_| stub::stream([stream(Speech::Chat)])).await;
    let world = world(Speech::Chat, &stub.url()).await;
    let body = request(Speech::Chat, true).replace(r#", "stream_options":{ "include_usage":true,"x":1e0 }"#, "");
    let reply = send(&world, Speech::Chat, body).await;
    let seen: serde_json::Value = serde_json::from_str(&stub.seen()[0].text()).expect("JSON");
    assert_eq!(seen["stream_options"]["include_usage"], true);
    let usage = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
    assert_eq!(reply.text(), stream(Speech::Chat).replace(usage, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coded_answers_are_given_decoded() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gzip.write_all(answer(Speech::Chat).as_bytes()).expect("in memory");
    let gzip = gzip.finish().expect("in memory");
    let zstd = zstd::encode_all(answer(Speech::Chat).as_bytes(), 3).expect("in memory");
    for (coding, bytes) in [("gzip", gzip), ("zstd", zstd)] {
        let stub = Stub::start(move |_| {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
                bytes.len()
            );
            vec![stub::Piece::Bytes([head.as_bytes(), &bytes].concat())]
        })
        .await;
        let world = world(Speech::Chat, &stub.url()).await;
        let reply = send(&world, Speech::Chat, request(Speech::Chat, false)).await;
        assert_eq!((reply.text(), reply.header("content-encoding")), (answer(Speech::Chat), ""));
        assert_eq!(stub.seen()[0].header("accept-encoding"), Some("identity"));
    }
}
