//! What is said on a stream, as gRPC frames it: not compressed, length, bytes
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>). A policy is framed once, whoever gets it.

use bytes::{BufMut, Bytes, BytesMut};
use control::v1::{FromOperator, from_operator::Message as Say};
use prost::Message;

/// Before each message: one byte of flags, four of length.
const PREFIX: usize = 5;

/// A message in its frame.
#[must_use]
pub fn frame(message: Say) -> Bytes {
    let message = FromOperator { message: Some(message) };
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(PREFIX + length);
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // There is room: the buffer grows.
    let _ = message.encode(&mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use control::v1::Hello;

    use super::*;

    #[test]
    fn a_frame_is_flags_length_and_message() {
        let said = Say::Hello(Hello { protocol: 1, oldest_protocol: 1, version: "x".to_owned() });
        let framed = frame(said.clone());
        assert_eq!(framed[..PREFIX], [0, 0, 0, 0, u8::try_from(framed.len() - PREFIX).unwrap()]);
        assert_eq!(FromOperator::decode(&framed[PREFIX..]).unwrap().message, Some(said));
    }
}
