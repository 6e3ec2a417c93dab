//! Spans as a collector receives them.

use std::time::Duration;

use harness::{
    Metrics, Program, Reply, Speech, World, eventually,
    otlp::{Receiver, attribute, event_attribute, hex},
    policy::{PATIENT, QUICK},
    program::Builder,
    stub::{Piece, Stub},
};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use sim::{Act, Fault, Rule};
use tokio::time::Instant;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

async fn pair() -> World {
    World::builder().openai("openai").claude("claude").start(|p| p.tier(QUICK).field(PATIENT)).await
}

fn program(world: &World) -> Builder {
    Program::builder(&world.policy_file()).credentials(&world.dir.join("keys"))
}

fn exporting(world: &World, endpoint: &str) -> Builder {
    program(world).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "100")
}

/// Waits for the request's spans: the SERVER span ends last.
async fn spans(receiver: &Receiver, servers: usize) -> Vec<Span> {
    eventually("spans", || async {
        let spans = receiver.spans();
        (of_kind(&spans, SpanKind::Server).len() == servers).then_some(spans)
    })
    .await
}

fn of_kind(spans: &[Span], kind: SpanKind) -> Vec<&Span> {
    spans.iter().filter(|s| s.kind() == kind).collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found: Vec<_> = spans.iter().filter(|s| s.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {:?}", spans.iter().map(|s| &s.name).collect::<Vec<_>>());
    found[0]
}

/// Attempts in the order in which they began.
fn attempts(spans: &[Span]) -> Vec<&Span> {
    let mut found: Vec<_> = spans.iter().filter(|s| s.name == "POST").collect();
    found.sort_by_key(|s| s.start_time_unix_nano);
    found
}

fn has(span: &Span, wants: &[(&str, &str)]) {
    for (name, want) in wants {
        assert_eq!(attribute(span, name), *want, "{name} of {}", span.name);
    }
}

fn failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|s| s.code() == StatusCode::Error)
}

/// What a provider was asked with, by header.
fn said(world: &World, provider: &str, header: &str) -> Vec<String> {
    let of = |e: sim::Entry| e.headers.into_iter().find(|(n, _)| n == header).map(|(_, v)| v);
    world.seen(provider).into_iter().map(|e| of(e).unwrap_or_default()).collect()
}

