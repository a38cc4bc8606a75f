//! Range queries: limits, counts, filters, sorting (etcd semantics section 2).

use std::cmp::Ordering;

use bytes::Bytes;

use super::read::{Found, Hold, ScanError, Step, scan};
use super::records::Value;
use super::revision::Revision;
use crate::model::{KeyRange, KeyValue, RangeQuery, RangeResult, Sort, SortTarget};
use crate::store::StoreError;
use crate::store::core::Reader;

/// Values up to this length are copied into a buffer that the results of a chunk share.
const SHARED_VALUE: usize = 4 << 10;

/// A shared buffer is closed, and the scan pauses, at this length.
const BUFFER: usize = 512 << 10;

/// A function that runs a query: [`run`] or [`page`].
pub(in crate::store) type Run =
    fn(&mut Reader<'_>, Hold, &RangeQuery, Revision, i64) -> Result<RangeResult, ScanError>;

/// Runs a query at `at`; `revision` is the one in the answer.
pub(in crate::store) fn run(
    reader: &mut Reader<'_>,
    hold: Hold,
    query: &RangeQuery,
    at: Revision,
    revision: i64,
) -> Result<RangeResult, ScanError> {
    answer(reader, hold, query, at, revision, true)
}

/// As [`run`], but keys beyond the limit are not counted: the count is only right if `more` is false.
pub(in crate::store) fn page(
    reader: &mut Reader<'_>,
    hold: Hold,
    query: &RangeQuery,
    at: Revision,
    revision: i64,
) -> Result<RangeResult, ScanError> {
    answer(reader, hold, query, at, revision, false)
}

fn answer(
    reader: &mut Reader<'_>,
    hold: Hold,
    query: &RangeQuery,
    at: Revision,
    revision: i64,
    counted: bool,
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
        let beyond = if counted { Step::Go } else { Step::Stop };
        collect(reader, hold, &query.range, at, Wanted { keep, values, beyond })?
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

fn one(reader: &Reader<'_>, key: &Bytes, at: Revision, keep: usize) -> Result<Collected, StoreError> {
    let version = reader.get(key, at)?;
    let kv = version.and_then(|version| version.to_kv(key.clone()));
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
    let Wanted { keep, values, beyond } = wanted;
    let mut collector = Collector { kvs: Vec::new(), buffer: Vec::new(), parts: Vec::new(), values };
    let mut count = 0;
    // Chunked values are fetched between two chunks of the scan, through the same reader.
    let tables = reader.tables.clone();
    let mut large = Vec::new();
    scan(reader, hold, range, at, &mut |found| {
        count += 1;
        if collector.len() >= keep {
            return Ok(beyond);
        }
        if let Found::Disk(_, at, live) = &found
            && values
            && matches!(live.value, Value::Chunked { .. })
        {
            large.push((collector.len(), *at, owned_len(live.value)));
        }
        Ok(if collector.add(found) { Step::Pause } else { Step::Go })
    })?;
    collector.close();
    for (index, at, len) in large {
        // The value of a version that was live at `at` exists as long as the version; if a compaction removed it in the
        // meantime, the whole query is run again.
        let txn = &reader.disk().txn;
        match tables.value(txn, at, Value::Chunked { len }) {
            Ok(value) => collector.kvs[index].value = value,
            Err(StoreError::Damaged(_)) if hold == Hold::Chunk => return Err(ScanError::Overtaken),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Collected { kvs: collector.kvs, count })
}

fn owned_len(value: Value<'_>) -> u64 {
    match value {
        Value::Inline(value) => value.len() as u64,
        Value::Chunked { len } => len,
    }
}

/// Turns the keys that a scan finds into results. Small values and the keys of LMDB are copied into a buffer that many
/// results share: one allocation for hundreds of keys instead of two for each.
struct Collector {
    kvs: Vec<KeyValue>,
    buffer: Vec<u8>,
    /// Result, offset of its key in the buffer, length of the key, length of the value behind it.
    parts: Vec<(usize, usize, usize, usize)>,
    values: bool,
}

impl Collector {
    fn len(&self) -> usize {
        self.kvs.len()
    }

    /// Adds a result; true if the buffer is full, so that the scan should pause.
    fn add(&mut self, found: Found<'_>) -> bool {
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
                    kv.value = Bytes::copy_from_slice(value);
                }
                self.buffer.extend_from_slice(shared);
                self.parts.push((self.kvs.len(), offset, key.len(), shared.len()));
            }
        }
        self.kvs.push(kv);
        let full = self.buffer.len() >= BUFFER;
        if full {
            self.close();
        }
        full
    }

    /// Closes the buffer, and gives the results their parts of it.
    fn close(&mut self) {
        let buffer = Bytes::from(std::mem::take(&mut self.buffer));
        for (index, offset, key, value) in self.parts.drain(..) {
            let kv = &mut self.kvs[index];
            let end = offset + key;
            kv.key = buffer.slice(offset..end);
            if value > 0 {
                kv.value = buffer.slice(end..end + value);
            }
        }
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
