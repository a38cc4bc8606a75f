//! The formats of `--write-out`, as etcdctl 3.7 prints them. Everything here returns text; commands print it.

mod fields;
mod json;
mod table;
mod words;

use prost::Message;

use crate::api::proto::etcdserverpb::{MemberListResponse, StatusResponse};
use words::size;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Simple,
    Table,
    Json,
    Fields,
    /// The protobuf message itself; only commands with a single answer have it.
    Protobuf,
}

impl Format {
    /// By etcdctl's name for it.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let all = [Self::Simple, Self::Table, Self::Json, Self::Fields, Self::Protobuf];
        all.into_iter().find(|format| format.name() == name)
    }

    /// etcdctl's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Table => "table",
            Self::Json => "json",
            Self::Fields => "fields",
            Self::Protobuf => "protobuf",
        }
    }
}

/// The result of a health check of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) endpoint: String,
    /// In Go's spelling.
    pub(super) took: String,
    /// Empty if it is healthy.
    pub(super) error: String,
}

/// Columns of `endpoint health`.
const HEALTH: [&str; 4] = ["endpoint", "health", "took", "error"];

/// Columns of `endpoint status`.
const STATUS: [&str; 16] = [
    "endpoint",
    "id",
    "version",
    "storage version",
    "db size",
    "in use",
    "percentage not in use",
    "quota",
    "is leader",
    "is learner",
    "raft term",
    "raft index",
    "raft applied index",
    "errors",
    "downgrade target version",
    "downgrade enabled",
];

/// Columns of `member list`.
const MEMBERS: [&str; 6] = ["id", "status", "name", "peer addrs", "client addrs", "is learner"];

/// `endpoint health` in any format but simple; the lines of simple go to two streams.
pub(super) fn endpoint_health(results: &[Health], format: Format) -> String {
    match format {
        Format::Json => json::health(results),
        Format::Fields => fields::health(results),
        _ => {
            let rows = results.iter().map(|health| {
                let healthy = health.error.is_empty().to_string();
                vec![health.endpoint.clone(), healthy, health.took.clone(), health.error.clone()]
            });
            table::draw(&HEALTH, &rows.collect::<Vec<_>>())
        }
    }
}

/// `endpoint status`.
pub(super) fn endpoint_status(results: &[(String, StatusResponse)], format: Format, hex: bool) -> String {
    let rows = || results.iter().map(|(endpoint, status)| status_row(endpoint, status)).collect::<Vec<_>>();
    match format {
        Format::Json => json::status(results),
        Format::Fields => fields::status(results, hex),
        Format::Table => table::draw(&STATUS, &rows()),
        Format::Simple | Format::Protobuf => lines(&rows()),
    }
}

/// `member list`.
pub(super) fn member_list(list: &MemberListResponse, format: Format, hex: bool) -> Vec<u8> {
    let rows = || list.members.iter().map(member_row).collect::<Vec<_>>();
    match format {
        Format::Json => json::members(list, hex).into_bytes(),
        Format::Fields => fields::members(list, hex).into_bytes(),
        Format::Table => table::draw(&MEMBERS, &rows()).into_bytes(),
        Format::Simple => lines(&rows()).into_bytes(),
        Format::Protobuf => list.encode_to_vec(),
    }
}

fn lines(rows: &[Vec<String>]) -> String {
    rows.iter().map(|row| row.join(", ") + "\n").collect()
}

fn status_row(endpoint: &str, status: &StatusResponse) -> Vec<String> {
    let member = status.header.as_ref().map_or(0, |header| header.member_id);
    let unused = match status.db_size {
        0 => 0,
        size => 100 - (i128::from(status.db_size_in_use) * 100 / i128::from(size)),
    };
    let downgrade = status.downgrade_info.clone().unwrap_or_default();
    vec![
        endpoint.to_string(),
        format!("{member:x}"),
        status.version.clone(),
        status.storage_version.clone(),
        size(status.db_size),
        size(status.db_size_in_use),
        format!("{unused}%"),
        size(status.db_size_quota),
        (status.leader == member).to_string(),
        status.is_learner.to_string(),
        status.raft_term.to_string(),
        status.raft_index.to_string(),
        status.raft_applied_index.to_string(),
        status.errors.join(", "),
        downgrade.target_version,
        downgrade.enabled.to_string(),
    ]
}

fn member_row(member: &crate::api::proto::etcdserverpb::Member) -> Vec<String> {
    let status = if member.name.is_empty() { "unstarted" } else { "started" };
    vec![
        format!("{:x}", member.id),
        status.to_string(),
        member.name.clone(),
        member.peer_ur_ls.join(","),
        member.client_ur_ls.join(","),
        member.is_learner.to_string(),
    ]
}
