//! Members of a former life of the cluster, from before it was begun anew, are refused: two histories never mix.

use crate::harness::{Server, Three, answers, status, subject, until};
use kvd::api::proto::etcdserverpb::{PutRequest, RangeRequest};
use std::fs;
use std::path::Path;

async fn put(member: &Server, key: &str) {
    let request = PutRequest { key: key.to_owned().into(), value: "v".into(), ..PutRequest::default() };
    member.api().kv.put(request).await.expect("a put");
}

async fn count(member: &Server) -> i64 {
    let all =
        RangeRequest { key: "\0".into(), range_end: "\0".into(), serializable: true, ..Default::default() };
    member.api().kv.range(all).await.expect("an answer").into_inner().count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_left_over_from_before_a_forced_cluster_is_refused() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    put(&three.0[0], "before").await;
    for member in &mut three.0 {
        member.kill();
    }
    let [one, two, _] = three.0.as_mut_slice() else { panic!("three members") };
    one.add_args(&["--force-new-cluster"]);
    one.start().await;
    put(one, "after").await;
    two.spawn();
    until("it is refused", || two.log().contains("permanently removed")).await;
    answers(one).await;
    assert_eq!(count(one).await, 2);
    assert_eq!(status(two).await.leader, 0, "one of three leads nobody");
}

/// The identities below `dir` say that their member entered the cluster in this life of it.
fn enter_epoch(dir: &Path, epoch: u64) {
    for entry in fs::read_dir(dir).expect("there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            enter_epoch(&path, epoch);
        } else if path.file_name().is_some_and(|name| name == "identity") {
            let text = fs::read_to_string(&path).expect("readable");
            assert!(text.contains("epoch 0\n"), "{text}");
            fs::write(&path, text.replace("epoch 0", &format!("epoch {epoch}"))).expect("written");
        }
    }
}

/// As it is after two of three were restored, with the ids that they had before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_left_out_of_a_restore_is_refused() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    put(&three.0[0], "before").await;
    for member in &mut three.0 {
        member.stop().await;
    }
    for member in &three.0[..2] {
        enter_epoch(&member.data_dir(), 1);
    }
    for member in &mut three.0 {
        member.spawn();
    }
    let old = &three.0[2];
    until("it is refused", || old.log().contains("cluster epoch mismatch")).await;
    for member in &three.0[..2] {
        answers(member).await;
    }
    put(&three.0[0], "after").await;
    assert_eq!(status(old).await.leader, 0);
    assert_eq!(count(old).await, 1);
    assert!(three.0[..2].iter().any(|member| member.log().contains("cluster epoch mismatch")));
}
