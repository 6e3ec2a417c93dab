//! Spent money and open holds survive the process: a stop in peace, a kill at any point, a bad file, a full disk.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::{
    Caller, Metrics, Program, Reply, Speech, World,
    bills::{Charge, fullest_window, standing},
    eventually, heavy,
    policy::PATIENT,
    program, stall,
};
use parking_lot::Mutex;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use sim::{Config, Delays, Vendor};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Pretend providers, and a sidecar process with a state directory beside them.
struct Stage {
    world: World,
    /// The policy, but for its budgets.
    policy: String,
}

/// A bill is final a minute after the total timeout: no sooner is what a dead process held free again.
const TIER: &str = "{name: quick, timeouts: {connect: 1s, tls: 1s, firstByte: 3s, idle: 3s, total: 3s}, \
    retries: {attempts: 2, base: 5ms, cap: 20ms}}";
const TENANTS: usize = 8;
const BUDGETS: &str = "budgets: []";
const NONE: &str = "health: {unhealthyBelow: 65}";
const HOUR: &str = "budgets: [{name: hour, window: 1h, limitUsd: \"1\"}]";

impl Stage {
    async fn new(budgets: &str) -> Stage {
        let ms = Duration::from_millis;
        let delays = Delays { head: ms(15), first: ms(5), event: ms(1), jitter: ms(10) };
        let config = Config { delays, log_entries: 1_000_000, cancelled_runs_on: true, ..Config::default() };
        let more = ", cancelBilling: RunsOn, billHorizon: 1s";
        let builder = World::builder();
        let builder = builder.provider("openai", Vendor::OpenAi, config.clone()).fields(more);
        let builder = builder.provider("claude", Vendor::Anthropic, config).fields(more);
        let targets = [("openai", "gpt-6-sol"), ("claude", "claude-sonnet-5-5")];
        let policy = builder.policy(|p| {
            p.tier(TIER).scene_with("chat", &targets, ", maxOutputTokens: 16").field(PATIENT).field(BUDGETS)
        });
        let policy = policy.yaml();
        let world = builder.start_with(&policy.replace(BUDGETS, budgets)).await;
        Stage { world, policy }
    }

    /// Another policy in the file.
    fn put(&self, budgets: &str) {
        self.world.dir.rename_over("policy.yaml", self.policy.replace(BUDGETS, budgets)).expect("a file");
    }

    fn bare(&self) -> program::Builder {
        Program::builder(&self.world.policy_file()).credentials(&self.world.dir.join("keys"))
    }

    fn builder(&self) -> program::Builder {
        self.bare().arg("--state").arg(&self.kept().display().to_string())
    }

    async fn start(&self) -> Program {
        self.builder().start().await
    }

    /// The state directory.
    fn kept(&self) -> PathBuf {
        self.world.dir.join("kept")
    }
}

/// A small request of `tenant`, which its prompt names for the bill.
async fn ask(app: &Caller, speech: Speech, tenant: usize, stream: bool) -> Result<Reply, String> {
    let mut body = speech.body(&format!("tenant-{tenant}"), stream);
    if speech == Speech::Messages {
        body["max_tokens"] = 16.into();
    }
    let mut ask = app.post(speech.path(), body.to_string());
    if speech == Speech::Messages {
        ask = ask.header("anthropic-version", "2023-06-01");
    }
    ask.header("x-llmroute-tenant", &format!("t{tenant}")).try_send().await
}

async fn chat(program: &Program) -> Reply {
    ask(&program.app, Speech::Chat, 0, false).await.expect("an answer")
}

/// Callers who ask without a pause, of whoever serves.
struct Crowd {
    app: Arc<Mutex<Caller>>,
    served: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    enough: CancellationToken,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    fn of(callers: usize, app: &Caller) -> Crowd {
        let mut crowd = Crowd {
            app: Arc::new(Mutex::new(app.clone())),
            served: Arc::default(),
            refused: Arc::default(),
            enough: CancellationToken::new(),
            callers: vec![],
        };
        crowd.callers = (0..callers).map(|n| tokio::spawn(crowd.caller(n))).collect();
        crowd
    }

