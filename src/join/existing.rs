//! Entry to an existing cluster, by etcd's rules: the member was added before, and `initial-cluster` names all members.
//! The list is compared with the answers of the members, and gives this member its id.

use std::fmt;

use super::bootstrap::InitialMember;
use super::identity::Identity;
use super::questions::Roll;
use crate::model::{Member, MemberId};

/// Why a member cannot enter. The texts are etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExistingError {
    /// This member's name is not in the initial cluster.
    #[error("couldn't find local name {name:?} in the initial cluster configuration; {more}")]
    LocalNameMissing {
        /// The name.
        name: String,
        /// What else is wrong with it, and the cluster's list; or why that list is not known.
        more: String,
    },
    /// Nobody answered.
    #[error(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs ({0})"
    )]
    NoAnswer(String),
    /// A server answered that knows of no members.
    #[error(
        "cannot fetch cluster info from peer urls: failed to get raft cluster member(s) from the given URLs"
    )]
    NoMembers,
    /// The number of members differs.
    #[error("error validating peerURLs {roll}: member count is unequal. {list}")]
    CountUnequal {
        /// The members' answer, in etcd's notation.
        roll: String,
        /// The list of the cluster.
        list: List,
    },
    /// A member of the cluster that the initial cluster does not name.
    #[error(
        "error validating peerURLs {roll}: unmatched member while checking PeerURLs: \
         PeerURLs: no match found for existing member ({id}, [{urls}]), last resolver error (none). {list}"
    )]
    Unmatched {
        /// The members' answer, in etcd's notation.
        roll: String,
        /// The member.
        id: MemberId,
        /// Its peer URLs.
        urls: String,
        /// The list of the cluster.
        list: List,
    },
    /// The member with this identity has run before.
    #[error(
        "member {id} ({name}) has been started before, but the data directory is empty: its data are lost, and \
         the others count on what it once acknowledged. Remove it (kvctl member remove {id}), add it anew \
         (kvctl member add {name} --peer-urls={urls}) or give this daemon a [join] table, and start again"
    )]
    Wiped {
        /// The member.
        id: MemberId,
        /// Its name.
        name: String,
        /// Its peer URLs.
        urls: String,
    },
}

/// The value that `initial-cluster` must have for the cluster that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    known: Vec<String>,
    unnamed: Vec<String>,
}

impl List {
    fn of(roll: &Roll) -> Self {
        let urls = |member: &Member| member.peer_urls.join(",");
        let (started, waiting): (Vec<&Member>, Vec<&Member>) =
            roll.members.iter().partition(|member| member.is_started());
        let pairs = |member: &Member| -> Vec<String> {
            member.peer_urls.iter().map(|url| format!("{}={url}", member.name)).collect()
        };
        Self {
            known: started.into_iter().flat_map(pairs).collect(),
            unnamed: waiting.into_iter().map(urls).collect(),
        }
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The cluster's members are {}", self.known.join(","))?;
        match self.unnamed.as_slice() {
            [] => f.write_str("; none was added that has yet to start: run kvctl member add first"),
            urls => write!(f, "; added and not started yet: {}", urls.join(" and ")),
        }?;
        f.write_str(". initial-cluster has to name all of them, and this member under its own name")
    }
}

/// This member's identity in a cluster whose members answered `roll`. `same` says whether two lists of URLs lead to the
/// same addresses, as names are resolved.
///
/// # Errors
/// See [`ExistingError`].
pub fn identify(
    name: &str,
    initial: &[InitialMember],
    roll: &Roll,
    same: impl Fn(&[String], &[String]) -> bool,
) -> Result<Identity, ExistingError> {
    if roll.members.is_empty() {
        return Err(ExistingError::NoMembers);
    }
    let unequal = roll.members.len() != initial.len();
    let Some(own) = initial.iter().find(|member| member.name == name) else {
        let list = List::of(roll);
        let more = match unequal {
            true => format!("member count is unequal ({} and {}). {list}", initial.len(), roll.members.len()),
            false => format!("it names others only. {list}"),
        };
        return Err(ExistingError::LocalNameMissing { name: name.to_string(), more });
    };
    if unequal {
        return Err(ExistingError::CountUnequal { roll: written(roll), list: List::of(roll) });
    }
    let matches = |member: &Member, initial: &InitialMember| same(&member.peer_urls, &initial.peer_urls);
    let unmatched =
        roll.members.iter().find(|member| !initial.iter().any(|initial| matches(member, initial)));
    let myself = roll.members.iter().find(|member| matches(member, own));
    match (unmatched, myself) {
        (None, Some(member)) => {
            refuse_wiped(member)?;
            Ok(Identity { member: member.id, cluster: roll.cluster, epoch: roll.epoch })
        }
        (stranger, _) => {
            let stranger = stranger.or(roll.members.first()).ok_or(ExistingError::NoMembers)?;
            let (id, urls) = (stranger.id, stranger.peer_urls.join(" "));
            Err(ExistingError::Unmatched { roll: written(roll), id, urls, list: List::of(roll) })
        }
    }
}

