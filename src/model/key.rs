//! Keys and the one range algebra that ranges, deletes, watches, compares and permissions share.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Where a [`KeyRange`] ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RangeEnd {
    /// The range is exactly its start key.
    Single,
    /// The range is `[start, end)`; it is empty if `end <= start`.
    Before(Bytes),
    /// The range holds every key from the start on.
    Open,
}

/// A set of adjacent keys in byte order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyRange {
    /// First key that may be in the range.
    pub start: Bytes,
    /// Where it ends.
    pub end: RangeEnd,
}

impl KeyRange {
    /// The range of one key.
    pub fn single(key: impl Into<Bytes>) -> Self {
        Self { start: key.into(), end: RangeEnd::Single }
    }

    /// Every key there is. (The empty key is never stored, so starting at it includes all.)
    pub fn all() -> Self {
        Self { start: Bytes::new(), end: RangeEnd::Open }
    }

    /// The range that etcd's wire form (`key`, `range_end`) means: an empty `range_end` is the single key, one
    /// zero byte is open-ended, anything else is exclusive.
    pub fn from_wire(key: Bytes, range_end: Bytes) -> Self {
        let end = match range_end.as_ref() {
            [] => RangeEnd::Single,
            [0] => RangeEnd::Open,
            _ => RangeEnd::Before(range_end),
        };
        Self { start: key, end }
    }

    /// True if no key can be in the range.
    pub fn is_empty(&self) -> bool {
        matches!(&self.end, RangeEnd::Before(end) if *end <= self.start)
    }

    /// The key, if the range is a single one.
    pub fn as_single(&self) -> Option<&Bytes> {
        matches!(self.end, RangeEnd::Single).then_some(&self.start)
    }

    /// True if `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            RangeEnd::Single => key == self.start,
            RangeEnd::Before(end) => key >= self.start.as_ref() && key < end.as_ref(),
            RangeEnd::Open => key >= self.start.as_ref(),
        }
    }

    /// True if `key` lies at or beyond the end, so that a scan in key order may stop.
    pub fn ends_before(&self, key: &[u8]) -> bool {
        match &self.end {
            RangeEnd::Single => key > self.start.as_ref(),
            RangeEnd::Before(end) => key >= end.as_ref(),
            RangeEnd::Open => false,
        }
    }
}

/// The exclusive end of the range of all keys that begin with `prefix`: the prefix with its last byte below 0xff
/// raised by one and the rest cut. An empty prefix, or one of 0xff bytes only, has no end.
pub fn prefix_end(prefix: &[u8]) -> RangeEnd {
    match prefix.iter().rposition(|byte| *byte < 0xff) {
        None => RangeEnd::Open,
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            RangeEnd::Before(end.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str) -> KeyRange {
        KeyRange::from_wire(Bytes::copy_from_slice(start.as_bytes()), Bytes::copy_from_slice(end.as_bytes()))
    }

    #[test]
    fn wire_forms() {
        assert_eq!(range("a", "").end, RangeEnd::Single);
        assert_eq!(range("a", "\0").end, RangeEnd::Open);
        assert!(range("b", "a").is_empty());
        assert!(range("a", "c").contains(b"b"));
        assert!(!range("a", "c").contains(b"c"));
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix_end(b"a"), RangeEnd::Before(Bytes::from_static(b"b")));
        assert_eq!(prefix_end(b"a\xff"), RangeEnd::Before(Bytes::from_static(b"b")));
        assert_eq!(prefix_end(b"\xff\xff"), RangeEnd::Open);
        assert_eq!(prefix_end(b""), RangeEnd::Open);
    }
}
