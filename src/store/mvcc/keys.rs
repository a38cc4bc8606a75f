//! The form of a user key in a table: places, segments, markers, escapes. See [`crate::store::format`] for the layout.

use std::borrow::Cow;

use memchr::memchr;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::revision::Revision;

/// Bytes of a user key in one namespace.
pub const SEGMENT: usize = 900;

const ROOT: u8 = 1;
const NESTED: u8 = 2;
const MARKER: u8 = 1;
const REVISION: usize = 12;

/// Bytes of a key of `chunks`.
pub const CHUNK_KEY: usize = REVISION + 4;

/// An LMDB key under construction.
pub type KeyBuf = SmallVec<[u8; 128]>;

/// One level of the long-key scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Keys, and first segments of longer ones.
    Root,
    /// The bytes after a prefix with this hash.
    Nested([u8; 16]),
}

impl Namespace {
    /// The namespace of the bytes after `prefix`, whose length is a multiple of [`SEGMENT`].
    pub fn below(prefix: &[u8]) -> Self {
        if prefix.is_empty() {
            Self::Root
        } else {
            Self::of_hash(&Sha256::new().chain_update(prefix), prefix.len())
        }
    }

    /// The namespace of the bytes after the first `len` bytes, which have this hash.
    pub fn of_hash(hash: &Sha256, len: usize) -> Self {
        if len == 0 {
            return Self::Root;
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.clone().finalize()[..16]);
        Self::Nested(id)
    }

    /// Appends the bytes with which all LMDB keys of this namespace begin.
    pub fn write(&self, out: &mut KeyBuf) {
        match self {
            Self::Root => out.push(ROOT),
            Self::Nested(id) => {
                out.push(NESTED);
                out.extend_from_slice(id);
            }
        }
    }

    /// The rest of `key` after the namespace's bytes; `None` if it belongs to another one.
    pub fn strip<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        match self {
            Self::Root => key.strip_prefix(&[ROOT]),
            Self::Nested(id) => key.strip_prefix(&[NESTED])?.strip_prefix(id),
        }
    }
}

/// The part of an LMDB key after its namespace; `None` if kvd cannot have written it.
pub fn rest(key: &[u8]) -> Option<&[u8]> {
    match key.split_first()? {
        (&ROOT, rest) => Some(rest),
        (&NESTED, rest) => rest.get(16..),
        _ => None,
    }
}

/// The namespace of `key`, and the part of `key` in it.
pub fn place(key: &[u8]) -> (Namespace, &[u8]) {
    if key.len() <= SEGMENT {
        return (Namespace::Root, key);
    }
    let (prefix, rest) = key.split_at((key.len() - 1) / SEGMENT * SEGMENT);
    (Namespace::below(prefix), rest)
}

/// The namespaces above a long key's own, outermost first, each with the key's segment in it. Empty for a short key.
pub fn path(key: &[u8]) -> Vec<(Namespace, &[u8])> {
    let mut steps = Vec::new();
    let mut hash = Sha256::new();
    let mut rest = key;
    while rest.len() > SEGMENT {
        let (segment, tail) = rest.split_at(SEGMENT);
        steps.push((Namespace::of_hash(&hash, key.len() - rest.len()), segment));
        hash.update(segment);
        rest = tail;
    }
    steps
}

/// The key of `current` for a user key.
pub fn current_key(key: &[u8]) -> KeyBuf {
    let (namespace, segment) = place(key);
    current_at(namespace, segment)
}

/// The key of `current` for a segment in a namespace.
pub fn current_at(namespace: Namespace, segment: &[u8]) -> KeyBuf {
    let mut out = KeyBuf::new();
    namespace.write(&mut out);
    out.extend_from_slice(segment);
    out
}

/// The key of a marker in `current`.
pub fn current_marker(namespace: Namespace, segment: &[u8]) -> KeyBuf {
    let mut out = current_at(namespace, segment);
    out.push(MARKER);
    out
}

/// The prefix of all keys of `old` for one user key; the revision follows.
pub fn old_prefix(key: &[u8]) -> KeyBuf {
    let (namespace, segment) = place(key);
    old_at(namespace, segment)
}

/// The prefix of all keys of `old` for one segment in a namespace.
pub fn old_at(namespace: Namespace, segment: &[u8]) -> KeyBuf {
    let mut out = KeyBuf::new();
    namespace.write(&mut out);
    escape(segment, &mut out);
    out.extend_from_slice(&[0, 0]);
    out
}

