//! Pretend providers and a sidecar, all in this process.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use sidecar::{
    admin, clock,
    later::{self, Later},
    memory::Memory,
    money::{Keeper, Money},
    reload, serve,
    state::State,
    store::Store,
    telemetry::Telemetry,
    upstream::Upstream,
};
use sim::{Config, Entry, Rule, Sim, Vendor};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    caller::Caller,
    panics,
    policy::{PATIENT, Policy, QUICK},
    temp::TempDir,
};

/// Where a story plays.
pub struct World {
    /// The app.
    pub app: Caller,
    /// The admin port.
    pub admin: Caller,
    /// The sidecar's state.
    pub state: Arc<State>,
    /// Its files.
    pub dir: TempDir,
    providers: Vec<Provider>,
    draining: CancellationToken,
    ended: CancellationToken,
    serving: Option<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
}

/// A pretend provider.
pub struct Provider {
    /// Its name in the policy.
    pub name: String,
    /// What it speaks.
    pub vendor: Vendor,
    /// The simulator.
    pub sim: Sim,
    /// Further fields of its policy, such as `, http2: true`.
    more: String,
}

/// A world in the making.
#[derive(Default)]
pub struct Builder {
    providers: Vec<Provider>,
    memory: Option<usize>,
    follow: bool,
    keeps: bool,
    wide: bool,
}

/// The usual budget for bodies.
const MEMORY: usize = 256 << 20;

/// The key that a provider of this name is called with.
pub fn key_of(name: &str) -> String {
    format!("sk-planted-{name}-0123456789abcdef")
}

