use super::*;

#[test]
fn errors_are_read_by_code_not_by_status() {
    let rows: &[(Dialect, &str, Option<u16>, bool, bool)] = &[
        (
            Dialect::Chat,
            r#"{"error":{"type":"insufficient_quota","code":"credit_balance_exhausted","message":"m"}}"#,
            Some(429),
            true,
            false,
        ),
        (
            Dialect::Chat,
            r#"{"error":{"type":"rate_limit_error","code":"slow_down","message":"m"}}"#,
            Some(429),
            false,
            false,
        ),
        (
            Dialect::Chat,
            r#"{"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"m"}}"#,
            Some(400),
            false,
            true,
        ),
        (
            Dialect::Messages,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
            Some(529),
            false,
            false,
        ),
        (
            Dialect::Messages,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
            Some(429),
            true,
            false,
        ),
        (
            Dialect::Messages,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#,
            Some(400),
            false,
            true,
        ),
        (
            Dialect::Responses,
            r#"{"type":"error","code":"server_error","message":"m","sequence_number":3}"#,
            Some(500),
            false,
            false,
        ),
        (
            Dialect::Responses,
            r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"m"}}}"#,
            Some(429),
            false,
            false,
        ),
    ];
    for (d, body, status, credit, long) in rows {
        let f = read_error(*d, 400, body.as_bytes());
        assert_eq!((f.status, f.out_of_credit, f.too_long, f.is_envelope), (*status, *credit, *long, true), "{body}");
    }
    for junk in ["", "<html>502</html>", "[]", "{}", "\"x\"", r#"{"error":"words"}"#] {
        let f = read_error(Dialect::Chat, 502, junk.as_bytes());
        assert!(!f.is_envelope && f.message.contains("502"), "{junk}");
    }
}

#[test]
fn errors_are_written_in_the_callers_dialect() {
    let fault = read_error(
        Dialect::Messages,
        400,
        br#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 9"}}"#,
    );
    let shape = ErrorShape::of_fault(&fault, 400);
    let body: Value = serde_json::from_slice(&write_error(Dialect::Chat, &shape)).unwrap();
    assert_eq!(
        body,
        json!({"error": {"message": "prompt is too long: 9", "type": "invalid_request_error", "param": null, "code": "context_length_exceeded"}})
    );
    let event = write_error_event(Dialect::Responses, &shape, 7);
    assert!(event.starts_with(b"event: error\ndata: {") && event.ends_with(b"\n\n"));
    assert_eq!(
        (map_status(Dialect::Messages, Dialect::Chat, 529), map_status(Dialect::Chat, Dialect::Messages, 503)),
        (503, 529)
    );
}

#[test]
fn what_is_wrong_with_a_thread_is_its_callers_to_mend() {
    let of = |code: &str| {
        let body =
            format!(r#"{{"type":"error","error":{{"type":"x","message":"m","details":{{"error_code":"{code}"}}}}}}"#);
        read_error(Dialect::Messages, 404, body.as_bytes()).is_of_thread()
    };
    assert_eq!(["thread_not_found", "thread_already_continued", "model_not_found"].map(of), [true, true, false]);
}
