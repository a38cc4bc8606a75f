//! The space quota. The member that receives a request refuses what does not fit, before it is proposed. A command that
//! was proposed before that, or by a member with a larger quota, is applied and answered by all members alike; a member
//! whose data it takes above its quota raises the alarm, and that makes all members refuse.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::{Alarm, AlarmKind, Caller, Command, Observer, Refusal};
use crate::raft::Node;
use crate::store::{Store, quota};

/// Longest wait of a command for the room that a running compaction makes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Interval at which it checks for that room.
const COMPACTING: Duration = Duration::from_millis(20);

/// Notices when applying takes this member above its quota: an observer of its store.
#[derive(Default)]
pub struct SpaceWatch(Notify);

impl SpaceWatch {
    /// A watch that has noticed nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Raises the alarm when it is due; runs for ever.
    pub async fn run(&self, node: &Node, store: &Store) {
        loop {
            self.0.notified().await;
            if !is_full(store, 0).await {
                continue;
            }
            if let Err(error) = raise(node, store).await {
                // The next command that takes space is noticed, too.
                tracing::warn!(%error, "the alarm of the space quota could not be raised");
            }
        }
    }
}

impl Observer for SpaceWatch {
    fn on_quota_exceeded(&self) {
        self.0.notify_one();
    }

    fn on_restored(&self, _: i64) {}
}

/// Refuses a command that does not fit into this member's quota, and raises the alarm.
///
/// # Errors
/// [`Refusal::NoSpace`], or why the alarm could not be raised.
pub async fn check(node: &Node, store: &Store, command: &Command) -> Result<(), Refusal> {
    let cost = quota::cost(command);
    // A command that needs no space can only free some.
    if cost == 0 || !is_full(store, cost).await {
        return Ok(());
    }
    if !store.is_compacting() {
        raise(node, store).await?;
    }
    Err(Refusal::NoSpace)
}

/// True if `cost` more bytes do not fit. Bytes that a running compaction is about to free count as free: this waits for
/// them.
async fn is_full(store: &Store, cost: u64) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while store.sizes().exceeded_by(cost) && store.is_compacting() && Instant::now() < deadline {
        tokio::time::sleep(COMPACTING).await;
    }
    store.sizes().exceeded_by(cost)
}

async fn raise(node: &Node, store: &Store) -> Result<(), Refusal> {
    let alarm = Alarm { member: node.status().id, kind: AlarmKind::NoSpace };
    if store.alarms().contains(&alarm) {
        return Ok(());
    }
    let sizes = store.sizes();
    tracing::warn!(in_use = sizes.in_use, quota = sizes.quota, "space quota exceeded");
    node.propose(Caller::System, Command::AlarmRaise(alarm)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use crate::api::services::Settings;
    use crate::member::lab::lone_leader;
    use crate::model::{Delete, KeyRange, Op, Put, Reply, Txn};
    use crate::store::Options;

    use super::*;

    fn put(length: usize) -> Command {
        Command::Put(Put { key: "k".into(), value: vec![0; length].into(), ..Put::default() })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_others_propose_is_applied_and_raises_the_alarm() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { map_size: 1 << 30, quota: Some(40_000), ..Options::default() };
        let store = Store::open(dir.path(), options).unwrap();
        let member = lone_leader(store.clone(), Settings::default()).await;
        let services = member.services.clone();
        // As forwarded by a member that has room: this member does not check them before they are in the log.
        for _ in 0..3 {
            let reply = services.node.propose(Caller::Anonymous, put(10_000)).await;
            assert!(matches!(reply, Ok(Reply::Op(_)) | Err(Refusal::NoSpace)), "{reply:?}");
        }
        while store.alarms().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(services.node.propose(Caller::Anonymous, put(1)).await, Err(Refusal::NoSpace));
        // Disarmed while the store is full: the next write request here raises it again.
        let alarm = store.alarms()[0];
        services.node.propose(Caller::Anonymous, Command::AlarmClear(alarm)).await.unwrap();
        assert_eq!(services.check_quota(&put(1)).await, Err(Refusal::NoSpace));
        assert_eq!(store.alarms(), [alarm]);
        // A larger quota counts at once, for requests and in answers.
        store.set_quota(Some(1 << 30));
        services.node.propose(Caller::Anonymous, Command::AlarmClear(alarm)).await.unwrap();
        assert_eq!(services.check_quota(&put(10_000)).await, Ok(()));
        assert!(services.node.propose(Caller::Anonymous, put(10_000)).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_takes_no_space_is_never_refused() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { map_size: 1 << 30, quota: Some(1), ..Options::default() };
        let store = Store::open(dir.path(), options).unwrap();
        let services = lone_leader(store, Settings::default()).await.services;
        let delete = Op::Delete(Delete { range: KeyRange::single("k"), prev_kv: false });
        let deletes = Command::Txn(Txn { success: vec![delete], ..Txn::default() });
        assert_eq!(services.check_quota(&deletes).await, Ok(()));
        assert_eq!(services.check_quota(&put(1)).await, Err(Refusal::NoSpace));
    }
}
