//! Compares this member's state with the leader's, at least every ten seconds: each asks the leader for the digest of its
//! state after the same log entry. A difference is a fault of a program, a disk or a memory, and it never goes away by
//! itself: it is reported, and its data are kept for an examination.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::api::metrics::{Page, Source};
use crate::model::{Refusal, StateDigest};
use crate::raft::topics::{decode, encode};
use crate::raft::{Handler, Node, Pending, Topic, TopicTaken};
use crate::store::Store;

/// Interval of the comparisons.
const EVERY: Duration = Duration::from_secs(10);
/// How often a leader is asked that does not know the digest after the entry, and the pause between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// The leader's answer for an entry. New variants go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Told {
    /// The digest of its state after the entry; `None` if it does not know it (any more).
    At(Option<StateDigest>),
    /// It has not applied the entry yet.
    NotYet,
}

/// See the module.
pub struct States {
    node: Node,
    store: Store,
    compared: AtomicU64,
    differs: AtomicBool,
}

impl States {
    /// The comparisons of a member, which also answers the others' questions from now on.
    ///
    /// # Errors
    /// [`TopicTaken`].
    pub(super) fn new(node: &Node, store: &Store) -> Result<Arc<Self>, TopicTaken> {
        node.register(Topic::STATES, Arc::new(StateHandler { node: node.clone(), store: store.clone() }))?;
        let (compared, differs) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(Arc::new(Self { node: node.clone(), store: store.clone(), compared, differs }))
    }

    /// True if the last comparison found that this member's state is not the leader's.
    pub fn differs(&self) -> bool {
        self.differs.load(Ordering::Relaxed)
    }

    /// Compares for ever.
    pub(super) async fn run(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if self.node.status().is_leader {
                continue;
            }
            if let Err(refusal) = self.compare().await {
                tracing::debug!(%refusal, "the state was not compared with the leader's");
            }
        }
    }

    async fn compare(&self) -> Result<(), Refusal> {
        let Some(mut own) = self.store.digest() else { return Ok(()) };
        for _ in 0..TRIES {
            let answer = self.node.ask_leader(Topic::STATES, encode(&own.index)?).await?;
            match decode(&answer)? {
                Told::At(Some(leaders)) if leaders.index == own.index && leaders.scheme == own.scheme => {
                    self.judge(own, leaders);
                    return Ok(());
                }
                Told::At(Some(_)) => return Ok(()),
                // To a busy leader the entry is too long ago: a later one may not be.
                Told::At(None) => own = self.store.digest().unwrap_or(own),
                Told::NotYet => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn judge(&self, own: StateDigest, leaders: StateDigest) {
        self.compared.fetch_add(1, Ordering::Relaxed);
        let differs = own.value != leaders.value;
        let differed = self.differs.swap(differs, Ordering::Relaxed);
        if differs && !differed {
            tracing::error!(
                index = own.index,
                digest = hex(&own),
                leaders = hex(&leaders),
                "after the same log entry the state of this member is not the leader's: one of the two must be \
                 replaced, the leader if all others report the same"
            );
        }
    }
}

/// As text, without the zeros at the end.
fn hex(digest: &StateDigest) -> String {
    digest.value.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Source for States {
    fn write(&self, page: &mut Page) {
        let help = "Comparisons of this member's state with the leader's.";
        page.counter("kvd_state_comparisons_total", help, self.compared.load(Ordering::Relaxed));
        let help =
            "Whether this member's state is not the leader's: 1 means that one of the two must be replaced.";
        page.gauge("kvd_state_differs", help, u64::from(self.differs()));
    }
}

/// Answers other members while this one leads.
struct StateHandler {
    node: Node,
    store: Store,
}

impl StateHandler {
    fn tell(&self, question: &[u8]) -> Result<Bytes, Refusal> {
        let index = decode(question)?;
        if !self.node.status().is_leader {
            return Err(Refusal::NotLeader);
        }
        let is_applied = self.store.applied().is_some_and(|applied| applied.index >= index);
        encode(&if is_applied { Told::At(self.store.digest_at(index)) } else { Told::NotYet })
    }
}

impl Handler for StateHandler {
    fn answer(&self, question: Bytes) -> Pending<Result<Bytes, Refusal>> {
        let told = self.tell(&question);
        Box::pin(async move { told })
    }
}
