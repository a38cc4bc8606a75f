//! Options that etcd does not have, and those of the program itself.

use super::{Effect, Kind, OptionSpec, Section};

const fn opt(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::own(name, kind, default, help).section(Section::Identity)
}

pub(super) const OPTIONS: &[OptionSpec] = &[
    opt("cluster-secret-file", Kind::Path, "", "A file with the secret all members share, from which each issues its own certificate. Without it: the systemd credential kvd.cluster-secret, where there is one."),
    opt("cluster-secret", Kind::Text, "", "The secret itself; at least 16 characters. A file or a credential is better.").secret(),
    opt("join-peers", Kind::List, "", "Members of the cluster to be joined in one step: their peer URLs, or host:port. With initial-cluster-state existing.").key("join.peers").bootstrap(),
    opt("join-role", Kind::Choice(&["voter", "learner"]), "voter", "Joins as a voter, which votes once it has caught up, or as a learner that does not vote until it is promoted by request.").empty_is_default().key("join.role").bootstrap(),
    opt("join-timeout", Kind::Duration, "2m", "How long to try to join; 0 for ever.").key("join.timeout").bootstrap(),
    opt("admin-socket", Kind::Path, "", "The socket for reload and status on this machine. Without it: admin.sock in $RUNTIME_DIRECTORY, where systemd sets it."),
    opt("lmdb-map-size-bytes", Kind::Number(u64::MAX), "0", "The address space set aside for LMDB, which the store cannot outgrow; not memory, not disk. 0 chooses it."),
];

pub(super) const PROGRAM: &[OptionSpec] = &[
    OptionSpec::etcd("config-file", Kind::Path, "", "The configuration file, instead of /etc/kv/cluster.toml. All *.toml of the directory FILE.d are read after it. Also $KVD_CONFIG_FILE.").section(Section::Program).key(""),
    OptionSpec::etcd("version", Kind::Bool, "false", "Prints the version and exits.").section(Section::Program).key("").effect(Effect::Acts),
    OptionSpec::etcd("help", Kind::Bool, "false", "Prints this help and exits.").section(Section::Program).key(""),
];
