//! The records of an etcd's log (etcd `server/storage/wal`), pure.
//!
//! ```text
//! record   u64 length (the highest byte: 0x80 and the bytes of padding, if any), walpb.Record, padding to 8 bytes
//! Record   1 kind, 2 CRC32C over the data of all records so far, 3 data
//! kinds    1 metadata, 2 raftpb.Entry, 3 raftpb.HardState, 4 the checksum with which a file begins, 5 snapshot
//! ```
//! Numbers are little-endian. A file ends with its bytes or with a length of zero; only the last one may end within a
//! record, whose write a crash has cut off.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

const ENTRY: i64 = 2;
const STATE: i64 = 3;
const CHECKSUM: i64 = 4;
/// Bytes that a disk writes at once: an unwritten one within a record shows that its write was cut off.
const SECTOR: usize = 512;

/// `walpb.Record`.
#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(uint32, tag = "2")]
    checksum: u32,
    #[prost(bytes = "bytes", optional, tag = "3")]
    data: Option<Bytes>,
}

/// `raftpb.Entry`.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// 0 for a request, others for changes of members.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Its term.
    #[prost(uint64, tag = "2")]
    pub term: u64,
    /// Its index.
    #[prost(uint64, tag = "3")]
    pub index: u64,
    /// The request.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
}

/// `raftpb.HardState`.
#[derive(Clone, Copy, PartialEq, Message)]
struct HardState {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    vote: u64,
    #[prost(uint64, tag = "3")]
    commit: u64,
}

/// The end of a log: its entries after one.
pub struct LogEnd {
    after: u64,
    entries: BTreeMap<u64, Entry>,
    commit: u64,
    /// The checksum so far; `None` before the first file.
    checksum: Option<u32>,
}

impl LogEnd {
    /// Before the first file. Entries up to `after` are not needed.
    pub fn new(after: u64) -> Self {
        Self { after, entries: BTreeMap::new(), commit: 0, checksum: None }
    }

    /// Reads a file; files are given in order.
    ///
    /// # Errors
    /// The place of the damage and what it is.
    pub fn read(&mut self, file: &Bytes, is_last: bool) -> Result<(), String> {
        let mut at = 0;
        while let Some(head) = file.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let head = u64::from_le_bytes(*head);
            if head == 0 {
                return Ok(());
            }
            let padding = if head >> 63 == 1 { (head >> 56 & 7) as usize } else { 0 };
            let length = usize::try_from(head & (u64::MAX >> 8)).unwrap_or(usize::MAX);
            let start = at + 8;
            let whole = start.checked_add(length).and_then(|end| end.checked_add(padding));
            let Some(next) = whole.filter(|next| *next <= file.len()) else {
                let what = format!("at byte {at}: a record of {length} bytes does not end in the file");
                return if is_last { Ok(()) } else { Err(what) };
            };
            let bytes = file.slice(start..start + length);
            if let Err(what) = self.record(bytes) {
                return match is_last && is_torn(file, start, next) {
                    true => Ok(()),
                    false => Err(format!("at byte {at}: {what}")),
                };
            }
            at = next;
        }
        Ok(())
    }

    fn record(&mut self, bytes: Bytes) -> Result<(), String> {
        let record = Record::decode(bytes).map_err(|error| format!("this is not a record: {error}"))?;
        let data = record.data.unwrap_or_default();
        if record.kind == CHECKSUM {
            if self.checksum.is_some_and(|known| known != record.checksum) {
                return Err("the file does not follow the one before".into());
            }
            self.checksum = Some(record.checksum);
            return Ok(());
        }
        let checksum = crc32c::crc32c_append(self.checksum.unwrap_or_default(), &data);
        if checksum != record.checksum {
            return Err("the checksum of a record is wrong".into());
        }
        self.checksum = Some(checksum);
        match record.kind {
            ENTRY => {
                let entry = Entry::decode(data).map_err(|error| format!("this is not an entry: {error}"))?;
                // What a leader of a later term has written replaces what was there.
                drop(self.entries.split_off(&entry.index));
                if entry.index > self.after {
                    self.entries.insert(entry.index, entry);
                }
            }
            STATE => {
                let state =
                    HardState::decode(data).map_err(|error| format!("this is not a state: {error}"))?;
                self.commit = self.commit.max(state.commit);
            }
            _ => {}
        }
        Ok(())
    }

    /// The committed entries after the given one, and the number of those behind them. A member that is `alone` commits
    /// whatever it has written, and may have acknowledged it before the record that says so was on its disk.
    ///
    /// # Errors
    /// If one is missing.
    pub fn committed(self, alone: bool) -> Result<(Vec<Entry>, u64), String> {
        let Self { after, mut entries, mut commit, .. } = self;
        // A change of members may end the solitude.
        if alone && entries.values().all(|entry| entry.kind == 0) {
            commit = entries.last_key_value().map_or(commit, |(last, _)| commit.max(*last));
        }
        let mut committed = Vec::new();
        for index in (after..=commit).skip(1) {
            let entry = entries.remove(&index);
            committed.push(entry.ok_or_else(|| {
                format!("entry {index} is missing: the database has those up to {after}, and {commit} is committed")
            })?);
        }
        Ok((committed, entries.split_off(&commit.saturating_add(1)).len() as u64))
    }
}

