//! Data that do not belong together: a disk that is not mounted, a copy of another date, another member's files. They
//! are refused with a way back; data that are accepted have everything that was acknowledged.

use crate::harness::{PATIENCE, Server, Setup, heavy, subject};
use kvd::api::proto::etcdserverpb::{PutRequest, RangeRequest};
use kvd::log::{Log, Mode, Options, RealDisk};
use kvd::model::Entropy;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct NoDice;

impl Entropy for NoDice {
    fn next(&self) -> u64 {
        4
    }
}

async fn put(server: &Server, keys: std::ops::Range<usize>) {
    let mut kv = server.api().kv;
    for key in keys {
        let request = PutRequest { key: format!("k{key}").into(), value: "v".into(), ..Default::default() };
        kv.put(request).await.expect("a put");
    }
}

/// The number of keys it serves, or what it prints before it ends.
async fn outcome(server: &mut Server) -> Result<i64, String> {
    server.spawn();
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if server.poll_exit().is_some() {
            let status = server.ended().await;
            assert_eq!(status.code(), Some(65), "{}", server.log());
            return Err(server.log());
        }
        let all =
            RangeRequest { key: "\0".into(), range_end: "\0".into(), count_only: true, ..Default::default() };
        let mut kv = server.api().kv;
        if let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(2), kv.range(all)).await {
            server.kill();
            return Ok(answer.into_inner().count);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it neither serves nor ends\n{}", server.log());
}

fn wal_dir(server: &Server) -> PathBuf {
    server.dir().join("wal")
}

fn with_wal_dir() -> Server {
    let mut server = Setup::of(&subject()).prepare();
    let wal = wal_dir(&server);
    server.add_args(&[&format!("--wal-dir={}", wal.display())]);
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_disk_is_not_mounted_is_missed() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = with_wal_dir();
    server.start().await;
    put(&server, 0..10).await;
    server.kill();
    let (wal, elsewhere) = (wal_dir(&server), server.dir().join("elsewhere"));
    fs::rename(&wal, &elsewhere).expect("moved");
    for _ in 0..2 {
        let _ = fs::create_dir(&wal);
        let refused = outcome(&mut server).await.expect_err("refused");
        assert!(refused.contains("is its disk mounted?"), "{refused}");
        assert!(refused.contains(&wal.display().to_string()), "{refused}");
        assert!(refused.contains("kvctl member remove"), "{refused}");
        let names: Vec<_> =
            fs::read_dir(&wal).expect("there").flatten().map(|file| file.file_name()).collect();
        assert_eq!(names, ["LOCK"], "nothing is written where a disk is missing");
    }
    fs::remove_dir_all(&wal).expect("removed");
    fs::rename(&elsewhere, &wal).expect("mounted");
    assert_eq!(outcome(&mut server).await, Ok(10));
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Whose {
    Nobody,
    Old,
    Own,
    Other,
}
use Whose::{Nobody, Old, Other, Own};

/// The error that must come, or the number of keys that must be served.
fn wanted(identity: Whose, log: Whose, store: Whose, all: i64) -> Result<i64, &'static str> {
    match (identity, log, store) {
        (Nobody, Nobody, Nobody) => Ok(0),
        (Nobody, _, _) => Err("does not say which"),
        (_, Nobody, _) => Err("is its disk mounted?"),
        (Other, Other, Other | Nobody) => Ok(1),
        (Other, _, _) | (_, Other, _) | (_, _, Other) => Err("belongs to member"),
        (_, Own, Own) => Ok(all),
        // A complete copy of one date cannot be told apart from the member itself, and the log holds everything that
        // the state is made of.
        (_, Old, Old | Nobody) => Ok(10),
        (_, Own, _) => Err("the store was removed, or is of an older date"),
        (_, Old, Own) => Err("the log was removed, or is of an older date"),
    }
}

/// A copy of a directory.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("there").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

/// The member's directories: identity, log and store.
fn keep(server: &Server, to: &Path) {
    copy(&server.data_dir().join("member"), &to.join("member"));
    copy(&wal_dir(server), &to.join("wal"));
}

