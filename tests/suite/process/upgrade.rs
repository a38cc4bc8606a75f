//! Members of neighbouring versions in one cluster: up and down, one after another, under load. A debug build claims the
//! version that a variable names.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb as pb;
use kvd::api::proto::etcdserverpb::downgrade_request::DowngradeAction;
use rustix::process::Signal;
use tonic::Code;

use super::tree::ask;
use crate::harness::{PATIENCE, Server, Setup, Three, answers, heavy, page, status, subject};

const CLAIM: &str = "KVD_TEST_VERSION";

/// Puts one key after another through whichever member answers, until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(three: &Three) -> Load {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let apis: Vec<_> = three.0.iter().map(Server::api).collect();
        let (stopped, count) = (stop.clone(), acknowledged.clone());
        let task = tokio::spawn(async move {
            let mut number = 1_u64;
            for api in apis.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let text = number.to_string();
                let put = pb::PutRequest {
                    key: format!("load/{text}").into(),
                    value: text.into(),
                    ..Default::default()
                };
                let mut kv = api.kv.clone();
                match tokio::time::timeout(Duration::from_secs(10), kv.put(put)).await {
                    Ok(Ok(_)) => {
                        count.store(number, Ordering::Relaxed);
                        number += 1;
                    }
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        Load { stop, acknowledged, task }
    }

    /// Waits until more writes are acknowledged: the cluster works.
    async fn goes_on(&self) {
        let (before, begun) = (self.acknowledged.load(Ordering::Relaxed), Instant::now());
        while self.acknowledged.load(Ordering::Relaxed) < before + 20 {
            assert!(begun.elapsed() < PATIENCE, "no writes after {before}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("no panic");
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// Waits until the page says this version of the cluster.
async fn cluster_is(member: &Server, version: &str) {
    let begun = Instant::now();
    let wanted = format!("\"etcdcluster\":\"{version}\"");
    loop {
        let shown = page(member, "/version").await;
        if shown.contains(&wanted) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not {wanted}: {shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The output and whether it is safe.
fn upgrade_status(member: &Server) -> (String, bool) {
    let endpoints = format!("--endpoints={}", member.endpoint());
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvctl"));
    let output = command.args([&endpoints, "upgrade", "status"]).output().expect("kvctl runs");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
}

async fn is_safe(member: &Server, next: &str) {
    let begun = Instant::now();
    loop {
        let (shown, safe) = upgrade_status(member);
        if safe && shown.contains(next) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not {next:?}: {shown}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Exchanges a member's program.
async fn exchange(three: &mut Three, place: usize, version: &str) {
    let member = &mut three.0[place];
    member.signal(Signal::TERM);
    member.ended().await;
    member.add_env(CLAIM, version);
    member.spawn();
    answers(member).await;
    assert!(status(member).await.version.starts_with(version));
}

async fn downgrade(member: &Server, action: DowngradeAction, version: &str) -> Result<String, tonic::Status> {
    let request = pb::DowngradeRequest { action: action.into(), version: version.into() };
    let answer = member.api().maintenance.downgrade(request).await;
    answer.map(|answer| answer.into_inner().version)
}

/// The status of a write to v2's tree, which members of 3.6 do not know, and what is said.
async fn set_in_tree(member: &Server) -> (u16, String) {
    ask(member, "PUT", "/v2/keys/a", "value=1").await
}

/// A start that ends by itself: its exit code and its log.
async fn refused(three: &mut Three, place: usize, version: &str) -> (Option<i32>, String) {
    let member = &mut three.0[place];
    member.signal(Signal::TERM);
    member.ended().await;
    member.add_env(CLAIM, version);
    member.spawn();
    let code = member.ended().await.code();
    (code, member.log())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_up_and_down_one_member_at_a_time_under_load() {
    if !subject().is_kvd() {
        return;
    }
    let _turn = heavy().await;
    let mut three = Three::start_with(|_, member| {
        member.add_env(CLAIM, "3.6");
        member.add_args(&["--enable-v2=true"]);
    })
    .await;
    cluster_is(&three.0[0], "3.6.0").await;
    let load = Load::start(&three);
    load.goes_on().await;

    // Up: a follower, then the leader, so that it is on either side.
    let leader = three.leader().await;
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    for place in [others[0], leader, others[1]] {
        cluster_is(&three.0[place], "3.6.0").await;
        // No leader, old or new, appends what some member would not know.
        for member in &three.0 {
            let (status, said) = set_in_tree(member).await;
            assert!(status == 500 && said.contains("etcdserver: not capable"), "{status} {said}");
        }
        exchange(&mut three, place, "3.7").await;
        load.goes_on().await;
    }
    for member in &three.0 {
        cluster_is(member, "3.7.0").await;
    }
    is_safe(&three.0[0], "all members run 3.7: nothing is under way").await;

    // Nobody comes back with the old program, or with one that is two versions ahead of the cluster.
    let (code, log) = refused(&mut three, others[0], "3.6").await;
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("`kvctl downgrade enable 3.6`"), "{log}");
    three.0[others[0]].add_env(CLAIM, "3.9");
    three.0[others[0]].spawn();
    assert_eq!(three.0[others[0]].ended().await.code(), Some(78));
    assert!(three.0[others[0]].log().contains("one minor version at a time"));
    let (shown, safe) = upgrade_status(&three.0[leader]);
    assert!(!safe && shown.contains("does not answer"), "{shown}");
    three.0[others[0]].add_env(CLAIM, "3.7");
    three.0[others[0]].spawn();
    answers(&three.0[others[0]]).await;
    load.goes_on().await;

    // Down: the cluster's version first, then the members, again with the leader in the middle.
    let member = &three.0[leader];
    let error = downgrade(member, DowngradeAction::Validate, "3.5").await.expect_err("two versions");
    assert_eq!(
        (error.code(), error.message()),
        (Code::InvalidArgument, "etcdserver: invalid downgrade target version")
    );
    assert_eq!(downgrade(member, DowngradeAction::Validate, "3.6").await.expect("possible"), "3.7");
    downgrade(member, DowngradeAction::Enable, "3.6.0").await.expect("begun");
    cluster_is(member, "3.6.0").await;
    let error = downgrade(member, DowngradeAction::Enable, "3.5").await.expect_err("one at a time");
    assert_eq!(error.message(), "etcdserver: cluster has a downgrade job in progress");
    let info = status(member).await.downgrade_info.expect("there");
    assert_eq!((info.enabled, info.target_version.as_str()), (true, "3.6.0"));
    let leader = three.leader().await;
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    for place in [others[0], leader, others[1]] {
        is_safe(&three.0[place], " for version 3.6").await;
        exchange(&mut three, place, "3.6").await;
        load.goes_on().await;
    }
    is_safe(&three.0[0], "all members run 3.6: nothing is under way").await;
    cluster_is(&three.0[0], "3.6.0").await;
    assert!(!status(&three.0[0]).await.downgrade_info.expect("there").enabled);

    let acknowledged = load.end().await;
    for member in &three.0 {
        let range = pb::RangeRequest {
            key: "load/".into(),
            range_end: "load0".into(),
            count_only: true,
            ..Default::default()
        };
        let count = member.api().kv.range(range).await.expect("an answer").into_inner().count;
        assert!(count as u64 >= acknowledged, "{count} of {acknowledged}");
    }
}

/// It is taken back before any member was exchanged: the cluster's version rises again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_downgrade_that_is_cancelled_leaves_everything_as_it_was() {
    if !subject().is_kvd() {
        return;
    }
    let server = Setup::of(&subject()).arg("--enable-v2=true").start().await;
    cluster_is(&server, "3.7.0").await;
    assert_eq!(downgrade(&server, DowngradeAction::Cancel, "").await.expect("as etcd"), "3.7");
    downgrade(&server, DowngradeAction::Enable, "3.6").await.expect("begun");
    cluster_is(&server, "3.6.0").await;
    assert!(set_in_tree(&server).await.1.contains("not capable"), "3.6 would not know it");
    let (shown, safe) = upgrade_status(&server);
    assert!(safe && shown.contains("going back to 3.6\n"), "{shown}");
    assert_eq!(downgrade(&server, DowngradeAction::Cancel, "").await.expect("ended"), "3.6");
    cluster_is(&server, "3.7.0").await;
    assert!(!status(&server).await.downgrade_info.expect("there").enabled);
    let (status, said) = set_in_tree(&server).await;
    assert_eq!(status, 201, "{said}");
    let error = downgrade(&server, DowngradeAction::Enable, "3.6").await.expect_err("the tree would be lost");
    assert!(error.code() == Code::Unimplemented && error.message().contains("v2 API"), "{error}");
    cluster_is(&server, "3.7.0").await;
}

/// Whoever wants to join with a program that does not fit is not added.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_not_fit_cannot_join() {
    if !subject().is_kvd() {
        return;
    }
    let founder = Server::of(&subject()).await;
    cluster_is(&founder, "3.7.0").await;
    let members = || {
        let mut api = founder.api();
        async move {
            let list = pb::MemberListRequest { linearizable: true };
            api.cluster.member_list(list).await.expect("a list").into_inner().members.len()
        }
    };
    for (version, why) in
        [("3.6", "Start the program of version 3.7 here"), ("3.9", "one minor version at a time")]
    {
        let mut joiner = Setup::of(&subject()).prepare();
        joiner.add_env(CLAIM, version);
        joiner.add_args(&["--name=joiner", "--initial-cluster-state=existing"]);
        joiner.add_args(&[&format!("--join-peers={}", founder.peer_url())]);
        joiner.spawn();
        let code = joiner.ended().await.code();
        assert!(code == Some(78) && joiner.log().contains(why), "{code:?}: {}", joiner.log());
        assert_eq!(members().await, 1);
        joiner.add_env(CLAIM, "3.8");
        if version == "3.9" {
            joiner.start().await;
            assert_eq!(members().await, 2);
            cluster_is(&founder, "3.7.0").await;
        }
    }
}
