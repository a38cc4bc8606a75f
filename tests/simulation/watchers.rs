//! Watchers: each follows a range of keys from the beginning to the end, at one member after another.
//!
//! They run on a thread and a runtime of their own, in real time: they must not change the order of events in the
//! simulation, and history is read by threads anyway.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kvd::model::KeyRange;
use kvd::raft as signal;
use kvd::watch::{Feed, FeedItem, Want, WatchSpec};

use super::dice::Dice;
use super::world::{Seen, World, seen};

/// How long a watcher may take at the end to see the rest, in real time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The record of a watcher.
pub struct Watched {
    pub range: KeyRange,
    /// Events with their revisions, in the order received.
    pub events: Vec<(i64, Seen)>,
    /// Revisions it could not see because they were compacted before it asked.
    pub gaps: Vec<RangeInclusive<i64>>,
    /// The number of feeds it opened.
    pub feeds: usize,
    /// The highest revision that the present feed has shown.
    shown: i64,
    /// Items that it should not have received.
    pub broken: Vec<String>,
}

/// All watchers, running.
pub struct Watchers {
    last: Arc<AtomicI64>,
    thread: JoinHandle<Vec<Watched>>,
}

fn ranges() -> [KeyRange; 3] {
    let keys = KeyRange::from_wire(Bytes::from_static(b"k/0"), Bytes::from_static(b"k/2"));
    [KeyRange::all(), KeyRange::single("k/1"), keys]
}

impl Watchers {
    /// Watchers that begin at revision 1.
    pub fn start(world: World, mut dice: Dice) -> Self {
        let last = Arc::new(AtomicI64::new(i64::MAX));
        let upto = last.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.expect("a runtime").block_on(async move {
                let watch = |range| watch(world.clone(), Dice::new(dice.next()), range, upto.clone());
                futures_util::future::join_all(ranges().map(watch)).await
            })
        });
        Self { last, thread }
    }

    /// Lets them run up to a revision, the last one, and returns their records.
    pub fn finish(self, revision: i64) -> Vec<Watched> {
        self.last.store(revision, Ordering::SeqCst);
        self.thread.join().expect("watchers do not panic")
    }
}

async fn watch(world: World, mut dice: Dice, range: KeyRange, last: Arc<AtomicI64>) -> Watched {
    let mut watched =
        Watched { range, events: Vec::new(), gaps: Vec::new(), feeds: 0, shown: 0, broken: Vec::new() };
    let mut next = 1;
    let mut late: Option<Instant> = None;
    while next <= last.load(Ordering::SeqCst) {
        if last.load(Ordering::SeqCst) < i64::MAX {
            let since = *late.get_or_insert_with(Instant::now);
            if since.elapsed() > PATIENCE {
                watched.broken.push(format!("a watcher got no further than revision {next}"));
                break;
            }
        }
        let running = world.running();
        if running.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let process = &running[dice.below(running.len())];
        let spec =
            WatchSpec { tag: 0, range: watched.range.clone(), start_revision: next, want: Want::default() };
        watched.feeds += 1;
        watched.shown = process.hub.revision();
        let feed = process.hub.watch(spec);
        let mut crashed = process.crashed.subscribe();
        // After this many items it changes to another member.
        for _ in 0..dice.within(1, 200) {
            let Some(item) = next_item(&feed, &mut crashed).await else { break };
            if !watched.take(item, &mut next) {
                break;
            }
        }
    }
    watched
}

/// The next item; `None` if the member crashed or is silent for long.
async fn next_item(feed: &Feed, crashed: &mut signal::Receiver<bool>) -> Option<FeedItem> {
    for _ in 0..10 {
        tokio::select! {
            biased;
            _ = crashed.wait_for(|crashed| *crashed) => return None,
            item = feed.next() => return Some(item),
            () = tokio::time::sleep(Duration::from_millis(20)) => feed.request_progress(),
        }
    }
    None
}

impl Watched {
    /// Revisions on a stream only go forward.
    fn show(&mut self, revision: i64) {
        if revision < self.shown {
            self.broken.push(format!("revision {revision} is shown after {}", self.shown));
        }
        self.shown = revision;
    }

    /// Records an item; false if the feed has ended.
    fn take(&mut self, item: FeedItem, next: &mut i64) -> bool {
        match item {
            FeedItem::Events { header_revision, runs } => {
                self.show(header_revision);
                for run in runs {
                    if run.first() < *next {
                        self.broken
                            .push(format!("revision {} is told where {next} is the next", run.first()));
                    }
                    self.events.extend(run.events().map(|event| (event.kv.mod_revision, seen(event))));
                    *next = run.last() + 1;
                }
                true
            }
            FeedItem::Progress(revision) => {
                self.show(revision);
                if revision + 1 < *next {
                    self.broken.push(format!("progress {revision} after revision {}", *next - 1));
                }
                *next = (revision + 1).max(*next);
                true
            }
            FeedItem::Compacted(revision) => {
                if revision < *next {
                    self.broken.push(format!("revision {next} is refused, as {revision} is compacted"));
                }
                self.gaps.push(*next..=revision);
                *next = revision + 1;
                false
            }
            FeedItem::Denied => {
                self.broken.push("the watcher was denied, without users".to_string());
                false
            }
            FeedItem::Failed(refusal) => {
                self.broken.push(format!("history cannot be read: {refusal}"));
                false
            }
        }
    }
}
