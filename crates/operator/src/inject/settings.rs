//! What the installation says of its sidecars, and what a pod's annotations say over it.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value, json};

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

/// Settings that are of no use; a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

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
    /// What a sidecar gets where nothing is said.
    #[must_use]
    pub fn default_resources() -> Value {
        json!({"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}})
    }

    /// From the JSON of `resources` and `env` as they stand in a container.
    ///
    /// # Errors
    /// One of both is something else; the sentence says which.
    pub fn with(mut self, resources: Option<&str>, env: Option<&str>) -> Result<Settings, Unusable> {
        let read = |what: &str, text: &str| {
            serde_json::from_str::<Value>(text).map_err(|e| Unusable(format!("the sidecar's {what} are not JSON: {e}")))
        };
        if let Some(text) = resources {
            let value = read("resources", text)?;
            let fits = value.as_object().is_some_and(|r| r.values().all(|v| v.is_object() || v.is_array()));
            self.resources = fits.then_some(value).ok_or_else(|| {
                Unusable("the sidecar's resources are no object such as {\"requests\":{\"cpu\":\"20m\"}}".to_owned())
            })?;
        }
        if let Some(text) = env {
            self.env = match read("env entries", text)? {
                Value::Array(all) if all.iter().all(|e| e["name"].is_string()) => all,
                _ => return Err(Unusable("the sidecar's env is no list of entries with a name".to_owned())),
            };
        }
        Ok(self)
    }

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
    use super::*;

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
