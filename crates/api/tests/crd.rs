//! Generated files are what the types say.

use std::{env, fs, path::Path};

#[test]
fn the_committed_crd_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/llmroutepolicies.llmroute.dev.yaml");
    let fresh = api::crd_yaml();
    if fs::read_to_string(&path).is_ok_and(|committed| committed == fresh) {
        return;
    }
    if env::var_os("CI").is_none() {
        fs::write(&path, fresh).unwrap();
        panic!("{} was stale and has been rewritten: look at the change and commit it", path.display());
    }
    panic!("{} is stale: run this test without CI set and commit the change", path.display());
}
