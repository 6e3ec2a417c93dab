//! The chart, rendered: as it is committed, as the code has it, and as Prometheus takes it. `make chart` builds helm.

mod agrees;
mod alerts;
mod dashboards;
mod rendered;

use std::{env, fs, path::PathBuf, process::Command};

use serde::Deserialize;
use serde_json::Value;

/// A path of the repository.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).with_file_name(name)
}

/// What helm prints, or what it complains of.
fn helm(args: &[&str]) -> Result<String, String> {
    let program = path(".cache/cluster/bin/helm");
    assert!(program.exists(), "{} is not there: `make chart` builds it", program.display());
    let done = Command::new(program).args(args).current_dir(path("")).output().expect("helm");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    if done.status.success() { Ok(text(done.stdout)) } else { Err(text(done.stdout) + &text(done.stderr)) }
}

/// The chart with the values of a file of `tests/chart/values`, or with its own.
fn render(values: Option<&str>, further: &[&str]) -> String {
    let file = values.map(|name| format!("tests/chart/values/{name}.yaml"));
    let mut args = vec!["template", "llmroute", "charts/llmroute", "--namespace", "llmroute-system"];
    args.extend(file.iter().flat_map(|file| ["--values", file]));
    args.extend(further);
    helm(&args).expect("it renders")
}

/// The objects of some YAML.
fn objects(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(yaml).map(|d| Value::deserialize(d).expect("YAML"));
    documents.filter(|object| !object.is_null()).collect()
}

/// The one object of a kind and name.
#[track_caller]
fn the<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = objects.iter().filter(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    let one = found.next().unwrap_or_else(|| panic!("there is no {kind} {name}"));
    assert!(found.next().is_none(), "{kind} {name} is there twice");
    one
}

/// A committed file is this text; else it is rewritten, but for CI, and the test fails unless it was asked to write.
fn is_committed(name: &str, fresh: &str) {
    if fs::read_to_string(path(name)).is_ok_and(|committed| committed == fresh) {
        return;
    }
    assert!(env::var_os("CI").is_none(), "{name} is stale: run `make gen-chart` and commit the change");
    fs::create_dir_all(path(name).parent().expect("a folder")).expect("a folder");
    fs::write(path(name), fresh).expect("is written");
    let asked = env::var_os("LLMROUTE_GENERATE").is_some();
    assert!(asked, "{name} was stale and has been rewritten: look at the change and commit it");
}
