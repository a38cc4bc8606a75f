//! A member on a disk that is really full: a small file system of its own; the test must be root to mount it.

use crate::harness::{PATIENCE, Server, Setup, skip, subject};
use kvd::api::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, StatusRequest,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tonic::Code;

const VALUE: usize = 128 << 10;

/// A file system in memory, unmounted when the test ends.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` if this user cannot mount; that is printed with the test's name.
    fn mount(test: &str, dir: PathBuf, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir_all(&dir).expect("a place to mount");
        let options = format!("size={size},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "kvd-test"]).arg(&dir);
        match mount.output() {
            Ok(output) if output.status.success() => Some(SmallDisk(dir)),
            Ok(output) => {
                skip(test, &format!("no mount: {}", String::from_utf8_lossy(&output.stderr).trim()));
                None
            }
            Err(error) => {
                skip(test, &format!("no mount: {error}"));
                None
            }
        }
    }

    /// Fills the disk completely.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let file = std::fs::File::create(&ballast).expect("a file");
        let block = [1; 4096];
        while std::io::Write::write_all(&mut &file, &block).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

async fn put(server: &Server, key: &str) -> Result<(), tonic::Status> {
    let request =
        PutRequest { key: key.to_string().into(), value: vec![b'v'; VALUE].into(), ..Default::default() };
    server.api().kv.put(request).await.map(drop)
}

/// Puts new keys until one is refused with the reason; returns their number.
async fn fill(server: &Server, prefix: &str) -> usize {
    for n in 0..1000 {
        if let Err(status) = put(server, &format!("{prefix}{n:04}")).await {
            assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, FULL), "{status}");
            return n;
        }
    }
    panic!("the disk is never full");
}

const FULL: &str = "etcdserver: mvcc: database space exceeded";

async fn count(server: &Server) -> usize {
    let request =
        RangeRequest { key: "\0".into(), range_end: "\0".into(), count_only: true, ..Default::default() };
    server.api().kv.range(request).await.expect("a read").into_inner().count as usize
}

async fn errors(server: &Server) -> Vec<String> {
    server.api().maintenance.status(StatusRequest {}).await.expect("a status").into_inner().errors
}

/// Waits until writes are accepted again without any action.
async fn until_writable(server: &Server) {
    let begun = Instant::now();
    while let Err(status) = put(server, "again").await {
        assert!(begun.elapsed() < PATIENCE, "writes are refused for ever: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while errors(server).await.iter().any(|error| error.contains("NOSPACE")) {
        assert!(begun.elapsed() < PATIENCE, "the status says for ever that the disk is full");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn start(disk: &Path, wal: &Path) -> Server {
    let mut server = Setup::of(&subject()).prepare();
    let (data, wal) = (format!("--data-dir={}", disk.display()), format!("--wal-dir={}", wal.display()));
    server.add_args(&[&data, &wal]);
    server.start().await;
    server
}

/// The store's disk is full; the log is on another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_store_has_no_room_serves_reads_and_goes_on_by_itself() {
    const NAME: &str = "a_member_whose_store_has_no_room_serves_reads_and_goes_on_by_itself";
    if !subject().is_kvd() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("kvd-full-").tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(NAME, dir.path().join("data"), "24m") else { return };
    let mut server = start(&disk.0, &dir.path().join("wal")).await;

    // Writes are refused before the disk is completely full.
    let many = fill(&server, "a").await;
    assert!(many > 10, "{many}");
    assert_eq!(count(&server).await, many);
    let said = errors(&server).await;
    assert!(said.iter().any(|error| error.contains("NOSPACE")), "{said:?}");

    // The same after a crash, and if another program has taken the rest of the disk.
    server.kill();
    let ballast = disk.fill();
    server.start().await;
    assert_eq!(count(&server).await, many);
    assert_eq!(put(&server, "b").await.expect_err("no room").message(), FULL);

    // The other program's file is gone: no action of an operator is needed.
    std::fs::remove_file(&ballast).expect("the ballast is there");
    until_writable(&server).await;
    let more = 1 + fill(&server, "b").await;
    disk.fill();

    // A client makes room by deleting, on a disk that stays full.
    let all = DeleteRangeRequest { key: "a".into(), range_end: "c".into(), ..Default::default() };
    let answer = server.api().kv.delete_range(all).await.expect("a deletion").into_inner();
    assert_eq!(answer.deleted as usize, many + more);
    let revision = answer.header.expect("a header").revision;
    let compact = CompactionRequest { revision, physical: false };
    server.api().kv.compact(compact).await.expect("a compaction");
    until_writable(&server).await;
    assert_eq!(count(&server).await, 1);
    assert!(server.stop().await.success());
}
