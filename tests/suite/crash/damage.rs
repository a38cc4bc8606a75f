//! Files damaged by a crash or a disk, and what the daemon does with them. The log's format is `kvd::log::format`'s.

use super::traffic;
use crate::harness::{Server, heavy, subject};
use kvd::api::proto::etcdserverpb::PutRequest;
use kvd::log::format::{FIRST_FRAME, FRAME_HEADER, FrameHeader, SegmentHeader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A server with some history, killed; `None` if the subject is not kvd.
async fn killed_with_history(last: &str) -> Option<Server> {
    if !subject().is_kvd() {
        return None;
    }
    let mut server = Server::of(&subject()).await;
    traffic::fill(&server.api(), 2_000).await;
    let request = PutRequest { key: "last".into(), value: last.to_owned().into(), ..Default::default() };
    server.api().kv.put(request).await.expect("a put");
    server.kill();
    Some(server)
}

/// The log's files below the data directory, oldest first.
fn segments(data: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(data)
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    found.sort();
    found
}

/// The end of the log.
struct Tail {
    path: PathBuf,
    /// Offset of a frame in the middle.
    middle: u64,
    /// Offset of its last frame.
    last: u64,
    /// Offset of the next frame.
    end: u64,
}

/// The newest segment with content, and the offset at which its content ends.
fn tail(data: &Path) -> Tail {
    for path in segments(data).into_iter().rev() {
        let bytes = std::fs::read(&path).expect("a segment can be read");
        let Ok(header) = SegmentHeader::decode(&bytes) else { continue };
        let mut ends = vec![FIRST_FRAME];
        while let Some(&end) = ends.last()
            && let Some(rest) = bytes.get(end as usize..)
            && let Some(frame) = FrameHeader::decode(rest, header.seed(), end)
            && !frame.is_seal()
        {
            ends.push(end + frame.span());
        }
        if let [.., last, end] = ends[..] {
            return Tail { path, middle: ends[ends.len() / 2 - 1], last, end };
        }
    }
    panic!("no log below {}", data.display());
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("a segment can be written");
    file.write_all_at(bytes, offset).expect("a segment can be written");
}

/// A write that a crash cut off: random bytes after the last valid ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_in_a_flush_leaves_a_tail_that_is_passed_over() {
    let _turn = heavy().await;
    let Some(mut server) = killed_with_history("kept").await else { return };
    for garbage in [vec![0xa5; 40], vec![0x01, 0, 0, 0, 9, 9, 9, 9], vec![0xff; 5000]] {
        let Tail { path, end, .. } = tail(&server.data_dir());
        overwrite(&path, end, &garbage);
        server.start().await;
        let kvs = traffic::everything(&server.api()).await;
        assert_eq!(kvs.len(), 2_001, "all that was acknowledged");
        let request = PutRequest { key: "last".into(), value: "again".into(), ..Default::default() };
        server.api().kv.put(request).await.expect("the log goes on behind the torn flush");
        server.kill();
    }
    server.start().await;
    assert!(traffic::everything(&server.api()).await.iter().any(|kv| kv.value == "again"));
}

/// The last write did not reach the disk completely, nor did anything after it: only the last write is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_that_tears_the_last_frame_loses_nothing_before_it() {
    let _turn = heavy().await;
    let Some(mut server) = killed_with_history("perhaps").await else { return };
    let Tail { path, last, end, .. } = tail(&server.data_dir());
    // The second half of its payload is missing, and so is the seal.
    let kept = last + (end - last) / 2;
    overwrite(&path, kept, &vec![0; (end - kept) as usize + FRAME_HEADER]);
    server.start().await;
    let kvs = traffic::everything(&server.api()).await;
    let before = kvs.iter().filter(|kv| kv.key.starts_with(b"many/")).count();
    assert_eq!(before, 2_000, "everything before the last frame");
}

/// One bit is flipped in the first frame, in one in the middle, in the last one, which was acknowledged: the daemon
/// does not guess, and names the place. After the bit is restored, everything is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_to_what_was_acknowledged_is_refused_by_file_and_offset() {
    let _turn = heavy().await;
    let Some(mut server) = killed_with_history("unreachable").await else { return };
    let Tail { path, middle, last, .. } = tail(&server.data_dir());
    assert!(middle < last, "a history of more than one frame");
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for frame in [FIRST_FRAME, middle, last] {
        // A byte of its payload, behind its header.
        let place = frame + FRAME_HEADER as u64 + 4;
        let mut byte = [0];
        let file = std::fs::File::open(&path).expect("a segment can be read");
        file.read_exact_at(&mut byte, place).expect("a byte of a frame");
        overwrite(&path, place, &[byte[0] ^ 0x40]);
        server.spawn();
        let status = server.ended().await;
        assert_eq!(status.code(), Some(1), "{}", server.log());
        let log = server.log();
        assert!(log.contains(&name) && log.contains(&format!("damaged at offset {frame}")), "{log}");
        overwrite(&path, place, &byte);
    }
    server.start().await;
    assert_eq!(traffic::everything(&server.api()).await.len(), 2_001);
}
