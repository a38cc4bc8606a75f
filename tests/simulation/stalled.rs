//! The disk of the leader's log stands still: another member leads within three seconds, writes go on, and the former
//! leader takes nothing back when its disk goes on.

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

#[test]
fn a_leader_whose_disk_stands_still_hands_over_and_takes_nothing_back() {
    for (seed, members) in [(1, 3), (2, 5), (3, 3)] {
        let thread = std::thread::spawn(move || {
            let mut dice = Dice::new(seed);
            kvd::raft::simulate(dice.next());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(story(dice, members))
        });
        let (lines, faults) = thread.join().expect("a run that ends");
        assert!(faults.is_empty(), "seed {seed}, {members} members:\n{}\n{faults:#?}", lines.join("\n"));
    }
}