fn is_purged(wal: &Path) -> bool {
    let options = Options { mode: Mode::Inline, ..Options::new(Arc::new(NoDice)) };
    let log = Log::open(Arc::new(RealDisk::open(wal).expect("held by nobody")), options).expect("a log");
    log.bounds().purged.is_some_and(|purged| purged.index > 30)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_triple_of_identity_log_and_store_is_continued_or_refused() {
    if !subject().is_kvd() {
        return;
    }
    let _turn = heavy().await;
    let scratch = tempfile::Builder::new().prefix("kvd-suite-").tempdir().expect("a directory");
    let place = |whose: Whose| scratch.path().join(format!("{whose:?}"));
    let mut other = with_wal_dir();
    other.start().await;
    put(&other, 0..1).await;
    other.stop().await;
    keep(&other, &place(Other));
    let mut server = with_wal_dir();
    server.start().await;
    put(&server, 0..10).await;
    server.stop().await;
    keep(&server, &place(Old));
    // The log is cut at checkpoints, which are frequent here.
    let often = ["--snapshot-count=10", "--snapshot-catchup-entries=1", "--backend-batch-interval=10ms"];
    server.add_args(&often);
    let mut all = 10;
    while !is_purged(&wal_dir(&server)) {
        server.start().await;
        put(&server, all..all + 100).await;
        all += 100;
        assert!(all < 5_000, "the log is never cut");
        server.stop().await;
    }
    keep(&server, &place(Own));
    for identity in [Nobody, Own, Other] {
        for log in [Nobody, Old, Own, Other] {
            for store in [Nobody, Old, Own, Other] {
                lay_out(&server, &place, (identity, log, store));
                let found = outcome(&mut server).await;
                let case = format!("identity {identity:?}, log {log:?}, store {store:?}");
                match (wanted(identity, log, store, all as i64), found) {
                    (Ok(keys), found) => assert_eq!(found, Ok(keys), "{case}"),
                    (Err(text), Err(said)) => assert!(said.contains(text), "{case}: {said}"),
                    (Err(text), Ok(keys)) => panic!("{case}: serves {keys} keys instead of: {text}"),
                }
            }
        }
    }
}

fn lay_out(server: &Server, place: &impl Fn(Whose) -> PathBuf, parts: (Whose, Whose, Whose)) {
    let (identity, log, store) = parts;
    let (member, wal) = (server.data_dir().join("member"), wal_dir(server));
    let _ = fs::remove_dir_all(&member);
    let _ = fs::remove_dir_all(&wal);
    fs::create_dir_all(&member).expect("made");
    if identity != Nobody {
        fs::copy(place(identity).join("member/identity"), member.join("identity")).expect("copied");
    }
    if log != Nobody {
        copy(&place(log).join("wal"), &wal);
    }
    if store != Nobody {
        copy(&place(store).join("member/store"), &member.join("store"));
    }
}

/// Directories made by `mkdir data` or by a volume of Kubernetes; files inside are closed again after a volume opened
/// them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_of_the_operators_is_used_with_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    if !subject().is_kvd() {
        return;
    }
    let mut server = with_wal_dir();
    let (data, wal) = (server.data_dir(), wal_dir(&server));
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    for dir in [&data, &wal] {
        fs::create_dir_all(dir.join("lost+found")).expect("made");
        set(dir, 0o755);
    }
    server.start().await;
    assert!(server.log().contains("others than its owner can look into this directory"), "{}", server.log());
    put(&server, 0..10).await;
    server.stop().await;
    let inside = [data.join("member"), data.join("member/store"), data.join("member/identity")];
    let segment = wal.join("0000000000000001.seg");
    for path in inside.iter().chain([&segment]) {
        set(path, 0o775);
    }
    assert_eq!(outcome(&mut server).await, Ok(10));
    assert_eq!([&data, &wal].map(|dir| mode(dir)), [0o755; 2]);
    for path in inside.iter().chain([&segment]) {
        assert_eq!(mode(path) & 0o077, 0, "{}", path.display());
    }
}
