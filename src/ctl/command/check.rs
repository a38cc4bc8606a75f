//! `kvctl check`: etcdctl's loads, limits and texts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::Instant;
use tonic::Status;

use crate::api::proto::etcdserverpb::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, PutRequest, RangeRequest,
};
use crate::client::{page, text};
use crate::ctl::arguments::{Check, CheckKind, Load};
use crate::ctl::client::Client;
use crate::ctl::failure::{ERROR, Failure, INVALID_INPUT};
use crate::ctl::keys::with_prefix;
use crate::ctl::output::print;
use crate::ctl::progress::Progress;
use crate::ctl::target::Target;

/// How long writes are measured.
const MEASURED: u64 = 60;
/// How long each step of cleaning up may take unless the command line says otherwise. etcdctl gives up after 30 s: on a
/// machine that is loaded by something else, the removal of what a minute has written takes longer.
const CLEANING: Duration = Duration::from_secs(300);
/// A server's line about its memory.
const MEMORY: &str = "process_resident_memory_bytes";

/// Runs a check.
pub(in crate::ctl) async fn run(target: &Target, check: Check) -> Result<(), Failure> {
    if check.prefix.is_empty() {
        let text = "--prefix must not be empty: what others write meanwhile would be deleted at the end";
        return Err(Failure::with_code(INVALID_INPUT, text));
    }
    match check.kind {
        CheckKind::Performance => performance(target, &check).await,
        CheckKind::Scale => scale(target, &check).await,
    }
}

/// Writes a second, and clients, of `check perf`.
fn rate(load: Load) -> (u32, usize) {
    match load {
        Load::Small => (150, 50),
        Load::Medium => (1000, 200),
        Load::Large => (8000, 500),
        Load::ExtraLarge => (15000, 1000),
    }
}

/// Keys, and clients, of `check datascale`.
fn amount(load: Load) -> (u64, usize) {
    match load {
        Load::Small => (10_000, 50),
        Load::Medium => (100_000, 200),
        Load::Large => (1_000_000, 500),
        Load::ExtraLarge => (3_000_000, 1000),
    }
}

async fn performance(target: &Target, check: &Check) -> Result<(), Failure> {
    let (limit, count) = rate(check.load);
    let mut clients = opened(target, count).await?;
    refuse_keys(&mut clients[0], &check.prefix, "'").await?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(MEASURED);
    // No more than the rate: what was missed while all clients were busy is not caught up.
    let (pause, next) = (Duration::from_secs(1) / limit, Cell::new(begun));
    let turn = || {
        let at = next.get().max(Instant::now());
        next.set(at + pause);
        at
    };
    let results = Results::default();
    let progress = Progress::count("seconds", MEASURED);
    let write = |client| {
        let (turn, results, prefix, progress) = (&turn, &results, check.prefix.as_str(), &progress);
        async move {
            let mut client: Client<'_> = client;
            loop {
                let at = turn();
                if at >= end {
                    return client;
                }
                tokio::time::sleep_until(at).await;
                progress.at(begun.elapsed().as_secs());
                results.put(&mut client, random_key(prefix, 256), 1024).await;
            }
        }
    };
    let mut clients = until_interrupted(join_all(clients.into_iter().map(write))).await;
    let took = begun.elapsed();
    drop(progress);
    let client = match clients.as_mut().and_then(|clients| clients.first_mut()) {
        Some(client) => client,
        None => &mut Client::open(target).await?,
    };
    let cleaned = clean_up(client, target, check, true).await;
    // What was measured is printed in any case.
    let is_good = results.tell(took, limit);
    print(if is_good { "PASS\n" } else { "FAIL\n" });
    cleaned?;
    if is_good { Ok(()) } else { Err(Failure::silent(ERROR)) }
}

