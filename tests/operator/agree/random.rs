//! Policies drawn by the schema, then mended where fields speak of each other: all of them are right.

use std::mem;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::words::Form;

/// A `spec` without a fault.
pub fn spec(schema: &Value, rng: &mut Rng) -> Value {
    let mut spec = value(schema, "spec", rng);
    mend(&mut spec, rng);
    spec
}

fn value(schema: &Value, name: &str, rng: &mut Rng) -> Value {
    if let Some(words) = schema["enum"].as_array() {
        return one(rng, words);
    }
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => object(schema, rng),
        Some("object") => map(schema, name, rng),
        Some("array") => array(schema, name, rng),
        Some("integer") => {
            let bound = |name: &str| schema[name].as_i64().expect("a bound");
            let (least, most) = (bound("minimum"), bound("maximum"));
            one(rng, &[json!(least), json!(most), json!(least + 1)])
        }
        Some("boolean") => rng.bool().into(),
        _ => match name {
            "when" => one(
                rng,
                &["request.tools > 0", "request.model.startsWith('a')", "\"x-a\" in request.headers"].map(Value::from),
            ),
            // Of the headers that give hints.
            "scene[]" | "tier[]" | "tenant[]" => one(rng, &["x-intent", "X_a", "tea", "proxy"].map(Value::from)),
            _ => one(rng, &Form::of(schema).expect("a form").good().into_iter().map(Value::from).collect::<Vec<_>>()),
        },
    }
}

fn one(rng: &mut Rng, of: &[Value]) -> Value {
    of[rng.usize(..of.len())].clone()
}

fn object(schema: &Value, rng: &mut Rng) -> Value {
    let required = |name: &String| schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
    let fields = schema["properties"].as_object().expect("fields").iter();
    let mut members = Map::new();
    for (name, field) in fields {
        if required(name) || rng.bool() {
            members.insert(name.clone(), value(field, name, rng));
        }
    }
    members.into()
}

fn map(schema: &Value, name: &str, rng: &mut Rng) -> Value {
    let keys = match name {
        "headers" => ["x-team", "X_b", "a0", "proxy"],
        _ => ["app", "example.com/team", "A.b_c", "0"],
    };
    let keys = keys[rng.usize(..keys.len())..].iter();
    keys.map(|key| ((*key).to_owned(), value(&schema["additionalProperties"], name, rng))).collect()
}

fn array(schema: &Value, name: &str, rng: &mut Rng) -> Value {
    let bound = |name: &str| schema[name].as_u64().unwrap_or(0) as usize;
    let count = rng.usize(bound("minItems")..=bound("maxItems").min(4));
    let mut items: Vec<Value> = (0..count).map(|_| value(&schema["items"], &format!("{name}[]"), rng)).collect();
    let key = |item: &Value| match schema["x-kubernetes-list-map-keys"][0].as_str() {
        Some(key) => item[key].clone(),
        None => item.clone(),
    };
    if schema["x-kubernetes-list-type"] != "atomic" {
        let mut seen = Vec::new();
        items.retain(|item| {
            let new = !seen.contains(&key(item));
            seen.push(key(item));
            new
        });
    }
    items.into()
}

fn mend(spec: &mut Value, rng: &mut Rng) {
    let names =
        |list: &Value| list.as_array().into_iter().flatten().map(|item| item["name"].clone()).collect::<Vec<_>>();
    let (providers, scenes, tiers) = (names(&spec["providers"]), names(&spec["scenes"]), names(&spec["tiers"]));
    let tiers = if tiers.is_empty() { vec![json!("default")] } else { tiers };
    each(&mut spec["scenes"], |scene| each(&mut scene["targets"], |target| target["provider"] = one(rng, &providers)));
    if let Some(classify) = spec.get_mut("classify") {
        each(&mut classify["rules"], |rule| rule["scene"] = json!(""));
        let name = |class: &mut Value| {
            for (name, of) in [("scene", &scenes), ("tier", &tiers)] {
                if let Some(named) = class.get_mut(name) {
                    *named = of[0].clone();
                }
            }
        };
        each(&mut classify["rules"], name);
        classify.get_mut("default").into_iter().for_each(name);
    }
    each(&mut spec["providers"], |provider| {
        pair(provider.pointer_mut("/limits/concurrency"), "min", "max", [json!(1), json!(100_000)]);
        pair(provider.get_mut("probe"), "timeout", "interval", [json!("5s"), json!("1m")]);
    });
    each(&mut spec["tiers"], |tier| {
        pair(tier.get_mut("retries"), "base", "cap", [json!("1ms"), json!("5s")]);
        if let Some(ladder) = tier.get_mut("overBudget") {
            let all = ["CheaperModel", "Trim", "Cache", "Queue", "Reject"];
            *ladder = all[rng.usize(..=all.len())..].into();
        }
    });
    each(&mut spec["budgets"], |budget| pair(Some(budget), "warnAt", "degradeAt", [json!("0.5"), json!("0.50")]));
    pair(spec.get_mut("breaker"), "closeAfter", "halfOpenProbes", [json!(2), json!(2)]);
    pair(spec.get_mut("cutover"), "watchAt", "hardCutAt", [json!("0"), json!("0.0001")]);
    if let Some(steps) = spec.pointer_mut("/cutover/returnSteps") {
        let all = json!(["0", "0.1", "0.10", "0.5", "1", "1.0"]);
        *steps = all.as_array().expect("a list")[rng.usize(..7)..].into();
    }
    each(&mut spec["overrides"], |o| {
        let members = o.as_object_mut().expect("members");
        members.remove(if members.contains_key("order") { "openCircuit" } else { "order" });
        members
            .entry(if members.contains_key("order") { "order" } else { "openCircuit" })
            .or_insert(json!({"provider": "gone"}));
    });
    if let Some(selector) = spec.get_mut("podSelector") {
        each(&mut selector["matchExpressions"], |e| {
            let takes = e["operator"].as_str().is_some_and(|operator| operator.ends_with("In"));
            e["values"] = if takes { json!(["a", ""]) } else { json!([]) };
        });
    }
    tidy(spec);
}

/// Where both are set they are these.
fn pair(of: Option<&mut Value>, low: &str, high: &str, both: [Value; 2]) {
    if let Some(of) = of.filter(|of| of.get(low).is_some() && of.get(high).is_some()) {
        let [small, large] = both;
        (of[low], of[high]) = (small, large);
    }
}

fn each(list: &mut Value, mut change: impl FnMut(&mut Value)) {
    list.as_array_mut().into_iter().flatten().for_each(&mut change);
}

/// Indexing by a name leaves `null` where nothing was.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let all = mem::take(members);
            members.extend(all.into_iter().filter(|(_, value)| !value.is_null()));
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
