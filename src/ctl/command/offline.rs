//! `kvctl snapshot restore|status`, `kvctl migrate etcd-data` and `kvctl recover`: commands that need no member.

use std::path::Path;
use std::sync::Arc;

use crate::ctl::arguments::Offline;
use crate::ctl::failure::{Failure, INCOMPLETE};
use crate::ctl::output::{complain, print_bytes};
use crate::ctl::print::{Style, offline};
use crate::ctl::progress::Progress;
use crate::ctl::signals::tidily;
use crate::offline::{self as data, OfflineError, Restored};

/// Runs a command.
pub(in crate::ctl) async fn run(style: Style, asked: Offline) -> Result<(), Failure> {
    match asked {
        Offline::Status(file) => {
            let status = {
                let (_shown, meter) = Progress::of_file(&file.display().to_string());
                data::status(&file, &meter).map_err(failure)?
            };
            print_bytes(&offline::status(&status, style)?);
            Ok(())
        }
        Offline::Restore(restore) => {
            let restored = {
                let (_shown, meter) = Progress::of_file(&restore.file.display().to_string());
                data::restore(&restore, &meter).await.map_err(failure)?
            };
            made(&restored, &restore.member.data_dir);
            Ok(())
        }
        Offline::Plan(sources) => {
            let planned = tidily(async {
                let planning = tokio::task::spawn_blocking(move || data::plan(&sources));
                planning.await.map_err(|error| Failure::error(error.to_string()))
            });
            let plan = planned.await?.map_err(failure)?;
            print_bytes(offline::plan(&plan).as_bytes());
            Ok(())
        }
        Offline::Recover(recovery) => {
            let recovered = data::recover(&recovery).await.map_err(failure)?;
            print_bytes(offline::recovered(&recovered, &recovery).as_bytes());
            Ok(())
        }
        Offline::Salvage(wanted) => {
            let wanted = Arc::new(wanted);
            let sought = wanted.clone();
            let saved = tidily(async {
                let saving = tokio::task::spawn_blocking(move || data::salvage(&sought));
                saving.await.map_err(|error| Failure::error(error.to_string()))
            });
            let saved = saved.await?.map_err(failure)?;
            print_bytes(offline::saved(&saved, &wanted).as_bytes());
            if saved.is_complete() {
                return Ok(());
            }
            let text = format!("{} does not have everything: read above what is lost", wanted.file.display());
            Err(Failure::with_code(INCOMPLETE, text))
        }
        Offline::Migrate(migration) => {
            let data::Migrated { restored, entries, unknown } = {
                let (_shown, meter) = Progress::of_file(&migration.etcd_data.display().to_string());
                data::migrate(&migration, &meter).await.map_err(failure)?
            };
            made(&restored, &migration.member.data_dir);
            if entries > 0 {
                complain(&format!("{entries} committed entries of the log were not in the database yet"));
            }
            if unknown > 0 {
                complain(&format!(
                    "{unknown} entries at the end of the log stay behind: this member does not know whether its \
                     cluster has committed them; if another member's revision was higher, move that one's data"
                ));
            }
            Ok(())
        }
    }
}

fn made(restored: &Restored, data_dir: &Path) {
    let Restored { identity, revision } = restored;
    complain(&format!(
        "{} holds member {} of the new cluster {}, at revision {revision}",
        data_dir.display(),
        identity.member,
        identity.cluster
    ));
}

fn failure(error: OfflineError) -> Failure {
    let hint = match &error {
        OfflineError::NoHash => Some(
            "a file that was copied from member/snap/db of a stopped etcd has no hash: --skip-hash-check",
        ),
        OfflineError::Exists(_) => Some("nothing is overwritten: name another file"),
        OfflineError::DataDir(_) => Some("nothing is overwritten: name another directory with --data-dir"),
        OfflineError::Hash { .. } => Some("take another backup: this one is not what was saved"),
        _ => None,
    };
    Failure::error(error.to_string()).hint(hint.map(str::to_string))
}
