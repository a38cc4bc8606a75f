//! The format of the store on disk. Encoding and decoding are pure, and the decoders accept any bytes without
//! panicking: the meta record here, the keys and values of versions in [`mvcc::keys`](super::mvcc::keys) and
//! [`mvcc::records`](super::mvcc::records).
//!
//! # Files
//! ```text
//! DIR/CURRENT            the name of the environment in use, e.g. "state-1", replaced by rename
//! DIR/state-N/data.mdb   the LMDB environment; lock.mdb beside it is LMDB's own and holds nothing durable
//! ```
//! Restoring a snapshot writes `state-(N+1)` and then CURRENT, so after a crash either the old state or the new one is
//! complete. Any other `state-*` is removed when the store is opened. DIR has mode 0700.
//!
//! # Tables
//! They are LMDB's named databases; [`super::tables`] says what the keys and values of each are.
//!
//! `REVISION` is main (8 bytes) and sub (4 bytes): twelve bytes, in order. A `KIND` in `history` is 0 for a put over a
//! live version, 1 for a deletion, 2 for a put of a key that did not exist.
//!
//! `RECORD` is a kind byte: 0 a tombstone, which has nothing more; 1 an inline value; 2 a value in `chunks`. Then
//! varints create revision, version and lease (as u64), then the value itself, or the varint length of the chunked one.
//! A value above 64 KiB is chunked under the revision that wrote it and never moves, while its record may go from
//! `current` to `old`.
//!
//! # Checksums
//! LMDB has none. Behind the value of each row are the four bytes of a CRC32C, big-endian, over the table's number (its
//! place in the list, one byte), the length of the key (two bytes), the key and the value: [`super::sealed`] verifies it
//! at every read. `meta`/`format` alone has none, so that every kvd can read it. Snapshot streams, hashes and digests are made of values without it.
//!
//! # Long keys
//! LMDB's keys end at about 1,980 bytes, user keys only at the request limit, and scans must see them in byte order.
//! A user key is cut into segments of [`SEGMENT`](super::mvcc::keys::SEGMENT) = 900 bytes (P). `PLACE` is
//! ```text
//! 0x01 key                        a key of at most P bytes
//! 0x02 id(16) rest                a longer one: `rest` is its last 1..=P bytes and `id` the first 16 bytes of
//!                                 SHA-256 over all the bytes before it
//! ```
//! so a point lookup computes its place directly. For scans, every namespace on the path of a longer key holds a marker
//! at the point at which the key leaves it: the segment and one byte 0x01. No key in a namespace is longer than P, so
//! an entry of P + 1 bytes is a marker; it sorts right after the key that equals its segment and before every greater
//! one, which is where the namespace below it belongs. The marker is removed when the namespace below becomes empty.
//!
//! In `old`, where a revision follows, the part after the tag and id is escaped: 0x00 becomes 0x00 0xff, and the key ends
//! with 0x00 0x00 (then the revision) or, for a marker, with 0x00 0x01. Both sort below the escaped continuation of
//! any longer key. The longest LMDB key is 1 + 16 + 2 * 900 + 2 + 12 = 1,831 bytes.
//!
//! # Versions
//! [`VERSION`] is increased if an older kvd would misread the data. Opening a directory of a newer version is refused
//! with [`StoreError::Format`](super::StoreError::Format), naming the directory and both versions. New fields of `Meta`
//! go at its end, behind a version.
//!
//! - 1: rows without checksums. An environment of this version is read and written as before and stays so; whatever
//!   replaces it (a snapshot of the leader, `kvctl rebuild`, a restored backup) is of the newest version.
//! - 2: rows with checksums.

pub(super) mod leases;
pub(super) mod meta;
mod probe;
pub(super) mod varint;

pub use probe::probe;

/// The version of the format described here.
pub const VERSION: u32 = 2;

/// The oldest version that is read.
pub(super) const FIRST: u32 = 1;

/// The version from which on rows have checksums.
pub(super) const SEALED: u32 = 2;

/// The version of rows in snapshot streams: without checksums, since a stream has its own.
pub(super) const STREAMED: u32 = 1;

/// Values longer than this are stored in chunks of this size.
pub const CHUNK: usize = 64 << 10;

/// The keys of `meta`.
pub(super) const FORMAT: &[u8] = b"format";
pub(super) const STATE: &[u8] = b"state";

const MAGIC: &[u8] = b"kvd-store";

/// The value under `meta`/`format`.
pub(super) fn encode_version(version: u32) -> Vec<u8> {
    [MAGIC, &version.to_be_bytes()].concat()
}

/// The version in the value under `meta`/`format`; `None` if it is not one of kvd's.
pub(super) fn decode_version(bytes: &[u8]) -> Option<u32> {
    let number = bytes.strip_prefix(MAGIC)?;
    Some(u32::from_be_bytes(number.try_into().ok()?))
}
