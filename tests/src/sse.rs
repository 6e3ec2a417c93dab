//! Server-sent events, read independently of the code under test.

use serde_json::Value;

/// One event, or a comment without data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `event:`.
    pub name: Option<String>,
    /// `data:` lines joined by line ends.
    pub data: String,
    /// The bytes it came in, its blank line included.
    pub raw: Vec<u8>,
}

impl Event {
    /// The data as JSON; `Null` for `[DONE]` and comments.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_default()
    }

    fn parse(raw: &[u8]) -> Event {
        let text = String::from_utf8_lossy(raw).replace("\r\n", "\n");
        let mut event = Event { raw: raw.to_vec(), ..Event::default() };
        let mut lines: Vec<&str> = vec![];
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event.name = Some(value.to_owned()),
                "data" => lines.push(value),
                _ => {}
            }
        }
        event.data = lines.join("\n");
        event
    }
}

/// Takes whole events off the front of `buffer`.
pub fn take(buffer: &mut Vec<u8>) -> Vec<Event> {
    let mut out = vec![];
    let mut at = 0;
    while let Some(end) = blank_line(&buffer[at..]) {
        out.push(Event::parse(&buffer[at..at + end]));
        at += end;
    }
    buffer.drain(..at);
    out
}

/// Every event of a whole stream; what follows the last blank line is an event of its own.
pub fn all(bytes: &[u8]) -> Vec<Event> {
    let mut buffer = bytes.to_vec();
    let mut out = take(&mut buffer);
    if !buffer.is_empty() {
        out.push(Event::parse(&buffer));
    }
    out
}

fn blank_line(buffer: &[u8]) -> Option<usize> {
    let find = |buffer: &[u8], needle: &[u8]| memchr::memmem::find(buffer, needle).map(|at| at + needle.len());
    let plain = find(buffer, b"\n\n");
    // The other kind counts only before that one: long streams are not searched to their end for each event.
    find(&buffer[..plain.unwrap_or(buffer.len())], b"\r\n\r\n").or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_in_both_line_ends() {
        let events = all(b"event: a\ndata: {\"x\":1}\n\n: note\r\ndata:b\r\ndata: c\r\n\r\ndata: [DONE]");
        assert_eq!(events.len(), 3);
        assert_eq!((events[0].name.as_deref(), events[0].json()["x"].as_u64()), (Some("a"), Some(1)));
        assert_eq!(events[1].data, "b\nc");
        assert_eq!(events[2].data, "[DONE]");
    }
}
