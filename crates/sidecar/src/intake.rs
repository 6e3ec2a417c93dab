//! Takes in a request body: bounded in size, time and memory, decoded.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use hyper::header;
use policy::reason::Cause;

use crate::{
    framing::Framing,
    headers::List,
    memory::{Memory, Room},
    refusal::Refusal,
    serve::{BodyLost, Inlet},
};

/// Longest body after decoding.
pub const MAX_BODY: usize = 32 << 20;
/// Zstd looks back at most 8 MiB, as RFC 8878 (3.1.1.1.2) asks of encoders: the window is not in the byte budget.
pub(crate) const WINDOW_LOG: u32 = 23;
/// Room is taken in steps of this where the length is not known.
const STEP: usize = 64 << 10;

/// A whole body and the room it takes.
pub struct Held {
    /// The body, decoded.
    pub bytes: Bytes,
    /// Given back when the body is no longer needed.
    pub room: Room,
}

/// A content encoding that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Reads the whole body.
///
/// # Errors
/// 413 over the limit, 415 for a foreign encoding, 408 when it stalls, 503 without room, 400 for bad framing or coding.
pub(crate) async fn read(headers: &List, inlet: &mut Inlet, memory: &Memory) -> Result<Held, Refusal> {
    let encoding = encoding(headers)?;
    let held = collect(inlet, memory).await?;
    match encoding {
        Encoding::Identity => Ok(held),
        coded => decode(coded, held, memory).await,
    }
}

async fn collect(inlet: &mut Inlet, memory: &Memory) -> Result<Held, Refusal> {
    let refuse = |g| match g {
        Gathered::TooLarge => too_large(),
        Gathered::NoRoom => Refusal::own(Cause::SidecarOverloaded).closing(),
    };
    let lost = |lost| match lost {
        BodyLost::Stalled => Refusal::own(Cause::BodyTimeout).closing(),
        BodyLost::Broken => {
            Refusal::own(Cause::BadRequest).because("the body ended early or its framing is broken").closing()
        }
    };
    let known = match inlet.framing() {
        Framing::Length(length) => Some(length),
        Framing::Over => Some(0),
        Framing::Chunked(_) | Framing::UntilClose => None,
    };
    let mut gather = Gather::new(known, MAX_BODY, memory).await.map_err(refuse)?;
    if let Some(length) = known {
        let bytes = inlet.exactly(length as usize).await.map_err(lost)?;
        return Ok(Held { bytes, room: gather.room });
    }
    while let Some(data) = inlet.piece().await {
        gather.push(data.map_err(lost)?).await.map_err(refuse)?;
    }
    Ok(gather.finish())
}

/// Joins the frames of a body, within a size and within the memory budget.
pub struct Gather<'m> {
    memory: &'m Memory,
    most: usize,
    known: Option<usize>,
    room: Room,
    reserved: usize,
    first: Bytes,
    joined: BytesMut,
}

/// Why a body is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// Over the limit.
    TooLarge,
    /// No memory left.
    NoRoom,
}

impl<'m> Gather<'m> {
    /// For a body of at most `most` bytes; takes room for a known length at once.
    ///
    /// # Errors
    /// The known length exceeds the limit, or there is no room for it.
    pub async fn new(known: Option<u64>, most: usize, memory: &'m Memory) -> Result<Gather<'m>, Gathered> {
        if known.is_some_and(|length| length > most as u64) {
            return Err(Gathered::TooLarge);
        }
        let known = known.map(|length| length as usize);
        let reserved = known.unwrap_or(STEP);
        let room = memory.hold(reserved).await.map_err(|_| Gathered::NoRoom)?;
        Ok(Gather { memory, most, known, room, reserved, first: Bytes::new(), joined: BytesMut::new() })
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// The limit, or the memory budget, is exceeded.
    pub async fn push(&mut self, data: Bytes) -> Result<(), Gathered> {
        let size = self.first.len() + self.joined.len() + data.len();
        if size > self.most {
            return Err(Gathered::TooLarge);
        }
        if size > self.reserved {
            // A buffer of unknown length doubles as it grows; so does its room.
            let step = (size - self.reserved).max(self.reserved);
            self.room.add(self.memory.hold(step).await.map_err(|_| Gathered::NoRoom)?);
            self.reserved += step;
        }
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = data;
            return Ok(());
        }
        if self.joined.is_empty() {
            self.joined.reserve(self.known.unwrap_or(2 * size));
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&data);
        Ok(())
    }

    /// The whole body; a single frame is not copied.
    #[must_use]
    pub fn finish(self) -> Held {
        Held { bytes: if self.joined.is_empty() { self.first } else { self.joined.freeze() }, room: self.room }
    }
}

fn too_large() -> Refusal {
    // What is left of the body is not read, so the connection cannot be used again.
    Refusal::own(Cause::BodyTooLarge).closing()
}

fn encoding(headers: &List) -> Result<Encoding, Refusal> {
    let mut found = Encoding::Identity;
    let values = headers.get_all(&header::CONTENT_ENCODING);
    for token in values.flat_map(|v| v.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii) {
        let one = match token.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => continue,
            b"gzip" | b"x-gzip" => Encoding::Gzip,
            b"zstd" => Encoding::Zstd,
            _ => return Err(Refusal::own(Cause::UnsupportedEncoding)),
        };
        if found != Encoding::Identity {
            return Err(Refusal::own(Cause::UnsupportedEncoding));
        }
        found = one;
    }
    Ok(found)
}

