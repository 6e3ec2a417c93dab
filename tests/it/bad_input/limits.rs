//! How large and how slow a request may be.

use std::{fmt::Write as _, time::Duration};

use harness::{Speech, World, raw, raw::Raw};
use serde_json::Value;
use tokio::time::Instant;

use super::{MIB, alive, head, small};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_bodies_beyond_their_limits() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let got = raw::send(addr, head(&format!("x-long: {}\r\ncontent-length: 2\r\n", "x".repeat(70_000))) + "{}").await;
    assert!(got.status() == 431 && got.closed, "{got:?}");
    let many: String = (0..20_000).fold(String::new(), |mut all, i| {
        let _ = write!(all, "x-{i}: y\r\n");
        all
    });
    let got = raw::send(addr, head(&(many + "content-length: 2\r\n")) + "{}").await;
    assert!(got.status() == 431 && got.closed, "{}", got.status());

    for speech in Speech::ALL {
        // Said in advance: refused before a byte of it is read.
        let ask = format!("POST {} HTTP/1.1\r\nhost: l\r\ncontent-length: {}\r\n\r\n", speech.path(), 32 * MIB + 1);
        let got = raw::send(addr, ask).await;
        assert!(got.status() == 413 && got.closed, "{got:?}");
        let body: Value =
            serde_json::from_str(got.text.split("\r\n\r\n").nth(1).unwrap_or_default()).unwrap_or_default();
        let kind = if speech == Speech::Messages { "request_too_large" } else { "invalid_request_error" };
        assert_eq!(speech.error(&body)["type"], kind, "{got:?}");
    }
    // Without end.
    let mut one = Raw::connect(addr).await;
    one.write(head("transfer-encoding: chunked\r\n")).await;
    let chunk = [format!("{:x}\r\n", MIB).into_bytes(), vec![b' '; MIB], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while sent < 100 && one.write(&chunk).await {
        sent += 1;
    }
    let got = one.read(Duration::from_secs(2)).await;
    assert!(sent < 100 && got.status() == 413 && got.closed, "{sent} MiB taken; {got:?}");
    // Exactly the limit is fine by us; the model's window is wide enough, and its provider's own limit lies higher.
    let world = World::builder().openai("openai").wide().start(|p| p.scene("chat", &[("openai", "")])).await;
    let mut body = small();
    body.push_str(&" ".repeat(32 * MIB - body.len()));
    let reply = world.app.post("/v1/chat/completions", body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    alive(&world).await;
    assert_eq!(world.state.memory.held(), 0, "all room is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_are_sent_away_and_hold_up_nobody() {
    let world = World::pair().await;
    let addr = world.app.addr();
    let slow_head = async {
        let mut one = Raw::connect(addr).await;
        one.write("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n").await;
        let began = Instant::now();
        let dribble = async {
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                one.write("x-a: b\r\n").await;
            }
            one.read(Duration::from_secs(20)).await
        };
        let got = dribble.await;
        let took = began.elapsed();
        assert!(got.closed && got.text.is_empty(), "there is no request to answer: {got:?}");
        assert!(
            took > Duration::from_secs(9) && took < Duration::from_secs(13),
            "a head has ten seconds, not {took:?}"
        );
    };
    let slow_body = async {
        let mut one = Raw::connect(addr).await;
        one.write(head("content-length: 100\r\n") + "{").await;
        let began = Instant::now();
        let got = one.read(Duration::from_secs(40)).await;
        let took = began.elapsed();
        assert!(got.status() == 408 && got.closed, "{got:?}");
        assert!(
            took > Duration::from_secs(29) && took < Duration::from_secs(34),
            "thirty seconds without a byte, not {took:?}"
        );
    };
    let cut_body = async {
        let mut one = Raw::connect(addr).await;
        one.write(head("content-length: 100\r\n") + "{").await;
        one.finish().await;
        let got = one.read(Duration::from_secs(5)).await;
        assert!(got.closed && got.status() == 400, "{got:?}");
    };
    let silent = async {
        // Connected, and never a byte: not a head that takes too long, so it may stay; it costs nothing.
        let _one = Raw::connect(addr).await;
        for _ in 0..10 {
            alive(&world).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::join!(slow_head, slow_body, cut_body, silent);
    assert_eq!(world.state.memory.held(), 0);
}
