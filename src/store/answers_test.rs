//! What is read for clients takes room, and no more than there is.

use bytes::Bytes;
use tempfile::TempDir;

use super::{CheckpointPolicy, Options, Store};
use crate::model::{
    Budget, Caller, Command, Delete, KeyRange, LogPosition, Op, OpReply, Proposal, Put, RangeQuery, Refusal,
    Reply, Stamp, Txn,
};

const ROOM: usize = 8 << 20;

/// A store with `count` values of that length, in LMDB: `k0000` and so on.
fn filled(count: usize, length: usize) -> (Store, TempDir) {
    let dir = TempDir::new().expect("a directory");
    let options = Options {
        map_size: 1 << 30,
        checkpoint: CheckpointPolicy::Manual,
        answers: Budget::new(ROOM),
        ..Options::default()
    };
    let store = Store::open(dir.path(), options).expect("a store");
    for number in 0..count {
        let value = Bytes::from(vec![b'v'; length]);
        let put = Put { key: format!("k{number:04}").into(), value, ..Put::default() };
        apply(&store, Command::Put(put));
    }
    store.checkpoint().expect("a checkpoint");
    (store, dir)
}

fn apply(store: &Store, command: Command) -> Reply {
    let index = store.applied().map_or(0, |applied| applied.index + 1);
    let position = LogPosition { term: 1, leader: 1, index };
    let proposal = Proposal { stamp: Stamp::default(), caller: Caller::Anonymous, command };
    store.apply(position, &[proposal]).expect("applied").pop().expect("a reply")
}

fn first(count: usize) -> RangeQuery {
    RangeQuery::current(KeyRange::from_wire("k".into(), format!("k{count:04}").into()))
}

#[test]
fn ranges_take_room_until_their_values_are_dropped() {
    // In chunks of their own, and shared by results.
    for length in [600_000, 30_000, 3_000] {
        let (store, _dir) = filled(6_000_000 / length, length);
        let of = |bytes: usize| store.range(&first(bytes / length));
        let too_long = of(6_000_000).expect_err("more than half of the room");
        assert!(matches!(too_long, Refusal::MessageTooLong(_)), "{too_long}");
        assert_eq!(store.answers().used(), 0, "a refusal takes none");
        let mut held = vec![of(3_000_000).expect("a range"), of(3_000_000).expect("a range")];
        let used = store.answers().used();
        assert!((5_800_000..7_000_000).contains(&used), "{used} of values of {length}");
        assert_eq!(of(3_000_000).err(), Some(Refusal::AnswersUnread));
        assert_eq!(store.answers().used(), used);
        let count = RangeQuery { count_only: true, ..first(9999) };
        assert_eq!(store.range(&count).expect("a count").count, (6_000_000 / length) as i64);
        let value = held.pop().and_then(|range| range.kvs.last().map(|kv| kv.value.clone()));
        held.clear();
        assert!(store.answers().used() > 0, "the last value is still there");
        drop(value);
        assert_eq!(store.answers().used(), 0);
    }
}

/// What a range counts is the length of its values.
#[test]
fn a_long_value_that_is_read_takes_its_length_and_no_more() {
    let (store, _dir) = filled(1, 1_400_000);
    let txn = Txn { success: vec![Op::Range(first(1))], ..Txn::default() };
    let Reply::Op(OpReply::Txn { mut replies, .. }) = apply(&store, Command::Txn(txn)) else {
        panic!("another reply")
    };
    let Some(OpReply::Range(mut range)) = replies.pop() else { panic!("another reply") };
    let value = range.kvs.pop().expect("it is there").value;
    let value = value.try_into_mut().expect("nobody else has it");
    assert_eq!((value.len(), value.capacity()), (1_400_000, 1_400_000));
}

#[test]
fn a_page_ends_with_its_bytes() {
    let (store, _dir) = filled(1000, 3_000);
    let page = store.page(&first(1000), 100_000).expect("a page");
    assert_eq!((page.kvs.len(), page.more), (34, true));
    let page = store.page(&first(20), 100_000).expect("a page");
    assert_eq!((page.kvs.len(), page.more, page.count), (20, false, 20));
    let (store, _dir) = filled(10, 300_000);
    let page = store.page(&first(10), 100_000).expect("a page");
    assert_eq!((page.kvs.len(), page.more), (1, true), "a page has at least one key");
}

/// What is applied is the same on every member, whatever clients have left unread on this one.
#[test]
fn applying_takes_no_room_and_is_measured_before() {
    let (store, _dir) = filled(10, 600_000);
    let everything = store.answers().take(ROOM).expect("all of it");
    let put = Op::Put(Put { key: "k0003".into(), value: "new".into(), prev_kv: true, ..Put::default() });
    let txn = Txn { success: vec![Op::Range(first(5)), put], ..Txn::default() };
    let command = Command::Txn(txn);
    let measured = store.measure(&command, usize::MAX).expect("a size");
    assert_eq!(measured, 6 * 600_005);
    assert!(store.measure(&command, 1_000_000).expect("a size") > 1_000_000, "it stops there");
    let Reply::Op(OpReply::Txn { replies, .. }) = apply(&store, command) else { panic!("another reply") };
    let [OpReply::Range(range), OpReply::Put { prev_kv: Some(_), .. }] = &replies[..] else {
        panic!("{replies:?}")
    };
    assert_eq!(range.kvs.len(), 5);
    let delete = Command::Delete(Delete { range: first(3).range, prev_kv: true });
    assert_eq!(store.measure(&delete, usize::MAX), Ok(3 * 600_005));
    let keys = RangeQuery { keys_only: true, limit: 4, ..first(9) };
    let keys = Command::Txn(Txn { failure: vec![Op::Range(keys)], ..Txn::default() });
    assert_eq!(store.measure(&keys, usize::MAX), Ok(4 * 5));
    assert!(matches!(apply(&store, delete), Reply::Op(OpReply::Delete { deleted: 3, .. })));
    drop(everything);
}
