//! One run: the same steps on two fresh servers.

use super::answer::Answer;
use super::op::{Op, short};
use super::side::{Bearings, Side};
use super::watches::Seen;
use crate::harness::{PATIENCE, Program, Server};
use kvd::api::proto::etcdserverpb::RangeRequest;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// The two programs that are compared.
pub struct Pair {
    pub reference: Program,
    pub subject: Program,
}

/// The first difference between two servers.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Index of the step.
    pub step: usize,
    /// The last steps before it, as text.
    before: Vec<String>,
    what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.before {
            writeln!(f, "  {line}")?;
        }
        f.write_str(&self.what)
    }
}

impl Pair {
    /// Runs the steps; an error is the first difference.
    pub async fn run(&self, steps: &[Op]) -> Result<(), Difference> {
        let (reference, subject) = tokio::join!(Server::of(&self.reference), Server::of(&self.subject));
        let mut run = Run {
            reference: Side::new(reference).await,
            subject: Side::new(subject).await,
            bearings: Bearings { current: 1, compactions: Vec::new() },
        };
        for (step, op) in steps.iter().enumerate() {
            if let Err(what) = run.step(op).await {
                if run.reference_is_broken().await {
                    eprintln!("the reference died at step {step}: {}", short(&format!("{op:?}")));
                    return Ok(());
                }
                let shown = &steps[step.saturating_sub(40)..=step];
                let before = shown.iter().map(|op| short(&format!("{op:?}"))).collect();
                return Err(Difference { step, before, what });
            }
        }
        Ok(())
    }
}

struct Run {
    reference: Side,
    subject: Side,
    bearings: Bearings,
}

impl Run {
    /// True if the reference has died, or does so as soon as all its keys are read. etcd panics if a transaction puts a
    /// key with `ignore_lease` or `ignore_value` after deleting it. If one deletes everything from a key on and puts a key
    /// there, a compaction at its revision removes that version too: hashes lack it, and whoever reads it ends etcd.
    async fn reference_is_broken(&mut self) -> bool {
        let all = RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..Default::default() };
        match self.reference.run(&Op::Range(all)).await {
            Answer::Refused(..) | Answer::Nothing => self.reference.has_died().await,
            _ => false,
        }
    }

    async fn step(&mut self, op: &Op) -> Result<(), String> {
        if op.needs_settled_watchers() {
            self.settle().await?;
        }
        // A compaction removes the previous values from events that etcd has not sent yet.
        if matches!(op, Op::Settle | Op::Restart | Op::Compact(_)) {
            self.compare_watchers().await?;
        }
        let asked = self.reference.resolve(op, &self.bearings);
        let asked_subject = self.subject.resolve(op, &self.bearings);
        let (expected, got) = tokio::join!(self.reference.run(&asked), self.subject.run(&asked_subject));
        if expected != got {
            return Err(unequal(&asked, &expected, &got));
        }
        if let Some(revision) = expected.revision() {
            self.bearings.current = revision;
        }
        if let (Op::Compact(request), Answer::Compact(_)) = (&asked, &expected) {
            self.bearings.compactions.push(request.revision);
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), String> {
        let revision = self.bearings.current;
        let (reference, subject) =
            tokio::join!(self.reference.watches.settle(revision), self.subject.watches.settle(revision));
        reference.map_err(|what| format!("reference: {what}"))?;
        subject.map_err(|what| format!("subject: {what}"))
    }

    /// Waits until both sides' watchers have seen the same.
    async fn compare_watchers(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let (expected, broken) = self.reference.watches.stories();
            if let Some(promise) = broken.first() {
                return Err(format!("the reference broke a promise: {promise}"));
            }
            let (got, broken) = self.subject.watches.stories();
            if let Some(promise) = broken.first() {
                return Err(format!("a promise was broken: {promise}"));
            }
            if self.subject.server.is_kvd()
                && let Some(promise) = self.subject.watches.turned_back()
            {
                return Err(format!("time went back on a watch stream: {promise}"));
            }
            if expected == got {
                return Ok(());
            }
            if start.elapsed() > PATIENCE / 6 {
                return Err(unequal_stories(&expected, &got));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn unequal(asked: &Op, expected: &Answer, got: &Answer) -> String {
    format!(
        "asked    {}\nexpected {}\ngot      {}",
        short(&format!("{asked:?}")),
        short(&format!("{expected:?}")),
        short(&format!("{got:?}"))
    )
}

type Stories = BTreeMap<(usize, i64), Vec<Seen>>;

fn unequal_stories(expected: &Stories, got: &Stories) -> String {
    let none = Vec::new();
    let mut text = String::from("watchers saw different things\n");
    for watcher in expected.keys().chain(got.keys()) {
        let expected = expected.get(watcher).unwrap_or(&none);
        let got = got.get(watcher).unwrap_or(&none);
        if expected == got {
            continue;
        }
        let common = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
        text.push_str(&format!("stream {} watcher {}, after {common} equal:\n", watcher.0, watcher.1));
        let line =
            |seen: Option<&Seen>| short(&seen.map_or("nothing".to_owned(), |seen| format!("{seen:?}")));
        text.push_str(&format!("expected {}\n", line(expected.get(common))));
        text.push_str(&format!("got      {}\n", line(got.get(common))));
        break;
    }
    text
}
