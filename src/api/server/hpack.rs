//! HPACK (RFC 7541), as far as it is needed to read the fields of a client's header blocks and to write them anew.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

/// Largest size of the dynamic table, in bytes; the server announces no other size.
const MAX_TABLE: usize = 4096;
/// Bytes that an entry counts in addition to its name and value (RFC 7541 section 4.1).
const ENTRY_COST: usize = 32;
/// A field that comes again shares the memory of the one before, if that is among so many of the newest in the table.
const LOOKED_THROUGH: usize = 16;
/// A value of more bytes than this is not written in Huffman code.
pub(super) const LONGEST_CODED: usize = 4096;
/// The index of `:authority` in the static table; its value there is empty.
pub(super) const AUTHORITY: usize = 1;
const AUTHORITY_NAME: &[u8] = b":authority";
/// The last index there of a name that begins with a colon.
const LAST_PSEUDO: usize = 14;

/// The lengths of the names in the static table (RFC 7541 appendix A), from index 1 on.
const STATIC_NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13,
    12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3,
    16,
];

/// A header block that cannot be read, or that is far too large: the library reports that to the client.
#[derive(Debug)]
pub(super) struct Malformed;

/// A field of a header block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// An entry of the static table.
    Static(usize),
    /// Any other field.
    Own(Arc<Entry>),
}

/// A name and a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    name: Name,
    value: Vec<u8>,
    /// The value is still in Huffman code: nobody needs to know it.
    coded: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// The name of an entry of the static table.
    Static(usize),
    Own(Vec<u8>),
}

impl Field {
    /// The value, if this is `:authority`.
    pub(super) fn authority(&self) -> Option<&[u8]> {
        match self {
            Field::Static(index) => (*index == AUTHORITY).then_some(&[]),
            Field::Own(entry) => entry.name.is_authority().then_some(&entry.value),
        }
    }
}

impl Name {
    fn is_authority(&self) -> bool {
        match self {
            Name::Static(index) => *index == AUTHORITY,
            Name::Own(name) => name == AUTHORITY_NAME,
        }
    }

    /// True if it begins with a colon (RFC 9113 section 8.3).
    fn is_pseudo(&self) -> bool {
        match self {
            Name::Static(index) => *index <= LAST_PSEUDO,
            Name::Own(name) => name.starts_with(b":"),
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        let name = match &self.name {
            Name::Static(index) => STATIC_NAMES.get(index - 1).copied().map_or(0, usize::from),
            Name::Own(name) => name.len(),
        };
        name + self.value.len() + ENTRY_COST
    }
}

/// Reads the header blocks of one connection, all of them and in order: each may refer to earlier ones.
pub(super) struct Decoder {
    /// The dynamic table, the newest entry first.
    entries: VecDeque<Arc<Entry>>,
    size: usize,
    max_size: usize,
    /// How often a field whose name begins with a colon was added to the table.
    pseudo: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, max_size: MAX_TABLE, pseudo: 0 }
    }
}

impl Decoder {
    /// True if nothing is in the table.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How often a field whose name begins with a colon, such as `:path`, was added to the table.
    pub(super) fn pseudo(&self) -> usize {
        self.pseudo
    }

