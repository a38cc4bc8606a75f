//! A bound on values inside values of their own kind: the only recursion in what is read from the log, from other
//! members and from snapshots.

use std::cell::Cell;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Transactions inside transactions, or replies inside replies, that are read, at most. What clients can ask for is less
/// deep (a message of theirs has at most a hundred levels); without a bound, few bytes from elsewhere would take all of
/// the reader's stack.
pub const MAX_NESTING: u32 = 128;

/// Reads a value that may hold others of the kind it stands in (`#[serde(deserialize_with)]`).
///
/// # Errors
/// Beyond [`MAX_NESTING`], and those of the value.
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
