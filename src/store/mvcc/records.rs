//! The values in the tables of versions.

use super::revision::Revision;
use crate::store::format::varint;

const TOMBSTONE: u8 = 0;
const INLINE: u8 = 1;
const CHUNKED: u8 = 2;

/// A version of a key in its stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'v> {
    /// The key was deleted.
    Tombstone,
    /// The key was put.
    Live(Live<'v>),
}

/// A version that is not a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live<'v> {
    /// Revision of the put that created the key.
    pub create: i64,
    /// Number of puts since.
    pub version: i64,
    /// The lease, 0 for none.
    pub lease: i64,
    /// The value.
    pub value: Value<'v>,
}

/// The place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// In the record.
    Inline(&'v [u8]),
    /// In `chunks`, under the version's revision.
    Chunked {
        /// Its length in bytes.
        len: u64,
    },
}

impl<'v> Record<'v> {
    /// Reads a record.
    pub fn decode(mut bytes: &'v [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        bytes = rest;
        if *kind == TOMBSTONE {
            return bytes.is_empty().then_some(Self::Tombstone);
        }
        let create = varint::take(&mut bytes)? as i64;
        let version = varint::take(&mut bytes)? as i64;
        let lease = varint::take(&mut bytes)? as i64;
        let value = match *kind {
            INLINE => Value::Inline(bytes),
            CHUNKED => {
                let len = varint::take(&mut bytes)?;
                if !bytes.is_empty() {
                    return None;
                }
                Value::Chunked { len }
            }
            _ => return None,
        };
        Some(Self::Live(Live { create, version, lease, value }))
    }

    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self::Live(live) = self else {
            return out.push(TOMBSTONE);
        };
        out.push(if matches!(live.value, Value::Inline(_)) { INLINE } else { CHUNKED });
        varint::put(out, live.create as u64);
        varint::put(out, live.version as u64);
        varint::put(out, live.lease as u64);
        match live.value {
            Value::Inline(value) => out.extend_from_slice(value),
            Value::Chunked { len } => varint::put(out, len),
        }
    }
}

/// Splits a value of `current` into the revision that wrote it and the record, still encoded: the record goes to
/// `old` as it is.
pub fn split_current(mut bytes: &[u8]) -> Option<(Revision, &[u8])> {
    let main = varint::take(&mut bytes)? as i64;
    let sub = u32::try_from(varint::take(&mut bytes)?).ok()?;
    Some((Revision { main, sub }, bytes))
}

/// Appends a value of `current`.
pub fn encode_current(at: Revision, record: &Record<'_>, out: &mut Vec<u8>) {
    varint::put(out, at.main as u64);
    varint::put(out, u64::from(at.sub));
    record.encode(out);
}

/// What a change did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Replaced a live version.
    Update,
    /// Deleted the key.
    Delete,
    /// Put a key that did not exist: it makes no earlier version superfluous.
    Create,
}

/// Appends a value of `history`.
pub fn encode_history(kind: ChangeKind, key: &[u8], out: &mut Vec<u8>) {
    out.push(match kind {
        ChangeKind::Update => 0,
        ChangeKind::Delete => 1,
        ChangeKind::Create => 2,
    });
    out.extend_from_slice(key);
}

/// Reads a value of `history`.
pub fn decode_history(bytes: &[u8]) -> Option<(ChangeKind, &[u8])> {
    let (number, key) = bytes.split_first()?;
    let kind = match number {
        0 => ChangeKind::Update,
        1 => ChangeKind::Delete,
        2 => ChangeKind::Create,
        _ => return None,
    };
    Some((kind, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back() {
        let live = |value| Record::Live(Live { create: 3, version: i64::MAX, lease: -7, value });
        for record in [
            Record::Tombstone,
            live(Value::Inline(b"v")),
            live(Value::Inline(b"")),
            live(Value::Chunked { len: 9 }),
        ] {
            let mut out = Vec::new();
            record.encode(&mut out);
            assert_eq!(Record::decode(&out), Some(record));
            let mut out = Vec::new();
            let at = Revision { main: 300, sub: 70_000 };
            encode_current(at, &record, &mut out);
            let (found, rest) = split_current(&out).unwrap();
            assert_eq!((found, Record::decode(rest)), (at, Some(record)));
        }
    }

    #[test]
    fn garbage_is_refused() {
        for garbage in [&b""[..], b"\0x", b"\x01", b"\x01\x80", b"\x03\0\0\0", b"\x02\0\0\0\x01x"] {
            assert_eq!(Record::decode(garbage), None);
        }
        assert_eq!(decode_history(b"\x03k"), None);
    }
}
