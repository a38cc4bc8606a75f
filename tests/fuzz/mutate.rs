//! Small repeatable changes to an input, of the kind that shows missing cases in parsers.

/// Numbers at which lengths and counts often fail.
const EDGES: [u64; 10] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// The longest input that is made.
const MOST: usize = 1 << 16;

/// A sequence of mutations (splitmix64).
pub struct Mutator(u64);

impl Mutator {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// `bytes` with one to four changes; some of them take parts of `others`.
    pub fn mutate(&mut self, bytes: &[u8], others: &[&[u8]]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, others);
        }
        bytes.truncate(MOST);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, others: &[&[u8]]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(16)).min(bytes.len());
        match self.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            3 => {
                let other = others[self.below(others.len())];
                let from = self.below(other.len() + 1);
                let part = other[from..].iter().take(1 + self.below(64)).copied();
                bytes.splice(at..at, part.collect::<Vec<u8>>());
            }
            4 => {
                let edge = EDGES[self.below(EDGES.len())];
                let edge = if self.below(2) == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
                let width = [1, 2, 4, 8][self.below(4)];
                let part = if self.below(2) == 0 { &edge[..width] } else { &edge[8 - width..] };
                bytes.splice(at..(at + width).min(bytes.len()).max(at), part.iter().copied());
            }
            5 => bytes.insert(at, self.next() as u8),
            6 if at < bytes.len() => bytes[at] = self.next() as u8,
            _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            _ => {}
        }
    }
}
