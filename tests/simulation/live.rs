//! Streams of watchers that are read slowly, on the simulation's own thread and in its time: no header on a stream
//! shows a lower revision than an earlier one. They only cover events that need not be read from history, because
//! another thread does that; `watchers` cover the rest.

use std::future::poll_fn;
use std::time::Duration;

use kvd::model::KeyRange;
use kvd::watch::{Item, Want, WatchSpec};
use tokio::sync::watch as signal;

use super::dice::Dice;
use super::world::{Process, World};

/// Items after which a stream is replaced by one at another member.
const ITEMS: i64 = 60;

/// Reads one stream after another until it is stopped.
pub async fn run(world: World, mut dice: Dice, stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::time::sleep(Duration::from_millis(dice.within(1, 200) as u64)).await;
        let mut running = world.running();
        if !running.is_empty() {
            let process = running.swap_remove(dice.below(running.len()));
            if let Err(what) = read(&process, &mut dice, &stop).await {
                // One report is enough.
                world.journal().note(&what);
                return world.journal().broken(what);
            }
        }
    }
}

async fn read(process: &Process, dice: &mut Dice, stop: &signal::Receiver<bool>) -> Result<(), String> {
    let session = process.hub.session();
    let ranges = [KeyRange::all(), KeyRange::single("k/1"), KeyRange::single("k/2")];
    let mut newest = 0;
    let mut keys = Vec::new();
    for (tag, range) in (0..).zip(ranges) {
        // From now on: earlier events are not requested, so nothing is read from history.
        let spec = WatchSpec { tag, range, start_revision: 0, want: Want::default() };
        keys.push(session.open(spec).0);
    }
    for _ in 0..dice.within(1, ITEMS) {
        if *stop.borrow() {
            return Ok(());
        }
        // While it does not read, events happen, and it requests more of them.
        for _ in 0..dice.below(4) {
            tokio::time::sleep(Duration::from_millis(dice.within(0, 30) as u64)).await;
            match dice.below(3) {
                0 => session.request_progress(),
                1 => session.notify([keys[dice.below(keys.len())]]),
                _ => {}
            }
        }
        let next = poll_fn(|cx| session.poll_next(cx));
        let next = process.unless_it_crashes(tokio::time::timeout(Duration::from_millis(500), next)).await;
        let shown = match next {
            Some(Ok(Item::Events { header_revision, runs, .. })) => {
                // An event arrives with its own revision or a later one in the header.
                let last = runs.iter().map(|run| run.last()).max().unwrap_or(0);
                if last > header_revision {
                    return Err(format!("an event of {last} is told at {header_revision}"));
                }
                header_revision
            }
            Some(Ok(Item::Progress { revision } | Item::Notify { revision, .. })) => revision,
            Some(Err(_)) => continue,
            _ => return Ok(()),
        };
        if shown < newest {
            return Err(format!("a stream at {} shows revision {shown} after {newest}", process.id));
        }
        newest = shown;
    }
    Ok(())
}