    /// Adds the fields of a header block to `fields`.
    pub(super) fn decode(&mut self, block: &[u8], fields: &mut Vec<Field>) -> Result<(), Malformed> {
        let mut rest = Rest { block, at: 0 };
        while let Some(first) = rest.peek() {
            if first & 0x80 != 0 {
                let index = rest.integer(7)?;
                fields.push(self.field(index)?);
            } else if first & 0xe0 == 0x20 {
                let size = rest.integer(5)?;
                if size > MAX_TABLE {
                    return Err(Malformed);
                }
                self.max_size = size;
                self.evict();
            } else {
                let indexed = first & 0x40 != 0;
                let name = match rest.integer(if indexed { 6 } else { 4 })? {
                    0 => Name::Own(rest.text()?.decoded()?),
                    index => self.name(index)?,
                };
                // What is neither looked at nor counted is not worth decoding: a path, in nearly every block.
                let value = rest.text()?;
                let coded = value.coded && !indexed && !name.is_authority();
                let value = if coded { value.bytes.to_vec() } else { value.decoded()? };
                let entry = Entry { name, value, coded };
                let known =
                    self.entries.iter().take(LOOKED_THROUGH).find(|known| indexed && ***known == entry);
                let entry = known.cloned().unwrap_or_else(|| Arc::new(entry));
                if indexed {
                    self.pseudo += usize::from(entry.name.is_pseudo());
                    self.size += entry.size();
                    self.entries.push_front(entry.clone());
                    self.evict();
                }
                fields.push(Field::Own(entry));
            }
        }
        Ok(())
    }

    fn evict(&mut self) {
        while self.size > self.max_size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }

    fn field(&self, index: usize) -> Result<Field, Malformed> {
        if (1..=STATIC_NAMES.len()).contains(&index) {
            return Ok(Field::Static(index));
        }
        self.entry(index).map(|entry| Field::Own(entry.clone()))
    }

    fn name(&self, index: usize) -> Result<Name, Malformed> {
        if index <= STATIC_NAMES.len() {
            return Ok(Name::Static(index));
        }
        self.entry(index).map(|entry| entry.name.clone())
    }

    fn entry(&self, index: usize) -> Result<&Arc<Entry>, Malformed> {
        let place = index.checked_sub(STATIC_NAMES.len() + 1).ok_or(Malformed)?;
        self.entries.get(place).ok_or(Malformed)
    }
}

/// The rest of a block that has not been read yet.
struct Rest<'b> {
    block: &'b [u8],
    at: usize,
}

impl<'b> Rest<'b> {
    fn peek(&self) -> Option<u8> {
        self.block.get(self.at).copied()
    }

    fn byte(&mut self) -> Result<usize, Malformed> {
        let byte = self.peek().ok_or(Malformed)?;
        self.at += 1;
        Ok(usize::from(byte))
    }

    /// RFC 7541 section 5.1.
    fn integer(&mut self, prefix: u32) -> Result<usize, Malformed> {
        let mask = (1 << prefix) - 1;
        let mut value = self.byte()? & mask;
        if value < mask {
            return Ok(value);
        }
        // Four more bytes can hold every number in a block.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// RFC 7541 section 5.2.
    fn text(&mut self) -> Result<Text<'b>, Malformed> {
        let coded = self.peek().ok_or(Malformed)? & 0x80 != 0;
        let length = self.integer(7)?;
        let bytes = self.block.get(self.at..self.at + length).ok_or(Malformed)?;
        self.at += length;
        Ok(Text { bytes, coded })
    }
}

/// A string of a block; if `coded`, in Huffman code.
struct Text<'b> {
    bytes: &'b [u8],
    coded: bool,
}

impl Text<'_> {
    fn decoded(&self) -> Result<Vec<u8>, Malformed> {
        if self.coded { decode_huffman(self.bytes) } else { Ok(self.bytes.to_vec()) }
    }
}

/// Writes a header block that refers to the static table only.
#[derive(Default)]
pub(super) struct Encoder {
    block: Vec<u8>,
}

impl Encoder {
    /// Empties the reader's table, for ever (RFC 7541 section 6.3). It must come first.
    pub(super) fn no_table(&mut self) {
        self.integer(0x20, 5, 0);
    }

