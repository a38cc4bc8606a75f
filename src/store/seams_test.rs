//! Breaks each condition once: the store stops, names the values and serves nothing more, or refuses a stream.

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;

use super::format::meta::Meta;
use super::format::{leases, varint};
use super::mvcc::keys::{current_key, old_key};
use super::mvcc::records::{ChangeKind, encode_history};
use super::mvcc::revision::Revision;
use super::snapshot::{Header, MAGIC, SNAPSHOT_VERSION};
use super::tests::{Bench, manual};
use super::*;
use crate::model::{Command, KeyRange, LogPosition, RangeQuery, Refusal, Reply, RevisionEvents};

/// A store with durable and not yet durable changes, and the reported reasons of its end.
fn bench() -> (Bench, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let on_fatal: OnFatal = Arc::new(move |error: &StoreError| heard.lock().push(error.to_string()));
    let mut bench = Bench::new(Options { on_fatal: Some(on_fatal), ..manual() });
    for value in ["1", "2", "3", "4"] {
        bench.put("a", value);
    }
    bench.store.checkpoint().unwrap();
    bench.put("b", "1");
    (bench, said)
}

/// The store has stopped, with an error that contains all these words, and reported it once.
fn assert_stopped(bench: &Bench, said: &Mutex<Vec<String>>, error: &StoreError, words: &[&str]) {
    assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert_eq!(*said.lock(), [text]);
    assert!(matches!(bench.store.health(), Err(StoreError::Failed(_))));
    assert!(matches!(bench.store.checkpoint(), Err(StoreError::Failed(_))));
    assert!(bench.store.range(&RangeQuery::current(KeyRange::all())).is_err());
}

#[test]
fn an_entry_that_leaves_a_gap_stops_the_store() {
    let (bench, said) = bench();
    let gap = LogPosition { term: 1, leader: 1, index: 7 };
    let error = bench.store.apply_blank(gap).unwrap_err();
    assert_stopped(&bench, &said, &error, &["index: 7", "index: 4"]);
    let bench = Bench::new(manual());
    let first = LogPosition { term: 1, leader: 1, index: 1 };
    assert!(matches!(bench.store.apply_blank(first), Err(StoreError::Broken(_))), "the log begins with 0");
}

#[test]
fn an_entry_of_an_earlier_term_stops_the_store() {
    let (bench, said) = bench();
    let next = LogPosition { index: bench.index, ..bench.position() };
    bench.store.apply_blank(LogPosition { term: 9, ..next }).unwrap();
    let earlier = LogPosition { term: 8, index: next.index + 1, ..next };
    let error = bench.store.apply_blank(earlier).unwrap_err();
    assert_stopped(&bench, &said, &error, &["term: 8", "term: 9"]);
}

#[test]
fn what_an_entry_leaves_goes_on_from_what_it_found() {
    let before = seams::Point { index: Some(4), revision: 6, compacted: -1 };
    let leaves = |revision, compacted, revisions: &[i64]| {
        let events = |revision: &i64| RevisionEvents {
            revision: *revision,
            position: LogPosition::default(),
            events: Vec::new(),
            is_bare: false,
        };
        let batch: Vec<_> = revisions.iter().map(events).collect();
        seams::published(before, revision, compacted, &batch)
    };
    let good: [(i64, i64, &[i64]); 4] = [(6, -1, &[]), (8, -1, &[7, 8]), (6, 6, &[]), (7, 7, &[7])];
    for (revision, compacted, revisions) in good {
        leaves(revision, compacted, revisions).unwrap();
    }
    let broken: [(i64, i64, &[i64]); 7] = [
        (5, -1, &[]),
        (7, -1, &[]),
        (6, -1, &[7]),
        (8, -1, &[7, 9]),
        (8, -1, &[8, 7]),
        (6, -2, &[]),
        (6, 7, &[]),
    ];
    for (revision, compacted, revisions) in broken {
        let error = leaves(revision, compacted, revisions);
        assert!(
            matches!(error, Err(StoreError::Broken(_))),
            "{revision} {compacted} {revisions:?}: {error:?}"
        );
    }
}

#[test]
fn a_refusal_after_a_change_is_broken() {
    let (bench, _) = bench();
    seams::refused(bench.position(), &Refusal::NoSpace, 0).unwrap();
    let error = seams::refused(bench.position(), &Refusal::NoSpace, 2).unwrap_err();
    assert!(matches!(&error, StoreError::Broken(what) if what.contains("after 2 changes")), "{error}");
}

