//! Replaces invalid `:authority` fields by valid ones, because the HTTP/2 library refuses them.
//!
//! Clients put into `:authority` whatever target they were given: a list of addresses, a whole URL (etcdctl 3.4), the
//! path of a Unix socket, `#initially=[http://127.0.0.1:2379]` (the Go client 3.5.0), nothing. Go's servers ignore the
//! field; the library used here resets a stream whose authority is not that of a URI. So this module follows the fields
//! of every header block (HPACK needs all blocks of a connection, in order), and from the first invalid authority on it
//! writes the blocks of the connection anew, with a valid authority.
//!
//! It does so, too, if a client goes on to add to its HPACK table what begins with a colon, as `:path`: every such entry of
//! the library's table keeps the whole buffer in which it came, or into which its Huffman code was read. Clients use the
//! table for what comes again, which is in their first blocks. And it does so from the first large block on, so that none
//! of these buffers is large: such a block is written without Huffman code. All other connections pass unchanged.

use http::uri::Authority;

use super::frames::{CONTINUATION, END_HEADERS, FRAME_HEADER, FrameHeader, HEADERS, MAX_FRAME};
use super::hpack::{Decoder, Encoder, Field, LONGEST_CODED, Malformed};

/// Flags of a HEADERS frame: its payload begins with the length of the padding, or with a priority.
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_LENGTH: usize = 5;

/// If a header block has more frames, the library ends the connection, too.
const MAX_FRAMES: usize = 7;
/// A block is cut beyond this many bytes: this is above the library's limit on headers, and within its limit on frames.
const MAX_BLOCK: usize = 72 << 10;
/// Fields of a connection whose names begin with a colon and that the library's table may keep.
const MAX_KEPT: usize = 8;
/// The connections of clients that send a larger block are written anew, in bytes.
const MAX_UNCHANGED: usize = LONGEST_CODED;
/// Room for fields that is kept from one block to the next.
const MAX_FIELDS: usize = 32;

/// The replacement for an authority from which no host can be taken. It is not a valid host name, so it matches no
/// list.
const IN_ITS_PLACE: &[u8] = b"_";

/// The frames of one header block, at the beginning of the client's bytes.
pub(super) enum Block {
    /// More bytes are needed.
    Partial,
    /// The bytes are not a header block and will not become one.
    None,
    /// The block has this many bytes; if there is a replacement, it is passed on instead.
    Whole(usize, Option<Vec<u8>>),
}

/// Follows the header blocks of one connection.
#[derive(Default)]
pub(super) struct Headers {
    decoder: Decoder,
    /// Empty: room for the fields of a block, kept to spare allocations.
    fields: Vec<Field>,
    /// True if the library's HPACK table differs from the client's.
    rewriting: bool,
    /// True after a block that could not be read: the table is unknown from there on, and the library ends the
    /// connection.
    lost: bool,
}

