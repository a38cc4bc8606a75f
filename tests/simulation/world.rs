//! The members: started, crashed with the loss of unflushed data, restarted; and what they agree on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kvd::log::SimDisk;
use kvd::model::{
    Event, EventKind, LeaseChange, LeaseId, LogPosition, Member, MemberId, Observer, RevisionEvents,
};
use kvd::raft;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::dice::Dice;
use super::journal::Journal;
use super::machine::{Boot, Ears, Machine, Pace, SimClock, copy_all};
use super::network::Network;
use super::scratch::Scratch;
use super::switches::{Kind, Settings, Switches};
use super::trials;

pub use super::machine::{ELECTION, Process, member};

/// An event in comparable form: kind, key, value.
pub type Seen = (EventKind, Vec<u8>, Vec<u8>);

/// One event of a revision.
pub fn seen(event: &Event) -> Seen {
    (event.kind, event.kv.key.to_vec(), event.kv.value.to_vec())
}

/// All members, and what they agree on. Clones share it.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    journal: Journal,
    network: Network,
    switches: Switches,
    dir: Scratch,
    state: Mutex<State>,
    /// The events of each revision, from the first member that applied it.
    truth: Mutex<BTreeMap<i64, Vec<Seen>>>,
    /// When leases were first seen to have ended.
    ended: Mutex<BTreeMap<LeaseId, Instant>>,
    /// Remains of crashed processes, until they have ended.
    remains: Mutex<Vec<JoinHandle<()>>>,
    /// No faults any more.
    at_peace: AtomicBool,
    /// The members whose state was altered, until it is right again: what they apply and say does not count.
    altered: Mutex<BTreeSet<u64>>,
    started: Instant,
}

struct State {
    dice: Dice,
    machines: BTreeMap<u64, Machine>,
    dirs: u64,
    common: Settings,
    /// The quota of the members' configuration.
    quota: Option<u64>,
}

/// What is lost of a process's writes when it ends.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    /// Power fails: of unflushed writes any part may be there.
    Unflushed,
    /// The machine keeps running: all of it is there.
    Nothing,
}

/// Compares what a member applies with what the others applied, and lets it take its time.
struct Comparing {
    world: World,
    member: u64,
    pace: Arc<Pace>,
    dice: Mutex<Dice>,
}

/// Number of deleted keys from which on a command is costly, and the cost of each key.
const COSTLY: (usize, Duration) = (12, Duration::from_millis(80));

impl Observer for Comparing {
    fn on_events(&self, revisions: &[RevisionEvents]) {
        let mut truth = self.world.0.truth.lock();
        let mut costs = Duration::ZERO;
        for revision in revisions {
            let events: Vec<Seen> = revision.events.iter().map(seen).collect();
            let deleted = events.iter().filter(|(kind, ..)| *kind == EventKind::Delete).count();
            if deleted >= COSTLY.0 {
                costs += COSTLY.1 * deleted as u32;
            }
            if self.world.is_altered(self.member) {
                continue;
            }
            let known = truth.entry(revision.revision).or_insert_with(|| events.clone());
            if *known != events {
                let what = format!(
                    "member {} applied {events:?} at revision {}, another one {known:?}",
                    self.member, revision.revision
                );
                self.world.0.journal.broken(what);
            }
        }
        let is_full = self.world.process(self.member).is_some_and(|process| process.store.may_wait());
        raft::spend(costs.max(self.pace.waited(is_full)));
    }

    fn on_leases(&self, changes: &[LeaseChange]) {
        for change in changes {
            if let LeaseChange::Revoked { id } = change {
                self.world.0.ended.lock().entry(*id).or_insert_with(Instant::now);
            }
        }
    }

