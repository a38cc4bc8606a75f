//! Encodes and decodes items. Decoding never panics, whatever the bytes.

use crate::model::{LogPosition, Planted, is_planted};

use super::format::ITEM_HEADER;
use super::{Entry, Payload, Vote};

/// The version of an entry's encoding.
pub const ENTRY_VERSION: u8 = 2;

/// One item of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// The first item of a segment.
    Start(Start),
    /// An entry.
    Entry(Entry),
    /// A vote.
    Vote(Vote),
    /// Entries after the position no longer count.
    Truncate(Option<LogPosition>),
    /// Entries up to the position no longer count.
    Purge(LogPosition),
    /// Entries up to the position are committed.
    Committed(LogPosition),
}

/// The first item of a segment. It repeats the state, so that the segments before can be removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The vote.
    pub vote: Option<Vote>,
    /// The last position purged.
    pub purged: Option<LogPosition>,
    /// The last position known to be committed.
    pub committed: Option<LogPosition>,
}

/// Why bytes are not an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemFault {
    /// They end too early, hold impossible values, or their checksum is wrong.
    Damaged(String),
    /// A kind or an encoding of another version; the number is the unknown one.
    Unknown(u32),
}

const START: u8 = 1;
const ENTRY: u8 = 2;
const VOTE: u8 = 3;
const TRUNCATE: u8 = 4;
const PURGE: u8 = 5;
const COMMITTED: u8 = 6;

impl Item {
    /// Appends the item to `out`.
    ///
    /// # Errors
    /// Only if an entry cannot be encoded; no entry of this program is known to be like that.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Item::Start(start) => framed(out, START, |out| {
                put_option(out, start.vote.as_ref(), put_vote);
                put_option(out, start.purged.as_ref(), put_position);
                put_option(out, start.committed.as_ref(), put_position);
                Ok(())
            }),
            Item::Entry(entry) => encode_entry(entry, out),
            Item::Vote(vote) => framed(out, VOTE, |out| {
                put_vote(out, vote);
                Ok(())
            }),
            Item::Truncate(last) => framed(out, TRUNCATE, |out| {
                put_option(out, last.as_ref(), put_position);
                Ok(())
            }),
            Item::Purge(upto) => framed(out, PURGE, |out| {
                put_position(out, upto);
                Ok(())
            }),
            Item::Committed(upto) => framed(out, COMMITTED, |out| {
                put_position(out, upto);
                Ok(())
            }),
        }
    }

    /// True if `bytes` begin with the header of an item of a known kind that ends within `length` bytes.
    pub fn begins(bytes: &[u8], length: usize) -> bool {
        let mut reader = Reader::new(bytes);
        let (Some(body), Some(kind)) = (reader.u32(), reader.u32()) else { return false };
        (u32::from(START)..=u32::from(COMMITTED)).contains(&kind)
            && (body as usize).saturating_add(ITEM_HEADER) <= length
    }

    /// Decodes the item at the beginning of `bytes` and returns it with its length in bytes.
    ///
    /// # Errors
    /// See [`ItemFault`].
    pub fn decode(bytes: &[u8]) -> Result<(Item, usize), ItemFault> {
        let mut reader = Reader::new(bytes);
        let header = (reader.u32(), reader.u32(), reader.u32());
        let (Some(length), Some(kind), Some(crc)) = header else {
            return Err(damaged("an item's header is cut off"));
        };
        let Some(body) = reader.take(length as usize) else { return Err(damaged("an item is cut off")) };
        if crc32c::crc32c(body) != crc && !is_planted(Planted::DamagedFrames) {
            return Err(damaged("an item's checksum is wrong"));
        }
        let item = decode_body(kind, body)?;
        Ok((item, ITEM_HEADER + length as usize))
    }
}

/// Appends an entry to `out` as an item.
///
/// # Errors
/// As [`Item::encode`].
pub fn encode_entry(entry: &Entry, out: &mut Vec<u8>) -> Result<(), String> {
    framed(out, ENTRY, |out| {
        put_position(out, &entry.position);
        encode_payload(&entry.payload, out)
    })
}

/// Appends an entry's payload with its version.
///
/// # Errors
/// As [`Item::encode`].
pub fn encode_payload(payload: &Payload, out: &mut Vec<u8>) -> Result<(), String> {
    out.push(ENTRY_VERSION);
    let buffer = std::mem::take(out);
    *out = postcard::to_extend(payload, buffer).map_err(|error| error.to_string())?;
    Ok(())
}

