//! This member: its name and directories.

use std::path::PathBuf;

use super::addresses::Addresses;
use crate::config::findings::Findings;
use crate::config::settings::{Origin, Settings};
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::surroundings::Surroundings;
use crate::config::typed::section;
use crate::config::value::Value;

section! {
    /// This member.
    pub struct Member under Member {
        name: String = etcd("name", Kind::Text, "default", "The member's name. No other member of the cluster has the same.");
        data_dir: PathBuf = etcd("data-dir", Kind::Path, "", "The directory of everything the member must not lose. Without it: $STATE_DIRECTORY if systemd sets it, /var/lib/kv if /etc/kv/cluster.toml exists, and NAME.etcd in the working directory otherwise.");
        wal_dir: Option<PathBuf> = etcd("wal-dir", Kind::Path, "", "Another directory for the raft log, on a disk of its own. Without it: inside data-dir.");
        admin_socket: Option<PathBuf> = own("admin-socket", Kind::Path, "", "The socket for reload and status on this machine. Without it: admin.sock in $RUNTIME_DIRECTORY if systemd sets it.");
    }
    without effect {
        OptionSpec::etcd("memory-mlock", Kind::Bool, "false", "Locks the process into memory.").since("3.6").ignored("LMDB reads through the page cache, which the kernel keeps"),
    }
}

impl Member {
    /// `installed` says that /etc/kv/cluster.toml was read: kvd is installed, not just tried out.
    pub(in crate::config) fn derive(
        settings: &mut Settings,
        surroundings: &Surroundings<'_>,
        installed: bool,
    ) {
        let directory =
            |variable: &str| surroundings.variable(variable).and_then(first_directory).map(str::to_string);
        if settings.is_empty("data-dir") {
            let (path, from) = match directory("STATE_DIRECTORY") {
                Some(path) => (path, "$STATE_DIRECTORY"),
                None if installed => ("/var/lib/kv".to_string(), "the presence of /etc/kv/cluster.toml"),
                None => (format!("{}.etcd", settings.read::<String>("name")), "name"),
            };
            settings.set("data-dir", Value::Text(path), Origin::Derived(from));
        }
        if settings.is_empty("admin-socket")
            && let Some(path) = directory("RUNTIME_DIRECTORY")
        {
            let socket = Value::Text(format!("{path}/admin.sock"));
            settings.set("admin-socket", socket, Origin::Derived("$RUNTIME_DIRECTORY"));
        }
    }

    pub(in crate::config) fn check(&self, addresses: &Addresses, found: &mut Findings<'_>) {
        let name = &self.name;
        if name.contains([',', '=']) || name.chars().any(char::is_control) {
            let message =
                format!("--name {name:?} must not contain commas, equals signs or control characters");
            found.error("name", message);
        }
        if name.is_empty() {
            found.error("name", "--name must not be empty");
        }
        if name == "default" && addresses.are_public() {
            found.warn("name", "it isn't recommended to use default name, please set a value for --name");
        }
    }
}

/// systemd separates several directories with colons.
fn first_directory(list: &str) -> Option<&str> {
    list.split(':').find(|directory| !directory.is_empty())
}