impl Headers {
    /// Reads a header block: a HEADERS frame and its continuations.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Block {
        if self.lost {
            return Block::None;
        }
        let block = self.read(bytes);
        self.lost = matches!(block, Block::None);
        block
    }

    fn read(&mut self, bytes: &[u8]) -> Block {
        let Some((header, payload, mut end)) = frame(bytes) else {
            return if is_partial(bytes) { Block::Partial } else { Block::None };
        };
        let Some((priority, fragment)) = parts(header, payload) else { return Block::None };
        let mut whole = Vec::new();
        let mut ended = header.flags & END_HEADERS != 0;
        let mut frames = 1;
        while !ended {
            if frames == 1 {
                whole.extend_from_slice(fragment);
            }
            frames += 1;
            let rest = &bytes[end..];
            let Some((next, payload, length)) = frame(rest) else {
                let is_partial = frames <= MAX_FRAMES && is_partial(rest);
                return if is_partial { Block::Partial } else { Block::None };
            };
            if next.kind != CONTINUATION || next.stream != header.stream || frames > MAX_FRAMES {
                return Block::None;
            }
            whole.extend_from_slice(payload);
            ended = next.flags & END_HEADERS != 0;
            end += length;
        }
        let mut fields = std::mem::take(&mut self.fields);
        let anew = self.anew(if frames == 1 { fragment } else { &whole }, &mut fields);
        fields.clear();
        fields.shrink_to(MAX_FIELDS);
        self.fields = fields;
        match anew {
            Ok(anew) => Block::Whole(end, anew.map(|block| in_frames(header, priority, &block))),
            Err(Malformed) => Block::None,
        }
    }

    /// The block anew, if the connection's blocks are not passed on as they are. Its fields are added to `fields`.
    fn anew(&mut self, block: &[u8], fields: &mut Vec<Field>) -> Result<Option<Vec<u8>>, Malformed> {
        let has_table = !self.rewriting && !self.decoder.is_empty();
        self.decoder.decode(block, fields)?;
        let mut authorities = fields.iter().filter_map(Field::authority);
        let is_odd = authorities.next().is_some_and(is_odd) || authorities.next().is_some();
        self.rewriting |= is_odd || block.len() > MAX_UNCHANGED || self.decoder.pseudo() > MAX_KEPT;
        Ok(self.rewriting.then(|| written(fields, has_table)))
    }
}

/// The fields as a block. If the library `has_table`, it becomes empty.
fn written(fields: &[Field], has_table: bool) -> Vec<u8> {
    let mut encoder = Encoder::default();
    if has_table {
        encoder.no_table();
    }
    let mut has_authority = false;
    for field in fields {
        match field.authority() {
            // The library refuses a block with two: the second one need not be looked at, and there may be very many.
            Some(_) if has_authority => encoder.authority(IN_ITS_PLACE),
            Some(authority) if is_odd(authority) => encoder.authority(replacement(authority)),
            _ => encoder.field(field, MAX_BLOCK),
        }
        has_authority |= field.authority().is_some();
        if encoder.len() > MAX_BLOCK {
            break;
        }
    }
    encoder.finish()
}

fn is_odd(authority: &[u8]) -> bool {
    Authority::try_from(authority).is_err()
}

/// The authority of a URL.
fn replacement(authority: &[u8]) -> &[u8] {
    let schemes = [&b"http://"[..], b"https://"];
    let after = schemes.iter().find_map(|scheme| authority.strip_prefix(*scheme));
    after.filter(|after| !is_odd(after)).unwrap_or(IN_ITS_PLACE)
}

/// The frame at the beginning of the bytes: its header, its payload, and its length.
fn frame(bytes: &[u8]) -> Option<(FrameHeader, &[u8], usize)> {
    let header = FrameHeader::read(bytes)?;
    let end = FRAME_HEADER + header.length;
    Some((header, bytes.get(FRAME_HEADER..end).filter(|_| header.length <= MAX_FRAME)?, end))
}

/// True if the bytes are too few to hold a valid frame.
fn is_partial(bytes: &[u8]) -> bool {
    FrameHeader::read(bytes).is_none_or(|header| header.length <= MAX_FRAME)
}

/// The priority and the fragment of the block in a HEADERS frame.
fn parts(header: FrameHeader, payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = payload;
    if header.flags & PADDED != 0 {
        let (padding, after) = rest.split_first()?;
        let end = after.len().checked_sub(usize::from(*padding))?;
        rest = after.get(..end)?;
    }
    rest.split_at_checked(if header.flags & PRIORITY != 0 { PRIORITY_LENGTH } else { 0 })
}

