//! Automatic compaction (etcd `--auto-compaction-mode`, semantics section 6): the leader alone proposes it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::parts::{Job, Member};
use super::seams::Retention;
use crate::model::{Caller, Command, Refusal};
use crate::raft::Node;
use crate::store::Store;

/// Interval at which a retention by revisions is checked (etcd's five minutes).
const REVISION_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Compacts as the retention requires.
pub fn job(member: &Member) -> Job {
    let retention = member.retention.subscribe();
    let compacting = Compacting { node: member.node.clone(), store: member.store.clone() };
    Box::pin(async move { run(retention, &compacting).await })
}

/// What is compacted.
trait Target {
    /// True on the leader.
    fn is_leader(&self) -> bool;
    /// The store's current revision.
    fn revision(&self) -> i64;
    /// Compacts through the log.
    fn compact(&self, revision: i64) -> impl Future<Output = Result<(), Refusal>>;
}

/// Compacts through the log.
struct Compacting {
    node: Node,
    store: Store,
}

impl Target for Compacting {
    fn is_leader(&self) -> bool {
        self.node.status().is_leader
    }

    fn revision(&self) -> i64 {
        self.store.revision()
    }

    async fn compact(&self, revision: i64) -> Result<(), Refusal> {
        self.node.propose(Caller::System, Command::Compact { revision }).await.map(drop)
    }
}

/// Compacts for as long as it is polled. A change of the retention starts over: samples are dropped.
async fn run(mut retention: watch::Receiver<Retention>, member: &impl Target) {
    loop {
        let now = *retention.borrow_and_update();
        tokio::select! {
            () = follow(now, member) => {}
            changed = retention.changed() => if changed.is_err() {
                return follow(now, member).await;
            },
        }
    }
}

async fn follow(retention: Retention, member: &impl Target) {
    match retention {
        Retention::Off => std::future::pending().await,
        Retention::Period(period) => by_period(period, member).await,
        Retention::Revisions(keep) => by_revisions(keep, member).await,
    }
}

/// Samples the revision ten times per interval (the period, at most an hour) and compacts once per interval to the
/// revision of one period ago. Every member takes samples, so that a new leader knows the past.
async fn by_period(period: Duration, member: &impl Target) {
    let interval = period.min(Duration::from_secs(3600));
    let pause = (interval / 10).max(Duration::from_millis(1));
    let mut samples: VecDeque<(Instant, i64)> = VecDeque::new();
    let mut due = Instant::now() + period;
    loop {
        let now = Instant::now();
        samples.push_back((now, member.revision()));
        if now >= due {
            let past = samples.iter().take_while(|(at, _)| *at + period <= now).last().copied();
            if let Some((_, revision)) = past {
                samples.retain(|(at, _)| *at + period > now);
                if compact(member, revision).await {
                    due = now + interval;
                } else {
                    samples.push_front((now - period, revision));
                }
            }
        }
        tokio::time::sleep(pause).await;
    }
}

async fn by_revisions(keep: i64, member: &impl Target) {
    let mut done = 0;
    loop {
        tokio::time::sleep(REVISION_INTERVAL).await;
        let revision = member.revision() - keep;
        if revision > 0 && revision != done && compact(member, revision).await {
            done = revision;
        }
    }
}

/// True if nothing is left to do: it was compacted, or this member is not the leader.
async fn compact(member: &impl Target, revision: i64) -> bool {
    if !member.is_leader() {
        return true;
    }
    match member.compact(revision).await {
        Ok(()) => tracing::info!(revision, "completed auto compaction"),
        Err(Refusal::Compacted { .. }) => tracing::debug!(revision, "auto compaction found nothing to do"),
        Err(error) => {
            tracing::warn!(revision, %error, "failed auto compaction, will try again");
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    #[derive(Clone)]
    struct Fake {
        leader: Rc<Cell<bool>>,
        start: Instant,
        compacted: Rc<RefCell<Vec<i64>>>,
        fail: Rc<Cell<bool>>,
    }

    impl Fake {
        fn new() -> Self {
            Self {
                leader: Rc::new(Cell::new(true)),
                start: Instant::now(),
                compacted: Rc::default(),
                fail: Rc::default(),
            }
        }
    }

    impl Target for Fake {
        fn is_leader(&self) -> bool {
            self.leader.get()
        }

        /// One revision per second.
        fn revision(&self) -> i64 {
            self.start.elapsed().as_secs() as i64 + 1
        }

        async fn compact(&self, revision: i64) -> Result<(), Refusal> {
            if self.fail.replace(false) {
                return Err(Refusal::Timeout);
            }
            self.compacted.borrow_mut().push(revision);
            Ok(())
        }
    }

    async fn run_for(seconds: u64, retention: Retention, member: &Fake) {
        let (_sender, retention) = watch::channel(retention);
        let _ = tokio::time::timeout(Duration::from_secs(seconds), run(retention, member)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_retention_counts_at_once() {
        let member = Fake::new();
        let (sender, retention) = watch::channel(Retention::Off);
        let change = async {
            tokio::time::sleep(Duration::from_secs(1000)).await;
            sender.send_replace(Retention::Period(Duration::from_secs(600)));
            tokio::time::sleep(Duration::from_secs(650)).await;
            sender.send_replace(Retention::Off);
            tokio::time::sleep(Duration::from_secs(2000)).await;
        };
        tokio::select! {
            () = run(retention, &member) => {}
            () = change => {}
        }
        assert_eq!(*member.compacted.borrow(), [1001]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_period_keeps_what_happened_within_it() {
        let member = Fake::new();
        run_for(1350, Retention::Period(Duration::from_secs(600)), &member).await;
        assert_eq!(*member.compacted.borrow(), [1, 601]);
    }

    #[tokio::test(start_paused = true)]
    async fn long_periods_compact_every_hour() {
        let member = Fake::new();
        run_for(3 * 3600 + 60, Retention::Period(Duration::from_secs(2 * 3600)), &member).await;
        assert_eq!(*member.compacted.borrow(), [1, 3601]);
    }

    #[tokio::test(start_paused = true)]
    async fn revisions_are_counted_every_five_minutes() {
        let member = Fake::new();
        run_for(601, Retention::Revisions(200), &member).await;
        assert_eq!(*member.compacted.borrow(), [101, 401]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_compacts_nothing_and_a_failure_is_tried_again() {
        let member = Fake::new();
        member.leader.set(false);
        run_for(700, Retention::Period(Duration::from_secs(600)), &member).await;
        assert!(member.compacted.borrow().is_empty());
        let member = Fake::new();
        member.fail.set(true);
        run_for(700, Retention::Period(Duration::from_secs(600)), &member).await;
        assert_eq!(*member.compacted.borrow(), [61]);
    }
}
