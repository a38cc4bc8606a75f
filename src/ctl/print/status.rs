//! The whole cluster on one screen.

use super::document::line;
use super::format::{Format, Style};
use super::table::draw;
use super::tree::Object;
use super::words::size;
use crate::ctl::failure::Failure;

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ctl) struct Row {
    pub(in crate::ctl) name: String,
    pub(in crate::ctl) id: u64,
    /// Empty if it does not answer; then the following are empty, too.
    pub(in crate::ctl) role: &'static str,
    pub(in crate::ctl) version: String,
    pub(in crate::ctl) cluster_version: String,
    pub(in crate::ctl) cluster: u64,
    pub(in crate::ctl) term: u64,
    /// Entries that the others have and this one has not applied.
    pub(in crate::ctl) behind: u64,
    /// Bytes in use.
    pub(in crate::ctl) size: u64,
    /// Percent of the quota.
    pub(in crate::ctl) full: Option<u64>,
    /// Seconds since its last backup.
    pub(in crate::ctl) backup_age: Option<u64>,
    /// Days until its first certificate expires.
    pub(in crate::ctl) days: Option<i64>,
}

const COLUMNS: [&str; 7] = ["name", "role", "behind", "size", "quota", "last backup", "certificates"];

/// `status`.
pub(in crate::ctl) fn status(rows: &[Row], warnings: &[String], style: Style) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple | Format::Table => {
            let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
            let warnings: String = warnings.iter().map(|text| format!("warning: {text}\n")).collect();
            Ok(format!("{}\n{}{warnings}", heading(rows), draw(&COLUMNS, &cells)).into_bytes())
        }
        Format::Json | Format::Yaml => {
            let members = rows.iter().map(|row| {
                let object = Object::default().always("name", row.name.as_str()).always("id", row.id);
                let object = object.always("answers", !row.role.is_empty()).some("role", row.role);
                let object = object.some("version", row.version.as_str()).always("behind", row.behind);
                let object = object.always("bytesInUse", row.size);
                let object = match row.full {
                    Some(full) => object.always("quotaPercent", full),
                    None => object,
                };
                let object = match row.backup_age {
                    Some(age) => object.always("backupAgeSeconds", age),
                    None => object,
                };
                match row.days {
                    Some(days) => object.always("certificateDays", days),
                    None => object,
                }
            });
            Ok(line(Object::default().list("members", members).always("warnings", warnings.to_vec()), style))
        }
        Format::Fields | Format::Protobuf => Err(style.unsupported()),
    }
}

fn heading(rows: &[Row]) -> String {
    let Some(first) = rows.iter().find(|row| !row.role.is_empty()) else {
        return "no member answers".to_string();
    };
    let leader = rows.iter().find(|row| row.role == "leader");
    let leader = leader.map_or("no leader".to_string(), |row| format!("leader {}", row.name));
    let (cluster, term, version) = (first.cluster, first.term, &first.cluster_version);
    let members = if rows.len() == 1 { "1 member".to_string() } else { format!("{} members", rows.len()) };
    format!("cluster {cluster:x}, {members}, version {version}, {leader}, term {term}")
}

fn cells(row: &Row) -> Vec<String> {
    if row.role.is_empty() {
        let silent = "silent".to_string();
        return [vec![row.name.clone(), silent], vec![String::new(); COLUMNS.len() - 2]].concat();
    }
    let unknown = || "-".to_string();
    vec![
        row.name.clone(),
        row.role.to_string(),
        row.behind.to_string(),
        size(i64::try_from(row.size).unwrap_or(i64::MAX)),
        row.full.map_or_else(unknown, |full| format!("{full} %")),
        row.backup_age.map_or_else(unknown, age),
        row.days.map_or_else(unknown, |days| format!("{days} days")),
    ]
}

/// Seconds as people say them.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_fits_on_a_terminal() {
        let row = |name: &str, role| Row {
            name: name.into(),
            role,
            cluster: 0xabc,
            cluster_version: "3.7.0".into(),
            term: 3,
            size: 2_100_000,
            full: Some(1),
            backup_age: Some(7300),
            days: Some(364),
            ..Row::default()
        };
        let rows = [row("node01", "leader"), row("node02", "follower"), row("node03", "")];
        let shown = status(&rows, &["look".into()], Style::default()).expect("shown");
        let shown = String::from_utf8(shown).expect("text");
        assert!(
            shown.starts_with("cluster abc, 3 members, version 3.7.0, leader node01, term 3\n"),
            "{shown}"
        );
        assert!(shown.ends_with("warning: look\n") && shown.contains(" 2 h ago "), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
}
