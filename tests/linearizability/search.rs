//! The search for an order.

use std::collections::HashSet;

use super::{Answer, Call, Op, Value};

/// The result of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order.
    Linearizable,
    /// There is none: whatever the order of the calls before, the answer of this one does not fit.
    Impossible {
        /// Its index in the list.
        stuck: usize,
    },
    /// The limit was reached.
    Undecided,
}

/// Most steps of one search: some seconds.
const STEPS: usize = 5_000_000;

/// The value after an operation; `None` if the register would have given another answer.
fn step(value: Option<Value>, call: &Call) -> Option<Option<Value>> {
    let answer = call.answer.map(|(_, answer)| answer);
    let (after, fits) = match call.op {
        Op::Get => (value, answer.is_none_or(|answer| answer == Answer::Value(value))),
        Op::Put(new) => (Some(new), answer.is_none_or(|answer| answer == Answer::Put)),
        Op::Delete => (None, answer.is_none_or(|answer| answer == Answer::Deleted(value.is_some()))),
        Op::Swap { expected, new } => {
            let swapped = value == expected;
            let after = if swapped { Some(new) } else { value };
            (after, answer.is_none_or(|answer| answer == Answer::Swapped(swapped)))
        }
    };
    fits.then_some(after)
}

/// Calls and returns by time, as a doubly linked list from which entries can be removed and put back.
struct Timeline {
    entries: Vec<Entry>,
}

struct Entry {
    call: usize,
    /// The entry of its return, if this is a call.
    returns: Option<usize>,
    before: usize,
    after: usize,
}

/// The entry before the first and after the last one.
const HEAD: usize = 0;

impl Timeline {
    fn new(calls: &[Call]) -> Self {
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(calls.len() * 2);
        for (index, call) in calls.iter().enumerate() {
            events.push((call.called, false, index));
            events.push((call.answer.map_or(u64::MAX, |(returned, _)| returned), true, index));
        }
        // At the same time calls come before returns: they overlap.
        events.sort_unstable();
        let count = events.len();
        let mut entries = vec![Entry { call: usize::MAX, returns: None, before: count, after: 1.min(count) }];
        let mut call_entries = vec![0; calls.len()];
        for (place, (_, is_return, call)) in (1..).zip(&events) {
            if *is_return {
                entries[call_entries[*call]].returns = Some(place);
            } else {
                call_entries[*call] = place;
            }
            let after = if place == count { HEAD } else { place + 1 };
            entries.push(Entry { call: *call, returns: None, before: place - 1, after });
        }
        Self { entries }
    }

    fn unlink(&mut self, place: usize) {
        let (before, after) = (self.entries[place].before, self.entries[place].after);
        self.entries[before].after = after;
        self.entries[after].before = before;
    }

    fn relink(&mut self, place: usize) {
        let (before, after) = (self.entries[place].before, self.entries[place].after);
        self.entries[before].after = place;
        self.entries[after].before = place;
    }

    /// Removes a call and its return.
    fn lift(&mut self, place: usize) {
        self.unlink(place);
        if let Some(returns) = self.entries[place].returns {
            self.unlink(returns);
        }
    }

    /// Puts back the last entry that [`Timeline::lift`] removed.
    fn put_back(&mut self, place: usize) {
        if let Some(returns) = self.entries[place].returns {
            self.relink(returns);
        }
        self.relink(place);
    }
}

/// Judges the calls of one key, which has no value before them.
pub fn check_key(calls: &[Call]) -> Verdict {
    let calls_that_say_something = |call: &&Call| call.op != Op::Get || call.answer.is_some();
    let said: Vec<Call> = calls.iter().filter(calls_that_say_something).cloned().collect();
    match search(&said) {
        Verdict::Impossible { stuck } => {
            let stuck = calls.iter().position(|call| *call == said[stuck]).unwrap_or(0);
            Verdict::Impossible { stuck }
        }
        verdict => verdict,
    }
}

fn search(calls: &[Call]) -> Verdict {
    let mut timeline = Timeline::new(calls);
    let mut done = vec![0u64; calls.len().div_ceil(64)];
    let mut seen: HashSet<(Box<[u64]>, Option<Value>)> = HashSet::new();
    let mut order: Vec<(usize, Option<Value>)> = Vec::new();
    let mut value = None;
    let mut place = timeline.entries[HEAD].after;
    let (mut furthest, mut stuck) = (0, 0);
    for _ in 0..STEPS {
        if timeline.entries[HEAD].after == HEAD {
            return Verdict::Linearizable;
        }
        let call = timeline.entries[place].call;
        if timeline.entries[place].returns.is_some() {
            if let Some(after) = step(value, &calls[call]) {
                done[call / 64] |= 1 << (call % 64);
                if seen.insert((done.clone().into_boxed_slice(), after)) {
                    order.push((place, value));
                    value = after;
                    timeline.lift(place);
                    place = timeline.entries[HEAD].after;
                    continue;
                }
                done[call / 64] &= !(1 << (call % 64));
            }
            place = timeline.entries[place].after;
            continue;
        }
        // The return of a call that is not in the order yet: an earlier choice was wrong.
        if order.len() >= furthest {
            (furthest, stuck) = (order.len(), call);
        }
        let Some((last, before)) = order.pop() else { return Verdict::Impossible { stuck } };
        let call = timeline.entries[last].call;
        done[call / 64] &= !(1 << (call % 64));
        value = before;
        timeline.put_back(last);
        place = timeline.entries[last].after;
    }
    Verdict::Undecided
}
