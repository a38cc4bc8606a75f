//! The status of a backup, as etcdutl 3.7 prints it.

use super::fields::Lines;
use super::format::{Format, Style};
use super::json::{Object, line};
use super::table::draw;
use super::words::size;
use crate::ctl::failure::Failure;
use crate::offline::Status;

/// Columns of `snapshot status`.
const STATUS: [&str; 5] = ["hash", "revision", "total keys", "total size", "version"];

/// `snapshot status`.
pub(in crate::ctl) fn status(status: &Status, style: Style) -> Result<Vec<u8>, Failure> {
    let Status { hash, revision, keys, bytes, version } = status;
    let row = || {
        let size = size(i64::try_from(*bytes).unwrap_or(i64::MAX));
        vec![format!("{hash:x}"), revision.to_string(), keys.to_string(), size, version.clone()]
    };
    match style.format {
        Format::Simple => Ok(format!("{}\n", row().join(", ")).into_bytes()),
        Format::Table => Ok(draw(&STATUS, &[row()]).into_bytes()),
        Format::Json => Ok(line(
            &Object::default()
                .always("hash", *hash)
                .always("revision", *revision)
                .always("totalKey", *keys)
                .always("totalSize", *bytes)
                .always("version", version.as_str()),
        )),
        Format::Fields => {
            let mut lines = Lines::default();
            lines.bare("Hash", hash).bare("Revision", revision).bare("Keys", keys).bare("Size", bytes);
            lines.bare("Version", version);
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Err(style.unsupported()),
    }
}
