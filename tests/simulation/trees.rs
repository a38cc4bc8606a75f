//! Changes of v2's tree at any member, with nodes that end soon; what was acknowledged is the same for all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kvd::model::{Budget, Command, Expected, Reply, TreeCommand, TreeEvent, TreeReply, Ttl};
use parking_lot::Mutex;
use tokio::sync::watch as signal;

use super::dice::Dice;
use super::verify::of_members;
use super::world::World;

/// The changes that were acknowledged, by their indexes. Clones share it.
#[derive(Clone, Default)]
pub struct Changes(Arc<Mutex<BTreeMap<u64, Arc<TreeEvent>>>>);

const PATHS: [&str; 6] = ["/a", "/a/b", "/a/b/c", "/a/_h", "/d", "/d/e"];

fn any(dice: &mut Dice) -> TreeCommand {
    let path: Arc<str> = dice.pick(&PATHS).into();
    let value: Arc<str> = format!("{}", dice.below(3)).into();
    let seconds = dice.one_in(3).then(|| dice.within(0, 3) as u64);
    let ttl = Ttl { seconds, refresh: seconds.is_some() && dice.one_in(4) };
    let expected = Expected { value: value.clone(), index: 0 };
    match dice.below(7) {
        0 | 1 => TreeCommand::Set { path, dir: dice.one_in(4), value, ttl },
        2 => TreeCommand::Create { path, dir: dice.one_in(2), value, in_order: dice.one_in(2), ttl },
        3 => TreeCommand::Update { path, value, ttl },
        4 => TreeCommand::CompareAndSwap { path, expected, value, ttl },
        5 => TreeCommand::Delete { path, dir: dice.one_in(2), recursive: dice.one_in(2) },
        _ => TreeCommand::CompareAndDelete { path, expected },
    }
}

/// A client that works until it is stopped.
pub async fn run(world: World, mut dice: Dice, changes: Changes, stop: signal::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::time::sleep(Duration::from_micros(dice.within(0, 100_000) as u64)).await;
        let running = world.running();
        if running.is_empty() {
            continue;
        }
        let process = &running[dice.below(running.len())];
        let command = any(&mut dice);
        let proposed = process.node.propose(process.root(), Command::Tree(command.clone()));
        let Some(Ok(Reply::Tree(reply))) = process.unless_it_crashes(proposed).await else { continue };
        world.journal().note(format!("the tree at {}: {command:?} -> {reply:?}", process.id));
        let TreeReply::Done(event) = reply else { continue };
        let before = changes.0.lock().insert(event.index(), event.clone());
        if before.is_some_and(|before| before != event) {
            world.journal().broken(format!("two changes of the tree have the index {}", event.index()));
        }
    }
}

/// In the end all members have one tree, and everything that was acknowledged is in its history.
pub fn verify(world: &World, changes: &Changes) {
    let running = of_members(world);
    let picture = |tree: &kvd::store::Tree| {
        let listed = tree.list("/", true, 0, &Budget::new(1 << 30)).map(|(found, _)| found);
        (tree.index(), listed, tree.next_due())
    };
    let trees: Vec<_> = running.iter().map(|process| process.store.tree()).collect();
    let Some(first) = trees.first() else { return };
    for (process, tree) in running.iter().zip(&trees) {
        if picture(tree) != picture(first) {
            let (own, other) = (picture(tree), picture(first));
            world.journal().broken(format!("the tree of {} is another one: {own:?}, {other:?}", process.id));
        }
        for (index, event) in changes.0.lock().iter() {
            match tree.since("/", true, *index) {
                // The history does not find a refresh.
                Ok(Some(found)) if event.refresh || found == *event => {}
                Ok(None) if event.refresh => {}
                Err(_) => {}
                found => {
                    let id = process.id;
                    world.journal().broken(format!("the tree of {id} lacks {event:?}, it has {found:?}"));
                }
            }
        }
    }
    world.journal().note(format!(
        "the tree: {} changes acknowledged, index {}",
        changes.0.lock().len(),
        first.index()
    ));
}
