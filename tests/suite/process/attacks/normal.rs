//! The normal client, and the member's memory meanwhile. Both are on a thread of their own: what the attackers have to do
//! in this process does not count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::{PutRequest, RangeRequest};
use tokio::time::error::Elapsed;
use tonic::Status;

use super::is_measured;
use crate::harness::{Api, PATIENCE, Server, subject};

const PAUSE: Duration = Duration::from_millis(10);

/// A member that is attacked.
pub struct Watched {
    done: Arc<AtomicBool>,
    rest: usize,
    normal: JoinHandle<([Vec<Duration>; 2], usize)>,
}

impl Watched {
    /// The normal client begins, and the memory is measured at rest.
    pub async fn begin(server: &Server) -> Watched {
        Watched::begin_as(server, None).await
    }

    /// The same with the token of a user.
    pub async fn begin_as(server: &Server, token: Option<String>) -> Watched {
        let (pid, url, done) = (server.pid(), server.url(), Arc::new(AtomicBool::new(false)));
        let ended = done.clone();
        let normal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut most = 0;
                let memory = async {
                    loop {
                        most = most.max(memory_of(pid));
                        tokio::time::sleep(PAUSE).await;
                    }
                };
                let took = tokio::select! {
                    took = puts_and_gets(&url, token.as_deref(), &ended) => took,
                    () = memory => unreachable!("it goes on until the client ends"),
                };
                (took, most)
            })
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        Watched { done, rest: memory_of(pid), normal }
    }

    /// The attack is over: the member never took more than `bound` bytes above its rest. Returns the 99th percentile of the
    /// normal client's gets.
    pub async fn end(self, attack: &str, bound: usize) -> Duration {
        let Watched { done, rest, normal } = self;
        done.store(true, Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(move || normal.join()).await.expect("it is waited for");
        let (took, most) = ended.unwrap_or_else(|failed| std::panic::resume_unwind(failed));
        let above = most.saturating_sub(rest);
        let at =
            |took: &[Duration], part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
        let [puts, gets] = took.map(|mut took| {
            took.sort();
            took
        });
        if is_measured() {
            let shown = |took: &[Duration]| format!("p50 {:.1?}, p99 {:.1?}", at(took, 50), at(took, 99));
            println!("{attack}: {} MB above rest; puts {}; gets {}", above >> 20, shown(&puts), shown(&gets));
        }
        assert!(
            above <= bound || !subject().is_kvd(),
            "{attack}: {} MB above rest, more than {}",
            above >> 20,
            bound >> 20
        );
        at(&gets, 99)
    }
}

/// Puts and gets a key until that is set, and returns how long each took.
async fn puts_and_gets(url: &str, token: Option<&str>, ended: &AtomicBool) -> [Vec<Duration>; 2] {
    let mut kv = Api::lazy(url).kv;
    let mut took = [Vec::new(), Vec::new()];
    while !ended.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let put = PutRequest { key: "normal".into(), value: "value".into(), ..Default::default() };
        let put = tokio::time::timeout(PATIENCE, kv.put(by(put, token))).await;
        is_answered(put.map(|put| put.map(drop)));
        took[0].push(begun.elapsed());
        let begun = Instant::now();
        let get = RangeRequest { key: "normal".into(), ..Default::default() };
        let get = tokio::time::timeout(PATIENCE, kv.range(by(get, token))).await;
        is_answered(get.map(|get| get.map(drop)));
        took[1].push(begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    took
}

/// Another program may do worse than kvd may.
fn is_answered(outcome: Result<Result<(), Status>, Elapsed>) {
    match outcome {
        Ok(Ok(())) => {}
        other if subject().is_kvd() => panic!("a normal request is answered: {other:?}"),
        other => println!("a normal request: {other:?}"),
    }
}

fn by<T>(message: T, token: Option<&str>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.parse().expect("a token is ASCII"));
    }
    request
}

/// The anonymous memory of a process in bytes; what it maps of its files is not in it.
fn memory_of(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}
