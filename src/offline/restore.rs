//! A new member from a backup.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::file::Backup;
use super::place::Place;
use super::{Meter, OfflineError};
use crate::join::bootstrap::{self, InitialMember, Plan};
use crate::join::identity::Identity;

/// The member that is to be made. Every member of the new cluster is made from the same backup, with the same initial
/// cluster and token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    /// Its name.
    pub name: String,
    /// All members of the new cluster, with their peer URLs.
    pub initial_cluster: BTreeMap<String, Vec<String>>,
    /// The token of the new cluster.
    pub token: String,
    /// This member's peer URLs.
    pub peer_urls: Vec<String>,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its log's directory, if it is not in the data directory.
    pub wal_dir: Option<PathBuf>,
}

impl NewMember {
    /// The identity and the members of the new cluster.
    ///
    /// # Errors
    /// If they contradict each other.
    pub(super) fn plan(&self) -> Result<Plan, OfflineError> {
        let members = self.initial_cluster.iter();
        let members: Vec<_> = members
            .map(|(name, urls)| InitialMember { name: name.clone(), peer_urls: urls.clone() })
            .collect();
        let plan = bootstrap::plan(&self.name, &members, &self.token)?;
        let sorted = |urls: &[String]| {
            let mut urls = urls.to_vec();
            urls.sort_unstable();
            urls
        };
        let listed = self.initial_cluster.get(&self.name).map(|urls| sorted(urls)).unwrap_or_default();
        let advertised = sorted(&self.peer_urls);
        if listed == advertised {
            return Ok(plan);
        }
        Err(OfflineError::Advertised { name: self.name.clone(), listed, advertised })
    }
}

/// How to restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// Do not demand that its hash is there and right.
    pub skip_hash_check: bool,
    /// By how much to raise the revision, so that it does not go back for clients that have seen later ones; everything
    /// before counts as compacted then.
    pub bump: i64,
    /// The member.
    pub member: NewMember,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new member.
    pub identity: Identity,
    /// Its revision.
    pub revision: i64,
}

/// Makes a new member of a backup.
///
/// # Errors
/// See [`OfflineError`]; nothing of the member remains.
pub async fn restore(wanted: &Restore, meter: &Meter) -> Result<Restored, OfflineError> {
    let plan = wanted.member.plan()?;
    let backup = Backup::open(&wanted.file, wanted.skip_hash_check, meter)?;
    let place = Place::make(&wanted.member.data_dir, wanted.member.wal_dir.as_deref(), backup.length)?;
    let store = place.store()?;
    backup.load(&store, wanted.bump)?;
    let revision = store.revision();
    let identity = place.found(store, &plan, epoch(&backup.digest, wanted.bump), &[]).await?;
    Ok(Restored { identity, revision })
}

/// The epoch of what is restored. Members that restored something else have another one.
pub(super) fn epoch(digest: &[u8; 32], bump: i64) -> u64 {
    let hash = Sha256::new().chain_update(digest).chain_update(bump.to_be_bytes()).finalize();
    // Never 0, and far from the highest number, since each forced new cluster adds one.
    hash.iter().take(6).fold(1, |epoch, byte| epoch << 8 | u64::from(*byte))
}
