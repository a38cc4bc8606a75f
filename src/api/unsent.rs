//! The memory of answers that are not sent yet and of requests that are not answered yet, of all connections together
//! and of each.
//!
//! A client that asks and does not read gets a share of that memory and no more. The answer to a single request takes
//! its room before it is encoded, and is refused without; a stream waits instead. Whoever reads its answers is not
//! refused, however full the memory is of answers to others: each connection has a little of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::model::{Budget, Held, Refusal};

/// Bytes of answers that every connection may have, in addition to its share.
const OWN: usize = 64 << 10;
/// Bytes of streams that are encoded ahead of a client.
const AHEAD: usize = 1 << 20;
/// Parts of streams, and answers, that are shorter than this are not counted: the number of requests is limited.
pub const WORTH_COUNTING: usize = 4 << 10;
/// What a request costs in addition to its headers, in bytes.
const REQUEST: usize = 128;
/// In steps of this many bytes a connection takes room for requests.
const STEP: usize = 16 << 10;

/// One connection's part.
pub struct Share {
    /// The memory for answers: the store's, because what is read for an answer is of the same size.
    answers: Arc<Budget>,
    /// Bytes of this connection's answers that are encoded and not sent.
    unsent: AtomicUsize,
    /// Bytes of this connection's requests.
    open: AtomicUsize,
    /// The room for them: at least as much.
    room: AtomicUsize,
    held: Mutex<Held>,
    /// The socket takes no more bytes at present.
    blocked: AtomicBool,
    is_waited_for: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Share {
    /// The part of a new connection.
    pub fn new(answers: Arc<Budget>, requests: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            answers,
            unsent: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            room: AtomicUsize::new(0),
            held: Mutex::new(requests.take_beyond(0)),
            blocked: AtomicBool::new(false),
            is_waited_for: AtomicBool::new(false),
            waiting: Mutex::default(),
        })
    }

    /// Takes the room for an answer of this many bytes.
    ///
    /// # Errors
    /// [`Refusal::AnswersUnread`] if too much is not read yet, by this client or by all; [`Refusal::MessageTooLong`] if
    /// there never is so much room.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Result<Unsent, Refusal> {
        self.answers.admit(bytes)?;
        let after = self.unsent.load(Ordering::Relaxed).saturating_add(bytes);
        let held = if after <= OWN {
            self.answers.take_beyond(bytes)
        } else if after > self.answers.largest() {
            return Err(Refusal::AnswersUnread);
        } else {
            self.answers.take(bytes)?
        };
        Ok(self.unsent(held, bytes))
    }

    /// A part of a stream, which takes its room until it is sent.
    pub fn hold(self: &Arc<Self>, part: Bytes) -> Bytes {
        if part.len() < WORTH_COUNTING {
            return part;
        }
        let bytes = part.len();
        self.unsent(self.answers.take_beyond(bytes), bytes).by(part)
    }

    fn unsent(self: &Arc<Self>, held: Held, bytes: usize) -> Unsent {
        self.unsent.fetch_add(bytes, Ordering::Relaxed);
        Unsent { share: self.clone(), bytes, held: Some(held) }
    }

    /// Ready if a stream may encode its next part.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        waiting.push(context.waker().clone());
        self.is_waited_for.store(true, Ordering::SeqCst);
        // It may have come just now.
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn has_room(&self) -> bool {
        let unsent = self.unsent.load(Ordering::SeqCst);
        let is_full = || self.answers.used() > self.answers.most() / 4 * 3;
        !self.blocked.load(Ordering::SeqCst) && unsent <= AHEAD && (unsent <= OWN || !is_full())
    }

    /// The socket takes more bytes, or does not.
    pub fn set_blocked(&self, blocked: bool) {
        if self.blocked.load(Ordering::Relaxed) != blocked {
            self.blocked.store(blocked, Ordering::SeqCst);
            if !blocked {
                self.wake();
            }
        }
    }

    fn wake(&self) {
        if self.is_waited_for.swap(false, Ordering::SeqCst) {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Takes the room for a request with so many bytes of headers.
    ///
    /// # Errors
    /// [`Refusal::AnswersUnread`] if all connections together have too much of them.
    pub fn open(self: &Arc<Self>, headers: usize) -> Result<Opened, Refusal> {
        // The library keeps them in a buffer that is up to twice as large.
        let bytes = headers.saturating_mul(2).saturating_add(REQUEST);
        let after = self.open.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let opened = Opened { share: self.clone(), bytes };
        if after > self.room.load(Ordering::Relaxed) {
            let mut held = self.held.lock();
            held.grow_to(after.next_multiple_of(STEP))?;
            self.room.store(held.bytes(), Ordering::Relaxed);
        }
        Ok(opened)
    }

    fn close(&self, bytes: usize) {
        let before = self.open.fetch_sub(bytes, Ordering::Relaxed);
        let after = before.saturating_sub(bytes).next_multiple_of(STEP);
        if self.room.load(Ordering::Relaxed) > after.saturating_add(4 * STEP) {
            let mut held = self.held.lock();
            held.shrink_to(after);
            self.room.store(held.bytes(), Ordering::Relaxed);
        }
    }
}

/// The room of an answer that is not sent yet.
pub struct Unsent {
    share: Arc<Share>,
    bytes: usize,
    /// Taken at the end.
    held: Option<Held>,
}

impl Unsent {
    /// The encoded answer, which keeps the room until it is dropped.
    pub fn by(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Encoded { bytes, _unsent: self })
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        drop(self.held.take());
        self.share.unsent.fetch_sub(self.bytes, Ordering::SeqCst);
        self.share.wake();
    }
}

