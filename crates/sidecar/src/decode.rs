//! An answer that came encoded although identity was asked is decoded before it is read.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{HeaderMap, header};

use crate::upstream::LentBody;

/// A provider's answer body, decoded.
pub struct Decoded {
    inner: LentBody,
    coding: Coding,
}

enum Coding {
    Identity,
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
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
    pub fn new(headers: &HeaderMap, inner: LentBody) -> Option<Decoded> {
        let coding = match headers.get(header::CONTENT_ENCODING).map(|v| v.as_bytes().to_ascii_lowercase()) {
            None => Coding::Identity,
            Some(v) if v == b"identity" || v.is_empty() => Coding::Identity,
            Some(v) if v == b"gzip" || v == b"x-gzip" => {
                Coding::Gzip(Box::new(flate2::write::MultiGzDecoder::new(vec![])))
            }
            Some(v) if v == b"zstd" => Coding::Zstd(Box::new(zstd::stream::write::Decoder::new(vec![]).ok()?)),
            Some(_) => return None,
        };
        Some(Decoded { inner, coding })
    }
}

impl Coding {
    fn decode(&mut self, data: Bytes) -> io::Result<Bytes> {
        match self {
            Coding::Identity => Ok(data),
            Coding::Gzip(z) => {
                z.write_all(&data)?;
                z.flush()?;
                Ok(std::mem::take(z.get_mut()).into())
            }
            Coding::Zstd(z) => {
                z.write_all(&data)?;
                z.flush()?;
                Ok(std::mem::take(z.get_mut()).into())
            }
        }
    }
}

impl Body for Decoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else { return Poll::Ready(None) };
            let Ok(data) = frame.map_err(|_| BodyError::Lost)?.into_data() else { continue };
            let decoded = self.coding.decode(data).map_err(|_| BodyError::Coding)?;
            if !decoded.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(decoded))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.coding {
            Coding::Identity => self.inner.size_hint(),
            _ => SizeHint::default(),
        }
    }
}