    /// Adds a field as it is, a long value without its Huffman code. If it would take the block above `limit`, only its
    /// beginning is added.
    pub(super) fn field(&mut self, field: &Field, limit: usize) {
        match field {
            Field::Static(index) => self.integer(0x80, 7, *index),
            Field::Own(entry) => {
                let room = limit.saturating_sub(self.block.len());
                match &entry.name {
                    Name::Static(index) => self.integer(0, 4, *index),
                    Name::Own(name) => {
                        self.integer(0, 4, 0);
                        self.string(&name[..name.len().min(room)]);
                    }
                }
                if entry.coded && entry.value.len() <= room.min(LONGEST_CODED) {
                    return self.text(0x80, &entry.value);
                }
                // A part of a code would be invalid; one that is invalid as it is remains so for the library.
                let plain = if entry.coded { decode_huffman(&entry.value).ok() } else { None };
                let value = plain.as_ref().unwrap_or(&entry.value);
                self.string(&value[..value.len().min(room)]);
            }
        }
    }

    /// Adds an `:authority`.
    pub(super) fn authority(&mut self, value: &[u8]) {
        self.integer(0, 4, AUTHORITY);
        self.string(value);
    }

    /// The length of the block so far, in bytes.
    pub(super) fn len(&self) -> usize {
        self.block.len()
    }

    /// The block.
    pub(super) fn finish(self) -> Vec<u8> {
        self.block
    }

