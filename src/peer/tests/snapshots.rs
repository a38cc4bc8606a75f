//! Snapshots.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::lab::{LONG, Member, logged, until};
use crate::peer::{Channel, Transport, TransportError};

/// This many bytes of a pattern, and then an error if requested.
struct Body {
    left: usize,
    next: u8,
    fails: bool,
}

fn body(size: usize) -> Box<Body> {
    Box::new(Body { left: size, next: 0, fails: false })
}

impl Iterator for Body {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.left == 0 {
            return std::mem::take(&mut self.fails).then(|| Err(io::Error::other("the disk is gone")));
        }
        // Pieces of odd sizes, some larger than what is sent at once.
        let mut piece = vec![0; self.left.min(if self.next.is_multiple_of(2) { 77_777 } else { 777_777 })];
        for byte in &mut piece {
            *byte = self.next;
            self.next = self.next.wrapping_mul(31).wrapping_add(7);
        }
        self.left -= piece.len();
        Some(Ok(piece.into()))
    }
}

fn checksum(size: usize) -> u32 {
    body(size).fold(0, |crc, piece| crc32c::crc32c_append(crc, &piece.expect("no error was asked for")))
}

async fn send(one: &Member, two: &Member, body: Box<Body>) -> Result<Bytes, TransportError> {
    one.quic.send_snapshot(two.id, &two.urls(), Bytes::from_static(b"header"), body, LONG).await
}

#[tokio::test]
async fn snapshots_of_all_sizes_arrive_whole() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    for size in [0, 1, 256 << 10, (1 << 20) + 1, 9_999_999] {
        let answer = send(&one, &two, body(size)).await;
        assert_eq!(answer, Ok(Bytes::from_static(b"installed")), "{size}");
        let got = two.deputy.snapshots.lock().pop();
        assert_eq!(got, Some((Bytes::from_static(b"header"), size as u64, checksum(size))));
    }
}

#[tokio::test]
async fn heartbeats_are_not_starved_by_a_large_snapshot() {
    const SIZE: usize = 200 << 20;
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    let mut sending = std::pin::pin!(send(&one, &two, body(SIZE)));
    let (mut beats, mut slowest, mut most) = (0, Duration::ZERO, 0);
    let answer = loop {
        let asked = tokio::time::Instant::now();
        tokio::select! {
            answer = &mut sending => break answer,
            beat = one.call(&two, Channel::Control, b"beat") => {
                beat.expect("answered");
                beats += 1;
                most = most.max(two.quic.snapshot_bytes().unwrap_or_default());
                slowest = slowest.max(asked.elapsed());
            }
        }
    };
    assert_eq!(answer, Ok(Bytes::from_static(b"installed")));
    let got = two.deputy.snapshots.lock().pop().map(|(_, length, _)| length);
    assert_eq!(got, Some(SIZE as u64));
    assert!(most > 0 && most <= SIZE as u64, "{most} bytes were reported in progress");
    assert_eq!(two.quic.snapshot_bytes(), None, "it is done");
    println!("{beats} heartbeats beside the snapshot, the slowest in {slowest:?}");
    assert!(beats >= 50, "{beats} heartbeats beside a snapshot of {SIZE} bytes");
}

#[tokio::test]
async fn what_is_cut_off_is_never_taken() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    let failing = Box::new(Body { fails: true, ..*body(3 << 20) });
    let failed = send(&one, &two, failing).await;
    assert!(matches!(failed, Err(TransportError::Lost(_))), "{failed:?}");
    // Aborted in the middle.
    {
        let before = two.status(one.id).received_bytes;
        let mut sending = std::pin::pin!(send(&one, &two, body(1 << 30)));
        tokio::select! {
            answer = &mut sending => panic!("a gigabyte in no time: {answer:?}"),
            () = until("some of it arrives", || two.status(one.id).received_bytes > before + (2 << 20)) => {}
        }
    }
    let name = one.id.to_string();
    until("both are noticed", || logged(&["a snapshot was not taken", &name]).len() == 2).await;
    assert_eq!(*two.deputy.snapshots.lock(), []);
    // Nothing else was affected, and the places are free again.
    for _ in 0..3 {
        send(&one, &two, body(5000)).await.expect("taken");
    }
    assert_eq!(one.status(two.id).disconnects, 0);
}

#[tokio::test]
async fn a_receiver_that_gives_up_says_so_at_once() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    let refused =
        one.quic.send_snapshot(two.id, &two.urls(), Bytes::from_static(b"reject"), body(1 << 30), LONG);
    let text = refused.await.expect_err("no room").to_string();
    assert!(text.contains("not ready: no room"), "{text}");
    assert!(two.status(one.id).received_bytes < 1 << 28, "the rest was not waited for");
    send(&one, &two, body(1000)).await.expect("taken");
}
