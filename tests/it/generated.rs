//! Generated files are fresh, and what is shown as an example works.

use std::{fs, path::Path};

use serde_yaml::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

#[test]
fn the_crd_is_what_the_types_say() {
    let file = root().join("crds/llmroutepolicies.llmroute.dev.yaml");
    let written = fs::read_to_string(&file).expect("the CRD");
    assert!(written == api::crd_yaml(), "{} is stale: run `make gen`", file.display());
}

#[test]
fn every_example_is_a_policy_without_faults() {
    let mut found = 0;
    for entry in fs::read_dir(root().join("manifests/examples")).expect("examples") {
        let path = entry.expect("an entry").path();
        let yaml = fs::read_to_string(&path).expect("a file");
        if let Err(faults) = api::load(&yaml) {
            panic!("{}: {faults:#?}", path.display());
        }
        found += 1;
    }
    assert!(found > 0, "there are examples");
}

#[test]
fn the_example_of_everything_has_every_field() {
    let yaml = fs::read_to_string(root().join("manifests/examples/everything.yaml")).expect("the example");
    let example: Value = serde_yaml::from_str(&yaml).expect("YAML");
    let crd: Value = serde_yaml::from_str(&api::crd_yaml()).expect("YAML");
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut absent = Vec::new();
    fields_without(schema, &[&example["spec"]], "spec", &mut absent);
    assert_eq!(absent, Vec::<String>::new());
}

/// Paths of the schema's fields that none of `examples` has.
fn fields_without(schema: &Value, examples: &[&Value], path: &str, absent: &mut Vec<String>) {
    if examples.is_empty() {
        return absent.push(path.to_owned());
    }
    if let Some(items) = schema.get("items") {
        let items_of: Vec<&Value> = examples.iter().filter_map(|e| e.as_sequence()).flatten().collect();
        return fields_without(items, &items_of, &format!("{path}[]"), absent);
    }
    for (name, field) in schema["properties"].as_mapping().into_iter().flatten() {
        let name = name.as_str().expect("a field's name");
        let given: Vec<&Value> = examples.iter().filter_map(|e| e.get(name)).collect();
        fields_without(field, &given, &format!("{path}.{name}"), absent);
    }
}
