//! The ledger object: a ConfigMap in the operator's namespace, replaced whole by whoever read or wrote it last. It is not its
//! policy's, which may be deleted and made anew within the window; it goes with the control Service. Where it grows large its
//! keys move into parts, ConfigMaps like it.

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Api, Client, ResourceExt, api::PostParams};
use policy::ledger::lend::{Parts, Said, Written, WrittenPot};
use ring::digest;

use super::kept;
use crate::{
    reconcile::{Failed, MANAGED_BY, MANAGER, call},
    world::PolicyKey,
};

/// The member with the text.
const LEDGER: &str = "ledger.json";
/// Longest name of an object.
const MAX_NAME: usize = 253;
/// A text that is longer is written in parts from then on; a ConfigMap takes a mebibyte.
const MOST: usize = 384 << 10;
/// So many parts: some twenty thousand keys that spend all the time.
const PARTS: usize = 32;
/// Parts that are read or written at once.
const AT_ONCE: usize = 8;

/// One policy's object.
pub struct Object {
    maps: Api<ConfigMap>,
    policy: PolicyKey,
    /// With whom it goes.
    owner: Option<OwnerReference>,
}

/// What stands there, as it was read or written last.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The main part's version; none where there is no object.
    main: Option<String>,
    /// Where it is in parts.
    parts: Option<Vec<Part>>,
}

/// A part, as it was read or written last.
#[derive(Clone, Debug, Default)]
struct Part {
    version: Option<String>,
    /// What it says, if it was written here.
    said: Option<Said>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// To be replaced.
    pub standing: Standing,
    /// What it says; none where there is none, or not all of it can be read.
    pub object: Option<Written>,
}

/// Why a write did not come to be, or may not have.
#[derive(Debug)]
pub enum Unwritten {
    /// Another one wrote since.
    Overtaken,
    /// It failed, or nobody knows.
    Failed(Failed),
}

impl From<Failed> for Unwritten {
    fn from(failed: Failed) -> Unwritten {
        match failed {
            // Somebody wrote it, made it or deleted it.
            Failed::Api { error: kube::Error::Api(status), .. } if matches!(status.code, 404 | 409) => {
                Unwritten::Overtaken
            }
            failed => Unwritten::Failed(failed),
        }
    }
}

impl Standing {
    /// There is an object, whatever it says.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.main.is_some()
    }
}

impl Object {
    /// The one of `policy`, in the operator's `namespace`.
    #[must_use]
    pub fn of(policy: &PolicyKey, client: Client, namespace: &str, owner: Option<OwnerReference>) -> Object {
        Object { maps: Api::namespaced(client, namespace), policy: policy.clone(), owner }
    }

    /// Reads it.
    ///
    /// # Errors
    /// The API server refuses, or does not answer; or a ConfigMap is somebody else's.
    pub async fn read(&self) -> Result<Found, Failed> {
        let Some((main, text)) = self.get(&name(&self.policy, None)).await? else {
            return Ok(Found { standing: Standing::default(), object: None });
        };
        let mut standing = Standing { main, parts: None };
        let object = match kept::read(&text) {
            Ok((object, 0)) => Ok(object),
            Ok((main, PARTS)) => {
                let (parts, texts) = self.parts().await?.into_iter().unzip();
                standing.parts = Some(parts);
                joined(main, texts)
            }
            Ok((_, other)) => Err(format!("it has {other} parts, and this operator knows {PARTS}")),
            Err(why) => Err(why),
        };
        let object = object.inspect_err(|why| {
            tracing::error!(policy = %self.policy, object = name(&self.policy, None), why,
                "the ledger cannot be read: what it said counts as lost, and nothing is lent until that has been waited out");
        });
        Ok(Found { standing, object: object.ok() })
    }

