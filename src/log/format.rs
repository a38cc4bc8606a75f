//! The log on disk, format version 2.
//!
//! # Files
//! The directory holds segments, named by their sequence number in hex (`0000000000000001.seg`), a lock file, and
//! sometimes `*.tmp` (a segment in preparation) or `*.old` (a segment to be reused); files of the latter two kinds hold
//! nothing of value and may be deleted. Sequence numbers are consecutive. The newest segment is usually empty: it is
//! prepared in advance. A segment is usually written to its full size with zeros before it is used, so that a flush of it
//! never changes the file system's metadata; while flushes are large it has only its room. It is reused for a later
//! sequence number when all its entries are purged.
//!
//! # Segment
//! All numbers are little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic `kvd-log\n` |
//! | 8 | 4 | format version, 2 |
//! | 12 | 4 | offset of the first frame, 4096 |
//! | 16 | 8 | sequence number |
//! | 24 | 8 | salt: random, so that what an earlier use left behind never looks valid |
//! | 32 | 8 | length of the file in bytes: a shorter file has lost its end |
//! | 40 | 4 | CRC-32C of the 40 bytes before |
//!
//! # Frame
//! One frame is what one flush wrote: it is valid as a whole or not at all. Frames stand at multiples of 8 bytes, one
//! after the other.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the payload in bytes; 0 in a seal |
//! | 4 | 4 | chain: the checksum of the frame before, in this segment or the one before; 0 for the log's first |
//! | 8 | 4 | checksum: CRC-32C of the payload, begun with the chain and the segment's seed; 0 in a seal |
//! | 12 | 4 | CRC-32C of the 12 bytes before, begun with the segment's seed and the frame's offset |
//! | 16 | | the payload: items |
//!
//! The seed is the CRC-32C of sequence number and salt. A frame that does not fit in its segment goes to the next one,
//! whose first frame begins with a start item.
//!
//! A seal is a frame's header without a payload. It is behind the last frame and records that this frame was flushed.
//! It is written after the flush has succeeded, without a flush of its own, unless the next frame follows at once; the
//! next frame overwrites it. If nothing is written for a while, and when the log is closed, the seal is flushed as well.
//!
//! # The end of the log: torn or damaged
//! A crash may leave any part of the write that was in progress: its sectors reach the disk in any order. Everything
//! else is damage. They can be told apart because only one write is ever in progress:
//!
//! - A frame is written only after the flush of the previous frame succeeded. So whatever refers to a frame (by the
//!   chain of a frame or of a seal) proves that this frame was flushed. The log is the unbroken chain of valid frames
//!   from the beginning; anything valid behind its end that refers to another frame than the last one proves that a
//!   flushed frame is damaged, and the log is refused. This holds across segments, because a segment's first frame
//!   refers to the last one of the previous segment. The header alone is enough: it has a checksum of its own.
//! - A frame that refers to the last frame of the chain, but is not valid as a whole, is the write that was cut off. It
//!   had not been acknowledged; the next write overwrites it or goes to the next segment, and refers to the same frame.
//! - A segment's header is flushed before the file gets its name, so a bad header is always damage.
//! - The last frame is proven by its seal. A process that is killed leaves the seal in the page cache, so that damage
//!   to any acknowledged frame is found. If power fails, the seal of the last frame may be lost: only then, and only
//!   until the seal is flushed in a quiet moment, damage to this one frame looks like a torn write and the frame is
//!   skipped. Only a second flush for each write could tell these two cases apart.
//!
//! A valid last frame without a seal may exist in the page cache only: its flush was never made, or it failed, and
//! after a failed flush the system treats the pages as clean and does not write them again. So this frame is written
//! again and flushed before anything relies on it; with a seal its flush is known to have succeeded.
//!
//! # Item
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the body in bytes |
//! | 4 | 1 | kind |
//! | 5 | 3 | 0 |
//! | 8 | 4 | CRC-32C of the body, so that one entry can be read by itself |
//! | 12 | | the body |
//!
//! A position is term, leader and index, 8 bytes each; an optional one is preceded by a byte 0 or 1.
//!
//! | kind | what | body |
//! |---|---|---|
//! | 1 | start | first in every segment: optional vote, optional purged position, optional committed position |
//! | 2 | entry | position, encoding version (1 byte, 2), payload: [`Payload`](super::Payload) in postcard |
//! | 3 | vote | term, member (8 bytes each), 1 byte: 1 once it is a leader's |
//! | 4 | truncate | optional position: entries after it no longer count |
//! | 5 | purge | position: entries up to it no longer count |
//! | 6 | committed | position: entries up to it are committed |
//!
//! # Other versions
//! A segment of another format version, an item of an unknown kind or an entry of an unknown encoding version is never
//! guessed at: the log refuses to open with [`LogError::Version`](super::LogError::Version). A newer kvd reads what an
//! older one wrote, or names the version that can.

