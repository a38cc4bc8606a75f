//! Members for tests: the log is in memory, and the seams are whatever the test passes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::{Member, Seams};
use crate::api::services::Settings;
use crate::auth::LoginOptions;
use crate::log::{self, Log, SimDisk};
use crate::model::{self, Clock, Entropy, MemberId, cluster_id};
use crate::peer::{NoTransport, Transport};
use crate::raft::{self, NodeOptions};
use crate::store::Store;

/// Random enough for the salts of a log.
#[derive(Default)]
pub struct Salts(AtomicU64);

impl Entropy for Salts {
    fn next(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// A wall clock that stands still; the monotonic clock runs.
pub struct StoppedClock;

impl Clock for StoppedClock {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }

    fn monotonic(&self) -> Duration {
        static BEGINNING: LazyLock<tokio::time::Instant> = LazyLock::new(tokio::time::Instant::now);
        BEGINNING.elapsed()
    }
}

/// The options of a log's segments and flushes in a test.
pub fn log_options() -> log::Options {
    log::Options::new(Arc::new(Salts::default()))
}

/// Raft's options of a founder at its first start, after its log was begun.
pub async fn founder(
    id: MemberId,
    founders: &[model::Member],
    (log, store): (log::Options, Store),
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
) -> NodeOptions {
    let log = Log::open(Arc::new(SimDisk::new(id.0)), log).expect("a log on an empty disk");
    raft::found(&log, founders).await.expect("a begun log");
    let ids: Vec<MemberId> = founders.iter().map(|member| member.id).collect();
    NodeOptions::new(id, cluster_id(&ids), log, store, transport, clock)
}

/// A single leader that does its jobs.
pub async fn lone_leader(store: Store, settings: Settings) -> Member {
    lone_leader_with(store, settings, LoginOptions { bcrypt_cost: 4, ..LoginOptions::default() }).await
}

/// A single leader on which users log in by these settings.
pub async fn lone_leader_with(store: Store, settings: Settings, logins: LoginOptions) -> Member {
    let url = "http://localhost:2380".to_string();
    let id = MemberId::compute(std::slice::from_ref(&url), "etcd-cluster", None);
    let founders = [model::Member::founder(id, vec![url])];
    let (transport, clock) = (Arc::new(NoTransport), Arc::new(StoppedClock));
    let raft = NodeOptions {
        client_urls: vec!["http://localhost:2379".into()],
        heartbeat: settings.heartbeat_interval,
        election: settings.election_timeout,
        ..founder(id, &founders, (log_options(), store), transport, clock).await
    };
    let member = Member::start(Seams { settings, logins, ..Seams::new(raft) }).await.expect("a member");
    member.node.leadership().wait_for(|leadership| leadership.leading).await.expect("a leader");
    tokio::spawn(member.all_jobs());
    while !member.lessor.is_primary() {
        tokio::task::yield_now().await;
    }
    member
}
