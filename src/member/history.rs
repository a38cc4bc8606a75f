//! Whether identity, log and store belong to one history. After a crash some combinations can be continued. A disk that
//! is not mounted, a removed file or a copy of another date or member gives combinations that must not be continued:
//! that could lose acknowledged writes, or vote twice.

use std::path::{Path, PathBuf};

use super::directory::Directories;
use crate::join::identity::{self, Identity, IdentityError};
use crate::log::Log;
use crate::raft::{Misfit, Standing};
use crate::store::Store;

/// Why the data are refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is an identity, but no log.
    #[error(
        "the log of member {} of cluster {} is not in {}: is its disk mounted? The log holds the member's votes and \
         what it acknowledged, so it does not start without. Mount the disk and start again. {}",
        .identity.member, .identity.cluster, .dir.display(), leave_and_join(.identity)
    )]
    NoLog {
        /// The directory in which the log should be.
        dir: PathBuf,
        /// The member it should belong to.
        identity: Identity,
    },
    /// There are data, but no identity.
    #[error(
        "{} holds data of a member{}, but {} does not say which: is the disk of data-dir mounted, and wal-dir the \
         right one? Mount the disk and start again. To begin anew, empty both directories",
        .dir.display(), of(.owner), .member.join("identity").display()
    )]
    NoIdentity {
        /// The data.
        dir: PathBuf,
        /// The owner, if the data name one.
        owner: Option<Identity>,
        /// The directory in which the identity should be.
        member: PathBuf,
    },
    /// Two members' data.
    #[error(
        "{} belongs to member {} of cluster {}, but the identity is that of member {} of cluster {}: put back what was \
         there, or give each member directories of its own",
        .dir.display(), .found.member, .found.cluster, .identity.member, .identity.cluster
    )]
    Foreign {
        /// The directory with another member's data.
        dir: PathBuf,
        /// Its owner.
        found: Identity,
        /// The owner it should have.
        identity: Identity,
    },
    /// Log and store do not fit together.
    #[error(
        "log {} and state {} are not of one history: {misfit}. Put back what was there and start again. {}",
        .log.display(), .store.display(), leave_and_join(.identity)
    )]
    Misfit {
        /// The log's directory.
        log: PathBuf,
        /// The store's.
        store: PathBuf,
        /// What does not fit.
        misfit: Misfit,
        /// Their owner.
        identity: Identity,
    },
}

fn leave_and_join(identity: &Identity) -> String {
    format!(
        "If it is lost, leave and join again: `kvctl member remove {}` on another member, empty data-dir and wal-dir \
         here, and start with a [join] table or after `kvctl member add`",
        identity.member
    )
}

fn of(owner: &Option<Identity>) -> String {
    owner.map(|owner| format!(" ({} of cluster {})", owner.member, owner.cluster)).unwrap_or_default()
}

/// A directory of data and the owner that it names; `None` if a version of kvd made it that wrote no copy of the
/// identity.
#[derive(Clone, Debug)]
struct Part {
    dir: PathBuf,
    owner: Option<Identity>,
}

impl Part {
    fn of(dir: &Path) -> Result<Self, IdentityError> {
        Ok(Self { dir: dir.to_path_buf(), owner: identity::load(dir)? })
    }
}

/// The data that an earlier process of the member has left.
#[derive(Clone, Debug)]
pub struct Remains {
    member: PathBuf,
    identity: Option<Identity>,
    log: Part,
    store: Part,
    standing: Standing,
}

impl Remains {
    /// The data of these directories; log and store are open.
    ///
    /// # Errors
    /// If an identity cannot be read.
    pub fn of(directories: &Directories, log: &Log, store: &Store) -> Result<Self, IdentityError> {
        Ok(Self {
            member: directories.member.clone(),
            identity: identity::load(&directories.member)?,
            log: Part::of(&directories.log)?,
            store: Part::of(&directories.store)?,
            standing: Standing::of(log, store.applied()),
        })
    }

