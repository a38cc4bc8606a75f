//! A member on a disk that is really full: a small file system of its own; the test must be root to mount it.

use crate::harness::{PATIENCE, Server, Setup, Three, answers, skip, subject, until};
use kvd::api::proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, DefragmentRequest, DeleteRangeRequest, PutRequest, RangeRequest,
    StatusRequest,
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

/// Puts new keys until they are refused for good, with the reason; returns their number. It waits while the member
/// makes room by itself, for example by shortening the log.
async fn fill(server: &Server, prefix: &str) -> usize {
    fill_by(prefix, async |key| put(server, key).await).await
}

/// The same at a member of a cluster, which may elect a leader meanwhile: then a key is put again.
async fn fill_in_cluster(server: &Server, prefix: &str) -> usize {
    let put = async |key: &str| {
        let begun = Instant::now();
        loop {
            match put(server, key).await {
                Err(status) if status.code() != Code::ResourceExhausted && begun.elapsed() < PATIENCE => {}
                outcome => return outcome,
            }
        }
    };
    let count = fill_by(prefix, put).await;
    // The last one was refused, but may have been put by a request before whose outcome was not known.
    let last = RangeRequest { key: format!("{prefix}{count:04}").into(), ..Default::default() };
    count + persist("a read", async || server.api().kv.range(last.clone()).await).await.kvs.len()
}

async fn fill_by(prefix: &str, put: impl AsyncFn(&str) -> Result<(), tonic::Status>) -> usize {
    let (mut count, mut refused) = (0, 0);
    while refused < 30 {
        match put(&format!("{prefix}{count:04}")).await {
            Ok(()) => (count, refused) = (count + 1, 0),
            Err(status) => {
                assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, FULL), "{status}");
                refused += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        assert!(count < 1000, "the disk is never full");
    }
    count
}

const FULL: &str = "etcdserver: mvcc: database space exceeded";

/// Asks until it is answered: a cluster on a busy machine may have no leader for a while.
async fn persist<T>(what: &str, ask: impl AsyncFn() -> Result<tonic::Response<T>, tonic::Status>) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer.into_inner(),
            Err(status) => assert!(begun.elapsed() < PATIENCE, "{what}: {status}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn count(server: &Server) -> usize {
    let request =
        RangeRequest { key: "\0".into(), range_end: "\0".into(), count_only: true, ..Default::default() };
    persist("a read", async || server.api().kv.range(request.clone()).await).await.count as usize
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
    let Some(disk) = SmallDisk::mount(NAME, dir.path().join("data"), "32m") else { return };
    let in_the_way = disk.0.join("in-the-way");
    std::fs::write(&in_the_way, vec![1; 8 << 20]).expect("there is room");
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

    // The other programs' files are gone: no action of an operator is needed.
    for file in [&ballast, &in_the_way] {
        std::fs::remove_file(file).expect("the file is there");
    }
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

/// Removes all keys and their history through a member, with all that an operator may do about it.
async fn clear(server: &Server) -> i64 {
    let all = DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let answer = server.api().kv.delete_range(all).await.expect("a deletion").into_inner();
    let revision = answer.header.expect("a header").revision;
    server.api().kv.compact(CompactionRequest { revision, physical: true }).await.expect("a compaction");
    server.api().maintenance.defragment(DefragmentRequest {}).await.expect("a defragmentation");
    answer.deleted
}

async fn says_that_it_is_full(server: &Server) {
    let said = errors(server).await;
    assert!(said.iter().any(|error| error.contains("NOSPACE")), "{said:?}");
    let alarms = server.api().maintenance.alarm(AlarmRequest::default()).await.expect("alarms").into_inner();
    assert_eq!(alarms.alarms.len(), 1, "{alarms:?}");
    until("the log says so", || server.log().contains("the disk is full: reads are served")).await;
}

/// Log and store together on 40 MB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_on_one_small_disk_goes_on_by_itself() {
    const NAME: &str = "a_member_on_one_small_disk_goes_on_by_itself";
    if !subject().is_kvd() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("kvd-full-").tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(NAME, dir.path().join("data"), "40m") else { return };
    let mut server = Setup::of(&subject()).prepare();
    server.add_args(&[&format!("--data-dir={}", disk.0.display())]);
    server.start().await;
    let mut many = fill(&server, "a").await;
    for round in ["b", "c"] {
        assert!(many > 10, "{many} before round {round}");
        assert_eq!(count(&server).await, many);
        says_that_it_is_full(&server).await;
        // A crash, and an orderly end.
        if round == "b" {
            server.kill()
        } else {
            assert!(server.stop().await.success())
        }
        server.start().await;
        assert_eq!(count(&server).await, many);
        // The space for data that were only in memory may have been counted twice, so that there is room now.
        many += fill(&server, &format!("more-{round}")).await;
        assert_eq!(clear(&server).await as usize, many);
        until_writable(&server).await;
        assert_eq!(count(&server).await, 1);
        many = 1 + fill(&server, round).await;
    }
    assert!(server.stop().await.success());
}

