//! Range queries: limits, counts, filters, sorting (etcd semantics section 2).

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use super::read::{Found, Hold, ScanError, Step, scan};
use super::records::Value;
use super::revision::Revision;
use crate::model::{Budget, KeyRange, KeyValue, RangeQuery, RangeResult, Refusal, Sort, SortTarget};
use crate::store::StoreError;
use crate::store::core::Reader;

/// Values up to this length are copied into a buffer that the results of a chunk share.
const SHARED_VALUE: usize = 4 << 10;

/// A shared buffer is closed, and the scan pauses, at this length.
const BUFFER: usize = 512 << 10;

/// A buffer, or a single value, takes room from this length on. The rest is small, whatever the number of reads at a time.
const WORTH_COUNTING: usize = 64 << 10;

/// What a result costs in addition to its key and its value, in bytes.
const RESULT: usize = size_of::<KeyValue>();

/// Runs a query at `at`; `revision` is the one in the answer.
pub(in crate::store) fn run(
    reader: &mut Reader<'_>,
    hold: Hold,
    query: &RangeQuery,
    at: Revision,
    revision: i64,
) -> Result<RangeResult, ScanError> {
    answer(reader, hold, query, at, revision, None)
}

/// As [`run`], but keys beyond the limit, and beyond `bytes` bytes, are not counted: the count is only right if `more` is
/// false.
pub(in crate::store) fn page(
    reader: &mut Reader<'_>,
    hold: Hold,
    query: &RangeQuery,
    at: Revision,
    revision: i64,
    bytes: usize,
) -> Result<RangeResult, ScanError> {
    answer(reader, hold, query, at, revision, Some(bytes))
}

/// The live keys of a range with everything but their values.
pub(in crate::store) fn states(
    reader: &mut Reader<'_>,
    hold: Hold,
    range: &KeyRange,
    at: Revision,
) -> Result<Vec<KeyValue>, ScanError> {
    let all = Wanted { keep: usize::MAX, bytes: usize::MAX, values: false, beyond: Step::Go };
    Ok(collect(reader, hold, range, at, all)?.kvs)
}

fn answer(
    reader: &mut Reader<'_>,
    hold: Hold,
    query: &RangeQuery,
    at: Revision,
    revision: i64,
    bytes: Option<usize>,
) -> Result<RangeResult, ScanError> {
    let everything = !query.sort.is_key_order() || !query.bounds.is_unbounded();
    let limit = usize::try_from(query.limit).ok().filter(|limit| *limit > 0);
    let keep = match limit {
        _ if query.count_only => 0,
        Some(limit) if !everything => limit,
        Some(limit) if query.sort.after_limit && query.bounds.is_unbounded() => limit.saturating_add(1),
        _ => usize::MAX,
    };
    let values = !query.keys_only || query.sort.target == SortTarget::Value;
    let mut found = if let Some(key) = query.range.as_single() {
        one(reader, key, at, keep)?
    } else {
        let beyond = if bytes.is_none() { Step::Go } else { Step::Stop };
        let bytes = bytes.unwrap_or(usize::MAX);
        collect(reader, hold, &query.range, at, Wanted { keep, bytes, values, beyond })?
    };
    let mut more = found.count > found.kvs.len() as i64 && !query.count_only;
    if everything && !query.count_only {
        found.kvs.retain(|kv| query.bounds.admit(kv.create_revision, kv.mod_revision));
        sort(&mut found.kvs, query.sort);
        more = limit.is_some_and(|limit| found.kvs.len() > limit);
        found.kvs.truncate(limit.unwrap_or(usize::MAX));
    }
    if query.keys_only {
        for kv in &mut found.kvs {
            kv.value = Bytes::new();
            if query.sort.target != SortTarget::Value {
                kv.lease = 0;
            }
        }
    }
    Ok(RangeResult { revision, kvs: found.kvs, more, count: found.count })
}

/// What a scan collects.
struct Wanted {
    /// Most keys.
    keep: usize,
    /// The bytes after which no further key is kept.
    bytes: usize,
    /// Their values, too.
    values: bool,
    /// What to do at a key above that.
    beyond: Step,
}

/// The keys found; the first `keep` of them completely.
struct Collected {
    kvs: Vec<KeyValue>,
    count: i64,
}

fn one(reader: &Reader<'_>, key: &Bytes, at: Revision, keep: usize) -> Result<Collected, ScanError> {
    let version = reader.get(key, at)?;
    let mut kv = version.and_then(|version| version.to_kv(key.clone()));
    if let (Some(kv), Some(room), 1..) = (&mut kv, reader.room(), keep)
        && kv.value.len() >= WORTH_COUNTING
    {
        kv.value = room.take(kv.value.len())?.by(std::mem::take(&mut kv.value));
    }
    let count = i64::from(kv.is_some());
    Ok(Collected { kvs: kv.into_iter().take(keep).collect(), count })
}

