//! What the installation says of its sidecars, and what a pod's annotations say over it.

use std::{fmt, sync::Arc};

use clap::Args;
use serde_json::{Map, Value};

use super::text;

/// A TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How this installation's sidecars are.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The operator's own namespace, in which nothing is injected.
    pub namespace: Arc<str>,
    /// The sidecar's image.
    pub image: String,
    /// `imagePullPolicy`, where it is not the cluster's default.
    pub pull_policy: Option<String>,
    /// `https://HOST:PORT` of the operator's Service.
    pub control: String,
    /// `resources` of the container.
    pub resources: Value,
    /// Further entries of its `env`, such as `OTEL_*`.
    pub env: Vec<Value>,
}

/// What the operator is told of the sidecars that it adds to pods.
#[derive(Clone, Debug, Args)]
pub struct Flags {
    /// Image of the sidecars
    #[arg(long, value_name = "IMAGE", default_value = "llmroute.dev/sidecar:dev")]
    pub sidecar_image: String,

    /// imagePullPolicy of the sidecars; by default the cluster's
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub sidecar_pull_policy: Option<String>,

    /// resources of the sidecars, as JSON; a pod's annotations llmroute.dev/sidecar-cpu-limit and the like win
    #[arg(long, value_name = "JSON", value_parser = resources, default_value = DEFAULT_RESOURCES)]
    pub sidecar_resources: Value,

    /// Further env entries of the sidecars, as a JSON list
    #[arg(long, value_name = "JSON", value_parser = env, default_value = "[]")]
    pub sidecar_env: Value,
}

impl Flags {
    /// Of the operator in `namespace`, which sidecars call at `control`.
    #[must_use]
    pub fn settings(&self, namespace: &str, control: String) -> Settings {
        let Flags { sidecar_image, sidecar_pull_policy, sidecar_resources, sidecar_env } = self;
        Settings {
            namespace: namespace.into(),
            image: sidecar_image.clone(),
            pull_policy: sidecar_pull_policy.clone(),
            control,
            resources: sidecar_resources.clone(),
            env: sidecar_env.as_array().cloned().unwrap_or_default(),
        }
    }
}

const DEFAULT_RESOURCES: &str = r#"{"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}"#;

fn resources(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let fits = value.as_object().is_some_and(|r| r.values().all(|v| v.is_object() || v.is_array()));
    fits.then_some(value).ok_or_else(|| r#"write an object such as {"requests": {"cpu": "20m"}}"#.to_owned())
}

fn env(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let fits = value.as_array().is_some_and(|all| all.iter().all(|entry| entry["name"].is_string()));
    fits.then_some(value).ok_or_else(|| r#"write a list such as [{"name": "A", "value": "b"}]"#.to_owned())
}

/// Namespaces of the cluster itself.
const SYSTEM: &str = "kube-system";

/// A pod's annotation, with the member of `resources` that it sets.
const RESOURCES: [(&str, &str, &str); 4] = [
    ("llmroute.dev/sidecar-cpu-request", "requests", "cpu"),
    ("llmroute.dev/sidecar-cpu-limit", "limits", "cpu"),
    ("llmroute.dev/sidecar-memory-request", "requests", "memory"),
    ("llmroute.dev/sidecar-memory-limit", "limits", "memory"),
];

impl Settings {
    /// Whether nothing is injected in a namespace, whatever its labels.
    pub(super) fn spares(&self, namespace: &str) -> bool {
        namespace == &*self.namespace || namespace == SYSTEM
    }

    /// A pod's annotations over the settings; the fault is a clause.
    pub(super) fn resources_of(&self, pod: &Value) -> Result<Value, String> {
        let mut resources = self.resources.as_object().cloned().unwrap_or_default();
        for (annotation, kind, resource) in RESOURCES {
            let Some(amount) = text(pod, &["metadata", "annotations", annotation]) else { continue };
            if !is_quantity(amount) {
                return Err(format!("its annotation {annotation}: {amount:?} is no quantity such as 50m or 128Mi"));
            }
            let of_kind = resources.entry(kind).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(of_kind) = of_kind {
                of_kind.insert(resource.to_owned(), amount.into());
            }
        }
        Ok(Value::Object(resources))
    }
}

/// As `resource.Quantity` has it, without signs and exponents.
fn is_quantity(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = text.get(digits.len()..).unwrap_or_default();
    let known = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |s: &str| !s.is_empty() && s.len() <= 15 && s.bytes().all(|b| b.is_ascii_digit());
    number(whole) && number(part) && known.contains(&suffix)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        flags: Flags,
    }

    #[test]
    fn flags_say_how_sidecars_are() {
        let read = |args: &[&str]| {
            Program::try_parse_from(["x"].iter().chain(args))
                .map(|p| p.flags.settings("here", "https://c:1".to_owned()))
        };
        let said = read(&[
            "--sidecar-image=i:1",
            "--sidecar-pull-policy=Never",
            r#"--sidecar-resources={"limits": {"cpu": "1"}}"#,
            r#"--sidecar-env=[{"name": "A", "value": "b"}]"#,
        ]);
        let want = Settings {
            namespace: "here".into(),
            image: "i:1".to_owned(),
            pull_policy: Some("Never".to_owned()),
            control: "https://c:1".to_owned(),
            resources: json!({"limits": {"cpu": "1"}}),
            env: vec![json!({"name": "A", "value": "b"})],
        };
        assert_eq!(said.unwrap(), want);
        assert_eq!(read(&[]).unwrap().resources["limits"], json!({"memory": "128Mi"}));
        for wrong in [
            "--sidecar-pull-policy=never",
            "--sidecar-resources={",
            "--sidecar-resources=[]",
            r#"--sidecar-resources={"limits": 1}"#,
            "--sidecar-env={}",
            "--sidecar-env=[1]",
        ] {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn quantities_are_told_from_other_text() {
        for good in ["1", "50m", "0.5", "128Mi", "1.5Gi", "2k"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "m", "-1", "1 Mi", "1MB", "1.", ".5", "1e3", "0x1", "1\u{b5}", "1.2.3", "Mi5"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
