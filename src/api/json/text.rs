//! Texts in JSON: escapes, base64, and the form in which Go quotes.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const fn engine(alphabet: &Alphabet, padding: DecodePaddingMode) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config.with_decode_padding_mode(padding))
}

static PADDED: GeneralPurpose = engine(&STANDARD, DecodePaddingMode::RequireCanonical);
static BARE: GeneralPurpose = engine(&STANDARD, DecodePaddingMode::RequireNone);
static URL_PADDED: GeneralPurpose = engine(&URL_SAFE, DecodePaddingMode::RequireCanonical);
static URL_BARE: GeneralPurpose = engine(&URL_SAFE, DecodePaddingMode::RequireNone);

/// Appends the bytes that `text` encodes in either alphabet, with padding or without it, after their length as a
/// varint. `None` if it is not base64; then something may have been appended.
pub fn decode_base64(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let url = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = match (text.len().is_multiple_of(4), url) {
        (true, false) => &PADDED,
        (false, false) => &BARE,
        (true, true) => &URL_PADDED,
        (false, true) => &URL_BARE,
    };
    // Go passes over line breaks.
    let text = match text.contains(['\r', '\n']) {
        true => Cow::Owned(text.replace(['\r', '\n'], "")),
        false => Cow::Borrowed(text),
    };
    let length = text.trim_end_matches('=').len() * 3 / 4;
    prost::encoding::encode_varint(length as u64, out);
    let begin = out.len();
    // The engine asks for room for whole groups.
    out.resize(begin + length + 3, 0);
    let decoded = engine.decode_slice(text.as_bytes(), out.get_mut(begin..)?).ok()?;
    out.truncate(begin + decoded);
    (decoded == length).then_some(())
}

/// Appends `bytes` as base64.
pub fn encode_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    out.resize(begin + bytes.len().div_ceil(3) * 4, 0);
    if let Some(room) = out.get_mut(begin..) {
        // The room is exactly what it takes.
        let written = PADDED.encode_slice(bytes, room).unwrap_or(0);
        out.truncate(begin + written);
    }
}

/// Appends a text, quoted.
pub fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            0x08 => out.extend(b"\\b"),
            0x0c => out.extend(b"\\f"),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Why a string cannot be read.
#[derive(Debug, PartialEq)]
pub enum Wrong {
    /// protobuf's text about the string.
    Syntax(String),
    /// The input ends where the other half of a character must be.
    EndsEarly,
}

/// The text in a string that [`super::scan::Scanner`] has accepted. `raw` is everything between the quotes, `rest` all
/// that follows `raw` in the input.
///
/// # Errors
/// If it is not UTF-8, or a `\u` is half of a pair.
pub fn unescape<'t>(raw: &'t [u8], rest: &[u8]) -> Result<Cow<'t, str>, Wrong> {
    let valid = match std::str::from_utf8(raw) {
        Ok(text) => text,
        Err(error) => {
            // An escape before it is reported first.
            unescape(raw.get(..error.valid_up_to()).unwrap_or_default(), &[])?;
            return Err(Wrong::Syntax("invalid UTF-8 in string".to_string()));
        }
    };
    if !valid.contains('\\') {
        return Ok(Cow::Borrowed(valid));
    }
    let mut text = String::with_capacity(valid.len());
    let mut left = valid;
    while let Some((plain, escaped)) = left.split_once('\\') {
        text.push_str(plain);
        let mut chars = escaped.chars();
        let code = chars.next().unwrap_or('\\');
        left = chars.as_str();
        text.push(match code {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = hex(left.get(..4));
                left = left.get(4..).unwrap_or_default();
                match char::from_u32(first) {
                    Some(char) => char,
                    None => {
                        let char = left.strip_prefix("\\u").and_then(|low| pair(first, hex(low.get(..4))));
                        let Some(char) = char else { return Err(lone(left.as_bytes(), rest)) };
                        left = left.get(6..).unwrap_or_default();
                        char
                    }
                }
            }
            same => same,
        });
    }
    text.push_str(left);
    Ok(Cow::Owned(text))
}

fn hex(digits: Option<&str>) -> u32 {
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// The character that two halves make.
fn pair(high: u32, low: u32) -> Option<char> {
    let halves = [u16::try_from(high).ok()?, u16::try_from(low).ok()?];
    char::decode_utf16(halves).next()?.ok()
}

/// The reason for half a pair: it shows the six bytes after it.
fn lone(left: &[u8], rest: &[u8]) -> Wrong {
    let after: Vec<u8> = left.iter().chain(rest).copied().take(6).collect();
    if after.len() < 6 {
        return Wrong::EndsEarly;
    }
    Wrong::Syntax(format!("invalid escape code \"{}\" in string", quoted(&after)))
}

/// Bytes in the form in which Go quotes them, without the quotes.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '"' | '\\' => text.extend(['\\', char]),
                '\u{7}' => text.push_str("\\a"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{b}' => text.push_str("\\v"),
                '\0'..' ' | '\u{7f}' => text.push_str(&format!("\\x{:02x}", u32::from(char))),
                '\u{80}'..='\u{a0}' | '\u{ad}' => text.push_str(&format!("\\u{:04x}", u32::from(char))),
                _ => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode_base64(text, &mut out)?;
        let length = prost::encoding::decode_varint(&mut &out[..]).expect("a length") as usize;
        Some(out.split_off(out.len() - length))
    }

    #[test]
    fn base64_as_go_reads_it() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zm9v", b"foo"),
            ("Zm8=", b"fo"),
            ("Zm8", b"fo"),
            ("Zg==", b"f"),
            ("Zg", b"f"),
            ("Zh==", b"f"),
            ("-_-_", &[0xfb, 0xff, 0xbf]),
            ("+/+/", &[0xfb, 0xff, 0xbf]),
            ("Zm\n9v", b"foo"),
            ("Zm9v\r\n", b"foo"),
        ] {
            assert_eq!(decoded(text).as_deref(), Some(bytes), "{text:?}");
        }
        for text in ["Z", "Zm9v=", "Zg=", "====", "Zm9 ", "+_AA", "Zg==Zg==", "ä"] {
            assert_eq!(decoded(text), None, "{text:?}");
        }
        for length in 0..300 {
            let bytes: Vec<u8> = (0..length).map(|number| (number * 7) as u8).collect();
            let mut out = Vec::new();
            encode_base64(&bytes, &mut out);
            assert_eq!(decoded(std::str::from_utf8(&out).expect("ASCII")), Some(bytes));
        }
    }

    #[test]
    fn escapes() {
        let text = |raw: &str| unescape(raw.as_bytes(), b"\"}  ").map(Cow::into_owned);
        assert_eq!(text("a\\n\\u00e4\\ud83d\\ude00\\\"\\/").as_deref(), Ok("a\nä😀\"/"));
        let lone = text("\\ud83dabc");
        assert_eq!(lone, Err(Wrong::Syntax("invalid escape code \"abc\\\"} \" in string".into())));
        assert_eq!(text("\\ud83d"), Err(Wrong::EndsEarly));
        let invalid = unescape(b"a\xff", b"").map(Cow::into_owned);
        assert_eq!(invalid, Err(Wrong::Syntax("invalid UTF-8 in string".into())));
        let mut out = Vec::new();
        encode_text("\"\\\u{1}ä\n\u{7f}<".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).as_deref(), Ok("\"\\\"\\\\\\u0001ä\\n\u{7f}<\""));
    }
}
