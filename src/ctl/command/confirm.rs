//! The question before a command that cannot be undone. It is asked on a terminal only: scripts run as with etcdctl.

use std::io::{BufRead, IsTerminal, Write};

use crate::ctl::arguments::{Asked, Auth, Cluster, Data, Lease, Role, User};
use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::survey::{Seen, survey};
use crate::ctl::target::Target;

/// Asks, unless the answer is yes already or nobody is there to ask.
///
/// # Errors
/// If the answer is not yes.
pub(super) async fn confirm(target: &Target, asked: &Asked, yes: bool) -> Result<(), Failure> {
    if yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    let Some(question) = question(asked) else { return Ok(()) };
    let warning = match asked {
        Asked::Cluster(Cluster::Remove(id)) => {
            survey(target).await.ok().and_then(|seen| lost_quorum(&seen, *id)).unwrap_or_default()
        }
        _ => String::new(),
    };
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{warning}{question} [y/N] ").and_then(|()| err.flush());
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => {
            let _ = writeln!(err, "nothing was changed; --yes does not ask");
            Err(Failure::silent(ERROR))
        }
    }
}

/// What is asked before the command; `None` if it can be undone.
fn question(asked: &Asked) -> Option<String> {
    Some(match asked {
        Asked::Cluster(Cluster::Remove(id)) => {
            format!("Remove member {id:x}? Its data cannot be used in this cluster again.")
        }
        Asked::Cluster(Cluster::Downgrade { version, .. }) if !version.is_empty() => {
            format!("Go back to version {version}? What only the newer version knows is refused from now on.")
        }
        Asked::Data(Data::Delete(delete)) if delete.glob.is_some() => {
            "Delete all keys that match?".to_string()
        }
        Asked::Data(Data::Delete(delete)) if !delete.request.range_end.is_empty() => {
            "Delete all keys of this range?".to_string()
        }
        Asked::Lease(Lease::Revoke(id)) => format!("Revoke lease {id:016x}, and delete its keys?"),
        Asked::Auth(Auth::Disable) => "Let everybody read and write everything?".to_string(),
        Asked::User(User::Delete(name)) => format!("Delete user {name}?"),
        Asked::Role(Role::Delete(name)) => format!("Delete role {name}, and take it from all users?"),
        _ => return None,
    })
}

/// A warning if the voters that answer are no quorum without this member.
fn lost_quorum(seen: &[Seen], id: u64) -> Option<String> {
    let voters: Vec<&Seen> =
        seen.iter().filter(|seen| !seen.member.is_learner && seen.member.id != id).collect();
    let answering = voters.iter().filter(|seen| seen.status.is_ok()).count();
    let is_lost = answering < voters.len() / 2 + 1;
    is_lost.then(|| {
        format!(
            "warning: {answering} of the {} other voters answer, which is no quorum: without member {id:x} the cluster \
             accepts no writes\n",
            voters.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::etcdserverpb::{Member, StatusResponse};
    use crate::ctl::arguments::parse;

    #[test]
    fn what_cannot_be_undone_is_asked_before() {
        let question = |line: &str| {
            let words = std::iter::once("kvctl").chain(line.split(' ')).map(Into::into);
            question(&parse(words).expect(line).asked)
        };
        let lines = [
            "member remove 7",
            "downgrade enable 3.6",
            "del a --prefix",
            "del a b",
            "lease revoke 7",
            "auth disable",
            "user delete u",
            "role delete r",
        ];
        assert!(lines.iter().all(|line| question(line).is_some()));
        let harmless = ["del a", "get a --prefix", "member list", "downgrade cancel", "user list", "put a b"];
        assert!(harmless.iter().all(|line| question(line).is_none()));
    }

    #[test]
    fn a_member_whose_removal_costs_the_quorum_is_known() {
        let seen = |id, answers: bool| Seen {
            member: Member { id, ..Member::default() },
            status: if answers { Ok(StatusResponse::default()) } else { Err("refused".into()) },
        };
        let cluster = [seen(1, true), seen(2, true), seen(3, false)];
        assert_eq!(lost_quorum(&cluster, 3), None, "two of two answer");
        let warning = lost_quorum(&cluster, 1).expect("one of two");
        assert!(warning.starts_with("warning: 1 of the 2 other voters answer"), "{warning}");
        assert!(lost_quorum(&[seen(1, true)], 1).is_some());
    }
}
