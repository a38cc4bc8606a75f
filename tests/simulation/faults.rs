//! The faults of a cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use kvd::model::{Command, Member, MemberChange, MemberId, Put};

use super::dice::Dice;
use super::switches::Kind;
use super::world::{Process, World, member};

/// The source of the faults.
pub struct Faults {
    world: World,
    dice: Dice,
    /// Number of members the cluster began with.
    founders: u64,
    /// The id that the next new member gets.
    next_id: u64,
}

/// What can happen, how often, and in seeds that have which kind of fault; [`Act::Calm`] and [`Act::Restart`] in all.
const ACTS: [(Act, usize, Option<Kind>); 26] = [
    (Act::Calm, 4, None),
    (Act::Restart, 8, None),
    (Act::Split, 4, Some(Kind::Cuts)),
    (Act::OneWay, 3, Some(Kind::Cuts)),
    (Act::Bridge, 2, Some(Kind::Cuts)),
    (Act::Isolate, 3, Some(Kind::Cuts)),
    (Act::Crash, 3, Some(Kind::Crashes)),
    (Act::CrashTwo, 2, Some(Kind::Crashes)),
    (Act::CrashLeader, 3, Some(Kind::Crashes)),
    (Act::CrashAll, 1, Some(Kind::Crashes)),
    (Act::Weather, 3, Some(Kind::Weather)),
    (Act::Transfer, 3, Some(Kind::Transfers)),
    (Act::Compact, 2, None),
    (Act::Add, 2, Some(Kind::Members)),
    (Act::Remove, 2, Some(Kind::Members)),
    (Act::AddLearner, 2, Some(Kind::Members)),
    (Act::CutOffLeader, 5, Some(Kind::CutOffLeaders)),
    (Act::Pause, 3, Some(Kind::Pauses)),
    (Act::StepClock, 3, Some(Kind::Clocks)),
    (Act::FailFlush, 3, Some(Kind::FailedFlushes)),
    (Act::SlowStore, 3, Some(Kind::SlowStores)),
    (Act::SlowLog, 2, Some(Kind::SlowLogs)),
    (Act::LiftQuota, 3, Some(Kind::Quota)),
    (Act::FullLog, 2, Some(Kind::FullLogs)),
    (Act::FullStore, 3, Some(Kind::FullStores)),
    (Act::FailCommit, 2, Some(Kind::FailedCommits)),
];

/// Number of commands that a leader gets when it is cut off: more than it appends without a quorum.
const TAIL: usize = 40;

#[derive(Clone, Copy, Debug)]
enum Act {
    Calm,
    Split,
    OneWay,
    Bridge,
    Isolate,
    Crash,
    CrashTwo,
    CrashLeader,
    CrashAll,
    Restart,
    Weather,
    Transfer,
    Compact,
    Add,
    Remove,
    AddLearner,
    CutOffLeader,
    Pause,
    StepClock,
    FailFlush,
    SlowStore,
    SlowLog,
    LiftQuota,
    FullLog,
    FullStore,
    FailCommit,
}

/// A put whose outcome nobody awaits.
async fn put_at(at: Process, number: usize) {
    let put = Put { key: "tail".into(), value: number.to_string().into(), ..Put::default() };
    let _ = at.unless_it_crashes(at.node.propose(at.root(), Command::Put(put))).await;
}

impl Faults {
    /// Before the first fault.
    pub fn new(world: World, dice: Dice, founders: u64) -> Self {
        Self { world, dice, founders, next_id: founders + 1 }
    }

    /// Causes faults for a while, then repairs everything.
    pub async fn rage(&mut self, lasting: Duration) {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < lasting {
            tokio::time::sleep(Duration::from_millis(self.dice.within(50, 1500) as u64)).await;
            self.follow_members().await;
            let weights = ACTS.map(
                |(_, weight, kind)| {
                    if kind.is_none_or(|kind| self.world.has(kind)) { weight } else { 0 }
                },
            );
            let (act, ..) = ACTS[self.dice.weighted(&weights)];
            self.world.journal().note(format!("-- {act:?}"));
            self.act(act).await;
        }
        self.world.journal().note("-- all is well again");
        self.world.make_peace();
        self.world.network().cut(BTreeSet::new());
        self.world.network().lose(0);
        self.world.network().set_delay(100, 1000);
        self.world.network().answer_slowly(false);
        self.world.lift_quota();
        self.world.mend_disks();
        for process in self.world.running() {
            process.pace.recover();
        }
        for id in self.world.down() {
            self.world.start(id, Vec::new()).await;
        }
    }

