//! Numbers, keys and values from a seed.

use bytes::Bytes;

/// splitmix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to `bound`, exclusive.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// From `low` to `high`, both inclusive.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1).max(1) as u64) as i64
    }

    /// Mostly short, sometimes empty, sometimes long enough for chunks.
    pub fn value(&mut self) -> Bytes {
        let len = match self.below(40) {
            0 => 0,
            1 => 65_536,
            2 => 65_537 + self.below(200_000),
            3..=6 => 3000 + self.below(4000),
            _ => 1 + self.below(3),
        };
        let byte = b'a' + self.below(3) as u8;
        vec![byte; len].into()
    }
}

/// Keys for the edge cases of the long-key scheme.
pub fn keys() -> Vec<Bytes> {
    let mut keys: Vec<Vec<u8>> =
        ["a", "b", "b\0", "b\0\0", "b\x01", "ba", "c", "\0", "\u{7f}"].map(Into::into).into();
    keys.push(vec![0xff]);
    keys.push(vec![0xff, 0xff]);
    for byte in [0, b'b', 0xff] {
        for len in [899, 900, 901, 1799, 1800, 1801, 2700, 2701, 9000] {
            keys.push(vec![byte; len]);
        }
        let mut fork = vec![byte; 1801];
        fork[900] = 7;
        keys.push(fork);
    }
    keys.into_iter().map(Bytes::from).collect()
}
