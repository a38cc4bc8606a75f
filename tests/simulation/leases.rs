//! Leases: some are kept alive and must stay, others are not and must end. Holders stay with one member or ask any; a
//! promise of any member is binding for all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kvd::lease::{Remote, Renewal};
use kvd::member::leases::LeaderLessor;
use kvd::model::{Command, LeaseId, Put, Refusal};
use parking_lot::Mutex;
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::dice::Dice;
use super::world::{Process, World};

/// Time to live of all leases here.
pub const TTL: Duration = Duration::from_secs(4);

/// The state of the leases. Clones share it.
#[derive(Clone, Default)]
pub struct Leases(Arc<Told>);

#[derive(Default)]
struct Told {
    kept: Mutex<Vec<Kept>>,
    /// The time of the last request of a lease that was acknowledged: from then on it lives for its whole time.
    promised: Mutex<BTreeMap<LeaseId, (Instant, u64)>>,
}

/// A lease with a key.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: LeaseId,
    /// When its last renewal was asked for, if it was kept alive to the end.
    pub renewed: Option<Instant>,
}

pub fn key_of(id: LeaseId) -> Bytes {
    Bytes::from(format!("lease/{id}"))
}

impl Leases {
    pub fn all(&self) -> Vec<Kept> {
        self.0.kept.lock().clone()
    }

    /// For each lease: the time of the last acknowledged grant or renewal, and the member that acknowledged it.
    pub fn promised(&self) -> BTreeMap<LeaseId, (Instant, u64)> {
        self.0.promised.lock().clone()
    }

    fn acknowledged(&self, id: LeaseId, asked: Instant, at: &Process) {
        let mut promised = self.0.promised.lock();
        let last = promised.entry(id).or_insert((asked, at.id));
        *last = (*last).max((asked, at.id));
    }
}

/// Grants a lease and puts a key under it. Returns the time of the request, or `None` if it failed.
async fn grant(world: &World, leases: &Leases, dice: &mut Dice, id: LeaseId) -> Option<Instant> {
    let asked = Instant::now();
    let running = world.running();
    if running.is_empty() {
        return None;
    }
    let process = &running[dice.below(running.len())];
    let work = async {
        process.node.propose(process.root(), Command::LeaseGrant { id, ttl: TTL.as_secs() as i64 }).await?;
        leases.acknowledged(id, asked, process);
        let put = Put { key: key_of(id), value: "held".into(), lease: id, ..Put::default() };
        process.node.propose(process.root(), Command::Put(put)).await
    };
    matches!(process.unless_it_crashes(work).await, Some(Ok(_))).then_some(asked)
}

/// Renews a lease at one member: the time it lives, `None` if it does not exist.
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

/// A client that keeps a lease alive.
struct Holder<'a> {
    world: &'a World,
    leases: &'a Leases,
    dice: &'a mut Dice,
    /// Stays with a member as long as that one acknowledges.
    loyal: bool,
}

impl Holder<'_> {
    /// The next member to ask.
    fn choose(&mut self, last: Option<Process>) -> Option<Process> {
        let mut running = self.world.running();
        if let Some(last) = last.filter(|last| self.loyal && !*last.crashed.borrow()) {
            return Some(last);
        }
        (!running.is_empty()).then(|| running.swap_remove(self.dice.below(running.len())))
    }

    /// Keeps a lease alive until it is stopped; returns when its last renewal was asked for, or `None` if it ended before.
    /// The lease may end only if nobody could renew it for its whole time.
    async fn keep(
        &mut self,
        id: LeaseId,
        granted: Instant,
        stop: &signal::Receiver<bool>,
    ) -> Option<Instant> {
        let (mut renewed, mut last) = (granted, None);
        while !*stop.borrow() {
            tokio::time::sleep(TTL / 8).await;
            let Some(process) = self.choose(last.take()) else { continue };
            let asked = Instant::now();
            let answer = process.unless_it_crashes(tokio::time::timeout(TTL / 4, renew(&process, id))).await;
            match answer {
                Some(Ok(Ok(Some(_)))) => {
                    renewed = asked;
                    self.leases.acknowledged(id, asked, &process);
                    last = Some(process);
                }
                Some(Ok(Ok(None))) => {
                    let gone = Instant::now() - renewed;
                    self.world.journal().note(format!("lease {id} is gone, last renewed {gone:?} ago"));
                    if gone < TTL {
                        let what = format!("lease {id} is gone {gone:?} after it was renewed");
                        self.world.journal().broken(what);
                    }
                    return None;
                }
                _ => {}
            }
        }
        Some(renewed)
    }
}

/// Grants leases one after another, until one that it keeps alive to the end.
pub async fn run(world: World, leases: Leases, mut dice: Dice, first: LeaseId, stop: signal::Receiver<bool>) {
    let mut id = first;
    while !*stop.borrow() {
        id += 1;
        tokio::time::sleep(Duration::from_millis(dice.within(100, 1500) as u64)).await;
        let Some(granted) = grant(&world, &leases, &mut dice, id).await else { continue };
        world.journal().note(format!("lease {id} is granted"));
        let (kept, loyal) = (dice.one_in(2), dice.one_in(2));
        let mut holder = Holder { world: &world, leases: &leases, dice: &mut dice, loyal };
        let renewed = if kept { holder.keep(id, granted, &stop).await } else { None };
        leases.0.kept.lock().push(Kept { id, renewed });
    }
}
