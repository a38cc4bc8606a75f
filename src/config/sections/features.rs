//! Feature gates.

use std::collections::BTreeMap;

use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::gates::{GATES, GateStage, find_gate};
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::section;

section! {
    /// Feature gates.
    pub struct Features under Features {
        /// Gates and groups that were named; see [`is_on`](Self::is_on).
        given: BTreeMap<String, bool> = etcd("feature-gates", Kind::Gates, "", "Feature gates to turn on or off, by etcd's names. InitialCorruptCheck and CompactHashCheck act; kvd warns of any other one that is turned on or off, and says why it changes nothing.").since("3.6");
    }
}

impl Features {
    /// Whether a gate or a group of gates is on. A gate that was not named follows its group, then its default.
    pub fn is_on(&self, name: &str) -> bool {
        let given = |name: &str| self.given.get(name).copied();
        let Some(gate) = find_gate(name) else { return given(name).unwrap_or(false) };
        let group = match gate.stage {
            GateStage::Alpha => "AllAlpha",
            GateStage::Beta => "AllBeta",
        };
        given(name).or_else(|| given(group)).unwrap_or(gate.default)
    }

    /// Both groups and every gate: name, stage, whether it is on.
    pub fn all(&self) -> Vec<(&'static str, GateStage, bool)> {
        let groups = [("AllAlpha", GateStage::Alpha), ("AllBeta", GateStage::Beta)];
        let gates = GATES.iter().map(|gate| (gate.name, gate.stage));
        groups.into_iter().chain(gates).map(|(name, stage)| (name, stage, self.is_on(name))).collect()
    }

    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        if self.is_on("LeaseCheckpointPersist") && !self.is_on("LeaseCheckpoint") {
            let message =
                "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint";
            found.error("feature-gates", message);
        }
        // A group stands for all its gates: setting a group does not mean a particular gate.
        let turned = |gate: &&crate::config::gates::Gate| {
            self.given.get(gate.name).is_some_and(|on| *on != gate.default)
        };
        for gate in GATES.iter().filter(turned) {
            let Some(why) = gate.idle else { continue };
            let message = format!("feature gate {} changes nothing: {why}", gate.name);
            found.push("feature-gates", Diagnostic::warning(message));
        }
    }
}
