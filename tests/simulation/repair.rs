//! The state of a member is altered while its machine is off: the others find it, it takes the leader's state, and
//! operations go on all the while.

use std::time::Duration;

use kvd::model::{Alarm, AlarmKind, Caller, Command, LogPosition, MemberId, Proposal, Put, Stamp};
use kvd::store::{CheckpointPolicy, Condemned, Options, Store};
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::clients::{self, Record};
use super::dice::Dice;
use super::journal::Journal;
use super::switches::{Kind, Settings, Switches};
use super::trials::open;
use super::world::World;
use super::{monitor, verify};

const CLIENTS: usize = 3;
const KEYS: usize = 4;
/// States that are altered in a run, and runs.
const REPAIRS: u64 = 2;
const SEEDS: u64 = 2;
/// Messages that are lost while an operator acts, of 1000.
const LOST: i64 = 50;
/// Simulated time within which an altered state must be found and replaced: comparisons are ten seconds apart.
const FOUND: Duration = Duration::from_secs(60);
/// Polling interval of the leader.
const LOOK: Duration = Duration::from_millis(100);
/// How long a member may lead whose state is wrong, so that nobody serves.
const A_MOMENT: Duration = Duration::from_secs(5);

/// In the place of the next entry of the log the store applies another one; false if the log has no next entry.
fn alter(world: &World, id: u64) -> bool {
    let Some((log, store)) = world.disks(id) else { return false };
    let log = open(log).expect("a log that can be opened");
    let options = Options { checkpoint: CheckpointPolicy::Manual, map_size: 64 << 20, ..Options::default() };
    let store = Store::open(&store, options).expect("a store that can be opened");
    let Some(last) = store.applied() else { return false };
    let next = last.index + 1;
    let Some(entry) = log.read(next..next + 1, usize::MAX).ok().and_then(|found| found.first().cloned())
    else {
        return false;
    };
    let position = LogPosition { index: next, ..entry.position };
    let command = Command::Put(Put { key: "other".into(), value: "other".into(), ..Put::default() });
    let proposal = Proposal { stamp: Stamp::default(), caller: Caller::System, command };
    store.apply(position, &[proposal]).expect("it is applied");
    store.checkpoint().expect("it is durable");
    true
}

/// Kills a follower, alters its state, and starts it again; `None` if it had nothing left to apply.
async fn altered_follower(world: &World, dice: &mut Dice) -> Option<u64> {
    let journal = world.journal();
    let leader = world.leader().map(|leader| leader.id);
    let followers: Vec<u64> =
        world.running().iter().map(|one| one.id).filter(|id| Some(*id) != leader).collect();
    let id = dice.pick(&followers);
    world.kill(id);
    let is_altered = alter(world, id);
    if is_altered {
        journal.note(format!("member {id}: its state is altered"));
        world.set_altered(id, true);
    } else {
        journal.note(format!("member {id} has nothing left to apply: it is not altered"));
    }
    world.start(id, Vec::new()).await;
    is_altered.then_some(id)
}

/// Alters a follower that is killed, and waits until its state is right again.
async fn one_repair(world: &World, dice: &mut Dice) {
    let journal = world.journal();
    let Some(id) = altered_follower(world, dice).await else { return };
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let replaced = world.process(id).is_some_and(|process| process.states.replacements() == 1);
        if replaced {
            break;
        }
        if begun.elapsed() > FOUND {
            return journal.broken(format!("the altered state of member {id} is not replaced"));
        }
    }
    journal.note(format!("member {id}: its state is replaced"));
    world.set_altered(id, false);
}

/// The same, but an operator has it replaced, while messages get lost and power fails at bad moments: when the alarm was
/// just raised, and when the other state was just adopted ([`Kind::EarlyCrashes`]).
async fn one_rebuild(world: &World, dice: &mut Dice) {
    let journal = world.journal();
    let Some(id) = altered_follower(world, dice).await else { return };
    let begun = Instant::now();
    let (mut before, mut crashes) = (None, dice.one_in(2));
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if begun.elapsed() > FOUND {
            return journal.broken(format!("the altered state of member {id} is not replaced"));
        }
        let Some(process) = world.process(id) else {
            world.start(id, Vec::new()).await;
            continue;
        };
        let (store, alarm) = (&process.store, Alarm { member: MemberId(id), kind: AlarmKind::Corrupt });
        let number = store.state_number();
        let Some(found) = store.condemned() else {
            match before {
                Some(before) if before != number => break,
                _ => continue,
            }
        };
        before.get_or_insert(number);
        if !store.alarms().contains(&alarm) {
            continue;
        }
        if std::mem::take(&mut crashes) {
            world.crash(id);
        } else if !found.replace {
            let told = process.unless_it_crashes(process.states.rebuild()).await;
            journal.note(format!("member {id} is to be rebuilt: {told:?}"));
        }
    }
    journal.note(format!("member {id}: its state is replaced"));
    world.set_altered(id, false);
}

