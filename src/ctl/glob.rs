//! Keys by pattern: `kvctl get --glob 'a/*/b'`.
//!
//! `*` is anything but a slash, `**` is anything, `?` is one character but a slash, `[a-c]` is one of these characters and
//! `[!a-c]` one of the others but a slash, and a backslash takes the next character as it is.

use super::keys::with_prefix;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    parts: Vec<Part>,
    /// What every key begins with.
    prefix: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    One(Unit),
    Any,
    Set {
        others: bool,
        ranges: Vec<(Unit, Unit)>,
    },
    /// So many as there are, but no slash.
    Many,
    /// So many as there are.
    All,
}

/// A character, or a byte that is none.
type Unit = u32;

const SLASH: Unit = '/' as Unit;
/// Before the bytes that are no characters.
const NO_CHARACTER: Unit = 0x11_0000;

fn units(bytes: &[u8]) -> impl Iterator<Item = Unit> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let bad = chunk.invalid().iter().map(|byte| NO_CHARACTER + Unit::from(*byte));
        chunk.valid().chars().map(Unit::from).chain(bad).collect::<Vec<_>>()
    })
}

fn push(unit: Unit, bytes: &mut Vec<u8>) {
    match char::from_u32(unit) {
        Some(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => bytes.push((unit - NO_CHARACTER) as u8),
    }
}

impl Glob {
    /// # Errors
    /// What is wrong with the pattern, and where.
    pub(super) fn parse(pattern: &[u8]) -> Result<Self, String> {
        let bad = |at: usize, what: &str| {
            let shown = String::from_utf8_lossy(pattern).into_owned();
            Err(format!("bad pattern {shown:?}: {what} (character {})", at + 1))
        };
        let text: Vec<Unit> = units(pattern).collect();
        if text.is_empty() {
            return Err("bad pattern \"\": it is empty; '**' is every key".to_string());
        }
        let of = |character: char| Unit::from(character);
        let (mut parts, mut at) = (Vec::new(), 0);
        while let Some(unit) = text.get(at) {
            let next = text.get(at + 1).copied();
            match *unit {
                star if star == of('*') && next == Some(star) => {
                    parts.push(Part::All);
                    at += 1;
                }
                star if star == of('*') => parts.push(Part::Many),
                mark if mark == of('?') => parts.push(Part::Any),
                open if open == of('[') => match set(&text[at + 1..]) {
                    Ok((part, length)) => {
                        parts.push(part);
                        at += length;
                    }
                    Err(what) => return bad(at, what),
                },
                escape if escape == of('\\') => match next {
                    Some(next) => {
                        parts.push(Part::One(next));
                        at += 1;
                    }
                    None => return bad(at, "nothing is behind the backslash"),
                },
                plain => parts.push(Part::One(plain)),
            }
            at += 1;
        }
        let mut prefix = Vec::new();
        for part in &parts {
            let Part::One(unit) = part else { break };
            push(*unit, &mut prefix);
        }
        Ok(Self { parts, prefix })
    }

    /// The keys that have to be read: from the first to before the second.
    pub(super) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        match self.parts.iter().all(|part| matches!(part, Part::One(_))) {
            true => (self.prefix.clone(), Vec::new()),
            false => with_prefix(self.prefix.clone()),
        }
    }

    /// True if the whole key is as the pattern says. Takes time in proportion to the lengths of both.
    pub(super) fn matches(&self, key: &[u8]) -> bool {
        if !key.starts_with(&self.prefix) {
            return false;
        }
        // At which parts the key so far may end.
        let mut here = vec![false; self.parts.len() + 1];
        here[0] = true;
        self.skip(&mut here);
        for unit in units(key) {
            let mut next = vec![false; here.len()];
            for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| here[*at]) {
                match part {
                    Part::Many => next[at] |= unit != SLASH,
                    Part::All => next[at] = true,
                    single => next[at + 1] |= single.takes(unit),
                }
            }
            self.skip(&mut next);
            here = next;
        }
        here.last() == Some(&true)
    }

    /// Parts that may stand for nothing are passed over.
    fn skip(&self, here: &mut [bool]) {
        for (at, part) in self.parts.iter().enumerate() {
            here[at + 1] |= here[at] && matches!(part, Part::Many | Part::All);
        }
    }
}

impl Part {
    fn takes(&self, unit: Unit) -> bool {
        match self {
            Part::One(one) => *one == unit,
            Part::Any => unit != SLASH,
            Part::Set { others, ranges } => {
                let inside = ranges.iter().any(|(first, last)| (*first..=*last).contains(&unit));
                inside != *others && (unit != SLASH || inside)
            }
            Part::Many | Part::All => true,
        }
    }
}