async fn scale(target: &Target, check: &Check) -> Result<(), Failure> {
    let (limit, count) = amount(check.load);
    let mut clients = opened(target, count).await?;
    refuse_keys(&mut clients[0], &check.prefix, "").await?;
    let endpoint = target.endpoints.first().cloned().unwrap_or_default();
    let before = memory(target, &endpoint, "before").await?;
    print(&format!(
        "Start data scale check for work load [{limit} key-value pairs, 1024 bytes per key-value, {count} concurrent \
         clients].\n"
    ));
    let (done, results) = (Cell::new(0_u64), Results::default());
    let progress = Progress::count("keys", limit);
    let write = |client| {
        let (done, results, prefix, progress) = (&done, &results, check.prefix.as_str(), &progress);
        async move {
            let mut client: Client<'_> = client;
            while done.get() < limit {
                done.set(done.get() + 1);
                progress.at(done.get());
                results.put(&mut client, random_key(prefix, 512), 512).await;
            }
            client
        }
    };
    let mut clients = join_all(clients.into_iter().map(write)).await;
    drop(progress);
    let after = memory(target, &endpoint, "after").await?;
    clean_up(&mut clients[0], target, check, false).await?;
    let failed = results.tell_errors();
    if failed {
        return Err(Failure::silent(ERROR));
    }
    let used = (after - before) / (1024.0 * 1024.0);
    print(&format!("PASS: Approximate system memory used : {used:.2} MB.\n"));
    Ok(())
}

/// So many clients, each with a connection of its own.
async fn opened(target: &Target, count: usize) -> Result<Vec<Client<'_>>, Failure> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(Client::open(target).await?);
    }
    Ok(clients)
}

/// What was there before would be deleted at the end.
async fn refuse_keys(client: &mut Client<'_>, prefix: &str, quote: &str) -> Result<(), Failure> {
    let (key, range_end) = below(prefix);
    let request = RangeRequest { key, range_end, limit: 1, ..RangeRequest::default() };
    let answer = client.ask(async |to| to.kv.range(request.clone()).await).await.map_err(failed)?;
    if answer.kvs.is_empty() {
        return Ok(());
    }
    let text =
        format!("prefix {prefix:?} has keys. Delete with {quote}etcdctl del --prefix {prefix}{quote} first");
    Err(Failure::with_code(INVALID_INPUT, text))
}

/// The range of everything below a prefix.
fn below(prefix: &str) -> (Bytes, Bytes) {
    let (key, end) = with_prefix(prefix.as_bytes().to_vec());
    (key.into(), end.into())
}

/// A number in so many bytes, behind the prefix.
fn random_key(prefix: &str, length: usize) -> Bytes {
    let mut key = vec![0; prefix.len() + length];
    key[..prefix.len()].copy_from_slice(prefix.as_bytes());
    let mut number = rand::random::<u64>();
    for byte in key[prefix.len()..].iter_mut().take(10) {
        *byte = number as u8 | 0x80;
        number >>= 7;
    }
    key.into()
}

fn failed(status: Status) -> Failure {
    Failure::error(text(&status))
}

/// The outcome, or nothing if somebody interrupts it: what was written is cleaned up then.
async fn until_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = tokio::signal::ctrl_c() => None,
    }
}

/// Deletes the keys. `check perf` goes on if that fails.
async fn clean_up(
    client: &mut Client<'_>,
    target: &Target,
    check: &Check,
    goes_on: bool,
) -> Result<(), Failure> {
    let limit = target.snapshot_timeout.unwrap_or(CLEANING);
    let (key, range_end) = below(&check.prefix);
    let request = DeleteRangeRequest { key, range_end, prev_kv: false };
    let deleted = client.ask_within(limit, async |to| to.kv.delete_range(request.clone()).await).await;
    let revision = match deleted {
        Ok(answer) => answer.header.map_or(0, |header| header.revision),
        Err(status) if goes_on => {
            let error = text(&status);
            print(&format!("FAIL: Cleanup failed during key deletion: ERROR({error})\n"));
            return Ok(());
        }
        Err(status) => return Err(failed(status)),
    };
    if check.compact {
        print(&format!("Compacting with revision {revision}\n"));
        let request = CompactionRequest { revision, physical: true };
        client.ask_within(limit, async |to| to.kv.compact(request).await).await.map_err(failed)?;
        print(&format!("Compacted with revision {revision}\n"));
    }
    for endpoint in target.endpoints.iter().filter(|_| check.defragment) {
        print(&format!("Defragmenting {endpoint:?}\n"));
        let mut client = Client::at(target, endpoint).await.map_err(|broken| broken.failure())?;
        let asked =
            client.ask_within(limit, async |to| to.maintenance.defragment(DefragmentRequest {}).await);
        asked.await.map_err(failed)?;
        print(&format!("Defragmented {endpoint:?}\n"));
    }
    Ok(())
}

