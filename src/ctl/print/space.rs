//! Keys and bytes by prefix.

use super::document::line;
use super::format::{Format, Style};
use super::table::draw;
use super::tree::{Node, Object};
use super::words::{quoted_bytes, size};
use crate::ctl::failure::Failure;

/// The keys below one prefix.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ctl) struct Group {
    /// Live keys.
    pub(in crate::ctl) keys: u64,
    /// Bytes of live keys and values.
    pub(in crate::ctl) bytes: u64,
    /// Versions that only the history holds.
    pub(in crate::ctl) old: u64,
    /// Their bytes.
    pub(in crate::ctl) old_bytes: u64,
}

const COLUMNS: [&str; 5] = ["keys", "size", "old versions", "old size", "prefix"];

/// `space`; the groups are sorted.
pub(in crate::ctl) fn space(
    groups: &[(Vec<u8>, Group)],
    limit: usize,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    let (shown, rest) = groups.split_at(limit.min(groups.len()));
    let sum = |groups: &[(Vec<u8>, Group)]| {
        groups.iter().fold(Group::default(), |sum, (_, group)| Group {
            keys: sum.keys + group.keys,
            bytes: sum.bytes + group.bytes,
            old: sum.old + group.old,
            old_bytes: sum.old_bytes + group.old_bytes,
        })
    };
    let row = |name: String, group: &Group| {
        let size = |bytes: u64| size(i64::try_from(bytes).unwrap_or(i64::MAX));
        let (keys, old) = (group.keys.to_string(), group.old.to_string());
        vec![keys, size(group.bytes), old, size(group.old_bytes), name]
    };
    match style.format {
        Format::Simple | Format::Table => {
            let mut rows: Vec<Vec<String>> =
                shown.iter().map(|(name, group)| row(quoted_bytes(name), group)).collect();
            if !rest.is_empty() {
                rows.push(row(format!("({} others)", rest.len()), &sum(rest)));
            }
            rows.push(row("(all)".to_string(), &sum(groups)));
            Ok(match style.format {
                Format::Table => draw(&COLUMNS, &rows),
                _ => rows.iter().map(|row| format!("{}\n", row.join(", "))).collect(),
            }
            .into_bytes())
        }
        Format::Json | Format::Yaml => {
            let object = |group: &Group| {
                let object = Object::default().always("keys", group.keys).always("bytes", group.bytes);
                object.always("oldVersions", group.old).always("oldBytes", group.old_bytes)
            };
            let list =
                shown.iter().map(|(name, group)| object(group).with("prefix", Node::Bytes(name.clone())));
            Ok(line(object(&sum(groups)).list("prefixes", list), style))
        }
        Format::Fields | Format::Protobuf => Err(style.unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_summed_up() {
        let group = |keys, bytes| Group { keys, bytes, old: 1, old_bytes: 5 };
        let groups =
            [(b"/a/".to_vec(), group(2, 3000)), (b"/b/".to_vec(), group(1, 20)), (b"".to_vec(), group(1, 9))];
        let shown = |format| {
            let bytes = space(&groups, 1, Style { format, ..Style::default() }).expect("shown");
            String::from_utf8(bytes).expect("text")
        };
        assert_eq!(
            shown(Format::Simple),
            "2, 3.0 kB, 1, 5 B, \"/a/\"\n2, 29 B, 2, 10 B, (2 others)\n4, 3.0 kB, 3, 15 B, (all)\n"
        );
        assert!(shown(Format::Json).starts_with("{\"keys\":4,\"bytes\":3029,\"oldVersions\":3,"));
    }
}
