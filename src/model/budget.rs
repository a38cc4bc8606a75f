//! A limit on the memory that many hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::Refusal;

/// So many bytes, for everybody together. What is taken is given back when its [`Held`] is dropped.
#[derive(Debug)]
pub struct Budget {
    most: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of `most` bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: AtomicUsize::new(0) })
    }

    /// All of it, in bytes.
    pub fn most(&self) -> usize {
        self.most
    }

    /// What is taken at present, in bytes.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The largest single answer in bytes: while it is encoded, it is there twice.
    pub fn largest(&self) -> usize {
        self.most / 2
    }

    /// Refuses an answer of this many bytes that never fits.
    ///
    /// # Errors
    /// [`Refusal::MessageTooLong`].
    pub fn admit(&self, bytes: usize) -> Result<(), Refusal> {
        let largest = self.largest();
        if bytes > largest {
            let text =
                format!("etcdserver: the answer is larger than {largest} bytes; ask for less at a time");
            return Err(Refusal::MessageTooLong(text));
        }
        Ok(())
    }

    /// Takes this many bytes.
    ///
    /// # Errors
    /// [`Refusal::AnswersUnread`] if so many are not left.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Result<Held, Refusal> {
        let taken = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let held = Held { budget: self.clone(), bytes };
        if taken > self.most { Err(Refusal::AnswersUnread) } else { Ok(held) }
    }

    /// Takes this many bytes even if so many are not left: for what is there already.
    pub fn take_beyond(self: &Arc<Self>, bytes: usize) -> Held {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Held { budget: self.clone(), bytes }
    }
}

/// A part of a [`Budget`] that is taken.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// How much it is, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more, up to `bytes` in all.
    ///
    /// # Errors
    /// [`Refusal::AnswersUnread`] if so many are not left.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let mut more = self.budget.take(bytes.saturating_sub(self.bytes))?;
        self.bytes += std::mem::take(&mut more.bytes);
        Ok(())
    }

    /// Takes more, up to `bytes` in all, even if so many are not left.
    pub fn grow_beyond(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.budget.used.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.budget.used.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }

    /// `bytes`, which keep this part until they, and all parts of them, are dropped.
    pub fn by(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Owned { bytes, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The order of the fields counts: the bytes are freed before their part is given back.
struct Owned<B> {
    bytes: B,
    _held: Held,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Owned<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_never_fits_is_refused_with_the_limit() {
        let budget = Budget::new(100);
        assert_eq!(budget.admit(50), Ok(()));
        let refused = budget.admit(51).expect_err("it is there twice while it is encoded");
        assert_eq!(
            refused.to_string(),
            "etcdserver: the answer is larger than 50 bytes; ask for less at a time"
        );
    }

    #[test]
    fn what_is_taken_is_given_back_with_the_last_part_of_the_bytes() {
        let budget = Budget::new(100);
        let bytes = budget.take(60).expect("there is room").by(vec![7; 60]);
        assert_eq!(budget.take(41).err(), Some(Refusal::AnswersUnread));
        assert_eq!(budget.used(), 60, "a refusal takes nothing");
        let rest = budget.take(40).expect("there is room");
        let beyond = budget.take_beyond(1000);
        assert_eq!(budget.used(), 1100);
        drop((rest, beyond));
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!((budget.used(), part.as_ref()), (60, [7; 10].as_slice()));
        drop(part);
        assert_eq!(budget.used(), 0);
    }
}
