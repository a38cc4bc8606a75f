//! A state from a file of etcd's backend.
//!
//! The rows of `key` come in the order of revisions. They are collected into layers like those of the head and folded
//! into a new environment, which is used only after the whole file was read. The members stay behind: whoever uses the
//! state elsewhere founds a new cluster with it.

use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;

use heed::RwTxn;
use prost::Message;

use super::schema::{
    ALARM, AUTH, AUTH_ROLES, AUTH_USERS, CONSISTENT_INDEX, KEY, KeyValue, LEASE, META, SCHEDULED_COMPACTION,
    TERM, read_alarm, read_auth, read_lease, read_role, read_user,
};
use crate::bbolt::{Bucket, File, FileError, Rows};
use crate::model::AlarmKind;
use crate::store::checkpoint::fold_registry;
use crate::store::core::{Inner, Shared};
use crate::store::digest::Digests;
use crate::store::format::leases;
use crate::store::format::meta::{EMPTY_SIZE, Meta};
use crate::store::lmdb::Tables;
use crate::store::mvcc::fold::fold_versions;
use crate::store::mvcc::keys::{self, CurrentShape};
use crate::store::mvcc::records::{Record, split_current};
use crate::store::mvcc::revision::Revision;
use crate::store::mvcc::scan::Walk;
use crate::store::mvcc::stored;
use crate::store::mvcc::written::{Live, Version, Written};
use crate::store::registry::Registry;
use crate::store::tables::Id;
use crate::store::{Options, Store, StoreError, seams};

/// Changes that are folded together, and bytes of their keys and values: LMDB keeps a page for each in memory.
const LAYER: usize = 10_000;
const LAYER_BYTES: usize = 8 << 20;

/// Rows of leases and of their keys that are written in one transaction.
const ROWS: usize = 10_000;

/// The highest revision that is taken: there must be many more.
const HIGHEST: i64 = i64::MAX / 2;

/// The position of an etcd's log that its backend has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The index of the last entry that was applied; 0 for none.
    pub index: u64,
    /// Its term; 0 if the etcd did not store it.
    pub term: u64,
}

impl Inner {
    /// See [`crate::store::Store::load_backup`].
    pub fn load_backup<R: Read + Seek>(&self, file: &mut File<R>, bump: i64) -> Result<Imported, StoreError> {
        let mut found = Imported::default();
        let prepared = self.prepare_by(|path| {
            let (shared, imported) = load(path, &self.options, file, bump)?;
            found = imported;
            Ok(shared)
        })?;
        self.adopt(prepared)?;
        Ok(found)
    }

    /// See [`Store::raise_revision`].
    fn raise_revision(&self, bump: i64) -> Result<i64, StoreError> {
        self.checkpoint()?;
        let _writing = self.writing.lock();
        let _applying = self.applying.lock();
        let mut shared = self.shared.write();
        let before = shared.meta.revision;
        let raised = before.checked_add(bump).filter(|raised| *raised <= HIGHEST);
        let beyond =
            || bad(format!("revision {before} cannot be raised by {bump}: {HIGHEST} is the highest"));
        let revision = raised.ok_or_else(beyond)?;
        let meta = Meta { revision, compacted: revision, ..shared.meta.clone() };
        seams::whole(&meta).map_err(bad)?;
        let mut txn = shared.tables.write()?;
        shared.tables.put_meta(&mut txn, &meta)?;
        shared.tables.commit(txn, "raising the revision")?;
        (shared.revision, shared.compacted, shared.meta) = (revision, revision, meta);
        let idle = self.next_generation(&mut shared);
        drop(shared);
        drop(idle);
        Ok(revision)
    }

