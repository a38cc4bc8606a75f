//! Which rows are valid in the tables of versions.

use super::keys::{self, CurrentShape, Entry, OldShape, Shape};
use super::records::{Record, decode_history, split_current};
use super::revision::Revision;
use crate::store::format::CHUNK;

/// True for a valid row of `current`.
pub fn is_current(key: &[u8], value: &[u8]) -> bool {
    is_version::<CurrentShape>(key, value, |value| {
        let record = split_current(value).and_then(|(_, record)| Record::decode(record));
        matches!(record, Some(Record::Live(_)))
    })
}

/// True for a valid row of `old`.
pub fn is_old(key: &[u8], value: &[u8]) -> bool {
    is_version::<OldShape>(key, value, |value| Record::decode(value).is_some())
}

fn is_version<S: Shape>(key: &[u8], value: &[u8], is_record: impl Fn(&[u8]) -> bool) -> bool {
    match keys::rest(key).and_then(S::parse) {
        Some(Entry::Leaf(..)) => is_record(value),
        Some(Entry::Marker(_)) => value.is_empty(),
        None => false,
    }
}

/// True for a valid row of `history`.
pub fn is_change(key: &[u8], value: &[u8]) -> bool {
    Revision::from_bytes(key).is_some() && decode_history(value).is_some()
}

/// True for a valid row of `chunks`.
pub fn is_chunk(key: &[u8], value: &[u8]) -> bool {
    key.len() == keys::CHUNK_KEY && (1..=CHUNK).contains(&value.len())
}