    /// Puts `object` in place of what stands there; gives what does then.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub async fn write(&self, standing: Standing, object: &Written) -> Result<Standing, Unwritten> {
        let parts = match standing.parts {
            Some(parts) => parts,
            None => {
                let text = kept::write(object, 0);
                if text.len() <= MOST {
                    return Ok(Standing {
                        main: self.put(name(&self.policy, None), standing.main, text).await?,
                        parts: None,
                    });
                }
                // From a time before, or of who did not come to the end.
                let found = self.parts().await?;
                // Or of who has taken over since: what he wrote is not replaced by who reads it only now.
                let is_newer = |text: &String| kept::read_part(text).is_ok_and(|(term, _)| term > object.term);
                if found.iter().any(|(_, text)| text.as_ref().is_some_and(is_newer)) {
                    return Err(Unwritten::Overtaken);
                }
                found.into_iter().map(|(part, _)| part).collect()
            }
        };
        let (term, Parts { main, pots }) = (object.term, object.clone().split(PARTS));
        // The parts first: until the main one says that there are any, what it says itself is in force.
        let write = |(n, (part, pots))| self.write_part(n, part, term, pots);
        let parts = stream::iter(parts.into_iter().zip(pots).enumerate()).map(write);
        let parts = parts.buffered(AT_ONCE).try_collect().await?;
        let main = self.put(name(&self.policy, None), standing.main, kept::write(&main, PARTS)).await?;
        Ok(Standing { main, parts: Some(parts) })
    }

    /// Each part as it stands there, and its text where there is one.
    async fn parts(&self) -> Result<Vec<(Part, Option<String>)>, Failed> {
        let read = async |n| {
            let found = self.get(&name(&self.policy, Some(n))).await?;
            let (version, text) = found.map_or((None, None), |(version, text)| (version, Some(text)));
            Ok((Part { version, said: None }, text))
        };
        stream::iter(0..PARTS).map(read).buffered(AT_ONCE).try_collect().await
    }

    /// Writes one, unless it says that already.
    async fn write_part(&self, n: usize, part: Part, term: u64, pots: Vec<WrittenPot>) -> Result<Part, Unwritten> {
        if part.said.is_some_and(|said| said.stands_for(term, &pots)) {
            return Ok(part);
        }
        let version = self.put(name(&self.policy, Some(n)), part.version, kept::write_part(term, &pots)).await?;
        Ok(Part { version, said: Some(Said::new(term, &pots)) })
    }

    /// A ConfigMap's version and text.
    async fn get(&self, name: &str) -> Result<Option<(Option<String>, String)>, Failed> {
        let Some(map) = call("read the ledger", self.maps.get_opt(name)).await? else { return Ok(None) };
        if map.labels().get(MANAGED_BY).map(String::as_str) != Some(MANAGER) {
            return Err(Failed::Taken(name.to_owned()));
        }
        let text = map.data.as_ref().and_then(|data| data.get(LEDGER)).cloned().unwrap_or_default();
        Ok(Some((map.resource_version(), text)))
    }

    /// Puts a text in the place of the one with this version; gives the new version.
    async fn put(&self, name: String, version: Option<String>, text: String) -> Result<Option<String>, Failed> {
        let PolicyKey { namespace, name: policy } = &self.policy;
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
                annotations: Some([("llmroute.dev/policy".to_owned(), format!("{namespace}/{policy}"))].into()),
                resource_version: version,
                owner_references: self.owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some([(LEDGER.to_owned(), text)].into()),
            ..ConfigMap::default()
        };
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let written = match &map.metadata.resource_version {
            Some(_) => call("write the ledger", self.maps.replace(&name, &params, &map)).await?,
            None => call("create the ledger", self.maps.create(&params, &map)).await?,
        };
        Ok(written.resource_version())
    }
}

/// The whole of its parts, if all are there.
fn joined(main: Written, texts: Vec<Option<String>>) -> Result<Written, String> {
    let (mut terms, mut pots) = (vec![], vec![]);
    for (n, text) in texts.into_iter().enumerate() {
        let text = text.ok_or_else(|| format!("part {n} is gone"))?;
        let (term, part) = kept::read_part(&text).map_err(|why| format!("part {n}: {why}"))?;
        terms.push(term);
        pots.push(part);
    }
    Ok(Parts { main, pots }.join(terms))
}