    /// The member that continues with these data; `None` for a first start, or for one after a first start that was cut
    /// off.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub fn judge(&self) -> Result<Option<Identity>, HistoryError> {
        let Some(identity) = self.identity else {
            if self.standing.is_untouched() {
                return Ok(None);
            }
            let part = if self.standing.applied.is_some() { &self.store } else { &self.log };
            return Err(HistoryError::NoIdentity {
                dir: part.dir.clone(),
                owner: part.owner,
                member: self.member.clone(),
            });
        };
        for Part { dir, owner } in [&self.log, &self.store] {
            if let Some(found) = owner.filter(|found| *found != identity) {
                return Err(HistoryError::Foreign { dir: dir.clone(), found, identity });
            }
        }
        if self.standing.is_log_empty() {
            return Err(HistoryError::NoLog { dir: self.log.dir.clone(), identity });
        }
        self.standing.check().map_err(|misfit| HistoryError::Misfit {
            log: self.log.dir.clone(),
            store: self.store.dir.clone(),
            misfit,
            identity,
        })?;
        Ok(Some(identity))
    }
}

/// Writes copies of the identity next to log and store, durably.
///
/// # Errors
/// Those of the file system.
pub fn mark(directories: &Directories, identity: &Identity) -> Result<(), IdentityError> {
    for dir in [&directories.log, &directories.store] {
        if identity::load(dir)? != Some(*identity) {
            identity::create(dir, identity)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Bounds, Vote};
    use crate::model::{ClusterId, LogPosition, MemberId};

    const OWN: Identity = Identity { member: MemberId(0xa), cluster: ClusterId(0xc), epoch: 0 };
    const OTHER: Identity = Identity { member: MemberId(0xb), cluster: ClusterId(0xc), epoch: 0 };

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition { term, leader: 0, index }
    }

    fn log(
        vote: Option<u64>,
        purged: Option<LogPosition>,
        last: Option<LogPosition>,
    ) -> (Option<Vote>, Bounds) {
        let vote = vote.map(|term| Vote { term, voted_for: 0xa, committed: false });
        let next = last.map_or(0, |last| last.index + 1);
        (vote, Bounds { purged, first: purged.map_or(0, |purged| purged.index + 1), next, last })
    }

    /// All kinds of logs that a process can leave, and an empty one.
    fn logs() -> [(&'static str, (Option<Vote>, Bounds)); 7] {
        [
            ("empty", log(None, None, None)),
            ("founded", log(None, None, Some(at(0, 1)))),
            ("joining", log(Some(0), None, None)),
            ("voted", log(Some(3), None, None)),
            ("whole", log(Some(3), None, Some(at(3, 10)))),
            ("purged", log(Some(3), Some(at(2, 5)), Some(at(3, 10)))),
            ("cut", log(Some(3), Some(at(3, 10)), Some(at(3, 10)))),
        ]
    }

    fn stores() -> [(&'static str, Option<LogPosition>); 6] {
        [
            ("empty", None),
            ("founders", Some(at(0, 1))),
            ("older", Some(at(2, 3))),
            ("within", Some(at(3, 8))),
            ("ahead", Some(at(3, 30))),
            ("later", Some(at(4, 30))),
        ]
    }

    fn remains(identity: Option<Identity>, owners: [Option<Identity>; 2], standing: Standing) -> Remains {
        let part = |dir: &str, owner| Part { dir: dir.into(), owner };
        let [log, store] = owners;
        Remains {
            member: "/data/member".into(),
            identity,
            log: part("/wal", log),
            store: part("/data/member/store", store),
            standing,
        }
    }

    fn verdict(remains: &Remains) -> &'static str {
        match remains.judge() {
            Ok(None) => "begins",
            Ok(Some(identity)) => {
                assert_eq!(Some(identity), remains.identity);
                "goes on"
            }
            Err(HistoryError::NoLog { .. }) => "no log",
            Err(HistoryError::NoIdentity { .. }) => "no identity",
            Err(HistoryError::Foreign { .. }) => "foreign",
            Err(HistoryError::Misfit { misfit: Misfit::StoreBehind { .. }, .. }) => "store behind",
            Err(HistoryError::Misfit { misfit: Misfit::LogBehind { .. }, .. }) => "log behind",
        }
    }

    fn table(identity: Option<Identity>) -> String {
        let mut table = String::new();
        for (name, (vote, log)) in logs() {
            let cells = stores().map(|(_, applied)| {
                verdict(&remains(identity, [identity; 2], Standing { vote, log, applied }))
            });
            table += &format!("{name:8}| {}\n", cells.map(|cell| format!("{cell:12}")).join(" ").trim_end());
        }
        table
    }

    #[test]
    fn every_pair_of_log_and_store_beside_an_identity_goes_on_or_is_refused() {
        let wanted = "\
            empty   | no log       no log       no log       no log       no log       no log\n\
            founded | goes on      log behind   log behind   log behind   log behind   log behind\n\
            joining | goes on      log behind   log behind   log behind   log behind   log behind\n\
            voted   | goes on      goes on      goes on      goes on      goes on      log behind\n\
            whole   | goes on      goes on      goes on      goes on      goes on      log behind\n\
            purged  | store behind store behind store behind goes on      goes on      log behind\n\
            cut     | store behind store behind store behind store behind goes on      log behind\n";
        assert_eq!(table(Some(OWN)), wanted);
    }

    #[test]
    fn without_an_identity_only_what_no_life_has_touched_begins() {
        let wanted = "\
            empty   | begins       no identity  no identity  no identity  no identity  no identity\n\
            founded | begins       no identity  no identity  no identity  no identity  no identity\n\
            joining | begins       no identity  no identity  no identity  no identity  no identity\n\
            voted   | no identity  no identity  no identity  no identity  no identity  no identity\n\
            whole   | no identity  no identity  no identity  no identity  no identity  no identity\n\
            purged  | no identity  no identity  no identity  no identity  no identity  no identity\n\
            cut     | no identity  no identity  no identity  no identity  no identity  no identity\n";
        assert_eq!(table(None), wanted);
    }

    #[test]
    fn another_members_log_or_store_is_refused_whatever_it_holds() {
        for (_, (vote, log)) in logs() {
            for (_, applied) in stores() {
                let standing = Standing { vote, log, applied };
                let alone = verdict(&remains(Some(OWN), [Some(OWN); 2], standing));
                for owners in [[Some(OTHER), Some(OWN)], [Some(OWN), Some(OTHER)], [None, Some(OTHER)]] {
                    assert_eq!(verdict(&remains(Some(OWN), owners, standing)), "foreign", "{standing:?}");
                }
                // Data of a version that wrote no copies are judged by their content.
                assert_eq!(verdict(&remains(Some(OWN), [None; 2], standing)), alone);
            }
        }
    }

    #[test]
    fn a_refusal_names_what_is_missing_and_the_way_back() {
        let text = |identity, owners, (vote, log), applied| {
            let remains = remains(identity, owners, Standing { vote, log, applied });
            remains.judge().expect_err("refused").to_string()
        };
        let [(_, empty), .., (_, whole), (_, purged), _] = logs();
        let refused = text(Some(OWN), [None, Some(OWN)], empty, Some(at(3, 8)));
        assert!(
            refused.starts_with("the log of member a of cluster c is not in /wal: is its disk mounted?"),
            "{refused}"
        );
        assert!(refused.contains("`kvctl member remove a`"), "{refused}");
        let refused = text(None, [Some(OTHER), None], whole, None);
        assert!(
            refused.starts_with("/wal holds data of a member (b of cluster c), but /data/member/identity"),
            "{refused}"
        );
        let refused = text(Some(OWN), [Some(OTHER), Some(OWN)], whole, None);
        assert!(
            refused.contains("/wal belongs to member b of cluster c, but the identity is that of member a"),
            "{refused}"
        );
        let refused = text(Some(OWN), [Some(OWN); 2], purged, None);
        assert!(refused.contains("the store was removed, or is of an older date"), "{refused}");
        let refused = text(Some(OWN), [Some(OWN); 2], whole, Some(at(4, 30)));
        assert!(refused.contains("votes and acknowledged writes may be lost"), "{refused}");
    }

    #[test]
    fn copies_of_the_identity_are_made_and_kept() {
        let root = tempfile::tempdir().expect("a directory");
        let directories = super::super::directory::prepare(root.path(), None).expect("made");
        for identity in [OTHER, OWN, OWN] {
            mark(&directories, &identity).expect("marked");
            for dir in [&directories.log, &directories.store] {
                assert_eq!(identity::load(dir).expect("readable"), Some(identity));
            }
        }
    }
}
