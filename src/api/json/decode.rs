//! From JSON to the wire: a request is read once and written as the protobuf message that it means, from which its
//! handler's message is decoded as any other. What is refused, and with which text, is what Go's `protojson` refuses;
//! unknown fields and unknown names of enumerations are passed over, as in etcd's gateway.

use std::borrow::Cow;

use bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::number::integer;
use super::schema::{Field, Kind, Message};
use super::text::{Wrong, decode_base64, unescape};
use crate::api::grpc::unary::PREFIX;

/// Most messages in each other: protobuf decoders refuse more.
const MAX_DEPTH: usize = 100;
/// Bytes of a value that an error shows.
const MAX_SHOWN: usize = 256;

/// The message that a JSON value means, with gRPC's prefix. `json` is a value that [`super::scan::Scanner`] has accepted, without
/// space around it.
///
/// # Errors
/// The text of `protojson`.
pub fn decode(json: &[u8], message: &'static Message) -> Result<Bytes, String> {
    // JSON takes more room than the wire, but for tiny messages.
    let mut out = Vec::with_capacity(PREFIX + json.len());
    out.extend_from_slice(&[0; PREFIX]);
    let mut reader = Reader { json, at: 0, out, depth: 0 };
    reader.message(message).map_err(|error| format!("proto: {error}"))?;
    let mut framed = reader.out;
    // A request is far below four GiB.
    let length = u32::try_from(framed.len() - PREFIX).unwrap_or(u32::MAX);
    if let Some(announced) = framed.get_mut(1..PREFIX) {
        announced.copy_from_slice(&length.to_be_bytes());
    }
    framed.shrink_to_fit();
    Ok(framed.into())
}

struct Reader<'j> {
    json: &'j [u8],
    at: usize,
    out: Vec<u8>,
    depth: usize,
}

/// A piece of JSON: a bracket, or a whole string, number or word.
struct Token<'j> {
    begin: usize,
    raw: &'j [u8],
    /// If it is a string.
    text: Option<Cow<'j, str>>,
}

