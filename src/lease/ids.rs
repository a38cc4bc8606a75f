//! Ids for leases that are requested without one, made as etcd makes its request ids (`pkg/idutil`).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{LeaseId, MemberId};

/// Makes ids that are unique as long as no two members share the last two bytes of their id. An id is those two bytes,
/// then five bytes of the start time in milliseconds and one byte of counter; the last six bytes are incremented for
/// each id.
#[derive(Debug)]
pub struct IdSource {
    prefix: u64,
    suffix: AtomicU64,
}

/// Six bytes are the counter, two are the member's.
const SUFFIX_BITS: u32 = 48;
const SUFFIX_MASK: u64 = (1 << SUFFIX_BITS) - 1;

impl IdSource {
    /// Starts at `now_ms`, milliseconds since the epoch.
    pub fn new(member: MemberId, now_ms: i64) -> Self {
        let time = (now_ms as u64) & ((1 << 40) - 1);
        Self { prefix: member.0 << SUFFIX_BITS, suffix: AtomicU64::new(time << 8) }
    }

    /// The next id: positive.
    pub fn next(&self) -> LeaseId {
        loop {
            let suffix = self.suffix.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & SUFFIX_MASK;
            let id = ((self.prefix | suffix) & (i64::MAX as u64)) as LeaseId;
            if id != 0 {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_member_then_time_then_count() {
        let ids = IdSource::new(MemberId(0x8e9e_05c5_2164_1234), 0x12_3456_789a);
        assert_eq!(ids.next(), 0x1234_1234_5678_9a01);
        assert_eq!(ids.next(), 0x1234_1234_5678_9a02);
    }

    #[test]
    fn ids_are_positive() {
        let ids = IdSource::new(MemberId(0xffff), -1);
        assert!(ids.next() > 0);
        assert!(ids.next() > 0);
    }
}
