//! How a policy comes into force: one path, wherever its text comes from.

use std::{fmt::Write, sync::Arc};

use api::Fault;
use policy::snapshot::Snapshot;
use ring::digest;

use crate::{
    clock,
    state::{Refused, State},
};

/// Where a policy's text came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// `--policy`.
    #[default]
    File,
    /// The operator, over the control stream.
    Stream,
    /// The last good one, in the state directory.
    Disk,
    /// The policy's ConfigMap.
    ConfigMap,
}

/// What is known of the text of the policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Where it came from.
    pub source: Source,
    /// SHA-256 of it, in hexadecimal digits.
    pub hash: String,
}

/// Judges a policy's text: YAML of a file, JSON of the operator.
///
/// # Errors
/// All faults, each with its field path and remedy.
pub fn judge(text: &[u8], source: Source) -> Result<Snapshot, Vec<String>> {
    let told = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect();
    let text = std::str::from_utf8(text).map_err(|e| vec![format!("the file is not UTF-8: {e}")])?;
    if source == Source::File {
        return api::load(text).map_err(told);
    }
    let value = serde_json::from_str(text).map_err(|e| vec![format!("the policy is not JSON: {e}")])?;
    api::accept(&value).map(|(_, snapshot)| snapshot).map_err(told)
}

/// Puts in force what was judged good.
pub fn put(state: &State, snapshot: Snapshot, origin: Origin) {
    for field in &snapshot.not_in_force {
        tracing::warn!(field = %field.path, "not yet in force: {}", field.effect);
    }
    tracing::info!(policy = %snapshot.name, generation = snapshot.generation, source = ?origin.source, "policy in force");
    state.put_in_force(snapshot, origin);
}

/// Judges a text and puts it in force.
///
/// # Errors
/// As for [`judge`]; what was in force stays.
pub fn adopt(state: &State, text: &[u8], source: Source) -> Result<(), Vec<String>> {
    let snapshot = judge(text, source)?;
    put(state, snapshot, Origin { source, hash: hash(text) });
    Ok(())
}

/// Tells why a policy is not in force.
pub fn refuse(state: &State, faults: Vec<String>) {
    for fault in &faults {
        tracing::error!(%fault, "policy refused; the last good one stays in force");
    }
    state.refused.store(Some(Arc::new(Refused { faults, at: clock::unix() })));
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn hash(text: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, text);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"apiVersion":"llmroute.dev/v1alpha1","kind":"LLMRoutePolicy","metadata":{"namespace":"shop","name":"p","generation":3},
        "spec":{"providers":[{"name":"openai","api":"OpenAI"}],"scenes":[{"name":"chat","targets":[{"provider":"openai"}]}]}}"#;

    #[test]
    fn every_source_is_judged_alike() {
        let snapshot = judge(JSON.as_bytes(), Source::File);
        assert!(snapshot.as_ref().is_ok_and(|s| &*s.name == "shop/p" && s.generation == Some(3)), "{snapshot:?}");
        for source in [Source::Stream, Source::Disk, Source::ConfigMap] {
            assert_eq!(judge(JSON.as_bytes(), source), snapshot);
        }
        let bad = JSON.replace("\"provider\":\"openai\"", "\"provider\":\"opnai\",\"modle\":\"x\"");
        let faults = judge(bad.as_bytes(), Source::File).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(judge(bad.as_bytes(), Source::Stream), Err(faults));
    }

    #[test]
    fn foreign_bytes_are_faults() {
        for text in [&b"\xff"[..], b"", b"{", b"null", b"[1]", &[b'['; 100_000]] {
            for source in [Source::File, Source::Stream] {
                assert!(judge(text, source).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(hash(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