#[test]
fn a_checkpoint_beyond_what_is_applied_stops_the_store() {
    for ahead in [true, false] {
        let (bench, said) = bench();
        {
            let mut shared = bench.store.0.shared.write();
            let beyond = Some(LogPosition { term: 1, leader: 1, index: 30 });
            match ahead {
                // The durable position is beyond the applied one.
                true => shared.meta.applied = beyond,
                false => shared.meta.revision = 30,
            }
        }
        let error = bench.store.checkpoint().unwrap_err();
        assert_stopped(&bench, &said, &error, &["30", "entry 4, revision 6"]);
    }
}

#[test]
fn a_checkpoint_before_the_last_one_has_ended_stops_the_store() {
    let (bench, said) = bench();
    bench.store.0.shared.write().frozen = Some(head::LayerRef::default());
    let error = bench.store.checkpoint().unwrap_err();
    assert_stopped(&bench, &said, &error, &["before the last one has ended"]);
}

#[test]
fn a_stored_revision_above_the_current_one_stops_the_store() {
    let (bench, said) = bench();
    {
        let mut shared = bench.store.0.shared.write();
        shared.revision = 3;
        // A transaction that is used for the first time.
        drop(bench.store.0.next_generation(&mut shared));
    }
    let read = bench.store.page(&RangeQuery::current(KeyRange::all()), usize::MAX);
    assert!(matches!(read, Err(Refusal::Internal(_))), "{read:?}");
    let error = StoreError::Broken("revision 5 is stored, and 3 is the current one".into());
    assert_stopped(&bench, &said, &error, &["5", "3"]);
}

#[test]
fn removing_that_goes_back_or_too_far_is_broken() {
    let before = Meta { revision: 9, compacted: 7, pruned: 5, prune_from: (6, 1), ..Meta::default() };
    let after = |pruned, prune_from| Meta { pruned, prune_from, ..before.clone() };
    for good in [after(5, (6, 1)), after(5, (7, 0)), after(6, (6, 0)), after(7, (7, 0))] {
        seams::pruned(&before, &good).unwrap();
    }
    for broken in [after(4, (6, 1)), after(5, (6, 0)), after(6, (5, 0)), after(8, (8, 0))] {
        assert!(matches!(seams::pruned(&before, &broken), Err(StoreError::Broken(_))), "{broken:?}");
    }
}

#[test]
fn a_state_of_the_past_is_not_taken_over() {
    let (source, _) = bench();
    let prepare = |store: &Store| store.prepare(source.store.snapshot().unwrap(), |_| true).unwrap();
    // The snapshot ends with entry 3; one more is applied here.
    let (bench, said) = bench();
    let current = states::current(bench.dir.path());
    let error = bench.store.adopt(prepare(&bench.store)).unwrap_err();
    assert_stopped(&bench, &said, &error, &["entry 3, revision 5", "entry 4, revision 6"]);
    assert_eq!(states::current(bench.dir.path()).unwrap(), current.unwrap());
    let bench = bench.crash(manual());
    assert_eq!(bench.store.get(b"a").unwrap().unwrap().value, "4");
}

/// A stream with this meta record and these rows, as another member could send it.
fn stream(meta: &Meta, rows: &[(u8, &[u8], &[u8])]) -> Vec<io::Result<Bytes>> {
    let mut stream = BytesMut::new();
    stream.put_slice(MAGIC);
    stream.put_u16(SNAPSHOT_VERSION);
    stream.put_u32(format::STREAMED);
    let mut body = Vec::new();
    for (table, key, value) in rows {
        body.push(*table);
        for field in [key, value] {
            varint::put(&mut body, field.len() as u64);
            body.extend_from_slice(field);
        }
    }
    let header = postcard::to_stdvec(&Header { meta: meta.clone() }).unwrap();
    let mut crc = 0;
    let blocks: &[&[u8]] = if body.is_empty() { &[&header, &[]] } else { &[&header, &body, &[]] };
    for block in blocks {
        crc = crc32c::crc32c_append(crc, block);
        stream.put_u32(block.len() as u32);
        stream.put_u32(crc);
        stream.put_slice(block);
    }
    vec![Ok(stream.freeze())]
}