    /// Starts the members that were added, and switches off those that were removed.
    pub async fn follow_members(&mut self) {
        let Some(leader) = self.world.leader() else { return };
        for removed in leader.store.removed() {
            if !self.world.is_retired(removed.0) && self.world.is_known(removed.0) && self.dice.one_in(2) {
                self.world.retire(removed.0);
            }
        }
        for new in leader.store.members() {
            if !self.world.is_known(new.id.0) {
                self.world.start(new.id.0, Vec::new()).await;
            }
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Calm => {
                self.world.network().cut(BTreeSet::new());
                self.world.network().lose(0);
            }
            Act::Split | Act::OneWay | Act::Bridge | Act::Isolate => {
                let cut = self.cut(act);
                self.world.network().cut(cut);
            }
            Act::Crash | Act::CrashTwo => {
                for _ in 0..if matches!(act, Act::CrashTwo) { 2 } else { 1 } {
                    if let Some(victim) = self.anyone() {
                        self.world.crash(victim.id);
                    }
                }
            }
            Act::CrashLeader => {
                if let Some(leader) = self.world.leader() {
                    self.world.crash(leader.id);
                }
            }
            Act::CrashAll => {
                for process in self.world.running() {
                    self.world.crash(process.id);
                }
            }
            Act::Restart => {
                for id in self.world.down() {
                    if !self.dice.one_in(4) {
                        self.world.start(id, Vec::new()).await;
                    }
                }
            }
            Act::Weather => self.weather(),
            Act::Transfer => self.transfer(),
            Act::Compact => {
                if let Some(leader) = self.world.leader() {
                    let revision = (leader.store.revision() - self.dice.within(0, 60)).max(1);
                    self.propose(leader, Command::Compact { revision });
                }
            }
            Act::Add => self.add(),
            Act::AddLearner => self.add_learner(),
            Act::Remove => self.remove(),
            Act::CutOffLeader => match self.dice.one_in(2) {
                true => self.cut_off_leader().await,
                false => self.leave_a_tail().await,
            },
            Act::LiftQuota => self.world.lift_quota(),
            Act::Pause
            | Act::StepClock
            | Act::FailFlush
            | Act::FailCommit
            | Act::SlowStore
            | Act::SlowLog
            | Act::FullStore
            | Act::FullLog => {
                if let Some(victim) = self.anyone() {
                    self.hurt(act, &victim);
                }
            }
        }
    }

    /// A fault of one member that keeps running.
    fn hurt(&mut self, act: Act, victim: &Process) {
        let time = Duration::from_millis(self.dice.within(1000, 4000) as u64);
        self.world.journal().note(format!("member {}: {act:?}, for {time:?}", victim.id));
        match act {
            Act::Pause => victim.pause(time),
            Act::SlowStore => victim.pace.stall_store(time),
            Act::SlowLog => victim.pace.stall_log(time),
            Act::FullStore => self.world.fill_store(victim.id, time),
            Act::FullLog => {
                let (world, id) = (self.world.clone(), victim.id);
                world.set_log_room(id, Some(self.dice.within(0, 4096) as u64));
                // Long enough to fill a segment; then others elect a leader, while entries wait for room here.
                let until_vote = self.dice.one_in(2).then(|| time * self.dice.within(1, 2) as u32);
                tokio::spawn(async move {
                    if let Some(time) = until_vote {
                        tokio::time::sleep(time).await;
                        pass_on(&world, id).await;
                    }
                    tokio::time::sleep(time).await;
                    world.set_log_room(id, None);
                });
            }
            Act::StepClock => {
                let hours = self.dice.within(-2, 2) * 3_600_000 + self.dice.within(-60_000, 60_000);
                self.world.step_clock(victim.id, hours);
            }
            _ => {
                let after = Duration::from_millis(self.dice.within(100, 900) as u64);
                let of_log = matches!(act, Act::FailFlush);
                let (world, victim) = (self.world.clone(), victim.clone());
                tokio::spawn(fail(world, victim, of_log, after, self.dice.one_in(2)));
            }
        }
    }

