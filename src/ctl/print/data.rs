//! What the server answers about keys.

use prost::Message;

use super::document::line;
use super::fields::Lines;
use super::format::{Format, Style};
use super::tree::Object;
use crate::api::proto::etcdserverpb::response_op::Response;
use crate::api::proto::etcdserverpb::{
    DeleteRangeResponse, PutResponse, RangeResponse, ResponseOp, TxnResponse,
};
use crate::api::proto::mvccpb::KeyValue;
use crate::ctl::failure::Failure;

/// `get`.
pub(in crate::ctl) fn range(
    answer: &RangeResponse,
    value_only: bool,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => {
            let mut words = Vec::new();
            answer.kvs.iter().for_each(|kv| key_words(kv, value_only, style.hex, &mut words));
            Ok(words)
        }
        Format::Json | Format::Yaml => Ok(line(range_json(answer), style)),
        Format::Fields => {
            let mut lines = Lines::default();
            range_fields(answer, style.hex, &mut lines);
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Table => Err(style.unsupported()),
    }
}

/// `put`.
pub(in crate::ctl) fn put(answer: &PutResponse, style: Style) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => {
            let mut words = Vec::new();
            put_words(answer, style.hex, &mut words);
            Ok(words)
        }
        Format::Json | Format::Yaml => Ok(line(put_json(answer), style)),
        Format::Fields => {
            let mut lines = Lines::default();
            put_fields(answer, style.hex, &mut lines);
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Table => Err(style.unsupported()),
    }
}

/// `del`.
pub(in crate::ctl) fn deleted(answer: &DeleteRangeResponse, style: Style) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => {
            let mut words = Vec::new();
            deleted_words(answer, style.hex, &mut words);
            Ok(words)
        }
        Format::Json | Format::Yaml => Ok(line(deleted_json(answer), style)),
        Format::Fields => {
            let mut lines = Lines::default();
            deleted_fields(answer, style.hex, &mut lines);
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Table => Err(style.unsupported()),
    }
}

/// `txn`.
pub(in crate::ctl) fn txn(answer: &TxnResponse, style: Style) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => Ok(txn_words(answer, style.hex)),
        Format::Json | Format::Yaml => Ok(line(txn_json(answer), style)),
        Format::Fields => {
            let mut lines = Lines::default();
            lines.header(answer.header.as_ref(), style.hex).bare("Succeeded", answer.succeeded);
            for response in answer.responses.iter().filter_map(|one| one.response.as_ref()) {
                match response {
                    Response::ResponseRange(range) => range_fields(range, style.hex, &mut lines),
                    Response::ResponsePut(put) => put_fields(put, style.hex, &mut lines),
                    Response::ResponseDeleteRange(deleted) => deleted_fields(deleted, style.hex, &mut lines),
                    Response::ResponseTxn(_) => {
                        lines.text("Unknown", "a transaction");
                    }
                }
            }
            Ok(lines.into_bytes())
        }
        Format::Protobuf => Ok(answer.encode_to_vec()),
        Format::Table => Err(style.unsupported()),
    }
}

fn txn_words(answer: &TxnResponse, hex: bool) -> Vec<u8> {
    let mut words = if answer.succeeded { b"SUCCESS\n".to_vec() } else { b"FAILURE\n".to_vec() };
    for response in answer.responses.iter().filter_map(|one| one.response.as_ref()) {
        words.push(b'\n');
        match response {
            Response::ResponseRange(range) => {
                range.kvs.iter().for_each(|kv| key_words(kv, false, hex, &mut words));
            }
            Response::ResponsePut(put) => put_words(put, hex, &mut words),
            Response::ResponseDeleteRange(deleted) => deleted_words(deleted, hex, &mut words),
            Response::ResponseTxn(inner) => words.extend(txn_words(inner, hex)),
        }
    }
    words
}

/// A line with the key and one with the value.
pub(in crate::ctl) fn key_words(kv: &KeyValue, value_only: bool, hex: bool, words: &mut Vec<u8>) {
    let mut part = |bytes: &[u8]| {
        if hex {
            words.extend(bytes.iter().flat_map(|byte| format!("\\x{byte:02x}").into_bytes()));
        } else {
            words.extend_from_slice(bytes);
        }
        words.push(b'\n');
    };
    if !value_only {
        part(&kv.key);
    }
    part(&kv.value);
}

fn put_words(answer: &PutResponse, hex: bool, words: &mut Vec<u8>) {
    words.extend_from_slice(b"OK\n");
    answer.prev_kv.iter().for_each(|kv| key_words(kv, false, hex, words));
}

fn deleted_words(answer: &DeleteRangeResponse, hex: bool, words: &mut Vec<u8>) {
    words.extend_from_slice(format!("{}\n", answer.deleted).as_bytes());
    answer.prev_kvs.iter().for_each(|kv| key_words(kv, false, hex, words));
}

/// A key with all that is known about it.
pub(super) fn key_json(kv: &KeyValue) -> Object {
    Object::default()
        .bytes("key", &kv.key)
        .some("create_revision", kv.create_revision)
        .some("mod_revision", kv.mod_revision)
        .some("version", kv.version)
        .bytes("value", &kv.value)
        .some("lease", kv.lease)
}

fn range_json(answer: &RangeResponse) -> Object {
    Object::default()
        .header(answer.header.as_ref())
        .list("kvs", answer.kvs.iter().map(key_json))
        .some("more", answer.more)
        .some("count", answer.count)
}

fn put_json(answer: &PutResponse) -> Object {
    let object = Object::default().header(answer.header.as_ref());
    match &answer.prev_kv {
        Some(kv) => object.with("prev_kv", key_json(kv)),
        None => object,
    }
}

fn deleted_json(answer: &DeleteRangeResponse) -> Object {
    let object = Object::default().header(answer.header.as_ref()).some("deleted", answer.deleted);
    object.list("prev_kvs", answer.prev_kvs.iter().map(key_json))
}

fn txn_json(answer: &TxnResponse) -> Object {
    let response = |one: &ResponseOp| {
        let object = Object::default();
        let inner = match &one.response {
            Some(Response::ResponseRange(range)) => object.with("response_range", range_json(range)),
            Some(Response::ResponsePut(put)) => object.with("response_put", put_json(put)),
            Some(Response::ResponseDeleteRange(deleted)) => {
                object.with("response_delete_range", deleted_json(deleted))
            }
            Some(Response::ResponseTxn(txn)) => object.with("response_txn", txn_json(txn)),
            None => object,
        };
        Object::default().with("Response", inner)
    };
    Object::default()
        .header(answer.header.as_ref())
        .some("succeeded", answer.succeeded)
        .list("responses", answer.responses.iter().map(response))
}

fn range_fields(answer: &RangeResponse, hex: bool, lines: &mut Lines) {
    lines.header(answer.header.as_ref(), hex);
    for kv in &answer.kvs {
        lines.key("", kv, hex);
    }
    lines.bare("More", answer.more).bare("Count", answer.count);
}

fn put_fields(answer: &PutResponse, hex: bool, lines: &mut Lines) {
    lines.header(answer.header.as_ref(), hex);
    if let Some(kv) = &answer.prev_kv {
        lines.key("Prev", kv, hex);
    }
}

fn deleted_fields(answer: &DeleteRangeResponse, hex: bool, lines: &mut Lines) {
    lines.header(answer.header.as_ref(), hex).bare("Deleted", answer.deleted);
    for kv in &answer.prev_kvs {
        lines.key("Prev", kv, hex);
    }
}
