//! The backups in a directory.

use super::format::{Format, Style};
use super::json::{Object, array};
use super::table::draw;
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
        Format::Json => {
            let object = |entry: &Entry| {
                Object::default()
                    .always("file", entry.path.display().to_string())
                    .always("time", entry.name.time())
                    .always("cluster", entry.name.cluster.to_string())
                    .always("revision", entry.name.revision)
                    .always("size", entry.bytes)
                    .always("compressed", entry.name.compressed)
                    .text()
            };
            let objects: Vec<String> = entries.iter().map(object).collect();
            Ok(if objects.is_empty() { "[]\n".to_string() } else { array(&objects) }.into_bytes())
        }
        Format::Fields | Format::Protobuf => Err(style.unsupported()),
    }
}
