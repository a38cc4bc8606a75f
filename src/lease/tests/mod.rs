//! Tests of the room on simulated time: stories in `tests/golden/lessor`, and loads.

mod golden;
mod loads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Answering, Claim, Lessor, Options, Proposer, Renewal};
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

/// The cluster around a lessor: replicated leases, clocks, a log of what was proposed.
struct World {
    started: Instant,
    leases: Mutex<BTreeMap<LeaseId, Lease>>,
    lessor: Mutex<Option<Arc<Lessor>>>,
    consensus: Mutex<Consensus>,
    leads: Mutex<bool>,
    /// By how much the wall clocks were stepped.
    clock_step_ms: Mutex<i64>,
    /// Number of members that were started.
    members: Mutex<u64>,
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
            members: Mutex::new(0),
            log: Mutex::default(),
            revokes: Mutex::default(),
        })
    }

    /// A lessor of another member, with its task running. Its clocks are hours away from those of the one before.
    fn start(self: &Arc<Self>) -> (Arc<Lessor>, tokio::task::JoinHandle<()>) {
        let world = self.clone();
        let source = move || Ok(world.leases.lock().values().cloned().collect());
        let options =
            Options { election_timeout: Duration::from_secs(1), heartbeat: Duration::from_millis(100) };
        let clock = Arc::new(self.clocks());
        let lessor = Lessor::new(Arc::new(source), clock, MemberId(1), options);
        *self.lessor.lock() = Some(lessor.clone());
        let task = tokio::spawn(lessor.clone().run(Arc::new(Raft(self.clone()))));
        (lessor, task)
    }

    fn clocks(self: &Arc<Self>) -> Clocks {
        let mut members = self.members.lock();
        *members += 1;
        let hours = if members.is_multiple_of(2) { 3 } else { -3 };
        let up = Duration::from_secs(100_000 * (4 - members.min(4)));
        Clocks { world: self.clone(), off_ms: hours * 3_600_000, up }
    }

    /// Whether the member that was promoted may claim to lead.
    fn claim(self: &Arc<Self>) -> Claim {
        let world = self.clone();
        Arc::new(move || *world.leads.lock())
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
        self.leases.lock().insert(id, Lease { id, ttl, remaining_ms: None });
        self.tell(LeaseChange::Granted { id, ttl });
    }

    fn apply(&self, command: Command) -> Result<Reply, Refusal> {
        match command {
            Command::LeaseRevoke { id } => {
                self.note(&format!("revoke {id}"));
                self.leases.lock().remove(&id).ok_or(Refusal::LeaseNotFound)?;
                self.tell(LeaseChange::Revoked { id });
            }
            Command::LeaseCheckpoint { remaining } => {
                for (id, remaining_ms) in remaining {
                    match remaining_ms {
                        None => self.note(&format!("checkpoint {id} cleared")),
                        Some(left) => {
                            self.note(&format!("checkpoint {id}: {:.1}s left", left as f64 / 1000.0))
                        }
                    }
                    if let Some(lease) = self.leases.lock().get_mut(&id) {
                        lease.remaining_ms = remaining_ms;
                    }
                }
            }
            other => panic!("a lessor proposes no {other:?}"),
        }
        Ok(Reply::Done { revision: 1 })
    }
}

struct Clocks {
    world: Arc<World>,
    off_ms: i64,
    up: Duration,
}

impl Clock for Clocks {
    fn now_ms(&self) -> i64 {
        let now = 1_700_000_000_000 + self.world.started.elapsed().as_millis() as i64;
        now + self.off_ms + *self.world.clock_step_ms.lock()
    }

    fn monotonic(&self) -> Duration {
        self.up + self.world.started.elapsed()
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
