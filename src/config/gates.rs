//! Feature gates, with etcd's names, stages and defaults.

/// The stage of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateStage {
    /// Off by default.
    Alpha,
    /// On by default.
    Beta,
}

/// One gate.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Its stage.
    pub stage: GateStage,
    /// Whether it is on by default.
    pub default: bool,
    /// What it does.
    pub help: &'static str,
    /// Why kvd behaves the same with and without it; none if it acts.
    pub idle: Option<&'static str>,
}

const fn gate(
    name: &'static str,
    stage: GateStage,
    default: bool,
    help: &'static str,
    idle: &'static str,
) -> Gate {
    Gate { name, stage, default, help, idle: Some(idle) }
}

/// A gate that acts, off by default.
const fn acting(name: &'static str, help: &'static str) -> Gate {
    Gate { name, stage: ALPHA, default: false, help, idle: None }
}

const ALPHA: GateStage = GateStage::Alpha;
const BETA: GateStage = GateStage::Beta;
const OWN_REMAINS: &str = "what remains of kvd's leases is stored anyway";

/// Every gate of etcd 3.7.
pub const GATES: [Gate; 9] = [
    gate(
        "StopGRPCServiceOnDefrag",
        ALPHA,
        false,
        "Health is NOT_SERVING while the store is defragmented.",
        "kvd serves on while it defragments",
    ),
    acting("InitialCorruptCheck", "Compares data with the other members before serving."),
    acting("CompactHashCheck", "Compares hashes of compactions among members."),
    gate(
        "TxnModeWriteWithSharedBuffer",
        BETA,
        true,
        "How etcd's transactions read what is not written yet.",
        "readers of kvd never wait for a writer",
    ),
    gate("LeaseCheckpoint", ALPHA, false, "Stores the remaining time of leases now and then.", OWN_REMAINS),
    gate("LeaseCheckpointPersist", ALPHA, false, "The same below etcd 3.6.", OWN_REMAINS),
    gate(
        "SetMemberLocalAddr",
        ALPHA,
        false,
        "Connects to members from the advertised address.",
        "the kernel chooses the address of kvd's connections",
    ),
    gate(
        "FastLeaseKeepAlive",
        BETA,
        true,
        "Renews leases without waiting for the applied index.",
        "kvd waits only where it must",
    ),
    gate(
        "PriorityRequest",
        ALPHA,
        false,
        "Revokes of leases pass the overload limit.",
        "kvd has one limit for all requests",
    ),
];

/// The gate of that name.
pub fn find_gate(name: &str) -> Option<&'static Gate> {
    GATES.iter().find(|gate| gate.name == name)
}
