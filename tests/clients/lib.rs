//! kvd with the client crate `etcd-client`. `tests/run` builds kvd and sets its path in `KVD_BIN`.
#![cfg(test)]

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, ElectionClient, EventType, GetOptions, LockOptions, PutOptions,
    SortOrder, SortTarget, Txn, TxnOp, WatchOptions,
};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A kvd that ends with its test.
struct Daemon {
    child: Child,
    url: String,
    _dir: TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("a bound listener has an address"))
}

/// Starts kvd and connects to it.
async fn daemon() -> (Daemon, Client) {
    let program = std::env::var("KVD_BIN").expect("KVD_BIN names the program");
    let (url, peer) = (free_url(), free_url());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let child = Command::new(program)
        .arg(format!("--data-dir={}", dir.path().join("data").display()))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("kvd starts");
    let daemon = Daemon { child, url, _dir: dir };
    let start = Instant::now();
    loop {
        if let Ok(mut client) = Client::connect([&daemon.url], None).await
            && client.get("ready", None).await.is_ok()
        {
            return (daemon, client);
        }
        assert!(start.elapsed() < Duration::from_secs(60), "kvd does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn etcd_client_reads_and_writes() {
    let (_daemon, mut client) = daemon().await;
    client.put("a", "1", None).await.expect("a put");
    let put = client.put("a", "2", Some(PutOptions::new().with_prev_key())).await.expect("a put");
    assert_eq!(put.prev_key().expect("a previous value").value(), b"1");
    for key in ["p/1", "p/2", "p/3"] {
        client.put(key, key, None).await.expect("a put");
    }
    let options = GetOptions::new().with_prefix().with_sort(SortTarget::Key, SortOrder::Descend).with_limit(2);
    let got = client.get("p/", Some(options)).await.expect("a range");
    let keys: Vec<&[u8]> = got.kvs().iter().map(|kv| kv.key()).collect();
    assert_eq!((keys, got.more(), got.count()), (vec![&b"p/3"[..], &b"p/2"[..]], true, 3));
    let txn = Txn::new()
        .when([Compare::value("a", CompareOp::Equal, "2")])
        .and_then([TxnOp::put("b", "in", None), TxnOp::delete("p/1", None)])
        .or_else([TxnOp::put("b", "out", None)]);
    assert!(client.txn(txn).await.expect("a transaction").succeeded());
    let options = DeleteOptions::new().with_prefix().with_prev_key();
    let deleted = client.delete("p/", Some(options)).await.expect("a delete");
    assert_eq!((deleted.deleted(), deleted.prev_kvs().len()), (2, 2));
    let revision = deleted.header().expect("a header").revision();
    client.compact(revision, None).await.expect("a compaction");
    let old = client.get("a", Some(GetOptions::new().with_revision(1))).await.expect_err("compacted");
    assert!(old.to_string().contains("required revision has been compacted"), "{old}");
}

#[tokio::test]
async fn etcd_client_watches() {
    let (_daemon, mut client) = daemon().await;
    let options = WatchOptions::new().with_prefix().with_prev_key();
    let mut stream = client.watch("w/", Some(options)).await.expect("a watch");
    client.put("w/1", "x", None).await.expect("a put");
    client.put("w/1", "y", None).await.expect("a put");
    client.delete("w/1", None).await.expect("a delete");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let message = stream.message().await.expect("the stream holds").expect("a message");
        for event in message.events() {
            let previous = event.prev_kv().map(|kv| kv.value().to_vec());
            seen.push((event.event_type(), previous));
        }
    }
    let previous = |value: &str| Some(value.as_bytes().to_vec());
    let expected = [
        (EventType::Put, None),
        (EventType::Put, previous("x")),
        (EventType::Delete, previous("y")),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn etcd_client_leases_locks_and_elections() {
    let (_daemon, mut client) = daemon().await;
    let lease = client.lease_grant(60, None).await.expect("a lease").id();
    client.put("l", "v", Some(PutOptions::new().with_lease(lease))).await.expect("a put");
    let (mut keeper, mut answers) = client.lease_keep_alive(lease).await.expect("a stream");
    keeper.keep_alive().await.expect("a renewal");
    assert_eq!(answers.message().await.expect("the stream holds").expect("an answer").ttl(), 60);
    let locked = client.lock("mutex", Some(LockOptions::new().with_lease(lease))).await.expect("a lock");
    assert!(locked.key().starts_with(b"mutex/"));
    client.unlock(locked.key()).await.expect("an unlock");
    let mut election: ElectionClient = client.election_client();
    let campaign = election.campaign("office", "me", lease).await.expect("a campaign");
    let leader = election.leader("office").await.expect("a leader");
    assert_eq!(leader.kv().expect("a key").value(), b"me");
    assert!(campaign.leader().is_some());
    client.lease_revoke(lease).await.expect("a revoke");
    assert_eq!(client.get("l", None).await.expect("a read").count(), 0);
}

#[tokio::test]
async fn etcd_client_looks_after_a_member() {
    let (_daemon, mut client) = daemon().await;
    assert_eq!(client.member_list().await.expect("a list").members().len(), 1);
    assert!(client.status().await.expect("a status").version().starts_with("3."));
    client.alarm(etcd_client::AlarmAction::Get, etcd_client::AlarmType::None, None).await.expect("alarms");
    client.defragment().await.expect("a defragmentation");
    client.hash_kv(0).await.expect("a hash");
    let mut snapshot = client.snapshot().await.expect("a snapshot");
    let mut bytes = 0;
    while let Some(part) = snapshot.message().await.expect("the stream holds") {
        bytes += part.blob().len();
    }
    assert!(bytes > 32);
}
