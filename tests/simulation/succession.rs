//! A leader whose process is killed is replaced as soon as its lease is over, because its host says that nothing listens at
//! its port any more; one that is cut off, of which nobody says anything, only after the whole timeout.

use std::time::Duration;

use kvd::model::MemberId;
use tokio::time::Instant;

use super::dice::Dice;
use super::journal::Journal;
use super::switches::{Settings, Switches};
use super::verify;
use super::world::{Process, World};

/// Leases end after 0.45 of an election timeout, which is 1.3 s at most; the rest is for the votes.
const KILLED: Duration = Duration::from_millis(690);
/// Without a sign an election begins after 0.7 of a timeout, which is 1 s at least, since the last heartbeat: that was up to
/// 0.1 s earlier.
const SILENT: Duration = Duration::from_millis(600);

/// How long nobody leads after that happens to the leader.
async fn without_leader(world: &World, happens: impl FnOnce(&Process)) -> Duration {
    let before = world.until_led().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let begun = Instant::now();
    happens(&before);
    let leads = |other: &Process| other.id != before.id && other.node.status().is_leader;
    while !world.running().iter().any(leads) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed()
}

async fn story(mut dice: Dice, count: u64) -> [Duration; 2] {
    let mut fork = || Dice::new(dice.next());
    let settings = Settings::common(&Switches::none(), &mut fork());
    let world = World::founded(&mut fork, count, Journal::new(), Switches::none(), settings).await;
    let ways = |id: u64| {
        let others = (1..=count).filter(move |other| *other != id);
        others
            .flat_map(move |other| [(id, other), (other, id)])
            .map(|(from, to)| (MemberId(from), MemberId(to)))
    };
    let cut_off = without_leader(&world, |leader| world.network().cut(ways(leader.id).collect())).await;
    world.network().cut([].into());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let killed = without_leader(&world, |leader| world.kill(leader.id)).await;
    let down = world.down();
    for id in down {
        world.start(id, Vec::new()).await;
    }
    verify::settled(&world).await;
    world.end().await;
    [cut_off, killed]
}

/// The leader of three members and one other are killed: how often the third asks whether the leader's process has ended, at
/// first and in the minute after that.
async fn alone(mut dice: Dice) -> [usize; 2] {
    let mut fork = || Dice::new(dice.next());
    let settings = Settings::common(&Switches::none(), &mut fork());
    let world = World::founded(&mut fork, 3, Journal::new(), Switches::none(), settings).await;
    let leader = world.until_led().await.id;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.kill(leader);
    world.kill(if leader == 1 { 2 } else { 1 });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let first = world.network().questions();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let later = world.network().questions() - first;
    for id in world.down() {
        world.start(id, Vec::new()).await;
    }
    verify::settled(&world).await;
    world.end().await;
    [first, later]
}

fn simulated<T: Send + 'static, F: Future<Output = T>>(
    seed: u64,
    story: impl FnOnce(Dice) -> F + Send + 'static,
) -> T {
    let thread = std::thread::spawn(move || {
        let mut dice = Dice::new(seed);
        kvd::raft::simulate(dice.next());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(story(dice))
    });
    thread.join().expect("a run that ends")
}

#[test]
fn a_leader_that_was_killed_is_replaced_when_its_lease_is_over() {
    for (seed, members) in [(1, 3), (2, 5), (3, 3), (4, 5), (5, 3)] {
        let [cut_off, killed] = simulated(seed, move |dice| story(dice, members));
        assert!(cut_off >= SILENT, "seed {seed}, {members} members: {cut_off:?} after a cut");
        assert!(killed <= KILLED, "seed {seed}, {members} members: {killed:?} after a kill");
    }
}

#[test]
fn without_a_quorum_nobody_asks_for_a_killed_leader_over_and_over() {
    for seed in 1..4 {
        let [first, later] = simulated(seed, alone);
        assert!(first > 0, "seed {seed}: nobody asked");
        assert_eq!(later, 0, "seed {seed}, after {first} at first");
    }
}
