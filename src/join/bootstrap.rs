//! The start of an empty data directory from a list of initial members (etcd's static bootstrap).

use std::collections::BTreeSet;

use super::identity::Identity;
use crate::model::{Member, MemberId, cluster_id};

/// A member named in the initial cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialMember {
    /// Its name.
    pub name: String,
    /// Its peer URLs, as written.
    pub peer_urls: Vec<String>,
}

/// What a new member begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// This member's identity.
    pub identity: Identity,
    /// All initial members, including this one, ascending by id. Each publishes its own name.
    pub members: Vec<Member>,
}

/// Why no cluster can be started. The texts are etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// This member's name is not in the initial cluster.
    #[error("couldn't find local name \"{0}\" in the initial cluster configuration")]
    LocalNameMissing(String),
    /// A URL is given twice.
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),
    /// Two members have the same computed id.
    #[error("member exists with identical ID {0}")]
    DuplicateId(MemberId),
    /// An id of zero.
    #[error("cannot use 0 as member id")]
    ZeroId,
}

/// Computes ids and members from the initial cluster, as etcd does.
pub fn plan(name: &str, initial: &[InitialMember], token: &str) -> Result<Plan, BootstrapError> {
    let mut urls = BTreeSet::new();
    for url in initial.iter().flat_map(|member| &member.peer_urls) {
        if !urls.insert(url) {
            return Err(BootstrapError::DuplicateUrl(written(initial)));
        }
    }
    let mut own = None;
    let mut members = Vec::with_capacity(initial.len());
    for InitialMember { name: member_name, peer_urls } in initial {
        let id = MemberId::compute(peer_urls, token, None);
        if id.0 == 0 {
            return Err(BootstrapError::ZeroId);
        }
        if members.iter().any(|other: &Member| other.id == id) {
            return Err(BootstrapError::DuplicateId(id));
        }
        if member_name == name {
            own = Some(id);
        }
        members.push(Member::founder(id, peer_urls.clone()));
    }
    let member = own.ok_or_else(|| BootstrapError::LocalNameMissing(name.to_string()))?;
    members.sort_by_key(|member| member.id);
    let ids: Vec<MemberId> = members.iter().map(|member| member.id).collect();
    Ok(Plan { identity: Identity { member, cluster: cluster_id(&ids), epoch: 0 }, members })
}

fn written(initial: &[InitialMember]) -> String {
    let pairs =
        initial.iter().flat_map(|member| member.peer_urls.iter().map(|url| format!("{}={url}", member.name)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::samples::initial;

    #[test]
    fn the_documents_single_member() {
        let plan =
            plan("node01", &[initial("node01", "http://192.168.0.61:2380")], "etcd-cluster").expect("a plan");
        assert_eq!(plan.identity.member.to_string(), "4eee438bb97e1153");
        assert_eq!(plan.identity.cluster.to_string(), "35d99f7f50aa4509");
        assert_eq!(plan.members.len(), 1);
    }

    #[test]
    fn mistakes_get_etcds_texts() {
        let two = [initial("a", "http://127.0.0.1:1"), initial("b", "http://127.0.0.1:1")];
        assert_eq!(
            plan("a", &two, "t").expect_err("refused").to_string(),
            "initial cluster a=http://127.0.0.1:1,b=http://127.0.0.1:1 has duplicate url"
        );
        assert_eq!(
            plan("c", &two[..1], "t").expect_err("refused").to_string(),
            "couldn't find local name \"c\" in the initial cluster configuration"
        );
    }
}
