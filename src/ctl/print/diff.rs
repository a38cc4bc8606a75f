//! What differs between two sets of keys.

use super::data::key_json;
use super::document::one_of_many;
use super::format::{Format, Style};
use super::tree::{Node, Object};
use super::words::quoted_bytes;
use crate::api::proto::mvccpb::KeyValue;
use crate::ctl::failure::Failure;

/// A value that is not longer, and is a text, is shown.
const SHORT: usize = 40;

/// What is compared besides the values.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::ctl) struct Compared {
    pub(in crate::ctl) versions: bool,
    pub(in crate::ctl) leases: bool,
}

/// A key that is on one side only, or not the same on both.
#[derive(Clone, Copy, Debug)]
pub(in crate::ctl) enum Pair<'k> {
    OnlyA(&'k KeyValue),
    OnlyB(&'k KeyValue),
    Both(&'k KeyValue, &'k KeyValue),
}

/// How many keys there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ctl) struct Sums {
    pub(in crate::ctl) only_a: u64,
    pub(in crate::ctl) only_b: u64,
    pub(in crate::ctl) differing: u64,
    pub(in crate::ctl) same: u64,
}

/// The names of what differs, with both values as texts.
pub(in crate::ctl) fn differences(
    a: &KeyValue,
    b: &KeyValue,
    compared: Compared,
) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if a.value != b.value {
        found.push(("value", values(&a.value, &b.value)));
    }
    let mut number = |is_compared: bool, name, a: i64, b: i64| {
        if is_compared && a != b {
            let shown = if name == "lease" { format!("{a:x}, {b:x}") } else { format!("{a}, {b}") };
            found.push((name, shown));
        }
    };
    number(compared.versions, "version", a.version, b.version);
    number(compared.versions, "create_revision", a.create_revision, b.create_revision);
    number(compared.versions, "mod_revision", a.mod_revision, b.mod_revision);
    number(compared.leases, "lease", a.lease, b.lease);
    found
}

fn values(a: &[u8], b: &[u8]) -> String {
    let is_shown = |bytes: &[u8]| bytes.len() <= SHORT && std::str::from_utf8(bytes).is_ok();
    if is_shown(a) && is_shown(b) {
        return format!("{}, {}", quoted_bytes(a), quoted_bytes(b));
    }
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    format!("{} bytes, {} bytes, from byte {} on", a.len(), b.len(), same + 1)
}

/// A line, or a document.
pub(in crate::ctl) fn pair(pair: Pair<'_>, compared: Compared, style: Style) -> Result<Vec<u8>, Failure> {
    let key = match pair {
        Pair::OnlyA(kv) | Pair::OnlyB(kv) | Pair::Both(kv, _) => &kv.key,
    };
    match style.format {
        Format::Simple => {
            let name = quoted_bytes(key);
            Ok(match pair {
                Pair::OnlyA(_) => format!("only in A: {name}\n"),
                Pair::OnlyB(_) => format!("only in B: {name}\n"),
                Pair::Both(a, b) => {
                    let found = differences(a, b, compared).into_iter();
                    let found: Vec<String> = found.map(|(what, shown)| format!("{what} {shown}")).collect();
                    format!("differs: {name}: {}\n", found.join("; "))
                }
            }
            .into_bytes())
        }
        Format::Json | Format::Yaml => {
            let object = Object::default().with("key", Node::Bytes(key.to_vec()));
            let object = match pair {
                Pair::OnlyA(a) => object.with("a", key_json(a)),
                Pair::OnlyB(b) => object.with("b", key_json(b)),
                Pair::Both(a, b) => {
                    let names: Vec<&str> =
                        differences(a, b, compared).into_iter().map(|(what, _)| what).collect();
                    object.always("differs", names).with("a", key_json(a)).with("b", key_json(b))
                }
            };
            Ok(one_of_many(object, style))
        }
        Format::Table | Format::Fields | Format::Protobuf => Err(style.unsupported()),
    }
}

/// The last line: in JSON and YAML one more document, otherwise a text for standard error.
pub(in crate::ctl) fn sums(sums: Sums, style: Style) -> Vec<u8> {
    let Sums { only_a, only_b, differing, same } = sums;
    match style.format {
        Format::Json | Format::Yaml => {
            let object = Object::default().always("onlyInA", only_a).always("onlyInB", only_b);
            one_of_many(object.always("differing", differing).always("same", same), style)
        }
        _ => {
            format!("{only_a} only in A, {only_b} only in B, {differing} differ, {same} are the same").into()
        }
    }
}