/// Waits until no alarm is left and all members run.
async fn until_calm(world: &World) {
    world.network().lose(0);
    world.make_peace();
    let begun = Instant::now();
    let alarms = || world.leader().map(|leader| leader.store.alarms());
    while !world.down().is_empty() || alarms().is_none_or(|alarms| !alarms.is_empty()) {
        for id in world.down() {
            world.start(id, Vec::new()).await;
        }
        if begun.elapsed() > FOUND {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn story(mut dice: Dice, count: u64, by_hand: bool) -> (Vec<String>, Vec<String>, u64) {
    let mut fork = || Dice::new(dice.next());
    let journal = Journal::new();
    let switches = if by_hand { Switches::only(&[Kind::EarlyCrashes]) } else { Switches::none() };
    let settings = Settings { replaces: !by_hand, ..Settings::common(&switches, &mut fork()) };
    let world = World::founded(&mut fork, count, journal.clone(), switches, settings).await;
    let (record, stop) = (Record::default(), signal::Sender::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        tasks.spawn(clients::run(client, world.clone(), record.clone(), fork(), KEYS, stop.subscribe()));
    }
    let mut choose = fork();
    tasks.spawn(monitor::states(world.clone(), stop.subscribe()));
    for _ in 0..REPAIRS {
        tokio::time::sleep(Duration::from_secs(3)).await;
        match by_hand {
            false => one_repair(&world, &mut choose).await,
            true => {
                until_calm(&world).await;
                world.network().lose(LOST);
                world.make_war();
                one_rebuild(&world, &mut choose).await;
            }
        }
    }
    if by_hand {
        until_calm(&world).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    verify::settled(&world).await;
    verify::members(&world, "states were altered");
    verify::clients(&world, &record);
    let repaired =
        journal.lines().iter().filter(|line| line.contains("its state is replaced")).count() as u64;
    let alarms = world.leader().map(|leader| leader.store.alarms()).unwrap_or_default();
    if !alarms.is_empty() {
        journal.broken(format!("alarms are left: {alarms:?}"));
    }
    world.end().await;
    (journal.lines(), journal.faults(), repaired)
}

fn run(seed: u64, members: u64, by_hand: bool) -> u64 {
    let mut dice = Dice::new(seed.wrapping_mul(31).wrapping_add(members));
    let thread = std::thread::spawn(move || {
        kvd::raft::simulate(dice.next());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(story(dice, members, by_hand))
    });
    let (lines, faults, repaired) = thread.join().expect("a run that ends");
    let shown = lines.len().saturating_sub(60);
    assert!(faults.is_empty(), "seed {seed}, {members} members:\n{}\n{faults:#?}", lines[shown..].join("\n"));
    repaired
}

#[test]
fn an_altered_state_is_found_and_replaced_while_operations_go_on() {
    let mut repaired = 0;
    for seed in 0..SEEDS {
        println!("seed {seed}");
        repaired += run(seed, 3, false) + run(seed, 5, false);
    }
    let altered = 2 * SEEDS * REPAIRS;
    assert!(2 * repaired >= altered, "{repaired} of {altered} were replaced: the others were never altered");
}

#[test]
fn no_alarm_of_an_altered_state_stays_whatever_is_lost_on_the_way() {
    let repaired: u64 = (0..2 * SEEDS).map(|seed| run(seed, 3, true)).sum();
    assert!(repaired >= SEEDS * REPAIRS, "{repaired} were replaced: the others were never altered");
}

/// One of three is lost for good. Of the two that are left one has everything, but a wrong state, and the other one a
/// right state, but not everything. The state is to be replaced at once, or when an operator says so.
async fn the_longer_log_is_the_wrong_ones(mut dice: Dice, replace: bool) -> (Vec<String>, Vec<String>) {
    let mut fork = || Dice::new(dice.next());
    let journal = Journal::new();
    let settings = Settings { replaces: false, ..Settings::common(&Switches::none(), &mut fork()) };
    let world = World::founded(&mut fork, 3, journal.clone(), Switches::none(), settings).await;
    let lost = world.until_led().await;
    let (wrong, short) = (lost.id % 3 + 1, (lost.id + 1) % 3 + 1);
    let put = |value: &str| {
        Command::Put(Put { key: "k".into(), value: value.to_string().into(), ..Put::default() })
    };
    lost.node.propose(lost.root(), put("before")).await.expect("written");
    world.kill(short);
    lost.node.propose(lost.root(), put("acknowledged")).await.expect("written");
    [wrong, lost.id].into_iter().for_each(|id| world.kill(id));
    world.retire(lost.id);
    let (_, dir) = world.disks(wrong).expect("its machine");
    let options = Options { checkpoint: CheckpointPolicy::Manual, map_size: 64 << 20, ..Options::default() };
    let store = Store::open(&dir, options).expect("a store");
    store.condemn(&Condemned { why: "a test".into(), replace, told: false }).expect("marked");
    store.close().expect("closed");
    drop(store);
    for id in [wrong, short] {
        world.start(id, Vec::new()).await;
    }
    let (begun, mut led) = (Instant::now(), Duration::ZERO);
    loop {
        tokio::time::sleep(LOOK).await;
        if world.process(wrong).expect("it runs").node.leadership().borrow().leading {
            led += LOOK;
        }
        let right = world.process(short).expect("it runs");
        let value = right.store.get(b"k").expect("read").map(|found| found.value);
        if right.node.leadership().borrow().leading && value.as_deref() == Some(&b"acknowledged"[..]) {
            break;
        }
        if begun.elapsed() > FOUND {
            journal.broken(format!("member {short} does not lead, or has {value:?}"));
            break;
        }
    }
    if led > A_MOMENT {
        journal.broken(format!("member {wrong} has led for {led:?}"));
    }
    world.end().await;
    (journal.lines(), journal.faults())
}

#[test]
fn a_member_whose_state_is_wrong_leads_for_a_moment_if_only_it_has_everything() {
    for (seed, replace) in (0..6).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut dice = Dice::new(seed);
        let thread = std::thread::spawn(move || {
            kvd::raft::simulate(dice.next());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(the_longer_log_is_the_wrong_ones(dice, replace))
        });
        let (lines, faults) = thread.join().expect("a run that ends");
        assert!(faults.is_empty(), "seed {seed}, replace {replace}: {}\n{faults:#?}", lines.join("\n"));
    }
}
