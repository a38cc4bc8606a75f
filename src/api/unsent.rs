//! The memory of answers that are not sent yet and of requests that are not answered yet, of all connections together
//! and of each.
//!
//! A client that asks and does not read gets a share of that memory and no more. The answer to a single request takes
//! its room before it is encoded, and is refused without; a stream waits instead. The message of a request takes its
//! room as it comes. Whoever reads its answers and sends its messages is not refused, however full the memory is of what
//! others leave half done: each connection has a little of its own, and whoever stalls with more than that loses its
//! connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::{Budget, Held, Refusal};

/// Bytes of answers, and as many of messages, that every connection may have, in addition to its share.
const OWN: usize = 64 << 10;
/// A client that is not stalled moves at least this part of what waits for it within the limit.
const MOVES: usize = 16;
/// Bytes of streams that are encoded ahead of a client.
const AHEAD: usize = 1 << 20;
/// Parts of streams, and answers, that are shorter than this are not counted: the number of requests is limited.
pub const WORTH_COUNTING: usize = 4 << 10;
/// What a request costs in addition to its headers, in bytes.
const REQUEST: usize = 128;
/// Once its answer has begun its headers are gone, and what is left of it counts as so many bytes at most.
const ANSWERED: usize = 512;
/// In steps of this many bytes a connection takes room for requests. One step is its own.
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
    /// The part of the room that is not its own.
    held: Mutex<Held>,
    /// The memory for messages.
    messages: Arc<Budget>,
    /// Bytes of the messages of this connection's requests.
    coming: AtomicUsize,
    /// Bytes that the client has to move: answers to single requests that it does not read, and messages of which it owes
    /// the rest.
    owed: AtomicUsize,
    /// How often that has become more than [`OWN`].
    crossings: AtomicU64,
    crowded: Notify,
    /// Bytes that have passed the socket, in both directions.
    moved: AtomicU64,
    /// The socket takes no more bytes at present.
    blocked: AtomicBool,
    is_waited_for: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Share {
    /// The part of a new connection.
    pub fn new(answers: Arc<Budget>, requests: &Arc<Budget>, messages: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            answers,
            unsent: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            room: AtomicUsize::new(STEP),
            held: Mutex::new(requests.take_beyond(0)),
            messages,
            coming: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
            crossings: AtomicU64::new(0),
            crowded: Notify::new(),
            moved: AtomicU64::new(0),
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
        self.owe(bytes);
        Ok(self.unsent(held, bytes, bytes))
    }

    /// A part of a stream, which takes its room until it is sent.
    pub fn hold(self: &Arc<Self>, part: Bytes) -> Bytes {
        if part.len() < WORTH_COUNTING {
            return part;
        }
        let bytes = part.len();
        self.unsent(self.answers.take_beyond(bytes), bytes, 0).by(part)
    }

    fn unsent(self: &Arc<Self>, held: Held, bytes: usize, owed: usize) -> Unsent {
        self.unsent.fetch_add(bytes, Ordering::Relaxed);
        Unsent { share: self.clone(), bytes, owed, held: Some(held) }
    }

    /// The room for the message of a request: none yet.
    pub fn receive(self: &Arc<Self>) -> Coming {
        Coming { share: self.clone(), held: self.messages.take_beyond(0), has_arrived: false }
    }

    fn owe(&self, bytes: usize) {
        let before = self.owed.fetch_add(bytes, Ordering::Relaxed);
        if before <= OWN && before.saturating_add(bytes) > OWN {
            self.crossings.fetch_add(1, Ordering::Relaxed);
            self.crowded.notify_one();
        }
    }

    /// So many bytes have passed the socket.
    pub fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns once the client has left more than a little half done for as long as `limit`, and has hardly moved
    /// anything meanwhile. A slow client is not a stalled one.
    pub async fn stalled(&self, limit: Duration) {
        let owed = || self.owed.load(Ordering::Relaxed);
        loop {
            while owed() > OWN {
                let crossings = self.crossings.load(Ordering::Relaxed);
                let least = (owed() / MOVES).max(OWN) as u64;
                let before = self.moved.load(Ordering::Relaxed);
                tokio::time::sleep(limit).await;
                let moved = self.moved.load(Ordering::Relaxed).wrapping_sub(before);
                let all_the_time = self.crossings.load(Ordering::Relaxed) == crossings && owed() > OWN;
                if all_the_time && moved < least {
                    return;
                }
            }
            self.crowded.notified().await;
        }
    }

    /// Ready if a stream may encode its next part.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_room() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        // A task that is asked again and again waits once.
        if waiting.last().is_none_or(|last| !last.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
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
            held.grow_to(after.next_multiple_of(STEP) - STEP)?;
            self.room.store(held.bytes() + STEP, Ordering::Relaxed);
        }
        Ok(opened)
    }

    fn close(&self, bytes: usize) {
        let before = self.open.fetch_sub(bytes, Ordering::Relaxed);
        let after = before.saturating_sub(bytes).next_multiple_of(STEP);
        if self.room.load(Ordering::Relaxed) > after.saturating_add(4 * STEP) {
            let mut held = self.held.lock();
            held.shrink_to(after.saturating_sub(STEP));
            self.room.store(held.bytes() + STEP, Ordering::Relaxed);
        }
    }
}

