//! What endpoints answer: health, status, hash.

use super::document::line;
use super::fields::Lines;
use super::format::{Format, Style};
use super::table::draw;
use super::tree::{Node, Object, array};
use super::words::{quoted, size};
use crate::api::proto::etcdserverpb::{HashKvResponse, StatusResponse};
use crate::ctl::failure::Failure;

/// The result of a health check of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Health {
    pub(in crate::ctl) endpoint: String,
    /// In Go's spelling.
    pub(in crate::ctl) took: String,
    /// Empty if it is healthy.
    pub(in crate::ctl) error: String,
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

/// Columns of `endpoint hashkv`.
const HASH: [&str; 3] = ["endpoint", "hash", "hash revision"];

/// `endpoint health` in any format but simple; the lines of simple go to two streams.
pub(in crate::ctl) fn health(results: &[Health], style: Style) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Json | Format::Yaml => Ok(line(health_json(results), style)),
        Format::Fields => Ok(health_fields(results)),
        Format::Protobuf => Err(style.unsupported()),
        Format::Table | Format::Simple => {
            let rows = results.iter().map(|health| {
                let healthy = health.error.is_empty().to_string();
                vec![health.endpoint.clone(), healthy, health.took.clone(), health.error.clone()]
            });
            Ok(draw(&HEALTH, &rows.collect::<Vec<_>>()).into_bytes())
        }
    }
}

/// `endpoint status`.
pub(in crate::ctl) fn status(results: &[(String, StatusResponse)], style: Style) -> Result<Vec<u8>, Failure> {
    let rows = || results.iter().map(|(endpoint, status)| status_row(endpoint, status)).collect::<Vec<_>>();
    match style.format {
        Format::Json | Format::Yaml => Ok(line(status_json(results), style)),
        Format::Fields => Ok(status_fields(results, style.hex)),
        Format::Table => Ok(draw(&STATUS, &rows()).into_bytes()),
        Format::Simple => Ok(lines(&rows()).into_bytes()),
        Format::Protobuf => Err(style.unsupported()),
    }
}

/// `endpoint hashkv`.
pub(in crate::ctl) fn hash(results: &[(String, HashKvResponse)], style: Style) -> Result<Vec<u8>, Failure> {
    let row = |(endpoint, hash): &(String, HashKvResponse)| {
        vec![endpoint.clone(), hash.hash.to_string(), hash.hash_revision.to_string()]
    };
    let rows = || results.iter().map(row).collect::<Vec<_>>();
    match style.format {
        Format::Json | Format::Yaml => {
            let objects = results.iter().map(|(endpoint, hash)| {
                let one = Object::default()
                    .header(hash.header.as_ref())
                    .some("hash", hash.hash)
                    .some("compact_revision", hash.compact_revision)
                    .some("hash_revision", hash.hash_revision);
                Object::default().always("Endpoint", endpoint.as_str()).with("HashKV", one)
            });
            Ok(line(array(objects.collect()), style))
        }
        Format::Fields => {
            let mut lines = Lines::default();
            for (endpoint, hash) in results {
                lines.header(hash.header.as_ref(), style.hex).text("Endpoint", endpoint);
                lines.bare("Hash", hash.hash).bare("HashRevision", hash.hash_revision).end();
            }
            Ok(lines.into_bytes())
        }
        Format::Table => Ok(draw(&HASH, &rows()).into_bytes()),
        Format::Simple => Ok(lines(&rows()).into_bytes()),
        Format::Protobuf => Err(style.unsupported()),
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

fn health_json(results: &[Health]) -> Node {
    let objects = results.iter().map(|health| {
        Object::default()
            .always("endpoint", health.endpoint.as_str())
            .always("health", health.error.is_empty())
            .always("took", health.took.as_str())
            .some("error", health.error.as_str())
    });
    array(objects.collect())
}

fn status_json(results: &[(String, StatusResponse)]) -> Node {
    let objects = results.iter().map(|(endpoint, status)| {
        Object::default().always("Endpoint", endpoint.as_str()).with("Status", one_status(status))
    });
    array(objects.collect())
}

fn one_status(status: &StatusResponse) -> Object {
    let object = Object::default()
        .header(status.header.as_ref())
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
    match &status.downgrade_info {
        None => object,
        Some(info) => {
            let info = Object::default()
                .some("enabled", info.enabled)
                .some("targetVersion", info.target_version.as_str());
            object.with("downgradeInfo", info)
        }
    }
}

fn health_fields(results: &[Health]) -> Vec<u8> {
    let mut lines = Lines::default();
    for health in results {
        lines.text("Endpoint", &health.endpoint).bare("Health", health.error.is_empty());
        lines.bare("Took", &health.took).bare("Error", &health.error).end();
    }
    lines.into_bytes()
}

fn status_fields(results: &[(String, StatusResponse)], hex: bool) -> Vec<u8> {
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
    lines.into_bytes()
}
