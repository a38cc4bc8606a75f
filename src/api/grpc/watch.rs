//! The encoding of a watch stream's answers.

use bytes::BufMut;
use prost::encoding;

use crate::api::encoding::{Encode, encode_event_field, encode_run, event_field_len};
use crate::api::rpc::watch::{Answer, Events};

impl Encode for Answer {
    fn encoded_len(&self) -> usize {
        match self {
            Answer::Control(message) => Encode::encoded_len(message),
            Answer::Events { header, watch_id, fragment, events } => {
                encoding::message::encoded_len(1, header)
                    + if *watch_id != 0 { encoding::int64::encoded_len(2, watch_id) } else { 0 }
                    + if *fragment { encoding::bool::encoded_len(7, fragment) } else { 0 }
                    + events.encoded_len()
            }
        }
    }

    fn encode(&self, buffer: &mut impl BufMut) {
        match self {
            Answer::Control(message) => Encode::encode(message, buffer),
            Answer::Events { header, watch_id, fragment, events } => {
                encoding::message::encode(1, header, buffer);
                if *watch_id != 0 {
                    encoding::int64::encode(2, watch_id, buffer);
                }
                if *fragment {
                    encoding::bool::encode(7, fragment, buffer);
                }
                events.encode(buffer);
            }
        }
    }
}

impl Encode for Events {
    fn encoded_len(&self) -> usize {
        match self {
            Events::Runs(runs) => runs.iter().map(|run| run.encoded(encode_run).len()).sum(),
            Events::Part { events, prev_kv } => {
                events.iter().map(|event| event_field_len(event, *prev_kv)).sum()
            }
        }
    }

    fn encode(&self, buffer: &mut impl BufMut) {
        match self {
            Events::Runs(runs) => runs.iter().for_each(|run| buffer.put_slice(run.encoded(encode_run))),
            Events::Part { events, prev_kv } => {
                events.iter().for_each(|event| encode_event_field(event, *prev_kv, buffer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use prost::Message;

    use super::*;
    use crate::api::proto::etcdserverpb as pb;
    use crate::model::{Event, EventKind, KeyValue};

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
            for event in &samples() {
                let mut field = BytesMut::new();
                encode_event_field(event, prev_kv, &mut field);
                assert_eq!(field.len(), event_field_len(event, prev_kv));
            }
            let answer = Answer::Events {
                header: pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 },
                watch_id: 7,
                fragment: true,
                events: Events::Part { events: samples(), prev_kv },
            };
            let mut encoded = BytesMut::new();
            answer.encode(&mut encoded);
            assert_eq!(encoded.len(), answer.encoded_len());
            let expected = pb::WatchResponse::from(answer);
            assert_eq!(expected.events.len(), samples().len());
            assert_eq!(expected.events.iter().any(|event| event.prev_kv.is_some()), prev_kv);
            assert_eq!(encoded.freeze(), Bytes::from(expected.encode_to_vec()));
        }
    }
}