/// Decodes off the workers: 32 MiB of zeros fit in a few kilobytes.
async fn decode(encoding: Encoding, held: Held, memory: &Memory) -> Result<Held, Refusal> {
    let memory = memory.clone();
    let work = tokio::task::spawn_blocking(move || {
        let coded: &[u8] = &held.bytes;
        match encoding {
            Encoding::Gzip => inflate(flate2::read::MultiGzDecoder::new(coded), &memory),
            _ => {
                let mut zstd = zstd::Decoder::with_buffer(coded).map_err(|_| bad_coding())?;
                zstd.window_log_max(WINDOW_LOG).map_err(|_| bad_coding())?;
                inflate(zstd, &memory)
            }
        }
    });
    work.await.map_err(|_| Refusal::own(Cause::Internal))?
}

fn inflate(mut from: impl Read, memory: &Memory) -> Result<Held, Refusal> {
    let full = |_| Refusal::own(Cause::SidecarOverloaded);
    let mut room = memory.try_hold(STEP).map_err(full)?;
    let mut reserved = STEP;
    let mut out = BytesMut::new();
    let mut step = vec![0; STEP];
    loop {
        let n = from.read(&mut step).map_err(|_| bad_coding())?;
        if n == 0 {
            return Ok(Held { bytes: out.freeze(), room });
        }
        if out.len() + n > MAX_BODY {
            return Err(too_large());
        }
        if out.len() + n > reserved {
            // Doubling the buffer holds old and new for a moment; doubling the room covers it.
            room.add(memory.try_hold(reserved).map_err(full)?);
            reserved *= 2;
        }
        out.extend_from_slice(&step[..n]);
    }
}

fn bad_coding() -> Refusal {
    Refusal::own(Cause::BadRequest).because("the body does not match its content-encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(name: &'static str) -> List {
        List::from_iter([(header::CONTENT_ENCODING, name.parse().unwrap())])
    }

    #[test]
    fn encodings() {
        assert_eq!(encoding(&List::default()).unwrap(), Encoding::Identity);
        assert_eq!(encoding(&coded("GZIP")).unwrap(), Encoding::Gzip);
        assert_eq!(encoding(&coded("identity, zstd")).unwrap(), Encoding::Zstd);
        for bad in ["br", "gzip, gzip", "deflate"] {
            assert!(encoding(&coded(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn fuzz_coded_requests() {
        use std::io::Write;
        let plain = br#"{"model":"gpt-6-sol","messages":[{"role":"user","content":"hello hello hello hello hello"}]}"#;
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        gzip.write_all(plain).unwrap();
        let seeds = [gzip.finish().unwrap(), zstd::encode_all(&plain[..], 3).unwrap()];
        let memory = Memory::new(128 << 20);
        crate::fuzz::run_over(
            "coded requests",
            |mutator| mutator.raw(&seeds),
            |input, _| {
                let is_gzip = input.starts_with(&[0x1f, 0x8b]);
                let held = match is_gzip {
                    true => inflate(flate2::read::MultiGzDecoder::new(input), &memory),
                    false => inflate(zstd::Decoder::with_buffer(input).unwrap(), &memory),
                };
                if let Ok(held) = held {
                    assert!(held.bytes.len() <= memory.held());
                }
                assert_eq!(memory.held(), 0);
                is_gzip || input.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
            },
        );
    }

    #[tokio::test]
    async fn a_bomb_is_refused_at_the_limit_and_gives_its_room_back() {
        use std::io::Write;
        let mut z = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        z.write_all(&vec![0; MAX_BODY + 1]).unwrap();
        let bomb = Bytes::from(z.finish().unwrap());
        let memory = Memory::new(128 << 20);
        let room = memory.hold(bomb.len()).await.unwrap();
        let refused = decode(Encoding::Gzip, Held { bytes: bomb, room }, &memory).await;
        assert_eq!(refused.err().unwrap().reason.cause, Cause::BodyTooLarge);
        assert_eq!(memory.held(), 0);
    }
}