fn collect(
    reader: &mut Reader<'_>,
    hold: Hold,
    range: &KeyRange,
    at: Revision,
    wanted: Wanted,
) -> Result<Collected, ScanError> {
    let Wanted { keep, bytes, values, beyond } = wanted;
    let room = reader.room();
    let mut collector =
        Collector { kvs: Vec::new(), buffer: Vec::new(), parts: Vec::new(), values, size: 0, room };
    let mut count = 0;
    let mut refused = None;
    // Chunked values are fetched between two chunks of the scan, through the same reader.
    let tables = reader.tables.clone();
    let mut large = Vec::new();
    scan(reader, hold, range, at, &mut |found| {
        count += 1;
        if collector.len() >= keep || collector.size >= bytes {
            return Ok(beyond);
        }
        if let Found::Disk(_, at, live) = &found
            && values
            && matches!(live.value, Value::Chunked { .. })
        {
            let length = owned_len(live.value);
            collector.size = collector.size.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            large.push((collector.len(), *at, length));
        }
        Ok(match collector.add(found) {
            Ok(false) => Step::Go,
            Ok(true) => Step::Pause,
            Err(refusal) => {
                refused = Some(refusal);
                Step::Stop
            }
        })
    })?;
    if let Some(refusal) = refused {
        return Err(refusal.into());
    }
    collector.close()?;
    for (index, at, len) in large {
        // The value of a version that was live at `at` exists as long as the version; if a compaction removed it in the
        // meantime, the whole query is run again.
        let held = room.map(|room| room.take(usize::try_from(len).unwrap_or(usize::MAX))).transpose()?;
        let txn = &reader.disk().txn;
        match tables.value(txn, at, Value::Chunked { len }) {
            Ok(value) => {
                collector.kvs[index].value = match held {
                    Some(held) => held.by(value),
                    None => value,
                }
            }
            Err(StoreError::Damaged(_)) if hold == Hold::Chunk => return Err(ScanError::Overtaken),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Collected { kvs: collector.kvs, count })
}

/// The length of a value.
pub(in crate::store) fn owned_len(value: Value<'_>) -> u64 {
    match value {
        Value::Inline(value) => value.len() as u64,
        Value::Chunked { len } => len,
    }
}

/// Turns the keys that a scan finds into results. Small values and the keys of LMDB are copied into a buffer that many
/// results share: one allocation for hundreds of keys instead of two for each.
struct Collector<'s> {
    kvs: Vec<KeyValue>,
    buffer: Vec<u8>,
    /// Result, offset of its key in the buffer, length of the key, length of the value behind it.
    parts: Vec<(usize, usize, usize, usize)>,
    values: bool,
    /// Bytes of all keys and values so far.
    size: usize,
    room: Option<&'s Arc<Budget>>,
}

impl Collector<'_> {
    fn len(&self) -> usize {
        self.kvs.len()
    }

    /// Adds a result; true if the buffer is full, so that the scan should pause.
    ///
    /// # Errors
    /// [`Refusal::AnswersUnread`] without room for it; [`Refusal::MessageTooLong`] if there never is so much.
    fn add(&mut self, found: Found<'_>) -> Result<bool, Refusal> {
        let (at, create, version, lease) = match &found {
            Found::Head(_, at, live) => (*at, live.create, live.version, live.lease),
            Found::Disk(_, at, live) => (*at, live.create, live.version, live.lease),
        };
        let mut kv = KeyValue {
            key: Bytes::new(),
            create_revision: create,
            mod_revision: at.main,
            version,
            value: Bytes::new(),
            lease,
        };
        match found {
            Found::Head(key, _, live) => {
                kv.key = key.clone();
                if self.values {
                    kv.value = live.value.clone();
                }
                self.size += kv.key.len() + kv.value.len();
            }
            Found::Disk(key, _, live) => {
                let value = match live.value {
                    Value::Inline(value) if self.values => value,
                    _ => &[],
                };
                let offset = self.buffer.len();
                self.buffer.extend_from_slice(key);
                let shared = if value.len() <= SHARED_VALUE { value } else { &[] };
                if shared.len() < value.len() {
                    kv.value = match self.room {
                        Some(room) => room.take(value.len())?.by(value.to_vec()),
                        None => Bytes::copy_from_slice(value),
                    };
                }
                self.size += key.len() + value.len();
                self.buffer.extend_from_slice(shared);
                self.parts.push((self.kvs.len(), offset, key.len(), shared.len()));
            }
        }
        self.kvs.push(kv);
        if let Some(room) = self.room {
            room.admit(self.size)?;
        }
        let full = self.buffer.len() >= BUFFER;
        if full {
            self.close()?;
        }
        Ok(full)
    }

    /// Closes the buffer, and gives the results their parts of it.
    fn close(&mut self) -> Result<(), Refusal> {
        let buffer = std::mem::take(&mut self.buffer);
        let cost = buffer.len() + self.parts.len() * RESULT;
        let buffer = match self.room {
            Some(room) if cost >= WORTH_COUNTING => room.take(cost)?.by(buffer),
            _ => Bytes::from(buffer),
        };
        for (index, offset, key, value) in self.parts.drain(..) {
            let kv = &mut self.kvs[index];
            let end = offset + key;
            kv.key = buffer.slice(offset..end);
            if value > 0 {
                kv.value = buffer.slice(end..end + value);
            }
        }
        Ok(())
    }
}

/// Sorts as requested; ties keep key order.
fn sort(kvs: &mut [KeyValue], sort: Sort) {
    let order = |a: &KeyValue, b: &KeyValue| -> Ordering {
        match sort.target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        }
    };
    if sort.descending {
        kvs.sort_by(|a, b| order(b, a));
    } else {
        kvs.sort_by(order);
    }
}