    /// See [`crate::store::Store::begin_anew`].
    pub fn begin_anew(&self, epoch: u64) -> Result<(), StoreError> {
        self.checkpoint()?;
        let _writing = self.writing.lock();
        let _applying = self.applying.lock();
        let mut shared = self.shared.write();
        // CORRUPT names members of the former cluster, whose states differed: the new one begins with one state.
        let registry = Registry {
            users: shared.registry.users.clone(),
            alarms: shared
                .registry
                .alarms
                .iter()
                .filter(|(kind, _)| *kind != AlarmKind::Corrupt)
                .copied()
                .collect(),
            epoch,
            ..Registry::default()
        };
        let meta = Meta {
            applied: None,
            raft_membership: None,
            cluster_version: None,
            digest: None,
            epoch,
            ..shared.meta.clone()
        };
        let mut txn = shared.tables.write()?;
        fold_registry(&shared.tables, &mut txn, &registry)?;
        shared.tables.put_meta(&mut txn, &meta)?;
        shared.tables.commit(txn, "beginning a new cluster")?;
        shared.digests = Digests::of(&meta);
        (shared.applied, shared.meta) = (None, meta);
        shared.registry = Arc::new(registry);
        shared.durable_registry = shared.registry.clone();
        let idle = self.next_generation(&mut shared);
        drop(shared);
        drop(idle);
        Ok(())
    }
}

impl Store {
    /// Raises the revision by so much, durably, and returns it: everything before counts as compacted, so that whoever
    /// has seen later revisions of another history notices. For a store that nobody uses.
    ///
    /// # Errors
    /// [`StoreError::Snapshot`] if there is no such revision; as [`Store::checkpoint`].
    pub fn raise_revision(&self, bump: i64) -> Result<i64, StoreError> {
        self.0.raise_revision(bump)
    }
}

fn load<R: Read + Seek>(
    path: &Path,
    options: &Options,
    file: &mut File<R>,
    bump: i64,
) -> Result<(Shared, Imported), StoreError> {
    let tables = Tables::open(path, options)?;
    // Nothing refers to it yet, so it need not be consistent before it is complete.
    tables.wait_for_disk(false)?;
    let mut loading = Loading::new(&tables);
    let buckets = file.buckets().map_err(unreadable)?;
    for name in [KEY, META] {
        if !buckets.iter().any(|bucket| bucket.name == name.as_bytes()) {
            return Err(bad(format!("the file has no bucket {name:?}: no etcd wrote it")));
        }
    }
    for bucket in &buckets {
        loading.bucket(bucket, file.rows(bucket).map_err(unreadable)?)?;
    }
    loading.attach()?;
    let meta = loading.meta(bump)?;
    seams::whole(&meta).map_err(bad)?;
    let mut txn = tables.write()?;
    fold_registry(&tables, &mut txn, &loading.registry)?;
    tables.put_meta(&mut txn, &meta)?;
    tables.commit(txn, "committing an imported state")?;
    let imported = loading.imported;
    tables.wait_for_disk(true)?;
    tables.sync()?;
    Ok((Shared::load(tables)?, imported))
}

fn bad(what: impl Into<String>) -> StoreError {
    StoreError::Snapshot(what.into())
}

fn unreadable(error: FileError) -> StoreError {
    bad(error.to_string())
}

/// What was read so far.
struct Loading<'t> {
    tables: &'t Tables,
    registry: Registry,
    /// Versions that are not in LMDB yet.
    layer: Written,
    /// The last revision.
    revision: i64,
    /// The last change.
    last: Option<Revision>,
    /// The compacted revision, 0 for none.
    compacted: i64,
    /// Bytes of all versions.
    in_use: u64,
    imported: Imported,
}

impl<'t> Loading<'t> {
    fn new(tables: &'t Tables) -> Self {
        Self {
            tables,
            registry: Registry::default(),
            layer: Written::default(),
            revision: 1,
            last: None,
            compacted: 0,
            in_use: EMPTY_SIZE,
            imported: Imported::default(),
        }
    }

