//! One seed from the beginning to the end.

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use tokio::sync::watch as signal;

use super::clients::{self, Record};
use super::dice::Dice;
use super::faults::Faults;
use super::journal::Journal;
use super::leases::{self, Leases};
use super::switches::{Kind, Settings, Switches};
use super::verify;
use super::watchers::Watchers;
use super::world::World;
use super::{heavy, live, monitor, trees, users};

/// Simulated time under faults.
const LASTING: Duration = Duration::from_secs(10);
/// Simulated time in which a cluster without faults must have recovered.
const RECOVERY: Duration = Duration::from_secs(60);
const CLIENTS: usize = 6;
const KEYS: usize = 4;

/// The result of a seed.
pub struct Outcome {
    pub seed: u64,
    pub members: u64,
    /// What it ran under.
    pub switches: Switches,
    /// All events.
    pub journal: Vec<String>,
    /// Everything that does not hold.
    pub faults: Vec<String>,
    /// How long it was for the members.
    pub simulated: Duration,
}

impl Outcome {
    /// A number that is equal for equal journals.
    pub fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.journal.join("\n").as_bytes())
    }

    /// The command that repeats the run.
    pub fn command(&self) -> String {
        let test = if self.members == 3 { "three_members" } else { "five_members" };
        let names = self.switches.names();
        format!("KVD_SEED={} KVD_FAULTS={names} cargo test --test simulation {test}", self.seed)
    }

    /// Panics if something does not hold, and prints the events before it.
    pub fn expect_good(&self) {
        if self.faults.is_empty() {
            return;
        }
        let from = match std::env::var_os("KVD_SEED") {
            Some(_) => 0,
            None => self.journal.len().saturating_sub(40),
        };
        // Faults that differ only in numbers are printed once.
        let kind = |what: &str| what.chars().filter(|c| !c.is_ascii_digit()).take(60).collect::<String>();
        let mut kinds = std::collections::BTreeSet::new();
        let first = |what: &&str| kinds.insert(kind(what));
        let faults: Vec<&str> = self.faults.iter().map(String::as_str).filter(first).take(10).collect();
        panic!(
            "{} members, seed {}:\n{}\n\n{}\n\nreplay with {}",
            self.members,
            self.seed,
            self.journal[from..].join("\n"),
            faults.join("\n"),
            self.command()
        );
    }

    /// The same seed with as few kinds of faults as still fail: each is left out in turn.
    pub fn shrunk(self) -> Outcome {
        let mut least = self;
        for kind in least.switches.kinds() {
            let fewer = run(least.seed, least.members, Some(least.switches.without(kind)));
            if !fewer.faults.is_empty() {
                println!("without {kind:?} it fails, too");
                least = fewer;
            }
        }
        least
    }
}

thread_local! {
    /// What panicked on this thread.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// From now on a panic is known even if it ends nothing but a task.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A thread that ends has no place for it any more.
            let _ = PANICS.try_with(|panics| panics.borrow_mut().push(panic.to_string()));
            before(panic);
        }));
    });
}

/// Runs a seed, under its own faults or under others.
pub fn run(seed: u64, members: u64, others: Option<Switches>) -> Outcome {
    let mut dice = Dice::new(seed.wrapping_mul(31).wrapping_add(members));
    // On its own thread: state that a simulation leaves in the thread must not reach the next one.
    let thread = std::thread::spawn(move || {
        kvd::raft::simulate(dice.next());
        let mut fork = || Dice::new(dice.next());
        let drawn = Switches::of(seed, &mut fork());
        let switches = others.unwrap_or(drawn);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        // What panics ends the seed, or only a task of it; its journal is worth reading.
        note_panics();
        let journal = runtime.block_on(async { Journal::new() });
        let story = std::panic::AssertUnwindSafe(|| {
            runtime.block_on(story(&mut fork, members, journal.clone(), switches.clone()))
        });
        let ended = std::panic::catch_unwind(story);
        let panics = PANICS.with_borrow_mut(std::mem::take);
        if ended.is_err() && panics.is_empty() {
            journal.broken("a panic that said nothing");
        }
        panics.iter().for_each(|text| journal.broken(format!("panic: {text}")));
        let simulated = Duration::from_millis(runtime.block_on(async { journal.now_ms() }));
        (switches, journal.lines(), journal.faults(), simulated)
    });
    let (switches, journal, faults, simulated) = thread.join().expect("the seed's own panics are caught");
    Outcome { seed, members, switches, journal, faults, simulated }
}

async fn story(fork: &mut impl FnMut() -> Dice, count: u64, journal: Journal, switches: Switches) {
    journal.note(switches.to_string());
    let settings = Settings::common(&switches, &mut fork());
    let world = World::founded(fork, count, journal.clone(), switches, settings).await;
    let watchers = Watchers::start(world.clone(), fork());
    let (record, held) = (Record::default(), Leases::default());
    let (stop, stopped) = (signal::Sender::new(false), signal::Sender::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        tasks.spawn(clients::run(client, world.clone(), record.clone(), fork(), KEYS, stop.subscribe()));
    }
    tasks.spawn(heavy::run(world.clone(), fork(), stop.subscribe()));
    tasks.spawn(live::run(world.clone(), fork(), stop.subscribe()));
    tasks.spawn(monitor::run(world.clone(), stop.subscribe()));
    let changes = trees::Changes::default();
    for _ in 0..2 {
        tasks.spawn(trees::run(world.clone(), fork(), changes.clone(), stop.subscribe()));
    }
    let enabled = users::Enabled::default();
    for user in 0..users::USERS {
        tasks.spawn(users::run(world.clone(), fork(), user, enabled.clone(), stop.subscribe()));
    }
    if world.is_calm() && !world.has(Kind::Costly) && !world.has(Kind::SlowStores) {
        tasks.spawn(monitor::reads(world.clone(), stop.subscribe()));
    }
    let mut keepers = tokio::task::JoinSet::new();
    for keeper in 0..3 {
        let first = 1000 * (keeper + 1);
        keepers.spawn(leases::run(world.clone(), held.clone(), fork(), first, stopped.subscribe()));
    }
    let mut faults = Faults::new(world.clone(), fork(), count);
    world.network().answer_slowly(world.has(Kind::SlowAnswers));
    faults.rage(LASTING).await;
    if let Err(why) = recover(&world, &mut faults).await {
        journal.broken(format!("the cluster does not recover: {why}"));
        // There is nothing more to check; the watchers' thread ends with the process.
        world.end().await;
        return;
    }
    verify::writable(&world).await;
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    tokio::time::sleep(Duration::from_secs(3)).await;
    stopped.send_replace(true);
    while keepers.join_next().await.is_some() {}
    verify::leases(&world, &held).await;
    verify::settled(&world).await;
    verify::members(&world, &network_notes(&world));
    verify::clients(&world, &record);
    verify::watchers(&world, watchers);
    trees::verify(&world, &changes);
    world.end().await;
}

fn network_notes(world: &World) -> String {
    format!("{} snapshots were sent", world.network().snapshots())
}

/// Waits until all members run, know each other and have applied the same.
async fn recover(world: &World, faults: &mut Faults) -> Result<(), String> {
    let begun = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        faults.follow_members().await;
        for id in world.down() {
            // A start that had begun before has ended it.
            world.start(id, Vec::new()).await;
        }
        match verify::unsettled(world) {
            None => return Ok(()),
            // Nothing is gained by waiting for members that what is broken keeps from starting.
            Some(why) if !world.journal().faults().is_empty() => return Err(why),
            Some(why) if begun.elapsed() > RECOVERY => return Err(why),
            Some(_) => {}
        }
    }
}
