//! What a watch prints.

use prost::Message;

use super::data::{key_json, key_words};
use super::document::one_of_many;
use super::fields::Lines;
use super::format::{Format, Style};
use super::tree::{Object, array};
use crate::api::proto::etcdserverpb::WatchResponse;
use crate::api::proto::mvccpb::Event;
use crate::ctl::failure::Failure;

/// The changes of one answer.
pub(in crate::ctl) fn events(answer: &WatchResponse, style: Style) -> Result<Vec<u8>, Failure> {
    match style.format {
        Format::Simple => {
            let mut words = Vec::new();
            for event in &answer.events {
                words.extend_from_slice(format!("{}\n", event.r#type().as_str_name()).as_bytes());
                event.prev_kv.iter().for_each(|kv| key_words(kv, false, style.hex, &mut words));
                event.kv.iter().for_each(|kv| key_words(kv, false, style.hex, &mut words));
            }
            Ok(words)
        }
        Format::Json | Format::Yaml => Ok(one_of_many(json(answer), style)),
        Format::Fields => {
            let mut lines = Lines::default();
            lines.header(answer.header.as_ref(), style.hex);
            for event in &answer.events {
                lines.bare("Type", event.r#type().as_str_name());
                if let Some(kv) = &event.prev_kv {
                    lines.key("Prev", kv, style.hex);
                }
                lines.key("", &event.kv.clone().unwrap_or_default(), style.hex);
            }
            Ok(lines.into_bytes())
        }
        Format::Protobuf => {
            let answer = WatchResponse { watch_id: 0, cancel_reason: String::new(), ..answer.clone() };
            Ok(answer.encode_to_vec())
        }
        Format::Table => Err(style.unsupported()),
    }
}

fn json(answer: &WatchResponse) -> Object {
    let header = answer.header.map(|header| Object::default().inlined(&header, false));
    let events: Vec<Object> = answer.events.iter().map(one).collect();
    Object::default()
        .with("Header", header.unwrap_or_default())
        .with("Events", array(events))
        .always("CompactRevision", answer.compact_revision)
        .always("Canceled", answer.canceled)
        .always("Created", answer.created)
        .always("CancelReason", answer.cancel_reason.as_str())
}

fn one(event: &Event) -> Object {
    let kv = |object: Object, name: &str, kv: &Option<crate::api::proto::mvccpb::KeyValue>| match kv {
        Some(kv) => object.with(name, key_json(kv)),
        None => object,
    };
    let object = kv(Object::default().some("type", event.r#type), "kv", &event.kv);
    kv(object, "prev_kv", &event.prev_kv)
}
