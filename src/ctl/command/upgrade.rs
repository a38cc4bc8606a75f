//! `kvctl upgrade status`: whether it is safe to stop one more member and to start another version of its program.

use crate::ctl::failure::{ERROR, Failure};
use crate::ctl::output::print_bytes;
use crate::ctl::print::Style;
use crate::ctl::print::upgrade::{self, Verdict};
use crate::ctl::survey::{Seen, survey};
use crate::ctl::target::Target;
use crate::model::Version;

/// A member that is behind the leader by more entries than this has not caught up.
const BEHIND: u64 = 1000;

/// Prints the versions, and what is to be done next.
pub(in crate::ctl) async fn status(target: &Target, style: Style) -> Result<(), Failure> {
    let seen = survey(target).await?;
    let verdict = judge(&seen);
    print_bytes(&upgrade::status(&seen, &verdict, style)?);
    if verdict.reasons.is_empty() { Ok(()) } else { Err(Failure::silent(ERROR)) }
}

fn judge(seen: &[Seen]) -> Verdict {
    let leader = seen.iter().find(|member| member.leads());
    let of_leader = leader.and_then(|leader| leader.status.as_ref().ok());
    let cluster = of_leader.and_then(|status| Version::parse(&status.storage_version));
    let target = of_leader.and_then(|status| status.downgrade_info.as_ref()).filter(|info| info.enabled);
    let target = target.and_then(|info| Version::parse(&info.target_version));
    let mut reasons: Vec<String> =
        seen.iter().filter_map(|member| fault(member, of_leader.map_or(0, |of| of.raft_index))).collect();
    if leader.is_none() {
        reasons.push("no member leads".to_string());
    }
    if let (Some(cluster), Some(target)) = (cluster, target)
        && cluster != target
    {
        reasons.push(format!("the cluster's version is still {cluster}, not {target}: wait some seconds"));
    }
    let next = match &reasons[..] {
        [] => step(seen, cluster, target),
        _ => "mend this first; a member that is stopped now may cost the quorum".to_string(),
    };
    let cluster = cluster.map(|version| version.to_string());
    Verdict { cluster, downgrade: target.map(|version| version.to_string()), reasons, next }
}

/// Why no other member should be stopped because of this one.
fn fault(seen: &Seen, last: u64) -> Option<String> {
    let name = seen.name();
    let status = match &seen.status {
        Err(why) => return Some(format!("{name} does not answer: {why}")),
        Ok(status) => status,
    };
    let behind = last.saturating_sub(status.raft_applied_index);
    match () {
        () if !status.errors.is_empty() => Some(format!("{name} reports: {}", status.errors.join(", "))),
        () if behind > BEHIND => Some(format!("{name} is {behind} entries behind the leader")),
        () => None,
    }
}

/// What is next in a healthy cluster.
fn step(seen: &[Seen], cluster: Option<Version>, target: Option<Version>) -> String {
    let version = |seen: &Seen| seen.status.as_ref().ok().and_then(|status| Version::parse(&status.version));
    let newest = seen.iter().filter_map(version).max();
    let Some(wanted) = target.or(newest) else { return "the members do not say their versions".to_string() };
    let mut others: Vec<&Seen> = seen.iter().filter(|seen| version(seen) != Some(wanted)).collect();
    // The leader last: it hands leadership over only once.
    others.sort_by_key(|seen| seen.leads());
    match (others.first(), cluster) {
        (Some(next), _) => format!(
            "exchange the program of {} for version {wanted}: stop it, start the other program, and look again{}",
            next.name(),
            if others.len() > 1 { format!(" ({} members are left)", others.len()) } else { String::new() }
        ),
        (None, Some(cluster)) if cluster < wanted => {
            format!("all members run {wanted}: the cluster's version follows within seconds")
        }
        (None, _) if target.is_some() => "all members run it: the downgrade ends within seconds".to_string(),
        (None, _) => format!("all members run {wanted}: nothing is under way"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::etcdserverpb::{DowngradeInfo, Member, StatusResponse};

    fn member(id: u64, version: &str, cluster: &str) -> Seen {
        let member = Member { id, name: format!("m{id}"), ..Member::default() };
        let status = StatusResponse {
            version: version.into(),
            storage_version: cluster.into(),
            leader: 1,
            raft_index: 5000,
            raft_applied_index: 5000,
            ..StatusResponse::default()
        };
        Seen { member, status: Ok(status) }
    }

    fn three(versions: [&str; 3], cluster: &str) -> Vec<Seen> {
        (1..).zip(versions).map(|(id, version)| member(id, version, cluster)).collect()
    }

    #[test]
    fn the_leader_is_exchanged_last() {
        let verdict = judge(&three(["3.6.0", "3.6.0", "3.7.3"], "3.6.0"));
        assert_eq!((verdict.cluster.as_deref(), verdict.reasons.len()), (Some("3.6"), 0));
        assert!(verdict.next.starts_with("exchange the program of m2 for version 3.7"), "{}", verdict.next);
        let next = judge(&three(["3.6.0", "3.7.3", "3.7.3"], "3.6.0")).next;
        assert!(next.starts_with("exchange the program of m1 "), "{next}");
        let next = judge(&three(["3.7.3"; 3], "3.6.0")).next;
        assert_eq!(next, "all members run 3.7: the cluster's version follows within seconds");
        let next = judge(&three(["3.7.3"; 3], "3.7.0")).next;
        assert_eq!(next, "all members run 3.7: nothing is under way");
    }

    #[test]
    fn a_downgrade_waits_for_the_clusters_version() {
        let mut seen = three(["3.7.3"; 3], "3.7.0");
        for member in &mut seen {
            let status = member.status.as_mut().expect("a status");
            status.downgrade_info = Some(DowngradeInfo { enabled: true, target_version: "3.6.0".into() });
        }
        assert_eq!(judge(&seen).reasons, ["the cluster's version is still 3.7, not 3.6: wait some seconds"]);
        for member in &mut seen {
            member.status.as_mut().expect("a status").storage_version = "3.6.0".into();
        }
        let verdict = judge(&seen);
        assert!(verdict.reasons.is_empty());
        assert!(verdict.next.starts_with("exchange the program of m2 for version 3.6"), "{}", verdict.next);
    }

    #[test]
    fn no_member_is_to_be_stopped_while_another_one_is_not_well() {
        let mut seen = three(["3.6.0", "3.7.0", "3.7.0"], "3.6.0");
        seen[1].status = Err("connection refused".into());
        let status = seen[2].status.as_mut().expect("a status");
        (status.raft_applied_index, status.errors) = (10, Vec::new());
        let expected = ["m2 does not answer: connection refused", "m3 is 4990 entries behind the leader"];
        assert_eq!(judge(&seen).reasons, expected);
        seen.remove(0);
        assert_eq!(judge(&seen).reasons.last().map(String::as_str), Some("no member leads"));
    }
}
