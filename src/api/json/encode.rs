//! From the wire to JSON: an answer is encoded as for gRPC and written as JSON from there, with etcd's settings: declared
//! names, nothing for fields that are not set, 64-bit numbers as strings, bytes as base64, names of enumerations.

use bytes::Buf;
use prost::encoding::{WireType, decode_varint};

use super::schema::{Field, Kind, Message};
use super::text::{encode_base64, encode_text};

/// What is on the wire is no message of that kind. kvd encodes it itself: this is a fault.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Appends the message `wire` as JSON.
///
/// # Errors
/// [`Malformed`]; then a part may have been appended.
pub fn encode(wire: &[u8], message: &'static Message, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut wire = wire;
    out.push(b'{');
    let mut list: Option<u32> = None;
    let mut first = true;
    while !wire.is_empty() {
        let (field, wire_type) = key(&mut wire, message)?;
        if list != Some(field.number) {
            if list.take().is_some() {
                out.push(b']');
            }
            if !first {
                out.push(b',');
            }
            out.extend_from_slice(field.label.as_bytes());
            if field.repeated {
                list = Some(field.number);
                out.push(b'[');
            }
        } else {
            out.push(b',');
        }
        first = false;
        value(&mut wire, field, wire_type, out)?;
    }
    if list.is_some() {
        out.push(b']');
    }
    out.push(b'}');
    Ok(())
}

/// The next field of a message.
fn key(wire: &mut &[u8], message: &'static Message) -> Result<(&'static Field, WireType), Malformed> {
    let key = decode_varint(wire).map_err(|_| Malformed)?;
    let wire_type = WireType::try_from(key & 7).map_err(|_| Malformed)?;
    let field = message.fields.iter().find(|field| u64::from(field.number) == key >> 3);
    Ok((field.ok_or(Malformed)?, wire_type))
}

fn value(wire: &mut &[u8], field: &Field, wire_type: WireType, out: &mut Vec<u8>) -> Result<(), Malformed> {
    match (field.kind, wire_type) {
        (Kind::String, WireType::LengthDelimited) => encode_text(taken(wire)?, out),
        (Kind::Bytes, WireType::LengthDelimited) => {
            out.push(b'"');
            encode_base64(taken(wire)?, out);
            out.push(b'"');
        }
        (Kind::Message(message), WireType::LengthDelimited) => encode(taken(wire)?, message, out)?,
        (_, WireType::Varint) => number(decode_varint(wire).map_err(|_| Malformed)?, field.kind, out)?,
        // Numbers of a list come packed.
        (_, WireType::LengthDelimited) if field.repeated => {
            let mut packed = taken(wire)?;
            let mut first = true;
            while !packed.is_empty() {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                number(decode_varint(&mut packed).map_err(|_| Malformed)?, field.kind, out)?;
            }
        }
        _ => return Err(Malformed),
    }
    Ok(())
}

fn number(number: u64, kind: Kind, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut digits = itoa::Buffer::new();
    match kind {
        Kind::Bool => out.extend_from_slice(if number == 0 { b"false" } else { b"true" }),
        Kind::Int64 => {
            out.push(b'"');
            out.extend_from_slice(digits.format(number.cast_signed()).as_bytes());
            out.push(b'"');
        }
        Kind::Uint64 => {
            out.push(b'"');
            out.extend_from_slice(digits.format(number).as_bytes());
            out.push(b'"');
        }
        // On the wire they are extended to 64 bits.
        Kind::Int32 => out.extend_from_slice(digits.format(number.cast_signed() as i32).as_bytes()),
        Kind::Uint32 => out.extend_from_slice(digits.format(number as u32).as_bytes()),
        Kind::Enum(names) => {
            let number = number.cast_signed() as i32;
            match names.values.iter().find(|(_, value)| *value == number) {
                Some((name, _)) => encode_text(name.as_bytes(), out),
                None => out.extend_from_slice(digits.format(number).as_bytes()),
            }
        }
        Kind::String | Kind::Bytes | Kind::Message(_) => return Err(Malformed),
    }
    Ok(())
}

