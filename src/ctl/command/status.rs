//! `kvctl status`: the whole cluster on one screen.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::ctl::failure::Failure;
use crate::ctl::metrics::{pages, wrong_clocks};
use crate::ctl::output::print_bytes;
use crate::ctl::print::Style;
use crate::ctl::print::status::{self, Row};
use crate::ctl::survey::{Seen, survey};
use crate::ctl::target::Target;

/// A member that is further behind the leader is worth a warning.
const BEHIND: u64 = 1000;
/// So is a quota of which more percent are taken.
const FULL: u64 = 80;
/// And a certificate that expires within so many days.
const SOON: i64 = 30;

/// Asks all members, and prints what they say.
pub(in crate::ctl) async fn run(target: &Target, style: Style) -> Result<(), Failure> {
    let seen = survey(target).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let last = seen.iter().filter_map(|seen| seen.status.as_ref().ok()).map(|status| status.raft_index).max();
    let pages = pages(target, &seen).await;
    let rows: Vec<Row> = seen
        .iter()
        .zip(&pages)
        .map(|(seen, page)| row(seen, &page.text, last.unwrap_or_default(), now))
        .collect();
    let mut warnings = warnings(&seen, &rows);
    let wrong = wrong_clocks(&seen, &pages).into_iter();
    warnings.extend(wrong.map(|(name, what)| format!("the clock of {name} {what}")));
    print_bytes(&status::status(&rows, &warnings, style)?);
    Ok(())
}

fn row(seen: &Seen, page: &str, last: u64, now: u64) -> Row {
    let samples = |name: &'static str| {
        let lines = page.lines().filter_map(move |line| line.strip_prefix(name));
        lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
    };
    let mut row = Row {
        name: seen.name(),
        id: seen.member.id,
        backup_age: samples("kvd_backup_last_timestamp_seconds ")
            .next()
            .map(|at| now.saturating_sub(at as u64)),
        days: samples("kvd_certificate_days_left{").map(|days| days as i64).min(),
        ..Row::default()
    };
    if let Ok(status) = &seen.status {
        row.role = match () {
            () if seen.leads() => "leader",
            () if status.is_learner => "learner",
            () => "follower",
        };
        row.version.clone_from(&status.version);
        row.cluster_version.clone_from(&status.storage_version);
        row.cluster = status.header.as_ref().map_or(0, |header| header.cluster_id);
        row.term = status.raft_term;
        row.behind = last.saturating_sub(status.raft_applied_index);
        row.size = u64::try_from(status.db_size_in_use).unwrap_or(0);
        row.full = u64::try_from(status.db_size_quota).ok().filter(|quota| *quota > 0);
        row.full = row.full.map(|quota| row.size.saturating_mul(100) / quota);
    }
    row
}

fn warnings(seen: &[Seen], rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    let answering = seen.iter().filter(|seen| seen.status.is_ok()).count();
    for (seen, row) in seen.iter().zip(rows) {
        let name = &row.name;
        match &seen.status {
            Err(why) => found.push(format!("{name} does not answer: {why}")),
            Ok(status) => found.extend(status.errors.iter().map(|error| format!("{name}: {error}"))),
        }
        if row.behind > BEHIND {
            found.push(format!("{name} is {} entries behind", row.behind));
        }
        if let Some(full) = row.full.filter(|full| *full >= FULL) {
            found.push(format!(
                "{name} uses {full} % of its quota: compact the history, or raise quota-backend-bytes"
            ));
        }
        if let Some(days) = row.days.filter(|days| *days < SOON) {
            found.push(format!("a certificate of {name} expires in {days} days"));
        }
    }
    let voters = seen.iter().filter(|seen| !seen.member.is_learner).count();
    let voting = seen.iter().filter(|seen| !seen.member.is_learner && seen.status.is_ok()).count();
    if answering < seen.len() && voters > 1 && voting == voters / 2 + 1 {
        found.push("no other member may be lost: the quorum goes with it".to_string());
    }
    let mut versions: Vec<&str> =
        rows.iter().map(|row| row.version.as_str()).filter(|version| !version.is_empty()).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        found.push(format!("members run different versions: {}", versions.join(", ")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::etcdserverpb::{Member, StatusResponse};

    #[test]
    fn what_a_member_says_is_read_and_judged() {
        let member = |id| Member { id, name: format!("m{id}"), ..Member::default() };
        let status = StatusResponse {
            version: "3.7.3".into(),
            leader: 1,
            raft_index: 5000,
            raft_applied_index: 3000,
            db_size_in_use: 90,
            db_size_quota: 100,
            errors: vec!["memberID:1 alarm:NOSPACE".into()],
            ..StatusResponse::default()
        };
        let seen = [
            Seen { member: member(1), status: Ok(status) },
            Seen { member: member(2), status: Err("connection refused".into()) },
        ];
        let page = "kvd_certificate_days_left{file=\"/a b\"} 40\nkvd_certificate_days_left{file=\"/c\"} 7\n\
                    kvd_backup_last_timestamp_seconds 1000\n";
        let rows = [row(&seen[0], page, 5000, 4600), row(&seen[1], "", 5000, 4600)];
        assert_eq!((rows[0].backup_age, rows[0].days, rows[0].full), (Some(3600), Some(7), Some(90)));
        let expected = [
            "m1: memberID:1 alarm:NOSPACE",
            "m1 is 2000 entries behind",
            "m1 uses 90 % of its quota: compact the history, or raise quota-backend-bytes",
            "a certificate of m1 expires in 7 days",
            "m2 does not answer: connection refused",
        ];
        assert_eq!(warnings(&seen, &rows), expected);
    }
}
