//! SIGTERM: no new connection, streams in flight run to their end, exit 0.

use std::{path::PathBuf, time::Duration};

use harness::{Program, Speech, World, policy::PATIENT, raw::Raw};
use sim::{Act, Rule};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

/// The world's policy and keys, for a process beside it.
async fn process() -> (World, Program) {
    let world = World::builder().openai("openai").claude("claude").start(|p| p.field(PATIENT)).await;
    let keys: PathBuf = world.dir.join("keys");
    let program = Program::builder(&world.policy_file()).credentials(&keys).start().await;
    (world, program)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_in_flight_run_to_their_end() {
    let (world, mut program) = process().await;
    world.script("openai", vec![Rule::act(Act { event_ms: Some(80), ..Act::default() })]);
    let mut streams = vec![];
    for speech in [Speech::Chat, Speech::Responses] {
        let mut stream = program.app.say(speech, "hi", true).open().await.expect("a head");
        stream.next().await.expect("an event");
        streams.push((speech, stream));
    }
    // A plain call that waits for its answer.
    world.script("openai", vec![Rule::act(Act { head_ms: Some(900), ..Act::default() })]);
    let app = program.app.clone();
    let plain = tokio::spawn(async move { app.say(Speech::Chat, "hi", false).send().await });
    // A kept-alive connection with nothing on it.
    let mut idle = Raw::connect(program.app.addr()).await;
    idle.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(idle.read(Duration::from_millis(300)).await.status(), 200);

    let began = Instant::now();
    program.terminate();
    sleep(Duration::from_millis(300)).await;
    assert!(TcpStream::connect(program.app.addr()).await.is_err(), "no new connection");
    assert!(idle.read(Duration::from_secs(1)).await.closed, "idle connections are closed");
    for (speech, mut stream) in streams {
        let heard = speech.listen(&stream.rest().await);
        assert_eq!((heard.ends, heard.errors.len(), stream.broken), (1, 0, false), "{heard:?}");
    }
    assert_eq!(plain.await.expect("no panic").status, 200);
    let status = program.wait().await;
    assert_eq!(status.code(), Some(0), "{}", program.output());
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nothing_in_flight_it_ends_at_once() {
    let (_world, mut program) = process().await;
    assert_eq!(program.app.say(Speech::Messages, "hi", false).send().await.status, 200);
    let began = Instant::now();
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(0), "{}", program.output());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_does_not_wait() {
    let (world, mut program) = process().await;
    world.script("openai", vec![Rule::act(Act { event_ms: Some(1000), ..Act::default() })]);
    let mut stream = program.app.say(Speech::Chat, "hi", true).open().await.expect("a head");
    stream.next().await.expect("an event");
    program.terminate();
    sleep(Duration::from_millis(300)).await;
    program.terminate();
    assert_eq!(program.wait().await.code(), Some(1), "not a clean drain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_process_the_port_drains() {
    let mut world = World::pair().await;
    world.script("openai", vec![Rule::act(Act { event_ms: Some(50), ..Act::default() })]);
    let mut stream = world.app.say(Speech::Chat, "hi", true).open().await.expect("a head");
    stream.next().await.expect("an event");
    let rest = tokio::spawn(async move { (Speech::Chat.listen(&stream.rest().await), stream.broken) });
    world.drain().await;
    let (heard, broken) = rest.await.expect("no panic");
    assert_eq!((heard.ends, broken), (1, false));
}
