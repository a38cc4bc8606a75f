//! What the server answers about leases. There is no protobuf of them, as in etcdctl, but of nothing.

use serde_json::Value;

use super::document::{line, one_of_many};
use super::fields::Lines;
use super::format::{Format, Style};
use super::tree::{Node, Object};
use crate::api::proto::etcdserverpb::{
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse,
    LeaseTimeToLiveResponse, ResponseHeader,
};
use crate::ctl::failure::Failure;

/// `lease grant`.
pub(in crate::ctl) fn granted(answer: &LeaseGrantResponse, style: Style) -> Result<Vec<u8>, Failure> {
    let LeaseGrantResponse { header, id, ttl, error } = answer;
    match style.format {
        Format::Simple => Ok(format!("lease {id:016x} granted with TTL({ttl}s)\n").into_bytes()),
        Format::Json | Format::Yaml => {
            let object = inlined(header.as_ref()).always("ID", *id).always("TTL", *ttl);
            Ok(line(object.always("Error", error.as_str()), style))
        }
        Format::Fields => Ok(fields(header.as_ref(), *id, *ttl, style.hex).into_bytes()),
        Format::Protobuf | Format::Table => Err(style.unsupported()),
    }
}

/// `lease revoke`.
pub(in crate::ctl) fn revoked(
    id: i64,
    answer: &LeaseRevokeResponse,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => Ok(format!("lease {id:016x} revoked\n").into_bytes()),
        Format::Json | Format::Yaml => Ok(line(Object::default().header(answer.header.as_ref()), style)),
        Format::Fields => {
            let mut lines = Lines::default();
            lines.header(answer.header.as_ref(), style.hex);
            Ok(lines.into_bytes())
        }
        Format::Protobuf | Format::Table => Err(style.unsupported()),
    }
}

/// `lease keep-alive`.
pub(in crate::ctl) fn kept(answer: &LeaseKeepAliveResponse, style: Style) -> Result<Vec<u8>, Failure> {
    let LeaseKeepAliveResponse { header, id, ttl } = answer;
    match style.format {
        Format::Simple => Ok(format!("lease {id:016x} keepalived with TTL({ttl})\n").into_bytes()),
        Format::Json | Format::Yaml => {
            Ok(one_of_many(inlined(header.as_ref()).always("ID", *id).always("TTL", *ttl), style))
        }
        Format::Fields => Ok(fields(header.as_ref(), *id, *ttl, style.hex).into_bytes()),
        Format::Protobuf | Format::Table => Err(style.unsupported()),
    }
}

/// `lease timetolive`; `keys` if the keys were asked for.
pub(in crate::ctl) fn time_to_live(
    answer: &LeaseTimeToLiveResponse,
    keys: bool,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    let LeaseTimeToLiveResponse { header, id, ttl, granted_ttl, keys: attached } = answer;
    match style.format {
        Format::Simple if *granted_ttl == 0 && *ttl == -1 => {
            Ok(format!("lease {id:016x} already expired\n").into_bytes())
        }
        Format::Simple => {
            let text = format!("lease {id:016x} granted with TTL({granted_ttl}s), remaining({ttl}s)");
            let mut words = text.into_bytes();
            if keys {
                let attached: Vec<&[u8]> = attached.iter().map(AsRef::as_ref).collect();
                words.extend_from_slice(b", attached keys([");
                words.extend(attached.join(&b' '));
                words.extend_from_slice(b"])");
            }
            words.push(b'\n');
            Ok(words)
        }
        Format::Json | Format::Yaml => {
            let object = inlined(header.as_ref()).always("id", *id).always("ttl", *ttl);
            let object = object.always("granted-ttl", *granted_ttl);
            let attached = match attached.is_empty() {
                true => Node::from(Value::Null),
                false => Node::List(attached.iter().map(|key| Node::Bytes(key.to_vec())).collect()),
            };
            Ok(line(object.with("keys", attached), style))
        }
        Format::Fields => {
            let mut lines = fields(header.as_ref(), *id, *ttl, style.hex);
            lines.bare("GrantedTTL", granted_ttl);
            for key in attached {
                lines.bytes("Key", key);
            }
            Ok(lines.into_bytes())
        }
        Format::Protobuf | Format::Table => Err(style.unsupported()),
    }
}

/// `lease list`.
pub(in crate::ctl) fn list(answer: &LeaseLeasesResponse, style: Style) -> Result<Vec<u8>, Failure> {
    let ids = || answer.leases.iter().map(|lease| lease.id);
    match style.format {
        Format::Simple => {
            let lines: String = ids().map(|id| format!("{id:016x}\n")).collect();
            Ok(format!("found {} leases\n{lines}", answer.leases.len()).into_bytes())
        }
        Format::Json | Format::Yaml => {
            let leases = ids().map(|id| Object::default().always("id", id).into()).collect();
            let object = inlined(answer.header.as_ref());
            Ok(line(object.with("leases", Node::List(leases)), style))
        }
        Format::Fields => {
            let mut lines = Lines::default();
            lines.header(answer.header.as_ref(), style.hex);
            for id in ids() {
                lines.lease("ID", id, style.hex);
            }
            Ok(lines.into_bytes())
        }
        Format::Protobuf | Format::Table => Err(style.unsupported()),
    }
}

fn inlined(header: Option<&ResponseHeader>) -> Object {
    header.map_or_else(Object::default, |header| Object::default().inlined(header, false))
}

fn fields(header: Option<&ResponseHeader>, id: i64, ttl: i64, hex: bool) -> Lines {
    let mut lines = Lines::default();
    lines.header(header, hex).lease("ID", id, hex).bare("TTL", ttl);
    lines
}