/// An address of this host that nobody listens on yet.
pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl World {
    /// Providers first.
    pub fn builder() -> Builder {
        panics::watch();
        Builder::default()
    }

    /// `openai` and then `claude`, one scene `chat`, quick times, no breaker.
    pub async fn pair() -> World {
        World::builder().openai("openai").claude("claude").start(|p| p.tier(QUICK).field(PATIENT)).await
    }

    /// One provider's simulator.
    #[track_caller]
    pub fn sim(&self, name: &str) -> &Sim {
        &self.providers.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no provider {name}")).sim
    }

    /// All of them, in the policy's order.
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Scripts one provider.
    pub fn script(&self, name: &str, rules: Vec<Rule>) {
        self.sim(name).script(rules);
    }

    /// What one provider saw.
    pub fn seen(&self, name: &str) -> Vec<Entry> {
        self.sim(name).log()
    }

    /// The policy file.
    pub fn policy_file(&self) -> PathBuf {
        self.dir.join("policy.yaml")
    }

    /// Puts another policy in force at once.
    pub fn put(&self, policy: &str) {
        let file = self.dir.write("policy.yaml", policy);
        reload::first_policy(&self.state, &file).expect("a policy without faults");
    }

    /// No new connection; returns when the last request has ended.
    pub async fn drain(&mut self) {
        self.state.draining.store(true, std::sync::atomic::Ordering::Relaxed);
        self.draining.cancel();
        if let Some(serving) = self.serving.take() {
            serving.await.expect("the data port ends without a panic");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.draining.cancel();
        self.ended.cancel();
        self.others.iter().chain(&self.serving).for_each(JoinHandle::abort);
        panics::surface();
    }
}

impl Builder {
    /// Adds a provider of the OpenAI API.
    pub fn openai(self, name: &str) -> Builder {
        self.provider(name, Vendor::OpenAi, Config::default())
    }

    /// Adds a provider of the Anthropic API.
    pub fn claude(self, name: &str) -> Builder {
        self.provider(name, Vendor::Anthropic, Config::default())
    }

    /// Adds a provider with settings of its own.
    pub fn provider(mut self, name: &str, vendor: Vendor, config: Config) -> Builder {
        let sim = Sim::start(config).expect("a simulator");
        self.providers.push(Provider { name: name.to_owned(), vendor, sim, more: String::new() });
        self
    }

    /// Further fields of the last provider, such as `, http2: true`.
    pub fn fields(mut self, more: &str) -> Builder {
        self.providers.last_mut().expect("a provider").more.push_str(more);
        self
    }

    /// Models whose window no prompt fills.
    pub fn wide(mut self) -> Builder {
        self.wide = true;
        self
    }

    /// Another budget for bodies.
    pub fn memory(mut self, bytes: usize) -> Builder {
        self.memory = Some(bytes);
        self
    }

    /// With a state directory, `state` in the world's.
    pub fn keeps(mut self) -> Builder {
        self.keeps = true;
        self
    }

    /// Policy and credentials files are followed.
    pub fn follow(mut self) -> Builder {
        self.follow = true;
        self
    }

    /// The providers, and where none is named by `more` a scene `chat` with the flagship of each in order.
    pub fn policy(&self, more: impl FnOnce(Policy) -> Policy) -> Policy {
        let mut policy = Policy::new();
        for p in &self.providers {
            let window = match p.vendor {
                _ if self.wide => 1_000_000_000,
                Vendor::OpenAi => 400_000,
                Vendor::Anthropic => 1_000_000,
            };
            let facts = format!(", models: [{{name: {}, contextTokens: {window}}}]{}", flagship(p.vendor), p.more);
            policy = policy.provider_with(&p.name, api_of(p.vendor), &p.sim.url(), &facts);
        }
        let policy = more(policy);
        if policy.yaml().contains("\n  scenes:") {
            return policy;
        }
        let targets: Vec<_> = self.providers.iter().map(|p| (p.name.as_str(), flagship(p.vendor))).collect();
        policy.scene("chat", &targets)
    }

    /// Starts the sidecar with this policy on top of the providers.
    pub async fn start(self, more: impl FnOnce(Policy) -> Policy) -> World {
        let yaml = self.policy(more).yaml();
        self.start_with(&yaml).await
    }

    /// Starts the sidecar with this very policy.
    pub async fn start_with(self, yaml: &str) -> World {
        let Builder { providers, memory, follow, keeps, wide: _ } = self;
        let dir = TempDir::new();
        for name in key_names(yaml) {
            dir.write(&format!("keys/{name}"), format!("{}\n", key_of(name)));
        }
        let file = dir.write("policy.yaml", yaml);
        let keys = dir.join("keys");
        let upstream = Upstream::from_env().expect("an upstream");
        let mut state = State::new(upstream, Memory::new(memory.unwrap_or(MEMORY)), Telemetry::default());
        if keeps {
            state.money = Money::new(true, false);
        }
        let state = Arc::new(state);
        if keys.exists() {
            reload::credentials(&state, &keys);
        }
        let followed = reload::first_policy(&state, &file).unwrap_or_else(|faults| panic!("{faults:#?}\n{yaml}"));

        let mut keeper = None;
        if keeps {
            let (store, _) = Store::open(&dir.join("state"), clock::unix()).expect("a state directory");
            keeper = Some(Keeper::open(&state.money, store.clone(), None).await.expect("a store"));
            let _ = state.later.set(Arc::new(Later::open(store).await.expect("a store")));
        }

        let draining = CancellationToken::new();
        let ended = CancellationToken::new();
        let data = TcpListener::bind(loopback()).await.expect("a data port");
        let admin_port = TcpListener::bind(loopback()).await.expect("an admin port");
        let app = Caller::new(data.local_addr().expect("an address"));
        let admin_caller = Caller::new(admin_port.local_addr().expect("an address"));
        let serving = tokio::spawn(serve::serve(state.clone(), data, draining.clone()));
        let mut others = vec![tokio::spawn(admin::serve(state.clone(), admin_port, ended.clone()))];
        others.push(tokio::spawn(later::run(state.clone(), draining.clone())));
        others.extend(keeper.map(|keeper| tokio::spawn(keeper.run(state.clone(), ended.clone()))));
        if follow {
            others.push(tokio::spawn(reload::follow(state.clone(), Some(followed), Some(keys), ended.clone())));
        }
        World { app, admin: admin_caller, state, dir, providers, draining, ended, serving: Some(serving), others }
    }
}

/// Every `credentialKey` of a policy.
fn key_names(yaml: &str) -> impl Iterator<Item = &str> {
    let end = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    yaml.split("credentialKey: ").skip(1).map(move |rest| rest.split(end).next().unwrap_or_default())
}

/// The policy's word for a vendor's API.
pub fn api_of(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::OpenAi => "OpenAI",
        Vendor::Anthropic => "Anthropic",
    }
}

/// The model that stories use of a vendor.
pub fn flagship(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::OpenAi => "gpt-6-sol",
        Vendor::Anthropic => "claude-sonnet-5-5",
    }
}