    /// A snapshot is installed, but raft's record of it is not on disk yet: a bad moment for a crash, at once or while
    /// the log is being truncated.
    fn on_restored(&self, _: i64) {
        if !self.world.has(Kind::EarlyCrashes) || self.world.is_at_peace() {
            return;
        }
        let (world, id) = (self.world.clone(), self.member);
        let (crashes, at_once, after) = {
            let mut dice = self.dice.lock();
            (dice.one_in(2), dice.one_in(2), Duration::from_micros(dice.within(0, 4000) as u64))
        };
        let fate = if crashes { ", and loses power" } else { "" };
        let upto = world.process(id).and_then(|process| process.store.applied());
        world.journal().note(format!("member {id} has installed a snapshot up to {upto:?}{fate}"));
        if !crashes {
            return;
        }
        if at_once {
            return world.crash(id);
        }
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            world.crash(id);
        });
    }
}

impl World {
    /// A world in which the first members have just started.
    pub async fn founded(
        fork: &mut impl FnMut() -> Dice,
        count: u64,
        journal: Journal,
        switches: Switches,
        common: Settings,
    ) -> Self {
        let network = Network::new(fork(), journal.clone());
        let world = Self::new(fork(), network, journal, switches, common);
        let founders: Vec<Member> = (1..=count).map(member).collect();
        for id in 1..=count {
            world.start(id, founders.clone()).await;
        }
        world
    }

