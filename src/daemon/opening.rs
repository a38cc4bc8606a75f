//! From the configuration to the parts that a member needs from outside.

use std::sync::Arc;

use super::exit::fatal;
use super::outside::{SystemClock, SystemEntropy};
use super::running::{retention, settings};
use crate::auth::LoginOptions;
use crate::config::{Config, OnDivergence};
use crate::files;
use crate::join::identity::Identity;
use crate::log::{self, Log, LogError, Neighbour, RealDisk};
use crate::member::directory::Directories;
use crate::member::{Checks, RaftOn, Scrub, Seams};
use crate::model::{Budget, LogPosition, Version};
use crate::peer::Transport;
use crate::raft::{self, NodeOptions};
use crate::store::{self, CheckAtStart, CheckpointPolicy, Condemned, OnDamage, Store, StoreError};

/// Opens the store.
///
/// # Errors
/// See [`Store::open`].
pub fn store(config: &Config, directories: &Directories) -> Result<Store, StoreError> {
    let defaults = store::Options::default();
    let storage = &config.storage;
    let checkpoint = match defaults.checkpoint {
        CheckpointPolicy::Background { bytes, .. } => CheckpointPolicy::Background {
            interval: storage.checkpoint_interval,
            bytes,
            operations: storage.checkpoint_operations,
        },
        other => other,
    };
    let options = store::Options {
        map_size: storage.map_size.map_or(defaults.map_size, |size| size as usize),
        quota: storage.quota,
        checkpoint,
        compaction_batch: storage.compaction_batch,
        compaction_sleep: storage.compaction_sleep,
        slow_apply: config.logging.warn_apply,
        answers: Budget::new(answers(config)),
        check_at_start: check_at_start(config),
        on_damage: OnDamage::Condemn { replace: storage.on_divergence == OnDivergence::Rebuild },
        on_fatal: Some(Arc::new(|error| fatal("the store failed", error))),
        ..defaults
    };
    let store = match Store::open(&directories.store, options.clone()) {
        Err(error @ StoreError::Damaged(_)) => without_data(config, directories, options, error)?,
        opened => opened?,
    };
    if let Some(megabytes) = storage.defragment_at_start {
        defragment_if_worth(&store, megabytes << 20)?;
    }
    Ok(store)
}

/// Without a scrub nothing but the start checks the data.
fn check_at_start(config: &Config) -> CheckAtStart {
    match config.storage.scrub_every.is_zero() {
        true => CheckAtStart::Always,
        false => CheckAtStart::AfterCrash,
    }
}

/// A member of several whose state is damaged takes part without data, until it has the leader's. A single one has
/// nothing else.
fn without_data(
    config: &Config,
    directories: &Directories,
    options: store::Options,
    error: StoreError,
) -> Result<Store, StoreError> {
    let replace = config.storage.on_divergence == OnDivergence::Rebuild;
    let condemned = Condemned { why: error.to_string(), replace, told: false };
    match Store::open_remains(&directories.store, options, &condemned, raft::has_several_voters)? {
        Some(store) => {
            tracing::error!(
                why = condemned.why,
                replace,
                "the data of this member are damaged: it serves nothing of them, and takes part without them"
            );
            Ok(store)
        }
        None => {
            tracing::error!(
                "this member cannot take part without its data: if there are others, remove it and let it join anew; if \
                 not, restore a backup, or save what is left by `kvctl recover salvage`"
            );
            Err(error)
        }
    }
}

/// The memory for answers: several of the largest values fit in any case.
fn answers(config: &Config) -> usize {
    let limits = &config.limits;
    limits.max_unsent_bytes.max(limits.max_request_bytes.saturating_mul(8))
}

fn defragment_if_worth(store: &Store, threshold: u64) -> Result<(), StoreError> {
    let sizes = store.sizes();
    let free = sizes.allocated.saturating_sub(sizes.in_use);
    if free < threshold {
        tracing::info!(free, threshold, "nothing to defragment at the start");
        return Ok(());
    }
    tracing::info!(free, threshold, "defragmenting at the start");
    store.defragment()
}

