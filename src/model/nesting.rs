//! A bound on values inside values of their own kind. This is the only recursion in what is read from the log, from
//! other members and from snapshots.

use std::cell::Cell;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The deepest nesting of transactions inside transactions, or replies inside replies, that is read. Clients cannot ask
/// for so many levels (a message of theirs has at most a hundred); without a bound, a few bytes from elsewhere could
/// exhaust the reader's stack.
pub const MAX_NESTING: u32 = 128;

/// Reads a value that may hold others of its own kind (`#[serde(deserialize_with)]`).
///
/// # Errors
/// If the nesting is deeper than [`MAX_NESTING`], and the errors of the value.
pub(super) fn nested<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });
    struct Level(u32);
    impl Drop for Level {
        fn drop(&mut self) {
            DEPTH.set(self.0);
        }
    }
    let level = Level(DEPTH.get());
    if level.0 >= MAX_NESTING {
        return Err(D::Error::custom("nested too deeply"));
    }
    DEPTH.set(level.0 + 1);
    T::deserialize(deserializer)
}
