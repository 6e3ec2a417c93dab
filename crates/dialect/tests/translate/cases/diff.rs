//! What differs between two JSON values, path by path.

use serde_json::Value;

/// A line for each difference; none where both are the same.
pub fn diff(want: &Value, got: &Value) -> Vec<String> {
    let mut lines = vec![];
    walk("", Some(want), Some(got), &mut lines);
    lines
}

fn walk(at: &str, want: Option<&Value>, got: Option<&Value>, lines: &mut Vec<String>) {
    match (want, got) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let added = b.keys().filter(|k| !a.contains_key(*k));
            a.keys().chain(added).for_each(|k| walk(&format!("{at}.{k}"), a.get(k), b.get(k), lines));
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            (0..a.len().max(b.len())).for_each(|i| walk(&format!("{at}[{i}]"), a.get(i), b.get(i), lines));
        }
        _ if want == got => {}
        _ => {
            let side = |v: Option<&Value>| v.map_or_else(|| "nothing".to_owned(), Value::to_string);
            lines.push(format!("  {at}\n    want {}\n    got  {}", side(want), side(got)));
        }
    }
}

#[test]
fn each_difference_is_told_once_with_its_path() {
    let want = serde_json::json!({"a": [1, {"b": 2}], "c": 3});
    let got = serde_json::json!({"a": [1, {"b": 2.0}, 4], "d": null});
    let told = [
        "  .a[1].b\n    want 2\n    got  2.0",
        "  .a[2]\n    want nothing\n    got  4",
        "  .c\n    want 3\n    got  nothing",
        "  .d\n    want nothing\n    got  null",
    ];
    assert_eq!(diff(&want, &got), told);
    assert!(diff(&want, &want).is_empty());
}
