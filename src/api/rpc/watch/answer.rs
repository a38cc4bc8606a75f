//! The answers of a watch stream.

use std::sync::Arc;

use smallvec::SmallVec;

use super::super::convert;
use crate::api::encoding::{Encode, event_field_len};
use crate::api::proto::etcdserverpb as pb;
use crate::model::Event;
use crate::watch::Run;

/// One message to the client. Events are not converted to messages: an interface may encode them once for all watchers
/// that get them.
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
        /// What happened.
        events: Events,
    },
}

/// The events of an answer.
#[derive(Debug)]
pub enum Events {
    /// Runs, shared with other watchers.
    Runs(SmallVec<[Arc<Run>; 1]>),
    /// The part of them that is in a fragment.
    Part {
        /// The events.
        events: Vec<Event>,
        /// True if the state before each event is included; otherwise it must be ignored.
        prev_kv: bool,
    },
}

impl Answer {
    /// Splits an answer that is at least `limit` encoded bytes long, as etcd does: between events, each part below the
    /// limit unless a single event is not, all but the last marked as fragments.
    pub(super) fn split(self, limit: usize) -> Vec<Answer> {
        if self.encoded_len() < limit {
            return vec![self];
        }
        let (header, watch_id, runs) = match self {
            Answer::Events { header, watch_id, events: Events::Runs(runs), .. } => (header, watch_id, runs),
            whole => return vec![whole],
        };
        let part = |fragment, events, prev_kv| {
            let events = Events::Part { events, prev_kv };
            Answer::Events { header, watch_id, fragment, events }
        };
        let prev_kv = runs.iter().any(|run| run.prev_kv());
        let overhead = part(true, Vec::new(), prev_kv).encoded_len();
        let mut parts: Vec<Vec<Event>> = vec![Vec::new()];
        let mut length = overhead;
        for event in runs.iter().flat_map(|run| run.events()) {
            let size = event_field_len(event, prev_kv);
            if parts.last().is_some_and(|part| !part.is_empty()) && length + size >= limit {
                parts.push(Vec::new());
                length = overhead;
            }
            length += size;
            if let Some(part) = parts.last_mut() {
                part.push(event.clone());
            }
        }
        let last = parts.len() - 1;
        let parts = parts.into_iter().enumerate();
        parts.map(|(index, events)| part(index < last, events, prev_kv)).collect()
    }
}

impl From<Answer> for pb::WatchResponse {
    fn from(answer: Answer) -> Self {
        let (header, watch_id, fragment, events) = match answer {
            Answer::Control(message) => return message,
            Answer::Events { header, watch_id, fragment, events } => (header, watch_id, fragment, events),
        };
        let message = |event: &Event, prev_kv: bool| {
            convert::event(Event { prev_kv: event.prev_kv.clone().filter(|_| prev_kv), ..event.clone() })
        };
        let events = match events {
            Events::Runs(runs) => runs
                .iter()
                .flat_map(|run| run.events().map(move |event| message(event, run.prev_kv())))
                .collect(),
            Events::Part { events, prev_kv } => events.iter().map(|event| message(event, prev_kv)).collect(),
        };
        let header = Some(header);
        pb::WatchResponse { header, watch_id, fragment, events, ..pb::WatchResponse::default() }
    }
}
