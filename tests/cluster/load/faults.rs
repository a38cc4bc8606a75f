//! The faults of a cluster under load.

use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::super::dice::Dice;
use super::members::Cluster;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of the leader.
    KillLeader,
    /// `kill -9` of a follower.
    KillFollower,
    /// `kill -9` of so many members that no quorum is left.
    KillMajority,
    /// `kill -9` of all.
    KillAll,
    /// The leader is stopped for some seconds, and continues.
    StopLeader,
    /// Any member is stopped likewise.
    StopAny,
    /// A member is cut off from the others.
    CutOff,
    /// The others do not receive the leader's messages, but it receives theirs; or the reverse.
    OneWay,
    /// Two groups that can only communicate through one member.
    Bridge,
    /// Every member is restarted with SIGTERM, one after the other.
    Rolling,
    /// Slow links that lose one message in fifty and reorder others.
    BadLinks,
    /// A member's clock is set an hour forward or back, and stays there.
    Clock,
    /// A member's disk has no room, and then has it again.
    FullDisk,
    /// Writes and flushes of a member fail with EIO for a moment, and then work again.
    FailingDisk,
    /// The disk of the leader stands still, and then goes on.
    StandingDisk,
    /// A member's disk fails for good while the member runs; after a restart of the machine the disk has what was
    /// flushed.
    LostDisk,
    /// The power of a member's machine fails: only what was flushed is there afterwards.
    PowerOfOne,
    /// The power of all machines fails at once.
    PowerOfAll,
}

/// The faults for every cluster.
pub const FAULTS: &[Fault] = &[
    Fault::KillLeader,
    Fault::KillFollower,
    Fault::KillMajority,
    Fault::KillAll,
    Fault::StopLeader,
    Fault::StopAny,
    Fault::CutOff,
    Fault::OneWay,
    Fault::Bridge,
    Fault::Rolling,
    Fault::BadLinks,
];

/// Those of the machine under a member; they need members with disks of their own.
pub const OF_MACHINES: &[Fault] = &[
    Fault::Clock,
    Fault::FullDisk,
    Fault::FailingDisk,
    Fault::StandingDisk,
    Fault::LostDisk,
    Fault::PowerOfOne,
    Fault::PowerOfAll,
];

/// An hour, in seconds.
const HOUR: i64 = 3600;

impl Fault {
    /// Whether it needs members with a disk and a clock of their own.
    pub fn is_of_machines(self) -> bool {
        OF_MACHINES.contains(&self)
    }

    /// Whether it comes from `preload`.
    pub fn needs_preload(self) -> bool {
        matches!(self, Fault::Clock | Fault::FailingDisk | Fault::StandingDisk)
    }

    /// Applies the fault for its duration.
    pub fn happen(self, cluster: &mut Cluster, dice: &mut Dice) {
        let leader = cluster.leader();
        let members = cluster.members();
        let others: Vec<usize> = members.iter().copied().filter(|member| *member != leader).collect();
        let a_while = Duration::from_millis(dice.within(500, 3000) as u64);
        match self {
            Fault::KillLeader => cluster.servers[leader].kill(),
            Fault::KillFollower => cluster.servers[dice.pick(&others)].kill(),
            Fault::KillMajority => {
                let first = dice.below(members.len());
                for number in 0..members.len() / 2 + 1 {
                    cluster.servers[members[(first + number) % members.len()]].kill();
                }
            }
            Fault::KillAll => members.iter().for_each(|member| cluster.servers[*member].kill()),
            Fault::StopLeader => cluster.servers[leader].signal(Signal::STOP),
            Fault::StopAny => cluster.servers[dice.pick(&members)].signal(Signal::STOP),
            Fault::CutOff => {
                let alone = dice.pick(&members);
                let rest: Vec<&str> = members
                    .iter()
                    .filter(|other| **other != alone)
                    .map(|other| cluster.name(*other))
                    .collect();
                cluster.net.split(&[cluster.name(alone)], &rest);
            }
            Fault::OneWay => {
                let heard = dice.one_in(2);
                let names = others.iter().map(|other| cluster.name(*other));
                let leader = cluster.name(leader);
                let cut: Vec<(&str, &str)> =
                    names.map(|other| if heard { (other, leader) } else { (leader, other) }).collect();
                cluster.net.cut(&cut);
            }
            Fault::Bridge => {
                // The leader is at one end, so that the other end has to notice.
                let names: Vec<&str> = others.iter().map(|other| cluster.name(*other)).collect();
                let (near, far) = names[1..].split_at((names.len() - 1) / 2);
                let near: Vec<&str> = near.iter().copied().chain([cluster.name(leader)]).collect();
                cluster.net.split(&near, far);
            }
            Fault::Rolling => {
                for member in members {
                    cluster.servers[member].signal(Signal::TERM);
                    cluster.servers[member].ended();
                    cluster.restart(member);
                    cluster.leader();
                }
            }
            Fault::BadLinks => cluster.net.trouble(30, 2),
            Fault::Clock => {
                let seconds = if dice.one_in(2) { HOUR } else { -HOUR };
                cluster.preload(dice.pick(&members)).set_clock(seconds);
            }
            Fault::FullDisk => {
                let member = dice.pick(&members);
                cluster.with_disk(member, |disk, process| disk.fill(process));
                // Enough to need new room: the log's segments are on the disk already.
                cluster.write_much(leader);
            }
            Fault::FailingDisk => cluster.preload(dice.pick(&members)).fail(true),
            Fault::StandingDisk => cluster.preload(leader).stand_still(true),
            Fault::LostDisk => {
                let member = dice.pick(&members);
                cluster.with_disk(member, |disk, process| disk.cut_power(process));
                sleep(a_while);
                cluster.servers[member].kill();
            }
            Fault::PowerOfOne => cluster.cut_power(&[dice.pick(&members)]),
            Fault::PowerOfAll => cluster.cut_power(&members),
        }
        sleep(a_while);
    }
}
