//! The shape of all messages, generated from the descriptors by `build.rs`: what reading and writing JSON needs.

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its full name.
    pub name: &'static str,
    /// Its fields, as declared. At most 64.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its number on the wire.
    pub number: u32,
    /// Its name as declared: the one that answers have, and requests may have.
    pub name: &'static str,
    /// Its name in lowerCamelCase, which requests may have instead.
    pub json_name: &'static str,
    /// Its name in an answer, quoted and with the colon.
    pub label: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Any number of values instead of one.
    pub repeated: bool,
    /// The full name of the group of fields of which only one may be set.
    pub oneof: Option<&'static str>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    String,
    Bytes,
    Enum(&'static Enum),
    Message(&'static Message),
}

/// An enumeration.
#[derive(Debug)]
pub struct Enum {
    /// The names and numbers of its values.
    pub values: &'static [(&'static str, i32)],
}

/// The messages of a method.
#[derive(Debug)]
pub struct Method {
    /// The method's path on the wire.
    pub path: &'static str,
    /// Its request.
    pub request: &'static Message,
    /// Its answer.
    pub answer: &'static Message,
}

impl Kind {
    /// protobuf's name of the kind, for errors.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Uint32 => "uint32",
            Kind::Uint64 => "uint64",
            Kind::String => "string",
            Kind::Bytes => "bytes",
            Kind::Enum(_) => "enum",
            Kind::Message(_) => "message",
        }
    }
}

/// The messages of the method at that path.
pub fn method(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}

include!(concat!(env!("OUT_DIR"), "/schema.rs"));

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All messages that a message contains, and itself.
    fn reach(message: &'static Message, seen: &mut BTreeSet<&'static str>, all: &mut Vec<&'static Message>) {
        if !seen.insert(message.name) {
            return;
        }
        all.push(message);
        for field in message.fields {
            if let Kind::Message(inner) = field.kind {
                reach(inner, seen, all);
            }
        }
    }

    #[test]
    fn shapes_fit_what_reading_and_writing_assume() {
        let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
        for method in METHODS {
            reach(method.request, &mut seen, &mut all);
            reach(method.answer, &mut seen, &mut all);
        }
        assert!(all.len() > 90, "{}", all.len());
        for message in all {
            assert!(message.fields.len() <= 64, "{}: reading marks fields in 64 bits", message.name);
            // Answers are written in the order of the wire, which is that of the numbers; etcd's have the declared order.
            assert!(message.fields.is_sorted_by_key(|field| field.number), "{}", message.name);
            for field in message.fields {
                assert_eq!(field.label, format!("\"{}\":", field.name));
                assert!(!field.json_name.contains('_'), "{}.{}", message.name, field.name);
            }
        }
    }
}