impl<'j> Reader<'j> {
    fn message(&mut self, message: &'static Message) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("exceeded max recursion depth".to_string());
        }
        self.open(b'{')?;
        let mut seen = 0u64;
        let mut set: Vec<&str> = Vec::new();
        while !self.closes(b'}') {
            let name = self.token()?;
            self.next();
            self.at += 1;
            let named = name.text.as_deref().unwrap_or_default();
            let known =
                message.fields.iter().position(|field| field.name == named || field.json_name == named);
            let Some((position, field)) = known.and_then(|at| Some((at, message.fields.get(at)?))) else {
                self.skip()?;
                continue;
            };
            if seen & 1u64 << position != 0 {
                return Err(self.error(&name, &format!("duplicate field {}", name.shown())));
            }
            seen |= 1u64 << position;
            if self.next() == b'n' {
                self.token()?;
                continue;
            }
            if let Some(oneof) = field.oneof {
                if set.contains(&oneof) {
                    let text = format!("error parsing {}, oneof {oneof} is already set", name.shown());
                    return Err(self.error(&name, &text));
                }
                set.push(oneof);
            }
            self.field(field)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn field(&mut self, field: &'static Field) -> Result<(), String> {
        if !field.repeated {
            return self.value(field);
        }
        self.open(b'[')?;
        while !self.closes(b']') {
            self.value(field)?;
        }
        Ok(())
    }

    fn value(&mut self, field: &'static Field) -> Result<(), String> {
        let Kind::Message(message) = field.kind else {
            let token = self.token()?;
            return self.scalar(field, &token).ok_or_else(|| {
                let (kind, name) = (field.kind.name(), field.json_name);
                self.error(&token, &format!("invalid value for {kind} field {name}: {}", token.shown()))
            });
        };
        encode_key(field.number, WireType::LengthDelimited, &mut self.out);
        let begin = self.out.len();
        self.out.push(0);
        self.message(message)?;
        self.set_length(begin);
        Ok(())
    }

    /// Writes the length of everything after the one byte that was left for it at `place`.
    fn set_length(&mut self, place: usize) {
        let length = self.out.len() - place - 1;
        let more = encoded_len_varint(length as u64) - 1;
        if more > 0 {
            self.out.extend([0; 10].iter().take(more));
            self.out.copy_within(place + 1..place + 1 + length, place + 1 + more);
        }
        if let Some(mut room) = self.out.get_mut(place..=place + more) {
            encode_varint(length as u64, &mut room);
        }
    }

    /// Writes a field that is no message; nothing if the value is an unknown name. `None` if it is none of the kind.
    fn scalar(&mut self, field: &Field, token: &Token<'_>) -> Option<()> {
        let varint = match (field.kind, &token.text) {
            (Kind::Bool, None) => match token.raw {
                b"true" => 1,
                b"false" => 0,
                _ => return None,
            },
            (Kind::Int32, _) => i64::from(i32::try_from(token.integer()?).ok()?).cast_unsigned(),
            (Kind::Int64, _) => i64::try_from(token.integer()?).ok()?.cast_unsigned(),
            (Kind::Uint32, _) => u32::try_from(token.integer()?).ok()?.into(),
            (Kind::Uint64, _) => u64::try_from(token.integer()?).ok()?,
            (Kind::Enum(_), None) => i64::from(i32::try_from(integer(token.raw)?).ok()?).cast_unsigned(),
            (Kind::Enum(names), Some(text)) => {
                match names.values.iter().find(|(name, _)| *name == text.as_ref()) {
                    Some((_, number)) => i64::from(*number).cast_unsigned(),
                    None => return Some(()),
                }
            }
            (Kind::String, Some(text)) => {
                encode_key(field.number, WireType::LengthDelimited, &mut self.out);
                encode_varint(text.len() as u64, &mut self.out);
                self.out.extend_from_slice(text.as_bytes());
                return Some(());
            }
            (Kind::Bytes, Some(text)) => {
                encode_key(field.number, WireType::LengthDelimited, &mut self.out);
                decode_base64(text, &mut self.out)?;
                return Some(());
            }
            _ => return None,
        };
        encode_key(field.number, WireType::Varint, &mut self.out);
        encode_varint(varint, &mut self.out);
        Some(())
    }

    /// Passes over a value. Its strings must be valid all the same.
    fn skip(&mut self) -> Result<(), String> {
        let mut open = 0usize;
        loop {
            match self.next() {
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                0 => return Ok(()),
                b'{' | b'[' => open += 1,
                b'}' | b']' => open = open.saturating_sub(1),
                _ => {}
            }
            self.token()?;
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// Reads an opening bracket.
    fn open(&mut self, bracket: u8) -> Result<(), String> {
        let token = self.token()?;
        if token.raw == [bracket] {
            return Ok(());
        }
        let (line, column) = self.position(token.begin);
        Err(format!("syntax error (line {line}:{column}): unexpected token {}", token.shown()))
    }

    /// Reads a closing bracket, or the comma before the next element.
    fn closes(&mut self, bracket: u8) -> bool {
        let mut next = self.next();
        if next == b',' {
            self.at += 1;
            next = self.next();
        }
        // The input does not end here: it is complete.
        let closes = next == bracket || next == 0;
        self.at += usize::from(closes);
        closes
    }

    /// The next byte that is no space; zero at the end.
    fn next(&mut self) -> u8 {
        while let Some(byte) = self.json.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return *byte;
            }
            self.at += 1;
        }
        0
    }

    fn token(&mut self) -> Result<Token<'j>, String> {
        let next = self.next();
        let begin = self.at;
        let rest = self.json.get(begin..).unwrap_or_default();
        let length = match next {
            b'"' => string_length(rest),
            b'{' | b'}' | b'[' | b']' => 1,
            _ => rest
                .iter()
                .position(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'}' | b']'))
                .unwrap_or(rest.len()),
        };
        let raw = rest.get(..length).unwrap_or(rest);
        self.at = begin + raw.len();
        let text = match raw {
            [b'"', inner @ .., b'"'] => {
                let after = self.json.get(self.at - 1..).unwrap_or_default();
                Some(unescape(inner, after).map_err(|wrong| match wrong {
                    Wrong::EndsEarly => "unexpected EOF".to_string(),
                    Wrong::Syntax(text) => {
                        let (line, column) = self.position(begin);
                        format!("syntax error (line {line}:{column}): {text}")
                    }
                })?)
            }
            _ => None,
        };
        Ok(Token { begin, raw, text })
    }

    fn error(&self, token: &Token<'_>, text: &str) -> String {
        let (line, column) = self.position(token.begin);
        format!("(line {line}:{column}): {text}")
    }

    /// Line and column of a position, both from one; columns are characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.json.get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(before.get(begin..).unwrap_or_default()).chars().count() + 1;
        (line, column)
    }
}

