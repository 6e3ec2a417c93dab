//! A Responses answer from its events: the last one holds it whole.

use bytes::Bytes;

use super::{Lost, is_named};
use crate::{
    json::{Span, members},
    sse::Frame,
    walk::Walk,
};

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Items that were told to be done.
    items: usize,
    answer: Option<Bytes>,
}

impl Parts {
    /// Takes one event; whether it is the last. At most `room` bytes are kept.
    pub(super) fn event(&mut self, frame: &Frame, room: usize) -> Result<bool, Lost> {
        let data = frame.data_bytes();
        let (mut kind, mut response) = (None, None);
        let is_object = members(&data, |m, scan| {
            let start = scan.at();
            scan.skip(&mut ())?;
            match &*m.name {
                b"type" => kind = Walk::new(&data, start).string(),
                b"response" => response = Some(start..scan.at()),
                _ => {}
            }
            Ok(())
        });
        if is_object != Ok(true) {
            return Err(Lost);
        }
        match kind.as_deref().filter(|kind| is_named(frame, kind)) {
            Some("response.completed" | "response.incomplete") => {
                let span: Span = response.ok_or(Lost)?;
                // Items that the whole leaves out would be lost.
                if span.len() > room || count(&data, span.start) != Some(self.items) {
                    return Err(Lost);
                }
                self.answer = Some(Bytes::copy_from_slice(&data[span]));
                Ok(true)
            }
            Some("response.output_item.done") => {
                self.items += 1;
                Ok(false)
            }
            Some("error" | "response.failed") | None => Err(Lost),
            Some(_) => Ok(false),
        }
    }

    pub(super) fn answer(self) -> Option<Bytes> {
        self.answer
    }
}

/// Output items of the response that begins at `start`.
fn count(data: &[u8], start: usize) -> Option<usize> {
    let mut found = None;
    Walk::new(data, start).members(|name, walk| {
        if name == b"output" && walk.first() == b'[' {
            let mut items = 0;
            walk.elements(|_| items += 1);
            found = Some(items);
        }
    });
    found
}
