//! Background work and emergencies.

use super::{Kind, OptionSpec, Section};

const U32: u64 = u32::MAX as u64;

const fn opt(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::etcd(name, kind, default, help).section(Section::Features).since("3.6")
}

pub(super) const OPTIONS: &[OptionSpec] = &[
    opt("corrupt-check-time", Kind::Duration, "0s", "How often members compare their data; 0 means never.").pending(),
    opt("compact-hash-check-time", Kind::Duration, "1m", "How often hashes of compactions are compared, with the gate CompactHashCheck.").pending(),
    opt("compaction-batch-limit", Kind::Number(U32), "0", "How many revisions one step of a compaction removes; 0 means 1000."),
    opt("compaction-sleep-interval", Kind::Duration, "0s", "The pause between two steps of a compaction; 0 means 10ms."),
    opt("watch-progress-notify-interval", Kind::Duration, "0s", "How often an idle watcher that asked for it is told the revision; 0 means 10m, at least 100ms.").reloads(),
    opt("downgrade-check-time", Kind::Duration, "5s", "How often a downgrade is looked for.").ignored("a downgrade is noticed when it is asked for"),
    opt("bootstrap-defrag-threshold-megabytes", Kind::Number(U32), "0", "Defragments at start where that frees as much; 0 means never."),
    opt("force-new-cluster", Kind::Bool, "false", "Starts a one-member cluster from this member's data. For the loss of a majority, and for one start only.").section(Section::Unsafe).since("3.4"),
    opt("unsafe-no-fsync", Kind::Bool, "false", "Does not flush the log. A crash of the machine loses or spoils data.").section(Section::Unsafe).since("3.4"),
];
