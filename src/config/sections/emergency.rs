//! For emergencies only.

use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::section;

section! {
    /// Options that no member uses for long.
    pub struct Emergency under Emergency {
        force_new_cluster: bool = etcd("force-new-cluster", Kind::Bool, "false", "Starts a cluster of one member from this member's data. For the loss of a majority, and for one start only.");
        unsafe_no_fsync: bool = etcd("unsafe-no-fsync", Kind::Bool, "false", "Does not flush the log. A crash of the machine loses or spoils data.");
    }
}

impl Emergency {
    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        if self.force_new_cluster {
            let message =
                "--force-new-cluster discards all other members; take it away again after this start";
            found.warn("force-new-cluster", message);
        }
        if self.unsafe_no_fsync {
            let message = "--unsafe-no-fsync: a crash of the machine loses or spoils data";
            found.warn("unsafe-no-fsync", message);
        }
    }
}
