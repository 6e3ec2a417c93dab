//! An answer that came encoded although identity was asked is decoded before it is read.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::header;

use crate::{headers::List, intake::WINDOW_LOG, upstream::LentBody};

/// Encoded bytes are decoded in steps of this,
const STEP: usize = 4 << 10;
/// and a step that grows beyond this is a bomb, not an answer.
const MAX_STEP: usize = 8 << 20;

/// A provider's answer body, decoded.
pub struct Decoded {
    inner: LentBody,
    /// Received and not yet decoded.
    coded: Bytes,
    coding: Coding,
}

enum Coding {
    Identity,
    Gzip(Box<flate2::write::MultiGzDecoder<Plain>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Plain>>),
}

/// What one step decoded, bounded.
#[derive(Default)]
struct Plain(Vec<u8>);

impl Write for Plain {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0.len() + data.len() > MAX_STEP {
            return Err(io::Error::other("decodes to far more than it is"));
        }
        self.0.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a body ended early.
#[derive(Debug)]
pub enum BodyError {
    /// The connection died.
    Lost,
    /// The bytes do not match their coding.
    Coding,
}

impl Decoded {
    /// By the answer's `content-encoding`; `None` for one we cannot decode.
    #[must_use]
    pub fn new(headers: &List, inner: LentBody) -> Option<Decoded> {
        let coding = match headers.get(&header::CONTENT_ENCODING).map(|v| v.as_bytes().to_ascii_lowercase()) {
            None => Coding::Identity,
            Some(v) if v == b"identity" || v.is_empty() => Coding::Identity,
            Some(v) if v == b"gzip" || v == b"x-gzip" => {
                Coding::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Plain::default())))
            }
            Some(v) if v == b"zstd" => {
                let mut zstd = zstd::stream::write::Decoder::new(Plain::default()).ok()?;
                zstd.window_log_max(WINDOW_LOG).ok()?;
                Coding::Zstd(Box::new(zstd))
            }
            Some(_) => return None,
        };
        Some(Decoded { inner, coded: Bytes::new(), coding })
    }
}

impl Coding {
    /// Decodes the next step of `coded`.
    fn decode(&mut self, coded: &mut Bytes) -> io::Result<Bytes> {
        let plain = match self {
            Coding::Identity => return Ok(std::mem::take(coded)),
            Coding::Gzip(z) => {
                z.write_all(&coded.split_to(coded.len().min(STEP)))?;
                z.flush()?;
                z.get_mut()
            }
            Coding::Zstd(z) => {
                z.write_all(&coded.split_to(coded.len().min(STEP)))?;
                z.flush()?;
                z.get_mut()
            }
        };
        Ok(std::mem::take(&mut plain.0).into())
    }
}

