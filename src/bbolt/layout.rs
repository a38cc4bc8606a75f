//! Pages, elements and meta records as bytes.

/// Size of the pages that are written, in bytes.
pub const PAGE: usize = 4096;
/// Bytes of a page's header.
pub const HEAD: usize = 16;
/// Bytes of an element, in leaves and branches.
pub const ELEMENT: usize = 16;
/// Bytes of a meta record, with its checksum.
pub const META: usize = 64;
/// Bytes before the inline page of a bucket.
pub const BUCKET: usize = 16;

/// Kind of a page of keys and page ids.
pub const BRANCH: u16 = 0x01;
/// Kind of a page of keys and values.
pub const LEAF: u16 = 0x02;
/// Kind of a page with a meta record.
pub const META_PAGE: u16 = 0x04;
/// Kind of a page of free page ids.
pub const FREELIST: u16 = 0x10;

/// Flag of a leaf element that is a bucket.
pub const IS_BUCKET: u32 = 0x01;
/// The freelist's page if it was not written.
pub const NO_FREELIST: u64 = u64::MAX;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

/// A page's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The page's own id.
    pub id: u64,
    /// Its kind.
    pub kind: u16,
    /// The number of its elements.
    pub count: u16,
    /// Pages after it that belong to it.
    pub overflow: u32,
}

impl Head {
    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.kind.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.overflow.to_le_bytes());
    }

    /// Reads it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            id: u64_at(bytes, 0)?,
            kind: u16_at(bytes, 8)?,
            count: u16_at(bytes, 10)?,
            overflow: u32_at(bytes, 12)?,
        })
    }
}

/// A meta record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Bytes of a page.
    pub page_size: u32,
    /// The page at which the tree of buckets begins.
    pub root: u64,
    /// The page of the freelist, or [`NO_FREELIST`].
    pub freelist: u64,
    /// The number of pages in use: no page has this id or a higher one.
    pub pages: u64,
    /// The transaction that wrote it.
    pub transaction: u64,
}

impl Meta {
    /// Appends the record with its checksum.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for number in [MAGIC, VERSION, self.page_size, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.root, 0, self.freelist, self.pages, self.transaction] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = fnv1a(&out[start..]);
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let bytes = bytes.get(..META).ok_or("it is cut")?;
        let number = |at| u32_at(bytes, at).unwrap_or_default();
        let long = |at| u64_at(bytes, at).unwrap_or_default();
        if number(0) != MAGIC {
            return Err("it does not begin as bbolt's do".into());
        }
        if number(4) != VERSION {
            return Err(format!("it has format version {}; this kvd reads version {VERSION}", number(4)));
        }
        if long(META - 8) != fnv1a(&bytes[..META - 8]) {
            return Err("its checksum is wrong".into());
        }
        Ok(Self {
            page_size: number(8),
            root: long(16),
            freelist: long(32),
            pages: long(40),
            transaction: long(48),
        })
    }
}

/// The hash FNV-1a of 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A number at an offset; `None` beyond the end.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// See [`u16_at`].
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// See [`u16_at`].
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn records_read_back_and_one_bit_is_noticed() {
        let meta = Meta { page_size: 4096, root: 7, freelist: NO_FREELIST, pages: 9, transaction: 2 };
        let mut bytes = Vec::new();
        meta.write(&mut bytes);
        assert_eq!(bytes.len(), META);
        assert_eq!(Meta::read(&bytes), Ok(meta));
        for bit in 0..META * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Meta::read(&damaged).is_err(), "bit {bit}");
        }
        assert_eq!(Meta::read(&bytes[..META - 1]), Err("it is cut".to_string()));
        let head = Head { id: 3, kind: LEAF, count: 5, overflow: 1 };
        let mut bytes = Vec::new();
        head.write(&mut bytes);
        assert_eq!((bytes.len(), Head::read(&bytes)), (HEAD, Some(head)));
        assert_eq!(Head::read(&bytes[..HEAD - 1]), None);
    }
}
