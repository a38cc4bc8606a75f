use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Wake;

use super::model::{Change, Fake, delete, put};
use super::*;
use crate::model::Observer;

fn big(key: &str, size: usize) -> Change {
    Change::Put(Bytes::copy_from_slice(key.as_bytes()), vec![b'x'; size].into())
}

#[test]
fn live_events_come_at_once_and_in_order() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    session.open(spec(prefix("a"), 0));
    session.open(WatchSpec {
        tag: 1,
        want: Want { prev_kv: true, ..Want::default() },
        ..spec(KeyRange::single("ab"), 0)
    });
    store.apply(&[vec![put("aa")], vec![put("b")], vec![put("ab"), put("c"), put("a")], vec![delete("ab")]]);
    assert_eq!(told(&poll(&session).unwrap()), "0 at 5: Put aa@2, Put ab@4, Put a@4, Delete ab@5");
    assert_eq!(told(&poll(&session).unwrap()), "1 at 5: Put ab@4, Delete ab@5<4");
    assert!(poll(&session).is_none());
}

#[test]
fn filters_drop_kinds() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    session.open(WatchSpec {
        tag: 1,
        want: Want { no_put: true, ..Want::default() },
        ..spec(prefix("a"), 0)
    });
    session.open(WatchSpec {
        tag: 2,
        want: Want { no_delete: true, ..Want::default() },
        ..spec(prefix("a"), 0)
    });
    store.apply(&[vec![put("a")]]);
    store.apply(&[vec![delete("a")]]);
    assert_eq!(told(&poll(&session).unwrap()), "2 at 2: Put a@2");
    assert_eq!(told(&poll(&session).unwrap()), "1 at 3: Delete a@3");
    assert!(poll(&session).is_none());
}

#[test]
fn the_past_is_replayed_before_the_present() {
    let store = Fake::new();
    store.apply(&[vec![put("a")], vec![put("b")], vec![put("a")]]);
    let hub = hub(&store);
    let session = hub.session();
    session.open(spec(prefix("a"), 1));
    assert!(poll(&session).is_none());
    assert_eq!(told(&next(&session)), "0 at 4: Put a@2, Put a@4");
    store.apply(&[vec![put("a")]]);
    assert_eq!(told(&next(&session)), "0 at 5: Put a@5");
}

#[test]
fn the_future_is_waited_for() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    session.open(spec(prefix("a"), 4));
    session.request_progress();
    store.apply(&[vec![put("a")], vec![put("a")]]);
    session.request_progress();
    assert_eq!(told(&next(&session)), "progress 3");
    store.apply(&[vec![put("a")], vec![put("a")]]);
    assert_eq!(told(&next(&session)), "0 at 5: Put a@4, Put a@5");
}

/// Which watchers may go on is said at once, and nothing that waits for the others is sent any more.
#[test]
fn a_watcher_that_is_denied_ends_before_its_next_event() {
    let store = Fake::new();
    store.apply(&[vec![put("a")], vec![put("b")]]);
    let hub = hub(&store);
    let session = hub.session();
    let keys: Vec<_> = [("a", 0), ("b", 0), ("a", 1), ("c", 0)]
        .into_iter()
        .zip(0..)
        .map(|((key, start), tag)| session.open(WatchSpec { tag, ..spec(prefix(key), start) }).0)
        .collect();
    // One has its events queued, one reads history, one has nothing.
    store.apply(&[vec![put("a"), put("b")]]);
    session.deny(|range| range.contains(b"b"));
    session.deny(|range| range.contains(b"b"));
    let items: Vec<String> = std::iter::from_fn(|| poll(&session)).map(|item| told(&item)).collect();
    assert_eq!(items, ["1 at 4: Put b@4", "0 denied", "2 denied", "3 denied"]);
    store.apply(&[vec![put("a"), put("b"), put("c")]]);
    assert_eq!(told(&next(&session)), "1 at 5: Put b@5");
    session.request_progress();
    assert!(poll(&session).is_none(), "a denied watcher is not synced until it is closed");
    keys.iter().enumerate().filter(|(tag, _)| *tag != 1).for_each(|(_, key)| session.close(*key));
    session.request_progress();
    assert_eq!(told(&next(&session)), "progress 5");
    assert_eq!((hub.stats().watchers, hub.stats().behind, hub.stats().pending), (1, 0, 0));
}

