//! Options of the program itself. Nothing keeps their values.

use crate::config::spec::{Effect, Kind, OptionSpec, Section};

const fn opt(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::etcd(name, kind, default, help).section(Section::Program).key("").effect(Effect::Acts)
}

pub(in crate::config) const OPTIONS: &[OptionSpec] = &[
    opt(
        "config-file",
        Kind::Path,
        "",
        "The configuration file, instead of /etc/kv/cluster.toml. All *.toml of the directory FILE.d are read after it. Also $KVD_CONFIG_FILE.",
    ),
    opt("version", Kind::Bool, "false", "Prints the version and exits."),
    opt("help", Kind::Bool, "false", "Prints this help and exits."),
];
