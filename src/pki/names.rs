//! Names in certificates: whether a certificate is for a host, and whether a CA may issue for a name. By the rules of
//! Go's crypto/x509, which are those of RFC 6125 and RFC 5280 with some leniency.

use std::fmt;
use std::net::IpAddr;

/// A subject's alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Dns(String),
    Ip(IpAddr),
    Email(String),
    Uri(String),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It is printed on terminals.
            Self::Dns(name) | Self::Email(name) | Self::Uri(name) => name.escape_debug().fmt(f),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// True if one of the names is for the host: an address, perhaps in brackets, is compared with addresses only; of a
/// name's pattern the first label may be `*`.
pub(super) fn are_for(names: &[Name], host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return names
            .iter()
            .any(|name| matches!(name, Name::Ip(own) if own.to_canonical() == ip.to_canonical()));
    }
    let host = host.to_ascii_lowercase();
    let is_host = is_hostname(host.strip_suffix('.').unwrap_or(&host), false);
    names.iter().any(|name| match name {
        Name::Dns(pattern) if is_host && is_hostname(pattern, true) => matches(pattern, &host),
        Name::Dns(name) => !matches!(host.as_str(), "" | ".") && name.to_ascii_lowercase() == host,
        _ => false,
    })
}

fn is_hostname(text: &str, is_pattern: bool) -> bool {
    let is_label = |(number, label): (usize, &str)| {
        let is_wildcard = is_pattern && number == 0 && label == "*";
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        is_wildcard || (!label.is_empty() && !label.starts_with('-') && label.chars().all(plain))
    };
    !text.is_empty() && text != "*" && text.split('.').enumerate().all(is_label)
}

fn matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let (patterns, labels) = (pattern.split('.'), host.split('.'));
    patterns.clone().count() == labels.clone().count()
        && patterns
            .zip(labels)
            .enumerate()
            .all(|(number, (own, label))| (number == 0 && own == "*") || own.eq_ignore_ascii_case(label))
}

/// One subtree of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subtree {
    Dns(String),
    /// Address and mask, both of 4 or 16 bytes.
    Ip(Vec<u8>, Vec<u8>),
    Email(String),
    Uri(String),
}

/// The names for which a CA may issue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Constraints {
    /// If there are some of a kind, names of that kind must be in one of them.
    pub permitted: Vec<Subtree>,
    /// Names that are in one of them are refused.
    pub excluded: Vec<Subtree>,
}

/// Comparisons of names with subtrees that one chain may take; more are an attack.
pub(super) const MAX_COMPARISONS: usize = 250_000;

impl Constraints {
    /// Refuses the first name that the constraints do not admit; `left` counts comparisons down.
    ///
    /// # Errors
    /// Why the name is refused.
    pub(super) fn check(&self, names: &[Name], left: &mut usize) -> Result<(), String> {
        for name in names {
            let subject = Subject::of(name)?;
            *left = left
                .checked_sub(self.permitted.len() + self.excluded.len())
                .ok_or("there are too many names and constraints")?;
            let mut of_kind = self.permitted.iter().filter(|tree| tree.is_like(name)).peekable();
            if of_kind.peek().is_some() && !of_kind.any(|tree| subject.is_in(tree, true)) {
                return Err(format!("the name {name} is not permitted by its CA"));
            }
            if self.excluded.iter().any(|tree| tree.is_like(name) && subject.is_in(tree, false)) {
                return Err(format!("the name {name} is excluded by its CA"));
            }
        }
        Ok(())
    }
}

