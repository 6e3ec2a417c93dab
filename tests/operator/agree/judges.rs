//! The API server and the sidecar's own judgement, asked about the same text.

use std::{cell::Cell, collections::BTreeSet};

use api::Fault;
use harness::{apiserver::ApiServer, eventually};
use hyper::Request;
use kube::{
    Client, Config, Error,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tokio::task::spawn_blocking;

use super::schema::{self, Demand};
use crate::stage::path;

/// What the sidecar's judgement alone refuses, and why the CRD does not.
struct Alone {
    why: &'static str,
    fits: fn(&Fault) -> bool,
    hit: Cell<bool>,
}

fn alone() -> [Alone; 1] {
    let row = |why, fits| Alone { why, fits, hit: Cell::new(false) };
    [row("a condition's own syntax and types are no pattern; the webhook compiles it", |fault: &Fault| {
        fault.path.ends_with(".when") && fault.message.starts_with("does not compile: ")
    })]
}

/// The server's answer: what it refuses, as place and words.
pub type Causes = Vec<(String, String)>;

/// Both of them, and what came of it.
pub struct Judges {
    _server: ApiServer,
    client: Client,
    pub schema: Value,
    alone: [Alone; 1],
    /// What was broken, with nothing else that was.
    pub broken: BTreeSet<Demand>,
    pub count: usize,
    /// Where one takes what the other refuses.
    pub differ: Vec<String>,
}

impl Judges {
    /// With the committed CRD.
    pub async fn new(example: &str) -> Judges {
        let server = ApiServer::start().await;
        let crds = path("crds");
        for args in [
            &["apply", "--server-side", "-f", &crds][..],
            &["wait", "--for=condition=Established", "crd/llmroutepolicies.llmroute.dev", "--timeout=30s"],
        ] {
            server.kubectl(args).expect("the CRD");
        }
        let config = Kubeconfig::read_from(server.kubeconfig()).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.expect("a cluster");
        let client = Client::try_from(config).expect("a client");
        let judges = Judges {
            _server: server,
            client,
            schema: schema::spec(),
            alone: alone(),
            broken: BTreeSet::new(),
            count: 0,
            differ: Vec::new(),
        };
        // Served a moment after it is established.
        eventually("the resource is served", async || judges.ask(example).await.is_empty().then_some(())).await;
        judges
    }

    /// As kubectl asks, but that nothing is stored.
    pub async fn ask(&self, text: &str) -> Causes {
        let url = "/apis/llmroute.dev/v1alpha1/namespaces/default/llmroutepolicies?dryRun=All&fieldValidation=Strict";
        let request = Request::post(url).header("content-type", "application/yaml").body(text.as_bytes().to_vec());
        match self.client.request::<Value>(request.expect("a request")).await {
            Ok(_) => Vec::new(),
            Err(Error::Api(status)) => {
                let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
                if causes.is_empty() {
                    return vec![(String::new(), status.message.clone())];
                }
                causes.iter().map(|cause| (cause.field.clone(), cause.message.clone())).collect()
            }
            Err(e) => panic!("the server gives no answer: {e}\n{text}"),
        }
    }

    /// Both must say the same of a policy, but for what one of them alone can know. True if both take it.
    pub async fn agree(&mut self, text: &str) -> bool {
        self.count += 1;
        let file = text.to_owned();
        let ours = spawn_blocking(move || api::load(&file).err().unwrap_or_default());
        let (theirs, ours) = tokio::join!(self.ask(text), ours);
        let ours = ours.expect("no panic");
        self.note(&theirs);
        if theirs.is_empty() == ours.is_empty() {
            return theirs.is_empty();
        }
        let known = |fault: &Fault| {
            let row = self.alone.iter().find(|row| (row.fits)(fault));
            row.inspect(|row| row.hit.set(true)).is_some()
        };
        if !theirs.is_empty() || !ours.iter().all(known) {
            self.differ.push(format!("the API server: {theirs:?}\nthe sidecar: {ours:?}\n{text}\n"));
        }
        false
    }

    /// What the server names as broken, where it is in one place alone.
    fn note(&mut self, causes: &Causes) {
        let mut found: Vec<Demand> = causes.iter().filter_map(|(field, words)| self.demand(field, words)).collect();
        let Some(deepest) = found.iter().map(|d| d.at.clone()).max_by_key(String::len) else { return };
        // Rules of what contains the place can be broken by it too: whoever names what is gone, a share that is no number.
        if found.iter().all(|d| d.at == "spec" || deepest.starts_with(&d.at)) {
            found.retain(|d| d.at == deepest);
            self.broken.extend(found);
        }
    }

    /// Rows for what the sidecar alone knows that nothing needed.
    pub fn unused(&self) -> Vec<&'static str> {
        self.alone.iter().filter(|row| !row.hit.get()).map(|row| row.why).collect()
    }

    fn demand(&self, field: &str, words: &str) -> Option<Demand> {
        if let Some((_, field)) = words.split_once("unknown field \"") {
            let parent = field.split('"').next()?.rsplit_once('.')?.0;
            return parent.starts_with("spec").then(|| Demand::new(&schema::place_of(parent, &self.schema), "unknown"));
        }
        if !field.starts_with("spec") {
            return None;
        }
        let at = schema::place_of(field, &self.schema);
        let rows = [
            ("must be of type", "type"),
            ("Required value", "required"),
            ("Unsupported value", "enum"),
            ("should be greater than or equal to", "minimum"),
            ("should be less than or equal to", "maximum"),
            ("should have at least", "minItems"),
            ("Too long", "maxLength"),
            ("should match", "pattern"),
            ("Duplicate value", "twice"),
        ];
        if let Some((_, what)) = rows.iter().find(|(told, _)| words.contains(told)) {
            return Some(Demand::new(&at, *what));
        }
        let place = schema::places(&self.schema).into_iter().find(|place| place.at == at)?;
        if words.contains("Too many") {
            let list = place.schema["maxItems"].is_u64();
            return Some(Demand::new(&at, if list { "maxItems" } else { "maxProperties" }));
        }
        let rule = schema::rules(&place.schema).map(schema::message).find(|message| words.contains(message))?;
        Some(Demand::new(&at, rule))
    }
}
