//! Three members while applying takes long: a command that touches very many keys, a disk of the store that stands
//! still. Neither causes an election or a failed write.
//!
//! ```text
//! KVD_SUITE_PROGRAM=target/release/kvd cargo test --test suite process::stalls -- --ignored --nocapture --test-threads=1
//! ```
//! prints figures of the large variants. The small ones leave elections more time, for the machine that runs them may be
//! busy.

use super::notify::Manager;
use crate::harness::{PATIENCE, Server, Setup, Three, heavy, orderly, page, skip, status, subject, until};
use kvd::api::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    request_op::Request,
};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Makes writes and flushes of files below `STALL_BELOW` wait as long as the file `STALL_WHILE` is there. LMDB is a
/// client of the C library, so that its calls can be intercepted.
const STALL: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static void stall(int fd) {
    const char *below = getenv("STALL_BELOW"), *file = getenv("STALL_WHILE");
    char link[64], path[PATH_MAX];
    if (!below || !file) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    if (strncmp(path, below, strlen(below))) return;
    while (access(file, F_OK) == 0) usleep(1000);
}

#define NEXT(name) ({ static void *next; if (!next) next = dlsym(RTLD_NEXT, name); next; })

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    stall(fd);
    return ((ssize_t (*)(int, const void *, size_t, off_t))NEXT("pwrite"))(fd, bytes, length, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    stall(fd);
    return ((ssize_t (*)(int, const void *, size_t, off64_t))NEXT("pwrite64"))(fd, bytes, length, at);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    stall(fd);
    return ((ssize_t (*)(int, const struct iovec *, int, off_t))NEXT("pwritev"))(fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    stall(fd);
    return ((ssize_t (*)(int, const struct iovec *, int, off64_t))NEXT("pwritev64"))(fd, parts, count, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    stall(fd);
    return ((ssize_t (*)(int, const struct iovec *, int))NEXT("writev"))(fd, parts, count);
}
int fdatasync(int fd) { stall(fd); return ((int (*)(int))NEXT("fdatasync"))(fd); }
int fsync(int fd) { stall(fd); return ((int (*)(int))NEXT("fsync"))(fd); }
"#;

/// The library, built in `dir`; without a C compiler `None`, and a line with the test's name.
fn stalling(test: &str, dir: &Path) -> Option<PathBuf> {
    let (source, library) = (dir.join("stall.c"), dir.join("stall.so"));
    std::fs::write(&source, STALL).expect("a file");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    match compile.output() {
        Ok(output) if output.status.success() => Some(library),
        Ok(output) => {
            skip(test, &format!("cc: {}", String::from_utf8_lossy(&output.stderr).trim()));
            None
        }
        Err(error) => {
            skip(test, &format!("no C compiler: {error}"));
            None
        }
    }
}

/// Puts through all members in turn, until it is stopped, and notes how long each took.
struct Writers {
    stopped: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Written>>,
}

#[derive(Default)]
struct Written {
    count: usize,
    failed: Vec<String>,
    slowest: Duration,
}

impl Writers {
    /// `keys` of them in one request, from one task for each member.
    fn start(members: &[Server], keys: usize) -> Writers {
        let stopped = Arc::new(AtomicBool::new(false));
        let task = |(n, member): (usize, &Server)| {
            let (api, stopped) = (member.api(), stopped.clone());
            tokio::spawn(async move {
                let mut written = Written::default();
                while !stopped.load(Ordering::Relaxed) {
                    let put = |key| put(format!("w{n}-{key}"), written.count.to_string(), 0);
                    let txn = TxnRequest { success: (0..keys).map(put).collect(), ..Default::default() };
                    let begun = Instant::now();
                    match api.kv.clone().txn(txn).await {
                        Ok(_) => written.count += 1,
                        Err(status) => written.failed.push(status.to_string()),
                    }
                    written.slowest = written.slowest.max(begun.elapsed());
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                written
            })
        };
        let tasks = members.iter().enumerate().map(task).collect();
        Writers { stopped, tasks }
    }

    async fn stop(self) -> Written {
        self.stopped.store(true, Ordering::Relaxed);
        let mut all = Written::default();
        for task in self.tasks {
            let written = task.await.expect("a writer");
            all.count += written.count;
            all.failed.extend(written.failed);
            all.slowest = all.slowest.max(written.slowest);
        }
        all
    }
}

fn put(key: String, value: String, lease: i64) -> RequestOp {
    let put = PutRequest { key: key.into(), value: value.into(), lease, ..Default::default() };
    RequestOp { request: Some(Request::RequestPut(put)) }
}

/// Leaders that the members have seen, all together.
async fn elections(three: &Three) -> u64 {
    let mut all = 0;
    for member in &three.0 {
        let metrics = page(member, "/metrics").await;
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("etcd_server_leader_changes_seen_total "));
        all += line.and_then(|count| count.parse::<u64>().ok()).expect("the metric");
    }
    all
}

fn report(what: &str, written: &Written, elections: u64) {
    println!(
        "{what}: {elections} elections seen, {} writes, {} failed, slowest {:?}",
        written.count,
        written.failed.len(),
        written.slowest
    );
    assert!(written.count > 0, "{what}");
    assert_eq!(written.failed, Vec::<String>::new(), "{what}");
    assert_eq!(elections, 0, "{what}");
}

/// Waits until all members have applied the same entries, so that earlier work does not affect the next step.
async fn level(three: &Three) {
    let begun = Instant::now();
    for member in &three.0 {
        let read = RangeRequest { key: "k".into(), ..Default::default() };
        while member.api().kv.range(read.clone()).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "no answer: {}", member.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The usual times of an election, and longer ones.
const USUAL: [&str; 2] = ["--heartbeat-interval=100", "--election-timeout=1000"];
const PATIENT: [&str; 2] = ["--heartbeat-interval=300", "--election-timeout=3000"];

/// A lease with so many keys is revoked while others write.
async fn revoke(count: usize, times: [&str; 2]) {
    const OPS: usize = 5000;
    let _turn = heavy().await;
    let three = Three::start_with(|_, member| {
        member.add_args(&times);
        member.add_args(&["--max-txn-ops=5000"]);
    })
    .await;
    let leader = &three.0[three.leader().await];
    let api = leader.api();
    api.lease.clone().lease_grant(LeaseGrantRequest { id: 7, ttl: 36000 }).await.expect("a lease");
    for first in (0..count).step_by(OPS) {
        let puts = (first..count.min(first + OPS)).map(|n| put(format!("k{n:08}"), "v".into(), 7));
        let txn = TxnRequest { success: puts.collect(), ..Default::default() };
        api.kv.clone().txn(txn).await.expect("a transaction");
    }
    level(&three).await;
    let before = elections(&three).await;
    let writers = Writers::start(&three.0, 1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    // Its answer may be late; what it does is done all the same.
    let answer = api.lease.clone().lease_revoke(LeaseRevokeRequest { id: 7 }).await;
    let took = begun.elapsed();
    let read =
        RangeRequest { key: "k".into(), range_end: "l".into(), count_only: true, ..Default::default() };
    for member in &three.0 {
        while member.api().kv.range(read.clone()).await.is_ok_and(|found| found.into_inner().count > 0) {
            assert!(begun.elapsed() < 10 * PATIENCE, "the keys stay");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let written = writers.stop().await;
    println!("revoked {count} keys in {took:?}: {:?}", answer.map(drop).map_err(|status| status.to_string()));
    report("revocation", &written, elections(&three).await - before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_revocation_of_a_lease_with_many_keys_elects_nobody() {
    if subject().is_kvd() {
        revoke(30_000, PATIENT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; for figures"]
async fn the_revocation_of_a_lease_with_a_million_keys_elects_nobody() {
    if subject().is_kvd() {
        revoke(1_000_000, USUAL).await;
    }
}

/// The disk of each store in turn does not respond for this long, while others write more than memory holds.
async fn stall(test: &str, times: [&str; 2]) {
    const TIME: Duration = Duration::from_secs(5);
    let _turn = heavy().await;
    let dir = tempfile::Builder::new().prefix("kvd-stall-").tempdir().expect("a temporary directory");
    let Some(library) = stalling(test, dir.path()) else { return };
    let switch = |number: usize| dir.path().join(format!("stall-{number}"));
    let mut three = Three::start_with(|number, member| {
        // The names of the machine are those that the process sees.
        let store = std::fs::canonicalize(member.dir()).expect("a directory").join("data/member/store");
        member.add_args(&times);
        member.add_env("LD_PRELOAD", &library.display().to_string());
        member.add_env("STALL_BELOW", &store.display().to_string());
        member.add_env("STALL_WHILE", &switch(number).display().to_string());
    })
    .await;
    for number in 0..3 {
        level(&three).await;
        let leads = three.leader().await == number;
        let before = elections(&three).await;
        let writers = Writers::start(&three.0, 100);
        tokio::time::sleep(Duration::from_millis(500)).await;
        std::fs::write(switch(number), "").expect("a file");
        let begun = Instant::now();
        // Calls that had begun have ended or wait now.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let checkpoints = commits(&three.0[number]).await;
        tokio::time::sleep(TIME).await;
        let stood = commits(&three.0[number]).await == checkpoints;
        std::fs::remove_file(switch(number)).expect("the file is there");
        let lasted = begun.elapsed();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let written = writers.stop().await;
        let role = if leads { "leader" } else { "follower" };
        assert!(stood, "the store's disk of the {role} did not stand still");
        report(&format!("{role}'s store stalled for {lasted:?}"), &written, elections(&three).await - before);
    }
    for member in &mut three.0 {
        assert!(member.is_running());
    }
}

/// How many commits the store's disk has taken.
async fn commits(member: &Server) -> String {
    let metrics = page(member, "/metrics").await;
    let line =
        metrics.lines().find(|line| line.starts_with("etcd_disk_backend_commit_duration_seconds_count"));
    line.expect("the metric").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_of_a_store_that_stands_still_elects_nobody() {
    if subject().is_kvd() {
        stall("a_disk_of_a_store_that_stands_still_elects_nobody", PATIENT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "for figures"]
async fn with_usual_times_a_disk_of_a_store_that_stands_still_elects_nobody() {
    if subject().is_kvd() {
        stall("with_usual_times_a_disk_of_a_store_that_stands_still_elects_nobody", USUAL).await;
    }
}

/// The disk of the leader's log stands still: another member leads, writes go on, and it takes nothing back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_log_stands_still_hands_over_and_takes_nothing_back() {
    if !subject().is_kvd() {
        return;
    }
    let _turn = heavy().await;
    let dir = tempfile::Builder::new().prefix("kvd-stall-").tempdir().expect("a temporary directory");
    let test = "a_leader_whose_log_stands_still_hands_over_and_takes_nothing_back";
    let Some(library) = stalling(test, dir.path()) else { return };
    let switch = |number: usize| dir.path().join(format!("stall-{number}"));
    let three = Three::start_with(|number, member| {
        let log = std::fs::canonicalize(member.dir()).expect("a directory").join("data/member/log");
        member.add_args(&PATIENT);
        member.add_env("LD_PRELOAD", &library.display().to_string());
        member.add_env("STALL_BELOW", &log.display().to_string());
        member.add_env("STALL_WHILE", &switch(number).display().to_string());
    })
    .await;
    level(&three).await;
    let before = three.leader().await;
    let others: Vec<usize> = (0..3).filter(|number| *number != before).collect();
    std::fs::write(switch(before), "").expect("a file");
    let begun = Instant::now();
    let leader = |of: usize| {
        let member = &three.0[of];
        async move { status(member).await.leader }
    };
    let own = status(&three.0[before]).await.header.expect("a header").member_id;
    // Whatever is written shows it; followers pass it on.
    loop {
        let write = TxnRequest { success: vec![put("k".into(), "v".into(), 0)], ..Default::default() };
        let asked = three.0[others[0]].api().kv.clone().txn(write).await;
        let led = leader(others[0]).await;
        if asked.is_ok() && led != 0 && led != own && led == leader(others[1]).await {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody else leads: {}", three.0[before].log());
    }
    assert!(three.0[before].log().contains("the disk of the raft log stands still"));
    println!("another member leads after {:?}", begun.elapsed());
    std::fs::remove_file(switch(before)).expect("the file is there");
    // It has caught up when it answers a read that asks the leader.
    level(&three).await;
    for number in 0..3 {
        assert_ne!(leader(number).await, own, "it takes leadership back");
    }
}

/// A member without others writes its log on raft's own thread, which then waits for the disk. The member says so while it
/// lasts, answers what needs no disk, and ends what waits in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_others_says_that_its_log_stands_still_while_it_does() {
    if !subject().is_kvd() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("kvd-stall-").tempdir().expect("a temporary directory");
    let test = "a_member_without_others_says_that_its_log_stands_still_while_it_does";
    let Some(library) = stalling(test, dir.path()) else { return };
    let switch = dir.path().join("stall");
    let mut alone = Setup::of(&subject()).prepare();
    let log = std::fs::canonicalize(alone.dir()).expect("a directory").join("data/member/log");
    alone.add_env("LD_PRELOAD", &library.display().to_string());
    alone.add_env("STALL_BELOW", &log.display().to_string());
    alone.add_env("STALL_WHILE", &switch.display().to_string());
    alone.start().await;
    let write =
        |value: &str| TxnRequest { success: vec![put("k".into(), value.into(), 0)], ..Default::default() };
    alone.api().kv.clone().txn(write("before")).await.expect("written");
    std::fs::write(&switch, "").expect("a file");
    let writing = tokio::spawn({
        let mut kv = alone.api().kv.clone();
        let write = write("after");
        async move { kv.txn(write).await }
    });
    let begun = Instant::now();
    while !alone.log().contains("the disk of the raft log stands still") {
        assert!(begun.elapsed() < PATIENCE, "{}", alone.log());
        let get = RangeRequest { key: "k".into(), ..Default::default() };
        let found = alone.api().kv.clone().range(get).await.expect("it asks nobody").into_inner();
        assert_eq!(found.kvs[0].value, "before");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(&switch).expect("the file is there");
    let done = writing.await.expect("it ends");
    assert!(done.is_ok() || begun.elapsed() > Duration::from_secs(5), "{done:?}");
    while !alone.log().contains("the disk of the raft log goes on") {
        assert!(begun.elapsed() < PATIENCE, "{}", alone.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    alone.api().kv.clone().txn(write("later")).await.expect("written");
}

/// A member without others whose log's disk can stand still: the member, systemd's side of it, and the file that makes the
/// disk stand still.
async fn notifying(test: &str, dir: &Path) -> Option<(Server, Manager, PathBuf)> {
    let library = stalling(test, dir)?;
    let switch = dir.join("stall");
    let mut alone = Setup::of(&subject()).prepare();
    let manager = Manager::of(&mut alone);
    let log = std::fs::canonicalize(alone.dir()).expect("a directory").join("data/member/log");
    alone.add_env("LD_PRELOAD", &library.display().to_string());
    alone.add_env("STALL_BELOW", &log.display().to_string());
    alone.add_env("STALL_WHILE", &switch.display().to_string());
    alone.start().await;
    Some((alone, manager, switch))
}

/// Puts a value while the disk stands still; its outcome comes later.
fn put_into_the_stall(server: &Server) -> JoinHandle<bool> {
    let mut kv = server.api().kv;
    let write = TxnRequest { success: vec![put("k".into(), "after".into(), 0)], ..Default::default() };
    tokio::spawn(async move { kv.txn(write).await.is_ok() })
}

async fn value(server: &Server) -> String {
    let get = RangeRequest { key: "k".into(), ..Default::default() };
    let found = server.api().kv.range(get).await.expect("a read").into_inner();
    String::from_utf8_lossy(&found.kvs[0].value).into_owned()
}

/// Whoever stops a member whose log's disk stands still sees at once what that waits for; once the disk goes on, the end is
/// an orderly one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_says_that_it_waits_for_the_disk_of_the_log() {
    if !subject().is_kvd() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("kvd-stall-").tempdir().expect("a temporary directory");
    let test = "a_stop_says_that_it_waits_for_the_disk_of_the_log";
    let Some((mut alone, mut manager, switch)) = notifying(test, dir.path()).await else { return };
    let before = TxnRequest { success: vec![put("k".into(), "before".into(), 0)], ..Default::default() };
    alone.api().kv.txn(before).await.expect("written");
    std::fs::write(&switch, "").expect("a file");
    let writing = put_into_the_stall(&alone);
    until("it is written", || alone.log().contains("the disk of the raft log stands still")).await;
    alone.signal(Signal::TERM);
    manager.hears("STATUS=stopping: the disk of the log has stood still for").await;
    until("the log says so", || alone.log().contains("stopping waits for the disk of the raft log")).await;
    assert!(
        alone.log().contains("are not flushed, and this member has not acknowledged them"),
        "{}",
        alone.log()
    );
    std::fs::remove_file(&switch).expect("the file is there");
    assert!(orderly(alone.ended().await), "{}", alone.log());
    let acknowledged = writing.await.expect("it ends");
    alone.start().await;
    let value = value(&alone).await;
    assert!(value == "after" || value == "before" && !acknowledged, "{value}, acknowledged: {acknowledged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute"]
async fn a_stop_does_not_wait_for_ever_for_the_disk_of_the_log() {
    if !subject().is_kvd() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("kvd-stall-").tempdir().expect("a temporary directory");
    let test = "a_stop_does_not_wait_for_ever_for_the_disk_of_the_log";
    let Some((mut alone, _, switch)) = notifying(test, dir.path()).await else { return };
    let before = TxnRequest { success: vec![put("k".into(), "before".into(), 0)], ..Default::default() };
    alone.api().kv.txn(before).await.expect("written");
    std::fs::write(&switch, "").expect("a file");
    let writing = put_into_the_stall(&alone);
    until("it is written", || alone.log().contains("the disk of the raft log stands still")).await;
    let begun = Instant::now();
    let status = alone.stop().await;
    println!("ended with {status} after {:?}: {}", begun.elapsed(), alone.log());
    assert_eq!(status.code(), Some(1));
    // `TimeoutStopSec=` of the unit.
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
    assert!(alone.log().contains("stopping without the disk of the raft log"), "{}", alone.log());
    assert!(!writing.await.expect("it ends"), "it was acknowledged, and is not flushed");
    std::fs::remove_file(&switch).expect("the file is there");
    alone.start().await;
    let value = value(&alone).await;
    assert!(value == "before" || value == "after", "{value}");
}
