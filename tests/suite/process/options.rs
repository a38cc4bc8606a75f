//! Effects of options that are visible only from outside.

use crate::harness::{PATIENCE, Server, Setup, subject, until};
use kvd::api::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, StatusRequest, StatusResponse,
};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_file_is_put_aside() {
    let mut server = Setup::of(&subject()).prepare();
    let path = server.dir().join("server.log");
    std::fs::write(&path, vec![b'.'; (1 << 20) - 10]).expect("a log that is nearly full");
    let output = format!("--log-outputs={}", path.display());
    let rules = "--log-rotation-config-json={\"maxsize\": 1, \"compress\": true}";
    server.add_args(&[&output, "--enable-log-rotation", rules]);
    server.start().await;
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(server.dir()).expect("the directory").filter_map(Result::ok);
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let is_aside = |name: &String| name.starts_with("server-20") && name.ends_with(".log.gz");
    until("the full file under another name", || names().iter().any(is_aside)).await;
    let log = std::fs::read_to_string(&path).expect("a new log");
    assert!(log.lines().all(|line| line.starts_with('{')) && !log.is_empty(), "{log}");
}

async fn status(server: &Server) -> StatusResponse {
    server.api().maintenance.clone().status(StatusRequest {}).await.expect("a status").into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_defragments_at_its_start_where_that_is_worth_it() {
    let mut server = Server::of(&subject()).await;
    let mut kv = server.api().kv.clone();
    for number in 0..4_u8 {
        let key = vec![b'k', number];
        kv.put(PutRequest { key: key.into(), value: vec![number; 1 << 20].into(), ..Default::default() })
            .await
            .expect("a put");
    }
    let all = DeleteRangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
    let deleted = kv.delete_range(all).await.expect("a deletion").into_inner();
    let revision = deleted.header.expect("a header").revision;
    kv.compact(CompactionRequest { revision, physical: true }).await.expect("a compaction");
    let begun = Instant::now();
    // etcd's figures change with its next commit.
    while status(&server).await.db_size_in_use > 1 << 20 {
        assert!(begun.elapsed() < PATIENCE, "the space is not freed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = status(&server).await.db_size;
    server.stop().await;
    server.add_args(&["--bootstrap-defrag-threshold-megabytes=1000"]);
    server.start().await;
    assert_eq!(status(&server).await.db_size, before, "it would free less than the threshold");
    server.stop().await;
    server.add_args(&["--bootstrap-defrag-threshold-megabytes=1"]);
    server.start().await;
    assert!(status(&server).await.db_size < 1 << 20, "{before} bytes before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feature_gates_are_those_of_etcd() {
    let server =
        Setup::of(&subject()).arg("--feature-gates=StopGRPCServiceOnDefrag=true,AllBeta=true").start();
    let server = server.await;
    if subject().is_kvd() {
        let log = server.log();
        assert!(log.contains("feature gate StopGRPCServiceOnDefrag changes nothing"), "{log}");
    }
    let mut unknown = Setup::of(&subject()).arg("--feature-gates=NoSuchGate=true").prepare();
    unknown.spawn();
    assert!(!unknown.ended().await.success());
    assert!(unknown.log().contains("unrecognized feature gate: NoSuchGate"), "{}", unknown.log());
}