impl Token<'_> {
    /// The integer that it is, as a number or as a string.
    fn integer(&self) -> Option<i128> {
        integer(self.text.as_ref().map_or(self.raw, |text| text.as_bytes()))
    }

    /// Its text for an error. Of a long one the beginning: an answer is not as long as a request.
    fn shown(&self) -> Cow<'_, str> {
        match self.raw.get(..MAX_SHOWN) {
            Some(begin) if self.raw.len() > MAX_SHOWN => {
                format!("{}...", begin.utf8_chunks().next().map_or("", |chunk| chunk.valid())).into()
            }
            _ => String::from_utf8_lossy(self.raw),
        }
    }
}

/// The length of the string at the beginning of `rest`, with its quotes.
fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = rest.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        match rest.get(at) {
            Some(b'"') => return at + 1,
            _ => at += 2,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::schema::method;
    use crate::api::proto::etcdserverpb as pb;
    use crate::api::proto::etcdserverpb::compare::TargetUnion;
    use crate::api::proto::etcdserverpb::request_op::Request;

    fn read<M: prost::Message + Default>(path: &str, json: &str) -> Result<M, String> {
        let framed = decode(json.as_bytes(), method(path).expect("a method").request)?;
        let length = u32::from_be_bytes(framed[1..5].try_into().expect("four bytes"));
        assert_eq!((framed[0], length as usize), (0, framed.len() - PREFIX));
        Ok(M::decode(framed.slice(PREFIX..)).expect("a message"))
    }

    fn range(json: &str) -> Result<pb::RangeRequest, String> {
        read("/etcdserverpb.KV/Range", json)
    }

    #[test]
    fn both_names_of_fields_and_all_notations() {
        let expected = pb::RangeRequest {
            key: "foo".into(),
            range_end: "fop".into(),
            limit: 10,
            sort_order: 2,
            sort_target: 3,
            keys_only: true,
            min_mod_revision: -7,
            ..pb::RangeRequest::default()
        };
        for json in [
            r#"{"key":"Zm9v","range_end":"Zm9w","limit":"10","sort_order":"DESCEND","sort_target":3,
                "keys_only":true,"min_mod_revision":-7}"#,
            r#"{"key":"Zm9v","rangeEnd":"Zm9w","limit":1e1,"sortOrder":2,"sortTarget":"MOD","revision":null,
                "keysOnly":true,"minModRevision":"-7","unknown":{"a":[1,{"b":"}"}]},"other":"x"}"#,
            r#"{"\u006bey":"Zm9v","rangeEnd":"Zm9w","limit":10,"sortOrder":2,"sortTarget":"MOD","keysOnly":true,
                "minModRevision":"-7", "serializable" : false , "maxModRevision":"0"}"#,
        ] {
            assert_eq!(range(json).as_ref(), Ok(&expected), "{json}");
        }
        let unknown_name = range(r#"{"sort_order":"SIDEWAYS"}"#);
        assert_eq!(unknown_name, Ok(pb::RangeRequest::default()));
    }

    #[test]
    fn nested_messages_and_their_lengths() {
        let value = "x".repeat(200);
        let mut encoded = Vec::new();
        crate::api::json::text::encode_base64(value.as_bytes(), &mut encoded);
        let encoded = String::from_utf8(encoded).expect("ASCII");
        let json = format!(
            r#"{{"compare":[{{"result":"EQUAL","target":"VERSION","key":"Zm9v","version":"0"}}],
                "success":[{{"request_put":{{"key":"Zm9v","value":"{encoded}"}}}},{{"requestTxn":{{}}}}],"failure":[{{}}]}}"#
        );
        let txn: pb::TxnRequest = read("/etcdserverpb.KV/Txn", &json).expect("a transaction");
        // Set, although it is zero.
        assert_eq!(txn.compare[0].target_union, Some(TargetUnion::Version(0)));
        let put = pb::PutRequest { key: "foo".into(), value: value.into(), ..Default::default() };
        assert_eq!(txn.success[0].request, Some(Request::RequestPut(put)));
        assert_eq!(txn.success[1].request, Some(Request::RequestTxn(pb::TxnRequest::default())));
        assert_eq!(txn.failure, [pb::RequestOp::default()]);
        let json = r#"{"peerURLs":["http://a","http://b"],"isLearner":true}"#;
        let added: pb::MemberAddRequest = read("/etcdserverpb.Cluster/MemberAdd", json).expect("a request");
        assert_eq!((added.peer_ur_ls.len(), added.is_learner), (2, true));
        let json = r#"{"create_request":{"filters":["NOPUT",1,"OTHER"]}}"#;
        let watch: pb::WatchRequest = read("/etcdserverpb.Watch/Watch", json).expect("a request");
        let created = match watch.request_union {
            Some(pb::watch_request::RequestUnion::CreateRequest(create)) => create.filters,
            other => panic!("{other:?}"),
        };
        assert_eq!(created, [0, 1]);
    }

    #[test]
    fn errors_have_the_texts_of_protojson() {
        for (json, error) in [
            ("[]", "proto: syntax error (line 1:1): unexpected token ["),
            ("null", "proto: syntax error (line 1:1): unexpected token null"),
            (r#"{"key":5}"#, "proto: (line 1:8): invalid value for bytes field key: 5"),
            (r#"{"key":"%"}"#, r#"proto: (line 1:8): invalid value for bytes field key: "%""#),
            ("{\n \"range_end\":{}}", "proto: (line 2:14): invalid value for bytes field rangeEnd: {"),
            (r#"{"ä":1,"limit":"x"}"#, r#"proto: (line 1:16): invalid value for int64 field limit: "x""#),
            (
                r#"{"limit":9223372036854775808}"#,
                "proto: (line 1:10): invalid value for int64 field limit: 9223372036854775808",
            ),
            (r#"{"limit":"1 "}"#, r#"proto: (line 1:10): invalid value for int64 field limit: "1 ""#),
            (
                r#"{"serializable":"true"}"#,
                r#"proto: (line 1:17): invalid value for bool field serializable: "true""#,
            ),
            (r#"{"sort_order":true}"#, "proto: (line 1:15): invalid value for enum field sortOrder: true"),
            (r#"{"key":"","key":""}"#, r#"proto: (line 1:11): duplicate field "key""#),
            (r#"{"rangeEnd":"","range_end":null}"#, r#"proto: (line 1:16): duplicate field "range_end""#),
            (r#"{"x":"\ud800"}"#, "proto: unexpected EOF"),
            (
                r#"{"x":"\ud800abcdef"}"#,
                r#"proto: syntax error (line 1:6): invalid escape code "abcdef" in string"#,
            ),
        ] {
            assert_eq!(range(json), Err(error.into()), "{json}");
        }
        let bad = decode(b"{\"x\":\"\xff\"}", method("/etcdserverpb.KV/Range").expect("a method").request);
        assert_eq!(bad, Err("proto: syntax error (line 1:6): invalid UTF-8 in string".into()));
        let twice: Result<pb::WatchRequest, _> =
            read("/etcdserverpb.Watch/Watch", r#"{"create_request":{},"cancelRequest":{}}"#);
        let text = "proto: (line 1:22): error parsing \"cancelRequest\", \
                    oneof etcdserverpb.WatchRequest.request_union is already set";
        assert_eq!(twice, Err(text.into()));
        let long = range(&format!(r#"{{"limit":"{}"}}"#, "ä".repeat(100_000))).expect_err("no number");
        assert!(long.len() < 400 && long.ends_with("ä..."), "{long}");
        let urls: Result<pb::MemberAddRequest, _> =
            read("/etcdserverpb.Cluster/MemberAdd", r#"{"peerURLs":"http://a"}"#);
        assert_eq!(urls, Err(r#"proto: syntax error (line 1:13): unexpected token "http://a""#.into()));
    }

    #[test]
    fn messages_in_each_other_without_end_are_refused() {
        let (open, close) = (r#"{"success":[{"requestTxn":"#, "}]}");
        let deep = |levels: usize| format!("{}{{}}{}", open.repeat(levels), close.repeat(levels));
        let txn = |json: String| read::<pb::TxnRequest>("/etcdserverpb.KV/Txn", &json);
        assert!(txn(deep(40)).is_ok());
        assert_eq!(txn(deep(3000)), Err("proto: exceeded max recursion depth".into()));
    }
}