/// The memory that the server says it takes, in bytes.
async fn memory(target: &Target, endpoint: &str, when: &str) -> Result<f64, Failure> {
    let found = page(&target.reach, endpoint, "/metrics", target.command_timeout).await;
    let found = found.map_err(|error| format!("fetch error: {error}")).and_then(|page| {
        let mut lines = page.lines().filter_map(|line| line.strip_prefix(MEMORY));
        let value = lines.next().ok_or_else(|| format!("could not find: {MEMORY}"))?;
        value.trim().parse::<f64>().map_err(|error| format!("parse error: {error}"))
    });
    found.map_err(|error| {
        print(&format!("{error}\nFAIL: Could not read {MEMORY} {when} the put operations.\n"));
        Failure::silent(ERROR)
    })
}

/// What has become of the writes.
#[derive(Default)]
struct Results {
    /// Seconds of each one that went well.
    took: RefCell<Vec<f64>>,
    /// How often each error came.
    errors: RefCell<BTreeMap<String, u64>>,
}

impl Results {
    async fn put(&self, client: &mut Client<'_>, key: Bytes, value: usize) {
        let request = PutRequest { key, value: vec![0; value].into(), ..PutRequest::default() };
        let begun = Instant::now();
        match client.ask_forever(async |to| to.kv.put(request.clone()).await).await {
            Ok(_) => self.took.borrow_mut().push(begun.elapsed().as_secs_f64()),
            Err(status) => *self.errors.borrow_mut().entry(text(&status)).or_default() += 1,
        }
    }

    /// Prints the errors, if there are any.
    fn tell_errors(&self) -> bool {
        let errors = self.errors.borrow();
        if !errors.is_empty() {
            print("FAIL: too many errors\n");
        }
        for (error, count) in errors.iter() {
            print(&format!("FAIL: ERROR({error}) -> {count}\n"));
        }
        !errors.is_empty()
    }

    /// Prints the judgement; true if all is well.
    fn tell(&self, took: Duration, limit: u32) -> bool {
        let failed = self.tell_errors();
        let (lines, is_good) = judgement(&self.took.borrow(), took.as_secs_f64(), limit);
        print(&lines);
        is_good && !failed
    }
}

/// etcdctl's lines about writes that took so many seconds each, and `total` together.
fn judgement(took: &[f64], total: f64, limit: u32) -> (String, bool) {
    let count = took.len() as f64;
    let rate = count / total;
    let slowest = took.iter().copied().fold(0.0, f64::max);
    let average = took.iter().sum::<f64>() / count;
    let deviation = (took.iter().map(|one| (average - one).powi(2)).sum::<f64>() / count).sqrt();
    let shown = rate as u64 + 1;
    let (is_fast, is_quick, is_even) =
        (rate / f64::from(limit) > 0.9, slowest <= 0.5, deviation <= 0.1 || deviation.is_nan());
    let mut lines = match is_fast {
        true => format!("PASS: Throughput is {shown} writes/s\n"),
        false => format!("FAIL: Throughput too low: {shown} writes/s\n"),
    };
    lines += &match is_quick {
        true => format!("PASS: Slowest request took {slowest:.6}s\n"),
        false => format!("Slowest request took too long: {slowest:.6}s\n"),
    };
    lines += &match is_even {
        true => format!("PASS: Stddev is {deviation:.6}s\n"),
        false => format!("Stddev too high: {deviation:.6}s\n"),
    };
    (lines, is_fast && is_quick && is_even)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_judged_with_etcdctls_limits_and_texts() {
        let (lines, is_good) = judgement(&[0.001, 0.003], 2.0 / 150.0, 150);
        let expected = "PASS: Throughput is 151 writes/s\nPASS: Slowest request took 0.003000s\n\
                        PASS: Stddev is 0.001000s\n";
        assert_eq!((lines.as_str(), is_good), (expected, true));
        let (lines, is_good) = judgement(&[0.1, 0.7], 2.0 / 135.0, 150);
        let expected = "FAIL: Throughput too low: 136 writes/s\nSlowest request took too long: 0.700000s\n\
                        Stddev too high: 0.300000s\n";
        assert_eq!((lines.as_str(), is_good), (expected, false));
    }

    #[test]
    fn keys_differ_and_have_their_length() {
        let keys = [random_key("/p/", 256), random_key("/p/", 256)];
        assert!(keys.iter().all(|key| key.len() == 259 && key.starts_with(b"/p/")));
        assert_ne!(keys[0], keys[1]);
        assert_eq!(below(""), ("\0".into(), "\0".into()));
        assert_eq!(below("/p/"), ("/p/".into(), "/p0".into()));
    }
}
