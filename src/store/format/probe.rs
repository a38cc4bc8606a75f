//! Every decoder of the format on the same bytes: the entry point for fuzzing.

use super::meta::Meta;
use super::{decode_version, encode_version};
use crate::store::mvcc::keys::{CurrentShape, Entry, Namespace, OldShape, Shape, old_at, old_marker};
use crate::store::mvcc::records::{Record, decode_history, encode_current, encode_history, split_current};
use crate::store::tables::TABLES;

/// Decodes `bytes` as each kind of key and value of the tables in turn; returns for how many kinds they are valid.
///
/// # Panics
/// If the format contradicts itself: decoded data are encoded again and must decode to the same. No input may cause
/// that.
pub fn probe(bytes: &[u8]) -> usize {
    let readings = [
        decode_version(bytes).is_some_and(|version| encode_version(version) == bytes),
        record(bytes),
        current(bytes),
        history(bytes),
        old_entry(bytes),
        CurrentShape::parse(bytes).is_some(),
        postcard::from_bytes::<Meta>(bytes).is_ok(),
    ];
    readings.into_iter().filter(|read| *read).count() + tables(bytes)
}

/// The number of tables for which the bytes are a valid row: the first byte is the length of the key.
fn tables(bytes: &[u8]) -> usize {
    let Some((length, row)) = bytes.split_first() else { return 0 };
    let (key, value) = row.split_at(row.len().min(usize::from(*length)));
    TABLES.iter().filter(|table| table.reads(key, value)).count()
}

fn record(bytes: &[u8]) -> bool {
    let Some(record) = Record::decode(bytes) else { return false };
    let mut again = Vec::new();
    record.encode(&mut again);
    assert_eq!(Record::decode(&again), Some(record), "a record reads back as it was written");
    true
}

fn current(bytes: &[u8]) -> bool {
    let Some((at, rest)) = split_current(bytes) else { return false };
    let Some(record) = Record::decode(rest) else { return false };
    let mut again = Vec::new();
    encode_current(at, &record, &mut again);
    let read = split_current(&again).map(|(at, rest)| (at, Record::decode(rest)));
    assert_eq!(read, Some((at, Some(record))), "a value of `current` reads back as it was written");
    true
}

fn history(bytes: &[u8]) -> bool {
    let Some((tombstone, key)) = decode_history(bytes) else { return false };
    let mut again = Vec::new();
    encode_history(tombstone, key, &mut again);
    assert_eq!(again, bytes, "a value of `history` has one encoding");
    true
}

fn old_entry(bytes: &[u8]) -> bool {
    let Some(entry) = OldShape::parse(bytes) else { return false };
    let again = match &entry {
        Entry::Leaf(segment, at) => {
            let mut key = old_at(Namespace::Root, segment);
            key.extend_from_slice(&at.unwrap_or_default().to_bytes());
            key
        }
        Entry::Marker(segment) => old_marker(Namespace::Root, segment),
    };
    assert_eq!(Namespace::Root.strip(&again), Some(bytes), "a key of `old` has one encoding");
    true
}
