//! Changes in the form that they have in etcd's backend. The key is `main _ sub` (8 bytes, an underscore, 8 bytes,
//! big-endian), with a `t` behind it for a deletion; the value is the protobuf encoding of `mvccpb.KeyValue`, of a
//! deletion the key only: fields in the order of their numbers, defaults left out.

use heed::RoTxn;

use super::records::{ChangeKind, Live, Record, Value};
use super::revision::Revision;
use crate::store::StoreError;
use crate::store::format::varint;
use crate::store::lmdb::Tables;

/// Bytes of the key of a put; that of a deletion has one more.
const KEY: usize = 17;

/// The key, in the first so many bytes.
pub fn key(at: Revision, deletes: bool) -> ([u8; KEY + 1], usize) {
    let mut key = [b't'; KEY + 1];
    key[..8].copy_from_slice(&at.main.to_be_bytes());
    key[8] = b'_';
    key[9..KEY].copy_from_slice(&u64::from(at.sub).to_be_bytes());
    (key, KEY + usize::from(deletes))
}

/// The revision in a key, and true if it is that of a deletion; `None` for bytes that are not such a key.
pub fn parse_key(key: &[u8]) -> Option<(Revision, bool)> {
    let (main, rest) = key.split_first_chunk::<8>()?;
    let (sub, mark) = rest.strip_prefix(b"_")?.split_first_chunk::<8>()?;
    let main = u64::from_be_bytes(*main);
    let at = Revision {
        main: i64::try_from(main).ok().filter(|main| *main > 0)?,
        sub: u32::try_from(u64::from_be_bytes(*sub)).ok()?,
    };
    match mark {
        [] => Some((at, false)),
        [b't'] => Some((at, true)),
        _ => None,
    }
}

/// Appends key and value of a change; returns the length of the key.
pub fn put_row(
    tables: &Tables,
    txn: &RoTxn<'_>,
    (at, kind): (Revision, ChangeKind),
    user_key: &[u8],
    row: &mut Vec<u8>,
) -> Result<usize, StoreError> {
    let deletes = kind == ChangeKind::Delete;
    let (key, length) = key(at, deletes);
    row.extend_from_slice(&key[..length]);
    put_bytes(row, 1, user_key);
    if !deletes {
        let missing = || StoreError::Damaged(format!("a version of revision {} is missing", at.main));
        let version = tables.exact(txn, user_key, at)?.ok_or_else(missing)?;
        let Record::Live(live) = version.record else { return Err(missing()) };
        put_number(row, 2, live.create);
        put_number(row, 3, at.main);
        put_number(row, 4, live.version);
        match live.value {
            Value::Inline(value) => put_bytes(row, 5, value),
            chunked @ Value::Chunked { .. } => put_bytes(row, 5, &tables.value(txn, at, chunked)?),
        }
        put_number(row, 6, live.lease);
    }
    Ok(length)
}

/// Bytes of a row that the change itself determines.
pub fn change_len(at: Revision, kind: ChangeKind, user_key: usize) -> u64 {
    let (_, key) = key(at, kind == ChangeKind::Delete);
    let revision = if kind == ChangeKind::Delete { 0 } else { number_len(at.main) };
    key as u64 + bytes_len(user_key as u64) + revision
}

/// Bytes of a row that the version determines.
pub fn version_len(live: &Live<'_>) -> u64 {
    let value = match live.value {
        Value::Inline(value) => value.len() as u64,
        Value::Chunked { len } => len,
    };
    number_len(live.create) + number_len(live.version) + number_len(live.lease) + bytes_len(value)
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    if !value.is_empty() {
        out.push(tag << 3 | 2);
        varint::put(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

fn put_number(out: &mut Vec<u8>, tag: u8, value: i64) {
    if value != 0 {
        out.push(tag << 3);
        varint::put(out, value as u64);
    }
}

fn bytes_len(length: u64) -> u64 {
    if length == 0 { 0 } else { 1 + varint::len(length) + length }
}

fn number_len(value: i64) -> u64 {
    if value == 0 { 0 } else { 1 + varint::len(value as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_others_are_refused() {
        for (at, deletes) in [(Revision { main: 1, sub: 0 }, false), (Revision { main: 7, sub: 300 }, true)] {
            let (key, length) = key(at, deletes);
            assert_eq!(parse_key(&key[..length]), Some((at, deletes)));
        }
        let (good, _) = key(Revision { main: 1, sub: 2 }, true);
        let with = |at: usize, byte: u8| {
            let mut key = good;
            key[at] = byte;
            key
        };
        let bad = [with(8, b'-'), with(17, b'x'), with(0, 0x80), with(7, 0), with(9, 1)];
        assert!(bad.iter().all(|key| parse_key(key).is_none()));
        assert_eq!([parse_key(&good[..16]), parse_key(b"")], [None, None]);
    }
}
