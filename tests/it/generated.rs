//! Generated files are fresh, and what is shown as an example works.

use std::{fs, path::Path};

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
