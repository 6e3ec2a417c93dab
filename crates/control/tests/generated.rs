//! The generated code is that of the `.proto`, compiled in Rust alone; `LLMROUTE_GENERATE=1` writes it anew.

use std::{env, fs, path::Path};

#[test]
fn the_generated_code_is_fresh() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = "llmroute.control.v1.rs";
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let descriptors = protox::compile(["control.proto"], [here.join("proto")]).expect("the .proto compiles");
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .out_dir(out)
        .compile_fds(descriptors)
        .expect("the code is generated");
    let fresh = fs::read_to_string(out.join(name)).expect("the code");
    let kept = here.join("src/generated").join(name);
    if env::var_os("LLMROUTE_GENERATE").is_some() {
        fs::write(&kept, &fresh).expect("the code is written");
    }
    let old = fs::read_to_string(&kept).unwrap_or_default();
    assert!(old == fresh, "{} is stale; run `make gen`", kept.display());
}