fn traceparent(span: &Span) -> String {
    format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_one_trace_over_both_protocols() {
    for (protocol, zip) in [("http/protobuf", "none"), ("grpc", "none"), ("http/protobuf", "gzip"), ("grpc", "gzip")] {
        let world = pair().await;
        world.script("openai", vec![Rule::fault(Fault::ServerError)]);
        let receiver = Receiver::start().await;
        let mut program = exporting(&world, &receiver.endpoint())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", zip)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=shop,authorization=Bearer%20collector")
            .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
            .start()
            .await;
        let ask = program.app.say(Speech::Chat, "hi", false).header("traceparent", PARENT);
        let reply = ask.header("tracestate", "vendor=1,other=2").header("x-llmroute-tier", "quick").send().await;
        assert_eq!((reply.status, reply.header("x-llmroute-status")), (200, "degraded"), "{}", reply.text());
        let spans = spans(&receiver, 1).await;

        // Parentage, kinds, names.
        let server = named(&spans, "POST /v1/chat/completions");
        let inference = named(&spans, "chat claude-sonnet-5-5");
        let tries = attempts(&spans);
        assert_eq!(tries.len(), 3, "two at openai, one at claude");
        assert_eq!(spans.len(), 5);
        assert_eq!(hex(&server.parent_span_id), "00f067aa0ba902b7");
        assert_eq!(inference.parent_span_id, server.span_id);
        assert!(tries.iter().all(|t| t.parent_span_id == inference.span_id));
        assert!(spans.iter().all(|s| hex(&s.trace_id) == TRACE && s.trace_state == "vendor=1,other=2"));
        assert_eq!(server.kind(), SpanKind::Server);
        assert_eq!(of_kind(&spans, SpanKind::Client).len(), 4);
        assert!(server.end_time_unix_nano >= inference.end_time_unix_nano);
        assert!(tries.iter().all(|t| t.end_time_unix_nano <= inference.end_time_unix_nano));

        // The caller is told the trace, the providers their spans.
        assert_eq!(reply.header("traceparent"), traceparent(server));
        assert!(reply.header("x-llmroute-trace-id").ends_with(TRACE));
        assert_eq!(said(&world, "openai", "traceparent"), [traceparent(tries[0]), traceparent(tries[1])]);
        assert_eq!(said(&world, "claude", "traceparent"), [traceparent(tries[2])]);
        for provider in ["openai", "claude"] {
            assert!(said(&world, provider, "tracestate").iter().all(|s| s == "vendor=1,other=2"), "{provider}");
        }

        // Attributes.
        has(
            server,
            &[
                ("http.request.method", "POST"),
                ("http.route", "/v1/chat/completions"),
                ("url.path", "/v1/chat/completions"),
                ("url.scheme", "http"),
                ("http.response.status_code", "200"),
                ("llmroute.status", "degraded"),
                ("llmroute.reason", "openai_server_error"),
                ("llmroute.policy", "default/story"),
                ("error.type", ""),
            ],
        );
        let claude = world.sim("claude").url();
        let port = claude.rsplit(':').next().expect("a port").to_owned();
        has(
            inference,
            &[
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.provider.name", "anthropic"),
                ("gen_ai.request.model", "claude-sonnet-5-5"),
                ("gen_ai.request.stream", ""),
                ("server.address", "127.0.0.1"),
                ("server.port", &port),
                ("llmroute.requested_model", "gpt-6-sol"),
                ("llmroute.provider", "claude"),
                ("llmroute.scene", "chat"),
                ("llmroute.tier", "quick"),
                ("llmroute.attempts", "3"),
                ("error.type", ""),
            ],
        );
        let usage = &reply.json()["usage"];
        has(
            inference,
            &[
                ("gen_ai.usage.input_tokens", &usage["prompt_tokens"].to_string()),
                ("gen_ai.usage.output_tokens", &usage["completion_tokens"].to_string()),
            ],
        );
        let cost = attribute(inference, "llmroute.cost_usd").parse::<f64>().expect("a cost");
        assert_eq!(reply.header("x-llmroute-cost-usd").parse::<f64>(), Ok(cost));
        assert!(!failed(server) && !failed(inference) && failed(tries[0]) && failed(tries[1]) && !failed(tries[2]));
        for (i, (span, resend)) in tries.iter().zip(["", "1", "2"]).enumerate() {
            let (provider, path) = if i < 2 { ("openai", "/v1/chat/completions") } else { ("claude", "/v1/messages") };
            let url = format!("{}{path}", world.sim(provider).url());
            let (status, kind) = if i < 2 { ("500", "500") } else { ("200", "") };
            has(
                span,
                &[
                    ("http.request.method", "POST"),
                    ("http.request.resend_count", resend),
                    ("url.full", &url),
                    ("server.address", "127.0.0.1"),
                    ("http.response.status_code", status),
                    ("error.type", kind),
                    ("llmroute.provider", provider),
                    ("llmroute.class", if i < 2 { "server_error" } else { "success" }),
                ],
            );
        }

        // Decisions.
        let events: Vec<_> = inference.events.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(events, ["llmroute.classified", "llmroute.attempt_failed", "llmroute.attempt_failed"]);
        for (name, want) in [
            ("llmroute.scene", "chat"),
            ("llmroute.scene.by", "default"),
            ("llmroute.tier", "quick"),
            ("llmroute.tier.by", "hint"),
        ] {
            assert_eq!(event_attribute(&inference.events[0], name), want, "{name}");
        }
        assert_eq!(event_attribute(&inference.events[1], "llmroute.reason"), "openai_server_error");
        assert_eq!(event_attribute(&inference.events[1], "llmroute.model"), "gpt-6-sol");

        // Whose, and how it came.
        let got = receiver.got();
        assert_eq!(got.resource["service.name"], "llmroute-sidecar");
        assert_eq!(got.resource["deployment.environment.name"], "test");
        assert_eq!(got.scope.0.name, "llmroute");
        assert!(got.scope.1.starts_with("https://opentelemetry.io/schemas/gen-ai/"), "{}", got.scope.1);
        for (_, headers) in &got.exports {
            assert_eq!(headers["x-team"], "shop");
            assert_eq!(headers["authorization"], "Bearer collector");
            assert!(!headers.contains_key("traceparent"), "an export is not traced itself");
        }
        program.terminate();
        assert_eq!(program.wait().await.code(), Some(0));
        assert_eq!(receiver.spans().len(), 5, "nothing more came");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_begins_here_where_the_caller_sends_none() {
    let world = pair().await;
    let receiver = Receiver::start().await;
    let program = exporting(&world, &receiver.endpoint()).env("OTEL_SERVICE_NAME", "mine").start().await;
    let broken = PARENT.replace("-01", "-0x");
    for (i, header) in ["", broken.as_str()].into_iter().enumerate() {
        let mut ask = program.app.say(Speech::Messages, "hi", true).header("tracestate", "stray=1");
        if !header.is_empty() {
            ask = ask.header("traceparent", header);
        }
        let reply = ask.send().await;
        let spans = spans(&receiver, i + 1).await;
        let server = *of_kind(&spans, SpanKind::Server).last().expect("a span");
        assert!(server.parent_span_id.is_empty(), "a root");
        assert!(reply.header("x-llmroute-trace-id").ends_with(&hex(&server.trace_id)));
        assert_eq!(reply.header("traceparent"), traceparent(server));
        let inference = spans.iter().find(|s| s.parent_span_id == server.span_id).expect("a GenAI span");
        has(inference, &[("gen_ai.request.stream", "true"), ("gen_ai.request.max_tokens", "256")]);
        let first: f64 = attribute(inference, "gen_ai.response.time_to_first_chunk").parse().expect("seconds");
        assert!(first > 0.0 && first < 5.0, "{first}");
    }
    assert!(said(&world, "openai", "tracestate").iter().all(String::is_empty), "a state without a trace is nobody's");
    assert_eq!(receiver.got().resource["service.name"], "mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_sampled_is_not_exported() {
    let world = pair().await;
    // Sampler, argument, and how many of a root, a sampled and an unsampled caller are in.
    for (sampler, arg, want) in [
        ("parentbased_always_on", "", [true, true, false]),
        ("always_on", "", [true, true, true]),
        ("always_off", "", [false, false, false]),
        ("parentbased_traceidratio", "0", [false, true, false]),
        ("traceidratio", "0", [false, false, false]),
    ] {
        let receiver = Receiver::start().await;
        let mut program = exporting(&world, &receiver.endpoint())
            .env("OTEL_TRACES_SAMPLER", sampler)
            .env("OTEL_TRACES_SAMPLER_ARG", arg)
            .start()
            .await;
        for (parent, want) in ["", PARENT, UNSAMPLED].into_iter().zip(want) {
            let ask = program.app.say(Speech::Chat, "hi", false);
            let ask = if parent.is_empty() { ask } else { ask.header("traceparent", parent) };
            let reply = ask.send().await;
            assert_eq!(reply.status, 200);
            let flags = if want { "-01" } else { "-00" };
            assert!(
                reply.header("traceparent").ends_with(flags),
                "{sampler} {parent}: {}",
                reply.header("traceparent")
            );
            let sent = said(&world, "openai", "traceparent").pop().expect("a call");
            assert!(sent.ends_with(flags) && sent[3..35] == reply.header("traceparent")[3..35], "{sampler}: {sent}");
        }
        program.terminate();
        assert_eq!(program.wait().await.code(), Some(0));
        let want = want.iter().filter(|in_| **in_).count();
        assert_eq!(of_kind(&receiver.spans(), SpanKind::Server).len(), want, "{sampler}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_exported_the_callers_trace_goes_onward() {
    let world = pair().await;
    let receiver = Receiver::start().await;
    let none = [
        program(&world),
        exporting(&world, &receiver.endpoint()).env("OTEL_TRACES_EXPORTER", "none"),
        exporting(&world, &receiver.endpoint()).env("OTEL_SDK_DISABLED", "true"),
    ];
    for builder in none {
        let mut program = builder.start().await;
        let reply = program.app.say(Speech::Chat, "hi", false).header("traceparent", PARENT).send().await;
        assert_eq!(reply.header("traceparent"), PARENT, "no span of ours would ever be found");
        assert_eq!(said(&world, "openai", "traceparent").last().map(String::as_str), Some(PARENT));
        program.terminate();
        assert_eq!(program.wait().await.code(), Some(0));
    }
    assert_eq!(receiver.got().exports.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_request_ended_is_told() {
    let world = pair().await;
    let receiver = Receiver::start().await;
    let program = exporting(&world, &receiver.endpoint()).start().await;

    // All fail.
    for name in ["openai", "claude"] {
        world.script(name, vec![Rule::fault(Fault::Overloaded)]);
    }
    let reply = program.app.say(Speech::Messages, "hi", false).send().await;
    let first = spans(&receiver, 1).await;
    let server = of_kind(&first, SpanKind::Server)[0].clone();
    assert!(failed(&server));
    has(&server, &[("error.type", &reply.status.to_string()), ("llmroute.status", "failed")]);
    let inference = first.iter().find(|s| s.parent_span_id == server.span_id).expect("a GenAI span");
    assert!(failed(inference));
    has(inference, &[("error.type", reply.header("x-llmroute-reason"))]);

    // A stream that is cut.
    world.script("openai", vec![Rule::fault(Fault::CutStream)]);
    program.app.say(Speech::Chat, "hi", true).send().await;
    let cut = last(&spans(&receiver, 2).await);
    assert!(failed(&cut[0]) && failed(&cut[1]), "server and GenAI span");
    has(&cut[0], &[("http.response.status_code", "200"), ("error.type", "openai_connection_lost")]);
    assert!(attribute(&cut[1], "gen_ai.response.finish_reasons").contains("error"));

    // A caller that leaves.
    world.script("openai", vec![Rule::act(Act { event_ms: Some(100), words: Some(1000), ..Act::default() })]);
    let mut stream = program.app.say(Speech::Chat, "hi", true).open().await.expect("a head");
    while Speech::Chat.listen(&[stream.next().await.expect("an event")]).text.is_empty() {}
    drop(stream);
    let left = last(&spans(&receiver, 3).await);
    has(&left[0], &[("llmroute.client_gone", "true"), ("llmroute.status", "ok"), ("error.type", "")]);
    has(&left[2], &[("llmroute.class", "cancelled"), ("error.type", "cancelled")]);

    // Our own no, and a path of our own: no call of a model, no attempt.
    let reply = program.app.post("/v1/chat/completions", "{").send().await;
    assert_eq!(reply.status, 400);
    let own = last(&spans(&receiver, 4).await);
    assert_eq!(own.len(), 1);
    has(&own[0], &[("http.response.status_code", "400"), ("llmroute.reason", "bad_request"), ("error.type", "")]);
    assert!(!failed(&own[0]), "a 4xx is the caller's");
    program.app.get("/v1/models/gpt-6-sol?key=hidden").send().await;
    let own = last(&spans(&receiver, 5).await);
    assert_eq!((own.len(), own[0].name.as_str()), (1, "GET /v1/models/{id}"));
    has(&own[0], &[("url.path", "/v1/models/gpt-6-sol")]);
}

/// The newest trace: SERVER span, GenAI span, first attempt.
fn last(spans: &[Span]) -> Vec<Span> {
    let server = of_kind(spans, SpanKind::Server).into_iter().max_by_key(|s| s.start_time_unix_nano).expect("a span");
    let mut own: Vec<Span> = spans.iter().filter(|s| s.trace_id == server.trace_id).cloned().collect();
    own.sort_by_key(|s| s.start_time_unix_nano);
    own
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_left_out_is_an_event() {
    let world = pair().await;
    std::fs::remove_file(world.dir.join("keys/openai")).expect("a key file");
    let receiver = Receiver::start().await;
    let program = exporting(&world, &receiver.endpoint()).start().await;
    let reply = program.app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(reply.header("x-llmroute-reason"), "openai_credential_missing");
    let spans = spans(&receiver, 1).await;
    let inference = named(&spans, "chat claude-sonnet-5-5");
    let event = inference.events.iter().find(|e| e.name == "llmroute.left_out").expect("an event");
    assert_eq!(event_attribute(event, "llmroute.provider"), "openai");
    assert_eq!(event_attribute(event, "llmroute.reason"), "openai_credential_missing");
    assert!(event_attribute(event, "llmroute.detail").contains("no file `openai`"));
    assert_eq!(attempts(&spans).len(), 1);
}

/// Forty requests, the last of which is told how long all took.
async fn forty(program: &Program) -> (Reply, Duration) {
    let began = Instant::now();
    for _ in 0..39 {
        assert_eq!(program.app.say(Speech::Chat, "hi", false).send().await.status, 200);
    }
    let reply = program.app.say(Speech::Chat, "hi", true).send().await;
    (reply, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_or_a_silent_collector_hurts_nobody() {
    let world = pair().await;
    let silent = Stub::start(|_| vec![Piece::Hang]).await;
    let dead = "http://127.0.0.1:1".to_owned();
    for endpoint in [dead, silent.url()] {
        for protocol in ["http/protobuf", "grpc"] {
            let builder = exporting(&world, &endpoint).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
            let builder = builder.env("OTEL_BSP_MAX_QUEUE_SIZE", "8").env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4");
            let mut program = builder.env("OTEL_EXPORTER_OTLP_TIMEOUT", "1000").start().await;
            let (reply, took) = forty(&program).await;
            assert_eq!(reply.status, 200);
            assert!(took < Duration::from_secs(4), "{endpoint} {protocol}: {took:?}");
            let told = "spans cannot be exported";
            eventually("the log tells it", || async { program.output().contains(told).then_some(()) }).await;
            assert_eq!(program.output().matches(told).count(), 1, "once, not each time");
            let page = Metrics::parse(&program.admin.get("/metrics").send().await.text());
            for why in ["queue_full", "export_failed"] {
                let lost = page.get("llmroute_spans_lost_total", &[("why", why)]);
                assert!(lost > Some(0.0), "{endpoint} {protocol} {why}: {lost:?}");
            }
            let began = Instant::now();
            program.terminate();
            assert_eq!(program.wait().await.code(), Some(0));
            assert!(began.elapsed() < Duration::from_secs(6), "{endpoint} {protocol}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_that_cannot_be_used_ends_it_with_its_name() {
    let world = pair().await;
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "sk-secret-header"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("LLMROUTE_DECISION_RATIO", "2"),
        ("RUST_LOG", "sidecar=loud"),
    ] {
        let ended = program(&world).env(name, value).run().await;
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.output);
        assert!(ended.output.contains(name), "{name}: {}", ended.output);
        assert!(!ended.output.contains("sk-secret"), "a value may be a key: {}", ended.output);
    }
}