#[test]
fn a_snapshot_whose_figures_contradict_each_other_is_refused() {
    let at = |index| LogPosition { term: 1, leader: 1, index };
    let good = Meta {
        applied: Some(at(9)),
        raft_membership: Some((at(9), Bytes::new())),
        revision: 5,
        compacted: 4,
        pruned: 4,
        prune_from: (4, 0),
        ..Meta::default()
    };
    let mut bench = Bench::new(manual());
    bench.put("a", "1");
    let broken = [
        Meta { revision: 0, compacted: -1, pruned: -1, ..good.clone() },
        Meta { compacted: 6, ..good.clone() },
        Meta { compacted: -2, pruned: -2, ..good.clone() },
        Meta { pruned: 5, ..good.clone() },
        Meta { prune_from: (6, 0), ..good.clone() },
        Meta { applied: None, ..good.clone() },
        Meta { raft_membership: Some((at(10), Bytes::new())), ..good.clone() },
    ];
    for meta in broken {
        let refused = bench.store.restore(stream(&meta, &[]));
        let Err(StoreError::Snapshot(what)) = refused else { panic!("{meta:?} is {refused:?}") };
        assert!(what.contains("contradict"), "{what}");
    }
    bench.store.health().unwrap();
    assert_eq!(bench.store.get(b"a").unwrap().unwrap().value, "1");
    bench.store.restore(stream(&good, &[])).unwrap();
    assert_eq!((bench.store.revision(), bench.store.applied()), (5, Some(at(9))));
}

#[test]
fn a_snapshot_with_rows_that_none_can_be_or_that_are_not_in_order_is_refused() {
    let meta = Meta {
        applied: Some(LogPosition { term: 1, leader: 1, index: 9 }),
        revision: 5,
        compacted: -1,
        pruned: -1,
        ..Meta::default()
    };
    let at = |main| Revision { main, sub: 0 };
    let mut change = Vec::new();
    encode_history(ChangeKind::Delete, b"k", &mut change);
    let (five, six) = (at(5).to_bytes(), at(6).to_bytes());
    let (old, older) = (old_key(b"k", at(5)), old_key(b"k", at(4)));
    let tombstone = [0].as_slice();
    let lease = leases::encode(&crate::model::Lease { id: 7, ttl: 9, remaining_ms: None }).unwrap();
    let current = current_key(b"k");
    type Rows<'a> = &'a [(u8, &'a [u8], &'a [u8])];
    let broken: [(Rows<'_>, &str); 11] = [
        (&[(1, &current, b"")], "current"),
        (&[(1, &current, &[5, 0, 0])], "current"),
        (&[(1, b"\x03k", b"")], "current"),
        (&[(2, &old, b"\x09")], "old"),
        (&[(3, b"short", &change)], "history"),
        (&[(3, &six, &change)], "revision 6"),
        (&[(4, &[0; 16], b"")], "chunks"),
        (&[(5, &8u64.to_be_bytes(), &lease)], "leases"),
        (&[(7, &8u64.to_be_bytes(), b"")], "members"),
        (&[(2, &old, tombstone), (2, &older, tombstone)], "not in order"),
        (&[(3, &five, &change), (2, &old, tombstone)], "not in order"),
    ];
    let bench = Bench::new(manual());
    for (rows, word) in broken {
        let refused = bench.store.restore(stream(&meta, rows));
        let Err(StoreError::Snapshot(what)) = refused else { panic!("{word}: {refused:?}") };
        assert!(what.contains(word), "{what}");
    }
    bench.store.health().unwrap();
    let good: Rows<'_> = &[(2, &old, tombstone), (3, &five, &change), (5, &7u64.to_be_bytes(), &lease)];
    bench.store.restore(stream(&meta, good)).unwrap();
    assert_eq!(bench.store.leases().unwrap().len(), 1);
}

#[test]
fn stored_figures_that_contradict_each_other_are_not_opened() {
    let (bench, _) = bench();
    let Bench { dir, store, .. } = bench;
    {
        let tables = store.0.shared.read().tables.clone();
        let mut txn = tables.write().unwrap();
        let meta = Meta { revision: 4, ..store.0.shared.read().meta.clone() };
        tables.put_meta(&mut txn, &meta).unwrap();
        txn.commit().unwrap();
    }
    drop(store);
    let error = Store::open(dir.path(), manual()).err();
    assert!(
        matches!(&error, Some(StoreError::Damaged(what)) if what.contains("revision 5")),
        "it has a change of a revision above its own: {error:?}"
    );
}

#[test]
fn what_keeps_the_rules_goes_on() {
    let (mut bench, said) = bench();
    assert!(matches!(bench.run(Command::Compact { revision: 4 }), Reply::Done { .. }));
    bench.store.prune().unwrap();
    bench.store.checkpoint().unwrap();
    bench.store.health().unwrap();
    assert!(said.lock().is_empty());
}