/// A member that has run cannot begin again with an empty directory: it may have voted and acknowledged entries.
///
/// # Errors
/// [`ExistingError::Wiped`].
pub fn refuse_wiped(member: &Member) -> Result<(), ExistingError> {
    if member.is_started() {
        let (id, name, urls) = (member.id, member.name.clone(), member.peer_urls.join(","));
        return Err(ExistingError::Wiped { id, name, urls });
    }
    Ok(())
}

/// A cluster in etcd's notation.
fn written(roll: &Roll) -> String {
    let members: Vec<String> = roll
        .members
        .iter()
        .map(|member| {
            format!(
                "&{{ID:{} RaftAttributes:{{PeerURLs:[{}] IsLearner:{}}} Attributes:{{Name:{} ClientURLs:[{}]}}}}",
                member.id,
                member.peer_urls.join(" "),
                member.learner,
                member.name,
                member.client_urls.join(" ")
            )
        })
        .collect();
    format!("{{ClusterID:{} Members:[{}] RemovedMemberIDs:[]}}", roll.cluster, members.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::samples::{initial, member, roll};
    use crate::model::ClusterId;

    fn asked(name: &str, given: &[InitialMember], members: Vec<Member>) -> Result<Identity, String> {
        identify(name, given, &roll(members), |a, b| a == b).map_err(|error| error.to_string())
    }

    #[test]
    fn the_one_that_was_added_gets_its_id() {
        let given = [initial("a", "http://a:1"), initial("b", "http://b:1")];
        let members = vec![member(1, "a", "http://a:1"), member(2, "", "http://b:1")];
        let identity = Identity { member: MemberId(2), cluster: ClusterId(0xc), epoch: 3 };
        assert_eq!(asked("b", &given, members), Ok(identity));
    }

    #[test]
    fn mistakes_get_etcds_texts() {
        let a = member(1, "a", "http://a:1");
        let refused = |given: &[InitialMember], members| asked("b", given, members).expect_err("refused");
        let both = [initial("a", "http://a:1"), initial("b", "http://b:1")];
        let text = refused(&both, vec![a.clone()]);
        assert_eq!(
            text,
            "error validating peerURLs {ClusterID:c Members:[&{ID:1 RaftAttributes:{PeerURLs:[http://a:1] \
             IsLearner:false} Attributes:{Name:a ClientURLs:[]}}] RemovedMemberIDs:[]}: member count is unequal. \
             The cluster's members are a=http://a:1; none was added that has yet to start: run kvctl member add \
             first. initial-cluster has to name all of them, and this member under its own name"
        );
        let text = refused(&both, vec![a.clone(), member(2, "", "http://c:1")]);
        assert!(text.contains("unmatched member while checking PeerURLs"), "{text}");
        assert!(text.contains("no match found for existing member (2, [http://c:1])"), "{text}");
        let alone = [initial("a", "http://a:1")];
        let text = refused(&alone, vec![a.clone()]);
        assert!(
            text.contains("initial cluster configuration; it names others only. The cluster's"),
            "{text}"
        );
        let text = refused(&alone, vec![a.clone(), member(2, "", "http://c:1")]);
        assert_eq!(
            text,
            "couldn't find local name \"b\" in the initial cluster configuration; member count is unequal (1 and 2). \
             The cluster's members are a=http://a:1; added and not started yet: http://c:1. initial-cluster has to \
             name all of them, and this member under its own name"
        );
        let text = refused(&both, vec![a, member(2, "b", "http://b:1")]);
        assert!(text.contains("kvctl member remove 2"), "{text}");
    }
}
