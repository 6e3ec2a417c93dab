//! An end skips what a newer one says and it does not know.

use control::v1::{Ack, FromOperator, FromSidecar, Hello, Snapshot, from_operator, from_sidecar};
use prost::Message;

/// A field of wire type 2: number, length, bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, content.len() as u8];
    out.extend_from_slice(content);
    out
}

#[test]
fn unknown_members_of_the_oneofs_are_no_message_and_no_error() {
    let lease = field(15, b"\x08\x07");
    assert_eq!(FromOperator::decode(&*lease), Ok(FromOperator { message: None }));
    assert_eq!(FromSidecar::decode(&*lease), Ok(FromSidecar { message: None }));
}

#[test]
fn unknown_fields_beside_known_ones_are_skipped() {
    let hello = Hello { protocol: 1, oldest_protocol: 1, version: "1.0.0".into() };
    let newer = [hello.encode_to_vec(), field(14, b"of tomorrow")].concat();
    let said = FromOperator::decode(&*field(1, &newer));
    assert_eq!(said, Ok(FromOperator { message: Some(from_operator::Message::Hello(hello)) }));
}

#[test]
fn the_bytes_of_protocol_1_never_change() {
    let document = b"{}".as_slice().into();
    let snapshot = Snapshot { namespace: "shop".into(), name: "p".into(), generation: 7, hash: "ab".into(), document };
    let said = FromOperator { message: Some(from_operator::Message::Snapshot(snapshot)) };
    assert_eq!(said.encode_to_vec(), b"\x12\x13\x0a\x04shop\x12\x01p\x18\x07\x22\x02ab\x2a\x02{}");
    let ack = FromSidecar { message: Some(from_sidecar::Message::Ack(Ack { generation: 7, hash: "ab".into() })) };
    assert_eq!(ack.encode_to_vec(), b"\x12\x06\x08\x07\x12\x02ab");
}
