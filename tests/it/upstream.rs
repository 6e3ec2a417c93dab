//! Connections to providers: reuse, protocols, proxies, certificates, addresses.

use std::{net::SocketAddr, sync::Arc};

use harness::{
    Policy, Program, Reply, Speech, World,
    policy::{PATIENT, QUICK},
    temp::TempDir,
    world::key_of,
};
use parking_lot::Mutex;
use sim::{Config, Fault, Rule, Sim, Tls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

async fn ask(world: &World) -> Reply {
    world.app.say(Speech::Chat, "hi", false).send().await
}

fn connections(world: &World) -> Vec<u64> {
    world.seen("openai").iter().map(|e| e.connection).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_used_again() {
    let world = World::pair().await;
    for stream in [false, true, false, true] {
        assert_eq!(world.app.say(Speech::Chat, "hi", stream).send().await.status, 200);
    }
    assert_eq!(connections(&world), [1, 1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_connection_that_died_is_tried_once_afresh_and_costs_nothing() {
    let world = World::builder().openai("openai").start(|p| p.tier("{name: t, retries: {attempts: 1}}")).await;
    for fault in [Fault::StaleConnection, Fault::CloseAfter] {
        world.sim("openai").reset();
        world.script("openai", vec![Rule::fault(fault).times(1)]);
        for _ in 0..2 {
            let reply = ask(&world).await;
            assert_eq!(
                (reply.status, reply.header("x-llmroute-attempts")),
                (200, "1"),
                "{}: {}",
                fault.name(),
                reply.text()
            );
        }
        let used = connections(&world);
        assert_eq!(used.len(), 2, "{used:?}");
        assert_ne!(used[0], used[1], "{}", fault.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_connection_that_dies_is_a_failure() {
    let world = World::builder().openai("openai").start(|p| p.tier("{name: t, retries: {attempts: 1}}")).await;
    world.script("openai", vec![Rule::fault(Fault::Reset).times(1)]);
    let reply = ask(&world).await;
    assert_eq!((reply.status, reply.header("x-llmroute-reason")), (502, "openai_connection_lost"), "{}", reply.text());
    assert_eq!(world.seen("openai").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = free.local_addr().expect("an address");
    drop(free);
    for url in [format!("http://{closed}"), "http://nobody.invalid".to_owned(), format!("https://{closed}")] {
        let policy =
            Policy::new().provider("openai", "OpenAI", &url).scene("chat", &[("openai", "gpt-6-sol")]).tier(QUICK);
        let world = World::builder().start_with(&policy.yaml()).await;
        let reply = ask(&world).await;
        assert_eq!(
            (reply.status, reply.header("x-llmroute-reason")),
            (502, "openai_unreachable"),
            "{url}: {}",
            reply.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_where_the_policy_asks_for_it() {
    let sim = Sim::start(Config::default()).expect("a simulator");
    let policy = Policy::new()
        .provider_with("openai", "OpenAI", &sim.url(), ", http2: true")
        .scene("chat", &[("openai", "gpt-6-sol")])
        .tier(QUICK)
        .field(PATIENT);
    let world = World::builder().start_with(&policy.yaml()).await;
    let all = (0..40).map(|i| world.app.say(Speech::Chat, "hi", i % 2 == 0).send());
    for reply in futures_util::future::join_all(all).await {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let log = sim.log();
    assert!(log.iter().all(|e| e.http == "HTTP/2.0"));
    let mut used: Vec<_> = log.iter().map(|e| e.connection).collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), 1, "a burst shares the connection that is being opened");
    // A reset before any byte of the answer is the death of a reused connection, and costs nothing.
    for (fault, attempts) in [(Fault::CutStream, "2"), (Fault::Reset, "1"), (Fault::ServerError, "2")] {
        sim.script(vec![Rule::fault(fault).times(1)]);
        let reply = world.app.say(Speech::Chat, "hi", false).send().await;
        assert_eq!(
            (reply.status, reply.header("x-llmroute-attempts")),
            (200, attempts),
            "{}: {}",
            fault.name(),
            reply.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_over_http2_onto_a_dead_address_fails_at_once() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", silent.local_addr().expect("an address"));
    let tier = "{name: quick, sla: 10s, retries: {attempts: 1}, \
         timeouts: {connect: 5s, tls: 300ms, firstByte: 8s, idle: 8s, total: 9s}}";
    let policy = Policy::new()
        .provider_with("openai", "OpenAI", &url, ", http2: true")
        .scene("chat", &[("openai", "gpt-6-sol")])
        .tier(tier)
        .field(PATIENT);
    let world = World::builder().start_with(&policy.yaml()).await;
    let all = (0..20).map(|_| world.app.say(Speech::Chat, "hi", false).send());
    for reply in futures_util::future::join_all(all).await {
        assert_eq!(
            (reply.status, reply.header("x-llmroute-reason")),
            (504, "openai_connect_timeout"),
            "{}",
            reply.text()
        );
    }
    silent.set_nonblocking(true).expect("a listener that does not wait");
    let asked = std::iter::from_fn(|| silent.accept().ok()).count();
    assert_eq!(asked, 20, "those who waited for the first in vain each asked once, none after another's failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipv6() {
    let listen: SocketAddr = "[::1]:0".parse().expect("an address");
    let Ok(sim) = Sim::start(Config { listen, ..Config::default() }) else {
        panic!("this host has no ::1");
    };
    let policy =
        Policy::new().provider("openai", "OpenAI", &sim.url()).scene("chat", &[("openai", "gpt-6-sol")]).tier(QUICK);
    let world = World::builder().start_with(&policy.yaml()).await;
    assert_eq!(ask(&world).await.status, 200);
    let host = sim.log()[0].headers.iter().find(|(n, _)| n == "host").map(|(_, v)| v.clone());
    assert_eq!(host, Some(sim.addr().to_string()));
}

/// A certificate authority, and a simulator with a certificate of it for `localhost` and 127.0.0.1.
fn secure(dir: &TempDir, vendor_http2: bool) -> Sim {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(vec![]).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let cert =
        rcgen::CertificateParams::new(names).expect("parameters").signed_by(&key, &issuer).expect("a certificate");
    dir.write("ca.pem", ca_cert.pem());
    let tls = Tls { cert: dir.write("cert.pem", cert.pem()), key: dir.write("key.pem", key.serialize_pem()) };
    Sim::start(Config { tls: Some(tls), http2: vendor_http2, ..Config::default() }).expect("a simulator")
}

fn secure_policy(dir: &TempDir, sim: &Sim, more: &str) -> std::path::PathBuf {
    dir.write("keys/openai", key_of("openai"));
    let url = format!("https://localhost:{}", sim.addr().port());
    let policy = Policy::new().provider_with("openai", "OpenAI", &url, more).scene("chat", &[("openai", "gpt-6-sol")]);
    dir.write("policy.yaml", policy.tier(QUICK).yaml())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extra_ca_is_trusted_and_nothing_else() {
    for (more, http) in [("", "HTTP/1.1"), (", http2: true", "HTTP/2.0")] {
        let dir = TempDir::new();
        let sim = secure(&dir, true);
        let policy = secure_policy(&dir, &sim, more);
        let builder = Program::builder(&policy).credentials(&dir.join("keys"));
        let ca = dir.join("ca.pem").display().to_string();
        let trusting = builder.clone().env("SSL_CERT_FILE", &ca).start().await;
        let reply = trusting.app.say(Speech::Chat, "hi", true).send().await;
        assert_eq!(reply.status, 200, "{}\n{}", reply.text(), trusting.output());
        assert_eq!(sim.log()[0].http, http);
        let strict = builder.start().await;
        let reply = strict.app.say(Speech::Chat, "hi", false).send().await;
        assert_eq!((reply.status, reply.header("x-llmroute-reason")), (502, "openai_unreachable"), "{}", reply.text());
    }
}

/// A forward proxy that keeps the heads it was sent.
async fn proxy(grants: bool) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let heads = Arc::new(Mutex::new(vec![]));
    let kept = heads.clone();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let mut head = vec![];
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tcp.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let to = head.split(' ').nth(1).unwrap_or_default().to_owned();
                kept.lock().push(head);
                if !grants {
                    return tcp.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
                }
                let mut onward = TcpStream::connect(to).await?;
                tcp.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                copy_bidirectional(&mut tcp, &mut onward).await?;
                std::io::Result::Ok(())
            });
        }
    });
    (addr, heads)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_asked_for_a_tunnel() {
    let dir = TempDir::new();
    let sim = secure(&dir, false);
    let policy = secure_policy(&dir, &sim, "");
    let ca = dir.join("ca.pem").display().to_string();
    let builder = Program::builder(&policy).credentials(&dir.join("keys")).env("SSL_CERT_FILE", &ca);

    let (addr, heads) = proxy(true).await;
    let through = builder.clone().env("HTTPS_PROXY", &format!("http://me:pw@{addr}")).start().await;
    let reply = through.app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let head = heads.lock()[0].clone();
    assert!(head.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", sim.addr().port())), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic bwu6chc="), "{head}");
    assert!(!head.contains(&key_of("openai")));

    let around =
        builder.clone().env("HTTPS_PROXY", &format!("http://{addr}")).env("NO_PROXY", "localhost").start().await;
    assert_eq!(around.app.say(Speech::Chat, "hi", false).send().await.status, 200);
    assert_eq!(heads.lock().len(), 1);

    let (addr, _) = proxy(false).await;
    let refused = builder.env("HTTPS_PROXY", &format!("http://{addr}")).start().await;
    let reply = refused.app.say(Speech::Chat, "hi", false).send().await;
    assert_eq!((reply.status, reply.header("x-llmroute-reason")), (502, "openai_unreachable"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_a_head_too_long_is_no_answer() {
    let stub = harness::stub::Stub::start(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\ncontent-length: 2\r\n\r\n{{}}", "x".repeat(80_000));
        vec![harness::stub::Piece::Bytes(head.into_bytes())]
    })
    .await;
    let policy =
        Policy::new().provider("openai", "OpenAI", &stub.url()).scene("chat", &[("openai", "gpt-6-sol")]).tier(QUICK);
    let world = World::builder().start_with(&policy.yaml()).await;
    let reply = ask(&world).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
}