/// The room of an answer that is not sent yet.
pub struct Unsent {
    share: Arc<Share>,
    bytes: usize,
    /// Of them those that count as owed.
    owed: usize,
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
        self.share.owed.fetch_sub(self.owed, Ordering::Relaxed);
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

/// The room of a message that is coming, until its request is answered.
pub struct Coming {
    share: Arc<Share>,
    held: Held,
    has_arrived: bool,
}

impl Coming {
    /// Makes it the room for this many bytes, more or less than before.
    ///
    /// # Errors
    /// [`Refusal::AnswersUnread`] if all connections together have too much of them.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        let before = self.held.bytes();
        let more = bytes.saturating_sub(before);
        let after = self.share.coming.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        if after <= OWN {
            self.held.grow_beyond(bytes);
        } else if more > 0
            && let Err(refusal) = self.held.grow_to(bytes)
        {
            self.share.coming.fetch_sub(more, Ordering::Relaxed);
            return Err(refusal);
        }
        self.share.owe(if self.has_arrived { 0 } else { more });
        self.give_back(before.saturating_sub(bytes));
        self.held.shrink_to(bytes);
        Ok(())
    }

    /// The message is here: what remains to be done is not the client's.
    pub fn arrived(&mut self) {
        if !std::mem::replace(&mut self.has_arrived, true) {
            self.share.owed.fetch_sub(self.held.bytes(), Ordering::Relaxed);
        }
    }

    fn give_back(&self, bytes: usize) {
        self.share.coming.fetch_sub(bytes, Ordering::Relaxed);
        if !self.has_arrived {
            self.share.owed.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.give_back(self.held.bytes());
    }
}

/// The room of a request, until its answer has ended.
pub struct Opened {
    share: Arc<Share>,
    bytes: usize,
}

impl Opened {
    /// Its answer begins, and nothing of its headers is left.
    pub fn answered(&mut self) {
        let bytes = self.bytes.min(ANSWERED);
        self.share.close(self.bytes - bytes);
        self.bytes = bytes;
    }
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
        let connect = || Share::new(answers.clone(), &requests, Budget::new(0));
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
        let share = Share::new(answers.clone(), &requests, Budget::new(0));
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        let poll = || share.poll_room(&mut Context::from_waker(&waker)).is_ready();
        let wakes = || woken.0.swap(0, Ordering::SeqCst);
        assert!(poll());
        share.set_blocked(true);
        assert!(!poll() && !poll());
        share.set_blocked(false);
        assert_eq!((wakes(), poll()), (1, true));
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
        let connect = || Share::new(answers.clone(), &requests, Budget::new(0));
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
        for _ in 0..10 {
            let mut opened =
                one.open(60 << 10).expect("those that are being answered have no headers any more");
            opened.answered();
            open.push(opened);
        }
        drop((open, one, two));
        assert_eq!(requests.used(), 0);
    }

