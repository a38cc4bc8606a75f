//! An `:authority` that is a whole URL, made an authority again.
//!
//! etcdctl 3.4 asks single endpoints (`endpoint status`, `endpoint hashkv`, `--cluster`) with the endpoint's URL as the
//! request's authority: `http://10.0.0.1:2379`. Go's servers take it; the library here resets such a stream. So the
//! scheme is cut off in the header block (HPACK, RFC 7541) before the library sees it.
//!
//! A shorter field leaves the client's and the library's tables in step: entries are named counting from the newest, and
//! the library's table, which counts fewer bytes, only forgets later.

use std::ops::Range;

use super::frames::{FRAME_HEADER, FrameHeader};

/// Flags of a HEADERS frame: its payload begins with the length of the padding, or with a priority.
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_LENGTH: usize = 5;

/// The index of `:authority` in HPACK's static table.
const AUTHORITY: usize = 1;

/// What an authority may be preceded by, and what is left of it. A path of a Unix socket is no authority either; the name
/// in its place is shorter than any such URL.
const SCHEMES: [(&[u8], Rest); 4] = [
    (b"http://", Rest::Kept),
    (b"https://", Rest::Kept),
    (b"unix://", Rest::Replaced),
    (b"unixs://", Rest::Replaced),
];
const IN_PLACE_OF_A_PATH: &[u8] = b"unix";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Kept,
    Replaced,
}

/// The HEADERS frame with a scheme cut off its authority; `None` where there is nothing to cut.
pub(super) fn without_scheme(header: FrameHeader, frame: &[u8]) -> Option<Vec<u8>> {
    let mut begin = FRAME_HEADER;
    let mut end = frame.len();
    if header.flags & PADDED != 0 {
        end = end.checked_sub(usize::from(*frame.get(begin)?))?;
        begin += 1;
    }
    if header.flags & PRIORITY != 0 {
        begin += PRIORITY_LENGTH;
    }
    let value = authority(frame.get(begin..end)?)?;
    let text = frame.get(begin + value.text.start..begin + value.text.end)?;
    let shorter = if value.huffman { cut_huffman(text) } else { cut_plain(text) }?;
    let mut out = Vec::with_capacity(frame.len());
    out.extend_from_slice(frame.get(..begin + value.start)?);
    shorter.write(&mut out);
    out.extend_from_slice(frame.get(begin + value.text.end..)?);
    let length = (out.len() - FRAME_HEADER) as u32;
    out.get_mut(..3)?.copy_from_slice(&length.to_be_bytes()[1..]);
    Some(out)
}

/// A literal value in a header block: where it starts (with its length), and where its text is.
struct Value {
    start: usize,
    text: Range<usize>,
    huffman: bool,
}

/// The literal value of `:authority` in a header block. Where it is in the table already, it was cut before.
fn authority(block: &[u8]) -> Option<Value> {
    let mut fields = Fields { block, at: 0 };
    loop {
        let first = *block.get(fields.at)?;
        if first & 0x80 != 0 {
            // Name and value are in a table.
            fields.integer(7)?;
            continue;
        }
        if first & 0xe0 == 0x20 {
            // A new size of the table.
            fields.integer(5)?;
            continue;
        }
        let name = fields.integer(if first & 0x40 != 0 { 6 } else { 4 })?;
        if name == 0 {
            fields.string()?;
        }
        let value = fields.string()?;
        if name == AUTHORITY {
            return Some(value);
        }
    }
}

/// Walks through a header block.
struct Fields<'b> {
    block: &'b [u8],
    at: usize,
}

