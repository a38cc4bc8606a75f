//! A member whose state has become another one than the leader's says so; nobody else does.

use std::path::Path;
use std::time::Instant;

use kvd::api::proto::etcdserverpb::PutRequest;
use kvd::model::{Caller, Command, LogPosition, Proposal, Put, Stamp};
use kvd::store::{CheckpointPolicy, Options, Store};

use crate::harness::{PATIENCE, Server, Three, answers, page, subject};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_state_differs_reports_it() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    let leader = three.leader().await;
    let odd = (leader + 1) % 3;
    // An orderly end leaves a checkpoint.
    three.0[odd].stop().await;
    three.0[odd].start().await;
    answers(&three.0[odd]).await;
    wait_for(&three.0[odd], "kvd_state_comparisons_total", |compared| compared >= 1.0).await;
    // What comes now is in the log alone when the member is killed.
    for number in 0..5 {
        put(&three.0[leader], &number.to_string()).await;
    }
    answers(&three.0[odd]).await;
    three.0[odd].kill();
    apply_another_entry(&three.0[odd].data_dir().join("member/store"));
    three.0[odd].start().await;
    answers(&three.0[odd]).await;
    wait_for(&three.0[odd], "kvd_state_differs", |differs| differs == 1.0).await;
    let log = three.0[odd].log();
    assert!(log.contains("after the same log entry the state of this member is not the leader's"), "{log}");
    for place in (0..3).filter(|place| *place != odd) {
        assert_eq!(figure(&three.0[place], "kvd_state_differs").await, Some(0.0), "member {place}");
    }
}

/// In the place of the next entry of the log the store applies another one.
fn apply_another_entry(directory: &Path) {
    let options = Options { checkpoint: CheckpointPolicy::Manual, ..Options::default() };
    let store = Store::open(directory, options).expect("the store of a member that was killed");
    let last = store.applied().expect("the end of an orderly start");
    let position = LogPosition { index: last.index + 1, ..last };
    let command = Command::Put(Put { key: "other".into(), value: "other".into(), ..Put::default() });
    let proposal = Proposal { stamp: Stamp::default(), caller: Caller::System, command };
    store.apply(position, &[proposal]).expect("it is applied");
    store.checkpoint().expect("it is durable");
}

async fn put(member: &Server, value: &str) {
    let request = PutRequest { key: "k".into(), value: value.to_string().into(), ..PutRequest::default() };
    member.api().kv.put(request).await.expect("a put");
}

async fn figure(member: &Server, name: &str) -> Option<f64> {
    let page = page(member, "/metrics").await;
    let line = page.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

async fn wait_for(member: &Server, name: &str, is_right: impl Fn(f64) -> bool) {
    let begun = Instant::now();
    while !figure(member, name).await.is_some_and(&is_right) {
        assert!(begun.elapsed() < PATIENCE, "{name} never came: {}", member.log());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}
