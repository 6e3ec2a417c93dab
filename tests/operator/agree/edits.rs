//! What breaks a policy, one edit each.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{schema::Place, words::Form};

/// A change at one place of an object.
#[derive(Clone, Debug)]
pub struct Edit {
    /// JSON pointer.
    pub at: String,
    /// What stands there then; nothing takes it away.
    pub to: Option<Value>,
}

impl Edit {
    fn put(at: impl Into<String>, to: impl Into<Value>) -> Edit {
        Edit { at: at.into(), to: Some(to.into()) }
    }

    /// Whether there was such a place.
    pub fn apply(&self, object: &mut Value) -> bool {
        let (parent, key) = self.at.rsplit_once('/').expect("a pointer");
        let key = key.replace("~1", "/");
        match (object.pointer_mut(parent), &self.to) {
            (Some(Value::Object(members)), Some(value)) => drop(members.insert(key, value.clone())),
            (Some(Value::Object(members)), None) => return members.remove(&key).is_some(),
            (Some(Value::Array(items)), Some(value)) => {
                let Some(item) = key.parse().ok().and_then(|i: usize| items.get_mut(i)) else { return false };
                *item = value.clone();
            }
            _ => return false,
        }
        true
    }
}

/// A place of `object` that is meant by the path of a schema's place: in a list the last one, to which nothing else refers.
pub fn find(object: &Value, at: &str) -> Option<String> {
    fn under(value: &Value, rest: &str, pointer: String) -> Option<String> {
        if rest.is_empty() {
            return Some(pointer);
        }
        if let Some(rest) = rest.strip_prefix("[]") {
            let mut all = value.as_array()?.iter().enumerate().rev();
            return all.find_map(|(i, item)| under(item, rest, format!("{pointer}/{i}")));
        }
        if let Some(rest) = rest.strip_prefix("{}") {
            let mut all = value.as_object()?.iter();
            return all.find_map(|(key, item)| under(item, rest, format!("{pointer}/{}", key.replace('/', "~1"))));
        }
        let name = rest.trim_start_matches('.');
        let end = name.find(['.', '[', '{']).unwrap_or(name.len());
        under(value.get(&name[..end])?, &name[end..], format!("{pointer}/{}", &name[..end]))
    }
    under(object, &format!(".{at}"), String::new())
}

/// What breaks each thing that the schema says of a place, and what lies just inside of its bounds. `new` is one of
/// a type and pattern that no place before had: more is tried there.
pub fn of_schema(place: &Place, object: &Value, new: bool, rng: &mut Rng) -> Vec<Edit> {
    let Place { at, schema } = place;
    let pointer = find(object, at).unwrap_or_else(|| panic!("the example has no {at}"));
    let present = object.pointer(&pointer).expect("a value");
    let mut values = wrong_types(schema, new, rng);
    let mut edits = Vec::new();
    for word in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).take(1) {
        values.extend([word.to_lowercase().into(), "Nonsense".into(), "".into()]);
    }
    for bound in ["minimum", "maximum"].iter().filter_map(|name| schema[name].as_i64()) {
        values.extend([bound - 1, bound, bound + 1].map(Value::from));
    }
    if let Some(form) = Form::of(schema) {
        values.push(form.long(form.max + 1).into());
        values.extend(new.then(|| form.long(form.max).into()));
        values.extend(form.edges().into_iter().take(if new { usize::MAX } else { 1 }).map(Value::from));
        let (bad, good) = if new { (12, 8) } else { (2, 0) };
        values.extend(rng.choose_multiple(form.bad(), bad).into_iter().map(Value::from));
        values.extend(rng.choose_multiple(form.good(), good).into_iter().map(Value::from));
    }
    if let Some(items) = present.as_array() {
        values.push(json!([]));
        let most = schema["maxItems"].as_u64().expect("a bound") as usize;
        values.extend([most, most + 1].map(|count| Value::from(many(schema, items, count))));
        values.push(items.iter().chain([&items[0]]).cloned().collect());
    }
    if let Some(members) = present.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            edits.push(Edit { at: format!("{pointer}/{name}"), to: None });
        }
        if schema["properties"].is_object() {
            edits.push(Edit::put(format!("{pointer}/nonsense"), 1));
        }
        if let Some(most) = schema["maxProperties"].as_u64() {
            let first = members.values().next().expect("a member");
            let full = |count: u64| (0..count).map(|i| (format!("k{i}"), first.clone())).collect();
            values.extend([most, most + 1].map(|count| Value::Object(full(count))));
        }
    }
    edits.extend(values.into_iter().map(|value| Edit::put(&*pointer, value)));
    edits
}

/// Nothing at all, and what is of another type, or nearly so.
fn wrong_types(schema: &Value, new: bool, rng: &mut Rng) -> Vec<Value> {
    let all = match schema["type"].as_str() {
        Some("string") => json!([5, 1.5, true, [], {}]),
        Some("integer") => json!(["5", 1.5, 2.0, 1e3, 1e300, u64::MAX, true]),
        Some("boolean") => json!(["true", 1, "yes"]),
        Some("array") => json!([{}, "x"]),
        _ => json!([[], "x"]),
    };
    let all = all.as_array().expect("a list");
    let some = if new { all.as_slice() } else { &all[rng.usize(..2)..][..1] };
    [&[Value::Null], some].concat()
}

