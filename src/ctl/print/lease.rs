//! What the server answers about leases. There is no protobuf of them, as in etcdctl, but of nothing.

use super::fields::Lines;
use super::format::{Format, Style};
use super::json::{Object, base64, line};
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
        Format::Json => {
            let object = inlined(header.as_ref()).always("ID", *id).always("TTL", *ttl);
            Ok(line(&object.always("Error", error.as_str())))
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
        Format::Json => Ok(line(&Object::default().header(answer.header.as_ref()))),
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
        Format::Json => Ok(line(&inlined(header.as_ref()).always("ID", *id).always("TTL", *ttl))),
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
        Format::Json => {
            let object = inlined(header.as_ref()).always("id", *id).always("ttl", *ttl);
            let object = object.always("granted-ttl", *granted_ttl);
            let attached: Vec<String> = attached.iter().map(|key| format!("\"{}\"", base64(key))).collect();
            let none = attached.is_empty();
            let attached = if none { "null".to_string() } else { format!("[{}]", attached.join(",")) };
            Ok(line(&object.raw("keys", attached)))
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
        Format::Json => {
            let leases: Vec<String> = ids().map(|id| Object::default().always("id", id).text()).collect();
            let object = inlined(answer.header.as_ref());
            Ok(line(&object.raw("leases", format_args!("[{}]", leases.join(",")))))
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
