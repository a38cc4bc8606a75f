//! The answers of a watch stream, and how they get onto the wire.
//!
//! Events are encoded once a run and copied into the answer of every watcher that gets the run; only what differs
//! between watchers (header, watch id, flags) is encoded each time.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use smallvec::SmallVec;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::api::proto::etcdserverpb as pb;
use crate::model::{Event, EventKind, KeyValue};
use crate::watch::Run;

/// Field `events` of `WatchResponse`.
const EVENTS: u32 = 11;
/// Buffer a stream begins with, in bytes: there may be very many, mostly idle ones.
const FIRST_BUFFER: usize = 1024;
/// Answers that are ready together are sent together up to about so many bytes.
const SEND_TOGETHER: usize = 32 * 1024;

/// One message to the client.
#[derive(Debug)]
pub enum Answer {
    /// Everything without events.
    Control(pb::WatchResponse),
    /// Events of a watcher.
    Events {
        /// The header.
        header: pb::ResponseHeader,
        /// The watcher.
        watch_id: i64,
        /// More fragments of the same answer follow.
        fragment: bool,
        /// Fields `events`, encoded.
        events: SmallVec<[Bytes; 1]>,
    },
}

impl Answer {
    /// The answer that carries `runs`.
    pub(super) fn events(header: pb::ResponseHeader, watch_id: i64, runs: &[Arc<Run>]) -> Self {
        let events = runs.iter().map(|run| run.encoded(encode_run).clone()).collect();
        Answer::Events { header, watch_id, fragment: false, events }
    }

    pub(in crate::api::grpc) fn encode(&self, buffer: &mut impl BufMut) {
        match self {
            Answer::Control(message) => message.encode_raw(buffer),
            Answer::Events { header, watch_id, fragment, events } => {
                encoding::message::encode(1, header, buffer);
                if *watch_id != 0 {
                    encoding::int64::encode(2, watch_id, buffer);
                }
                if *fragment {
                    encoding::bool::encode(7, fragment, buffer);
                }
                events.iter().for_each(|events| buffer.put_slice(events));
            }
        }
    }

    /// Its encoded length.
    fn encoded_len(&self) -> usize {
        match self {
            Answer::Control(message) => message.encoded_len(),
            Answer::Events { header, watch_id, fragment, events } => {
                encoding::message::encoded_len(1, header)
                    + if *watch_id != 0 { encoding::int64::encoded_len(2, watch_id) } else { 0 }
                    + if *fragment { encoding::bool::encoded_len(7, fragment) } else { 0 }
                    + events.iter().map(Bytes::len).sum::<usize>()
            }
        }
    }

    /// Splits an answer that is at least `limit` bytes long, as etcd does: between events, each part below the limit
    /// unless a single event is not, all but the last marked as fragments.
    pub(super) fn split(self, runs: &[Arc<Run>], limit: usize) -> Vec<Answer> {
        if self.encoded_len() < limit {
            return vec![self];
        }
        let Answer::Events { header, watch_id, .. } = self else { return vec![self] };
        let overhead =
            encoding::message::encoded_len(1, &header) + encoding::int64::encoded_len(2, &watch_id) + 2;
        let mut parts: Vec<SmallVec<[Bytes; 1]>> = vec![SmallVec::new()];
        let mut length = overhead;
        for run in runs {
            for event in run.events() {
                let mut encoded = BytesMut::with_capacity(event_field_len(event, run.prev_kv()));
                encode_event_field(event, run.prev_kv(), &mut encoded);
                let first = parts.last().is_none_or(|part| part.is_empty());
                if !first && length + encoded.len() >= limit {
                    parts.push(SmallVec::new());
                    length = overhead;
                }
                length += encoded.len();
                if let Some(part) = parts.last_mut() {
                    part.push(encoded.freeze());
                }
            }
        }
        let last = parts.len() - 1;
        let answer = |(index, events)| Answer::Events { header, watch_id, fragment: index < last, events };
        parts.into_iter().enumerate().map(answer).collect()
    }
}

/// The events of a run as fields of `WatchResponse`.
fn encode_run(run: &Run) -> Bytes {
    let prev_kv = run.prev_kv();
    let length = run.events().map(|event| event_field_len(event, prev_kv)).sum();
    let mut buffer = BytesMut::with_capacity(length);
    run.events().for_each(|event| encode_event_field(event, prev_kv, &mut buffer));
    buffer.freeze()
}

fn encode_event_field(event: &Event, prev_kv: bool, buffer: &mut impl BufMut) {
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

fn event_field_len(event: &Event, prev_kv: bool) -> usize {
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

/// The codec of watch streams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WatchCodec;

impl Codec for WatchCodec {
    type Encode = Answer;
    type Decode = pb::WatchRequest;
    type Encoder = WatchCodec;
    type Decoder = WatchCodec;

    fn encoder(&mut self) -> WatchCodec {
        WatchCodec
    }

    fn decoder(&mut self) -> WatchCodec {
        WatchCodec
    }
}

impl Encoder for WatchCodec {
    type Item = Answer;
    type Error = Status;

    fn encode(&mut self, answer: Answer, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(answer.encoded_len());
        answer.encode(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(FIRST_BUFFER, SEND_TOGETHER)
    }
}

impl Decoder for WatchCodec {
    type Item = pb::WatchRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<pb::WatchRequest>, Status> {
        pb::WatchRequest::decode(buffer)
            .map(Some)
            .map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(FIRST_BUFFER, SEND_TOGETHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::grpc::convert;

    fn kv(key: &str, value: usize, number: i64) -> KeyValue {
        KeyValue {
            key: Bytes::copy_from_slice(key.as_bytes()),
            create_revision: number,
            mod_revision: number + 1,
            version: 300 * number,
            value: vec![b'x'; value].into(),
            lease: number - 1,
        }
    }

    fn samples() -> Vec<Event> {
        let deleted = KeyValue { key: Bytes::from_static(b"k"), mod_revision: 9, ..KeyValue::default() };
        vec![
            Event { kind: EventKind::Put, kv: kv("a", 0, 1), prev_kv: None },
            Event { kind: EventKind::Put, kv: kv("b", 1000, 77), prev_kv: Some(kv("b", 3, 76)) },
            Event { kind: EventKind::Delete, kv: deleted, prev_kv: Some(kv("k", 200, 1 << 40)) },
            Event { kind: EventKind::Put, kv: kv("n", 1, -5), prev_kv: None },
        ]
    }

    #[test]
    fn events_are_encoded_as_prost_encodes_them() {
        for prev_kv in [false, true] {
            let mut ours = BytesMut::new();
            for event in &samples() {
                let before = ours.len();
                encode_event_field(event, prev_kv, &mut ours);
                assert_eq!(ours.len() - before, event_field_len(event, prev_kv));
            }
            let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 };
            let answer = Answer::Events {
                header,
                watch_id: 7,
                fragment: true,
                events: SmallVec::from_buf([ours.freeze()]),
            };
            let mut encoded = BytesMut::new();
            answer.encode(&mut encoded);
            assert_eq!(encoded.len(), answer.encoded_len());
            let events = samples()
                .into_iter()
                .map(|event| Event { prev_kv: event.prev_kv.clone().filter(|_| prev_kv), ..event });
            let expected = pb::WatchResponse {
                header: Some(header),
                watch_id: 7,
                fragment: true,
                events: events.map(convert::event).collect(),
                ..pb::WatchResponse::default()
            };
            assert_eq!(encoded.freeze(), Bytes::from(expected.encode_to_vec()));
        }
    }
}
