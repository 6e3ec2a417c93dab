//! Generated files are what the types say.

use std::{env, fs, path::Path};

#[test]
fn the_committed_crd_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/llmroutepolicies.llmroute.dev.yaml");
    let fresh = api::crd_yaml();
    if fs::read_to_string(&path).is_ok_and(|committed| committed == fresh) {
        return;
    }
    let path_name = path.display();
    assert!(env::var_os("CI").is_none(), "{path_name} is stale: run `make gen` and commit the change");
    fs::write(&path, fresh).unwrap();
    // `make gen` asks for the change; anybody else should look at it.
    let asked = env::var_os("LLMROUTE_GENERATE").is_some();
    assert!(asked, "{path_name} was stale and has been rewritten: look at the change and commit it");
}
