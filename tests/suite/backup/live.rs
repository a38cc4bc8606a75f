//! A running cluster of three moves to another program, as the README says: a copy that follows every change, a mark when
//! the writers are stopped, and then the clients' addresses. It goes from etcd to kvd, and back.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kvd::api::proto::etcdserverpb as pb;

use super::{kvctl, succeeds};
use crate::harness::{Server, Three, heavy, reference, subject, until};

const MARK: &str = "/migration/end";

/// `make-mirror`, which is ended with the test.
struct Mirror(Child);

impl Mirror {
    fn start(from: &Server, to: &Server) -> Mirror {
        let (from, to) = (format!("--endpoints={}", from.endpoint()), to.endpoint());
        let mut command = Command::new(kvctl());
        command.args([from.as_str(), "make-mirror", &to]).stdout(Stdio::null());
        Mirror(command.spawn().expect("kvctl runs"))
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Clients that write, change and delete keys until they are stopped.
struct Writers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Writers {
    fn start(cluster: &Three) -> Writers {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let write = |(writer, member): (usize, &Server)| {
            let (api, stop, done) = (member.api(), stop.clone(), done.clone());
            tokio::spawn(async move {
                let mut kv = api.kv;
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (key, value) = (format!("w{writer}/{}", number % 50), number.to_string());
                    if number % 7 == 6 {
                        let delete = pb::DeleteRangeRequest { key: key.into(), ..Default::default() };
                        kv.delete_range(delete).await.expect("deleted");
                    } else {
                        let put =
                            pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() };
                        kv.put(put).await.expect("put");
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks = cluster.0.iter().enumerate().map(write).collect();
        Writers { stop, done, tasks }
    }

    async fn have_done(&self, count: u64) {
        let before = self.done.load(Ordering::Relaxed);
        until("the writers go on", || self.done.load(Ordering::Relaxed) >= before + count).await;
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no write failed");
        }
    }
}

/// All keys and values.
async fn everything(member: &Server) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let all = pb::RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..Default::default() };
    let answer = member.api().kv.range(all).await.expect("a range").into_inner();
    answer.kvs.into_iter().map(|kv| (kv.key.to_vec(), kv.value.to_vec())).collect()
}

/// The steps of the README, while clients write.
async fn moves(from: &Three, to: &Three) {
    let writers = Writers::start(from);
    writers.have_done(100).await;
    let mirror = Mirror::start(&from.0[0], &to.0[0]);
    writers.have_done(300).await;
    writers.stop().await;
    let at = |member: &Server| format!("--endpoints={}", member.endpoint());
    succeeds(kvctl(), &[&at(&from.0[1]), "put", MARK, "1"]);
    while succeeds(kvctl(), &[&at(&to.0[1]), "get", MARK, "--print-value-only"]).trim() != "1" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(mirror);
    succeeds(kvctl(), &[&at(&from.0[1]), "del", MARK]);
    succeeds(kvctl(), &[&at(&to.0[1]), "del", MARK]);
    let expected = everything(&from.0[0]).await;
    assert!(expected.len() > 50);
    for member in &to.0 {
        assert_eq!(everything(member).await, expected);
    }
    let goes_on = Writers::start(to);
    goes_on.have_done(50).await;
    goes_on.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_cluster_moves_with_its_clients_and_back() {
    let Some(etcd) = reference("a_running_cluster_moves_with_its_clients_and_back") else { return };
    if !subject().is_kvd() {
        return;
    }
    let _turn = heavy().await;
    let kvd = Three::start().await;
    {
        let old = Three::of(&etcd, |_, _| {}).await;
        moves(&old, &kvd).await;
    }
    let new = Three::of(&etcd, |_, _| {}).await;
    moves(&kvd, &new).await;
}