/// The key of a marker in `old`.
pub fn old_marker(namespace: Namespace, segment: &[u8]) -> KeyBuf {
    let mut out = KeyBuf::new();
    namespace.write(&mut out);
    escape(segment, &mut out);
    out.extend_from_slice(&[0, MARKER]);
    out
}

/// The key of `old` for a version of a user key.
pub fn old_key(key: &[u8], at: Revision) -> KeyBuf {
    let mut out = old_prefix(key);
    out.extend_from_slice(&at.to_bytes());
    out
}

fn escape(segment: &[u8], out: &mut KeyBuf) {
    let mut rest = segment;
    while let Some(zero) = memchr(0, rest) {
        out.extend_from_slice(&rest[..zero]);
        out.extend_from_slice(&[0, 0xff]);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
}

fn unescape(escaped: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !escaped.contains(&0) {
        return Some(Cow::Borrowed(escaped));
    }
    let mut out = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(zero) = memchr(0, rest) {
        out.extend_from_slice(&rest[..=zero]);
        rest = rest[zero + 1..].strip_prefix(&[0xff])?;
    }
    out.extend_from_slice(rest);
    Some(Cow::Owned(out))
}

/// The meaning of an LMDB key without its namespace.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<'k> {
    /// A version of the key that ends with this segment; with its revision if the LMDB key has it (in `old`).
    Leaf(Cow<'k, [u8]>, Option<Revision>),
    /// Longer keys continue below this segment.
    Marker(Cow<'k, [u8]>),
}

/// The encoding of a table's keys after the namespace.
pub trait Shape {
    /// Decodes that part; `None` if kvd cannot have written it.
    fn parse(rest: &[u8]) -> Option<Entry<'_>>;
    /// The first LMDB key that a user key ending with `segment` in `namespace` can have.
    fn first(namespace: Namespace, segment: &[u8]) -> KeyBuf;
    /// The marker of `segment` in `namespace`.
    fn marker(namespace: Namespace, segment: &[u8]) -> KeyBuf;
}

/// The keys of `current`.
pub enum CurrentShape {}

impl Shape for CurrentShape {
    fn parse(rest: &[u8]) -> Option<Entry<'_>> {
        match rest.len() {
            0..=SEGMENT => Some(Entry::Leaf(Cow::Borrowed(rest), None)),
            _ => {
                let segment = rest.strip_suffix(&[MARKER]).filter(|segment| segment.len() == SEGMENT)?;
                Some(Entry::Marker(Cow::Borrowed(segment)))
            }
        }
    }

    fn first(namespace: Namespace, segment: &[u8]) -> KeyBuf {
        current_at(namespace, segment)
    }

    fn marker(namespace: Namespace, segment: &[u8]) -> KeyBuf {
        current_marker(namespace, segment)
    }
}

/// The keys of `old`.
pub enum OldShape {}

impl Shape for OldShape {
    fn parse(rest: &[u8]) -> Option<Entry<'_>> {
        // The end of the escaped segment is its first zero that is not followed by 0xff.
        let mut from = 0;
        let end = loop {
            let zero = from + memchr(0, rest.get(from..)?)?;
            match rest.get(zero + 1)? {
                0xff => from = zero + 2,
                _ => break zero,
            }
        };
        let segment = unescape(&rest[..end])?;
        match (rest[end + 1], &rest[end + 2..]) {
            (0, revision) => Some(Entry::Leaf(segment, Some(Revision::from_bytes(revision)?))),
            (MARKER, []) if segment.len() == SEGMENT => Some(Entry::Marker(segment)),
            _ => None,
        }
    }

    fn first(namespace: Namespace, segment: &[u8]) -> KeyBuf {
        old_at(namespace, segment)
    }

    fn marker(namespace: Namespace, segment: &[u8]) -> KeyBuf {
        old_marker(namespace, segment)
    }
}

/// The key of `chunks` for the n-th piece of the value that `at` wrote.
pub fn chunk_key(at: Revision, n: u32) -> [u8; CHUNK_KEY] {
    let mut out = [0; CHUNK_KEY];
    out[..REVISION].copy_from_slice(&at.to_bytes());
    out[REVISION..].copy_from_slice(&n.to_be_bytes());
    out
}

/// The key of `attached`, and the value: a long key does not fit and is the value instead.
pub fn attached(lease: i64, key: &[u8]) -> (KeyBuf, &[u8]) {
    let mut out = KeyBuf::from_slice(&(lease as u64).to_be_bytes());
    if key.len() <= SEGMENT {
        out.push(0);
        out.extend_from_slice(key);
        (out, &[])
    } else {
        out.push(1);
        out.extend_from_slice(&Sha256::digest(key));
        (out, key)
    }
}

