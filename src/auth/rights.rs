//! A user's ranges of keys, merged from its roles.

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{KeyRange, RangeEnd};

/// Keys in disjoint ranges that do not touch, ascending. A requested range is covered if one of them includes it: as in
/// etcd several permissions together may cover a range that none of them covers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Covered(Vec<Span>);

/// The keys from `start` up to `end`, exclusively; `None` is no end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    start: Bytes,
    end: Option<Bytes>,
}

impl Span {
    fn of(range: &KeyRange) -> Self {
        let end = match &range.end {
            RangeEnd::Single => Some(successor(&range.start)),
            RangeEnd::Before(end) => Some(end.clone()),
            RangeEnd::Open => None,
        };
        Self { start: range.start.clone(), end }
    }

    /// True if no key lies between this one's end and the start of a later one.
    fn reaches(&self, start: &[u8]) -> bool {
        self.end.as_ref().is_none_or(|end| end.as_ref() >= start)
    }
}

impl Covered {
    /// The keys of all these ranges. None of them is empty.
    pub fn by<'r>(ranges: impl Iterator<Item = &'r KeyRange>) -> Self {
        let mut spans: Vec<Span> = ranges.map(Span::of).collect();
        spans.sort_by(|one, other| one.start.cmp(&other.start));
        let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut() {
                Some(last) if last.reaches(&span.start) => {
                    if let Some(end) = &last.end
                        && span.end.as_ref().is_none_or(|further| further > end)
                    {
                        last.end = span.end;
                    }
                }
                _ => merged.push(span),
            }
        }
        Self(merged)
    }

    /// True if every key of `range` is covered. An empty range is covered if its start is, as in etcd.
    pub fn includes(&self, range: &KeyRange) -> bool {
        let after = self.0.partition_point(|span| span.start <= range.start);
        let Some(span) = after.checked_sub(1).and_then(|last| self.0.get(last)) else { return false };
        let Some(end) = &span.end else { return true };
        *end > range.start
            && match &range.end {
                RangeEnd::Single => true,
                RangeEnd::Before(wanted) => wanted <= end,
                RangeEnd::Open => false,
            }
    }
}

/// The very next key.
fn successor(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put(key);
    next.put_u8(0);
    next.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str) -> KeyRange {
        KeyRange::from_wire(Bytes::copy_from_slice(start.as_bytes()), Bytes::copy_from_slice(end.as_bytes()))
    }

    #[test]
    fn ranges_together_cover_what_none_covers_alone() {
        let covered = Covered::by([range("a", "c"), range("c", "e"), range("x", ""), range("b", "d")].iter());
        assert_eq!(covered.0.len(), 2);
        for (start, end, is_covered) in [
            ("a", "e", true),
            ("b", "", true),
            ("e", "", false),
            ("a", "e\0", false),
            ("x", "", true),
            ("x", "x\0", true),
            ("x", "x\0\0", false),
            ("x", "\0", false),
            ("a", "\0", false),
            // An empty range.
            ("b", "a", true),
            ("e", "a", false),
        ] {
            assert_eq!(covered.includes(&range(start, end)), is_covered, "{start:?} {end:?}");
        }
        let open = Covered::by([range("m", ""), range("n", "\0"), range("p", "q")].iter());
        assert!(open.includes(&range("n", "\0")) && open.includes(&range("z", "")));
        assert!(!open.includes(&range("m", "\0")) && open.includes(&range("m", "")));
        assert!(!Covered::default().includes(&range("a", "")));
    }

    /// Every byte string of at most three letters of a small alphabet, which has the edges: the least byte, and one
    /// string that begins with another.
    fn keys() -> Vec<Bytes> {
        let letters = [0u8, b'a', b'b', 0xff];
        let mut keys: Vec<Vec<u8>> = vec![Vec::new()];
        let mut from = 0;
        for _ in 0..3 {
            let longer: Vec<Vec<u8>> = keys[from..]
                .iter()
                .flat_map(|key| letters.iter().map(move |byte| [key, &[*byte][..]].concat()))
                .collect();
            from = keys.len();
            keys.extend(longer);
        }
        keys.into_iter().filter(|key| !key.is_empty()).map(Bytes::from).collect()
    }

    /// Against a model that asks for each key by itself. The keys of a range are checked at its start, and at each
    /// border of a permission inside it, so that keys which are not in the model's alphabet do not matter.
    #[test]
    fn covering_agrees_with_asking_for_each_key() {
        let keys = keys();
        let mut state = 7u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below as u64) as usize
        };
        let mut any = || loop {
            let start = keys[next(keys.len())].clone();
            let end = match next(4) {
                0 => RangeEnd::Single,
                1 if next(3) == 0 => RangeEnd::Open,
                _ => RangeEnd::Before(keys[next(keys.len())].clone()),
            };
            let range = KeyRange { start, end };
            if !range.is_empty() {
                break range;
            }
        };
        let (mut yes, mut no) = (0, 0);
        for round in 0..20_000 {
            let granted: Vec<KeyRange> = (0..1 + round % 7).map(|_| any()).collect();
            let wanted = any();
            let borders = granted.iter().flat_map(|range| match &range.end {
                RangeEnd::Single => vec![successor(&range.start)],
                RangeEnd::Before(end) => vec![end.clone()],
                RangeEnd::Open => Vec::new(),
            });
            let mut asked: Vec<Bytes> = borders.filter(|key| wanted.contains(key)).collect();
            asked.push(wanted.start.clone());
            let mut naive = asked.iter().all(|key| granted.iter().any(|range| range.contains(key)));
            // No border shows that an open range is not covered at its end.
            if wanted.end == RangeEnd::Open {
                naive &= granted.iter().any(|range| range.end == RangeEnd::Open);
            }
            let covered = Covered::by(granted.iter());
            assert_eq!(covered.includes(&wanted), naive, "{granted:?} {wanted:?}");
            if naive { yes += 1 } else { no += 1 }
        }
        assert!(yes > 1000 && no > 1000, "{yes} {no}");
    }
}
