//! The protobuf encoding of answers. Messages encode themselves; events are encoded from the model without messages of
//! their own, because they are most of what kvd sends.
//!
//! Events are encoded once per run and copied into the answer of every watcher that gets the run; only the parts that
//! differ between watchers (header, watch id, flags) are encoded each time.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::model::{Event, EventKind, KeyValue};
use crate::watch::Run;

/// Field `events` of `WatchResponse`.
const EVENTS: u32 = 11;

/// A value that can be encoded as a message.
pub trait Encode {
    /// The length in bytes.
    fn encoded_len(&self) -> usize;

    /// Encodes it into a buffer that has room for it.
    fn encode(&self, buffer: &mut impl BufMut);
}

impl<M: Message> Encode for M {
    fn encoded_len(&self) -> usize {
        Message::encoded_len(self)
    }

    fn encode(&self, buffer: &mut impl BufMut) {
        self.encode_raw(buffer);
    }
}

/// The events of a run, encoded as fields of `WatchResponse`.
pub(super) fn encode_run(run: &Run) -> Bytes {
    let prev_kv = run.prev_kv();
    let length = run.events().map(|event| event_field_len(event, prev_kv)).sum();
    let mut buffer = BytesMut::with_capacity(length);
    run.events().for_each(|event| encode_event_field(event, prev_kv, &mut buffer));
    buffer.freeze()
}

/// An event as a field of `WatchResponse`.
pub(super) fn encode_event_field(event: &Event, prev_kv: bool, buffer: &mut impl BufMut) {
    encode_key(EVENTS, WireType::LengthDelimited, buffer);
    encode_varint(event_len(event, prev_kv) as u64, buffer);
    if event.kind == EventKind::Delete {
        encoding::int32::encode(1, &1, buffer);
    }
    encode_kv(2, &event.kv, buffer);
    if let Some(kv) = event.prev_kv.as_ref().filter(|_| prev_kv) {
        encode_kv(3, kv, buffer);
    }
}

/// The length in bytes of [`encode_event_field`].
pub(super) fn event_field_len(event: &Event, prev_kv: bool) -> usize {
    let length = event_len(event, prev_kv);
    key_len(EVENTS) + encoded_len_varint(length as u64) + length
}

fn event_len(event: &Event, prev_kv: bool) -> usize {
    let kind = if event.kind == EventKind::Delete { encoding::int32::encoded_len(1, &1) } else { 0 };
    let prev = event.prev_kv.as_ref().filter(|_| prev_kv).map_or(0, |kv| kv_field_len(3, kv));
    kind + kv_field_len(2, &event.kv) + prev
}

fn kv_field_len(field: u32, kv: &KeyValue) -> usize {
    let length = kv_len(kv);
    key_len(field) + encoded_len_varint(length as u64) + length
}

/// The number fields of `KeyValue` that come between key and value, and the one after.
fn kv_numbers(kv: &KeyValue) -> [(u32, i64); 4] {
    [(2, kv.create_revision), (3, kv.mod_revision), (4, kv.version), (6, kv.lease)]
}

fn kv_len(kv: &KeyValue) -> usize {
    let bytes =
        |field, bytes: &Bytes| if bytes.is_empty() { 0 } else { encoding::bytes::encoded_len(field, bytes) };
    let numbers = kv_numbers(kv).into_iter().filter(|(_, number)| *number != 0);
    bytes(1, &kv.key)
        + bytes(5, &kv.value)
        + numbers.map(|(field, number)| encoding::int64::encoded_len(field, &number)).sum::<usize>()
}

fn encode_kv(field: u32, kv: &KeyValue, buffer: &mut impl BufMut) {
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint(kv_len(kv) as u64, buffer);
    if !kv.key.is_empty() {
        encoding::bytes::encode(1, &kv.key, buffer);
    }
    for (field, number) in kv_numbers(kv) {
        if field == 6 && !kv.value.is_empty() {
            encoding::bytes::encode(5, &kv.value, buffer);
        }
        if number != 0 {
            encoding::int64::encode(field, &number, buffer);
        }
    }
}
