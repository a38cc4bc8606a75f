//! The disk of the leader's log stands still: another member leads within three seconds, writes go on, and the former
//! leader takes nothing back when its disk goes on. If the others' disks are no better, nobody hands over.

use std::time::Duration;

use kvd::model::{Command, Put};
use tokio::time::Instant;

use super::dice::Dice;
use super::journal::Journal;
use super::switches::{Kind, Settings, Switches};
use super::verify;
use super::world::{Process, World};

/// How long the disk stands still.
const STALL: Duration = Duration::from_secs(20);
/// Within which time another member must lead.
const HANDED_OVER: Duration = Duration::from_secs(3);
/// How long the new leader must stay after the disk has gone on.
const STAYS: Duration = Duration::from_secs(30);

/// A write at a member; true if it is acknowledged.
async fn put(at: &Process, value: &str) -> bool {
    let put = Put { key: "stalled".into(), value: value.to_string().into(), ..Put::default() };
    let done = at.unless_it_crashes(at.node.propose(at.root(), Command::Put(put))).await;
    matches!(done, Some(Ok(_)))
}

async fn story(mut dice: Dice, count: u64) -> (Vec<String>, Vec<String>) {
    let mut fork = || Dice::new(dice.next());
    let journal = Journal::new();
    let switches = Switches::only(&[Kind::SlowLogs]);
    let settings = Settings::common(&switches, &mut fork());
    let world = World::founded(&mut fork, count, journal.clone(), switches, settings).await;
    let before = world.until_led().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(put(&before, "before").await);
    before.pace.stall_log(STALL);
    let begun = Instant::now();
    // What is written shows that it stands still.
    let writer = before.clone();
    tokio::spawn(async move { put(&writer, "into the stall").await });
    let next = loop {
        let leads = |other: &Process| other.id != before.id && other.node.status().is_leader;
        if let Some(next) = world.running().into_iter().find(leads) {
            break next;
        }
        if begun.elapsed() > HANDED_OVER {
            journal.broken(format!("member {} still leads after {HANDED_OVER:?}", before.id));
            break before.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    journal.note(format!("member {} leads in the place of {}", next.id, before.id));
    let term = next.node.term();
    // It waits for its disk with the vote of the new term, which is no reason to restart it.
    let pulse = before.unless_it_crashes(before.node.pulse());
    if tokio::time::timeout(STALL / 2, pulse).await.is_err() {
        journal.broken("a watchdog would end the member whose disk stands still");
    }
    while begun.elapsed() < STALL + STAYS {
        if begun.elapsed() > HANDED_OVER && !put(&next, "after").await {
            journal.broken("a write failed under the new leader");
        }
        let (now, leads) = (next.node.term(), next.node.status().is_leader);
        if now != term || !leads {
            journal.broken(format!("member {} led in term {term}, now it is {now}", next.id));
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if before.node.log_stalled_for().is_some() {
        journal.broken("its disk goes on, and it says the contrary");
    }
    verify::settled(&world).await;
    world.end().await;
    (journal.lines(), journal.faults())
}

/// Each write takes so many milliseconds on all disks.
const SLOW: std::ops::Range<i64> = 700..1500;
/// For this long.
const LASTS: Duration = Duration::from_secs(20);
/// Terms that pass at most: followers whose disks are that slow sometimes miss their leader. If leaders handed over, too,
/// there would be twice as many.
const CHANGES: u64 = 5;

/// All disks become slow at once, as those of machines that share one do.
async fn story_of_all(mut dice: Dice, count: u64) -> (Vec<String>, Vec<String>) {
    let mut fork = || Dice::new(dice.next());
    let journal = Journal::new();
    let switches = Switches::only(&[Kind::SlowLogs]);
    let settings = Settings::common(&switches, &mut fork());
    let world = World::founded(&mut fork, count, journal.clone(), switches, settings).await;
    let (leader, mut pauses) = (world.until_led().await, fork());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (term, begun) = (leader.node.term(), Instant::now());
    let mut acknowledged = 0;
    while begun.elapsed() < LASTS {
        for process in world.running() {
            let slow = pauses.within(SLOW.start, SLOW.end);
            process.pace.stall_log(Duration::from_millis(slow as u64));
        }
        acknowledged += u32::from(put(&leader, "slow").await);
    }
    journal.note(format!("{acknowledged} writes"));
    if leader.node.term() > term + CHANGES {
        journal.broken(format!("leadership passed on from term {term} to {}", leader.node.term()));
    }
    if f64::from(acknowledged) < LASTS.as_millis() as f64 / SLOW.end as f64 / 2.0 {
        journal.broken(format!("only {acknowledged} writes in {LASTS:?}"));
    }
    verify::settled(&world).await;
    world.end().await;
    (journal.lines(), journal.faults())
}

fn run<F: Future<Output = (Vec<String>, Vec<String>)>>(story: fn(Dice, u64) -> F, seed: u64, members: u64) {
    let told = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let mut dice = Dice::new(seed);
            kvd::raft::simulate(dice.next());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(story(dice, members))
        });
        thread.join()
    });
    let (lines, faults) = told.expect("a run that ends");
    assert!(faults.is_empty(), "seed {seed}, {members} members:\n{}\n{faults:#?}", lines.join("\n"));
}

#[test]
fn a_leader_whose_disk_stands_still_hands_over_and_takes_nothing_back() {
    for (seed, members) in [(1, 3), (2, 5), (3, 3)] {
        run(story, seed, members);
    }
}

#[test]
fn disks_that_are_all_slow_do_not_pass_leadership_round() {
    run(story_of_all, 1, 3);
}
