//! Finding frames in the bytes of a segment.

use super::codec::Item;
use super::format::{ALIGN, FIRST_FRAME, FRAME_HEADER, FrameHeader, SegmentHeader};

/// The valid frame at `offset`, if there is one.
pub fn frame_at(bytes: &[u8], seed: u32, offset: u64) -> Option<(FrameHeader, &[u8])> {
    let header = header_at(bytes, seed, offset)?;
    let payload = payload_at(bytes, &header, offset)?;
    (!header.is_seal() && header.fits(seed, payload)).then_some((header, payload))
}

/// The header at `offset`, if it is certain that a frame or a seal was written there; the frame need not be complete.
///
/// A reused segment is full of bytes that may look like a header by chance. So a frame must be valid as a whole, or
/// begin with the header of an item.
pub fn named_at(bytes: &[u8], seed: u32, offset: u64) -> Option<FrameHeader> {
    let header = header_at(bytes, seed, offset)?;
    let payload = payload_at(bytes, &header, offset)?;
    let sure = header.is_seal() || Item::begins(payload, payload.len()) || header.fits(seed, payload);
    sure.then_some(header)
}

/// The first offset from `offset` on with a header that refers to another frame than the one with the checksum `chain`.
pub fn stranger(bytes: &[u8], seed: u32, mut offset: u64, chain: u32) -> Option<u64> {
    // Most of a segment is still as it was prepared: zeros are not a header.
    const ZEROS: [u8; 4096] = [0; 4096];
    while offset + (FRAME_HEADER as u64) <= bytes.len() as u64 {
        let at = offset as usize;
        if bytes.get(at..at + ZEROS.len()).is_some_and(|bytes| *bytes == ZEROS) {
            offset += (ZEROS.len() - FRAME_HEADER) as u64 + ALIGN;
            continue;
        }
        if named_at(bytes, seed, offset).is_some_and(|header| header.chain != chain) {
            return Some(offset);
        }
        offset += ALIGN;
    }
    None
}

/// Decodes the valid frames at the beginning of a segment's bytes and returns the number of items. Never panics: for
/// fuzzing.
pub fn read_segment(bytes: &[u8]) -> usize {
    let Ok(header) = SegmentHeader::decode(bytes) else { return 0 };
    let (mut items, mut offset) = (0, FIRST_FRAME);
    while let Some((frame, mut payload)) = frame_at(bytes, header.seed(), offset) {
        while let Ok((_, length)) = Item::decode(payload) {
            items += 1;
            payload = payload.get(length..).unwrap_or_default();
        }
        offset += frame.span();
    }
    items
}

fn header_at(bytes: &[u8], seed: u32, offset: u64) -> Option<FrameHeader> {
    let bytes = bytes.get(offset as usize..)?;
    // Almost nothing that is tried is a header, and most of it has no possible length: that needs no checksum.
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    if length > bytes.len().checked_sub(FRAME_HEADER)? {
        return None;
    }
    FrameHeader::decode(bytes, seed, offset)
}

fn payload_at<'b>(bytes: &'b [u8], header: &FrameHeader, offset: u64) -> Option<&'b [u8]> {
    bytes.get(offset as usize + FRAME_HEADER..)?.get(..header.length as usize)
}
