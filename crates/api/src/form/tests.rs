use serde_json::{Value, json};

use super::{nearest, walk::walk};
use crate::fault::Faults;

/// Faults of `value` under `schema`, one a line.
fn faults(schema: &Value, mut value: Value) -> Vec<String> {
    let mut faults = Faults::default();
    walk(schema, &mut value, "it", &mut faults);
    faults.into_vec().iter().map(ToString::to_string).collect()
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["name", "list"],
        "properties": {
            "name": {"type": "string", "maxLength": 63, "pattern": "^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$"},
            "list": {
                "type": "array", "minItems": 1, "maxItems": 2, "x-kubernetes-list-map-keys": ["key"],
                "items": {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}},
            },
            "count": {"type": "integer", "minimum": 1, "maximum": 10},
            "flag": {"type": "boolean"},
            "word": {"type": "string", "enum": ["Quality", "Cost"]},
            "map": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}},
        },
    })
}

/// `patch` laid over a value without faults.
fn with(patch: Value) -> Value {
    let mut value = json!({"name": "a", "list": [{"key": "k"}]});
    for (name, part) in patch.as_object().unwrap() {
        value[name] = part.clone();
    }
    value
}

#[test]
fn what_the_api_server_accepts_is_accepted() {
    let rows = [
        json!({}),
        json!({"count": 1, "flag": false, "word": "Cost", "map": {"any key": ""}}),
        json!({"count": 3.0}),
        json!({"list": [{"key": "a"}, {"key": "A"}]}),
        json!({"map": {}}),
        json!({"count": null, "flag": null, "word": null, "map": {"a": null, "b": "", "c": null}}),
    ];
    for patch in rows {
        assert_eq!(faults(&schema(), with(patch.clone())), Vec::<String>::new(), "{patch}");
    }
}

#[test]
fn every_fault_has_its_path_and_remedy() {
    let rows = [
        (json!({"name": 5}), "it.name: 5 is not a string; use letters"),
        (json!({"name": null}), "it.name: is missing; add it; use letters"),
        (json!({"zzzzzz": null}), "it.zzzzzz: is not a field; the fields here are"),
        (json!({"name": "a b"}), "it.name: \"a b\" is not a name; use letters"),
        (json!({"name": "a".repeat(64)}), "it.name: has 64 characters; keep at most 63"),
        (json!({"count": "3"}), "it.count: \"3\" is not a whole number; write digits"),
        (json!({"count": 3.5}), "it.count: 3.5 is not a whole number"),
        (json!({"count": 0}), "it.count: 0 is out of range; write a whole number from 1 to 10"),
        (json!({"count": 1e300}), "it.count: 1e+300 is not a whole number"),
        (json!({"flag": "true"}), "it.flag: \"true\" is not true or false; write true or false, without quotes"),
        (json!({"word": "quality"}), "it.word: \"quality\" is not a value here; did you mean Quality?"),
        (json!({"word": "Speed"}), "it.word: \"Speed\" is not a value here; write one of Quality, Cost"),
        (json!({"word": 1}), "it.word: 1 is not a string; write one of Quality, Cost"),
        (json!({"map": {"a b": 1}}), "it.map[\"a b\"]: 1 is not a string; put it in quotes"),
        (json!({"map": {"a": "", "b": ""}}), "it.map: has 2 entries; keep at most 1"),
        (json!({"map": []}), "it.map: a list is not a mapping; write fields below it"),
        (json!({"list": []}), "it.list: is an empty list; it needs at least one item"),
        (json!({"list": {"key": "k"}}), "it.list: a mapping is not a list; write items"),
        (json!({"list": [{"key": "a"}, {"key": "b"}, {"key": "c"}]}), "it.list: has 3 items; keep at most 2"),
        // What is beyond the bound is not judged.
        (json!({"list": [{"key": "a"}, {"key": "b"}, {"key": "b"}, 5]}), "it.list: has 4 items; keep at most 2"),
        (json!({"map": {"a": "", "b": 5}}), "it.map: has 2 entries; keep at most 1"),
        (json!({"list": [{"key": "a"}, {"key": "a"}]}), "it.list[1].key: \"a\" is the key of it.list[0] already"),
        (json!({"list": [{}]}), "it.list[0].key: is missing; add it"),
        (json!({"list": ["k"]}), "it.list[0]: \"k\" is not a mapping"),
        (json!({"list": [null]}), "it.list[0]: is empty; give it a value"),
        (json!({"cuont": 1}), "it.cuont: is not a field; did you mean count?"),
        (json!({"zzzzzz": 1}), "it.zzzzzz: is not a field; the fields here are"),
    ];
    for (patch, want) in rows {
        let told = faults(&schema(), with(patch));
        assert!(told.len() == 1 && told[0].starts_with(want), "{want}\n{told:?}");
    }
    let told = faults(&schema(), json!({}));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|t| t.contains("is missing; add it")), "{told:?}");
}

#[test]
fn what_is_of_no_use_is_blank_afterwards() {
    let mut value = json!({"name": [], "list": [7, {"key": 1}], "word": "x", "count": "1", "flag": null});
    assert!(walk(&schema(), &mut value, "it", &mut Faults::default()));
    assert_eq!(value, json!({"name": "", "list": [{"key": ""}, {"key": ""}]}));
}

#[test]
fn of_a_great_many_faults_the_first_are_told() {
    let many = (0..100_000).map(|i| (format!("zzzzzz{i}"), 1.into())).collect();
    let told = faults(&schema(), with(Value::Object(many)));
    assert_eq!(told.len(), 1000);
    assert!(told[999].starts_with("it.zzzzzz999: "), "{}", told[999]);
}

#[test]
fn slips_are_recognised() {
    let names = ["providers", "scenes", "tiers", "budgets", "OpenAI"];
    let near = |word| nearest(word, names);
    let rows = [
        ("provider", Some("providers")),
        ("scene", Some("scenes")),
        ("openai", Some("OpenAI")),
        ("xyz", None),
        ("", None),
    ];
    for (word, want) in rows {
        assert_eq!(near(word), want, "{word}");
    }
}