impl Subtree {
    /// False if no name can be compared with it.
    pub(super) fn is_sound(&self) -> bool {
        let is_tree = |tree: &str| tree.is_empty() || is_domain(tree.strip_prefix('.').unwrap_or(tree));
        match self {
            Self::Dns(tree) => is_tree(tree),
            Self::Uri(tree) => is_tree(tree) && tree.parse::<IpAddr>().is_err(),
            Self::Email(tree) => {
                if tree.contains('@') {
                    mailbox(tree).is_some()
                } else {
                    is_tree(tree)
                }
            }
            // Ones, then zeros.
            Self::Ip(_, mask) => {
                let bits: Vec<u32> = mask.iter().map(|byte| byte.leading_ones()).collect();
                let ones = bits.iter().take_while(|ones| **ones == 8).count();
                let whole = mask.get(ones).is_none_or(|byte| byte.leading_ones() == byte.count_ones());
                whole && mask.iter().skip(ones + 1).all(|byte| *byte == 0)
            }
        }
    }

    fn is_like(&self, name: &Name) -> bool {
        matches!(
            (self, name),
            (Self::Dns(_), Name::Dns(_))
                | (Self::Ip(..), Name::Ip(_))
                | (Self::Email(_), Name::Email(_))
                | (Self::Uri(_), Name::Uri(_))
        )
    }
}

/// What of a name is compared.
enum Subject<'n> {
    Domain(&'n str),
    Ip(Vec<u8>),
    Mailbox(&'n str, &'n str),
}

impl<'n> Subject<'n> {
    fn of(name: &'n Name) -> Result<Self, String> {
        let unfit = || format!("the name {name} cannot be compared with the constraints of its CA");
        Ok(match name {
            Name::Dns(name) if is_domain(name) => Self::Domain(name),
            Name::Ip(IpAddr::V4(ip)) => Self::Ip(ip.octets().to_vec()),
            // It stands for an address of the other kind, whose constraints do not hold it.
            Name::Ip(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => return Err(unfit()),
            Name::Ip(IpAddr::V6(ip)) => Self::Ip(ip.octets().to_vec()),
            Name::Email(email) => {
                let (local, domain) = mailbox(email).ok_or_else(unfit)?;
                Self::Mailbox(local, domain)
            }
            Name::Uri(uri) => Self::Domain(host_of(uri).ok_or_else(unfit)?),
            Name::Dns(_) => return Err(unfit()),
        })
    }

    fn is_in(&self, tree: &Subtree, permitted: bool) -> bool {
        match (self, tree) {
            (Self::Domain(domain), Subtree::Dns(tree) | Subtree::Uri(tree)) => {
                is_below(domain, tree) || (!permitted && may_be_below(domain, tree))
            }
            (Self::Ip(ip), Subtree::Ip(network, mask)) => {
                ip.len() == network.len()
                    && ip
                        .iter()
                        .zip(network)
                        .zip(mask)
                        .all(|((ip, network), mask)| ip & mask == network & mask)
            }
            (Self::Mailbox(local, domain), Subtree::Email(tree)) => match tree.rsplit_once('@') {
                Some((own, host)) => *local == own && domain.eq_ignore_ascii_case(host),
                None => is_below(domain, tree),
            },
            _ => false,
        }
    }
}

/// The two parts of a mail address. Quotes are not taken: with them one mailbox has many names.
fn mailbox(address: &str) -> Option<(&str, &str)> {
    let (local, domain) = address.rsplit_once('@')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let is_local = local.split('.').all(|part| !part.is_empty() && part.chars().all(plain));
    (is_local && is_domain(domain)).then_some((local, domain))
}

/// The domain that a URI names; none if it has no host or an address.
fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    (host.parse::<IpAddr>().is_err() && is_domain(host)).then_some(host)
}

/// Labels are not empty and have no blanks.
pub(super) fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(|byte| (33..=126).contains(&byte)))
}

/// An empty tree holds all names; one with a leading period only names below it.
fn is_below(domain: &str, tree: &str) -> bool {
    let Some(cut) = domain.len().checked_sub(tree.len()) else { return false };
    let (Some(before), Some(end)) = (domain.get(..cut), domain.get(cut..)) else { return false };
    end.eq_ignore_ascii_case(tree)
        && (tree.is_empty() || before.is_empty() || tree.starts_with('.') || before.ends_with('.'))
}

