//! Changes of the cluster's members: each is logged, removed ones are disconnected, and this one ends if it must not take
//! part any more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::error::MemberError;
use super::versions::misfit;
use crate::model::{Member, MemberId, Progress};
use crate::peer::{Quic, Rejection};
use crate::raft::Node;
use crate::store::Store;

/// Interval at which changes of the members are checked.
const LOOK: Duration = Duration::from_millis(500);
/// How long a removed member has to pass on the answer to the client that requested its removal.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why a member does not take part any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was removed from its cluster.
    Removed,
    /// Another process of it is running, and this one has a copy of its data.
    Copy(String),
    /// Its data are an older copy.
    Outdated(String),
    /// Its program does not know everything that the cluster uses.
    Version(String),
}

/// Logs membership changes, and closes connections of removed members. Ends when this member itself must not take part
/// any more.
pub async fn watch_members(node: Node, quic: Quic) -> Ending {
    let own = node.status().id;
    let mut refusals = quic.refusals();
    let mut removed = node.removed();
    let mut leaving: Vec<(MemberId, Instant)> = Vec::new();
    let mut known = node.members();
    let mut said = 0;
    loop {
        let now = node.removed();
        if now.contains(&own) {
            return Ending::Removed;
        }
        if let Some(why) = misfit(node.version(), node.cluster_version()) {
            return Ending::Version(why);
        }
        leaving.extend(
            now.iter().filter(|member| !removed.contains(member)).map(|member| (*member, Instant::now())),
        );
        removed = now;
        leaving.retain(|(member, since)| {
            let stays = since.elapsed() < FAREWELL;
            if !stays {
                quic.expel(*member);
            }
            stays
        });
        let members = node.members();
        if members != known {
            tell(&known, &members);
            known = members;
        }
        let says = refusals.borrow_and_update().clone();
        if let Some(ending) = ending(&node, &quic, &says).await {
            return ending;
        }
        if says.len() > said {
            let told = says.iter().map(|(by, why)| format!("{by}: {why}")).collect::<Vec<_>>();
            tracing::warn!(by = told.join("; "), "refused for good by others; believed if it is confirmed");
        }
        said = says.len();
        tokio::select! {
            // An error means that the port is closed; the pause continues.
            Ok(()) = refusals.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Decides whether this member believes the refusals of others: at once if it can check the reason itself, otherwise if
/// most of them report it.
async fn ending(node: &Node, quic: &Quic, says: &BTreeMap<MemberId, Rejection>) -> Option<Ending> {
    let own = node.status().id;
    let say = |what: fn(&Rejection) -> bool| -> BTreeSet<MemberId> {
        says.iter().filter(|(_, refusal)| what(refusal)).map(|(by, _)| *by).collect()
    };
    if believes(own, &node.voters(), &say(|refusal| matches!(refusal, Rejection::Removed))) {
        return Some(Ending::Removed);
    }
    if let Some(by) = outdated(&node.progress(), &node.voters(), says) {
        return Some(Ending::Outdated(format!("member {by}: {}", says[&by])));
    }
    let (by, refusal) = says.iter().find(|(_, refusal)| matches!(refusal, Rejection::Copy(_)))?;
    if let Some(address) = quic.other_self(&node.peer_urls(own)).await {
        return Some(Ending::Copy(other_process(own, &address)));
    }
    let copy = say(|refusal| matches!(refusal, Rejection::Copy(_)));
    believes(own, &node.voters(), &copy).then(|| Ending::Copy(format!("member {by}: {refusal}")))
}

/// The member that refuses this one because its data are of an older date, if that is to be believed. Leaders alone know
/// what they were acknowledged, so nobody can confirm it; but it must be the word of a voter, and true of this member's
/// position.
fn outdated(own: &Progress, voters: &[MemberId], says: &BTreeMap<MemberId, Rejection>) -> Option<MemberId> {
    let counts = |by: &MemberId| voters.is_empty() || voters.contains(by);
    let lacks = |why: &Rejection| matches!(why, Rejection::Outdated(acknowledged) if own.lacks(acknowledged));
    says.iter().find(|(by, why)| counts(by) && lacks(why)).map(|(by, _)| *by)
}

/// Refuses to start if another process of this very member answers at one of its peer URLs. A member that has not
/// applied anything yet knows no URLs; the others refuse its copies.
///
/// # Errors
/// [`MemberError::Copy`].
pub async fn refuse_copy(quic: &Quic, own: MemberId, store: &Store) -> Result<(), MemberError> {
    let urls = store.members().into_iter().find(|member| member.id == own).map(|member| member.peer_urls);
    match quic.other_self(&urls.unwrap_or_default()).await {
        Some(address) => Err(MemberError::Copy(other_process(own, &address))),
        None => Ok(()),
    }
}

/// The text for a process that has a copy of a member's data.
fn other_process(own: MemberId, address: &SocketAddr) -> String {
    format!(
        "another process of this member ({own}) answers at {address}, its peer URL: this one runs on a copy of the \
         member's data"
    )
}

/// Decides whether to believe the others that this member was removed: a single one may be wrong, or lie. The other
/// voters count, and most of them must say so: they are the quorum without this member, which decides a removal. A
/// member that knows no voters has nothing to lose.
fn believes(own: MemberId, voters: &[MemberId], says: &BTreeSet<MemberId>) -> bool {
    if voters.is_empty() {
        return !says.is_empty();
    }
    let others: Vec<&MemberId> = voters.iter().filter(|voter| **voter != own).collect();
    others.iter().filter(|other| says.contains(**other)).count() > others.len() / 2
}

/// The name, if the member has published it.
fn name_of(member: &Member) -> Option<&str> {
    Some(member.name.as_str()).filter(|name| !name.is_empty())
}

/// One line per change, in etcd's words if it has any.
fn tell(before: &[Member], after: &[Member]) {
    for member in after {
        let id = member.id;
        match before.iter().find(|other| other.id == id) {
            None => tracing::info!(
                %id, name = name_of(member), peer_urls = ?member.peer_urls, learner = member.learner, "added member"
            ),
            Some(other) if other.pending && !member.pending => {
                tracing::info!(%id, name = name_of(member), "a new member has caught up and votes from now on");
            }
            Some(other) if other.learner && !member.learner => {
                tracing::info!(%id, name = name_of(member), "promoted member");
            }
            Some(other) if other.peer_urls != member.peer_urls => {
                tracing::info!(%id, peer_urls = ?member.peer_urls, "updated member");
            }
            Some(other) if other.name != member.name || other.client_urls != member.client_urls => {
                tracing::info!(%id, name = name_of(member), client_urls = ?member.client_urls, "published member");
            }
            Some(_) => {}
        }
    }
    for member in before.iter().filter(|member| !after.iter().any(|other| other.id == member.id)) {
        tracing::info!(id = %member.id, name = name_of(member), "removed member");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_alone_retires_nobody() {
        let ids = |ids: &[u64]| ids.iter().copied().map(MemberId).collect::<Vec<_>>();
        let believes = |voters: &[u64], says: &[u64]| {
            super::believes(MemberId(1), &ids(voters), &ids(says).into_iter().collect())
        };
        assert!(!believes(&[1, 2, 3], &[]));
        assert!(!believes(&[1, 2, 3], &[2]));
        // A non-member and the member itself do not count.
        assert!(!believes(&[1, 2, 3], &[1, 2, 9]));
        assert!(believes(&[1, 2, 3], &[2, 3]));
        assert!(!believes(&[1, 2, 3, 4, 5], &[2, 3]));
        assert!(believes(&[1, 2, 3, 4, 5], &[2, 3, 4]));
        // For a learner the voters count; of two voters the remaining one decides alone.
        assert!(!believes(&[2, 3, 4], &[2]));
        assert!(believes(&[2, 3, 4], &[2, 3]));
        assert!(believes(&[1, 2], &[2]));
        // Nobody can remove the only voter; a member that knows no voters has nothing to lose.
        assert!(!believes(&[1], &[2, 3]));
        assert!(believes(&[], &[2]));
    }

    #[test]
    fn only_a_voter_ends_a_member_whose_data_are_old() {
        let at = |term| Progress { term, last: None };
        let voters = [1, 2, 3].map(MemberId);
        let says = |by: u64, term| BTreeMap::from([(MemberId(by), Rejection::Outdated(at(term)))]);
        assert_eq!(outdated(&at(5), &voters, &says(2, 6)), Some(MemberId(2)));
        // It is not true, or nobody whose word counts says it.
        assert_eq!(outdated(&at(6), &voters, &says(2, 6)), None);
        assert_eq!(outdated(&at(5), &voters, &says(9, 6)), None);
        assert_eq!(outdated(&at(5), &voters, &says(9, u64::MAX)), None);
        // A member that knows no voters has nothing to lose.
        assert_eq!(outdated(&at(0), &[], &says(9, 1)), Some(MemberId(9)));
    }
}
