//! Feature gates, with etcd's names, stages and defaults.

/// How far a feature has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateStage {
    /// Off unless asked for.
    Alpha,
    /// On unless turned off.
    Beta,
}

/// One gate.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// Its name.
    pub name: &'static str,
    /// Its stage.
    pub stage: GateStage,
    /// Whether it is on when nothing is said.
    pub default: bool,
    /// What it does.
    pub help: &'static str,
}

const fn gate(name: &'static str, stage: GateStage, default: bool, help: &'static str) -> Gate {
    Gate { name, stage, default, help }
}

/// Every gate of etcd 3.7.
pub const GATES: [Gate; 9] = [
    gate(
        "StopGRPCServiceOnDefrag",
        GateStage::Alpha,
        false,
        "Health is NOT_SERVING while the store is defragmented.",
    ),
    gate(
        "InitialCorruptCheck",
        GateStage::Alpha,
        false,
        "Compares data with the other members before serving.",
    ),
    gate("CompactHashCheck", GateStage::Alpha, false, "Compares hashes of compactions among members."),
    gate("TxnModeWriteWithSharedBuffer", GateStage::Beta, true, "Internal to etcd; changes nothing here."),
    gate(
        "LeaseCheckpoint",
        GateStage::Alpha,
        false,
        "Internal to etcd; kvd's leases have absolute deadlines.",
    ),
    gate(
        "LeaseCheckpointPersist",
        GateStage::Alpha,
        false,
        "Internal to etcd; kvd's leases have absolute deadlines.",
    ),
    gate("SetMemberLocalAddr", GateStage::Alpha, false, "Connects to members from the advertised address."),
    gate("FastLeaseKeepAlive", GateStage::Beta, true, "Renews leases without waiting for the applied index."),
    gate("PriorityRequest", GateStage::Alpha, false, "Revokes of leases pass the overload limit."),
];

/// The gate of that name.
pub fn find_gate(name: &str) -> Option<&'static Gate> {
    GATES.iter().find(|gate| gate.name == name)
}