/// A block in frames. The first one has the flags of the original, without the padding.
fn in_frames(header: FrameHeader, priority: &[u8], block: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len() + 2 * FRAME_HEADER);
    let mut rest = block;
    let mut kind = HEADERS;
    let mut flags = header.flags & !(PADDED | END_HEADERS);
    let mut before = priority;
    loop {
        let (now, later) = rest.split_at(rest.len().min(MAX_FRAME - before.len()));
        if later.is_empty() {
            flags |= END_HEADERS;
        }
        let length = (before.len() + now.len()) as u32;
        out.extend_from_slice(&length.to_be_bytes()[1..]);
        out.extend_from_slice(&[kind, flags]);
        out.extend_from_slice(&header.stream.to_be_bytes());
        out.extend_from_slice(before);
        out.extend_from_slice(now);
        if later.is_empty() {
            return out;
        }
        (kind, flags, before, rest) = (CONTINUATION, 0, &[], later);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags, 0, 0, 0, 1]);
        frame.extend_from_slice(payload);
        frame
    }

    /// A block as etcdctl 3.4 sends it, around an authority.
    fn block(authority: &[u8]) -> Vec<u8> {
        [&b"\x83\x86\x45\x01/"[..], authority, b"\x40\x02te\x86\x4d\x83\x35\x05\xb1\x1f"].concat()
    }

    /// The authorities in what a connection passes on for `bytes`, which are one block; `None` if they pass unchanged.
    fn taken(headers: &mut Headers, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let Block::Whole(length, anew) = headers.take(bytes) else { panic!("{bytes:?} is no block") };
        assert_eq!(length, bytes.len());
        let anew = anew?;
        let (mut block, mut rest) = (Vec::new(), &anew[..]);
        while let Some((_, payload, length)) = super::frame(rest) {
            block.extend_from_slice(payload);
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "{} bytes behind the frames", rest.len());
        let mut fields = Vec::new();
        Decoder::default().decode(&block, &mut fields).expect("a block");
        assert!(!fields.iter().filter_map(Field::authority).any(is_odd), "odd again");
        Some(fields.iter().filter_map(Field::authority).map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn whatever_is_no_authority_is_replaced() {
        // Recorded: http://127.0.0.1:24999 of etcdctl 3.4.
        let url = b"\x41\x90\x9d\x29\xae\xe3\x0c\x04\x4e\xae\x05\xc0\xb8\x6e\x09\xa7\xdf\x7f";
        let anew = taken(&mut Headers::default(), &frame(HEADERS, END_HEADERS, &block(url)));
        assert_eq!(anew, Some(vec![b"127.0.0.1:24999".to_vec()]));
        for (odd, instead) in [
            (&b"http://a:24"[..], &b"a:24"[..]),
            (b"https://a:24", b"a:24"),
            (b"http://", b"_"),
            (b"", b"_"),
            (b"unix:///s", b"_"),
            (b"/run/kvd.sock", b"_"),
            (b"a:1,b:2", b"_"),
            (b"http://a:1,http://b:2", b"_"),
            (b"#initially=[http://127.0.0.1:2379]", b"_"),
            (b"a b", b"_"),
            (b"\xff\xfe", b"_"),
            (b"\xc3\xa9:1", b"_"),
        ] {
            for name in [&b"\x41"[..], b"\x01", b"\x11", b"\x40\x0a:authority"] {
                let authority = [name, &[odd.len() as u8], odd].concat();
                let anew = taken(&mut Headers::default(), &frame(HEADERS, END_HEADERS, &block(&authority)));
                let said = String::from_utf8_lossy(odd);
                // A comma is allowed in an authority, so some lists are valid ones.
                assert_eq!(anew, is_odd(odd).then(|| vec![instead.to_vec()]), "{said} after {name:?}");
            }
        }
        let indexed = taken(&mut Headers::default(), &frame(HEADERS, END_HEADERS, &block(b"\x81")));
        assert_eq!(indexed, Some(vec![b"_".to_vec()]));
    }

    #[test]
    fn what_the_table_holds_is_known_later() {
        let mut headers = Headers::default();
        let plain = frame(HEADERS, END_HEADERS, &block(b"\x41\x04a:24"));
        assert_eq!(taken(&mut headers, &plain), None);
        assert_eq!(taken(&mut headers, &frame(HEADERS, END_HEADERS, b"\x83\xbf")), None);
        assert_eq!(
            taken(&mut headers, &frame(HEADERS, END_HEADERS, b"\x7f\x00\x00")),
            Some(vec![b"_".to_vec()])
        );
        // From here on everything is written anew, including fields that were sent before.
        assert_eq!(taken(&mut headers, &frame(HEADERS, END_HEADERS, b"\xc0")), Some(vec![b"a:24".to_vec()]));
        assert_eq!(taken(&mut headers, &frame(HEADERS, END_HEADERS, b"\xbe")), Some(vec![b"_".to_vec()]));
    }

    /// `kept` is a block that adds one field to the library's table that stays in its buffer.
    fn is_kept_so_often(kept: &[u8]) {
        let whole = |block: &[u8]| frame(HEADERS, END_HEADERS, block);
        let mut headers = Headers::default();
        for _ in 0..MAX_KEPT {
            assert_eq!(taken(&mut headers, &whole(kept)), None);
            assert_eq!(taken(&mut headers, &whole(b"\x83\xbe")), None, "it refers to its table");
            let others = whole(b"\x83\x5f\x01a\x40\x01b\x01c\x04\x02/x\x01\x01h");
            assert_eq!(taken(&mut headers, &others), None, "the library copies it, or keeps nothing");
        }
        let Block::Whole(_, Some(anew)) = headers.take(&whole(kept)) else { panic!("written anew") };
        assert_eq!(anew[FRAME_HEADER..][..2], *b"\x20\x83", "an empty table, and the fields");
        assert!(taken(&mut headers, &whole(b"\x83\xbe")).is_some());
        let Block::Whole(_, Some(anew)) = headers.take(&whole(kept)) else { panic!("written anew") };
        assert_eq!(anew[FRAME_HEADER], 0x83, "it is empty already");
    }

    #[test]
    fn the_library_keeps_no_table_of_a_client_that_goes_on_to_fill_it() {
        // Plain text, Huffman code, and nothing.
        for path in [&b"\x83\x44\x02/a"[..], b"\x83\x44\x81\x63", b"\x83\x44\x00"] {
            is_kept_so_often(path);
        }
        for other in [&b"\x83\x41\x04a:24"[..], b"\x83\x46\x01a", b"\x83\x40\x09:protocol\x01a"] {
            is_kept_so_often(other);
        }
    }

    #[test]
    fn what_comes_after_a_large_block_is_written_anew_without_huffman_code() {
        let mut headers = Headers::default();
        // 5,000 times "0", whose code has five bits.
        let zeros = [&b"\x83\x0f\x02\xff\xb6\x17"[..], &[0; 3125]].concat();
        assert_eq!(taken(&mut headers, &frame(HEADERS, END_HEADERS, &zeros)), None, "3 kB are not much");
        let more = [zeros.as_slice(), &zeros[1..]].concat();
        let Block::Whole(_, Some(anew)) = headers.take(&frame(HEADERS, END_HEADERS, &more)) else {
            panic!("written anew")
        };
        assert!(anew.len() < 7000, "values of up to 4 kB stay as they are: {}", anew.len());
        let long = [&b"\x83\x0f\x02\xff\xeb\x2f"[..], &[0; 6250]].concat();
        let Block::Whole(_, Some(anew)) = headers.take(&frame(HEADERS, END_HEADERS, &long)) else {
            panic!("written anew")
        };
        assert!(anew.len() > 10_000 && anew.ends_with(&[b'0'; 10_000]), "{}", anew.len());
    }

    #[test]
    fn nothing_is_kept_of_a_block_that_has_passed() {
        let mut headers = Headers::default();
        let many = [&b"\x83\x86"[..], &b"\x04\x00".repeat(8000)].concat();
        headers.take(&frame(HEADERS, END_HEADERS, &many));
        assert!(headers.fields.is_empty() && headers.fields.capacity() <= MAX_FIELDS);
    }

    #[test]
    fn of_very_many_authorities_one_is_looked_at() {
        let mut headers = Headers::default();
        let two = block(b"\x41\x04a:24\x01\x03b c");
        let anew = taken(&mut headers, &frame(HEADERS, END_HEADERS, &two));
        assert_eq!(anew, Some(vec![b"a:24".to_vec(), b"_".to_vec()]), "still two: the library refuses it");
    }

    #[test]
    fn padding_priority_and_continuations_are_taken_together() {
        let block = block(b"\x41\x00");
        let padded = [&[3, 0, 0, 0, 0, 9], block.as_slice(), &[0, 0, 0]].concat();
        let whole = frame(HEADERS, 0x2d, &padded);
        let Block::Whole(_, Some(anew)) = Headers::default().take(&whole) else { panic!("a block") };
        assert_eq!(anew[3..14], [HEADERS, 0x25, 0, 0, 0, 1, 0, 0, 0, 0, 9]);
        for at in 0..block.len() {
            let (one, two) = block.split_at(at);
            let pieces = [frame(HEADERS, 1, one), frame(CONTINUATION, END_HEADERS, two)].concat();
            let Block::Whole(length, Some(anew)) = Headers::default().take(&pieces) else {
                panic!("a block")
            };
            assert_eq!((length, anew[4]), (pieces.len(), 0x5));
            for end in 0..pieces.len() {
                assert!(matches!(Headers::default().take(&pieces[..end]), Block::Partial), "{at} {end}");
            }
        }
    }

    #[test]
    fn a_large_block_comes_in_several_frames() {
        let value = [&b"\x40\x01x\x7f\x81\xf3\x03"[..], &[b'v'; 64_000]].concat();
        let block = block(&[b"\x41\x00", value.as_slice()].concat());
        let mut pieces = Vec::new();
        let mut chunks = block.chunks(MAX_FRAME).peekable();
        let mut kind = HEADERS;
        while let Some(chunk) = chunks.next() {
            pieces.extend(frame(kind, if chunks.peek().is_none() { END_HEADERS } else { 0 }, chunk));
            kind = CONTINUATION;
        }
        assert_eq!(taken(&mut Headers::default(), &pieces), Some(vec![b"_".to_vec()]));
    }

    #[test]
    fn a_small_block_that_stands_for_a_large_one_is_cut() {
        let mut headers = Headers::default();
        let large = [&b"\x41\x00\x40\x01x\x7f\xa1\x1e"[..], &[b'v'; 4000]].concat();
        headers.take(&frame(HEADERS, END_HEADERS, &large));
        let Block::Whole(_, Some(anew)) = headers.take(&frame(HEADERS, END_HEADERS, &[0xbe; 16_000])) else {
            panic!("a block")
        };
        assert!(anew.len() > 64 << 10 && anew.len() < 80 << 10, "{}", anew.len());
    }

    #[test]
    fn garbage_is_left_to_the_library() {
        let good = frame(
            HEADERS,
            END_HEADERS,
            &block(b"\x41\x90\x9d\x29\xae\xe3\x0c\x04\x4e\xae\x05\xc0\xb8\x6e\x09\xa7\xdf\x7f"),
        );
        for at in FRAME_HEADER..good.len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                bad[at] = byte;
                // Must not panic.
                Headers::default().take(&bad);
            }
        }
        let mut headers = Headers::default();
        let pieces = [frame(HEADERS, 0, b"\x83"), frame(0, 0, b"data")].concat();
        assert!(matches!(headers.take(&pieces), Block::None));
        assert!(matches!(headers.take(&good), Block::None), "nothing is known any more");
    }
}