    /// The member that leads, once there is one.
    pub async fn until_led(&self) -> Process {
        loop {
            if let Some(leader) = self.leader() {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A world without members.
    fn new(mut dice: Dice, network: Network, journal: Journal, switches: Switches, common: Settings) -> Self {
        let quota = switches.has(Kind::Quota).then(|| dice.within(25, 70) as u64 * 1000);
        let state = State { dice, machines: BTreeMap::new(), dirs: 0, common, quota };
        Self(Arc::new(Inner {
            journal,
            network,
            switches,
            dir: Scratch::new(),
            state: Mutex::new(state),
            truth: Mutex::default(),
            ended: Mutex::default(),
            remains: Mutex::default(),
            at_peace: AtomicBool::new(false),
            altered: Mutex::default(),
            started: Instant::now(),
        }))
    }

    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub fn network(&self) -> &Network {
        &self.0.network
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.0.switches.has(kind)
    }

    pub fn is_calm(&self) -> bool {
        self.0.switches.is_calm()
    }

    /// From now on there are no faults.
    pub fn make_peace(&self) {
        self.0.at_peace.store(true, Ordering::Relaxed);
    }

    /// There may be faults again.
    pub fn make_war(&self) {
        self.0.at_peace.store(false, Ordering::Relaxed);
    }

    pub fn is_at_peace(&self) -> bool {
        self.0.at_peace.load(Ordering::Relaxed)
    }

    /// The events of each revision.
    pub fn truth(&self) -> BTreeMap<i64, Vec<Seen>> {
        self.0.truth.lock().clone()
    }

    /// When a lease was first seen to have ended.
    pub fn lease_ended(&self, id: LeaseId) -> Option<Instant> {
        self.0.ended.lock().get(&id).copied()
    }

    /// The processes that run, by member id.
    pub fn running(&self) -> Vec<Process> {
        self.0.state.lock().machines.values().filter_map(|machine| machine.running.clone()).collect()
    }

    /// Those of them that clients may use.
    pub fn serving(&self) -> Vec<Process> {
        self.running().into_iter().filter(|process| !self.is_altered(process.id)).collect()
    }

    /// True if the state of the member was altered, and is not right again.
    pub fn is_altered(&self, id: u64) -> bool {
        self.0.altered.lock().contains(&id)
    }

    /// The state of the member is wrong from now on, or right again.
    pub fn set_altered(&self, id: u64, altered: bool) {
        let mut all = self.0.altered.lock();
        if altered {
            all.insert(id)
        } else {
            all.remove(&id)
        };
    }

    /// The log and the directory of the store of a member that is off.
    pub fn disks(&self, id: u64) -> Option<(SimDisk, PathBuf)> {
        let state = self.0.state.lock();
        let machine = state.machines.get(&id)?;
        Some((machine.log.clone(), machine.store.clone()))
    }

    /// The process of a member, if it runs.
    pub fn process(&self, id: u64) -> Option<Process> {
        self.0.state.lock().machines.get(&id)?.running.clone()
    }

    /// The members whose machines are off but may be switched on.
    pub fn down(&self) -> Vec<u64> {
        let state = self.0.state.lock();
        let down = |machine: &Machine| machine.running.is_none() && !machine.starting && !machine.retired;
        state.machines.iter().filter(|(_, machine)| down(machine)).map(|(id, _)| *id).collect()
    }

    /// Whether there is a machine for the member.
    pub fn is_known(&self, id: u64) -> bool {
        self.0.state.lock().machines.contains_key(&id)
    }

    /// The process that leads and is up to date, with the newest term.
    pub fn leader(&self) -> Option<Process> {
        let leading = |process: &Process| {
            let now = *process.node.leadership().borrow();
            now.leading.then_some(now.term)
        };
        self.running()
            .into_iter()
            .filter_map(|p| Some((leading(&p)?, p)))
            .max_by_key(|(term, _)| *term)
            .map(|(_, p)| p)
    }

    /// Sets a member's wall clock.
    pub fn step_clock(&self, id: u64, by_ms: i64) {
        if let Some(machine) = self.0.state.lock().machines.get(&id) {
            machine.clock.step(by_ms);
        }
    }

    /// The next flush of a member's log fails: its process must end.
    pub fn fail_flush(&self, victim: &Process) {
        victim.doomed.store(true, Ordering::Relaxed);
        if let Some(machine) = self.0.state.lock().machines.get(&victim.id) {
            machine.log.fail_flush();
        }
    }

    /// The next commit of a member's store fails: its process is to end.
    pub fn fail_commit(&self, victim: &Process) {
        victim.doomed.store(true, Ordering::Relaxed);
        if let Some(machine) = self.0.state.lock().machines.get(&victim.id) {
            machine.store_disk.fail();
        }
    }

    /// The disk of a member's store is full for this long.
    pub fn fill_store(&self, id: u64, time: Duration) {
        if let Some(machine) = self.0.state.lock().machines.get(&id) {
            machine.store_disk.fill(time);
        }
    }

    /// The disk of a member's log has room for so many bytes more, or for anything.
    pub fn set_log_room(&self, id: u64, bytes: Option<u64>) {
        if let Some(machine) = self.0.state.lock().machines.get(&id) {
            machine.log.set_room(bytes);
        }
    }

    /// Nothing is wrong with any disk any more.
    pub fn mend_disks(&self) {
        for machine in self.0.state.lock().machines.values() {
            machine.log.set_room(None);
            machine.store_disk.recover();
        }
    }

    /// The quota is lifted in every member's configuration, and read by those that run.
    pub fn lift_quota(&self) {
        self.0.state.lock().quota = None;
        for process in self.running() {
            process.store.set_quota(None);
        }
    }

    fn fresh_dir(&self, state: &mut State) -> PathBuf {
        state.dirs += 1;
        let dir = self.0.dir.path().join(state.dirs.to_string());
        std::fs::create_dir(&dir).expect("a directory in the scratch directory");
        dir
    }

    /// The machine of a new member.
    fn new_machine(&self, state: &mut State, founders: &[Member]) -> Machine {
        let mut dice = Dice::new(state.dice.next());
        let hours = if self.has(Kind::Clocks) { 3 * 3_600_000 } else { 400 };
        let up = Duration::from_secs(dice.within(0, 1_000_000) as u64);
        let settings = state.common.clone();
        let differing = self.has(Kind::Unlike);
        Machine {
            log: SimDisk::new(dice.next()),
            store: self.fresh_dir(state),
            store_disk: Arc::default(),
            older: None,
            identity: self.fresh_dir(state),
            founders: founders.to_vec(),
            clock: SimClock::new(self.0.started, dice.within(-hours, hours), up),
            settings: if differing { settings.differing(&mut dice) } else { settings },
            running: None,
            starting: false,
            retired: false,
            kept: None,
        }
    }

    /// Everything a member's next process is started with, and dice for faults during the start.
    fn boot(&self, id: u64, founders: &[Member]) -> (Boot, Dice, Option<LogPosition>, bool) {
        let mut state = self.0.state.lock();
        let state = &mut *state;
        let is_new = !state.machines.contains_key(&id);
        if is_new {
            let machine = self.new_machine(state, founders);
            state.machines.insert(id, machine);
        }
        let mut fork = || Dice::new(state.dice.next());
        let (dice, other) = (fork(), fork());
        let machine = &state.machines[&id];
        let boot = Boot {
            id,
            log: machine.log.clone(),
            store: machine.store.clone(),
            store_disk: machine.store_disk.clone(),
            identity: machine.identity.clone(),
            founders: machine.founders.clone(),
            settings: machine.settings.clone(),
            clock: machine.clock.clone(),
            transport: self.0.network.exit(MemberId(id)),
            dice,
            quota: state.quota,
            altered: self.is_altered(id),
        };
        (boot, other, machine.kept, is_new)
    }

    fn ears(&self, id: u64, dice: Dice) -> Ears {
        let (world, other) = (self.clone(), self.clone());
        let dice = Mutex::new(dice);
        Ears {
            observer: Box::new(move |pace| Arc::new(Comparing { world, member: id, pace, dice })),
            on_fatal: Arc::new(move |why, doomed| {
                let world = other.clone();
                if world.process(id).is_some_and(|process| *process.crashed.borrow()) {
                    return;
                }
                if !doomed {
                    return world.journal().broken(format!("member {id} cannot go on: {why}"));
                }
                world.journal().note(format!("member {id} cannot go on: {why}"));
                tokio::spawn(async move { world.end_process(id, Loss::Nothing) });
            }),
        }
    }

    /// Starts a member, for the first time or again. It may crash during the start.
    pub async fn start(&self, id: u64, founders: Vec<Member>) {
        let set = |starting| {
            if let Some(machine) = self.0.state.lock().machines.get_mut(&id) {
                machine.starting = starting;
            }
        };
        if self.is_known(id) && !self.down().contains(&id) {
            return;
        }
        set(true);
        self.start_it(id, founders).await;
        set(false);
    }

    async fn start_it(&self, id: u64, founders: Vec<Member>) {
        let (boot, mut dice, kept, is_new) = self.boot(id, &founders);
        self.0.journal.note(format!("member {id} starts"));
        if !is_new {
            self.try_bad_starts(&boot, &mut dice, kept).await;
        }
        let crash_after = (self.has(Kind::EarlyCrashes) && is_new && !dice.one_in(4))
            .then(|| Duration::from_micros(dice.within(0, 3000) as u64));
        let log = boot.log.clone();
        let mut starting = pin!(boot.start(self.ears(id, dice)));
        let started = tokio::select! {
            biased;
            started = &mut starting => started,
            () = tokio::time::sleep(crash_after.unwrap_or(Duration::MAX)) => {
                self.0.journal.note(format!("member {id} crashes while it starts"));
                self.0.network.detach(MemberId(id));
                // Data that the attempt would still write must not be found.
                self.keep_what_is_there(id, &log, Loss::Unflushed);
                return;
            }
        };
        match started {
            Ok(process) => {
                self.0.network.attach(MemberId(id), process.clone());
                if let Some(machine) = self.0.state.lock().machines.get_mut(&id) {
                    machine.kept = process.log.bounds().last.max(machine.kept);
                    machine.running = Some(process);
                }
            }
            Err(why) => {
                self.0.network.detach(MemberId(id));
                self.0.journal.broken(format!("member {id} does not start: {why}"));
                if let Some(machine) = self.0.state.lock().machines.get_mut(&id) {
                    machine.retired = true;
                }
            }
        }
    }

    /// Bad starts that a machine must refuse, and what must be on its disk, before the real start.
    async fn try_bad_starts(&self, boot: &Boot, dice: &mut Dice, kept: Option<LogPosition>) {
        let fresh = || self.fresh_dir(&mut self.0.state.lock());
        let mut broken = Vec::new();
        if let Some(kept) = kept {
            broken.extend(trials::lost(boot, kept));
        }
        if self.has(Kind::Flips) {
            broken.extend(trials::flipped(boot, dice));
        }
        if self.has(Kind::LostDisks) && dice.one_in(2) {
            let (log, store) = (fresh(), fresh());
            broken.extend(trials::without_log(boot, log, store).await);
        }
        for what in broken {
            self.0.journal.broken(format!("member {}: {what}", boot.id));
        }
    }

    /// Gives the next process what is left of the last one's data.
    fn keep_what_is_there(&self, id: u64, log: &SimDisk, loss: Loss) {
        let mut state = self.0.state.lock();
        let dir = self.fresh_dir(&mut state);
        let Some(machine) = state.machines.get_mut(&id) else { return };
        machine.log = match loss {
            Loss::Unflushed => log.after_power_failure(),
            Loss::Nothing => log.after_kill(),
        };
        machine.store_disk.fail_no_more();
        copy_all(&machine.store, &dir);
        machine.older = Some(std::mem::replace(&mut machine.store, dir));
    }

    /// A member's process is killed; its machine goes on.
    pub fn kill(&self, id: u64) {
        self.end_process(id, Loss::Nothing);
    }

    /// Power fails at a member: of unflushed writes of its log any part may be there, of its store the last checkpoint.
    pub fn crash(&self, id: u64) {
        self.end_process(id, Loss::Unflushed);
    }

    fn end_process(&self, id: u64, loss: Loss) {
        let (process, log, rewrites) = {
            let mut state = self.0.state.lock();
            let state = &mut *state;
            let Some(machine) = state.machines.get_mut(&id) else { return };
            let Some(process) = machine.running.take() else { return };
            machine.kept = machine.kept.filter(|at| trials::is_held(&process.log, *at));
            // In the middle of writing what is queued.
            let middle = loss == Loss::Unflushed && state.dice.one_in(2);
            (process, machine.log.clone(), middle.then(|| state.dice.below(4) as u64))
        };
        let how = if loss == Loss::Unflushed { "crashes" } else { "ends" };
        self.0.journal.note(format!("member {id} {how}"));
        self.0.network.detach(MemberId(id));
        process.stop();
        if let Some(calls) = rewrites {
            log.fail_in(calls);
            process.log.flush();
        }
        self.keep_what_is_there(id, &log, loss);
        self.0.remains.lock().push(tokio::spawn(process.ended()));
    }

    /// Switches off a member that was removed for ever.
    pub fn retire(&self, id: u64) {
        self.crash(id);
        if let Some(machine) = self.0.state.lock().machines.get_mut(&id) {
            machine.retired = true;
        }
    }

    /// The members that were retired.
    pub fn is_retired(&self, id: u64) -> bool {
        self.0.state.lock().machines.get(&id).is_some_and(|machine| machine.retired)
    }

    /// Ends everything.
    pub async fn end(&self) {
        for process in self.running() {
            self.crash(process.id);
        }
        let remains = std::mem::take(&mut *self.0.remains.lock());
        for remains in remains {
            if let Err(error) = remains.await {
                self.0.journal.broken(format!("a process ended badly: {error}"));
            }
        }
        // A task that still holds a part of the world must not keep its files.
        std::fs::remove_dir_all(self.0.dir.path()).expect("the scratch directory can be removed");
    }
}