    #[test]
    fn a_connection_that_asks_for_little_takes_nothing_from_others() {
        let (answers, requests) = (Budget::new(1 << 20), Budget::new(STEP));
        let connect = || Share::new(answers.clone(), &requests, Budget::new(0));
        let greedy = connect();
        let all = greedy.open(STEP / 2).expect("a step of its own, and all that there is");
        assert_eq!(greedy.open(STEP / 2).err(), Some(Refusal::AnswersUnread));
        let connections: Vec<_> = (0..100).map(|_| connect()).collect();
        let open: Vec<_> = connections.iter().map(|one| one.open(200).expect("its own")).collect();
        drop((all, greedy, open));
        drop(connect().open(STEP / 2).expect("what idle connections have is their own"));
    }

    #[test]
    fn messages_that_are_coming_are_counted_over_all_connections() {
        let messages = Budget::new(1 << 20);
        let connect = || Share::new(Budget::new(0), &Budget::new(0), messages.clone());
        let (one, two) = (connect(), connect());
        let (mut large, mut own) = (one.receive(), two.receive());
        for bytes in [1000, OWN + 1, 1 << 20] {
            assert_eq!(large.hold(bytes), Ok(()));
        }
        assert_eq!(large.hold((1 << 20) + 1), Err(Refusal::AnswersUnread));
        assert_eq!(
            (one.coming.load(Ordering::Relaxed), one.owed.load(Ordering::Relaxed)),
            (1 << 20, 1 << 20)
        );
        assert_eq!(own.hold(OWN), Ok(()), "a little is its own");
        assert_eq!(own.hold(OWN + 1), Err(Refusal::AnswersUnread));
        large.arrived();
        assert_eq!(one.owed.load(Ordering::Relaxed), 0);
        assert_eq!(large.hold(10), Ok(()));
        drop((large, own));
        for share in [one, two] {
            assert_eq!((share.coming.load(Ordering::Relaxed), share.owed.load(Ordering::Relaxed)), (0, 0));
        }
        assert_eq!(messages.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stalls_is_found_and_whoever_is_slow_is_not() {
        const LIMIT: Duration = Duration::from_secs(60);
        let share = Share::new(Budget::new(64 << 20), &Budget::new(0), Budget::new(64 << 20));
        let stalls = || async { tokio::time::timeout(10 * LIMIT, share.stalled(LIMIT)).await.is_ok() };
        assert!(!stalls().await, "nothing is owed");
        let little = share.take(OWN).expect("there is room");
        assert!(!stalls().await, "a little is its own");
        drop(little);
        let stream = share.hold(bytes(AHEAD));
        assert!(!stalls().await, "streams wait as long as they like");
        drop(stream);
        let large = share.take(16 << 20).expect("there is room");
        let slow = async {
            for _ in 0..20 {
                tokio::time::sleep(LIMIT / 2).await;
                share.moved(1 << 20);
            }
        };
        assert!(!tokio::join!(stalls(), slow).0, "it moves its part");
        assert!(stalls().await, "it moves no more");
        drop(large);
        // Answers that are read at once, however many.
        let busy = async {
            for _ in 0..60 {
                drop(share.take(16 << 20).expect("there is room"));
                tokio::time::sleep(LIMIT / 8).await;
            }
        };
        assert!(!tokio::join!(stalls(), busy).0);
        let mut message = share.receive();
        message.hold(OWN + 1).expect("there is room");
        assert!(stalls().await, "it sends no more");
        message.arrived();
        message.hold(OWN + 2).expect("there is room");
        assert!(!stalls().await, "it waits for its answer");
    }
}
