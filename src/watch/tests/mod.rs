//! Tests of the room: stories over a small store in memory, and random histories against a naive model.

mod delivery;
mod model;
mod random;
mod real;
mod stories;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Hub, Item, Options, Run, Session, Want, WatchSpec};
use crate::model::{Event, KeyRange};

/// How long a test waits for the history thread before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn spec(range: KeyRange, start_revision: i64) -> WatchSpec {
    WatchSpec { tag: 0, range, start_revision, want: Want::default() }
}

fn prefix(prefix: &str) -> KeyRange {
    let start = Bytes::copy_from_slice(prefix.as_bytes());
    KeyRange { end: crate::model::prefix_end(&start), start }
}

/// The next item, if one is ready.
fn poll(session: &Session) -> Option<Item> {
    match session.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => Some(item),
        Poll::Pending => None,
    }
}

/// The next item, waiting for the history thread.
fn next(session: &Session) -> Item {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(item) = poll(session) {
            return item;
        }
        assert!(Instant::now() < end, "nothing came");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The events of runs as their watchers see them.
fn events(runs: &[Arc<Run>]) -> Vec<Event> {
    let seen = |run: &Arc<Run>| {
        let prev_kv = run.prev_kv();
        run.events()
            .map(move |event| Event { prev_kv: event.prev_kv.clone().filter(|_| prev_kv), ..event.clone() })
            .collect::<Vec<_>>()
    };
    runs.iter().flat_map(seen).collect()
}

/// An item as text, for a story.
fn told(item: &Item) -> String {
    match item {
        Item::Events { tag, header_revision, runs } => {
            let events: Vec<String> = events(runs)
                .iter()
                .map(|event| {
                    let key = String::from_utf8_lossy(&event.kv.key);
                    let prev = event.prev_kv.as_ref().map(|kv| format!("<{}", kv.mod_revision));
                    format!("{:?} {key}@{}{}", event.kind, event.kv.mod_revision, prev.unwrap_or_default())
                })
                .collect();
            format!("{tag} at {header_revision}: {}", events.join(", "))
        }
        Item::Compacted { tag, revision, .. } => format!("{tag} compacted at {revision}"),
        Item::Denied { tag, .. } => format!("{tag} denied"),
        Item::Progress { revision } => format!("progress {revision}"),
        Item::Notify { tag, revision } => format!("{tag} progress {revision}"),
        Item::Failed(refusal) => format!("failed: {refusal}"),
    }
}

fn hub(store: &Arc<model::Fake>) -> Arc<Hub> {
    let hub = Hub::new(store.clone(), Options::default());
    store.observe(hub.clone());
    hub
}
