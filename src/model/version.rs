//! Versions in etcd's notation.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A major and a minor version: they decide what members can do together. The patch level does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    pub(super) major: u64,
    pub(super) minor: u64,
}

impl Version {
    /// The first version: its commands are known to every member.
    pub const FIRST: Version = Version { major: 3, minor: 6 };

    /// The version of this program.
    pub const OWN: Version = Version { major: 3, minor: 7 };

    /// Reads `X.Y` or `X.Y.Z`, the latter also with a pre-release or a build behind it: `X.Y.Z-a+b` (Semantic Versioning
    /// 2.0.0).
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
        let (numbers, before) =
            rest.split_once('-').map_or((rest, None), |(rest, before)| (rest, Some(before)));
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let behind = [before, build];
        let are_words = behind.iter().flatten().all(|word| word.chars().all(is_word));
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
        let numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
        match numbers[..] {
            [major, minor] if behind == [None, None] => Some(Self { major, minor }),
            [major, minor, _] if are_words => Some(Self { major, minor }),
            _ => None,
        }
    }

    /// The one before it, which members of this version can work with and go back to.
    pub fn before(self) -> Option<Self> {
        Some(Self { minor: self.minor.checked_sub(1)?, ..self })
    }

    /// The notation of a cluster's version: `X.Y.0`.
    pub fn of_cluster(self) -> String {
        format!("{self}.0")
    }

    /// True if a member of this version can take part in a cluster of that one: it knows everything that the cluster
    /// uses, and is not more than one step ahead.
    pub fn fits(self, cluster: Version) -> bool {
        self == cluster || self.before() == Some(cluster)
    }

    /// Why a member of this version must not take part in a cluster of that one, and what to do; `None` if it may.
    pub fn misfit(self, cluster: Version) -> Option<String> {
        let (own, cluster) = (self, (!self.fits(cluster)).then_some(cluster)?);
        Some(match own < cluster {
            true => format!(
                "the cluster's version is {cluster}, and this program's is {own}: it does not know everything that the \
                 cluster uses. Start the program of version {cluster} here, or, if the whole cluster is to go back, run \
                 `kvctl downgrade enable {own}` on a member that runs {cluster}, wait until `kvctl upgrade status` says \
                 that it is safe, and start this program then"
            ),
            false => format!(
                "the cluster's version is {cluster}, and this program's is {own}: upgrades go one minor version at a time. \
                 Start the version after {cluster} on all members first"
            ),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_not_fit_says_what_to_do() {
        let read = |text| Version::parse(text).expect(text);
        let misfit = |own, cluster| read(own).misfit(read(cluster));
        assert_eq!((misfit("3.7", "3.7"), misfit("3.7", "3.6.0")), (None, None));
        let old = misfit("3.7", "3.8.0").expect("too old");
        assert!(old.contains("`kvctl downgrade enable 3.7`"), "{old}");
        let older = misfit("3.6", "3.8").expect("much too old");
        assert!(older.contains("Start the program of version 3.8"), "{older}");
        let new = misfit("3.8", "3.6.0").expect("too new");
        assert!(new.contains("one minor version at a time"), "{new}");
    }

    #[test]
    fn versions_are_read_and_ordered_by_number() {
        let read = |text| Version::parse(text).expect(text);
        assert_eq!(read("3.6"), read("3.6.99"));
        assert_eq!((read("3.6").to_string(), read("3.6.2").of_cluster()), ("3.6".into(), "3.6.0".into()));
        assert!(read("3.10") > read("3.9") && read("4.0") > read("3.10"));
        for good in ["3.06", "3.6.9-rc.1", "3.6.0+a-b", "3.6.0-rc+x.y"] {
            assert_eq!(read(good), read("3.6"), "{good}");
        }
        let bad = [
            "",
            "3",
            "3.6.0.1",
            "3.x",
            "v3.6",
            "-3.6",
            "+3.6",
            "3.+6",
            "3..6",
            "3.6-rc",
            "3.6+a",
            "3.6.0-r_c",
        ];
        for bad in bad {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
        assert_eq!((read("3.6").before(), read("4.0").before()), (Some(read("3.5")), None));
        let fits = |own, cluster| read(own).fits(read(cluster));
        assert!(fits("3.7", "3.7") && fits("3.7", "3.6"));
        assert!(!fits("3.7", "3.8") && !fits("3.7", "3.5") && !fits("4.0", "3.9"));
    }
}
