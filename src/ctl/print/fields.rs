//! `--write-out fields`: a line a value, strings quoted, numbers bare.

use super::words::{quoted, quoted_bytes};
use crate::api::proto::etcdserverpb::ResponseHeader;
use crate::api::proto::mvccpb::KeyValue;

/// Lines `"Name" : value`.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    pub(super) fn bare(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0.push_str(&format!("\"{name}\" : {value}\n"));
        self
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.bare(name, quoted(value))
    }

    pub(super) fn id(&mut self, name: &str, id: u64, hex: bool) -> &mut Self {
        if hex { self.bare(name, format_args!("{id:x}")) } else { self.bare(name, id) }
    }

    pub(super) fn header(&mut self, header: Option<&ResponseHeader>, hex: bool) -> &mut Self {
        let header = header.cloned().unwrap_or_default();
        self.id("ClusterID", header.cluster_id, hex).id("MemberID", header.member_id, hex);
        if header.revision > 0 {
            self.bare("Revision", header.revision);
        }
        self.bare("RaftTerm", header.raft_term)
    }

    pub(super) fn end(&mut self) {
        self.0.push('\n');
    }

    pub(super) fn bytes(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.bare(name, quoted_bytes(value))
    }

    /// The id of a lease.
    pub(super) fn lease(&mut self, name: &str, id: i64, hex: bool) -> &mut Self {
        if hex { self.bare(name, format_args!("{id:016x}")) } else { self.bare(name, id) }
    }

    /// A key with all that is known about it; `prefix` is before each name.
    pub(super) fn key(&mut self, prefix: &str, kv: &KeyValue, hex: bool) -> &mut Self {
        self.bytes(&format!("{prefix}Key"), &kv.key)
            .bare(&format!("{prefix}CreateRevision"), kv.create_revision)
            .bare(&format!("{prefix}ModRevision"), kv.mod_revision)
            .bare(&format!("{prefix}Version"), kv.version)
            .bytes(&format!("{prefix}Value"), &kv.value)
            .lease(&format!("{prefix}Lease"), kv.lease, hex)
    }

    /// A line that is not a name and a value.
    pub(super) fn line(&mut self, line: &str) -> &mut Self {
        self.0.push_str(line);
        self.0.push('\n');
        self
    }

    /// The text so far.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}