    fn bucket<R: Read + Seek>(&mut self, bucket: &Bucket, mut rows: Rows<'_, R>) -> Result<(), StoreError> {
        let name = String::from_utf8_lossy(&bucket.name);
        let mut leases = Vec::new();
        while let Some((key, value)) = rows.next().map_err(unreadable)? {
            let read = match &*name {
                KEY => {
                    self.change(key, value)?;
                    Some(())
                }
                LEASE => read_lease(key, value).map(|lease| leases.push(lease)),
                ALARM => read_alarm(key).map(|alarm| {
                    self.registry.alarms.insert((alarm.kind, alarm.member));
                }),
                AUTH => self.auth(key, value),
                AUTH_ROLES => read_role(key, value)
                    .map(|(name, role)| Arc::make_mut(&mut self.registry.users).restore_role(name, role)),
                AUTH_USERS => read_user(key, value)
                    .map(|(name, user)| Arc::make_mut(&mut self.registry.users).restore_user(name, user)),
                META => self.position(key, value),
                // It is read, so that damage is found, and stays behind.
                _ => Some(()),
            };
            if read.is_none() {
                let key = key.escape_ascii();
                return Err(bad(format!("the row {key} of bucket {name:?} is not what an etcd writes")));
            }
            if leases.len() == ROWS {
                self.leases(&mut leases)?;
            }
        }
        self.leases(&mut leases)?;
        self.fold()
    }

    /// A row of `key`.
    fn change(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let row = || format!("the row {} of bucket {KEY:?}", key.escape_ascii());
        let (at, deletes) = stored::parse_key(key).ok_or_else(|| bad(format!("{} is no revision", row())))?;
        let version = KeyValue::decode(value).map_err(|error| bad(format!("{}: {error}", row())))?;
        // A change and a deletion have different keys.
        if self.last.is_some_and(|last| last >= at) {
            return Err(bad(format!("{} has the revision of the one before it", row())));
        }
        (self.revision, self.last) = (at.main, Some(at));
        if version.key.is_empty() && value.is_empty() && !deletes {
            // etcdutl's `--bump-revision` leaves a row of nothing at the revision that it raises to.
            return Ok(());
        }
        let puts = version.mod_revision == at.main
            && (1..=at.main).contains(&version.create_revision)
            && version.version > 0;
        if version.key.is_empty() || !deletes && !puts {
            return Err(bad(format!("{} contradicts its revision", row())));
        }
        let live = (!deletes).then_some(Live {
            create: version.create_revision,
            version: version.version,
            lease: version.lease,
            value: version.value,
        });
        self.layer.push(version.key, Version { at, live });
        match self.layer.changes.len() >= LAYER || self.layer.bytes >= LAYER_BYTES {
            true => self.fold(),
            false => Ok(()),
        }
    }

    /// Writes the layer to LMDB.
    fn fold(&mut self) -> Result<(), StoreError> {
        let layer = std::mem::take(&mut self.layer);
        if layer.changes.is_empty() {
            return Ok(());
        }
        self.in_use += layer.growth;
        let mut txn = self.tables.write()?;
        for (key, versions) in &layer.versions {
            self.check(&txn, key, versions)?;
        }
        fold_versions(self.tables, &mut txn, &layer)?;
        self.tables.commit(txn, "writing imported versions")
    }

    /// Checks that each version of a key follows the one before it. A compaction may have removed those before the first.
    fn check(&self, txn: &RwTxn<'_>, key: &[u8], versions: &[Version]) -> Result<(), StoreError> {
        let found = self.tables[Id::Current].get(txn, &keys::current_key(key));
        let found = found.map_err(StoreError::lmdb("reading a key"))?.and_then(split_current);
        let mut before = found.and_then(|(_, record)| match Record::decode(record)? {
            Record::Live(live) => Some((live.create, live.version)),
            Record::Tombstone => None,
        });
        for version in versions {
            let live = version.live.as_ref().map(|live| (live.create, live.version));
            if let (Some((created, number)), Some(next)) = (before, live)
                && Some(next) != number.checked_add(1).map(|number| (created, number))
            {
                let (key, at) = (key.get(..100).unwrap_or(key).escape_ascii(), version.at.main);
                return Err(bad(format!(
                    "the key {key} has at revision {at} no version that can follow the one before"
                )));
            }
            before = live;
        }
        Ok(())
    }

