//! The state of the member for operators: one line, which systemd shows as well, and news when something changes.

use std::time::Duration;

use super::expiry::Certificates;
use super::news::{Expiry, News, Observer, View};
use super::outside::SystemClock;
use super::systemd;
use crate::backup::Backups;
use crate::member::Member;
use crate::model::Clock;
use crate::peer::Quic;
use crate::store::Condemned;

/// Interval at which the status line for systemd is updated.
const INTERVAL: Duration = Duration::from_secs(5);

/// If more entries than this wait to be applied, the status line says so.
const FAR_BEHIND: u64 = 1000;

/// The parts of the process that operators see.
#[derive(Clone, Copy)]
pub struct Shown<'p> {
    pub member: &'p Member,
    pub quic: &'p Quic,
    pub certificates: &'p Certificates,
    pub backups: Option<&'p Backups>,
}

/// Updates systemd's status line and logs news; never ends.
pub async fn report(shown: Shown<'_>) {
    let Shown { member, certificates, .. } = shown;
    let mut told = String::new();
    let mut leadership = member.node.leadership();
    let mut observer = Observer::new(member.readiness.patience);
    let mut expiry = Expiry::default();
    loop {
        let now = tokio::time::Instant::now();
        let wall = SystemClock.now_ms() / 1000;
        let mut news = observer.look(view(member), now);
        news.extend(expiry.look(certificates.ends(), now, wall));
        news.iter().for_each(News::tell);
        let status = line(shown);
        if status != told {
            systemd::status(&status);
            told = status;
        }
        tokio::select! {
            // An error means that the node has ended; the pause continues.
            Ok(()) = leadership.changed() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// One line for an operator.
pub fn line(shown: Shown<'_>) -> String {
    let Shown { member, quic, certificates, backups } = shown;
    let status = member.node.status();
    let (there, voters) = member.node.reachable();
    // Followers only communicate with their leader: they do not know which other members are up.
    let role = match status.leader {
        None if there * 2 <= voters => format!("waiting for quorum, {there} of {voters}"),
        None => format!("waiting for a leader, {there} of {voters}"),
        Some(_) if status.is_leader => format!("serving, leader, {there} of {voters}"),
        Some(leader) if member.node.is_learner() => format!("serving, learner of {leader}"),
        Some(leader) if status.is_learner => {
            format!("serving, votes once it has caught up with {leader}")
        }
        Some(leader) => format!("serving, follower of {leader}"),
    };
    let alarms: Vec<String> = member
        .store
        .alarms()
        .iter()
        .map(|alarm| format!("; alarm {:?} of {}", alarm.kind, alarm.member))
        .collect();
    let faults: Vec<String> = member
        .node
        .replication_faults()
        .iter()
        .map(|(id, why)| format!("; entries do not reach {id}: {why}"))
        .collect();
    let slow: Vec<String> = member
        .node
        .slow_members()
        .iter()
        .map(|(id, takes)| format!("; {id} takes {:.1} s to acknowledge entries", takes.as_secs_f64()))
        .collect();
    let disk = if member.node.is_disk_full() { "; the disk is full" } else { "" };
    let stalled = member.node.log_stalled_for();
    let stalled = stalled.map(|time| format!("; the log's disk has stood still for {} s", time.as_secs()));
    let backups = backups.map(Backups::line).unwrap_or_default();
    let told = [
        progress(member, quic),
        disk.to_string(),
        stalled.unwrap_or_default(),
        alarms.concat(),
        faults.concat(),
        slow.concat(),
        certificates.line(),
        backups,
    ];
    format!("{role}, term {}{}", status.term, told.concat())
}

/// How far this member is behind the others; empty if it keeps up.
fn progress(member: &Member, quic: &Quic) -> String {
    let status = member.node.status();
    if let Some(bytes) = quic.snapshot_bytes() {
        return format!("; taking over a snapshot, {} MB so far", bytes >> 20);
    }
    if status.committed > status.applied + FAR_BEHIND {
        return format!("; {} of {} entries applied", status.applied, status.committed);
    }
    String::new()
}

fn view(member: &Member) -> View {
    let status = member.node.status();
    let sizes = member.store.sizes();
    let full = |quota: u64| sizes.in_use.saturating_mul(100).checked_div(quota);
    View {
        learner: status.is_learner,
        led: status.leader.is_some(),
        alarms: member.store.alarms(),
        full: sizes.quota.and_then(full),
        no_room: member.node.is_disk_full(),
        differs: member.states.differs(),
        damage: member.store.condemned().filter(Condemned::is_damage).map(|condemned| condemned.why),
    }
}
