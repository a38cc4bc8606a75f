//! What is printed in JSON and YAML: a tree with the names and the order of etcd's structures.

use serde_json::{Value, json};

use crate::api::proto::etcdserverpb::ResponseHeader;

/// Behind the name of a member whose bytes are no text although texts were asked for.
const NO_TEXT: &str = "_base64";

/// A part of an answer.
pub(super) enum Node {
    /// A text, a number, a boolean, or nothing.
    Scalar(Value),
    /// Bytes: in base64, or as text if that is asked for and possible.
    Bytes(Vec<u8>),
    Object(Object),
    List(Vec<Node>),
}

impl From<Object> for Node {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(elements) => Self::List(elements.into_iter().map(Self::from).collect()),
            scalar => Self::Scalar(scalar),
        }
    }
}

/// What stands for bytes.
pub(super) enum Shown {
    Text(String),
    /// Texts were asked for, and these are none.
    NoText(String),
}

/// Bytes as they are displayed: without `texts`, always in base64.
pub(super) fn shown(bytes: &[u8], texts: bool) -> Shown {
    match std::str::from_utf8(bytes) {
        Ok(text) if texts => Shown::Text(text.to_string()),
        Err(_) if texts => Shown::NoText(base64(bytes)),
        _ => Shown::Text(base64(bytes)),
    }
}

/// The name under which bytes are displayed, and what is displayed.
pub(super) fn member(name: &str, bytes: &[u8], texts: bool) -> (String, String) {
    match shown(bytes, texts) {
        Shown::Text(text) => (name.to_string(), text),
        Shown::NoText(base64) => (format!("{name}{NO_TEXT}"), base64),
    }
}

/// An array; Go writes one that was never filled as `null`.
pub(super) fn array(elements: Vec<Object>) -> Node {
    match elements.is_empty() {
        true => Node::Scalar(Value::Null),
        false => Node::List(elements.into_iter().map(Node::Object).collect()),
    }
}

/// An object whose members keep their order, which serde_json's maps would not.
#[derive(Default)]
pub(super) struct Object(pub(super) Vec<(String, Node)>);

impl Object {
    /// A member, whatever it is.
    pub(super) fn with(mut self, name: &str, node: impl Into<Node>) -> Self {
        self.0.push((name.to_string(), node.into()));
        self
    }

    pub(super) fn always(self, name: &str, value: impl Into<Value>) -> Self {
        self.with(name, value.into())
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
        if empty { self } else { self.with(name, value) }
    }

    /// Bytes, if there are any.
    pub(super) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { self.with(name, Node::Bytes(bytes.to_vec())) }
    }

    /// An array of objects, if there are any.
    pub(super) fn list(self, name: &str, elements: impl Iterator<Item = Object>) -> Self {
        let elements: Vec<Node> = elements.map(Node::Object).collect();
        if elements.is_empty() { self } else { self.with(name, Node::List(elements)) }
    }

    /// The header of an answer.
    pub(super) fn header(self, header: Option<&ResponseHeader>) -> Self {
        self.hex_header(header, false)
    }

    /// The header; ids are strings of hexadecimal digits if `hex` is set.
    pub(super) fn hex_header(self, given: Option<&ResponseHeader>, hex: bool) -> Self {
        match given {
            Some(given) => self.with("header", Object::default().inlined(given, hex)),
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
}

/// An id; a string of hexadecimal digits if `hex` is set.
pub(super) fn id(id: u64, hex: bool) -> Value {
    if hex { json!(format!("{id:x}")) } else { json!(id) }
}

/// The standard alphabet, padded.
fn base64(bytes: &[u8]) -> String {
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
