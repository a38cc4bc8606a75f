//! What the server answers about users and roles.

use prost::Message;

use super::document::line;
use super::fields::Lines;
use super::format::{Format, Style};
use super::tree::Object;
use super::words::quoted;
use crate::api::proto::authpb::Permission;
use crate::api::proto::authpb::permission::Type;
use crate::api::proto::etcdserverpb::{
    AuthRoleGetResponse, AuthStatusResponse, AuthUserGetResponse, ResponseHeader,
};
use crate::ctl::failure::Failure;
use crate::ctl::keys::{ZERO, prefix_end};

/// A change: `words` in simple, the header in the other formats.
pub(in crate::ctl) fn changed(
    words: Vec<u8>,
    header: Option<&ResponseHeader>,
    message: &impl Message,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => Ok(words),
        Format::Json | Format::Yaml => Ok(line(Object::default().header(header), style)),
        Format::Fields => {
            let mut lines = Lines::default();
            lines.header(header, style.hex);
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Ok(message.encode_to_vec()),
        Format::Table => Err(style.unsupported()),
    }
}

/// `auth status`.
pub(in crate::ctl) fn status(answer: &AuthStatusResponse, style: Style) -> Result<Vec<u8>, Failure> {
    let AuthStatusResponse { header, enabled, auth_revision } = answer;
    match style.format {
        Format::Simple => {
            let text = format!("Authentication Status: {enabled}\nAuthRevision: {auth_revision}\n");
            Ok(text.into_bytes())
        }
        Format::Json | Format::Yaml => {
            let object = Object::default().header(header.as_ref()).some("enabled", *enabled);
            Ok(line(object.some("authRevision", *auth_revision), style))
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Fields | Format::Table => Err(style.unsupported()),
    }
}

/// `user get`.
pub(in crate::ctl) fn user(
    name: &str,
    answer: &AuthUserGetResponse,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => {
            let roles: String = answer.roles.iter().map(|role| format!(" {role}")).collect();
            Ok(format!("User: {name}\nRoles:{roles}\n").into_bytes())
        }
        Format::Json | Format::Yaml => {
            let object = Object::default().header(answer.header.as_ref());
            Ok(line(object.some("roles", answer.roles.clone()), style))
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Fields | Format::Table => Err(style.unsupported()),
    }
}

/// `user list` and `role list`; `name` is the list's name in json.
pub(in crate::ctl) fn names(
    name: &str,
    names: &[String],
    header: Option<&ResponseHeader>,
    message: &impl Message,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => Ok(names.iter().map(|name| format!("{name}\n")).collect::<String>().into_bytes()),
        Format::Json | Format::Yaml => {
            Ok(line(Object::default().header(header).some(name, names.to_vec()), style))
        }
        // etcdctl has fields for roles only.
        Format::Fields if name == "roles" => {
            let mut lines = Lines::default();
            let quoted: String = names.iter().map(|name| format!(" {}", quoted(name))).collect();
            lines.header(header, style.hex).line(&format!("\"Roles\" :{quoted}"));
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Ok(message.encode_to_vec()),
        Format::Fields | Format::Table => Err(style.unsupported()),
    }
}

/// `role get`.
pub(in crate::ctl) fn role(
    name: &str,
    answer: &AuthRoleGetResponse,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => Ok(role_words(name, &answer.perm)),
        Format::Json | Format::Yaml => {
            let permissions = answer.perm.iter().map(|one| {
                let object = Object::default().some("permType", one.perm_type).bytes("key", &one.key);
                object.bytes("range_end", &one.range_end)
            });
            Ok(line(Object::default().header(answer.header.as_ref()).list("perm", permissions), style))
        }
        Format::Fields => {
            let mut lines = Lines::default();
            lines.header(answer.header.as_ref(), style.hex);
            for one in &answer.perm {
                // With two spaces, as etcdctl prints it.
                lines.line(&format!("\"PermType\" :  {}", one.perm_type().as_str_name()));
                lines.bytes("Key", &one.key).bytes("RangeEnd", &one.range_end);
            }
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Table => Err(style.unsupported()),
    }
}

fn role_words(name: &str, permissions: &[Permission]) -> Vec<u8> {
    /// Has every right without a permission.
    const ROOT: &str = "root";
    let everything = Permission { range_end: ZERO.into(), ..all() };
    let root = [everything];
    let permissions = if name == ROOT && permissions.is_empty() { &root } else { permissions };
    let mut words = format!("Role {name}\n").into_bytes();
    for (title, kind) in [("KV Read:\n", Type::Read), ("KV Write:\n", Type::Write)] {
        words.extend_from_slice(title.as_bytes());
        let kinds = [kind, Type::Readwrite];
        let having = permissions.iter().filter(|one| kinds.contains(&one.perm_type()));
        having.for_each(|one| range_words(one, &mut words));
    }
    words
}

fn all() -> Permission {
    Permission { perm_type: Type::Readwrite.into(), ..Permission::default() }
}

/// A line with the keys of a permission.
fn range_words(permission: &Permission, words: &mut Vec<u8>) {
    let (key, end) = (permission.key.as_ref(), permission.range_end.as_ref());
    let parts: [&[u8]; 5] = match end {
        [] => [b"\t", key, b"", b"", b""],
        ZERO => [b"\t[", key, b", <open ended>", b"", b""],
        end => [b"\t[", key, b", ", end, b")"],
    };
    parts.into_iter().for_each(|part| words.extend_from_slice(part));
    if !end.is_empty() && !key.is_empty() && prefix_end(key) == end {
        [b" (prefix ", key, b")"].into_iter().for_each(|part| words.extend_from_slice(part));
    }
    words.push(b'\n');
}
