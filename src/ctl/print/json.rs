//! `--write-out json`: Go's encoding of etcd's structures, in their order, without fields that are empty or zero.

use serde_json::{Value, json};

use super::Health;
use crate::api::proto::etcdserverpb::{Member, MemberListResponse, ResponseHeader, StatusResponse};

/// An object whose members keep their order, which serde_json's maps would not.
#[derive(Default)]
struct Object(Vec<String>);

impl Object {
    fn raw(mut self, name: &str, json: impl std::fmt::Display) -> Self {
        self.0.push(format!("\"{name}\":{json}"));
        self
    }

    fn always(self, name: &str, value: impl Into<Value>) -> Self {
        self.raw(name, go(&value.into()))
    }

    /// Go's `omitempty`.
    fn some(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let empty = match &value {
            Value::Null => true,
            Value::Bool(on) => !on,
            Value::Number(number) => number.as_u64() == Some(0),
            Value::String(text) => text.is_empty(),
            Value::Array(elements) => elements.is_empty(),
            Value::Object(members) => members.is_empty(),
        };
        if empty { self } else { self.raw(name, go(&value)) }
    }

    fn text(&self) -> String {
        format!("{{{}}}", self.0.join(","))
    }
}

/// Go's encoder escapes `<`, `>` and `&`, because its texts may end up in HTML.
fn go(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// An array; Go writes one that was never filled as `null`.
fn array(elements: &[String]) -> String {
    if elements.is_empty() { "null\n".to_string() } else { format!("[{}]\n", elements.join(",")) }
}

/// An id; a string of hexadecimal digits if `hex` is set.
fn id(id: u64, hex: bool) -> Value {
    if hex { json!(format!("{id:x}")) } else { json!(id) }
}

fn header(header: Option<&ResponseHeader>, hex: bool) -> String {
    let header = header.cloned().unwrap_or_default();
    Object::default()
        .some("cluster_id", id(header.cluster_id, hex))
        .some("member_id", id(header.member_id, hex))
        .some("revision", header.revision)
        .some("raft_term", header.raft_term)
        .text()
}

pub(super) fn health(results: &[Health]) -> String {
    let objects = results.iter().map(|health| {
        Object::default()
            .always("endpoint", health.endpoint.as_str())
            .always("health", health.error.is_empty())
            .always("took", health.took.as_str())
            .some("error", health.error.as_str())
            .text()
    });
    array(&objects.collect::<Vec<_>>())
}

pub(super) fn status(results: &[(String, StatusResponse)]) -> String {
    let objects = results.iter().map(|(endpoint, status)| {
        Object::default().always("Endpoint", endpoint.as_str()).raw("Status", one_status(status)).text()
    });
    array(&objects.collect::<Vec<_>>())
}

fn one_status(status: &StatusResponse) -> String {
    let object = Object::default()
        .raw("header", header(status.header.as_ref(), false))
        .some("version", status.version.as_str())
        .some("dbSize", status.db_size)
        .some("leader", status.leader)
        .some("raftIndex", status.raft_index)
        .some("raftTerm", status.raft_term)
        .some("raftAppliedIndex", status.raft_applied_index)
        .some("errors", status.errors.clone())
        .some("dbSizeInUse", status.db_size_in_use)
        .some("isLearner", status.is_learner)
        .some("storageVersion", status.storage_version.as_str())
        .some("dbSizeQuota", status.db_size_quota);
    let object = match &status.downgrade_info {
        None => object,
        Some(info) => {
            let info = Object::default()
                .some("enabled", info.enabled)
                .some("targetVersion", info.target_version.as_str());
            object.raw("downgradeInfo", info.text())
        }
    };
    object.text()
}

pub(super) fn members(list: &MemberListResponse, hex: bool) -> String {
    let members: Vec<String> = list.members.iter().map(|member| one_member(member, hex)).collect();
    let object = Object::default().raw("header", header(list.header.as_ref(), hex));
    let object = if members.is_empty() {
        object
    } else {
        object.raw("members", format_args!("[{}]", members.join(",")))
    };
    object.text() + "\n"
}

fn one_member(member: &Member, hex: bool) -> String {
    Object::default()
        .some("ID", id(member.id, hex))
        .some("name", member.name.as_str())
        .some("peerURLs", member.peer_ur_ls.clone())
        .some("clientURLs", member.client_ur_ls.clone())
        .some("isLearner", member.is_learner)
        .text()
}
