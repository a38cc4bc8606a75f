//! A position in the history of the key space.

/// Main and sub revision: one main revision per applied change, one sub revision per key that it changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The revision that clients see.
    pub main: i64,
    /// Counted from zero in the order of execution.
    pub sub: u32,
}

impl Revision {
    /// The greatest revision that belongs to `main`.
    pub fn last_of(main: i64) -> Self {
        Self { main, sub: u32::MAX }
    }

    /// The stored form, which sorts as revisions do.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut out = [0; 12];
        out[..8].copy_from_slice(&self.main.to_be_bytes());
        out[8..].copy_from_slice(&self.sub.to_be_bytes());
        out
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (main, sub) = bytes.split_first_chunk::<8>()?;
        Some(Self { main: i64::from_be_bytes(*main), sub: u32::from_be_bytes(sub.try_into().ok()?) })
    }
}