/// A pattern `*.example.com` also stands for the tree `www.example.com`.
fn may_be_below(domain: &str, tree: &str) -> bool {
    let parent = tree.split_once('.').map_or("", |(_, parent)| parent);
    let pattern = domain.strip_prefix("*.");
    !parent.is_empty() && pattern.is_some_and(|pattern| pattern.eq_ignore_ascii_case(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::Dns(name.to_string())).collect()
    }

    #[test]
    fn hosts_are_compared_label_by_label() {
        for (name, host, good) in [
            ("a.example", "A.example", true),
            ("a.example", "a.example.", true),
            ("*.example", "b.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("a.*.example", "a.b.example", false),
            ("w*.example", "www.example", false),
            ("*", "example", false),
            ("", "", false),
            ("10.0.0.1", "10.0.0.1", false),
        ] {
            assert_eq!(are_for(&dns(&[name]), host), good, "{name} {host}");
        }
        let ip = [Name::Ip("::1".parse().expect("an address"))];
        assert!(are_for(&ip, "[::1]") && are_for(&ip, "0:0::1") && !are_for(&ip, "::2"));
    }

    #[test]
    fn constraints_admit_names_below_them() {
        let tree = |text: &str| vec![Subtree::Dns(text.into())];
        let admitted = |permitted: &[Subtree], excluded: &[Subtree], names: &[&str]| {
            let constraints = Constraints { permitted: permitted.to_vec(), excluded: excluded.to_vec() };
            constraints.check(&dns(names), &mut { MAX_COMPARISONS }).is_ok()
        };
        assert!(admitted(&tree("example.com"), &[], &["example.com", "a.example.com"]));
        assert!(!admitted(&tree("example.com"), &[], &["badexample.com"]));
        assert!(!admitted(&tree(".example.com"), &[], &["example.com"]));
        assert!(!admitted(&[], &tree("www.example.com"), &["*.example.com"]));
        assert!(admitted(&[], &tree("www.example.com"), &["b.example.com"]));
        assert!(!admitted(&tree(""), &tree("b"), &["a.b"]));
        let ip = |text: &str| [Name::Ip(text.parse().expect("an address"))];
        let network = Subtree::Ip(vec![10, 0, 0, 0], vec![255, 0, 0, 0]);
        let none_of_ten = Constraints { permitted: Vec::new(), excluded: vec![network] };
        let checked = |text| none_of_ten.check(&ip(text), &mut { MAX_COMPARISONS }).is_ok();
        assert!(checked("11.0.0.1") && checked("::1") && !checked("10.0.0.1"));
        assert!(
            are_for(&ip("::ffff:10.0.0.1"), "10.0.0.1") && !checked("::ffff:10.0.0.1"),
            "another notation"
        );
        let many = Constraints { permitted: tree("a"), excluded: Vec::new() };
        assert!(many.check(&dns(&["a", "a"]), &mut 1).is_err());
    }
    #[test]
    fn trees_that_would_hold_nothing_are_not_sound() {
        let ip = |mask: [u8; 4]| Subtree::Ip(vec![10, 0, 0, 0], mask.to_vec());
        for sound in [
            Subtree::Dns(String::new()),
            Subtree::Dns(".a.b".into()),
            Subtree::Uri("a".into()),
            Subtree::Email("m@a.b".into()),
            Subtree::Email("a.b".into()),
            ip([0; 4]),
            ip([255; 4]),
            ip([255, 255, 240, 0]),
        ] {
            assert!(sound.is_sound(), "{sound:?}");
        }
        for unsound in [
            Subtree::Dns("a.b.".into()),
            Subtree::Dns("a..b".into()),
            Subtree::Dns("a b".into()),
            Subtree::Uri("10.0.0.1".into()),
            Subtree::Email("\"m\"@a.b".into()),
            Subtree::Email("@a.b".into()),
            ip([255, 0, 255, 0]),
            ip([250, 0, 0, 0]),
            ip([0, 0, 0, 1]),
        ] {
            assert!(!unsound.is_sound(), "{unsound:?}");
        }
    }
}
