//! `--write-out json`: Go's encoding of etcd's structures, in their order, without fields that are empty or zero.

use serde_json::{Value, json};

use crate::api::proto::etcdserverpb::ResponseHeader;

/// A line with one value.
pub(super) fn line(object: &Object) -> Vec<u8> {
    let mut text = object.text();
    text.push('\n');
    text.into_bytes()
}

/// An object whose members keep their order, which serde_json's maps would not.
#[derive(Default)]
pub(super) struct Object(Vec<String>);

impl Object {
    pub(super) fn raw(mut self, name: &str, json: impl std::fmt::Display) -> Self {
        self.0.push(format!("\"{name}\":{json}"));
        self
    }

    pub(super) fn always(self, name: &str, value: impl Into<Value>) -> Self {
        self.raw(name, go(&value.into()))
    }

    /// Go's `omitempty`.
    pub(super) fn some(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let empty = match &value {
            Value::Null => true,
            Value::Bool(on) => !on,
            Value::Number(number) => number.as_u64() == Some(0),
            Value::String(text) => text.is_empty(),
            Value::Array(elements) => elements.is_empty(),
            Value::Object(members) => members.is_empty(),
        };
        if empty { self } else { self.raw(name, go(&value)) }
    }

    /// Bytes, in base64.
    pub(super) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.some(name, base64(bytes))
    }

    /// An array of objects, if there are any.
    pub(super) fn list(self, name: &str, elements: impl Iterator<Item = Object>) -> Self {
        let elements: Vec<String> = elements.map(|element| element.text()).collect();
        if elements.is_empty() { self } else { self.raw(name, format_args!("[{}]", elements.join(","))) }
    }

    /// The header of an answer.
    pub(super) fn header(self, header: Option<&ResponseHeader>) -> Self {
        self.hex_header(header, false)
    }

    /// The header; ids are strings of hexadecimal digits if `hex` is set.
    pub(super) fn hex_header(self, given: Option<&ResponseHeader>, hex: bool) -> Self {
        match given {
            Some(given) => self.raw("header", Object::default().inlined(given, hex).text()),
            None => self,
        }
    }

    /// The members of a header as members of this object.
    pub(super) fn inlined(self, header: &ResponseHeader, hex: bool) -> Self {
        self.some("cluster_id", id(header.cluster_id, hex))
            .some("member_id", id(header.member_id, hex))
            .some("revision", header.revision)
            .some("raft_term", header.raft_term)
    }

    pub(super) fn text(&self) -> String {
        format!("{{{}}}", self.0.join(","))
    }
}

/// Go's encoder escapes `<`, `>` and `&`, because its texts may end up in HTML.
pub(super) fn go(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// An array; Go writes one that was never filled as `null`.
pub(super) fn array(elements: &[String]) -> String {
    if elements.is_empty() { "null\n".to_string() } else { format!("[{}]\n", elements.join(",")) }
}

/// An id; a string of hexadecimal digits if `hex` is set.
pub(super) fn id(id: u64, hex: bool) -> Value {
    if hex { json!(format!("{id:x}")) } else { json!(id) }
}

/// The standard alphabet, padded.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let of = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = of(0) << 16 | of(1) << 8 | of(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= group.len() { char::from(DIGITS[index as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_padded() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (plain, encoded) in cases {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }
}
