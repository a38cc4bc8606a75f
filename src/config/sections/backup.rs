//! Scheduled backups.

use std::path::PathBuf;
use std::time::Duration;

use super::{Member, U64};
use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::{FromValue, choice, mismatch, section};
use crate::config::value::Value;

choice! {
    /// How backups are compressed.
    pub enum Compression {
        /// Not at all.
        None = "none",
        /// With gzip.
        Gzip = "gzip",
    }
}

section! {
    /// Scheduled backups.
    pub struct Backup under Backup {
        /// None for no backups.
        directory: Option<PathBuf> = own("backup-directory", Kind::Path, "", "Where backups go; without it none are taken. Give all members the same table: one of them takes each backup, as a rule not the leader, and another takes over if it is away or fails. Each file is read again as a restore would read it before it gets its name, kvd-CLUSTER-TIME-REVISION.db, and only its owner may read it. The directory may be shared by the members. A cluster whose peer URLs are all on loopback has a mark of its host behind CLUSTER, because those of other hosts have the same id.").key("backup.directory");
        every: Duration = own("backup-every", Kind::Duration, "24h", "The time from one backup to the next, at least 1s. One that was missed is taken after the start.").key("backup.every");
        keep: usize = own("backup-keep", Kind::Number(U64), "7", "How many backups of this cluster stay in the directory; older ones are removed after a new one is whole. Other files are never removed.").key("backup.keep");
        compress: Compression = own("backup-compress", Kind::Choice(Compression::CHOICES), "none", "gzip compresses backups; `kvctl snapshot restore` takes them as they are, etcdutl after gunzip. While a compressed one is read again, its content takes room in the directory, too.").key("backup.compress");
    }
}

impl Backup {
    pub(in crate::config) fn check(&self, member: &Member, found: &mut Findings<'_>) {
        if self.every < Duration::from_secs(1) {
            found.error("backup-every", "--backup-every must be at least 1s");
        }
        if self.keep == 0 {
            found.error("backup-keep", "--backup-keep must be at least 1");
        }
        match &self.directory {
            Some(directory) if directory.starts_with(member.data_dir.join("member")) => {
                let text = "--backup-directory is inside of the member's own data, which go away together";
                found.error("backup-directory", text);
            }
            Some(_) => {}
            None => {
                for option in ["backup-every", "backup-keep", "backup-compress"] {
                    if found.is_given(option) {
                        found.warn(option, format!("--{option} changes nothing without --backup-directory"));
                    }
                }
            }
        }
    }
}
