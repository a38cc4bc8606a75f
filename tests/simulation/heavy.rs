//! Large or expensive commands: leases with many keys, transactions that write many keys, and comparisons with long
//! values. The clients use none of their keys.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use kvd::model::{
    Command, Compare, CompareOp, CompareTarget, KeyRange, LeaseId, MemberId, Op, Put, Refusal, Txn,
};
use tokio::sync::watch as signal;

use super::dice::Dice;
use super::switches::Kind;
use super::world::{Process, World};

/// Bytes of a comparison's value. A hundred of them are larger than the limit of an append.
const LONG: usize = 128 << 10;
/// Comparisons in a row.
const BURST: usize = 60;

fn put(key: String, lease: LeaseId) -> Op {
    Op::Put(Put { key: Bytes::from(key), value: "heavy".into(), lease, ..Put::default() })
}

async fn propose(world: &World, process: &Process, command: Command) -> Option<Result<(), Refusal>> {
    let has_disks = !world.has(Kind::FullLogs) && !world.has(Kind::FullStores);
    let unlimited = has_disks && process.store.sizes().quota.is_none();
    let work = process.node.propose(process.root(), command);
    let done = process.unless_it_crashes(work).await.map(|done| done.map(drop));
    if let Some(Err(Refusal::NoSpace)) = done
        && unlimited
    {
        world.journal().broken(format!("member {} has no space, for no reason", process.id));
    }
    done
}

/// A lease with many keys, which is then revoked.
async fn lease(world: &World, process: &Process, dice: &mut Dice, id: LeaseId) {
    let keys = dice.within(14, 40);
    let success = (0..keys).map(|key| put(format!("heavy/{id}/{key}"), id)).collect();
    let puts = Txn { success, ..Txn::default() };
    world.journal().note(format!("lease {id} gets {keys} keys at {}", process.id));
    if let Some(Ok(())) = propose(world, process, Command::LeaseGrant { id, ttl: 5 }).await {
        propose(world, process, Command::Txn(puts)).await;
        propose(world, process, Command::LeaseRevoke { id }).await;
    }
}

/// Transactions that compare with a long value, and then write a short one.
async fn compare(world: &World, process: &Process, salt: u64) {
    let value = Bytes::from(vec![b'x'; LONG]);
    world.journal().note(format!("long comparisons at {}", process.id));
    if !world.is_calm() {
        leave_one_out(world, process);
    }
    let commands = (0..BURST).map(|number| {
        let guard = Compare {
            range: KeyRange::single("heavy/compared"),
            op: CompareOp::Equal,
            target: CompareTarget::Value(value.clone()),
        };
        let failure = vec![put(format!("heavy/short/{}", salt % 7 + number as u64), 0)];
        Command::Txn(Txn { compares: vec![guard], success: Vec::new(), failure })
    });
    let all = commands.map(|command| propose(world, process, command));
    futures_util::future::join_all(all).await;
    if !world.is_calm() {
        world.network().cut(BTreeSet::new());
    }
}

/// Cuts off a member that does not lead: it must catch up with all of this later.
fn leave_one_out(world: &World, process: &Process) {
    let leader = world.leader().map_or(process.id, |leader| leader.id);
    let ids: Vec<u64> = world.running().iter().map(|process| process.id).collect();
    let Some(left_out) = ids.iter().find(|id| **id != leader && **id != process.id) else { return };
    let both = |id: u64| [(MemberId(*left_out), MemberId(id)), (MemberId(id), MemberId(*left_out))];
    world.network().cut(ids.iter().filter(|id| *id != left_out).flat_map(|id| both(*id)).collect());
}

/// Sends heavy commands, of the kinds that the seed has, until it is stopped.
pub async fn run(world: World, mut dice: Dice, stop: signal::Receiver<bool>) {
    let (mut id, mut long) = (900_000, 2);
    while !*stop.borrow() {
        tokio::time::sleep(Duration::from_millis(dice.within(500, 2500) as u64)).await;
        let mut running = world.running();
        if running.is_empty() {
            continue;
        }
        let process = running.swap_remove(dice.below(running.len()));
        id += 1;
        if world.has(Kind::Costly) {
            lease(&world, &process, &mut dice, id).await;
        }
        // Twice is enough, because each one costs a second of computing.
        if world.has(Kind::Large) && long > 0 && dice.one_in(2) {
            long -= 1;
            compare(&world, &process, dice.next()).await;
        }
        if world.has(Kind::Quota) {
            propose(
                &world,
                &process,
                Command::Txn(Txn { success: vec![put("heavy/q".into(), 0)], ..Txn::default() }),
            )
            .await;
        }
    }
}
