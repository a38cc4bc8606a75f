//! The account that the packages make for the service.

use std::fs;

/// Its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: u32,
    /// Its group.
    pub group: u32,
}

impl Account {
    /// The name of user and group (packaging/kvd.sysusers).
    pub const NAME: &str = "kv";

    /// The account on this machine, if the package is installed.
    pub fn of_service() -> Option<Self> {
        Self::parse(&fs::read_to_string("/etc/passwd").ok()?)
    }

    /// Finds it in the text of passwd(5).
    fn parse(passwd: &str) -> Option<Self> {
        let mut fields = passwd.lines().find(|line| line.starts_with("kv:"))?.split(':').skip(2);
        Some(Self { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_found_by_its_name() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\nkvm:x:7:7::/:/bin/false\nkv:x:998:997:kvd:/:/usr/sbin/nologin\n";
        assert_eq!(Account::parse(passwd), Some(Account { user: 998, group: 997 }));
        assert_eq!(Account::parse("root:x:0:0::/root:/bin/sh\n"), None);
    }
}