use crc32c::{crc32c, crc32c_append};

use crate::model::{Planted, is_planted};

/// The first bytes of a segment.
pub const MAGIC: [u8; 8] = *b"kvd-log\n";
/// The format version this program writes and reads.
pub const VERSION: u32 = 2;
/// Offset of a segment's first frame.
pub const FIRST_FRAME: u64 = 4096;
/// Bytes before a frame's payload.
pub const FRAME_HEADER: usize = 16;
/// Bytes before an item's body.
pub const ITEM_HEADER: usize = 12;
/// Frames stand at multiples of this.
pub const ALIGN: u64 = 8;
/// Bytes of a segment's header that are in use.
const HEADER: usize = 44;

/// The contents of a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its sequence number.
    pub sequence: u64,
    /// Its salt.
    pub salt: u64,
    /// Length of its file in bytes.
    pub length: u64,
}

/// Why a segment's header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Not a segment, or damaged.
    Damaged(&'static str),
    /// Written by another version.
    Version(u32),
}

impl SegmentHeader {
    /// The header's bytes, to be written at offset 0.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(FIRST_FRAME as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.length.to_le_bytes());
        let crc = crc32c(&bytes[..40]);
        bytes[40..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// See [`HeaderFault`]. The checksum tells a wrong version apart from damage.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let Some(bytes) = bytes.get(..HEADER) else {
            return Err(HeaderFault::Damaged("the file is too short"));
        };
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Damaged("this is not a segment of a kvd log"));
        }
        if u32_at(bytes, 40) != crc32c(&bytes[..40]) {
            return Err(HeaderFault::Damaged("the checksum of the segment's header is wrong"));
        }
        let version = u32_at(bytes, 8);
        if version != VERSION || u64::from(u32_at(bytes, 12)) != FIRST_FRAME {
            return Err(HeaderFault::Version(version));
        }
        Ok(Self { sequence: u64_at(bytes, 16), salt: u64_at(bytes, 24), length: u64_at(bytes, 32) })
    }

    /// The start value of the checksums of this segment.
    pub fn seed(&self) -> u32 {
        crc32c_append(crc32c(&self.sequence.to_le_bytes()), &self.salt.to_le_bytes())
    }
}

/// The contents of a frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Length of the payload in bytes; 0 in a seal.
    pub length: u32,
    /// Checksum of the frame before.
    pub chain: u32,
    /// Checksum of the payload.
    pub checksum: u32,
}

impl FrameHeader {
    /// The header of a frame at `offset` that carries `payload`.
    pub fn of(seed: u32, chain: u32, payload: &[u8]) -> Self {
        Self { length: payload.len() as u32, chain, checksum: checksum(seed, chain, payload) }
    }

    /// The seal of the frame with this checksum.
    pub fn seal(checksum: u32) -> Self {
        Self { length: 0, chain: checksum, checksum: 0 }
    }

    /// True if this is a seal.
    pub fn is_seal(&self) -> bool {
        self.length == 0
    }