/// The order of the fields counts: the bytes are freed before their room is.
struct Encoded {
    bytes: Bytes,
    _unsent: Unsent,
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The room of a request, until its answer has ended.
pub struct Opened {
    share: Arc<Share>,
    bytes: usize,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.share.close(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn bytes(length: usize) -> Bytes {
        vec![7; length].into()
    }

    #[test]
    fn whoever_does_not_read_gets_a_share_and_keeps_nobody_out() {
        let (answers, requests) = (Budget::new(1 << 20), Budget::new(1 << 20));
        let connect = || Share::new(answers.clone(), &requests);
        let (greedy, other, honest) = (connect(), connect(), connect());
        let large = || greedy.take(256 << 10).map(|room| room.by(bytes(256 << 10)));
        let mut unread = vec![large().expect("there is room"), large().expect("there is room")];
        assert_eq!(large().err(), Some(Refusal::AnswersUnread), "half is for the others");
        unread.push(other.take(512 << 10).expect("there is room").by(bytes(512 << 10)));
        assert_eq!(honest.take(OWN + 1).err(), Some(Refusal::AnswersUnread));
        let small = honest.take(OWN).expect("a little is its own").by(bytes(OWN));
        assert_eq!(honest.take(1).err(), Some(Refusal::AnswersUnread));
        drop(small);
        drop(honest.take(OWN).expect("what was read is free again"));
        let never = greedy.take(answers.largest() + 1).err();
        assert!(matches!(never, Some(Refusal::MessageTooLong(_))), "{never:?}");
        drop(unread);
        assert_eq!(answers.used(), 0);
    }

    #[test]
    fn a_stream_waits_for_its_client() {
        let (answers, requests) = (Budget::new(64 << 20), Budget::new(1 << 20));
        let share = Share::new(answers.clone(), &requests);
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        let poll = || share.poll_room(&mut Context::from_waker(&waker)).is_ready();
        let wakes = || woken.0.swap(0, Ordering::SeqCst);
        assert!(poll());
        share.set_blocked(true);
        assert!(!poll() && !poll());
        share.set_blocked(false);
        assert_eq!((wakes(), poll()), (2, true));
        let unread: Vec<Bytes> = (0..3).map(|_| share.hold(bytes(AHEAD / 2))).collect();
        assert!(!poll());
        drop(unread);
        assert_eq!((wakes(), poll()), (1, true));
        let others = answers.take(60 << 20).expect("there is room");
        let unread = [share.hold(bytes(OWN)), share.hold(bytes(WORTH_COUNTING))];
        assert!(!poll(), "the memory is nearly full");
        let [first, second] = unread;
        drop(second);
        assert_eq!((wakes(), poll()), (1, true), "a little is its own");
        drop((first, others));
        assert_eq!(answers.used(), 0);
    }

    #[test]
    fn headers_are_counted_over_all_connections() {
        let (answers, requests) = (Budget::new(1 << 20), Budget::new(256 << 10));
        let connect = || Share::new(answers.clone(), &requests);
        let (one, two) = (connect(), connect());
        let mut open: Vec<Opened> = Vec::new();
        let refused = loop {
            match one.open(60 << 10) {
                Ok(opened) => open.push(opened),
                Err(refusal) => break refusal,
            }
        };
        assert_eq!((refused, open.len()), (Refusal::AnswersUnread, 2));
        assert_eq!(two.open(60 << 10).err(), Some(Refusal::AnswersUnread));
        open.clear();
        open.push(two.open(60 << 10).expect("there is room again"));
        assert!(requests.used() < 256 << 10);
        drop((open, one, two));
        assert_eq!(requests.used(), 0);
    }
}