/// Whoever polls the session looks at the users then.
#[test]
fn a_change_of_users_wakes_sessions_for_which_there_is_nothing() {
    let store = Fake::new();
    let hub = hub(&store);
    let sessions = [hub.session(), hub.session()];
    for change in [Hub::on_users, |hub: &Hub| hub.on_restored(1)] {
        let woken: Vec<_> = sessions.iter().map(|_| Arc::new(Woken::default())).collect();
        for (session, woken) in sessions.iter().zip(&woken) {
            session.open(spec(prefix("a"), 0));
            assert!(session.poll_next(&mut Context::from_waker(&woken.clone().into())).is_pending());
        }
        change(&hub);
        assert!(woken.iter().all(|woken| woken.0.load(Ordering::Relaxed)));
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn compacted_starts_end_the_watcher() {
    let store = Fake::new();
    store.apply(&[vec![put("a")], vec![put("a")], vec![put("a")]]);
    store.compact(3);
    let hub = hub(&store);
    let session = hub.session();
    let (key, _) = session.open(spec(prefix("a"), 2));
    session.open(WatchSpec { tag: 1, ..spec(prefix("a"), 3) });
    let mut items = vec![told(&next(&session)), told(&next(&session))];
    items.sort();
    assert_eq!(items, ["0 compacted at 3", "1 at 4: Put a@3, Put a@4"]);
    session.request_progress();
    assert!(poll(&session).is_none(), "a watcher that ended is not synced");
    session.close(key);
    session.request_progress();
    assert_eq!(told(&next(&session)), "progress 4");
}

#[test]
fn a_full_feed_reads_from_history_and_goes_live_again() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    session.open(spec(prefix("a"), 0));
    for _ in 0..3000 {
        store.apply(&[vec![put("a")]]);
    }
    session.request_progress();
    let mut expected = 2;
    while expected <= 3001 {
        match next(&session) {
            Item::Events { runs, .. } => {
                for event in events(&runs) {
                    assert_eq!(event.kv.mod_revision, expected);
                    expected += 1;
                }
            }
            other => panic!("{}", told(&other)),
        }
    }
    session.request_progress();
    assert_eq!(told(&next(&session)), "progress 3001");
    store.apply(&[vec![put("a")]]);
    assert_eq!(told(&poll(&session).unwrap()), "0 at 3002: Put a@3002");
}

#[test]
fn a_feed_that_nobody_drains_costs_little_and_is_told_of_compaction() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    session.open(spec(prefix("a"), 0));
    for _ in 0..200 {
        store.apply(&[vec![big("a", 100_000)]]);
    }
    assert!(hub.stats().held_bytes < 8 << 20, "{:?}", hub.stats());
    store.compact(150);
    assert_eq!(told(&next(&session)), "0 compacted at 150");
}

#[test]
fn short_memory_turns_queues_into_cursors() {
    let store = Fake::new();
    let hub = Hub::new(store.clone(), Options { memory: 1 << 20, ..Options::default() });
    store.observe(hub.clone());
    let sessions: Vec<Session> = (0..100).map(|_| hub.session()).collect();
    for (number, session) in sessions.iter().enumerate() {
        session.open(spec(KeyRange::single(format!("key{number}")), 0));
    }
    for number in 0..100 {
        store.apply(&[vec![big(&format!("key{number}"), 100_000)]]);
    }
    for _ in 0..10 {
        store.apply(&[vec![big("key0", 100_000)]]);
    }
    assert!(hub.stats().held_bytes <= 2 << 20, "{:?}", hub.stats());
    for (number, session) in sessions.iter().enumerate() {
        let Item::Events { runs, .. } = next(session) else { panic!("events") };
        assert_eq!(events(&runs)[0].kv.mod_revision, 2 + number as i64);
    }
    drop(sessions);
    assert_eq!(hub.stats().watchers, 0);
    assert_eq!(hub.stats().held_bytes, 0);
}

#[test]
fn events_that_are_read_again_are_held_once() {
    let store = Fake::new();
    let hub = hub(&store);
    for _ in 0..3 {
        store.apply(&[vec![big("a", 100_000)]]);
    }
    let read = || {
        let session = hub.session();
        session.open(spec(KeyRange::single("a"), 2));
        let item = next(&session);
        assert!(matches!(&item, Item::Events { runs, .. } if events(runs).len() == 3), "{item:?}");
        (session, item)
    };
    let first = read();
    let held = hub.stats().held_bytes;
    let second = read();
    assert_eq!(hub.stats().held_bytes, held);
    assert!(held > 3 * 100_000);
    drop((first, second));
}

