//! Sidecars of other versions, and of none, call this operator.

use control::v1::{Ack, FromOperator, FromSidecar, Hello, Report, from_operator, from_sidecar, go_away::Reason};
use harness::{Cluster, Plane, eventually};
use prost::Message;

use super::{extended, peers::Peer, recorded, recorded_snapshot, recorded_spec, unknown};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_keep_to_the_protocol_is_told_and_sent_away() {
    let cluster = Cluster::new();
    let token = cluster.pod("a", "shop");
    let plane = Plane::start(&cluster).await;
    let hello = |oldest: u32, newest: u32| {
        let hello = Hello { protocol: newest, oldest_protocol: oldest, version: "0.0.0".to_owned() };
        FromSidecar { message: Some(from_sidecar::Message::Hello(hello)) }.encode_to_vec()
    };
    let rows = [
        (hello(9, 11), "this end speaks 1 to 2, the other 9 to 11"),
        (hello(0, 0), "names no protocol"),
        (FromSidecar { message: None }.encode_to_vec(), "begins with a hello"),
        (b"\x0a\xff".to_vec(), "begins with a hello"),
    ];
    for (first, want) in rows {
        let mut peer = Peer::call(&plane, &token).await;
        peer.say(&first).await;
        let (reason, message) = peer.sent_away().await;
        assert!(reason == Reason::Protocol && message.contains(want), "{reason:?} {message}");
    }
    assert!(plane.fleet.view().is_empty());

    // Of two streams of one pod the newer one stays, and one hello is enough.
    let (mut older, mut newer) = (Peer::call(&plane, &token).await, Peer::call(&plane, &token).await);
    for peer in [&mut older, &mut newer] {
        peer.say(&hello(1, 1)).await;
        for _ in ["hello", "trust", "unselected"] {
            peer.hear().await.expect("a message");
        }
    }
    assert_eq!(older.sent_away().await.0, Reason::Replaced);
    newer.say(&hello(1, 1)).await;
    assert_eq!(newer.sent_away().await, (Reason::Protocol, "a stream has one hello".to_owned()));

    // A replica that ends says so.
    let mut last = Peer::call(&plane, &token).await;
    last.say(&hello(1, 1)).await;
    for _ in ["hello", "trust", "unselected"] {
        last.hear().await.expect("a message");
    }
    plane.end().await;
    assert_eq!(last.sent_away().await.0, Reason::Ending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_sidecar_of_protocol_1_is_served() {
    let cluster = Cluster::new();
    let token = cluster.pod("old", "recorded");
    let document = cluster.spec("recorded", 7, &recorded_spec());
    let plane = Plane::start(&cluster).await;

    let mut peer = Peer::call(&plane, &token).await;
    let mut ours = recorded(">").into_iter();
    peer.say(&ours.next().expect("a hello")).await;
    let heard = [peer.hear().await, peer.hear().await, peer.hear().await].map(|m| m.expect("a message"));
    let known = heard.iter().map(|m| FromOperator::decode(&**m).expect("decodes").message.expect("known"));
    let known: Vec<_> = known.collect();
    let [from_operator::Message::Hello(hello), from_operator::Message::Trust(_), from_operator::Message::Snapshot(_)] =
        &known[..]
    else {
        panic!("{known:?}")
    };
    assert!(hello.oldest_protocol <= 1, "protocol 1 is spoken: {hello:?}");
    assert_eq!(heard[2], recorded_snapshot(), "a snapshot is to the byte what it was then");
    for message in ours {
        peer.say(&message).await;
    }
    plane.acknowledged("old", &document).await;
    let sidecar = eventually("its last report", async || {
        let sidecar = plane.fleet.view()["uid-old"].clone();
        sidecar.report.as_ref().is_some_and(|r| r.generation == 7).then_some(sidecar)
    })
    .await;
    assert_eq!(&*sidecar.version, "0.1.0");
    assert!(sidecar.report.and_then(|r| r.credentials).is_some(), "it tells of its keys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sidecar_of_tomorrow_adds_is_skipped() {
    let cluster = Cluster::new();
    let token = cluster.pod("new", "shop");
    let document = cluster.spec("shop", 7, &recorded_spec());
    let plane = Plane::start(&cluster).await;

    let mut peer = Peer::call(&plane, &token).await;
    let hello = Hello { protocol: 3, oldest_protocol: 1, version: "9.0.0".to_owned() };
    peer.say(&extended(1, &hello)).await;
    let heard = [peer.hear().await, peer.hear().await, peer.hear().await].map(|m| m.expect("a message"));
    let last = FromOperator::decode(&*heard[2]).expect("decodes").message;
    assert!(matches!(last, Some(from_operator::Message::Snapshot(_))), "{last:?}");
    peer.say(&unknown()).await;
    peer.say(&extended(2, &Ack { generation: 7, hash: document.hash.clone() })).await;
    plane.acknowledged("new", &document).await;
    let report =
        Report { generation: 7, hash: document.hash.clone(), version: "9.0.0".to_owned(), ..Report::default() };
    peer.say(&extended(4, &report)).await;
    let sidecar = eventually("its report", async || {
        Some(plane.fleet.view()["uid-new"].clone()).filter(|sidecar| sidecar.report.is_some())
    })
    .await;
    assert_eq!((&*sidecar.version, sidecar.connected), ("9.0.0", true));
}