/// The items, and more that differ where they must.
fn many(schema: &Value, items: &[Value], count: usize) -> Vec<Value> {
    let key = schema["x-kubernetes-list-map-keys"][0].as_str();
    let words = match key {
        Some(key) => &schema["items"]["properties"][key],
        None => &schema["items"],
    };
    let words: Vec<Value> = match (words["enum"].as_array(), Form::of(words)) {
        (Some(words), _) => words.iter().cycle().take(count).cloned().collect(),
        (_, Some(form)) => form.many(count).into_iter().map(Value::from).collect(),
        _ => items.iter().cycle().take(count).cloned().collect(),
    };
    let Some(key) = key else { return words };
    let keep = if schema["items"]["properties"][key]["enum"].is_array() { 0 } else { items.len() };
    let more = words.into_iter().skip(keep).map(|word| {
        let mut item = items.last().expect("an item").clone();
        item[key] = word;
        item
    });
    items.iter().take(keep).cloned().chain(more).collect()
}

/// What breaks rules across fields. Rules beside a pattern are broken by [`super::words::EDGES`].
pub fn of_rules() -> Vec<Edit> {
    let rows = [
        ("/spec/scenes/0/targets/0/provider", json!("nobody")),
        ("/spec/scenes/1/targets/0/provider", json!("Openai")),
        ("/spec/classify/rules/0/scene", json!("nobody")),
        ("/spec/classify/default/scene", json!("nobody")),
        ("/spec/classify/rules/0/tier", json!("nobody")),
        ("/spec/classify/default/tier", json!("nobody")),
        ("/spec/classify/rules/0", json!({"when": "true"})),
        ("/spec/breaker", json!({"halfOpenProbes": 1, "closeAfter": 2})),
        ("/spec/breaker", json!({"halfOpenProbes": 1})),
        ("/spec/breaker", json!({"closeAfter": 100})),
        ("/spec/budgets/0/warnAt", json!("1")),
        ("/spec/cutover/watchAt", json!("0.1201")),
        ("/spec/cutover/watchAt", json!("0.12")),
        ("/spec/cutover/returnSteps", json!(["0.1", "0.5"])),
        ("/spec/cutover/returnSteps", json!(["0.5", "0.1", "1"])),
        ("/spec/cutover/returnSteps", json!(["0.1", "0.10", "1.000"])),
        ("/spec/overrides/0/order", json!({"scene": "chat", "targets": [{"provider": "nobody"}]})),
        ("/spec/overrides/0", json!({"name": "a", "reason": "r", "until": "2027-01-31T18:00:00Z"})),
        ("/spec/podSelector/matchExpressions/0", json!({"key": "a", "operator": "In", "values": []})),
        ("/spec/podSelector/matchExpressions/0", json!({"key": "a", "operator": "NotIn"})),
        ("/spec/podSelector/matchExpressions/0", json!({"key": "a", "operator": "Exists", "values": ["b"]})),
        ("/spec/podSelector/matchExpressions/0", json!({"key": "a", "operator": "DoesNotExist", "values": [""]})),
        ("/spec/podSelector/matchExpressions/0", json!({"key": "a", "operator": "DoesNotExist", "values": []})),
        ("/spec/podSelector/matchExpressions/0", json!({"key": "example.com/a", "operator": "NotIn", "values": [""]})),
        ("/spec/podSelector/matchLabels", json!({})),
        ("/spec/podSelector/matchLabels", json!({"a b": "c"})),
        ("/spec/podSelector/matchLabels", json!({"": "c"})),
        ("/spec/podSelector/matchLabels", json!({"a/b/c": "c"})),
        ("/spec/podSelector/matchLabels", json!({"Example.com/a": "c"})),
        ("/spec/podSelector/matchLabels", json!({"example.com/A_b": ""})),
        ("/spec/providers/0/headers", json!({"x y": "a"})),
        ("/spec/providers/0/headers", json!({"-x": "a"})),
        ("/spec/providers/0/headers", json!({"": "a"})),
        ("/spec/providers/0/headers", json!({"X-API-Key": "a"})),
        ("/spec/providers/0/headers", json!({"x-llmroute-tier": "a"})),
        ("/spec/providers/0/headers", json!({"Proxy-": "a"})),
        ("/spec/providers/0/headers", json!({"proxy": "a", "tea": "b", "x-llmroute": "c"})),
        ("/spec/providers/0/headers", json!({"X-Team": "a", "x-team": "a"})),
        ("/spec/classify/headers/scene", json!(["Cookie"])),
        ("/spec/classify/headers/tier", json!(["x-a", "X-LLMroute-Tier"])),
        ("/spec/classify/headers/tenant", json!(["te"])),
        ("/spec/classify/headers/tenant", json!(["x-a", "x-a"])),
        ("/spec/providers/0/limits/concurrency", json!({"min": 65, "max": 64})),
        ("/spec/providers/0/limits/concurrency", json!({"min": 64, "max": 64})),
        ("/spec/providers/0/probe", json!({"interval": "30s", "timeout": "31s"})),
        ("/spec/providers/0/probe", json!({"interval": "60s", "timeout": "1m"})),
        ("/spec/providers/0/probe", json!({"timeout": "31d"})),
        ("/spec/tiers/0/overBudget", json!(["Trim", "Trim"])),
        ("/spec/tiers/0/overBudget", json!(["Reject", "Trim"])),
        ("/spec/tiers/0/overBudget", json!(["Queue", "Trim"])),
        ("/spec/tiers/0/retries", json!({"base": "5001ms", "cap": "5s"})),
        ("/spec/tiers/0/retries", json!({"base": "6s"})),
        ("/spec/tiers", json!([])),
        ("/spec/scenes/0/maxOutputTokens", json!(1_000_000_000)),
    ];
    rows.into_iter().map(|(at, to)| Edit::put(at, to)).collect()
}