/// Reads what [`encode_payload`] wrote.
///
/// # Errors
/// See [`ItemFault`].
pub fn decode_payload(bytes: &[u8]) -> Result<Payload, ItemFault> {
    match bytes.split_first() {
        Some((&ENTRY_VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((payload, [])) => Ok(payload),
            Ok(_) => Err(damaged("an entry is followed by bytes that belong to nothing")),
            Err(error) => Err(damaged(&format!("an entry cannot be read: {error}"))),
        },
        Some((version, _)) => Err(ItemFault::Unknown(u32::from(*version))),
        None => Err(damaged("an entry is empty")),
    }
}

fn decode_body(kind: u32, body: &[u8]) -> Result<Item, ItemFault> {
    let mut reader = Reader::new(body);
    let short = || damaged("an item is too short");
    let item = match u8::try_from(kind) {
        Ok(START) => Item::Start(Start {
            vote: reader.option(Reader::vote).ok_or_else(short)?,
            purged: reader.option(Reader::position).ok_or_else(short)?,
            committed: reader.option(Reader::position).ok_or_else(short)?,
        }),
        Ok(ENTRY) => {
            let position = reader.position().ok_or_else(short)?;
            let payload = decode_payload(reader.rest())?;
            return Ok(Item::Entry(Entry { position, payload }));
        }
        Ok(VOTE) => Item::Vote(reader.vote().ok_or_else(short)?),
        Ok(TRUNCATE) => Item::Truncate(reader.option(Reader::position).ok_or_else(short)?),
        Ok(PURGE) => Item::Purge(reader.position().ok_or_else(short)?),
        Ok(COMMITTED) => Item::Committed(reader.position().ok_or_else(short)?),
        _ => return Err(ItemFault::Unknown(kind)),
    };
    if reader.rest().is_empty() { Ok(item) } else { Err(damaged("an item is longer than its kind")) }
}

fn framed(
    out: &mut Vec<u8>,
    kind: u8,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    let at = out.len();
    out.extend_from_slice(&[0; ITEM_HEADER]);
    body(out)?;
    let (header, written) = out[at..].split_at_mut(ITEM_HEADER);
    header[..4].copy_from_slice(&(written.len() as u32).to_le_bytes());
    header[4] = kind;
    header[8..].copy_from_slice(&crc32c::crc32c(written).to_le_bytes());
    Ok(())
}

fn put_position(out: &mut Vec<u8>, position: &LogPosition) {
    out.extend_from_slice(&position.term.to_le_bytes());
    out.extend_from_slice(&position.leader.to_le_bytes());
    out.extend_from_slice(&position.index.to_le_bytes());
}

fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    out.extend_from_slice(&vote.term.to_le_bytes());
    out.extend_from_slice(&vote.voted_for.to_le_bytes());
    out.push(u8::from(vote.committed));
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn damaged(what: &str) -> ItemFault {
    ItemFault::Damaged(what.to_string())
}

/// Takes values off the front of bytes; `None` if there are too few.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    /// All that is left.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next four bytes, little-endian.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes, little-endian.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn position(&mut self) -> Option<LogPosition> {
        Some(LogPosition { term: self.u64()?, leader: self.u64()?, index: self.u64()? })
    }

    fn vote(&mut self) -> Option<Vote> {
        Some(Vote { term: self.u64()?, voted_for: self.u64()?, committed: self.flag()? })
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::Group;
    use crate::model::{Caller, Command, Proposal, Put, Stamp, StateDigest};

    fn items() -> Vec<Item> {
        let position = LogPosition { term: 3, leader: 4, index: 5 };
        let put = Put { key: "k".into(), value: "v".into(), ..Put::default() };
        let caller = Caller::user("u", 9);
        let proposal =
            Proposal { stamp: Stamp { time_ms: 7, tenant: 8 }, caller, command: Command::Put(put) };
        let membership = Payload::Membership { raft: "m".into(), change: Some(Arc::new(proposal.clone())) };
        let digest = Some(StateDigest { index: 4, scheme: 1, value: [5; 32] });
        let group = Group { digest, proposals: vec![proposal] };
        let vote = Vote { term: 1, voted_for: 2, committed: true };
        vec![
            Item::Start(Start { vote: Some(vote), purged: None, committed: Some(position) }),
            Item::Entry(Entry { position, payload: Payload::Blank }),
            Item::Entry(Entry { position, payload: Payload::Group(Arc::new(group)) }),
            Item::Entry(Entry { position, payload: membership }),
            Item::Vote(vote),
            Item::Truncate(None),
            Item::Truncate(Some(position)),
            Item::Purge(position),
            Item::Committed(position),
        ]
    }

    #[test]
    fn items_survive_the_way_there_and_back() {
        for item in items() {
            let mut bytes = Vec::new();
            item.encode(&mut bytes).unwrap();
            assert_eq!(Item::decode(&bytes), Ok((item.clone(), bytes.len())), "{item:?}");
            for cut in 0..bytes.len() {
                assert!(Item::decode(&bytes[..cut]).is_err(), "{item:?} cut at {cut}");
            }
        }
    }

    /// The bytes of version 2, written down: a change here is a change of the format.
    #[test]
    fn an_entry_of_version_2_stays_as_it_is() {
        let hex = |payload: &Payload| {
            let mut bytes = Vec::new();
            encode_payload(payload, &mut bytes).unwrap();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let payloads: Vec<Payload> = items()
            .into_iter()
            .filter_map(|item| match item {
                Item::Entry(entry) => Some(entry.payload),
                _ => None,
            })
            .collect();
        let [blank, group, membership] = payloads.as_slice() else { panic!("three entries") };
        let proposal = "0e080101750900016b017600000000";
        assert_eq!(hex(blank), "0200");
        assert_eq!(hex(group), format!("0201010401{}01{proposal}", "05".repeat(32)));
        assert_eq!(hex(membership), format!("0202016d01{proposal}"));
        let put = Put { key: "k".into(), value: "v".into(), ..Put::default() };
        let proposal =
            Proposal { stamp: Stamp::at(7), caller: Caller::Anonymous, command: Command::Put(put) };
        let group = Payload::Group(Arc::new(vec![proposal].into()));
        assert_eq!(hex(&group), "02010001_0e00_00_00016b017600000000".replace('_', ""));
    }

    #[test]
    fn what_a_newer_version_wrote_is_refused() {
        let mut bytes = Vec::new();
        framed(&mut bytes, 77, |_| Ok(())).unwrap();
        assert_eq!(Item::decode(&bytes), Err(ItemFault::Unknown(77)));
        assert_eq!(decode_payload(&[9, 1, 2]), Err(ItemFault::Unknown(9)));
    }
}