#[test]
fn where_very_many_queues_fill_those_that_nobody_drains_give_way_first() {
    let store = Fake::new();
    let hub = Hub::new(store.clone(), Options { memory: 1 << 20, ..Options::default() });
    store.observe(hub.clone());
    let sessions: Vec<Session> = (0..1000).map(|_| hub.session()).collect();
    for session in &sessions {
        session.open(spec(KeyRange::single("a"), 0));
    }
    let (reader, idle) = sessions.split_first().expect("a thousand");
    for revision in 2..=9 {
        store.apply(&[vec![put("a")]]);
        let item = poll(reader).expect("whoever takes what there is stays live");
        assert_eq!(told(&item), format!("0 at {revision}: Put a@{revision}"));
    }
    // One in eight of what all queues may hold if nothing else is in them.
    let stats = hub.stats();
    assert!(stats.pending <= (1 << 20) / 8 / 64 && stats.behind > 700, "{stats:?}");
    assert_eq!(stats.behind + stats.live, sessions.len());
    for session in idle {
        let mut seen = Vec::new();
        while seen.last() != Some(&9) {
            let Item::Events { runs, .. } = next(session) else { panic!("events") };
            seen.extend(events(&runs).iter().map(|event| event.kv.mod_revision));
        }
        assert_eq!(seen, (2..=9).collect::<Vec<_>>());
    }
    // They have read everything, and go live as soon as that is known.
    let end = Instant::now() + PATIENCE;
    while hub.stats().live < sessions.len() {
        assert!(sessions.iter().all(|session| poll(session).is_none()) && Instant::now() < end);
        std::thread::yield_now();
    }
    store.apply(&[vec![put("a")]]);
    let last = Some("0 at 10: Put a@10".to_string());
    assert!(sessions.iter().all(|session| poll(session).map(|item| told(&item)) == last));
}

#[test]
fn progress_stands_behind_the_events_it_covers() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    session.request_progress();
    assert!(poll(&session).is_none(), "no watcher, no progress");
    session.open(spec(prefix("a"), 0));
    let (key, _) = session.open(WatchSpec { tag: 7, ..spec(prefix("b"), 0) });
    store.apply(&[vec![put("a")]]);
    session.request_progress();
    session.notify([key]);
    store.apply(&[vec![put("b")]]);
    assert_eq!(told(&next(&session)), "0 at 2: Put a@2");
    assert_eq!(told(&next(&session)), "progress 2");
    assert_eq!(told(&next(&session)), "7 progress 2");
    assert_eq!(told(&next(&session)), "7 at 3: Put b@3");
}

#[test]
fn events_after_a_progress_answer_wait_behind_it() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    session.open(spec(prefix("a"), 0));
    let (key, _) = session.open(WatchSpec { tag: 1, ..spec(prefix("b"), 0) });
    store.apply(&[vec![put("a")], vec![put("b")]]);
    session.request_progress();
    store.apply(&[vec![put("a")]]);
    session.notify([key]);
    store.apply(&[vec![put("a"), put("b")]]);
    let expected = [
        "0 at 2: Put a@2",
        "1 at 3: Put b@3",
        "progress 3",
        "0 at 4: Put a@4",
        "1 progress 4",
        "0 at 5: Put a@5",
        "1 at 5: Put b@5",
    ];
    for expected in expected {
        assert_eq!(told(&poll(&session).unwrap()), expected);
    }
    assert!(poll(&session).is_none());
}

#[test]
fn a_progress_answer_that_comes_too_late_is_asked_for_anew() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    let (key, _) = session.open(spec(prefix("a"), 0));
    store.apply(&[vec![put("a")]]);
    session.request_progress();
    session.notify([key]);
    store.apply(&[vec![put("a")], vec![put("b")]]);
    // An answer outside the order shows the store's revision.
    assert_eq!(session.show_revision(), 4);
    let expected = ["0 at 4: Put a@2", "0 at 4: Put a@3", "progress 4", "0 progress 4"];
    for expected in expected {
        assert_eq!(told(&poll(&session).unwrap()), expected);
    }
    assert!(poll(&session).is_none());
}

#[test]
fn progress_does_not_overtake_what_a_full_feed_gave_up() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    let (key, _) = session.open(spec(prefix("a"), 0));
    store.apply(&[vec![put("a")]]);
    session.request_progress();
    session.notify([key]);
    for _ in 0..60 {
        store.apply(&[vec![big("a", 100_000)]]);
    }
    assert!(hub.stats().behind == 1, "{:?}", hub.stats());
    let mut next_revision = 2;
    while next_revision < 62 {
        let item = next(&session);
        let Item::Events { runs, .. } = &item else { panic!("{}", told(&item)) };
        assert_eq!(runs[0].first(), next_revision);
        next_revision = runs.last().unwrap().last() + 1;
    }
}