    /// The leader is cut off for longer than a lease lives and an election takes.
    async fn cut_off_leader(&mut self) {
        let Some(leader) = self.world.leader() else { return };
        let others = self.world.running().into_iter().filter(|other| other.id != leader.id);
        let both = |id| [(MemberId(leader.id), MemberId(id)), (MemberId(id), MemberId(leader.id))];
        self.world.network().cut(others.flat_map(|other| both(other.id)).collect());
        let time = Duration::from_millis(self.dice.within(6000, 9000) as u64);
        self.world.journal().note(format!("leader {} is cut off for {time:?}", leader.id));
        tokio::time::sleep(time).await;
        self.world.network().cut(BTreeSet::new());
    }

    /// The leader is cut off with as many entries of its own as it takes, and the others go on until it needs a snapshot,
    /// which is likely to end in the middle of those entries.
    async fn leave_a_tail(&mut self) {
        for id in self.world.down() {
            self.world.start(id, Vec::new()).await;
        }
        let Some(leader) = self.world.leader() else { return };
        let others: Vec<Process> =
            self.world.running().into_iter().filter(|other| other.id != leader.id).collect();
        let both = |id| [(MemberId(leader.id), MemberId(id)), (MemberId(id), MemberId(leader.id))];
        let from = leader.log.bounds().next;
        self.world.network().cut(others.iter().flat_map(|other| both(other.id)).collect());
        for number in 0..TAIL {
            tokio::spawn(put_at(leader.clone(), number));
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        self.world.journal().note(format!(
            "leader {} has entries {from} to {} alone",
            leader.id,
            leader.log.bounds().next
        ));
        let enough = from + self.dice.within(5, 12) as u64;
        let mut upto = 0;
        for number in 0.. {
            upto = others.iter().filter_map(|other| Some(other.store.applied()?.index)).max().unwrap_or(0);
            if number == TAIL || upto >= enough {
                break;
            }
            if let Some(next) = self.world.leader().filter(|next| next.id != leader.id) {
                put_at(next, number).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for other in &others {
            // A store whose disk is full makes it later.
            let _ = other.store.checkpoint();
        }
        self.world.journal().note(format!("the others go on up to {upto}"));
        self.until(2000, || others.iter().any(|other| other.log.bounds().first > from)).await;
        self.world.network().cut(BTreeSet::new());
        // Before there is peace.
        let upto = Some(upto);
        let back = || *leader.crashed.borrow() || leader.store.applied().map(|applied| applied.index) >= upto;
        self.until(3000, back).await;
    }

    /// Waits for a condition, but not for ever: the fault may have met others.
    async fn until(&self, ms: u64, holds: impl Fn() -> bool) {
        let begun = tokio::time::Instant::now();
        while !holds() && begun.elapsed() < Duration::from_millis(ms) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The directions that are cut.
    fn cut(&mut self, act: Act) -> BTreeSet<(MemberId, MemberId)> {
        let ids: Vec<u64> = self.world.running().iter().map(|process| process.id).collect();
        let both =
            |one: u64, other: u64| [(MemberId(one), MemberId(other)), (MemberId(other), MemberId(one))];
        let mut cut = BTreeSet::new();
        if ids.is_empty() {
            return cut;
        }
        let single = ids[self.dice.below(ids.len())];
        let sides: Vec<bool> = ids.iter().map(|_| self.dice.one_in(2)).collect();
        let outwards = self.dice.one_in(2);
        for (place, one) in ids.iter().enumerate() {
            for (other_place, other) in ids.iter().enumerate().skip(place + 1) {
                let apart = sides[place] != sides[other_place];
                let touched = *one == single || *other == single;
                match act {
                    Act::Split if apart => cut.extend(both(*one, *other)),
                    Act::Isolate if touched => cut.extend(both(*one, *other)),
                    // One member can still reach both sides.
                    Act::Bridge if apart && !touched => cut.extend(both(*one, *other)),
                    Act::OneWay if touched => {
                        let stranger = if *one == single { *other } else { *one };
                        let (from, to) = if outwards { (single, stranger) } else { (stranger, single) };
                        cut.insert((MemberId(from), MemberId(to)));
                    }
                    _ => {}
                }
            }
        }
        cut
    }

    fn weather(&mut self) {
        let network = self.world.network();
        match self.dice.below(4) {
            0 => network.set_delay(100, 1000),
            1 => network.set_delay(1_000, 30_000),
            2 => network.lose(self.dice.pick(&[5, 20, 80, 200])),
            _ => {
                let running = self.world.running();
                if !running.is_empty() {
                    let slow = running[self.dice.below(running.len())].id;
                    network.slow_down(MemberId(slow), 20_000, 300_000);
                }
            }
        }
    }

    fn transfer(&mut self) {
        let (Some(leader), running) = (self.world.leader(), self.world.running()) else { return };
        let target = running[self.dice.below(running.len())].id;
        let world = self.world.clone();
        tokio::spawn(async move {
            let moved = leader.unless_it_crashes(leader.node.transfer(MemberId(target))).await;
            world.journal().note(format!("leadership from {} to {target}: {moved:?}", leader.id));
        });
    }

    /// Proposes in parallel to everything else; the result shows in the list of members.
    fn propose(&self, at: Process, command: Command) {
        let world = self.world.clone();
        tokio::spawn(async move {
            let said = format!("{command:?} at {}", at.id);
            let reply = at.unless_it_crashes(at.node.propose(at.root(), command)).await;
            let done = match reply {
                None => "crashed".to_string(),
                Some(Ok(_)) => "done".to_string(),
                Some(Err(refusal)) => refusal.to_string(),
            };
            world.journal().note(format!("{said}: {done}"));
        });
    }

    fn anyone(&mut self) -> Option<Process> {
        let mut running = self.world.running();
        if running.is_empty() { None } else { Some(running.swap_remove(self.dice.below(running.len()))) }
    }

    /// Adds a new member, as a voter or a learner; or promotes a learner.
    fn add(&mut self) {
        let (Some(at), Some(leader)) = (self.anyone(), self.world.leader()) else { return };
        let members = leader.store.members();
        if let Some(learner) = members.iter().find(|member| member.learner) {
            return self.propose(at, Command::Member(MemberChange::Promote(learner.id)));
        }
        if members.len() as u64 >= self.founders + 2 {
            return;
        }
        let learner = self.dice.one_in(3);
        let new = Member { learner, pending: !learner, ..member(self.next_id) };
        self.next_id += 1;
        self.propose(at, Command::Member(MemberChange::Add(new)));
    }

    /// Adds a learner although there is one already; members with different settings treat that differently.
    fn add_learner(&mut self) {
        if let Some(at) = self.anyone().filter(|at| at.store.members().len() as u64 <= self.founders + 2) {
            let new = Member { learner: true, ..member(self.next_id) };
            self.next_id += 1;
            self.propose(at, Command::Member(MemberChange::Add(new)));
        }
    }

    /// Removes any member, possibly the leader.
    fn remove(&mut self) {
        let (Some(at), Some(leader)) = (self.anyone(), self.world.leader()) else { return };
        let members = leader.store.members();
        if members.len() as u64 >= self.founders {
            let id = members[self.dice.below(members.len())].id;
            self.propose(at, Command::Member(MemberChange::Remove(id)));
        }
    }
}

/// A flush of the log or a commit of the store fails at a member; its process ends and is started again, and then power
/// may fail as well.
async fn fail(world: World, victim: Process, of_log: bool, after: Duration, then_power: bool) {
    match of_log {
        true => world.fail_flush(&victim),
        false => world.fail_commit(&victim),
    }
    let mut ended = victim.crashed.subscribe();
    if tokio::time::timeout(3 * after, ended.wait_for(|ended| *ended)).await.is_err() {
        // It had nothing to write, or has gone on as if it were written: then a power failure shows it.
        if !world.is_at_peace() {
            world.crash(victim.id);
        }
        return;
    }
    tokio::time::sleep(after / 3).await;
    world.start(victim.id, Vec::new()).await;
    if then_power && !world.is_at_peace() {
        tokio::time::sleep(after).await;
    }
    if then_power && !world.is_at_peace() {
        world.crash(victim.id);
    }
}

/// Leadership moves to another member than `without`.
async fn pass_on(world: &World, without: u64) {
    let Some(leader) = world.leader() else { return };
    let other = world.running().into_iter().find(|other| other.id != leader.id && other.id != without);
    if let Some(other) = other {
        world.journal().note(format!("leadership passes from {} to {}", leader.id, other.id));
        let _ = leader.unless_it_crashes(leader.node.transfer(MemberId(other.id))).await;
    }
}