    /// The header's bytes.
    pub fn encode(&self, seed: u32, offset: u64) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.chain.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.checksum.to_le_bytes());
        let crc = header_crc(seed, offset, &bytes[..12]);
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at `offset`, of a frame or a seal, if there is one.
    pub fn decode(bytes: &[u8], seed: u32, offset: u64) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER)?;
        let header = Self { length: u32_at(bytes, 0), chain: u32_at(bytes, 4), checksum: u32_at(bytes, 8) };
        // Zeros are not a seal: a reused segment may be full of them, and a checksum of zeros may match by chance.
        let is_seal = header.checksum == 0 && header.chain != 0;
        let is_whole = || u32_at(bytes, 12) == header_crc(seed, offset, &bytes[..12]);
        ((header.length != 0 || is_seal) && is_whole()).then_some(header)
    }

    /// True if the header was made for this payload.
    pub fn fits(&self, seed: u32, payload: &[u8]) -> bool {
        payload.len() == self.length as usize
            && (checksum(seed, self.chain, payload) == self.checksum || is_planted(Planted::DamagedFrames))
    }

    /// Bytes from this frame to the next.
    pub fn span(&self) -> u64 {
        frame_span(self.length as usize)
    }
}

/// Bytes that a frame with a payload of `length` bytes needs.
pub fn frame_span(length: usize) -> u64 {
    ((FRAME_HEADER + length) as u64).next_multiple_of(ALIGN)
}

fn checksum(seed: u32, chain: u32, payload: &[u8]) -> u32 {
    crc32c_append(crc32c_append(seed, &chain.to_le_bytes()), payload)
}

fn header_crc(seed: u32, offset: u64, bytes: &[u8]) -> u32 {
    crc32c_append(crc32c_append(seed, &offset.to_le_bytes()), bytes)
}

/// The name of the segment with this sequence number.
pub fn segment_name(sequence: u64) -> String {
    format!("{sequence:016x}.seg")
}

/// The sequence number in a file name, if it is a segment's name.
pub fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_the_way_there_and_back() {
        let header = SegmentHeader { sequence: 7, salt: 99, length: 8192 };
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        let frame = FrameHeader::of(header.seed(), 5, b"payload");
        let bytes = frame.encode(header.seed(), 4096);
        assert_eq!(FrameHeader::decode(&bytes, header.seed(), 4096), Some(frame));
        assert_eq!(
            FrameHeader::decode(&bytes, header.seed(), 4104),
            None,
            "a frame is valid where it was written only"
        );
        assert!(frame.fits(header.seed(), b"payload"));
        assert!(!frame.fits(header.seed(), b"paylosd"));
        let seal = FrameHeader::seal(frame.checksum);
        let bytes = seal.encode(header.seed(), 4120);
        assert_eq!(FrameHeader::decode(&bytes, header.seed(), 4120), Some(seal));
        assert!(seal.is_seal() && !frame.is_seal());
        // Bytes of an earlier use may be zeros whose checksum matches by chance.
        let zeros = FrameHeader::seal(0).encode(header.seed(), 4120);
        assert_eq!(FrameHeader::decode(&zeros, header.seed(), 4120), None);
    }

    #[test]
    fn another_version_is_told_apart_from_damage() {
        let mut bytes = SegmentHeader { sequence: 7, salt: 99, length: 8192 }.encode();
        bytes[8] = 1;
        assert!(matches!(SegmentHeader::decode(&bytes), Err(HeaderFault::Damaged(_))));
        let crc = crc32c(&bytes[..40]);
        bytes[40..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Version(1)));
    }

    /// The bytes of version 2, written down: a change here is a change of the format.
    #[test]
    fn version_2_stays_as_it_is() {
        let header = SegmentHeader { sequence: 1, salt: 2, length: 3 };
        let hex: String = header.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "6b76642d6c6f670a02000000001000000100000000000000020000000000000003000000000000002df84798"
        );
        assert_eq!(segment_name(0x1f), "000000000000001f.seg");
        assert_eq!(sequence_of("000000000000001f.seg"), Some(0x1f));
        assert_eq!(sequence_of("1f.seg"), None);
    }
}