impl Body for Decoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.as_mut().get_mut();
        loop {
            while !this.coded.is_empty() {
                let plain = this.coding.decode(&mut this.coded).map_err(|_| BodyError::Coding)?;
                if !plain.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(plain))));
                }
            }
            let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(cx)) else { return Poll::Ready(None) };
            if let Ok(data) = frame.map_err(|_| BodyError::Lost)?.into_data() {
                this.coded = data;
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.coded.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.coding {
            Coding::Identity => self.inner.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(mut coding: Coding, coded: Vec<u8>) -> io::Result<usize> {
        let mut coded = Bytes::from(coded);
        let mut plain = 0;
        while !coded.is_empty() {
            plain += coding.decode(&mut coded)?.len();
        }
        Ok(plain)
    }

    #[test]
    fn steps_are_bounded_and_bombs_are_refused() {
        let gzip = |size: usize| {
            let mut z = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
            z.write_all(&vec![b'x'; size]).unwrap();
            z.finish().unwrap()
        };
        let unzip =
            |coded| decoded(Coding::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Plain::default()))), coded);
        assert_eq!(unzip(gzip(3 << 20)).unwrap(), 3 << 20);
        let zstd = |size: usize| zstd::encode_all(&*vec![b'x'; size], 3).unwrap();
        let unzstd = |coded| {
            decoded(Coding::Zstd(Box::new(zstd::stream::write::Decoder::new(Plain::default()).unwrap())), coded)
        };
        assert_eq!(unzstd(zstd(3 << 20)).unwrap(), 3 << 20);
        assert!(unzstd(zstd(64 << 20)).is_err(), "64 MiB in a few kilobytes");
    }

    /// What chunks decode to, one after another.
    fn joined(mut coding: Coding, coded: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let mut plain = vec![];
        for chunk in coded.chunks(step) {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while !chunk.is_empty() {
                plain.extend_from_slice(&coding.decode(&mut chunk)?);
            }
        }
        Ok(plain)
    }

    const PLAIN: [&[u8]; 3] = [
        br#"{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}"#,
        b"data: {\"delta\":\"a\"}\n\ndata: {\"delta\":\"a\"}\n\ndata: [DONE]\n\n",
        b"",
    ];

    fn gzip() -> Coding {
        Coding::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Plain::default())))
    }

    fn zstd() -> Coding {
        let mut zstd = zstd::stream::write::Decoder::new(Plain::default()).unwrap();
        zstd.window_log_max(WINDOW_LOG).unwrap();
        Coding::Zstd(Box::new(zstd))
    }

    /// Damaged answers decode to the same, or to nothing, however they come.
    fn fuzz(coding: &str, fresh: fn() -> Coding, header: usize, seeds: &[Vec<u8>]) {
        crate::fuzz::run_over(
            coding,
            |mutator| mutator.raw(seeds),
            |input, mutator| {
                let whole = joined(fresh(), input, input.len().max(1));
                let pieces = joined(fresh(), input, 1 + mutator.below(input.len() + 1));
                // At the end of the bytes a decoder may still wait for the rest of what another has seen to be damaged.
                if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
                    assert_eq!(whole, pieces);
                }
                input.len() >= header && joined(fresh(), &input[..header], header).is_ok()
            },
        );
    }

    #[test]
    fn fuzz_gzip_answers() {
        let coded = |plain: &&[u8]| {
            let mut z = flate2::GzBuilder::new().filename("f").write(vec![], flate2::Compression::best());
            z.write_all(plain).unwrap();
            z.finish().unwrap()
        };
        let mut seeds: Vec<_> = PLAIN.iter().map(coded).collect();
        // Two members are one answer.
        seeds.push(seeds.concat());
        fuzz("gzip answers", gzip, 10, &seeds);
    }

    #[test]
    fn fuzz_zstd_answers() {
        let mut seeds: Vec<_> = PLAIN.iter().map(|plain| zstd::encode_all(*plain, 3).unwrap()).collect();
        seeds.push(seeds.concat());
        fuzz("zstd answers", zstd, 6, &seeds);
    }

    proptest::proptest! {
        /// However it is cut, what was encoded comes back; and noise within is an error or other bytes, never a panic.
        #[test]
        fn any_cut_and_any_noise(plain: Vec<u8>, noise: Vec<u8>, at: proptest::sample::Index, step in 1usize..40) {
            let mut z = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
            z.write_all(&plain).unwrap();
            type Fresh = fn() -> Coding;
            let codings: [(Fresh, Vec<u8>); 2] = [
                (|| Coding::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Plain::default()))), z.finish().unwrap()),
                (
                    || Coding::Zstd(Box::new(zstd::stream::write::Decoder::new(Plain::default()).unwrap())),
                    zstd::encode_all(&*plain, 3).unwrap(),
                ),
            ];
            for (coding, mut coded) in codings {
                proptest::prop_assert_eq!(&joined(coding(), &coded, step).unwrap(), &plain);
                let at = at.index(coded.len());
                coded.splice(at..at, noise.iter().copied());
                let _ = joined(coding(), &coded, step);
            }
        }
    }
}
