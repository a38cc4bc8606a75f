//! A value whose changes can be waited for, like tokio's `watch`. tokio wakes waiting tasks in a random order; this one
//! wakes them in the order in which they came, so that a simulation is the same run each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use openraft::{OptionalSend, OptionalSync};
use openraft_rt::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// A read guard of the value, which cannot change in the meantime: never hold it across an `await`.
pub type Ref<'a, T> = RwLockReadGuard<'a, T>;

/// All senders are gone, and the value will not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody changes the value any more")]
pub struct Closed;

struct Channel<T> {
    value: RwLock<T>,
    /// Counts the changes. Changed only while the value is locked for writing.
    version: AtomicUsize,
    changed: Notify,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    closed: AtomicBool,
}

/// Changes the value. Clones share it.
pub struct Sender<T>(Arc<Channel<T>>);

/// Reads the value and waits for its changes.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    seen: usize,
}

impl<T> Sender<T> {
    /// A sender with a first value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Channel {
            value: RwLock::new(value),
            version: AtomicUsize::new(0),
            changed: Notify::new(),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }))
    }

    /// A receiver that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        self.0.receivers.fetch_add(1, Ordering::Relaxed);
        let seen = self.0.version.load(Ordering::Acquire);
        Receiver { channel: self.0.clone(), seen }
    }

    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.value.read()
    }

    /// Replaces the value, and returns the old one.
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_if_modified(|present| {
            std::mem::swap(present, &mut value);
            true
        });
        value
    }

    /// Lets `modify` change the value; wakes waiting receivers if it returns true. Returns the same.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = {
            let mut value = self.0.value.write();
            let modified = modify(&mut value);
            if modified {
                self.0.version.fetch_add(1, Ordering::Release);
            }
            modified
        };
        if modified {
            self.0.changed.notify_waiters();
        }
        modified
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.closed.store(true, Ordering::Release);
            self.0.changed.notify_waiters();
        }
    }
}

impl<T> Receiver<T> {
    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.channel.value.read()
    }

    /// The value, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.channel.value.read();
        self.seen = self.channel.version.load(Ordering::Acquire);
        value
    }

    /// Marks the present value as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.channel.version.load(Ordering::Acquire);
    }

    /// Waits for an unseen value, and marks it as seen. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Closed`] if there is no unseen value left.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let notified = self.channel.changed.notified();
            tokio::pin!(notified);
            // From here on no change is missed.
            notified.as_mut().enable();
            let version = self.channel.version.load(Ordering::Acquire);
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if self.channel.closed.load(Ordering::Acquire) {
                return Err(Closed);
            }
            notified.await;
        }
    }

    /// Waits for a value that fulfils the condition; the present one counts.
    ///
    /// # Errors
    /// [`Closed`] if no such value can come.
    pub async fn wait_for(&mut self, mut condition: impl FnMut(&T) -> bool) -> Result<T, Closed>
    where
        T: Clone,
    {
        loop {
            {
                let value = self.channel.value.read();
                self.seen = self.channel.version.load(Ordering::Acquire);
                if condition(&value) {
                    return Ok(value.clone());
                }
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.receivers.fetch_add(1, Ordering::Relaxed);
        Self { channel: self.channel.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.receivers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same as a type for the raft library.
pub struct Signals;

impl Watch for Signals {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let sender = Sender::new(init);
        let receiver = sender.subscribe();
        (sender, receiver)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<Signals, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.receivers.load(Ordering::Relaxed) == 0 {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        Sender::send_if_modified(self, modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        Sender::subscribe(self)
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<Signals, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        Receiver::changed(self).await.map_err(|Closed| RecvError(()))
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        Receiver::borrow_and_update(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn changes_are_seen_once_and_none_is_missed() {
        let sender = Sender::new(1);
        let mut receiver = sender.subscribe();
        assert_eq!(sender.send_replace(2), 1);
        assert!(receiver.changed().await.is_ok());
        assert_eq!(*receiver.borrow(), 2);
        assert!(!sender.send_if_modified(|_| false));
        sender.send_replace(3);
        receiver.mark_unchanged();
        let other = sender.clone();
        drop(sender);
        let waiting = tokio::spawn(async move {
            assert_eq!(receiver.wait_for(|value| *value == 5).await?, 5);
            receiver.changed().await
        });
        for value in 4..=5 {
            other.send_replace(value);
            tokio::task::yield_now().await;
        }
        drop(other);
        assert_eq!(waiting.await.unwrap(), Err(Closed));
    }

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_they_came() {
        let sender = Sender::new(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (mut receiver, order) = (sender.subscribe(), order.clone());
            tasks.spawn(async move {
                let _ = receiver.changed().await;
                order.lock().unwrap().push(number);
            });
        }
        tokio::task::yield_now().await;
        sender.send_replace(1);
        while tasks.join_next().await.is_some() {}
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn without_receivers_nothing_is_sent() {
        let (sender, receiver) = Signals::channel(1);
        assert!(WatchSender::send(&sender, 2).is_ok());
        drop(receiver);
        assert!(WatchSender::send(&sender, 3).is_err());
        assert_eq!(*sender.borrow(), 2);
    }
}