    fn caller(&self, n: usize) -> impl Future<Output = ()> + Send + use<> {
        let (app, served, refused) = (self.app.clone(), self.served.clone(), self.refused.clone());
        let enough = self.enough.clone();
        async move {
            while !enough.is_cancelled() {
                let app = app.lock().clone();
                let reply = ask(&app, Speech::ALL[n % 3], n % TENANTS, fastrand::bool()).await;
                match reply.map(|reply| (reply.status, reply)) {
                    Ok((200, _)) => _ = served.fetch_add(1, Ordering::Relaxed),
                    Ok((429, reply)) => {
                        assert_eq!(reply.header("x-llmroute-reason"), "budget_exhausted", "{}", reply.text());
                        refused.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(30)).await;
                    }
                    Ok((status, reply)) => panic!("{status} {}", reply.text()),
                    // Nobody serves at this moment.
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        }
    }

    /// From now on they ask this one.
    fn turn_to(&self, app: &Caller) {
        *self.app.lock() = app.clone();
    }

    fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    async fn leave(self) {
        self.enough.cancel();
        for caller in self.callers {
            caller.await.expect("a caller saw nothing odd");
        }
    }
}

async fn page(program: &Program) -> Metrics {
    Metrics::parse(&program.admin.get("/metrics").send().await.text())
}

async fn health(program: &Program) -> Value {
    program.admin.get("/health/budgets").send().await.json()
}

/// Kills it again and again under load, from the start or once the caps are reached; over all lives no window is billed
/// above its caps, and `least` of one is used.
async fn killed(window: u64, limit_usd: f64, lives: usize, longest: Duration, is_full: bool, least: f64) {
    let _turn = heavy::turn().await;
    let tenant_usd = limit_usd / TENANTS as f64;
    let budgets = format!(
        "budgets: [{{name: all, window: {window}s, limitUsd: \"{limit_usd}\"}}, \
         {{name: tenants, window: {window}s, limitUsd: \"{tenant_usd}\", scope: Tenant}}]"
    );
    let stage = Stage::new(&budgets).await;
    let mut program = stage.start().await;
    let crowd = Crowd::of(32, &program.app);
    let mut served = vec![];
    while is_full && crowd.refused() == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    for life in 0..lives {
        sleep(longest.mul_f64(0.1 + 0.9 * fastrand::f64())).await;
        let before = served.iter().sum::<u64>();
        program.kill().await;
        served.push(crowd.served() - before);
        program = stage.start().await;
        assert!(program.output().contains("the last run ended without notice"), "life {life}: {}", program.output());
        crowd.turn_to(&program.app);
    }
    sleep(Duration::from_secs(1)).await;
    let (all, refused) = (crowd.served(), crowd.refused());
    crowd.leave().await;
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(0), "{}", program.output());
    // Streams that nobody reads run on to their end.
    sleep(Duration::from_millis(300)).await;

