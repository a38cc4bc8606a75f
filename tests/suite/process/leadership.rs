//! Three members: what each reports about the leader while there is no quorum, and how they end.

use crate::harness::{PATIENCE, Server, Three, answers, orderly, page, status, subject, until};
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest, RangeRequest, WatchCreateRequest,
    WatchRequest,
};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tokio_stream::wrappers::ReceiverStream;

/// Waits until the metrics have these lines.
async fn shows(member: &Server, lines: &[&str]) {
    let begun = Instant::now();
    loop {
        let metrics = page(member, "/metrics").await;
        if lines.iter().all(|line| metrics.lines().any(|shown| shown == *line)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{lines:?} are not all shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A watch that requires a leader, created.
async fn watch_with_leader(
    member: &Server,
) -> (tokio::sync::mpsc::Sender<WatchRequest>, tonic::Streaming<kvd::api::proto::etcdserverpb::WatchResponse>)
{
    let create = WatchCreateRequest { key: "k".into(), ..WatchCreateRequest::default() };
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    sender.send(request).await.expect("the channel is open");
    let mut request = tonic::Request::new(ReceiverStream::new(requests));
    request.metadata_mut().insert("hasleader", "true".parse().expect("a value"));
    let mut events = member.api().watch.watch(request).await.expect("a stream").into_inner();
    assert!(events.message().await.expect("an answer").expect("a first message").created);
    (sender, events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_followers_stand_still_says_that_there_is_no_leader() {
    if !subject().is_kvd() {
        // etcd reports the same, with other times.
        return;
    }
    let three = Three::start().await;
    let place = three.leader().await;
    let leader = &three.0[place];
    let grant = LeaseGrantRequest { id: 7, ttl: 3600 };
    leader.api().lease.lease_grant(grant).await.expect("a lease");
    let (sender, requests) = tokio::sync::mpsc::channel(4);
    sender.send(LeaseKeepAliveRequest { id: 7 }).await.expect("the channel is open");
    let mut lease = leader.api().lease;
    let mut kept =
        lease.lease_keep_alive(ReceiverStream::new(requests)).await.expect("a stream").into_inner();
    assert_eq!(kept.message().await.expect("an answer").map(|answer| answer.ttl), Some(3600));
    let (_watching, mut events) = watch_with_leader(leader).await;
    shows(leader, &["etcd_server_has_leader 1", "etcd_server_is_leader 1"]).await;

    let followers: Vec<&Server> = (0..3).filter(|at| *at != place).map(|at| &three.0[at]).collect();
    followers.iter().for_each(|follower| follower.signal(Signal::STOP));
    shows(leader, &["etcd_server_has_leader 0", "etcd_server_is_leader 0"]).await;
    let told = status(leader).await;
    assert_eq!((told.leader, told.errors), (0, vec!["etcdserver: no leader".to_string()]));
    let health = page(leader, "/health").await;
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("RAFT NO LEADER"), "{health}");
    // A promise that cannot be kept is not made.
    sender.send(LeaseKeepAliveRequest { id: 7 }).await.expect("the channel is open");
    let refused = kept.message().await.expect_err("no promise");
    assert_eq!(refused.message(), "etcdserver: no leader");
    let ended = events.message().await.expect_err("the stream has ended");
    assert_eq!(ended.message(), "etcdserver: no leader");

    followers.iter().for_each(|follower| follower.signal(Signal::CONT));
    let again = &three.0[three.leader().await];
    answers(leader).await;
    let ask = LeaseTimeToLiveRequest { id: 7, keys: false };
    let left = again.api().lease.lease_time_to_live(ask).await.expect("an answer").into_inner().ttl;
    assert!(left > 3000, "{left}");
    shows(leader, &["etcd_server_has_leader 1"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_members_end_without_looking_for_a_quorum() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    let place = three.leader().await;
    let mut leader = three.0.remove(place);
    for follower in &mut three.0 {
        assert!(orderly(follower.stop().await), "{}", follower.log());
    }
    assert!(orderly(leader.stop().await), "{}", leader.log());
    let log = leader.log();
    assert!(log.contains("there is no quorum: stopping without waiting for one"), "{log}");
    assert!(!log.contains("leadership could not be handed over"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_without_a_leader_ends_without_waiting_for_one() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    let place = three.leader().await;
    let mut left = three.0.remove((place + 1) % 3);
    three.0.iter_mut().for_each(Server::kill);
    until("it has lost its leader", || left.log().contains("lost leader")).await;
    // Requests that wait for a leader do not delay the end.
    let mut kv = left.api().kv;
    let waiting =
        tokio::spawn(
            async move { kv.range(RangeRequest { key: "k".into(), ..RangeRequest::default() }).await },
        );
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(orderly(left.stop().await), "{}", left.log());
    assert!(waiting.await.expect("no panic").is_err());
    assert!(left.log().contains("there is no quorum: stopping without waiting for one"), "{}", left.log());
}