/// Another program has left the log place for one segment only, with the store on another disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_log_has_no_room_refuses_writes_at_once() {
    const NAME: &str = "a_member_whose_log_has_no_room_refuses_writes_at_once";
    if !subject().is_kvd() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("kvd-full-").tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(NAME, dir.path().join("wal"), "96m") else { return };
    // A segment takes 3 MB of such a disk.
    let in_the_way = disk.0.join("in-the-way");
    std::fs::write(&in_the_way, vec![1; 91 << 20]).expect("there is room");
    let mut server = start(&dir.path().join("data"), &disk.0).await;
    let many = fill(&server, "a").await;
    assert!(many > 10, "{many}");
    says_that_it_is_full(&server).await;
    for killed in [true, false] {
        if killed {
            server.kill()
        } else {
            assert!(server.stop().await.success())
        }
        server.start().await;
        assert_eq!(count(&server).await, many);
        // After the member has noticed that the disk is full.
        let begun = Instant::now();
        while put(&server, "k").await.is_ok() {
            assert!(begun.elapsed() < PATIENCE, "the disk is never full");
        }
        says_that_it_is_full(&server).await;
    }
    // Commands that make room have a reserve.
    assert!(clear(&server).await as usize >= many);
    std::fs::remove_file(&in_the_way).expect("the file is there");
    until_writable(&server).await;
    assert!(server.stop().await.success());
}

/// One of three members is on 40 MB: the others go on without it, and it comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_on_a_small_disk_goes_on_by_itself() {
    const NAME: &str = "one_of_three_on_a_small_disk_goes_on_by_itself";
    if !subject().is_kvd() {
        return;
    }
    let dir = tempfile::Builder::new().prefix("kvd-full-").tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(NAME, dir.path().join("data"), "40m") else { return };
    let data = format!("--data-dir={}", disk.0.display());
    let mut three = Three::start_with(|number, member| {
        // A busy machine is no reason for an election.
        member.add_args(&["--heartbeat-interval=300", "--election-timeout=3000"]);
        if number == 0 {
            member.add_args(&[&data]);
        }
    })
    .await;
    let many = fill_in_cluster(&three.0[0], "a").await;
    assert!(many > 10, "{many}");
    until("the small one says so", || three.0[0].log().contains("the disk is full: reads are served")).await;
    // The leader has room, and writes through the others continue.
    let begun = Instant::now();
    while three.leader().await == 0 {
        assert!(begun.elapsed() < PATIENCE, "a member without room leads for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for n in 0..5 {
        let put =
            PutRequest { key: format!("b{n}").into(), value: vec![b'v'; VALUE].into(), ..Default::default() };
        persist("there is room on two of three", async || three.0[1].api().kv.put(put.clone()).await).await;
    }
    assert_eq!(count(&three.0[0]).await, many + 5);
    three.0[0].kill();
    disk.fill();
    three.0[0].spawn();
    answers(&three.0[0]).await;
    assert_eq!(count(&three.0[0]).await, many + 5);
    let many = many + 5 + fill_in_cluster(&three.0[0], "more").await;
    assert_eq!(count(&three.0[2]).await, many);
    clear_cluster(&three.0[2]).await;
    until_writable(&three.0[0]).await;
    for member in &three.0 {
        assert_eq!(count(member).await, 1);
    }
    three.leader().await;
}

/// As [`clear`], however often it has to be asked.
async fn clear_cluster(server: &Server) {
    let all = DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let deleted = persist("a deletion", async || server.api().kv.delete_range(all.clone()).await).await;
    let revision = deleted.header.expect("a header").revision;
    let compact = CompactionRequest { revision, physical: true };
    let begun = Instant::now();
    while let Err(status) = server.api().kv.compact(compact).await {
        if status.message().contains("compacted") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "a compaction: {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ask = async || server.api().maintenance.defragment(DefragmentRequest {}).await;
    persist("a defragmentation", ask).await;
}
