//! Leases: some are kept alive and must stay, some are not and must go.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kvd::api::leases::LeaderLessor;
use kvd::lease::{Remote, Renewal};
use kvd::model::{Command, LeaseId, Put, Refusal};
use parking_lot::Mutex;
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::dice::Dice;
use super::world::{Process, World};

/// Time to live of all leases here.
const TTL: Duration = Duration::from_secs(4);

/// What became of the leases. Clones share it.
#[derive(Clone, Default)]
pub struct Leases(Arc<Mutex<Vec<Kept>>>);

/// A lease with a key.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: LeaseId,
    /// It was kept alive to the end; otherwise nobody renewed it.
    pub alive: bool,
}

pub fn key_of(id: LeaseId) -> Bytes {
    Bytes::from(format!("lease/{id}"))
}

impl Leases {
    pub fn all(&self) -> Vec<Kept> {
        self.0.lock().clone()
    }
}

/// Grants a lease and puts a key under it: when it was asked for, or nothing where that did not work out.
async fn grant(world: &World, dice: &mut Dice, id: LeaseId) -> Option<Instant> {
    let asked = Instant::now();
    let running = world.running();
    if running.is_empty() {
        return None;
    }
    let process = &running[dice.below(running.len())];
    let work = async {
        process.node.propose(Command::LeaseGrant { id, ttl: TTL.as_secs() as i64 }).await?;
        let put = Put { key: key_of(id), value: "held".into(), lease: id, ..Put::default() };
        process.node.propose(Command::Put(put)).await
    };
    matches!(process.unless_it_crashes(work).await, Some(Ok(_))).then_some(asked)
}

/// Renews a lease at one member: the time it lives, `None` where it does not exist.
async fn renew(process: &Process, id: LeaseId) -> Result<Option<i64>, Refusal> {
    let here = match process.lessor.renew(id) {
        Renewal::Renewed(ttl) => return Ok(Some(ttl)),
        Renewal::Missing => return Ok(None),
        Renewal::NotPrimary => None,
        Renewal::Wait(waiting) => Some(waiting.wait().await?),
    };
    match here {
        Some(told) => Ok(told),
        None => LeaderLessor(process.node.clone()).renew(id).await,
    }
}

/// Keeps a lease alive until it is told to stop. A lease may only be gone where nobody could renew it for its whole time.
async fn keep(
    world: &World,
    dice: &mut Dice,
    (id, granted): (LeaseId, Instant),
    stop: &signal::Receiver<bool>,
) -> bool {
    let mut renewed = granted;
    while !*stop.borrow() {
        tokio::time::sleep(TTL / 8).await;
        let running = world.running();
        if running.is_empty() {
            continue;
        }
        let process = &running[dice.below(running.len())];
        let asked = Instant::now();
        let answer = process.unless_it_crashes(tokio::time::timeout(TTL / 4, renew(process, id))).await;
        match answer {
            Some(Ok(Ok(Some(_)))) => renewed = asked,
            Some(Ok(Ok(None))) => {
                let gone = Instant::now() - renewed;
                world.journal().note(format!("lease {id} is gone, last renewed {gone:?} ago"));
                if gone < TTL {
                    world.journal().broken(format!("lease {id} is gone {gone:?} after it was renewed"));
                }
                return false;
            }
            _ => {}
        }
    }
    true
}

/// Grants leases one after the other, until it gets to one that it keeps alive to the end.
pub async fn run(world: World, leases: Leases, mut dice: Dice, first: LeaseId, stop: signal::Receiver<bool>) {
    let mut id = first;
    while !*stop.borrow() {
        id += 1;
        tokio::time::sleep(Duration::from_millis(dice.within(100, 1500) as u64)).await;
        let Some(granted) = grant(&world, &mut dice, id).await else { continue };
        world.journal().note(format!("lease {id} is granted"));
        let alive = dice.one_in(2) && keep(&world, &mut dice, (id, granted), &stop).await;
        leases.0.lock().push(Kept { id, alive });
    }
}
