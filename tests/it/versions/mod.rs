//! Peers of other versions: recorded ones of protocol 1, and ones of tomorrow that say what nobody knows yet.

mod operators;
mod peers;
mod sidecars;

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use control::{
    Speaks,
    v1::{FromOperator, FromSidecar, from_operator, from_sidecar},
};
use harness::{Cluster, Plane};
use peers::{Front, Peer};
use prost::{Message, encode_length_delimiter};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// This build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The lines of the record that begin with `mark`.
fn recorded(mark: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(golden(1)).expect("a record");
    let bytes =
        |hex: &str| (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect();
    text.lines().filter_map(|line| line.strip_prefix(mark)).map(|hex| bytes(hex.trim())).collect()
}

/// Where the record of a protocol is.
fn golden(protocol: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("goldens/control-v{protocol}.txt"))
}

/// What the record is about.
fn recorded_spec() -> Value {
    json!({"providers": [{"name": "openai", "api": "OpenAI"}],
        "scenes": [{"name": "chat", "targets": [{"provider": "openai"}]}]})
}

/// The recorded snapshot.
fn recorded_snapshot() -> Vec<u8> {
    let is = |message: &Vec<u8>| {
        let said = FromOperator::decode(&**message).expect("decodes").message;
        matches!(said, Some(from_operator::Message::Snapshot(_)))
    };
    recorded("<").into_iter().find(is).expect("the record holds a snapshot")
}

/// A message that this protocol does not have.
fn unknown() -> Vec<u8> {
    vec![0x7a, 0x02, 0x08, 0x07]
}

/// The member of the oneof with this number, which has a field that this protocol does not have.
fn extended(number: u8, message: &impl Message) -> Vec<u8> {
    let body = [message.encode_to_vec(), unknown()].concat();
    let mut out = vec![number << 3 | 2];
    encode_length_delimiter(body.len(), &mut out).expect("it grows");
    [out, body].concat()
}

/// A record is written with `LLMROUTE_GENERATE=1` when a protocol is new, and never again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_in_this_protocol_is_on_record() {
    let cluster = Cluster::new();
    let token = cluster.pod("old", "recorded");
    let document = cluster.spec("recorded", 7, &recorded_spec());
    let plane = Plane::start(&cluster).await;
    // The program calls a relay, which calls the operator in its name.
    let front = Front::new(&token).await;
    let _sidecar = front.sidecar().await;
    let (to_sidecar, for_sidecar) = mpsc::channel(8);
    let mut call = front.answer(ReceiverStream::new(for_sidecar)).await;
    let mut peer = Peer::call(&plane, &token).await;
    let mut said = String::new();
    let mut record = |mark: &str, message: &[u8]| {
        let hex = message.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string");
            hex
        });
        writeln!(said, "{mark} {hex}").expect("a string");
    };
    loop {
        tokio::select! {
            message = call.hear() => {
                record(">", &message);
                peer.say(&message).await;
                let said = FromSidecar::decode(message).expect("decodes").message.expect("known");
                if matches!(said, from_sidecar::Message::Report(report) if report.hash == document.hash) {
                    break;
                }
            }
            Some(message) = peer.hear() => {
                record("<", &message);
                to_sidecar.send(message.to_vec()).await.expect("said");
            }
        }
    }
    plane.acknowledged("old", &document).await;

    let protocol = Speaks::HERE.newest;
    let file = golden(protocol);
    if env::var_os("LLMROUTE_GENERATE").is_some() && !file.exists() {
        let head = format!(
            "# What the sidecar {VERSION} (>) and the operator {VERSION} (<) said to each other in protocol {protocol}, until a policy was\n\
             # acknowledged and reported: the bodies of the gRPC messages, as they came. Never written anew.\n"
        );
        fs::write(&file, head + &said).expect("the record");
    }
    assert!(file.exists(), "protocol {protocol} has no record: LLMROUTE_GENERATE=1 writes it");
}
