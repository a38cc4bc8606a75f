//! LEB128 numbers.

use bytes::BufMut;

/// Appends `number`.
pub fn put(out: &mut impl BufMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// The bytes of `number`.
pub fn len(number: u64) -> u64 {
    u64::from((u64::BITS - number.max(1).leading_zeros()).div_ceil(7))
}

/// Takes a number off the front of `bytes`; `None` if they end too early or the number is too large.
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_survive_and_garbage_is_refused() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            super::put(&mut out, number);
            assert_eq!(super::len(number), out.len() as u64);
            let mut rest = out.as_slice();
            assert_eq!(super::take(&mut rest), Some(number));
            assert!(rest.is_empty());
        }
        assert_eq!(super::take(&mut [0x80u8; 3].as_slice()), None);
        assert_eq!(super::take(&mut [0xffu8; 11].as_slice()), None);
    }
}
