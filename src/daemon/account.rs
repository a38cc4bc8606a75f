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

    /// The ids of all groups that the service is in: its own, those that have it as a member, and these.
    pub fn groups(&self, more: &[String]) -> Vec<u32> {
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        std::iter::once(self.group).chain(groups_in(&groups, more)).collect()
    }

    /// Finds it in the text of passwd(5).
    fn parse(passwd: &str) -> Option<Self> {
        let mut fields = passwd.lines().find(|line| line.starts_with("kv:"))?.split(':').skip(2);
        Some(Self { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

/// The groups in the text of group(5) that have the account as a member, or are among `more`.
fn groups_in(groups: &str, more: &[String]) -> Vec<u32> {
    let found = groups.lines().filter_map(|line| {
        let [name, _, id, members] = line.splitn(4, ':').collect::<Vec<_>>()[..] else { return None };
        let is_in = members.split(',').any(|member| member.trim() == Account::NAME);
        (is_in || more.iter().any(|wanted| wanted == name || wanted == id)).then(|| id.parse().ok())?
    });
    found.collect()
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

    #[test]
    fn the_accounts_groups_are_those_of_systemd_and_of_the_group_file() {
        let groups = "root:x:0:\nssl-cert:x:114:www,kv\nkv:x:997:\nbackup:x:34:akv\nadm:x:4:\nbroken\n";
        assert_eq!(groups_in(groups, &[]), [114]);
        assert_eq!(groups_in(groups, &["adm".to_string(), "34".to_string()]), [114, 34, 4]);
    }
}
