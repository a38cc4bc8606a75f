//! Single values as etcdctl spells them.

use std::fmt::Write;

/// A number of bytes with decimal units, at least two digits if there is a unit: `0 B`, `20 kB`, `2.1 MB`.
pub(super) fn size(bytes: i64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    // etcdctl reads the field as unsigned.
    let bytes = bytes as u64;
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut scale = 1_u64;
    while unit + 1 < UNITS.len() && bytes / scale >= 1000 {
        unit += 1;
        scale *= 1000;
    }
    // Round to a tenth first: that decides between one decimal and none.
    let value = (bytes as f64 / scale as f64 * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// A text in quotes, in the format of Go's `%q`.
pub(in crate::ctl) fn quoted(text: &str) -> String {
    quoted_bytes(text.as_bytes())
}

/// Bytes in quotes, in the format of Go's `%q`.
pub(in crate::ctl) fn quoted_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push_quoted(&mut quoted, character));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted.push('"');
    quoted
}

fn push_quoted(quoted: &mut String, character: char) {
    let _ = match character {
        '"' | '\\' => write!(quoted, "\\{character}"),
        '\n' => write!(quoted, "\\n"),
        '\r' => write!(quoted, "\\r"),
        '\t' => write!(quoted, "\\t"),
        '\u{7}' => write!(quoted, "\\a"),
        '\u{8}' => write!(quoted, "\\b"),
        '\u{b}' => write!(quoted, "\\v"),
        '\u{c}' => write!(quoted, "\\f"),
        control if control.is_ascii_control() => write!(quoted, "\\x{:02x}", u32::from(control)),
        other if is_printable(other) => write!(quoted, "{other}"),
        other if u32::from(other) > 0xffff => write!(quoted, "\\U{:08x}", u32::from(other)),
        other => write!(quoted, "\\u{:04x}", u32::from(other)),
    };
}

/// Rust's table of what can be printed has the same rules as Go's. Behind a letter, a combining mark is one of them.
fn is_printable(character: char) -> bool {
    character.is_ascii() || !format!("a{character}").escape_debug().to_string().contains("\\u{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_humanised_as_etcdctl_does() {
        let sizes: Vec<String> =
            [0, 9, 10, 999, 1000, 20480, 2_147_483_648, 9_949_999, 9_950_000, 1_500_000].map(size).into();
        let expected =
            ["0 B", "9 B", "10 B", "999 B", "1.0 kB", "20 kB", "2.1 GB", "9.9 MB", "10 MB", "1.5 MB"];
        assert_eq!(sizes, expected);
    }

    #[test]
    fn texts_are_quoted_as_go_does() {
        assert_eq!(quoted("a \"b\"\n\u{1}ü"), r#""a \"b\"\n\x01ü""#);
        assert_eq!(quoted_bytes(b"\xff\xfe\x7f"), r#""\xff\xfe\x7f""#);
        assert_eq!(quoted("e\u{301}\u{ad}\u{2028}\u{e0001}"), "\"e\u{301}\\u00ad\\u2028\\U000e0001\"");
    }
}
