//! Figures that the faces cannot know: of the log, and of the features that are on.

use std::sync::atomic::Ordering;

use crate::api::metrics::{Page, Source};
use crate::config::{Config, GateStage};
use crate::log::Log;
use crate::raft::Node;

/// What the daemon adds to `/metrics`.
pub struct Figures {
    log: Log,
    node: Node,
    /// Every feature gate: name, stage, whether it is on.
    gates: Vec<(&'static str, GateStage, bool)>,
}

impl Figures {
    /// Of this log and this node, and of these gates.
    pub fn new(config: &Config, log: Log, node: Node) -> Self {
        Self { log, node, gates: config.gates() }
    }
}

impl Source for Figures {
    fn write(&self, page: &mut Page) {
        let log = self.log.figures();
        let name = "etcd_disk_wal_fsync_duration_seconds";
        page.histogram(name, "Time to flush the log.", &log.flush);
        let name = "etcd_disk_wal_write_duration_seconds";
        page.histogram(name, "Time to write to the log.", &log.write);
        let bytes = log.bytes.load(Ordering::Relaxed);
        page.gauge("etcd_disk_wal_write_bytes_total", "Bytes written to the log.", bytes);
        let name = "etcd_server_feature_enabled";
        page.family(name, "gauge", "Whether a feature is on.");
        for (gate, stage, on) in &self.gates {
            let stage = match stage {
                GateStage::Alpha => "ALPHA",
                GateStage::Beta => "BETA",
            };
            page.sample(name, &format!("name=\"{gate}\",stage=\"{stage}\""), u64::from(*on));
        }
        let name = "kvd_server_replication_failing";
        page.family(name, "gauge", "Members that entries do not reach until something is done about it.");
        for (member, _) in self.node.replication_faults() {
            page.sample(name, &format!("To=\"{member}\""), 1_u64);
        }
    }
}