impl Fields<'_> {
    /// RFC 7541 section 5.1.
    fn integer(&mut self, prefix: u32) -> Option<usize> {
        let mask = (1 << prefix) - 1;
        let mut value = usize::from(*self.block.get(self.at)?) & mask;
        self.at += 1;
        if value < mask {
            return Some(value);
        }
        // Four bytes more hold every length there can be in a frame.
        for shift in [0, 7, 14, 21] {
            let byte = usize::from(*self.block.get(self.at)?);
            self.at += 1;
            value += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// RFC 7541 section 5.2.
    fn string(&mut self) -> Option<Value> {
        let start = self.at;
        let huffman = self.block.get(start)? & 0x80 != 0;
        let length = self.integer(7)?;
        let text = self.at..self.at + length;
        self.at = text.end;
        (text.end <= self.block.len()).then_some(Value { start, text, huffman })
    }
}

/// What a value is replaced by.
struct Literal {
    bytes: Vec<u8>,
    huffman: bool,
}

impl Literal {
    fn plain(text: &[u8]) -> Self {
        Self { bytes: text.to_vec(), huffman: false }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let huffman = u8::from(self.huffman) << 7;
        let length = self.bytes.len();
        if length < 0x7f {
            out.push(huffman | length as u8);
        } else {
            out.push(huffman | 0x7f);
            let mut rest = length - 0x7f;
            while rest >= 0x80 {
                out.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
        out.extend_from_slice(&self.bytes);
    }
}

fn cut_plain(text: &[u8]) -> Option<Literal> {
    SCHEMES.iter().find_map(|(scheme, rest)| {
        let after = text.strip_prefix(*scheme).filter(|after| !after.is_empty())?;
        Some(Literal::plain(if *rest == Rest::Kept { after } else { IN_PLACE_OF_A_PATH }))
    })
}

/// As `cut_plain`, on the bits: a prefix of the text is a prefix of its code.
fn cut_huffman(text: &[u8]) -> Option<Literal> {
    SCHEMES.iter().find_map(|(scheme, rest)| {
        let (code, length) = code_of(scheme)?;
        if bits(text, 0, length) != Some(code) {
            return None;
        }
        let end = coded_bits(text)?;
        if end <= length as usize {
            return None;
        }
        if *rest == Rest::Replaced {
            return Some(Literal::plain(IN_PLACE_OF_A_PATH));
        }
        let mut bytes = vec![0xff; (end - length as usize).div_ceil(8)];
        for (to, from) in (length as usize..end).enumerate() {
            if bits(text, from, 1)? == 0 {
                *bytes.get_mut(to / 8)? &= !(0x80 >> (to % 8));
            }
        }
        Some(Literal { bytes, huffman: true })
    })
}

/// The Huffman code of a scheme (RFC 7541 appendix B), with its length in bits.
fn code_of(scheme: &[u8]) -> Option<(u64, u32)> {
    scheme.iter().try_fold((0, 0), |(code, length), letter| {
        let (symbol, bits) = match letter {
            b'h' => (0b10_0111, 6),
            b't' => (0b0_1001, 5),
            b'p' => (0b10_1011, 6),
            b's' => (0b0_1000, 5),
            b'u' => (0b10_1101, 6),
            b'n' => (0b10_1010, 6),
            b'i' => (0b0_0110, 5),
            b'x' => (0b111_1001, 7),
            b':' => (0b101_1100, 7),
            b'/' => (0b01_1000, 6),
            _ => return None,
        };
        Some((code << bits | symbol, length + bits))
    })
}

/// The code is canonical: a symbol is so many bits long where these are below the limit. Longer ones do not occur in
/// addresses.
const LENGTHS: [(u32, u64); 10] = [
    (5, 0xa),
    (6, 0x2e),
    (7, 0x7c),
    (8, 0xfe),
    (10, 0x3fd),
    (11, 0x7fd),
    (12, 0xffc),
    (13, 0x1ffe),
    (14, 0x3ffe),
    (15, 0x7fff),
];

/// How many bits of the text are code, without the ones that fill the last byte.
fn coded_bits(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let left = text.len() * 8 - at;
        let symbol =
            LENGTHS.iter().find(|(length, limit)| bits(text, at, *length).is_some_and(|code| code < *limit));
        match symbol {
            Some((length, _)) => at += *length as usize,
            None if left < 8 => return Some(at),
            None => return None,
        }
    }
}

/// Up to 64 bits from bit `at` on.
fn bits(text: &[u8], at: usize, count: u32) -> Option<u64> {
    (at..at + count as usize).try_fold(0, |value, bit| {
        let byte = text.get(bit / 8)?;
        Some(value << 1 | u64::from(byte >> (7 - bit % 8) & 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A HEADERS frame as etcdctl 3.4 sends it, around an authority.
    fn frame(authority: &[u8]) -> Vec<u8> {
        let mut block = vec![0x83, 0x86, 0x45, 0x01, b'/', 0x41];
        block.extend_from_slice(authority);
        block.extend_from_slice(b"\x40\x02te\x86\x4d\x83\x35\x05\xb1\x1f");
        let mut frame = vec![0, 0, block.len() as u8, 1, 4, 0, 0, 0, 1];
        frame.extend_from_slice(&block);
        frame
    }

    fn cut(authority: &[u8]) -> Option<Vec<u8>> {
        let frame = frame(authority);
        without_scheme(FrameHeader::read(&frame).expect("a header"), &frame)
    }

    #[test]
    fn the_scheme_is_cut_off() {
        // Recorded: http://127.0.0.1:24999, and 127.0.0.1:24999 of the same client.
        let url = b"\x90\x9d\x29\xae\xe3\x0c\x04\x4e\xae\x05\xc0\xb8\x6e\x09\xa7\xdf\x7f";
        let bare = b"\x8b\x08\x9d\x5c\x0b\x81\x70\xdc\x13\x4f\xbe\xff";
        assert_eq!(cut(url), Some(frame(bare)));
        assert_eq!(cut(bare), None);
        assert_eq!(cut(b"\x0bhttp://a:24"), Some(frame(b"\x04a:24")));
        assert_eq!(cut(b"\x0chttps://a:24"), Some(frame(b"\x04a:24")));
        assert_eq!(cut(b"\x0aunix:///s:"), Some(frame(b"\x04unix")));
        for left_alone in [&b"\x07http://"[..], b"\x04a:24", b"\x00", b"\x09localhost"] {
            assert_eq!(cut(left_alone), None, "{left_alone:?}");
        }
    }

    #[test]
    fn long_authorities_keep_their_length() {
        for length in [110, 119, 120, 126, 127, 128, 300] {
            let host = vec![b'a'; length];
            let url = [b"http://", host.as_slice()].concat();
            let mut given = Vec::new();
            Literal::plain(&url).write(&mut given);
            let mut expected = Vec::new();
            Literal::plain(&host).write(&mut expected);
            let mut from = frame(&given);
            let block = (from.len() - FRAME_HEADER) as u32;
            from[..3].copy_from_slice(&block.to_be_bytes()[1..]);
            let cut = without_scheme(FrameHeader::read(&from).expect("a header"), &from).expect("cut");
            assert_eq!(cut[FRAME_HEADER..], frame(&expected)[FRAME_HEADER..]);
            assert_eq!(FrameHeader::read(&cut).expect("a header").length, cut.len() - FRAME_HEADER);
        }
    }

    #[test]
    fn padding_and_priority_are_stepped_over() {
        let plain = frame(b"\x0bhttp://a:24");
        let block = &plain[FRAME_HEADER..];
        let wrap = |flags: u8, before: &[u8], block: &[u8], after: &[u8]| {
            let payload = [before, block, after].concat();
            let mut frame = vec![0, 0, payload.len() as u8, 1, flags, 0, 0, 0, 1];
            frame.extend_from_slice(&payload);
            frame
        };
        let given = wrap(0x2c, &[3, 0, 0, 0, 0, 9], block, &[0, 0, 0]);
        let expected = wrap(0x2c, &[3, 0, 0, 0, 0, 9], &frame(b"\x04a:24")[FRAME_HEADER..], &[0, 0, 0]);
        assert_eq!(without_scheme(FrameHeader::read(&given).expect("a header"), &given), Some(expected));
    }

    #[test]
    fn garbage_is_left_to_the_library() {
        let good = frame(b"\x90\x9d\x29\xae\xe3\x0c\x04\x4e\xae\x05\xc0\xb8\x6e\x09\xa7\xdf\x7f");
        for end in FRAME_HEADER..good.len() {
            // Must not panic; whatever comes of it, the library sees a frame of that length.
            if let Some(cut) = without_scheme(FrameHeader::read(&good).expect("a header"), &good[..end]) {
                assert_eq!(FrameHeader::read(&cut).expect("a header").length, cut.len() - FRAME_HEADER);
            }
        }
        for byte in 0..=255_u8 {
            for at in FRAME_HEADER..good.len() {
                let mut bad = good.clone();
                bad[at] = byte;
                without_scheme(FrameHeader::read(&bad).expect("a header"), &bad);
            }
        }
    }
}
