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
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            control if control.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\x{:02x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
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
    }
}
