//! What happens to a cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use kvd::model::{Command, Member, MemberChange, MemberId};

use super::dice::Dice;
use super::world::{Process, World, member};

/// Who does it.
pub struct Faults {
    world: World,
    dice: Dice,
    /// Members the cluster began with.
    founders: u64,
    /// The id that the next new member gets.
    next_id: u64,
}

/// What can happen, and how often.
const KINDS: [(Act, usize); 15] = [
    (Act::Calm, 4),
    (Act::Split, 4),
    (Act::OneWay, 3),
    (Act::Bridge, 2),
    (Act::Isolate, 3),
    (Act::Crash, 3),
    (Act::CrashTwo, 2),
    (Act::CrashLeader, 3),
    (Act::CrashAll, 1),
    (Act::Restart, 8),
    (Act::Weather, 3),
    (Act::Transfer, 3),
    (Act::Compact, 2),
    (Act::Add, 2),
    (Act::Remove, 2),
];

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
}

impl Faults {
    /// Nothing has happened yet.
    pub fn new(world: World, dice: Dice, founders: u64) -> Self {
        Self { world, dice, founders, next_id: founders + 1 }
    }

    /// Lets things happen for a while, then makes everything well again.
    pub async fn rage(&mut self, lasting: Duration) {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < lasting {
            tokio::time::sleep(Duration::from_millis(self.dice.within(50, 1500) as u64)).await;
            self.follow_members().await;
            let weights = KINDS.map(|(_, weight)| weight);
            let (act, _) = KINDS[self.dice.weighted(&weights)];
            self.world.journal().note(format!("-- {act:?}"));
            self.act(act).await;
        }
        self.world.journal().note("-- all is well again");
        self.world.network().cut(BTreeSet::new());
        self.world.network().lose(0);
        self.world.network().set_delay(100, 1000);
        for id in self.world.down() {
            self.world.start(id, Vec::new()).await;
        }
    }

    /// Starts those whom the members have added, and switches off whom they have removed.
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
            Act::Remove => self.remove(),
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
                    // One member still reaches both sides.
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

    /// Proposes beside everything else; what comes of it is seen in the list of members.
    fn propose(&self, at: Process, command: Command) {
        let world = self.world.clone();
        tokio::spawn(async move {
            let said = format!("{command:?} at {}", at.id);
            let reply = at.unless_it_crashes(at.node.propose(command)).await;
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

    /// A new member, as a voter or a learner; or a learner becomes a voter.
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

    /// Any member goes, the leader as well.
    fn remove(&mut self) {
        let (Some(at), Some(leader)) = (self.anyone(), self.world.leader()) else { return };
        let members = leader.store.members();
        if members.len() as u64 >= self.founders {
            let id = members[self.dice.below(members.len())].id;
            self.propose(at, Command::Member(MemberChange::Remove(id)));
        }
    }
}
