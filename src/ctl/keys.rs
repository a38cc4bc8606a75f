//! Ranges of keys, as requests have them.

use crate::model::RangeEnd;

/// Stands for the least key if it is a range's beginning, and for the end of all keys if it is a range's end.
pub(super) const ZERO: &[u8] = b"\0";

/// The end of the range of all keys that begin with `prefix`.
pub(super) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    match crate::model::prefix_end(prefix) {
        RangeEnd::Before(end) => end.to_vec(),
        RangeEnd::Open | RangeEnd::Single => ZERO.to_vec(),
    }
}

/// The range that a key and `--prefix` mean.
pub(super) fn with_prefix(key: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    if key.is_empty() {
        return (ZERO.to_vec(), ZERO.to_vec());
    }
    let end = prefix_end(&key);
    (key, end)
}

/// The range that a key and `--from-key` mean.
pub(super) fn from_key(key: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let key = if key.is_empty() { ZERO.to_vec() } else { key };
    (key, ZERO.to_vec())
}