    fn integer(&mut self, flags: u8, prefix: u32, value: usize) {
        let mask = (1 << prefix) - 1;
        if value < mask {
            self.block.push(flags | value as u8);
            return;
        }
        self.block.push(flags | mask as u8);
        let mut rest = value - mask;
        while rest >= 0x80 {
            self.block.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.block.push(rest as u8);
    }

    fn string(&mut self, text: &[u8]) {
        self.text(0, text);
    }

    /// A string with its flag.
    fn text(&mut self, flag: u8, bytes: &[u8]) {
        self.integer(flag, 7, bytes.len());
        self.block.extend_from_slice(bytes);
    }
}

/// The number of bits in the code of each byte (RFC 7541 appendix B). The code is canonical, so the lengths define it.
#[rustfmt::skip]
const CODE_LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
const LONGEST_CODE: usize = 30;

/// The code, by length: the first code of that length, the number of codes, and the bytes they stand for.
struct Code {
    lengths: [(u32, u32, usize); LONGEST_CODE + 1],
    symbols: Vec<u8>,
}

static CODE: LazyLock<Code> = LazyLock::new(|| {
    let mut symbols = Vec::with_capacity(256);
    let mut lengths = [(0, 0, 0); LONGEST_CODE + 1];
    let mut code = 0;
    for (bits, of_length) in lengths.iter_mut().enumerate() {
        code <<= 1;
        *of_length = (code, 0, symbols.len());
        for symbol in (0..=u8::MAX).filter(|symbol| usize::from(CODE_LENGTHS[usize::from(*symbol)]) == bits) {
            symbols.push(symbol);
            of_length.1 += 1;
            code += 1;
        }
    }
    Code { lengths, symbols }
});

fn decode_huffman(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(text.len() * 8 / 5);
    let (mut code, mut bits) = (0_u32, 0);
    for byte in text {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            bits += 1;
            let (first, count, place) = *CODE.lengths.get(bits).ok_or(Malformed)?;
            if let Some(nth) = code.checked_sub(first).filter(|nth| *nth < count) {
                out.push(CODE.symbols[place + nth as usize]);
                (code, bits) = (0, 0);
            }
        }
    }
    // The padding of the last byte is shorter than a byte, and all ones.
    if bits < 8 && code == (1 << bits) - 1 { Ok(out) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: Name, value: &[u8]) -> Field {
        Field::Own(Arc::new(Entry { name, value: value.to_vec(), coded: false }))
    }

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        decoder.decode(block, &mut fields).expect("a block");
        fields
    }

    /// RFC 7541 appendix C.4: requests with Huffman code, one after another.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let mut decoder = Decoder::default();
        let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let authority = own(Name::Static(1), b"www.example.com");
        let common = [Field::Static(2), Field::Static(6), Field::Static(4), authority.clone()];
        assert_eq!(decoded(&mut decoder, first), common);
        let second = decoded(&mut decoder, b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf");
        assert_eq!(second[..4], common);
        assert_eq!(second[4], own(Name::Static(24), b"no-cache"));
        let third = b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
        let third = decoded(&mut decoder, third);
        assert_eq!(third[3].authority(), Some(&b"www.example.com"[..]));
        assert_eq!(third[4], own(Name::Own(b"custom-key".to_vec()), b"custom-value"));
        assert_eq!(decoder.size, 164);
    }

    /// A small version of RFC 7541 appendix C.5: entries beyond the table's size are dropped, the oldest first.
    #[test]
    fn old_entries_are_forgotten() {
        let mut decoder = Decoder::default();
        let mut block = b"\x3f\x4b".to_vec(); // 106 bytes: room for two of 53.
        for value in [b"a.example:1", b"b.example:2", b"c.example:3"] {
            block.extend_from_slice(b"\x41\x0b");
            block.extend_from_slice(value);
        }
        decoded(&mut decoder, &block);
        let both = decoded(&mut decoder, b"\xbe\xbf");
        assert_eq!(both[0].authority(), Some(&b"c.example:3"[..]));
        assert_eq!(both[1].authority(), Some(&b"b.example:2"[..]));
        assert!(decoder.decode(b"\xc0", &mut Vec::new()).is_err());
        decoded(&mut decoder, b"\x20");
        assert!(decoder.decode(b"\xbe", &mut Vec::new()).is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let fields = [
            Field::Static(3),
            own(Name::Static(4), b"/etcdserverpb.KV/Range"),
            own(Name::Static(58), &[b'x'; 300]),
            own(Name::Own(b"te".to_vec()), b"trailers"),
            own(Name::Own(vec![b'n'; 200]), b""),
        ];
        let mut encoder = Encoder::default();
        fields.iter().for_each(|field| encoder.field(field, usize::MAX));
        assert_eq!(decoded(&mut Decoder::default(), &encoder.finish()), fields);
    }

    /// A value in Huffman code that is neither an authority nor indexed is passed on as it came, or decoded and cut.
    #[test]
    fn a_value_that_nobody_needs_stays_in_its_code() {
        let coded = b"\x04\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let fields = decoded(&mut Decoder::default(), coded);
        let written = |limit| {
            let mut encoder = Encoder::default();
            encoder.field(&fields[0], limit);
            encoder.finish()
        };
        assert_eq!(written(usize::MAX), coded);
        assert_eq!(written(3), b"\x04\x03www");
        let mut as_authority = coded.to_vec();
        as_authority[0] = 1;
        let authority = decoded(&mut Decoder::default(), &as_authority);
        assert_eq!(authority[0].authority(), Some(&b"www.example.com"[..]));
    }

    #[test]
    fn an_authority_is_known_however_it_is_written() {
        let mut decoder = Decoder::default();
        for block in [&b"\x81"[..], b"\x41\x00", b"\x01\x00", b"\x40\x0a:authority\x00", b"\x7e\x00", b"\xbe"]
        {
            assert_eq!(decoded(&mut decoder, block)[0].authority(), Some(&[][..]), "{block:?}");
        }
        assert_eq!(decoded(&mut decoder, b"\x82")[0].authority(), None);
    }

    #[test]
    fn garbage_is_an_error_and_no_more() {
        let good =
            b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\x40\x02te\x08trailers";
        for at in 0..good.len() {
            let _ = Decoder::default().decode(&good[..at], &mut Vec::new());
            for byte in 0..=255 {
                let mut bad = good.to_vec();
                bad[at] = byte;
                let _ = Decoder::default().decode(&bad, &mut Vec::new());
            }
        }
        for bad in [
            &b"\xff\xff\xff\xff\xff\x7f"[..],
            b"\x80",
            b"\xbe",
            b"\x41\x85\xff\xff\xff\xff\xff",
            b"\x41\x05a",
        ] {
            assert!(Decoder::default().decode(bad, &mut Vec::new()).is_err(), "{bad:?}");
        }
    }
}
