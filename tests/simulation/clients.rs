//! Clients: one call at a time each, at any member; their record goes into the history.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kvd::model::{
    Command, Compare, CompareOp, CompareTarget, Delete, KeyRange, Op as StoreOp, OpReply, Put, Refusal,
    Reply, Txn,
};
use parking_lot::Mutex;
use tokio::sync::watch as signal;

use super::dice::Dice;
use super::linearizability::{Answer, Call, History, Op, Value};
use super::world::{Process, World};

/// A call, and the revision of its answer.
#[derive(Clone, Debug)]
pub struct Revised {
    pub call: Call,
    /// The store's revision in the answer.
    pub revision: i64,
    /// True if it changed something, at that revision.
    pub changed: bool,
}

/// The record of all clients. Clones share it.
#[derive(Clone, Default)]
pub struct Record(Arc<Recorded>);

#[derive(Default)]
struct Recorded {
    time: AtomicU64,
    values: AtomicU64,
    calls: Mutex<Vec<Call>>,
    revised: Mutex<Vec<Revised>>,
}

impl Record {
    fn now(&self) -> u64 {
        self.0.time.fetch_add(1, Ordering::Relaxed)
    }

    /// A value that no other put uses.
    fn value(&self) -> Value {
        self.0.values.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn history(&self) -> History {
        History(self.0.calls.lock().clone())
    }

    /// The calls that were answered.
    pub fn revised(&self) -> Vec<Revised> {
        self.0.revised.lock().clone()
    }
}

pub fn key_name(key: usize) -> Bytes {
    Bytes::from(format!("k/{key}"))
}

/// A value of some length.
pub fn text(value: Value) -> Bytes {
    Bytes::from(format!("{value}:{}", "x".repeat((value % 97) as usize)))
}

pub fn number(text: &[u8]) -> Option<Value> {
    let digits = text.split(|byte| *byte == b':').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The command for an operation that changes something.
fn command(key: usize, op: Op) -> Option<Command> {
    let name = key_name(key);
    let put = |value| Put { key: name.clone(), value: text(value), ..Put::default() };
    match op {
        Op::Get => None,
        Op::Put(value) => Some(Command::Put(put(value))),
        Op::Delete => Some(Command::Delete(Delete { range: KeyRange::single(name), prev_kv: false })),
        Op::Swap { expected, new } => {
            let target = match expected {
                Some(value) => CompareTarget::Value(text(value)),
                None => CompareTarget::Create(0),
            };
            let guard = Compare { range: KeyRange::single(name.clone()), op: CompareOp::Equal, target };
            let success = vec![StoreOp::Put(put(new))];
            Some(Command::Txn(Txn { compares: vec![guard], success, failure: Vec::new() }))
        }
    }
}

/// The answer, its revision, and whether it changed anything.
type Answered = (Answer, i64, bool);

fn understood(reply: Reply) -> Answered {
    match reply {
        Reply::Op(OpReply::Put { revision, .. }) => (Answer::Put, revision, true),
        Reply::Op(OpReply::Delete { revision, deleted, .. }) => {
            (Answer::Deleted(deleted > 0), revision, deleted > 0)
        }
        Reply::Op(OpReply::Txn { revision, succeeded, .. }) => {
            (Answer::Swapped(succeeded), revision, succeeded)
        }
        other => panic!("an answer to something else: {other:?}"),
    }
}

async fn ask(process: &Process, key: usize, op: Op) -> Result<Answered, Refusal> {
    match command(key, op) {
        Some(command) => process.node.propose(process.root(), command).await.map(understood),
        None => {
            process.node.read_index().await?;
            let revision = process.store.revision();
            let found = process.store.get(&key_name(key))?;
            let value = found.map(|kv| number(&kv.value).expect("a value of ours"));
            Ok((Answer::Value(value), revision, false))
        }
    }
}

/// True if a refusal means for certain that nothing was done.
fn nothing_done(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::TooManyRequests
            | Refusal::NoLeader
            | Refusal::NotSupportedForLearner
            | Refusal::UserEmpty
            | Refusal::AuthOldRevision
    )
}

/// A client that works until it is stopped.
pub async fn run(
    client: usize,
    world: World,
    record: Record,
    mut dice: Dice,
    keys: usize,
    stop: signal::Receiver<bool>,
) {
    let mut last_seen: Vec<Option<Value>> = vec![None; keys];
    while !*stop.borrow() {
        tokio::time::sleep(Duration::from_micros(dice.within(0, 70_000) as u64)).await;
        let running = world.serving();
        if running.is_empty() {
            continue;
        }
        let process = &running[dice.below(running.len())];
        let key = dice.below(keys);
        let op = match dice.weighted(&[35, 35, 20, 10]) {
            0 => Op::Get,
            1 => Op::Put(record.value()),
            2 => Op::Swap { expected: last_seen[key], new: record.value() },
            _ => Op::Delete,
        };
        let called = record.now();
        let answered = process.unless_it_crashes(ask(process, key, op)).await;
        let returned = record.now();
        let mut call = Call { client, key, op, called, answer: None };
        match answered {
            Some(Ok((answer, revision, changed))) => {
                call.answer = Some((returned, answer));
                last_seen[key] = match (op, answer) {
                    (_, Answer::Value(value)) => value,
                    (Op::Put(value), _) | (Op::Swap { new: value, .. }, Answer::Swapped(true)) => Some(value),
                    _ => None,
                };
                let note =
                    format!("client {client} at {}: key {key} {op:?} -> {answer:?}, {revision}", process.id);
                world.journal().note(note);
                record.0.revised.lock().push(Revised { call: call.clone(), revision, changed });
            }
            Some(Err(refusal)) => {
                world
                    .journal()
                    .note(format!("client {client} at {}: key {key} {op:?} -> {refusal}", process.id));
                if nothing_done(&refusal) {
                    continue;
                }
            }
            None => {
                world
                    .journal()
                    .note(format!("client {client} at {}: key {key} {op:?} -> crashed", process.id));
            }
        }
        record.0.calls.lock().push(call);
    }
}
