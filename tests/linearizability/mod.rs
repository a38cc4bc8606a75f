//! Is what clients saw of a register explained by one order of their calls?
//!
//! - [`Call`] and [`History`] are what was seen; [`check`] judges each key for itself, which is enough: a history is
//!   linearizable where the history of each of its objects is (Herlihy and Wing 1990)
//! - `search` is the search of Wing and Gong (1993) as Lowe (2017) sped it up: call and return of each operation stand in
//!   a linked list by time, operations are lifted out in some order that the register allows, and no set of operations is
//!   tried twice with the same value
//!
//! A call whose answer never came may have happened at any time after it, or not at all: it returns at the end of time,
//! where whatever it did no longer contradicts anybody.

mod search;

use std::fmt;

pub use search::{Verdict, check_key};

/// A value: every put of a history is given another one.
pub type Value = u64;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The value.
    Get,
    /// To have this value.
    Put(Value),
    /// To have none.
    Delete,
    /// To have another value if it has this one.
    Swap {
        /// What it is to have.
        expected: Option<Value>,
        /// What it then gets.
        new: Value,
    },
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The value.
    Value(Option<Value>),
    /// It was put.
    Put,
    /// It is gone; whether it was there.
    Deleted(bool),
    /// Whether it was swapped.
    Swapped(bool),
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who called, for the reader.
    pub client: usize,
    /// The register.
    pub key: usize,
    /// What was asked.
    pub op: Op,
    /// When, on one clock for all.
    pub called: u64,
    /// When it was answered, and what; `None` where it was not.
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

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct History(pub Vec<Call>);

impl History {
    /// Leaves out what was not answered and, as the values that ever came to be show, was not done either. It explains
    /// nothing, and every such call would double what the search has to try.
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
    /// The calls of the first key that no order explains (or none was found for within the search's bound), around the
    /// place where the search got stuck.
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

/// The calls around one of them, in order of their time.
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
