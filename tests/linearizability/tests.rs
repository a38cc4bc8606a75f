//! Histories with a known verdict.

use super::*;

/// A call of client 0 on key 0, answered.
fn call(called: u64, returned: u64, op: Op, answer: Answer) -> Call {
    Call { client: 0, key: 0, op, called, answer: Some((returned, answer)) }
}

/// The same, never answered.
fn lost(called: u64, op: Op) -> Call {
    Call { client: 0, key: 0, op, called, answer: None }
}

fn put(called: u64, returned: u64, value: Value) -> Call {
    call(called, returned, Op::Put(value), Answer::Put)
}

fn get(called: u64, returned: u64, value: Option<Value>) -> Call {
    call(called, returned, Op::Get, Answer::Value(value))
}

fn delete(called: u64, returned: u64, existed: bool) -> Call {
    call(called, returned, Op::Delete, Answer::Deleted(existed))
}

fn swap(called: u64, returned: u64, expected: Option<Value>, new: Value, swapped: bool) -> Call {
    call(called, returned, Op::Swap { expected, new }, Answer::Swapped(swapped))
}

fn accepted(calls: &[Call]) {
    assert_eq!(check_key(calls), Verdict::Linearizable, "{calls:#?}");
}

fn rejected(calls: &[Call], stuck: usize) {
    assert_eq!(check_key(calls), Verdict::Impossible { stuck }, "{calls:#?}");
}

#[test]
fn one_after_the_other() {
    accepted(&[]);
    accepted(&[get(1, 2, None), put(3, 4, 7), get(5, 6, Some(7)), delete(7, 8, true), delete(9, 10, false)]);
    rejected(&[put(1, 2, 7), get(3, 4, None)], 1);
    rejected(&[put(1, 2, 7), put(3, 4, 8), get(5, 6, Some(7))], 2);
    rejected(&[get(1, 2, Some(7))], 0);
    rejected(&[put(1, 2, 7), delete(3, 4, false)], 1);
}

#[test]
fn what_overlaps_may_have_happened_in_any_order() {
    // Two writers and two readers that agree.
    accepted(&[put(1, 10, 1), put(2, 9, 2), get(3, 4, Some(2)), get(5, 6, Some(1))]);
    // They see both values, but in two orders.
    let calls = [put(1, 10, 1), put(2, 9, 2), get(3, 4, Some(1)), get(5, 6, Some(2)), get(7, 8, Some(1))];
    assert!(matches!(check_key(&calls), Verdict::Impossible { .. }));
    // A reader sees the value while it is being written, the next one does not.
    rejected(&[put(1, 10, 1), get(2, 3, Some(1)), get(4, 5, None)], 2);
    // The very same time counts as overlapping, too.
    accepted(&[put(1, 5, 1), get(5, 6, None)]);
}

#[test]
fn swaps_answer_what_they_found() {
    accepted(&[swap(1, 2, None, 1, true), swap(3, 4, Some(1), 2, true), swap(5, 6, Some(1), 3, false)]);
    rejected(&[swap(1, 2, None, 1, true), swap(3, 4, None, 2, true)], 1);
    // Of two swaps at the same time one must fail.
    accepted(&[put(1, 2, 1), swap(3, 9, Some(1), 2, true), swap(4, 8, Some(1), 3, false)]);
    let both = [put(1, 2, 1), swap(3, 9, Some(1), 2, true), swap(4, 8, Some(1), 3, true)];
    assert!(matches!(check_key(&both), Verdict::Impossible { .. }));
    let neither = [put(1, 2, 1), swap(3, 9, Some(1), 2, false), swap(4, 8, Some(1), 3, false)];
    assert!(matches!(check_key(&neither), Verdict::Impossible { .. }));
}

