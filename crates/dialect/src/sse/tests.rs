use proptest::prelude::*;

use super::*;

fn split(chunks: &[&[u8]]) -> Vec<Frame> {
    let mut s = Splitter::new(1 << 20);
    let mut out = vec![];
    for c in chunks {
        s.push(Bytes::copy_from_slice(c));
        while let Some(f) = s.next_frame().unwrap() {
            out.push(f);
        }
    }
    s.finish();
    while let Some(f) = s.next_frame().unwrap() {
        out.push(f);
    }
    out
}

fn datas(text: &str) -> Vec<String> {
    split(&[text.as_bytes()]).iter().map(|f| String::from_utf8_lossy(f.data()).into_owned()).collect()
}

#[test]
fn fields() {
    assert_eq!(datas("data: a\n\ndata:b\r\n\r\ndata: c\r\rdata: d"), ["a", "b", "c", "d"]);
    assert_eq!(datas("data: a\ndata: b\n\n: comment\n\n"), ["a\nb", ""]);
    assert_eq!(datas("\u{feff}data: x\n\n\n\ndata:  y\n\n"), ["x", " y"]);
    let f = &split(&[b"event: message_start\nid: 7\ndata: {}\n\n"])[0];
    assert_eq!((f.event(), f.data()), (Some(&b"message_start"[..]), &b"{}"[..]));
    assert!(split(&[b"\n\n"]).is_empty());
    assert_eq!(f.with_data(b"1"), "event: message_start\ndata: 1\n\n");
}

#[test]
fn a_huge_event_is_refused() {
    let mut s = Splitter::new(100);
    s.push(Bytes::from(vec![b'x'; 60]));
    assert_eq!(s.next_frame(), Ok(None));
    s.push(Bytes::from(vec![b'x'; 60]));
    assert_eq!(s.next_frame(), Err(TooLarge));
}

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let bit = prop_oneof![
        Just("data: a\u{e9}"),
        Just("data:"),
        Just("event: e"),
        Just(": c"),
        Just("\n"),
        Just("\r\n"),
        Just("\r"),
        Just("\n\n"),
        Just("x"),
    ];
    proptest::collection::vec(bit, 0..30).prop_map(|v| v.concat().into_bytes())
}

/// The HTML standard's algorithm, written apart: whole text, lines, fields; and our one departure, the unended last event.
fn reference(text: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut events = vec![];
    let mut data: Option<String> = None;
    for line in text.split('\n').chain([""]) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name {
            _ if line.is_empty() => events.extend(data.take()),
            "data" => {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match &mut data {
                    None => data = Some(value.to_owned()),
                    Some(d) => *d = format!("{d}\n{value}"),
                }
            }
            _ => {}
        }
    }
    events.into_iter().map(String::into_bytes).collect()
}

fn events(frames: &[Frame]) -> Vec<Vec<u8>> {
    frames.iter().filter(|f| !f.is_comment()).map(|f| f.data().to_vec()).collect()
}

proptest! {
    /// However the bytes are cut, no byte is lost and the same events come out, those of the standard.
    #[test]
    fn any_split_gives_the_same_events(text in streams()) {
        let want = reference(&text);
        let single: Vec<&[u8]> = text.chunks(1).collect();
        let cuts = (0..=text.len()).map(|c| vec![&text[..c], &text[c..]]);
        for parts in cuts.chain([single]) {
            let frames = split(&parts);
            prop_assert_eq!(&events(&frames), &want);
            let raw: Vec<u8> = frames.iter().flat_map(|f| f.raw.to_vec()).collect();
            prop_assert!(text.starts_with(&raw), "bytes in order");
            prop_assert!(text[raw.len()..].iter().all(|b| matches!(b, b'\r' | b'\n')), "only blank lines stay behind");
        }
    }

    /// A frame's data, written anew, is read as the same data.
    #[test]
    fn data_survives_being_written(lines in proptest::collection::vec("[ -~]{0,6}", 1..4)) {
        let data = lines.join("\n");
        let raw: String = lines.iter().map(|l| format!("data: {l}\n")).collect::<String>() + "\n";
        let frame = Frame::parse(Bytes::from(raw));
        prop_assert_eq!(frame.data(), data.as_bytes());
        let again = Frame::parse(frame.with_data(data.as_bytes()));
        prop_assert_eq!(again.data(), data.as_bytes());
    }
}
