//! `--write-out fields`: a line a value, strings quoted, numbers bare.

use super::Health;
use super::words::quoted;
use crate::api::proto::etcdserverpb::{MemberListResponse, ResponseHeader, StatusResponse};

/// Lines `"Name" : value`.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn bare(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0.push_str(&format!("\"{name}\" : {value}\n"));
        self
    }

    fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.bare(name, quoted(value))
    }

    fn id(&mut self, name: &str, id: u64, hex: bool) -> &mut Self {
        if hex { self.bare(name, format_args!("{id:x}")) } else { self.bare(name, id) }
    }

    fn header(&mut self, header: Option<&ResponseHeader>, hex: bool) -> &mut Self {
        let header = header.cloned().unwrap_or_default();
        self.id("ClusterID", header.cluster_id, hex).id("MemberID", header.member_id, hex);
        if header.revision > 0 {
            self.bare("Revision", header.revision);
        }
        self.bare("RaftTerm", header.raft_term)
    }

    fn end(&mut self) {
        self.0.push('\n');
    }
}

pub(super) fn health(results: &[Health]) -> String {
    let mut lines = Lines::default();
    for health in results {
        lines.text("Endpoint", &health.endpoint).bare("Health", health.error.is_empty());
        lines.bare("Took", &health.took).bare("Error", &health.error).end();
    }
    lines.0
}

pub(super) fn status(results: &[(String, StatusResponse)], hex: bool) -> String {
    let mut lines = Lines::default();
    for (endpoint, status) in results {
        let downgrade = status.downgrade_info.clone().unwrap_or_default();
        let errors: Vec<String> = status.errors.iter().map(|error| quoted(error)).collect();
        lines
            .header(status.header.as_ref(), hex)
            .text("Version", &status.version)
            .text("StorageVersion", &status.storage_version)
            .bare("DBSize", status.db_size)
            .bare("DBSizeInUse", status.db_size_in_use)
            .bare("DBSizeQuota", status.db_size_quota)
            .bare("Leader", status.leader)
            .bare("IsLearner", status.is_learner)
            .bare("RaftIndex", status.raft_index)
            .bare("RaftAppliedIndex", status.raft_applied_index)
            .bare("Errors", format_args!("[{}]", errors.join(" ")))
            .text("Endpoint", endpoint)
            .text("DowngradeTargetVersion", &downgrade.target_version)
            .bare("DowngradeEnabled", downgrade.enabled)
            .end();
    }
    lines.0
}

pub(super) fn members(list: &MemberListResponse, hex: bool) -> String {
    let mut lines = Lines::default();
    lines.header(list.header.as_ref(), hex);
    for member in &list.members {
        lines.id("ID", member.id, hex).text("Name", &member.name);
        for url in &member.peer_ur_ls {
            lines.text("PeerURL", url);
        }
        for url in &member.client_ur_ls {
            lines.text("ClientURL", url);
        }
        lines.bare("IsLearner", member.is_learner).end();
    }
    lines.0
}