/// Opens the log, after the store: with both on one disk, it leaves the room that the store needs.
///
/// # Errors
/// See [`Log::open`].
pub fn log(
    config: &Config,
    directories: &Directories,
    disk: Arc<RealDisk>,
    store: &Store,
) -> Result<Log, LogError> {
    if config.emergency.unsafe_no_fsync {
        tracing::warn!(
            "unsafe-no-fsync: the log is not flushed; a crash of the machine loses what was acknowledged, \
             or spoils the member's data for good"
        );
    }
    let fail =
        |source| LogError::Io { file: directories.log.display().to_string(), source: Arc::new(source) };
    let size = files::disk_size(&directories.log).map_err(fail)?;
    let shared = files::share_a_disk(&directories.log, &directories.store).map_err(fail)?;
    let options = log::Options {
        flush: !config.emergency.unsafe_no_fsync,
        neighbour: shared.then(|| Arc::new(Beside(store.clone())) as Arc<dyn Neighbour>),
        on_failure: Arc::new(|error| fatal("the log failed", error)),
        ..log::Options::on_disk_of(size, Arc::new(SystemEntropy))
    };
    Log::open(disk, options)
}

/// The store on the log's disk.
struct Beside(Store);

impl Neighbour for Beside {
    fn applied(&self) -> Option<LogPosition> {
        self.0.applied()
    }

    fn needs(&self, entries: u64) -> u64 {
        self.0.room_needed(entries)
    }

    fn lost(&self, bytes: u64) {
        self.0.lost_room(bytes);
    }
}

/// The version of this program. A test of upgrades makes one program claim several; a release build claims its own.
pub fn version() -> Version {
    let claimed = std::env::var("KVD_TEST_VERSION").ok().filter(|_| cfg!(debug_assertions));
    claimed.as_deref().and_then(Version::parse).unwrap_or(Version::OWN)
}

/// The seams of the member that this process is. `fresh` says that it starts for the first time.
pub fn seams(
    config: &Config,
    (identity, fresh): (Identity, bool),
    (log, store): (Log, Store),
    transport: Arc<dyn Transport>,
    logins: LoginOptions,
) -> Seams {
    let raft = NodeOptions {
        name: config.member.name.clone(),
        client_urls: config
            .addresses
            .advertise_client_urls
            .iter()
            .map(|url| url.as_str().to_string())
            .collect(),
        // A new cluster needs no force.
        force_new_cluster: config.emergency.force_new_cluster && !fresh,
        heartbeat: config.raft.heartbeat_interval,
        election: config.raft.election_timeout,
        snapshot_count: config.raft.snapshot_count,
        catchup_entries: config.raft.snapshot_catchup_entries,
        strict_reconfig: config.raft.strict_reconfig_check,
        max_learners: config.raft.max_learners,
        epoch: identity.epoch,
        version: version(),
        pre_vote: config.raft.pre_vote,
        on_fatal: Arc::new(|why| fatal("raft failed", &why)),
        ..NodeOptions::new(identity.member, identity.cluster, log, store, transport, Arc::new(SystemClock))
    };
    Seams {
        raft_on: RaftOn::Thread,
        settings: settings(config),
        logins,
        retention: retention(config),
        checks: checks(config),
        ..Seams::new(raft)
    }
}

/// How members compare their states.
fn checks(config: &Config) -> Checks {
    let (storage, features) = (&config.storage, &config.features);
    Checks {
        replaces: storage.on_divergence == OnDivergence::Rebuild,
        corrupt_check: storage.corrupt_check,
        compact_hash_check: features.is_on("CompactHashCheck").then_some(storage.compact_hash_check),
        scrub: (!storage.scrub_every.is_zero())
            .then_some(Scrub { every: storage.scrub_every, bytes_per_second: storage.scrub_pace }),
        initial: features.is_on("InitialCorruptCheck"),
    }
}
