//! Figures, on request only: `cargo test --release --lib raft::tests::bench -- --ignored --nocapture`.

use std::time::Instant;

use super::*;
use crate::log::RealDisk;

/// CPU time of this process so far.
fn cpu() -> Duration {
    let usage = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = usage.rsplit(')').next().map_or(0, |rest| {
        rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
    });
    Duration::from_millis(ticks * 10)
}

async fn load(node: &Node, clients: usize, each: usize) -> (Vec<Duration>, Duration, Duration) {
    let (before, started) = (cpu(), Instant::now());
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let node = node.clone();
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(each);
                let value = "v".repeat(256);
                for n in 0..each {
                    let begun = Instant::now();
                    node.propose(put(&format!("key-{client}-{}", n % 1000), &value)).await.unwrap();
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let (wall, cpu) = (started.elapsed(), cpu() - before);
    times.sort_unstable();
    (times, wall, cpu)
}

#[test]
#[ignore = "measures; says nothing on a busy machine"]
fn proposals_of_one_member() {
    let dir = tempfile::tempdir_in(std::env::var("KVD_BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let disk = RealDisk::open(&dir.path().join("raft")).unwrap();
        let log = Log::open(Arc::new(disk), Options::new(Arc::new(Numbers(Mutex::new(1))))).unwrap();
        let store = Store::open(&dir.path().join("store"), store::Options::default()).unwrap();
        let node = Node::start_on_thread(NodeOptions {
            id: MemberId(1),
            cluster: ClusterId(1),
            name: "bench".into(),
            client_urls: Vec::new(),
            bootstrap: vec![member(1)],
            log,
            store,
            transport: Arc::new(NoTransport),
            clock: Arc::new(TestClock(tokio::time::Instant::now())),
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(1000),
            snapshot_count: 10_000,
            catchup_entries: 5_000,
            strict_reconfig: true,
            max_learners: 1,
            pre_vote: true,
            on_fatal: Arc::new(|why| panic!("fatal: {why}")),
        })
        .await
        .unwrap();
        for (clients, each) in [(1, 10_000), (1, 20_000), (64, 3_000), (256, 1_000), (1000, 300)] {
            let (times, wall, cpu) = load(&node, clients, each).await;
            let count = times.len();
            println!(
                "{clients:5} clients: {:7.0}/s, p50 {:?}, p99 {:?}, {:.1} us CPU each",
                count as f64 / wall.as_secs_f64(),
                times[count / 2],
                times[count * 99 / 100],
                cpu.as_secs_f64() * 1e6 / count as f64,
            );
        }
        node.shutdown().await;
    });
}
