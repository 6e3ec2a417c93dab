//! Generated files are what the types say.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{env, fs, path::Path};

#[test]
fn the_committed_crds_are_what_the_types_say() {
    let fresh = api::crd_yaml();
    let folders = ["crds", "charts/llmroute/crds"];
    let stale: Vec<_> = folders.into_iter().filter(|folder| !is_fresh(folder, &fresh)).collect();
    // `make gen` asks for the change; anybody else should look at it.
    let asked = env::var_os("LLMROUTE_GENERATE").is_some();
    assert!(stale.is_empty() || asked, "{stale:?} were stale: run `make gen`, look at the change and commit it");
}

/// Whether a folder's CRD is this one; else it is rewritten, but for CI.
fn is_fresh(folder: &str, fresh: &str) -> bool {
    let file = format!("../../{folder}/llmroutepolicies.llmroute.dev.yaml");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let same = fs::read_to_string(&path).is_ok_and(|committed| committed == fresh);
    if !same && env::var_os("CI").is_none() {
        fs::write(&path, fresh).unwrap();
    }
    same
}