/// True if a sector of a record was not written.
fn is_torn(file: &[u8], start: usize, end: usize) -> bool {
    let mut at = start;
    while at < end {
        let next = (at / SECTOR + 1) * SECTOR;
        if file[at..next.min(end)].iter().all(|byte| *byte == 0) {
            return true;
        }
        at = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(file: &mut Vec<u8>, checksum: &mut u32, kind: i64, data: &[u8]) {
        if kind != CHECKSUM {
            *checksum = crc32c::crc32c_append(*checksum, data);
        }
        let record =
            Record { kind, checksum: *checksum, data: Some(Bytes::copy_from_slice(data)) }.encode_to_vec();
        let padding = (8 - record.len() % 8) % 8;
        let head = record.len() as u64 | if padding > 0 { (0x80 | padding as u64) << 56 } else { 0 };
        file.extend_from_slice(&head.to_le_bytes());
        file.extend_from_slice(&record);
        file.resize(file.len() + padding, 0);
    }

    fn entry(term: u64, index: u64, data: &[u8]) -> Vec<u8> {
        Entry { kind: 0, term, index, data: Bytes::copy_from_slice(data) }.encode_to_vec()
    }

    /// Two files: entries 1 to 4, of which 3 and 4 are replaced by a later leader's 3; committed up to 3.
    fn files() -> [Vec<u8>; 2] {
        let (mut first, mut second, mut checksum) = (Vec::new(), Vec::new(), 0);
        push(&mut first, &mut checksum, CHECKSUM, b"");
        push(&mut first, &mut checksum, 1, b"metadata");
        for index in 1..=4 {
            push(&mut first, &mut checksum, ENTRY, &entry(1, index, b"old"));
        }
        push(&mut second, &mut checksum, CHECKSUM, b"");
        push(&mut second, &mut checksum, ENTRY, &entry(2, 3, &[7; 2000]));
        let state = HardState { term: 2, vote: 0, commit: 3 }.encode_to_vec();
        push(&mut second, &mut checksum, STATE, &state);
        second.resize(second.len() + 4096, 0);
        [first, second]
    }

    fn committed(files: &[Vec<u8>], after: u64) -> Result<Vec<(u64, u64)>, String> {
        let mut end = LogEnd::new(after);
        for (at, file) in files.iter().enumerate() {
            end.read(&Bytes::copy_from_slice(file), at + 1 == files.len())?;
        }
        Ok(end.committed(false)?.0.iter().map(|entry| (entry.term, entry.index)).collect())
    }

    /// Entries 4 and 5 follow what is known to be committed.
    #[test]
    fn a_member_that_is_alone_commits_whatever_it_has_written() {
        let behind = |kind| {
            let [first, mut second] = files();
            second.truncate(second.len() - 4096);
            let mut end = LogEnd::new(2);
            end.read(&first.into(), false).unwrap();
            end.read(&second.into(), false).unwrap();
            let (mut third, mut checksum) = (Vec::new(), end.checksum.unwrap());
            push(&mut third, &mut checksum, CHECKSUM, b"");
            push(&mut third, &mut checksum, ENTRY, &entry(2, 4, b"acknowledged"));
            let last = Entry { kind, term: 2, index: 5, data: Bytes::new() };
            push(&mut third, &mut checksum, ENTRY, &last.encode_to_vec());
            end.read(&third.into(), true).unwrap();
            end
        };
        let ended = |kind, alone| {
            let (entries, left) = behind(kind).committed(alone).unwrap();
            (entries.last().map(|entry| entry.index), left)
        };
        assert_eq!(ended(0, true), (Some(5), 0));
        assert_eq!(ended(0, false), (Some(3), 2));
        assert_eq!(ended(1, true), (Some(3), 2), "a change of members");
    }

    #[test]
    fn committed_entries_are_those_of_the_last_leader() {
        assert_eq!(committed(&files(), 0).unwrap(), [(1, 1), (1, 2), (2, 3)]);
        assert_eq!(committed(&files(), 2).unwrap(), [(2, 3)]);
        assert_eq!(committed(&files(), 3).unwrap(), []);
        assert_eq!(committed(&files(), 9).unwrap(), []);
        assert_eq!(committed(&files(), u64::MAX).unwrap(), []);
        let missing = committed(&files()[1..], 0).unwrap_err();
        assert!(missing.starts_with("entry 1 is missing"), "{missing}");
    }

    #[test]
    fn damage_has_a_place_and_a_torn_end_is_the_end() {
        let [first, second] = files();
        let mut flipped = first.clone();
        flipped[60] ^= 1;
        let refused = committed(&[flipped, second.clone()], 0).unwrap_err();
        assert!(refused.starts_with("at byte "), "{refused}");
        let refused = committed(&[first[..first.len() - 3].to_vec(), second.clone()], 0).unwrap_err();
        assert!(refused.contains("does not end in the file"), "{refused}");
        let refused = committed(&[first.clone(), first.clone()], 0).unwrap_err();
        assert!(refused.contains("does not follow"), "{refused}");
        // The last record's write was cut off: in the middle, or a sector of it.
        assert_eq!(committed(&[first.clone(), second[..1000].to_vec()], 2).unwrap(), []);
        let mut torn = second.clone();
        torn[1024..1536].fill(0);
        assert_eq!(committed(&[first, torn], 2).unwrap(), []);
    }
}
