//! The entry points for fuzzing: each takes any bytes and must neither panic nor hang. Used by the fuzz targets, by
//! name, and by `cargo test --test fuzz`, which replays the corpora.

use bytes::Bytes;
use kvd::auth::{Jwt, State, TokenOptions, Tokens, Users};
use kvd::config::source::read_toml;
use kvd::config::{Files, Surroundings, Url, UrlUse, format_duration, parse_duration, read};
use kvd::log::format::{FIRST_FRAME, MAGIC, segment_name};
use kvd::log::{self, Log, SimDisk, decode_payload, encode_payload};
use kvd::model::{KeyRange, RangeQuery, TokenKey};
use kvd::raft::wire;
use kvd::store::{CheckpointPolicy, Options, Store};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The raft log's file at a start: the whole file, or what follows a valid header, with zeros up to its length.
pub fn log(bytes: &[u8]) {
    kvd::log::read_segment(bytes);
    let (disk, options, name) = new_log();
    let replace = |file: &mut Vec<u8>| {
        let length = file.len();
        file.truncate(if bytes.starts_with(&MAGIC) { 0 } else { FIRST_FRAME as usize });
        file.extend_from_slice(bytes);
        file.resize(file.len().max(length), 0);
    };
    disk.with_file(&name, replace).expect("the log's first file");
    if let Ok(log) = Log::open(Arc::new(disk), options) {
        let _ = (log.read(0..u64::MAX, usize::MAX), log.bounds(), log.vote(), log.committed());
    }
}

/// A disk with a new log, how it was opened, and the name of its one file.
pub fn new_log() -> (SimDisk, log::Options, String) {
    let mut options = log::Options::new(Arc::new(Zero));
    (options.mode, options.segment_bytes, options.first_segment_bytes) =
        (log::Mode::Inline, 1 << 14, 1 << 14);
    let disk = SimDisk::new(1);
    drop(Log::open(Arc::new(disk.clone()), options.clone()).expect("a new log on an empty disk"));
    (disk, options, segment_name(1))
}

/// Randomness is not what these tests are about.
struct Zero;

impl kvd::model::Entropy for Zero {
    fn next(&self) -> u64 {
        0
    }
}

/// An entry's payload, in the log and between members.
pub fn payload(bytes: &[u8]) {
    let Ok(payload) = decode_payload(bytes) else { return };
    let _ = payload.weight();
    let mut again = Vec::new();
    encode_payload(&payload, &mut again).expect("what was read can be written");
    assert_eq!(decode_payload(&again).as_ref(), Ok(&payload), "it is written as something else");
}

/// Messages between members.
pub fn message(bytes: &[u8]) {
    if let Ok(route) = wire::route_of(bytes) {
        let _ = wire::decode::<wire::Request>(bytes, route);
        let _ = wire::decode::<wire::Answer>(bytes, route);
    }
    let _ = kvd::raft::decode_config(bytes);
}

/// A request of the JSON gateway.
pub fn json(bytes: &[u8]) {
    kvd::api::json::probe(bytes);
}

/// A client's frames of HTTP/2, and the server's.
pub fn http2(bytes: &[u8]) {
    kvd::api::server::probe(bytes);
}

/// A stream of another member before its messages.
pub fn channel(bytes: &[u8]) {
    kvd::peer::probe(bytes);
}

/// Certificates of a CA, a leaf and those between, and a revocation list.
pub fn certificate(bytes: &[u8]) {
    kvd::pki::probe(bytes);
}

/// Tokens of users, of both kinds.
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let ttl = Duration::from_secs(300);
    let jwt = Jwt::new("HS256", None, Some(b"a secret of thirty-two bytes, here"), ttl).expect("a key");
    let mut users = Users::default();
    users.restore_state(State {
        enabled: true,
        token_keys: vec![TokenKey { id: 7, secret: [7; 32] }],
        ..State::default()
    });
    for options in [TokenOptions::Simple { ttl }, TokenOptions::Jwt(Box::new(jwt))] {
        let tokens = Tokens::new(options, Arc::new(Noon));
        let _ = tokens.is_ahead(&text, 7);
        assert!(tokens.caller(&users, &text).is_err(), "nobody has signed {text:?}");
    }
}

/// It is always the same time.
struct Noon;

impl kvd::model::Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_800_000_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// Rows of the store's tables.
pub fn tables(bytes: &[u8]) {
    kvd::store::format::probe(bytes);
}

/// A snapshot stream from another member.
pub fn snapshot(bytes: &[u8]) {
    static STORE: Mutex<Option<(tempfile::TempDir, Store)>> = Mutex::new(None);
    let mut kept = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    let (dir, store) = kept.take().unwrap_or_else(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(dir.path(), Options::default()).expect("a store in an empty directory");
        (dir, store)
    });
    if store.restore([Ok(Bytes::copy_from_slice(bytes))]).is_ok() {
        // Data that were accepted must be readable. The next stream may hold an earlier state, so it gets another store.
        let _ = store.range(&RangeQuery::current(KeyRange::all()));
        let _ = store.hash_kv(0);
        let _ = (store.leases(), store.members());
    } else {
        *kept = Some((dir, store));
    }
}

/// A file of etcd's backend: its rows, and the state that they make.
pub fn bbolt(bytes: &[u8]) {
    let open = || kvd::bbolt::File::open(io::Cursor::new(bytes), bytes.len() as u64);
    let Ok(mut file) = open() else { return };
    for bucket in file.buckets().unwrap_or_default() {
        let Ok(mut rows) = file.rows(&bucket) else { continue };
        while let Ok(Some(_)) = rows.next() {}
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = Options { checkpoint: CheckpointPolicy::Manual, ..Options::default() };
    let store = Store::open(dir.path(), options).expect("a store in an empty directory");
    let loaded = open().map(|mut file| store.load_backup(&mut file, 0));
    if matches!(loaded, Ok(Ok(_))) {
        let _ = store.range(&RangeQuery::current(KeyRange::all()));
        let _ = (store.hash_kv(0), store.leases(), store.prune());
        store.health().expect("what was accepted is consistent");
    }
}

/// cluster.toml: the file alone, then the whole configuration with it.
pub fn toml(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = read_toml(PathBuf::from("cluster.toml"), &text);
    let outcome = read(&Surroundings {
        arguments: vec!["--config-file=/etc/kv/cluster.toml".to_owned()],
        variables: Vec::new(),
        files: &OneFile(bytes),
        default_host: || None,
    });
    if let Err(findings) = outcome.into_result() {
        findings.iter().for_each(|finding| drop(finding.to_string()));
    }
}

/// A file system with one configuration file.
struct OneFile<'b>(&'b [u8]);

impl Files for OneFile<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.exists(path) { Ok(self.0.to_vec()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn exists(&self, path: &Path) -> bool {
        path == Path::new("/etc/kv/cluster.toml")
    }
}

/// A URL of either kind, and a duration: a value that was parsed must be parsed again from its printed form.
pub fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for usage in [UrlUse::Client, UrlUse::Peer] {
        if let Ok(url) = Url::parse(&text, usage) {
            let again = Url::parse(url.as_str(), usage);
            assert_eq!(
                again.as_ref().map(Url::as_str),
                Ok(url.as_str()),
                "{text:?} is printed as something else"
            );
        }
    }
    if let Ok(duration) = parse_duration(&text) {
        let printed = format_duration(duration);
        assert_eq!(parse_duration(&printed), Ok(duration), "{text:?} is printed as {printed:?}");
    }
}
