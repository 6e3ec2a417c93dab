//! What a request body asks for, found by looking for a few substrings: a mock need not parse JSON.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use memchr::memmem;

/// Bytes kept of the last frame, so that a key split over two frames is still found.
const OVERLAP: usize = 160;

/// The wishes of one request.
#[derive(Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) chunk_delay: Duration,
    pub(crate) chunks: u32,
}

impl Default for Ask {
    fn default() -> Self {
        Ask { stream: false, include_usage: false, chunk_delay: Duration::ZERO, chunks: 50 }
    }
}

/// Reads a whole request body, keeping nothing of it.
pub(crate) async fn read(mut body: Incoming) -> Result<Ask, hyper::Error> {
    let mut ask = Ask::default();
    let mut seam: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if !seam.is_empty() {
            seam.extend_from_slice(&data[..data.len().min(OVERLAP)]);
            ask.scan(&seam);
            seam.clear();
        }
        ask.scan(&data);
        seam.extend_from_slice(&data[data.len().saturating_sub(OVERLAP)..]);
    }
    Ok(ask)
}

impl Ask {
    fn scan(&mut self, piece: &[u8]) {
        self.stream |= has_true(piece, b"\"stream\"");
        self.include_usage |= has_true(piece, b"\"include_usage\"");
        if let Some(start) = memmem::find(piece, b"@@mock:") {
            let rest = &piece[start + 7..];
            if let Some(end) = memmem::find(rest, b"@@") {
                self.pace(&String::from_utf8_lossy(&rest[..end]));
            }
        }
    }

    fn pace(&mut self, marker: &str) {
        for (key, value) in marker.split(',').filter_map(|pair| pair.split_once('=')) {
            match (key, value.parse()) {
                ("chunk_delay_us", Ok(n)) => self.chunk_delay = Duration::from_micros(n),
                ("chunks", Ok(n)) => self.chunks = n as u32,
                _ => {}
            }
        }
    }
}

fn has_true(piece: &[u8], key: &[u8]) -> bool {
    memmem::find_iter(piece, key).any(|start| {
        let mut value = piece[start + key.len()..].iter().filter(|b| !b.is_ascii_whitespace());
        value.next() == Some(&b':') && value.take(4).eq(b"true")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_matters_in_a_body() {
        let default = Ask::default;
        for (body, want) in [
            (r#"{"model":"m"}"#, default()),
            (r#"{"stream":false}"#, default()),
            (r#"{"stream" : true}"#, Ask { stream: true, ..default() }),
            (
                r#"{"stream_options":{"include_usage":true},"stream":true}"#,
                Ask { stream: true, include_usage: true, ..default() },
            ),
            (
                r#"{"content":"@@mock:chunk_delay_us=10000,chunks=7@@ hello"}"#,
                Ask { chunk_delay: Duration::from_millis(10), chunks: 7, ..default() },
            ),
        ] {
            let mut ask = default();
            ask.scan(body.as_bytes());
            assert_eq!(ask, want, "{body}");
        }
    }
}
