//! Checks whether the clients' record of a register is explained by one order of their calls.
//!
//! - [`Call`] and [`History`] are the record; [`check`](History::check) judges each key by itself, which is enough: a
//!   history is linearizable if the history of each of its objects is (Herlihy and Wing 1990)
//! - `search` is the search of Wing and Gong (1993) with the improvements of Lowe (2017): call and return of each
//!   operation are in a linked list by time, operations are removed in some order that the register allows, and no set
//!   of operations is tried twice with the same value
//!
//! A call without an answer may have happened at any time after it, or not at all: it returns at the end of time, where
//! its effect no longer contradicts any other call.

mod search;

use std::fmt;

pub use search::{Verdict, check_key};

/// A value: every put of a history has a different one.
pub type Value = u64;

/// The request of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The value.
    Get,
    /// Set this value.
    Put(Value),
    /// Delete the value.
    Delete,
    /// Set another value if the present one is as expected.
    Swap {
        /// The expected value.
        expected: Option<Value>,
        /// The new value.
        new: Value,
    },
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value.
    Value(Option<Value>),
    /// It was put.
    Put,
    /// It was deleted; whether it existed.
    Deleted(bool),
    /// Whether the value was replaced.
    Swapped(bool),
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The client, for the reader.
    pub client: usize,
    /// The register.
    pub key: usize,
    /// The request.
    pub op: Op,
    /// The time of the call, on one clock for all.
    pub called: u64,
    /// The time of the answer, and the answer; `None` if there was none.
    pub answer: Option<(u64, Answer)>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:>10} ", self.called)?;
        match &self.answer {
            Some((returned, answer)) => {
                write!(f, "{returned:>10}] client {}: {:?} -> {answer:?}", self.client, self.op)
            }
            None => write!(f, "{:>10}] client {}: {:?}", "?", self.client, self.op),
        }
    }
}

/// The record of all calls.
#[derive(Clone, Debug, Default)]
pub struct History(pub Vec<Call>);

impl History {
    /// Removes the calls without an answer whose values never appeared, so they were not done. They explain nothing,
    /// and every such call would double the work of the search.
    pub fn without_the_lost(mut self, came_to_be: impl Fn(Value) -> bool) -> Self {
        self.0.retain(|call| match call.op {
            Op::Put(value) | Op::Swap { new: value, .. } => call.answer.is_some() || came_to_be(value),
            Op::Get => call.answer.is_some(),
            Op::Delete => true,
        });
        self
    }

    /// Judges every key.
    ///
    /// # Errors
    /// The calls of the first key that no order explains (or for which none was found within the search's limit),
    /// around the call at which the search got stuck.
    pub fn check(&self) -> Result<(), String> {
        let keys = self.0.iter().map(|call| call.key + 1).max().unwrap_or(0);
        for key in 0..keys {
            let calls: Vec<Call> = self.0.iter().filter(|call| call.key == key).cloned().collect();
            match check_key(&calls) {
                Verdict::Linearizable => {}
                Verdict::Impossible { stuck } => {
                    return Err(format!(
                        "key {key} is not linearizable; no order gets past:\n{}",
                        lines(&calls, stuck)
                    ));
                }
                Verdict::Undecided => {
                    return Err(format!("key {key}: no order was found within the bound of the search"));
                }
            }
        }
        Ok(())
    }
}

/// The calls around one of them, in order of time.
fn lines(calls: &[Call], stuck: usize) -> String {
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(|index| calls[*index].called);
    let at = order.iter().position(|index| *index == stuck).unwrap_or(0);
    let shown = &order[at.saturating_sub(25)..order.len().min(at + 15)];
    let line = |index: &usize| format!("{} {}\n", if *index == stuck { ">" } else { " " }, calls[*index]);
    shown.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
