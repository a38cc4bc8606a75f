//! The backups in a directory.

use super::document::line;
use super::format::{Format, Style};
use super::table::draw;
use super::tree::{Node, Object};
use super::words::size;
use crate::backup::Entry;
use crate::ctl::failure::Failure;

const COLUMNS: [&str; 4] = ["time", "revision", "size", "file"];

/// `backup list`.
pub(in crate::ctl) fn list(entries: &[Entry], style: Style) -> Result<Vec<u8>, Failure> {
    let rows = || -> Vec<Vec<String>> {
        let row = |entry: &Entry| {
            let size = size(i64::try_from(entry.bytes).unwrap_or(i64::MAX));
            let file = entry.path.display().to_string();
            vec![entry.name.time(), entry.name.revision.to_string(), size, file]
        };
        entries.iter().map(row).collect()
    };
    match style.format {
        Format::Simple => {
            Ok(rows().iter().map(|row| format!("{}\n", row.join(", "))).collect::<String>().into())
        }
        Format::Table => Ok(draw(&COLUMNS, &rows()).into_bytes()),
        Format::Json | Format::Yaml => {
            let object = |entry: &Entry| {
                Object::default()
                    .always("file", entry.path.display().to_string())
                    .always("time", entry.name.time())
                    .always("cluster", entry.name.source.cluster.to_string())
                    .always("revision", entry.name.revision)
                    .always("size", entry.bytes)
                    .always("compressed", entry.name.compressed)
            };
            let objects = entries.iter().map(|entry| object(entry).into()).collect();
            Ok(line(Node::List(objects), style))
        }
        Format::Fields | Format::Protobuf => Err(style.unsupported()),
    }
}
