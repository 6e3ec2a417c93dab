use super::*;

fn take(bytes: &[u8], step: usize) -> Result<Option<(Head, Vec<u8>)>, BadHead> {
    let (mut heads, mut read) = (Heads::default(), BytesMut::new());
    for piece in bytes.chunks(step.max(1)) {
        read.extend_from_slice(piece);
        if let Some(head) = heads.take(&mut read)? {
            return Ok(Some((head, read.to_vec())));
        }
    }
    Ok(None)
}

/// Framing, whether the connection stays, whether leave is awaited, and what is left behind the head.
type Seen<'a> = (Result<Framing, ()>, bool, bool, &'a str);

#[test]
fn heads_however_they_come() {
    let chunked = Ok(Framing::Chunked(Chunk::Size));
    let rows: [(&str, Seen<'_>); 21] = [
        ("GET / HTTP/1.1\r\nhost: l\r\n\r\n", (Ok(Framing::Over), true, false, "")),
        ("\r\n\n\r\nGET / HTTP/1.1\nhost: l\n\nmore", (Ok(Framing::Over), true, false, "more")),
        ("POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", (Ok(Framing::Length(5)), true, false, "hello")),
        ("POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", (Ok(Framing::Over), true, false, "")),
        ("POST / HTTP/1.1\r\nContent-Length:5\r\ncontent-length: 5\r\n\r\n", (Ok(Framing::Length(5)), true, false, "")),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked \r\n\r\n5\r\n", (chunked, true, false, "5\r\n")),
        ("GET / HTTP/1.0\r\n\r\n", (Ok(Framing::Over), false, false, "")),
        ("GET / HTTP/1.0\r\nconnection: x, Keep-Alive\r\n\r\n", (Ok(Framing::Over), true, false, "")),
        ("GET / HTTP/1.1\r\nconnection: te, CLOSE\r\n\r\n", (Ok(Framing::Over), false, false, "")),
        ("POST / HTTP/1.1\r\nexpect: 100-Continue\r\n\r\n", (Ok(Framing::Over), true, true, "")),
        ("POST / HTTP/1.1\r\nexpect: 200-ok\r\n\r\n", (Ok(Framing::Over), true, false, "")),
        ("POST / HTTP/1.0\r\nexpect: 100-continue\r\n\r\n", (Ok(Framing::Over), false, false, "")),
        ("POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", (Err(()), true, false, "")),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", (Err(()), false, false, "")),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n", (Err(()), true, false, "")),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            (Err(()), true, false, ""),
        ),
        ("POST / HTTP/1.1\r\ntransfer-encoding:\r\n\r\n", (Err(()), true, false, "")),
        ("POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", (Err(()), true, false, "")),
        ("POST / HTTP/1.1\r\ncontent-length: 5, 5\r\n\r\n", (Err(()), true, false, "")),
        ("POST / HTTP/1.1\r\ncontent-length:\r\n\r\n", (Err(()), true, false, "")),
        ("POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", (Err(()), true, false, "")),
    ];
    for (text, want) in rows {
        for step in 1..=text.len() {
            let (head, left) = take(text.as_bytes(), step).unwrap().unwrap();
            let left = String::from_utf8(left).unwrap();
            let framing = head.framing.map_err(|_| ());
            assert_eq!((framing, head.keeps, head.awaits_leave), (want.0, want.1, want.2), "{text:?} by {step}");
            assert!(want.3.starts_with(&left), "{text:?} by {step}: {left:?}");
        }
    }
}

#[test]
fn what_a_head_says() {
    let text = "POST /v1/messages?beta=true HTTP/1.1\r\nHost: l\r\nx-a: 1\r\nX-A:  2 \r\nx-empty:\r\n\r\n{}";
    let (head, left) = take(text.as_bytes(), text.len()).unwrap().unwrap();
    assert_eq!((head.method, head.uri.to_string()), (Method::POST, "/v1/messages?beta=true".to_owned()));
    let values =
        |name| head.headers.get_all(&HeaderName::from_static(name)).map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((values("host"), values("x-a"), values("x-empty")), (vec!["l"], vec!["1", "2"], vec![""]));
    assert_eq!(left, b"{}");
}

#[test]
fn what_is_no_head() {
    let many = "x: y\r\n".repeat(MAX_HEADERS + 1);
    let long = "y".repeat(MAX_HEAD);
    let not_http = |text: &str| matches!(take(text.as_bytes(), 4096), Err(BadHead::NotHttp(_)));
    for text in [
        "GET /\r\n\r\n",
        "GET / HTTP/3.7\r\n\r\n",
        "GET v1/models HTTP/1.1\r\n\r\n",
        "GET / / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nx y\r\n\r\n",
        "GET / HTTP/1.1\r\nx : y\r\n\r\n",
        "GET / HTTP/1.1\r\nx: y\r\n z\r\n\r\n",
        "GET / HTTP/1.1\r\nx: y\rz\r\n\r\n",
        "\x16\x03\x01",
    ] {
        assert!(not_http(text), "{text:?}");
    }
    for text in [
        format!("GET / HTTP/1.1\r\n{many}\r\n"),
        format!("GET / HTTP/1.1\r\nx: {long}"),
        format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"),
    ] {
        assert_eq!(take(text.as_bytes(), 4096).err(), Some(BadHead::TooLarge));
    }
    assert_eq!(take(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 100).err(), Some(BadHead::OtherVersion));
    for beginning in ["", "\r\n", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nx: y\r\n"] {
        assert!(take(beginning.as_bytes(), 1).unwrap().is_none(), "{beginning:?}");
    }
}

/// A head that comes a byte at a time costs no more looks than it has bytes.
#[test]
fn heads_in_crumbs_are_looked_at_once() {
    let text = format!("GET / HTTP/1.1\r\n{}\r\n", format!("x: {}\r\n", "y".repeat(600)).repeat(100));
    let (head, _) = take(text.as_bytes(), 1).unwrap().unwrap();
    assert_eq!(head.headers.len(), 100);
}

/// However many pieces it comes in, a head is read as it is at once; and where two ways to tell the end of the body are
/// named, nobody chooses between them.
#[test]
fn fuzz_request_heads() {
    let seeds = [
        "POST /v1/messages HTTP/1.1\r\nhost: l\r\ncontent-length: 5\r\n\r\nhello",
        "POST /v1/messages HTTP/1.1\r\nhost: l\r\nTransfer-Encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\nhost: l\ncontent-length:5\nx-stainless-arch: x64\ntransfer-encoding:\tchunked\n\nx\r\n\r\n",
        "GET /v1/models HTTP/1.0\r\nx: transfer-encoding: chunked\r\ny:content-length, keep-alive\r\n\n",
        "\r\n\r\nPOST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    ];
    crate::fuzz::run_over(
        "request heads",
        |mutator| mutator.raw(&seeds),
        |input, mutator| {
            let whole = take(input, input.len());
            let pieces = take(input, 1 + mutator.below(input.len().max(1)));
            let Ok(Some((head, left))) = whole else {
                assert!(!matches!(pieces, Ok(Some(_))), "in pieces it is one");
                return false;
            };
            let (again, less) = pieces.unwrap().unwrap();
            assert_eq!((&again.headers, again.framing), (&head.headers, head.framing));
            assert!(left.starts_with(&less));
            let has = |name: &'static str| head.headers.has(&HeaderName::from_static(name));
            assert!(head.framing.is_err() || !has("content-length") || !has("transfer-encoding"));
            true
        },
    );
}
