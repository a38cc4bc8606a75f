//! A copy of a member's data: beside the member it is refused, in the member's place it is refused if the member has
//! acknowledged more since, and the cluster goes on without an election.

use super::history::copy;
use crate::harness::{Server, Setup, Three, answers, status, subject, until};
use kvd::api::proto::etcdserverpb::PutRequest;
use rustix::process::Signal;
use std::fs;

/// The line of a member that runs on a copy, and that of the member itself.
const COPY: &str = "this one runs on a copy of the member's data";
const COPIED: &str = "another process calls in the name of this member";

async fn put(member: &Server, key: &str) {
    let request = PutRequest { key: key.to_owned().into(), value: "v".into(), ..PutRequest::default() };
    member.api().kv.put(request).await.expect("a put");
}

/// The term and the leader, as a member has them.
async fn led(member: &Server) -> (u64, u64) {
    let status = status(member).await;
    (status.raft_term, status.leader)
}

/// Three members of which none holds an election because the machine is busy.
async fn calm() -> Three {
    let patient = ["--heartbeat-interval=500", "--election-timeout=10000"];
    Three::start_with(|_, member| member.add_args(&patient)).await
}

/// A server on a copy of the data of `original`, with its arguments and then others.
fn clone_of(original: &Server, data: &std::path::Path, args: &[&str]) -> Server {
    let mut clone = Setup::of(&subject()).bare().prepare();
    copy(data, &clone.data_dir());
    let own = original.arguments();
    clone.add_args(&own.iter().map(String::as_str).collect::<Vec<_>>());
    clone.add_args(&[&format!("--data-dir={}", clone.data_dir().display())]);
    clone.add_args(args);
    clone
}

/// Listens elsewhere.
fn elsewhere(clone: &mut Server) {
    let (client, peer) = (clone.url(), clone.peer_url());
    clone.add_args(&[&format!("--listen-client-urls={client}"), &format!("--listen-peer-urls={peer}")]);
}

async fn ends_as_copy(clone: &mut Server) {
    let status = clone.ended().await;
    assert_eq!(status.code(), Some(77), "{}", clone.log());
    assert!(clone.log().contains(COPY), "{}", clone.log());
}

/// Stops a follower that has everything, keeps its data, and starts it again.
async fn copied_follower(three: &mut Three) -> (usize, tempfile::TempDir) {
    put(&three.0[0], "before").await;
    let place = (three.leader().await + 1) % 3;
    let kept = tempfile::Builder::new().prefix("kvd-suite-").tempdir().expect("a directory");
    three.0[place].stop().await;
    copy(&three.0[place].data_dir(), kept.path());
    three.0[place].spawn();
    answers(&three.0[place]).await;
    three.leader().await;
    (place, kept)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_is_refused_and_the_original_goes_on() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = calm().await;
    let (place, kept) = copied_follower(&mut three).await;
    let original = &three.0[place];
    let before = led(original).await;
    let mut other_ports = clone_of(original, kept.path(), &[]);
    elsewhere(&mut other_ports);
    let other_host = |url: String| url.replace("127.0.0.1", "127.0.0.2");
    let listen = [
        format!("--listen-client-urls={}", other_host(original.url())),
        format!("--listen-peer-urls={}", other_host(original.peer_url())),
    ];
    let other_host = clone_of(original, kept.path(), &[&listen[0], &listen[1]]);
    for mut clone in [other_ports, other_host] {
        clone.spawn();
        ends_as_copy(&mut clone).await;
        assert!(clone.log().contains(&original.peer_url().replace("http://", "")), "{}", clone.log());
    }
    assert!(original.log().contains(COPIED), "{}", original.log());
    for member in &three.0 {
        answers(member).await;
        assert_eq!(led(member).await, before);
    }
    put(original, "after").await;
    assert!(three.0[place].is_running());
}

/// The original stands still while the clone starts, so the clone cannot know of it; the others exclude it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_that_came_unseen_ends_once_the_original_is_back() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    let (place, kept) = copied_follower(&mut three).await;
    let original = &three.0[place];
    original.signal(Signal::STOP);
    let mut clone = clone_of(original, kept.path(), &[]);
    elsewhere(&mut clone);
    clone.spawn();
    until("the clone has started", || clone.log().contains("member started")).await;
    original.signal(Signal::CONT);
    ends_as_copy(&mut clone).await;
    for member in &three.0 {
        answers(member).await;
    }
    put(&three.0[place], "after").await;
    assert!(three.0[place].is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_is_refused_by_the_leader() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = calm().await;
    let (place, kept) = copied_follower(&mut three).await;
    for number in 0..20 {
        put(&three.0[place], &format!("k{number}")).await;
    }
    answers(&three.0[place]).await;
    let leader = three.leader().await;
    let before = led(&three.0[leader]).await;
    three.0[place].stop().await;
    let (data, newer) = (three.0[place].data_dir(), three.0[place].dir().join("newer"));
    fs::rename(&data, &newer).expect("moved");
    copy(kept.path(), &data);
    three.0[place].spawn();
    let ended = three.0[place].ended().await;
    assert_eq!(ended.code(), Some(77), "{}", three.0[place].log());
    assert!(three.0[place].log().contains("are an older copy"), "{}", three.0[place].log());
    let other = 3 - leader - place;
    for member in [&three.0[leader], &three.0[other]] {
        answers(member).await;
        assert_eq!(led(member).await, before);
    }
    assert!(three.0[leader].log().contains("are an older copy"), "{}", three.0[leader].log());
    put(&three.0[leader], "without it").await;
    // With its own data it is admitted again.
    fs::remove_dir_all(&data).expect("removed");
    fs::rename(&newer, &data).expect("put back");
    three.0[place].spawn();
    answers(&three.0[place]).await;
    assert_eq!(led(&three.0[place]).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_are_restarted_at_once_are_no_copies() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    for kill in [false, true] {
        for place in 0..3 {
            put(&three.0[place], "k").await;
            let member = &mut three.0[place];
            if kill {
                member.kill();
            } else {
                member.stop().await;
            }
            member.spawn();
            answers(member).await;
            put(&three.0[place], "k").await;
            three.leader().await;
            for member in &three.0 {
                let log = member.log();
                assert!(!log.contains("copy"), "{log}");
            }
        }
    }
}
