//! Tests of the room on simulated time: stories in `tests/golden/lessor`, and loads.

mod golden;
mod loads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Answering, Lessor, Options, Proposer, Renewal};
use crate::model::{Clock, Command, Lease, LeaseChange, LeaseId, MemberId, Observer, Refusal, Reply};

/// How consensus behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consensus {
    Works,
    /// Proposals are answered with a timeout.
    Fails,
    /// Proposals are never answered.
    Stalls,
}

/// The cluster around a lessor: replicated leases, a wall clock, a log of what was proposed.
struct World {
    started: Instant,
    leases: Mutex<BTreeMap<LeaseId, Lease>>,
    lessor: Mutex<Option<Arc<Lessor>>>,
    consensus: Mutex<Consensus>,
    leads: Mutex<bool>,
    clock_step_ms: Mutex<i64>,
    log: Mutex<Vec<String>>,
    revokes: Mutex<(usize, usize)>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            leases: Mutex::default(),
            lessor: Mutex::new(None),
            consensus: Mutex::new(Consensus::Works),
            leads: Mutex::new(true),
            clock_step_ms: Mutex::new(0),
            log: Mutex::default(),
            revokes: Mutex::default(),
        })
    }

    /// A lessor of a member that starts now, with its task running.
    fn start(self: &Arc<Self>) -> (Arc<Lessor>, tokio::task::JoinHandle<()>) {
        let world = self.clone();
        let source = move || Ok(world.leases.lock().values().cloned().collect());
        let options =
            Options { election_timeout: Duration::from_secs(1), heartbeat: Duration::from_millis(100) };
        let clock = Arc::new(WallClock(self.clone()));
        let lessor = Lessor::new(Arc::new(source), clock, MemberId(1), options);
        *self.lessor.lock() = Some(lessor.clone());
        let task = tokio::spawn(lessor.clone().run(Arc::new(Raft(self.clone()))));
        (lessor, task)
    }

    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.started.elapsed().as_millis() as i64 + *self.clock_step_ms.lock()
    }

    fn note(&self, what: &str) {
        self.log.lock().push(format!("{:.1}s {what}", self.started.elapsed().as_secs_f64()));
    }

    fn tell(&self, change: LeaseChange) {
        let lessor = self.lessor.lock().clone();
        if let Some(lessor) = lessor {
            lessor.on_leases(&[change]);
        }
    }

    fn grant(&self, id: LeaseId, ttl: i64) {
        let deadline_ms = Some(self.now_ms() + ttl * 1000);
        self.leases.lock().insert(id, Lease { id, ttl, deadline_ms });
        self.tell(LeaseChange::Granted { id, ttl });
    }

    fn apply(&self, command: Command) -> Result<Reply, Refusal> {
        match command {
            Command::LeaseRevoke { id } => {
                self.note(&format!("revoke {id}"));
                self.leases.lock().remove(&id).ok_or(Refusal::LeaseNotFound)?;
                self.tell(LeaseChange::Revoked { id });
            }
            Command::LeaseCheckpoint { deadlines } => {
                for (id, deadline_ms) in deadlines {
                    match deadline_ms {
                        None => self.note(&format!("checkpoint {id} cleared")),
                        Some(at) => {
                            let left = (at - self.now_ms()) as f64 / 1000.0;
                            self.note(&format!("checkpoint {id} in {left:.1}s"));
                        }
                    }
                    if let Some(lease) = self.leases.lock().get_mut(&id) {
                        lease.deadline_ms = deadline_ms;
                    }
                }
            }
            other => panic!("a lessor proposes no {other:?}"),
        }
        Ok(Reply::Done { revision: 1 })
    }
}

struct WallClock(Arc<World>);

impl Clock for WallClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }
}

struct Raft(Arc<World>);

impl Proposer for Raft {
    fn propose(&self, _term: u64, command: Command) -> Answering<Reply> {
        let world = self.0.clone();
        Box::pin(async move {
            {
                let mut revokes = world.revokes.lock();
                revokes.0 += 1;
                revokes.1 = revokes.1.max(revokes.0);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            let behaves = *world.consensus.lock();
            world.revokes.lock().0 -= 1;
            match behaves {
                Consensus::Works => world.apply(command),
                Consensus::Fails => Err(Refusal::Timeout),
                Consensus::Stalls => std::future::pending().await,
            }
        })
    }

    fn confirm(&self) -> Answering<()> {
        let world = self.0.clone();
        Box::pin(async move {
            world.note("makes sure that it leads");
            if *world.leads.lock() { Ok(()) } else { Err(Refusal::NotLeader) }
        })
    }
}

/// Renews, waiting as long as it takes.
async fn renewed(lessor: &Arc<Lessor>, id: LeaseId) -> String {
    let outcome = match lessor.renew(id) {
        Renewal::Renewed(ttl) => Ok(Some(ttl)),
        Renewal::Missing => Ok(None),
        Renewal::NotPrimary => Err(Refusal::NotPrimaryLessor),
        Renewal::Wait(waiting) => waiting.wait().await,
    };
    match outcome {
        Ok(Some(ttl)) => format!("renewed for {ttl}s"),
        Ok(None) => "no such lease".to_string(),
        Err(refusal) => refusal.to_string(),
    }
}