/// An object's name: a namespace has no dot, so no two policies have the same, and no part has that of a policy.
fn name(policy: &PolicyKey, part: Option<usize>) -> String {
    let part = part.map(|n| format!("-{n}")).unwrap_or_default();
    let PolicyKey { namespace, name } = policy;
    let whole = format!("llmroute-ledger{part}.{namespace}.{name}");
    if whole.len() <= MAX_NAME {
        return whole;
    }
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("llmroute-ledger{part}.{namespace}.{hex}")
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        time::Duration,
    };

    use policy::{
        ledger::{Key, Unit, lend::part_of},
        snapshot::Scope,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::scripted::Api as Scripted;

    fn key(name: &str) -> PolicyKey {
        PolicyKey { namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn names_are_different_and_fit() {
        assert_eq!(name(&key("a.b"), None), "llmroute-ledger.shop.a.b");
        assert_eq!(name(&key("a.b"), Some(7)), "llmroute-ledger-7.shop.a.b");
        let (long, other) = ("x".repeat(253), format!("{}y", "x".repeat(252)));
        let (long, other) = (name(&key(&long), None), name(&key(&other), None));
        assert!(long.len() <= MAX_NAME && long != other, "{long} {other}");
    }

    fn stored(text: &str, by: &str) -> Value {
        json!({"metadata": {"name": "llmroute-ledger.shop.p", "resourceVersion": "7", "labels": {MANAGED_BY: by}}, "data": {LEDGER: text}})
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_there_is_replaced_by_who_read_it() {
        let (client, mut api) = Scripted::new();
        let object = Object::of(&key("p"), client, "llmroute-system", None);
        let written = Written { term: 3, ..Written::default() };

        let (read, _) = tokio::join!(object.read(), api.refuses(404));
        let found = read.unwrap();
        assert!(!found.standing.is_there() && found.object.is_none());
        let (made, (call, body)) = tokio::join!(
            object.write(found.standing, &written),
            api.answer(200, stored(&kept::write(&written, 0), MANAGER))
        );
        assert_eq!(made.unwrap().main.as_deref(), Some("7"));
        assert!(call.starts_with("POST /api/v1/namespaces/llmroute-system/configmaps?"), "{call}");
        assert_eq!(body["metadata"]["annotations"]["llmroute.dev/policy"], "shop/p");

        let (read, _) = tokio::join!(object.read(), api.answer(200, stored(&kept::write(&written, 0), MANAGER)));
        let found = read.unwrap();
        assert_eq!((found.standing.main.as_deref(), found.object), (Some("7"), Some(written.clone())));
        let standing = found.standing;
        for code in [409, 404] {
            let (made, (call, body)) = tokio::join!(object.write(standing.clone(), &written), api.refuses(code));
            assert!(matches!(made, Err(Unwritten::Overtaken)), "{made:?}");
            assert!(call.starts_with("PUT "), "{call}");
            assert_eq!(body["metadata"]["resourceVersion"], "7");
        }
        let (made, _) = tokio::join!(object.write(standing, &written), api.refuses(403));
        assert!(matches!(made, Err(Unwritten::Failed(_))), "{made:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_cannot_be_read_is_there_and_says_nothing() {
        let (client, mut api) = Scripted::new();
        let object = Object::of(&key("p"), client, "llmroute-system", None);
        let (read, _) = tokio::join!(object.read(), api.answer(200, stored("{}", MANAGER)));
        let found = read.unwrap();
        assert!(found.standing.is_there() && found.object.is_none());
        let (read, _) = tokio::join!(object.read(), api.answer(200, stored("{}", "helm")));
        assert!(matches!(read, Err(Failed::Taken(_))), "{read:?}");
    }

    /// An API server that keeps what it is sent: by name, with its version.
    #[derive(Default)]
    struct Kept {
        maps: BTreeMap<String, Value>,
        calls: Vec<String>,
    }

    impl Kept {
        /// Answers calls until `work` is done.
        async fn during<T>(&mut self, api: &mut Scripted, work: impl Future<Output = T>) -> T {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    biased;
                    done = &mut work => return done,
                    call = api.serve(|call| self.answer(call)) => self.calls.push(call.0),
                }
            }
        }

        fn answer(&mut self, (called, sent): &(String, Value)) -> (u16, Value) {
            let (method, uri) = called.split_once(' ').unwrap();
            let path = uri.split('?').next().unwrap();
            let named = sent["metadata"]["name"].as_str().unwrap_or_else(|| path.rsplit('/').next().unwrap());
            let there = self.maps.get(named).map(|map| map["metadata"]["resourceVersion"].clone());
            let refused = |code: u16| {
                let reason = if code == 404 { "NotFound" } else { "Conflict" };
                (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"}))
            };
            match (method, there) {
                ("GET", None) => refused(404),
                ("GET", Some(_)) => (200, self.maps[named].clone()),
                ("POST", Some(_)) => refused(409),
                ("PUT", there) if there.as_ref() != Some(&sent["metadata"]["resourceVersion"]) => refused(409),
                _ => {
                    let mut map = sent.clone();
                    map["metadata"]["resourceVersion"] = json!((self.calls.len() + 1).to_string());
                    self.maps.insert(named.to_owned(), map.clone());
                    (200, map)
                }
            }
        }

        fn written(&mut self) -> Vec<String> {
            self.calls.drain(..).filter(|call| !call.starts_with("GET ")).collect()
        }
    }

    /// A ledger of many tenants.
    fn large(term: u64) -> Written {
        let pot = |n: u64| WrittenPot {
            key: Key {
                unit: Unit::Money,
                name: "day".into(),
                scope: Scope::Tenant,
                value: Some(format!("tenant-{n}").into()),
            },
            out: n,
            cooling: (0..32).map(|at| (Duration::from_secs(2_700 * at), 1_234_567)).collect(),
            is_changed: false,
        };
        Written { term, pots: (0..2_000).map(pot).collect(), ..Written::default() }
    }

    fn sorted(mut object: Written) -> Written {
        object.pots.sort_by_key(|pot| pot.out);
        object
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_one_is_kept_in_parts_of_which_those_that_change_are_written() {
        let (client, mut api) = Scripted::new();
        let object = Object::of(&key("p"), client, "llmroute-system", None);
        let mut kept = Kept::default();
        let small = Written { pots: vec![], ..large(1) };
        let standing = kept.during(&mut api, object.write(Standing::default(), &small)).await.unwrap();
        assert_eq!(kept.written().len(), 1);
        let mut whole = large(1);
        let standing = kept.during(&mut api, object.write(standing, &whole)).await.unwrap();
        let written = kept.written();
        assert_eq!(written.len(), PARTS + 1);
        assert!(written[PARTS].contains("/configmaps/llmroute-ledger.shop.p?"), "the main one last: {written:?}");
        let longest = kept.maps.values().map(|map| map["data"][LEDGER].as_str().unwrap().len()).max();
        assert!(longest < Some(MOST), "{longest:?}");

        (whole.pots[5].out, whole.pots[6].is_changed) = (9_999, true);
        let of_two: BTreeSet<_> = [5, 6].map(|n: usize| part_of(&whole.pots[n].key, PARTS)).into();
        let standing = kept.during(&mut api, object.write(standing, &whole)).await.unwrap();
        assert_eq!(kept.written().len(), of_two.len() + 1);
        let found = kept.during(&mut api, object.read()).await.unwrap();
        whole.pots[6].is_changed = false;
        assert_eq!(found.object.map(sorted), Some(sorted(whole.clone())));

        // The next lender fences all of it; the one before can write none of it.
        whole.term = 2;
        let theirs = kept.during(&mut api, object.write(found.standing, &whole)).await.unwrap();
        assert_eq!(kept.written().len(), PARTS + 1);
        whole.pots[7].is_changed = true;
        let late = kept.during(&mut api, object.write(standing, &Written { term: 1, ..whole.clone() })).await;
        assert!(matches!(late, Err(Unwritten::Overtaken)), "{late:?}");
        assert!(kept.during(&mut api, object.write(theirs, &whole)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_overtaken_puts_no_part_in_the_place_of_a_newer_one() {
        let (client, mut api) = Scripted::new();
        let object = Object::of(&key("p"), client, "llmroute-system", None);
        let mut kept = Kept::default();
        let small = Written { pots: vec![], ..large(1) };
        let old = kept.during(&mut api, object.write(Standing::default(), &small)).await.unwrap();
        let found = kept.during(&mut api, object.read()).await.unwrap();
        kept.during(&mut api, object.write(found.standing, &large(2))).await.unwrap();
        kept.written();
        let late = kept.during(&mut api, object.write(old, &large(1))).await;
        assert!(matches!(late, Err(Unwritten::Overtaken)), "{late:?}");
        assert_eq!(kept.written(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_is_gone_or_says_nothing_is_the_loss_of_all() {
        let (client, mut api) = Scripted::new();
        let object = Object::of(&key("p"), client, "llmroute-system", None);
        let mut kept = Kept::default();
        kept.during(&mut api, object.write(Standing::default(), &large(1))).await.unwrap();
        let part = kept.maps.remove("llmroute-ledger-3.shop.p").unwrap();
        let found = kept.during(&mut api, object.read()).await.unwrap();
        assert!(found.standing.is_there() && found.object.is_none());
        // It is made anew over what is left of it.
        let standing = kept.during(&mut api, object.write(found.standing, &large(2))).await.unwrap();
        assert!(standing.is_there());
        kept.maps.insert("llmroute-ledger-3.shop.p".to_owned(), part);
        kept.maps.get_mut("llmroute-ledger-4.shop.p").unwrap()["data"][LEDGER] = "{}".into();
        let found = kept.during(&mut api, object.read()).await.unwrap();
        assert!(found.standing.is_there() && found.object.is_none());
    }
}