    fn auth(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let mut state = self.registry.users.state().clone();
        read_auth(&mut state, key, value).then(|| {
            state.revision = state.revision.max(1);
            Arc::make_mut(&mut self.registry.users).restore_state(state);
        })
    }

    /// A row of `meta`. Others than these belong to the cluster that wrote the file.
    fn position(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let number = || Some(u64::from_be_bytes(value.try_into().ok()?));
        match key {
            SCHEDULED_COMPACTION => self.compacted = stored::parse_key(value)?.0.main,
            CONSISTENT_INDEX => self.imported.index = number()?,
            TERM => self.imported.term = number()?,
            _ => {}
        }
        Some(())
    }

    fn leases(&self, leases: &mut Vec<crate::model::Lease>) -> Result<(), StoreError> {
        if leases.is_empty() {
            return Ok(());
        }
        let mut txn = self.tables.write()?;
        for lease in leases.drain(..) {
            let row = leases::encode(&lease)?;
            let put = self.tables[Id::Leases].put(&mut txn, &leases::key(lease.id), &row);
            put.map_err(StoreError::lmdb("writing a lease"))?;
        }
        self.tables.commit(txn, "writing imported leases")
    }

    /// Attaches live keys to their leases. As in etcd, a key whose lease is missing keeps its number and is not attached.
    fn attach(&self) -> Result<(), StoreError> {
        let damaged = || StoreError::Damaged("a row that was just written".into());
        let read = self.tables.read()?;
        let mut walk = Walk::<CurrentShape>::from(self.tables[Id::Current], &read, &[])?;
        let mut attached = Vec::new();
        while let Some(row) = walk.next()? {
            let (_, record) = split_current(row.value).ok_or_else(damaged)?;
            let Some(Record::Live(live)) = Record::decode(record) else { return Err(damaged()) };
            if live.lease != 0 {
                attached.push((live.lease, walk.key().to_vec()));
            }
            if attached.len() == ROWS {
                self.put_attached(&mut attached)?;
            }
        }
        self.put_attached(&mut attached)
    }

    fn put_attached(&self, attached: &mut Vec<(i64, Vec<u8>)>) -> Result<(), StoreError> {
        let write = StoreError::lmdb("attaching keys to leases");
        let mut txn: RwTxn<'_> = self.tables.write()?;
        for (lease, key) in attached.drain(..) {
            if self.tables[Id::Leases].get(&txn, &leases::key(lease)).map_err(&write)?.is_some() {
                let (row, value) = keys::attached(lease, &key);
                self.tables[Id::Attached].put(&mut txn, &row, value).map_err(&write)?;
            }
        }
        self.tables.commit(txn, "attaching keys to leases")
    }

    /// The meta record. What the compaction made superfluous is removed after the start, whether the etcd had begun to
    /// remove it or not. A raised revision is compacted: nothing before it can be read or watched any more.
    fn meta(&self, bump: i64) -> Result<Meta, StoreError> {
        let last = self.revision.max(self.compacted);
        let beyond = || bad(format!("revision {last} cannot be raised by {bump}: {HIGHEST} is the highest"));
        let revision = last.checked_add(bump).filter(|revision| *revision <= HIGHEST).ok_or_else(beyond)?;
        let compacted = match (bump, self.compacted) {
            (0, 0) => -1,
            (0, compacted) => compacted,
            _ => revision,
        };
        let (in_use, allocated) = (self.in_use, self.in_use);
        Ok(Meta { revision, compacted, pruned: -1, in_use, allocated, ..Meta::default() })
    }
}