/// The bytes of a field with a length.
fn taken<'w>(wire: &mut &'w [u8]) -> Result<&'w [u8], Malformed> {
    let length = decode_varint(wire).map_err(|_| Malformed)?;
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    let bytes = wire.get(..length).ok_or(Malformed)?;
    wire.advance(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::schema::method;
    use crate::api::proto::{authpb, etcdserverpb as pb, mvccpb};

    fn written(path: &str, answer: &impl prost::Message) -> String {
        let mut out = Vec::new();
        let message = method(path).expect("a method").answer;
        encode(&answer.encode_to_vec(), message, &mut out).expect("a message");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn answers_as_etcd_writes_them() {
        let header = pb::ResponseHeader { cluster_id: u64::MAX, member_id: 1, revision: -5, raft_term: 2 };
        let kv = mvccpb::KeyValue {
            key: "foo".into(),
            version: 1,
            value: "b\u{ff}r".into(),
            ..Default::default()
        };
        let range =
            pb::RangeResponse { header: Some(header), kvs: vec![kv.clone(), kv], more: true, count: 2 };
        let expected = concat!(
            r#"{"header":{"cluster_id":"18446744073709551615","member_id":"1","revision":"-5","raft_term":"2"},"#,
            r#""kvs":[{"key":"Zm9v","version":"1","value":"YsO/cg=="},{"key":"Zm9v","version":"1","value":"YsO/cg=="}],"#,
            r#""more":true,"count":"2"}"#
        );
        assert_eq!(written("/etcdserverpb.KV/Range", &range), expected);
        assert_eq!(written("/etcdserverpb.KV/Range", &pb::RangeResponse::default()), "{}");
        let empty = pb::RangeResponse { header: Some(Default::default()), ..Default::default() };
        assert_eq!(written("/etcdserverpb.KV/Range", &empty), r#"{"header":{}}"#);
    }

    #[test]
    fn names_texts_and_lists() {
        let alarm = pb::AlarmMember { member_id: 3, alarm: 1 };
        let alarms = pb::AlarmResponse {
            alarms: vec![alarm, pb::AlarmMember { member_id: 0, alarm: 9 }],
            header: None,
        };
        let expected = r#"{"alarms":[{"memberID":"3","alarm":"NOSPACE"},{"alarm":9}]}"#;
        assert_eq!(written("/etcdserverpb.Maintenance/Alarm", &alarms), expected);
        let member = pb::Member {
            id: 1,
            name: "a\"b".into(),
            peer_ur_ls: vec!["x".into(), "y".into()],
            ..Default::default()
        };
        let list = pb::MemberListResponse { header: None, members: vec![member] };
        let expected = r#"{"members":[{"ID":"1","name":"a\"b","peerURLs":["x","y"]}]}"#;
        assert_eq!(written("/etcdserverpb.Cluster/MemberList", &list), expected);
        let permission = authpb::Permission { perm_type: 2, key: "a".into(), range_end: "b".into() };
        let role = pb::AuthRoleGetResponse { header: None, perm: vec![permission, Default::default()] };
        let expected = r#"{"perm":[{"permType":"READWRITE","key":"YQ==","range_end":"Yg=="},{}]}"#;
        assert_eq!(written("/etcdserverpb.Auth/RoleGet", &role), expected);
        let hash = pb::HashKvResponse { header: None, hash: u32::MAX, compact_revision: 1, hash_revision: 0 };
        let expected = r#"{"hash":4294967295,"compact_revision":"1"}"#;
        assert_eq!(written("/etcdserverpb.Maintenance/HashKV", &hash), expected);
        let deleted = mvccpb::Event { r#type: 1, kv: Some(Default::default()), prev_kv: None };
        let events = pb::WatchResponse {
            watch_id: -1,
            events: vec![deleted, Default::default()],
            ..Default::default()
        };
        let expected = r#"{"watch_id":"-1","events":[{"type":"DELETE","kv":{}},{}]}"#;
        assert_eq!(written("/etcdserverpb.Watch/Watch", &events), expected);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let message = method("/etcdserverpb.KV/Put").expect("a method").answer;
        for wire in [&b"\x0a\x05"[..], b"\xff", b"\x08\x01", b"\x7a\x00", b"\x0b"] {
            assert_eq!(encode(wire, message, &mut Vec::new()), Err(Malformed), "{wire:?}");
        }
    }
}