/// The lease and the user key of a row of `attached`.
pub fn parse_attached<'r>(row: &'r [u8], value: &'r [u8]) -> Option<(i64, &'r [u8])> {
    let (id, rest) = row.split_first_chunk::<8>()?;
    let key = match rest.split_first()? {
        (0, key) => key,
        (1, _) => value,
        _ => return None,
    };
    Some((u64::from_be_bytes(*id) as i64, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> =
            vec![b"a".to_vec(), b"a\0".to_vec(), b"a\0\0".to_vec(), b"a\x01".to_vec()];
        keys.push(b"a\xff".to_vec());
        keys.push(b"b".to_vec());
        for len in [SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 2 * SEGMENT + 1, 5 * SEGMENT] {
            keys.push(vec![0; len]);
            keys.push(vec![7; len]);
            keys.push(vec![0xff; len]);
        }
        keys.sort();
        keys
    }

    #[test]
    fn places_have_the_last_segment() {
        assert_eq!(place(&[7; SEGMENT]), (Namespace::Root, [7; SEGMENT].as_slice()));
        let long = vec![7; 2 * SEGMENT];
        let (namespace, rest) = place(&long);
        assert_eq!(rest.len(), SEGMENT);
        assert_eq!(namespace, Namespace::below(&[7; SEGMENT]));
        assert_eq!(path(&long).len(), 1);
        assert_eq!(path(&vec![7; 2 * SEGMENT + 1]).len(), 2);
    }

    #[test]
    fn segments_sort_as_user_keys_do_in_both_tables() {
        for pair in samples().iter().filter(|key| key.len() <= SEGMENT).collect::<Vec<_>>().windows(2) {
            assert!(current_key(pair[0]) < current_key(pair[1]));
            let last = old_key(pair[0], Revision { main: i64::MAX, sub: u32::MAX });
            assert!(last < old_key(pair[1], Revision { main: 0, sub: 0 }));
        }
    }

    #[test]
    fn a_marker_follows_its_key_and_precedes_what_is_greater() {
        let segment = [7; SEGMENT];
        let greater = [&[7; SEGMENT - 1][..], &[8]].concat();
        assert!(current_at(Namespace::Root, &segment) < current_marker(Namespace::Root, &segment));
        assert!(current_marker(Namespace::Root, &segment) < current_at(Namespace::Root, &greater));
        let last = old_key(&segment, Revision { main: i64::MAX, sub: u32::MAX });
        assert!(last < old_marker(Namespace::Root, &segment));
        assert!(old_marker(Namespace::Root, &segment) < old_at(Namespace::Root, &greater));
    }

    #[test]
    fn entries_read_back() {
        let at = Revision { main: 5, sub: 6 };
        for key in samples() {
            let (namespace, segment) = place(&key);
            let current = current_key(&key);
            let entry = namespace.strip(&current).and_then(CurrentShape::parse);
            assert_eq!(entry, Some(Entry::Leaf(Cow::Borrowed(segment), None)));
            let old = old_key(&key, at);
            assert!(old.len() <= 1831);
            assert_eq!(
                namespace.strip(&old).and_then(OldShape::parse),
                Some(Entry::Leaf(Cow::Borrowed(segment), Some(at)))
            );
            for (outer, step) in path(&key) {
                let marker = current_marker(outer, step);
                let entry = outer.strip(&marker).and_then(CurrentShape::parse);
                assert_eq!(entry, Some(Entry::Marker(Cow::Borrowed(step))));
                let marker = old_marker(outer, step);
                assert_eq!(
                    outer.strip(&marker).and_then(OldShape::parse),
                    Some(Entry::Marker(Cow::Borrowed(step)))
                );
            }
        }
    }

    #[test]
    fn garbage_is_refused() {
        assert_eq!(CurrentShape::parse(&[1; SEGMENT + 2]), None);
        for garbage in [&b""[..], b"a", b"a\0", b"a\0\0", b"a\0\x00123", b"a\0\x01", b"a\0\x02aaaaaaaaaaaa"] {
            assert_eq!(OldShape::parse(garbage), None);
        }
        assert_eq!(parse_attached(b"1234567", b""), None);
        assert_eq!(parse_attached(b"12345678\x02", b""), None);
    }
}