/// The set behind an opening bracket, and how many characters it takes with the closing one.
fn set(text: &[Unit]) -> Result<(Part, usize), &'static str> {
    const OPEN: &str = "the bracket [ is not closed";
    let of = |character: char| Unit::from(character);
    let others = text.first().is_some_and(|first| [of('!'), of('^')].contains(first));
    let (mut at, mut ranges) = (usize::from(others), Vec::new());
    loop {
        let mut one = || {
            let escaped = text.get(at) == Some(&of('\\'));
            at += usize::from(escaped) + 1;
            text.get(at - 1).copied().map(|unit| (unit, escaped)).ok_or(OPEN)
        };
        let (first, escaped) = one()?;
        if first == of(']') && !escaped {
            break;
        }
        let is_range = text.get(at) == Some(&of('-')) && text.get(at + 1) != Some(&of(']'));
        let last = if is_range {
            at += 1;
            let escaped = text.get(at) == Some(&of('\\'));
            at += usize::from(escaped) + 1;
            *text.get(at - 1).ok_or(OPEN)?
        } else {
            first
        };
        if last < first {
            return Err("a range in brackets ends before it begins");
        }
        ranges.push((first, last));
    }
    if ranges.is_empty() {
        return Err("the brackets [] are empty");
    }
    Ok((Part::Set { others, ranges }, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> Glob {
        Glob::parse(pattern.as_bytes()).expect(pattern)
    }

    #[test]
    fn patterns_match_whole_keys() {
        for (pattern, matching, others) in [
            ("a/*/b", &["a/x/b", "a//b", "a/xyz/b"][..], &["a/b", "a/x/y/b", "a/x/bc", "ba/x/b"][..]),
            ("a/**", &["a/", "a/x", "a/x/y"], &["a", "b/x"]),
            ("**/b", &["/b", "a/b", "a/x/b"], &["b", "a/bc"]),
            ("*", &["", "a", "\u{fc}"], &["a/", "/"]),
            ("?", &["a", "\u{20ac}"], &["", "ab", "/"]),
            ("[a-cx]1", &["a1", "c1", "x1"], &["d1", "1", "ax1"]),
            ("[!a-c]", &["d", "\u{fc}"], &["a", "/"]),
            ("[]", &[], &[]),
            ("a\\*[\\]]", &["a*]"], &["ax]", "a*"]),
            ("*a*a*a*b", &["aaab", "xaxaxaxb"], &["aab", "aaa"]),
        ] {
            let Ok(parsed) = Glob::parse(pattern.as_bytes()) else {
                assert!(matching.is_empty() && others.is_empty(), "{pattern}");
                continue;
            };
            assert!(matching.iter().all(|key| parsed.matches(key.as_bytes())), "{pattern}");
            assert!(others.iter().all(|key| !parsed.matches(key.as_bytes())), "{pattern}");
        }
        assert!(glob("a?").matches(b"a\xff") && glob("a*b").matches(b"a\xff\xfeb"));
        assert!(Glob::parse(b"a\xff*").expect("bytes").matches(b"a\xffx"));
    }

    #[test]
    fn no_more_is_read_than_the_pattern_begins_with() {
        let range = |pattern: &str| glob(pattern).range();
        assert_eq!(range("a/b*/c"), (b"a/b".to_vec(), b"a/c".to_vec()));
        assert_eq!(range("a\\*b"), (b"a*b".to_vec(), Vec::new()));
        assert_eq!(range("*/c"), (vec![0], vec![0]));
    }

    #[test]
    fn bad_patterns_are_refused_with_the_place() {
        let refused = |pattern: &str| Glob::parse(pattern.as_bytes()).expect_err(pattern);
        assert_eq!(refused("a[b"), "bad pattern \"a[b\": the bracket [ is not closed (character 2)");
        assert_eq!(refused("[]"), "bad pattern \"[]\": the brackets [] are empty (character 1)");
        assert!(refused("ab\\").contains("nothing is behind the backslash (character 3)"));
        assert!(refused("[z-a]").contains("ends before it begins"));
        assert!(refused("").contains("'**' is every key"));
    }

    /// A pattern that makes others try everything.
    #[test]
    fn many_stars_take_no_time() {
        let pattern = glob(&("*a".repeat(30) + "b"));
        assert!(!pattern.matches(&[b'a'; 3000]));
    }
}
