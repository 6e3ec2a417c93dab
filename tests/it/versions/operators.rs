//! Operators of other versions are called by this sidecar.

use bytes::Bytes;
use control::v1::{FromOperator, FromSidecar, Hello, Snapshot, from_operator, from_sidecar};
use futures_util::{Stream, StreamExt, stream};
use harness::{Program, eventually};
use prost::Message;
use serde_json::Value;

use super::{
    extended,
    peers::{Call, Front},
    recorded, recorded_snapshot, unknown,
};

/// These, and then nothing more.
fn says(messages: Vec<Vec<u8>>) -> impl Stream<Item = Vec<u8>> {
    stream::iter(messages).chain(stream::pending())
}

/// The sidecar's yes or no, as it came; what comes before is a hello and reports.
async fn answered(call: &mut Call) -> Bytes {
    loop {
        let message = call.hear().await;
        match FromSidecar::decode(&*message).expect("decodes").message.expect("known") {
            from_sidecar::Message::Hello(_)
            | from_sidecar::Message::Report(_)
            | from_sidecar::Message::Borrowing(_)
            | from_sidecar::Message::Findings(_) => {}
            from_sidecar::Message::Ack(_) | from_sidecar::Message::Nack(_) => return message,
        }
    }
}

/// The acknowledgement of the recorded snapshot, to the byte.
fn recorded_ack() -> Vec<u8> {
    let is = |message: &Vec<u8>| {
        let said = FromSidecar::decode(&**message).expect("decodes").message;
        matches!(said, Some(from_sidecar::Message::Ack(_)))
    };
    recorded(">").into_iter().find(is).expect("the record holds an ack")
}

async fn page(sidecar: &Program) -> Value {
    sidecar.admin.get("/config").send().await.json()
}

async fn ready(sidecar: &Program) {
    eventually("ready", async || (sidecar.admin.get("/readyz").send().await.status == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_operator_of_protocol_1_is_obeyed() {
    let front = Front::new("a-token").await;
    let sidecar = front.sidecar().await;
    let mut call = front.answer(says(recorded("<"))).await;
    let hello = FromSidecar::decode(call.hear().await).expect("decodes").message;
    let Some(from_sidecar::Message::Hello(hello)) = hello else { panic!("{hello:?}") };
    assert!(hello.oldest_protocol <= 1, "protocol 1 is spoken: {hello:?}");
    assert_eq!(answered(&mut call).await, recorded_ack(), "what that operator understands");
    ready(&sidecar).await;
    let page = page(&sidecar).await;
    assert_eq!((&page["policy"]["generation"], &page["policy"]["source"]), (&7.into(), &"Stream".into()), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_of_tomorrow_adds_is_skipped() {
    let front = Front::new("a-token").await;
    let sidecar = front.sidecar().await;
    let hello = Hello { protocol: 3, oldest_protocol: 1, version: "9.0.0".to_owned() };
    let snapshot = extended(2, &the_snapshot());
    let mut call = front.answer(says(vec![extended(1, &hello), unknown(), snapshot])).await;
    assert_eq!(answered(&mut call).await, recorded_ack());
    ready(&sidecar).await;
}

/// The recorded one.
fn the_snapshot() -> Snapshot {
    match FromOperator::decode(&*recorded_snapshot()).expect("decodes").message {
        Some(from_operator::Message::Snapshot(snapshot)) => snapshot,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_no_longer_speaks_this_protocol_is_told_of_and_nothing_is_lost() {
    let front = Front::new("a-token").await;
    let sidecar = front.sidecar().await;
    let hello =
        |oldest_protocol, protocol| extended(1, &Hello { protocol, oldest_protocol, version: "9.0.0".to_owned() });
    let mut call = front.answer(says(vec![hello(1, 9), recorded_snapshot()])).await;
    assert_eq!(answered(&mut call).await, recorded_ack());
    drop(call);

    let _call = front.answer(says(vec![hello(8, 9), recorded_snapshot()])).await;
    let why = "no protocol in common: this end speaks 1 to 2, the other 8 to 9; update this end";
    eventually("it says why", async || {
        page(&sidecar).await["control"]["why_not"].as_str()?.contains(why).then_some(())
    })
    .await;
    eventually("and its log", async || sidecar.output().contains(why).then_some(())).await;
    ready(&sidecar).await;
    assert_eq!(page(&sidecar).await["policy"]["generation"], 7, "what is in force stays in force");
}