#[test]
fn what_comes_from_history_shows_no_earlier_time() {
    let store = Fake::new();
    store.apply(&[vec![put("b")]]);
    let hub = hub(&store);
    let session = hub.session();
    session.open(spec(prefix("a"), 0));
    store.apply(&[vec![put("a")]]);
    session.open(WatchSpec { tag: 1, ..spec(prefix("b"), 1) });
    store.apply(&[vec![put("a")]]);
    store.compact(3);
    session.open(WatchSpec { tag: 2, ..spec(prefix("b"), 1) });
    let mut shown = 0;
    for _ in 0..3 {
        let (Item::Events { header_revision, .. } | Item::Compacted { header_revision, .. }) = next(&session)
        else {
            panic!("no progress was asked for");
        };
        assert!(header_revision >= shown && header_revision >= 4, "{header_revision} after {shown}");
        shown = header_revision;
    }
}

#[test]
fn a_snapshot_sends_watchers_to_history() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    session.open(spec(prefix("a"), 0));
    store.apply(&[vec![put("a")]]);
    let revision = store.apply_unheard(&[vec![put("a")], vec![put("a")]]);
    hub.on_restored(revision);
    assert_eq!(told(&next(&session)), "0 at 4: Put a@2, Put a@3, Put a@4");
    store.apply_unheard(&[vec![put("a")]]);
    store.apply(&[vec![put("a")]]);
    assert_eq!(told(&next(&session)), "0 at 6: Put a@5, Put a@6", "what was applied unheard is found, too");
}

#[test]
fn closed_watchers_are_silent() {
    let store = Fake::new();
    let hub = hub(&store);
    let session = hub.session();
    let (first, _) = session.open(spec(prefix("a"), 0));
    session.open(WatchSpec { tag: 1, ..spec(prefix("a"), 0) });
    store.apply(&[vec![put("a")]]);
    session.close(first);
    session.close(first);
    let (_, revision) = session.open(WatchSpec { tag: 2, ..spec(prefix("a"), 0) });
    assert_eq!(revision, 2);
    assert_eq!(told(&poll(&session).unwrap()), "1 at 2: Put a@2");
    assert!(poll(&session).is_none());
    assert_eq!((hub.stats().watchers, hub.stats().groups), (2, 1));
}

#[test]
fn watchers_alike_share_their_runs() {
    let store = Fake::new();
    let hub = hub(&store);
    let sessions: Vec<Session> = (0..3).map(|_| hub.session()).collect();
    for session in &sessions {
        session.open(spec(prefix("a"), 0));
    }
    store.apply(&[vec![put("a")]]);
    let runs: Vec<Arc<Run>> = sessions
        .iter()
        .map(|session| match poll(session) {
            Some(Item::Events { runs, .. }) => runs[0].clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(runs.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
    runs[0].encoded(|_| Bytes::from_static(b"once"));
    assert_eq!(runs[2].encoded(|_| panic!("encoded twice")).as_ref(), b"once");
}

#[tokio::test]
async fn many_streams_are_woken_through_one_task() {
    let store = Fake::new();
    let hub = hub(&store);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let feed = hub.watch(spec(prefix("a"), 0));
            tokio::spawn(async move {
                let item = feed.next().await;
                assert!(matches!(item, super::super::FeedItem::Events { header_revision: 2, .. }));
            })
        })
        .collect();
    tokio::task::yield_now().await;
    std::thread::spawn(move || store.apply(&[vec![put("a")]])).join().unwrap();
    for task in tasks {
        task.await.unwrap();
    }
}

#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn sessions_that_history_is_read_for_are_woken_from_within_their_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let store = Fake::new();
    let hub = hub(&store);
    store.apply(&[vec![put("a")]]);
    let entered = runtime.enter();
    let sessions: Vec<Session> = (0..1000).map(|_| hub.session()).collect();
    let other = hub.begin();
    drop(entered);
    let woken = Arc::<Counted>::default();
    let waker = Waker::from(woken.clone());
    for session in &sessions {
        session.open(spec(prefix("a"), 1));
    }
    // Meanwhile the thread that reads history waits: it serves very few at first, and then as many as it can.
    hub.with_inbox(&other, |_, _| {
        for session in &sessions {
            assert!(session.poll_next(&mut Context::from_waker(&waker)).is_pending());
        }
    });
    let end = Instant::now() + PATIENCE;
    while hub.stats().behind > 0 {
        assert!(Instant::now() < end, "{:?}", hub.stats());
        std::thread::yield_now();
    }
    let directly = woken.0.load(Ordering::SeqCst);
    assert!(directly <= 6, "{directly} requests of the runtime's inbox are in front of everybody else's");
    while woken.0.load(Ordering::SeqCst) < sessions.len() {
        assert!(Instant::now() < end, "{:?} of 1,000 are woken", woken.0);
        runtime.block_on(tokio::task::yield_now());
    }
    hub.close_all(&other);
}