    let charges = stage.world.charges();
    let share = |of: &dyn Fn(&Charge) -> bool, usd: f64| {
        fullest_window(charges.iter().filter(|c| of(c)), window * 1_000_000) as f64 / (usd * 1e9)
    };
    let fullest_all = share(&|_| true, limit_usd);
    let of_tenant = |n| share(&|c: &Charge| c.body.contains(&format!("tenant-{n}")), tenant_usd);
    let fullest_tenant = (0..TENANTS).map(of_tenant).fold(0.0, f64::max);
    println!(
        "{window} s: served {served:?} by lives, {all} in all, {refused} refused; the fullest window is at \
         {fullest_all:.3} of its cap, that of a tenant at {fullest_tenant:.3}"
    );
    assert!(fullest_all <= 1.0 && fullest_tenant <= 1.0, "{fullest_all} {fullest_tenant}");
    assert!(fullest_tenant > least && refused > all / 2, "demand was not above the cap, or nothing is proven");
    assert!(served.iter().filter(|n| **n > 0).count() >= 3, "a restart leaves room: {served:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_points_pass_no_window_of_five_seconds() {
    killed(5, 0.16, 8, Duration::from_millis(1800), true, 0.9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_points_pass_no_window_of_twenty_seconds() {
    killed(20, 0.4, 6, Duration::from_millis(2500), false, 0.35).await;
}

/// What is wrong: no demand of three times the cap, or more than one hold in fifty waited for the disk.
async fn waits_in_eleven_seconds(program: &Program, crowd: &Crowd) -> Vec<String> {
    let (waits, served) = (page(program).await.sum("llmroute_journal_waits_total", &[]), crowd.served());
    let (began, refused) = (Instant::now(), crowd.refused());
    sleep(Duration::from_secs(11)).await;
    let now = page(program).await;
    let more = now.sum("llmroute_journal_waits_total", &[]) - waits;
    let (held, refused, took) = (crowd.served() - served, crowd.refused() - refused, began.elapsed());
    let writes = now.sum("llmroute_journal_writes_total", &[("result", "ok")]);
    let seen = format!(
        "{more} of {held} holds waited for the disk, {refused} refused, in {took:?}; {waits} before, {writes} writes"
    );
    println!("{seen}");
    let fine = refused > 2 * held && more <= held as f64 * 0.02;
    if fine { vec![] } else { vec![seen] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_peace_counts_what_was_spent_and_holds_wait_for_no_disk() {
    let _turn = heavy::turn().await;
    let stage = Stage::new(
        "budgets: [{name: ten, window: 10s, limitUsd: \"0.15\"}, {name: hour, window: 1h, limitUsd: \"50\"}, \
         {name: tenants, window: 1h, limitUsd: \"20\", scope: Tenant}]",
    )
    .await;
    let mut program = stage.start().await;
    let crowd = Crowd::of(32, &program.app);
    sleep(Duration::from_secs(11)).await;
    let wrong = stall::fairly(|| waits_in_eleven_seconds(&program, &crowd)).await;
    assert!(wrong.is_empty(), "{wrong:?}");
    crowd.leave().await;

    let before = eventually("all holds are settled", || async {
        let page = health(&program).await;
        (standing(&page, "hour").held == 0).then_some(page)
    })
    .await;
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(0), "{}", program.output());
    let program = stage.start().await;
    let after = health(&program).await;
    let spent = |page: &Value, name: &str| (standing(page, name).spent, standing(page, name).held);
    for name in ["hour", "tenants"] {
        assert_eq!(spent(&after, name), spent(&before, name), "{name}");
    }
    assert!(spent(&after, "ten").0 <= spent(&before, "ten").0);
    assert_eq!(spent(&after, "hour"), (stage.world.billed(), 0));
    assert!(!program.output().contains("ended without notice"), "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_set_aside_and_budgets_begin_as_spent() {
    type Damage = fn(&PathBuf);
    let damages: [(&str, Damage); 4] = [
        ("foreign", |file| fs::write(file, "my notes").expect("a file")),
        ("emptied", |file| fs::write(file, "").expect("a file")),
        ("cut", |file| fs::write(file, &fs::read(file).expect("a file")[..9_000]).expect("a file")),
        ("corrupt", |file| {
            let mut bytes = fs::read(file).expect("a file");
            bytes[..600].fill(0xa5);
            fs::write(file, bytes).expect("a file");
        }),
    ];
    for (name, damage) in damages {
        let stage = Stage::new(HOUR).await;
        let mut program = stage.start().await;
        assert_eq!(chat(&program).await.status, 200);
        program.terminate();
        program.wait().await;
        damage(&stage.kept().join("state.redb"));
        // However often it dies, it does not forget that something is lost.
        for life in 0..3 {
            let mut program = stage.start().await;
            let reply = chat(&program).await;
            let seen = (reply.status, reply.header("x-llmroute-reason"));
            assert_eq!(seen, (429, "budget_exhausted"), "{name}, life {life}: {}\n{}", reply.text(), program.output());
            let wait: u64 = reply.header("retry-after").parse().expect("seconds");
            assert!((3_600..3_900).contains(&wait), "{name}: {wait}");
            let log = program.output();
            assert_eq!(log.contains("set aside"), life == 0, "{name}: {log}");
            assert_eq!(log.contains("what was spent is lost"), life == 0, "{name}: {log}");
            program.kill().await;
        }
        let aside = fs::read_dir(stage.kept()).expect("a directory").flatten();
        let aside = aside.filter(|entry| entry.file_name().to_string_lossy().contains("set-aside")).count();
        assert_eq!(aside, 1, "{name}");
        // Without the file, and with nothing that was set aside, it is a first start.
        fs::remove_dir_all(stage.kept()).expect("a directory");
        let program = stage.start().await;
        assert_eq!(chat(&program).await.status, 200, "{name}");
    }
}

/// Wherever the start has got to: no kill makes a loss, or what was spent, look like a first start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_it_starts_forget_nothing() {
    let stage = Stage::new(HOUR).await;
    let began = Instant::now();
    let mut program = stage.start().await;
    let longest = began.elapsed();
    assert_eq!(chat(&program).await.status, 200);
    program.terminate();
    program.wait().await;
    let kills = || async {
        for _ in 0..15 {
            stage.builder().killed_after(longest.mul_f64(fastrand::f64())).await;
        }
    };
    kills().await;
    let mut program = stage.start().await;
    let spent = standing(&health(&program).await, "hour").spent;
    // A life in which nobody asked took no room, and leaves no more than what was written.
    assert_eq!(spent, stage.world.billed());
    program.kill().await;
    fs::write(stage.kept().join("state.redb"), "my notes").expect("a file");
    kills().await;
    let program = stage.start().await;
    assert_eq!(chat(&program).await.status, 429, "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_takes_nothing_is_told_at_the_start() {
    let stage = Stage::new(HOUR).await;
    let ended = stage.bare().arg("--state").arg("/proc").run().await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("--state /proc: it cannot be used"), "{}", ended.output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_what_could_not_be_remembered() {
    let stage = Stage::new("budgets: [{name: hour, window: 1h, limitUsd: \"0.02\"}]").await;
    let program = stage.builder().survives_file_limits().start().await;
    let limit_files = |bytes| {
        let pid = Pid::from_raw(program.pid() as i32);
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a limit");
    };
    assert_eq!(chat(&program).await.status, 200);
    limit_files(Some(0));
    let refusal = eventually("the room of the last write is used up", || async {
        let reply = chat(&program).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!((refusal.status, refusal.header("x-llmroute-reason")), (503, "state_unavailable"), "{}", refusal.text());
    assert!(refusal.text().contains("state directory"), "{}", refusal.text());
    let spent = stage.world.billed();
    assert!(spent <= 20_000_000 / 5, "{spent} passed on the room of the last write");
    let journal = health(&program).await["journal"].clone();
    assert!(journal["failing"].is_string() && journal["failed_writes"].as_u64() > Some(0), "{journal}");
    assert_eq!(page(&program).await.sum("llmroute_journal_failing", &[]), 1.0);
    // A second failure is no news.
    let failures = || async { health(&program).await["journal"]["failed_writes"].as_u64() };
    let first = failures().await;
    eventually("another failure", || async { (failures().await > first).then_some(()) }).await;
    assert_eq!(program.output().matches("cannot be written down: requests").count(), 1, "{}", program.output());

    limit_files(None);
    eventually("the disk takes it again", || async { (chat(&program).await.status == 200).then_some(()) }).await;
    assert_eq!(health(&program).await["journal"]["failing"], Value::Null);
    assert_eq!(page(&program).await.sum("llmroute_journal_failing", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_comes_with_a_reload_is_remembered_too() {
    let stage = Stage::new(NONE).await;
    let mut program = stage.start().await;
    assert_eq!(chat(&program).await.status, 200);
    stage.put("budgets: [{name: hour, window: 1h, limitUsd: \"0.002\"}]");
    let spent = |reply: &Reply| (reply.status == 429).then_some(());
    eventually("the budget is in force, and spent", || async { spent(&chat(&program).await) }).await;
    let billed = stage.world.billed();
    program.kill().await;
    // A longer window, and a higher limit: what was spent stays with the cap.
    stage.put("budgets: [{name: hour, window: 2h, limitUsd: \"0.004\"}]");
    let mut program = stage.start().await;
    let mut more = 0;
    while chat(&program).await.status == 200 {
        more += 1;
    }
    let both = stage.world.billed();
    assert!(more > 0 && both > billed, "a higher limit has room");
    program.kill().await;
    let program = stage.start().await;
    assert_eq!(chat(&program).await.status, 429);
    let hour = health(&program).await["budgets"][0].clone();
    assert_eq!((&hour["window_seconds"], &hour["name"]), (&7200.into(), &"hour".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_state_directory_budgets_are_told_to_hold_for_one_life() {
    let stage = Stage::new(HOUR).await;
    let told = |program: &Program| program.output().contains("budgets hold for the life of this process");
    let bare = stage.bare().start().await;
    assert!(told(&bare), "{}", bare.output());
    assert_eq!(health(&bare).await["journal"], Value::Null);
    assert!(!told(&stage.start().await));
    stage.put(NONE);
    assert!(!told(&stage.bare().start().await), "no budget, no word");
}
