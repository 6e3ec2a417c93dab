//! A thousand sidecars in one process, as far as the operator can tell: the sidecar's own end of the stream, each over a
//! connection of its own, with its own token and its own state. What they are sent is judged and put in force.

use std::sync::Arc;

use harness::{many::Named, temp::TempDir, world::key_of};
use sidecar::{
    control::{Address, Control, Link, Settings},
    memory::Memory,
    reload,
    state::State,
    telemetry::Telemetry,
    upstream::Upstream,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::policy;

/// None of them has requests.
const MEMORY: usize = 1 << 20;

/// All of them; they end on drop.
pub struct Sidecars {
    links: Vec<Arc<Link>>,
    tasks: JoinSet<()>,
    _dir: TempDir,
}

impl Sidecars {
    /// Starts one for each pod; `ca` is PEM of the operator's CA.
    pub fn start(pods: &[Named], url: &str, ca: &str) -> Sidecars {
        let (dir, address) = (TempDir::new(), Address::parse(url).expect("an address"));
        policy::keys().for_each(|key| drop(dir.write(&format!("keys/{key}"), key_of(&key))));
        let (mut links, mut tasks) = (vec![], JoinSet::new());
        for Named { name, token } in pods {
            let settings = Settings {
                name: address.host().to_owned(),
                address: address.clone(),
                ca_file: None,
                ca: Some(ca.to_owned()),
                token: dir.write(name, token),
                state: None,
                fallback: None,
            };
            let upstream = Upstream::from_env().expect("an upstream");
            let state = State::new(upstream, Memory::new(MEMORY), Telemetry::default());
            reload::credentials(&state, &dir.join("keys"));
            let link = Arc::new(Link::new(address.clone()));
            let control = Control::start(Arc::new(state), link.clone(), settings);
            tasks.spawn(control.run(CancellationToken::new()));
            links.push(link);
        }
        Sidecars { links, tasks, _dir: dir }
    }

    /// How many streams are up.
    pub fn connected(&self) -> usize {
        self.links.iter().filter(|link| link.is_up()).count()
    }

    /// How many have said yes to more policies than so many each, reconnects included.
    pub fn beyond(&self, counts: &[u64]) -> usize {
        self.counts().iter().zip(counts).filter(|(now, before)| now > before).count()
    }

    /// To how many policies each has said yes.
    pub fn counts(&self) -> Vec<u64> {
        self.links.iter().map(|link| link.counts().0).collect()
    }

    /// All have this generation in force, and none refused any.
    #[track_caller]
    pub fn are_all_at(&self, generation: i64) {
        for link in &self.links {
            let page = link.page();
            assert_eq!(page["acknowledged"]["generation"], generation, "{page}");
            assert_eq!(page["snapshots"]["rejected"], 0, "{page}");
        }
    }
}

impl Drop for Sidecars {
    fn drop(&mut self) {
        self.tasks.abort_all();
    }
}