#[test]
fn what_was_not_answered_may_happen_late_or_never() {
    let lost_put = lost(1, Op::Put(1));
    accepted(&[lost_put.clone(), get(2, 3, None), get(4, 5, None)]);
    accepted(&[lost_put.clone(), get(2, 3, None), get(4, 5, Some(1))]);
    accepted(&[lost_put.clone(), get(2, 3, None), put(4, 5, 2), get(6, 7, Some(1))]);
    // At most once.
    rejected(
        &[lost_put.clone(), get(2, 3, Some(1)), put(4, 5, 2), get(6, 7, Some(2)), get(8, 9, Some(1))],
        4,
    );
    // And not before the call.
    rejected(&[get(1, 2, Some(1)), lost(3, Op::Put(1))], 0);
    // A deletion explains a missing value, a get explains nothing.
    accepted(&[put(1, 2, 1), lost(3, Op::Delete), get(4, 5, None)]);
    rejected(&[put(1, 2, 1), lost(3, Op::Get), get(4, 5, None)], 2);
    let swap = Op::Swap { expected: Some(1), new: 2 };
    accepted(&[put(1, 2, 1), lost(3, swap), get(4, 5, Some(1)), get(6, 7, Some(2))]);
    rejected(&[put(1, 2, 3), lost(3, swap), get(4, 5, Some(2))], 2);
}

#[test]
fn what_was_lost_without_a_trace_is_left_out() {
    let calls =
        vec![lost(1, Op::Put(1)), lost(2, Op::Put(2)), lost(3, Op::Delete), lost(4, Op::Get), put(5, 6, 3)];
    let left = History(calls.clone()).without_the_lost(|value| value == 2);
    assert_eq!(left.0, [calls[1].clone(), calls[2].clone(), calls[4].clone()]);
}

#[test]
fn keys_are_judged_one_by_one_and_the_culprit_is_named() {
    let on = |key: usize, call: Call| Call { key, ..call };
    let mut history = History(vec![on(0, put(1, 2, 1)), on(1, get(3, 4, None)), on(0, get(5, 6, Some(1)))]);
    assert_eq!(history.check(), Ok(()));
    history.0.push(on(1, get(7, 8, Some(9))));
    let said = history.check().unwrap_err();
    assert!(said.contains("key 1") && said.contains("> [         7          8] client 0: Get"), "{said}");
}

/// Many clients on a correct register: always accepted. One answer changed to another value: never.
#[test]
fn random_histories_of_a_real_register() {
    let mut random = 88_172_645_463_325_252u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for _ in 0..50 {
        let mut calls = Vec::new();
        let mut value = None;
        let mut free_at = [0u64; 8];
        // Each operation happens at `time`, within a span that overlaps those of the other clients.
        for time in 1..200u64 {
            let client = below(8) as usize;
            let at = time * 10;
            if free_at[client] >= at {
                continue;
            }
            let called = at - below(at - free_at[client]).min(60);
            let returned = at + below(60);
            free_at[client] = returned;
            let op = match below(4) {
                0 => Op::Put(time),
                1 => Op::Delete,
                2 => Op::Swap { expected: value.filter(|_| below(3) > 0), new: time },
                _ => Op::Get,
            };
            let (after, answer) = match op {
                Op::Get => (value, Answer::Value(value)),
                Op::Put(new) => (Some(new), Answer::Put),
                Op::Delete => (None, Answer::Deleted(value.is_some())),
                Op::Swap { expected, new } if expected == value => (Some(new), Answer::Swapped(true)),
                Op::Swap { .. } => (value, Answer::Swapped(false)),
            };
            value = after;
            let answer = (below(10) > 0).then_some((returned, answer));
            calls.push(Call { client, key: 0, op, called, answer });
        }
        accepted(&calls);
        // An early one: to find that nothing explains it, the search tries everything.
        let read = calls.iter().position(|call| matches!(call.answer, Some((_, Answer::Value(_)))));
        if let Some((_, answer)) = read.and_then(|read| calls[read].answer.as_mut()) {
            *answer = Answer::Value(Some(1_000_000));
        }
        assert_eq!(matches!(check_key(&calls), Verdict::Impossible { .. }), read.is_some());
    }
}
