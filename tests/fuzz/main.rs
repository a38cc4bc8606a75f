//! Replays the corpora of the fuzz targets, and mutations of them, through the same entry points, with a stable
//! compiler and in seconds. `tests/fuzz/run TARGET` searches further.
//!
//! A failure prints the one command that replays it, and leaves the input beside the corpora's target directory. An
//! input that showed a fault belongs in `tests/fuzz/corpus/TARGET/`, under a name that says what it showed. Those that
//! only reach more of the code are lines of `tests/fuzz/corpus/TARGET.found`, in base64: `tests/fuzz/run` makes and reads
//! that file. They are replayed as they are: they are results of mutations themselves.
//!
//! `KVD_FUZZ_SEED` and `KVD_FUZZ_MUTATIONS` (per file; 200 if unset) choose the mutations; `KVD_FUZZ_INPUT=FILE`
//! replays one file only; `KVD_FUZZ_SEEDS=write` makes the corpora's first files again.

mod entries;
mod mutate;
mod seeds;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mutate::Mutator;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The files of a corpus by name; makes its seeds first, if requested.
fn files(target: &str, seeds: fn() -> Vec<(&'static str, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let dir = corpus(target);
    if std::env::var("KVD_FUZZ_SEEDS").is_ok_and(|value| value == "write") {
        std::fs::create_dir_all(&dir).expect("the corpus can be written");
        for (name, bytes) in seeds() {
            std::fs::write(dir.join(name), bytes).expect("the corpus can be written");
        }
    }
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("the corpus can be listed"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .map(|(name, path)| (name, std::fs::read(path).expect("the corpus can be read")))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", dir.display());
    files
}

/// The inputs that the fuzzer has found and kept, by line.
fn found(target: &str) -> Vec<(String, Vec<u8>)> {
    let path = corpus(target).with_extension("found");
    let Ok(text) = std::fs::read_to_string(&path) else { return Vec::new() };
    let input = |line: &str| STANDARD.decode(line).expect("base64");
    text.lines().zip(1..).map(|(line, number)| (format!("{target}.found:{number}"), input(line))).collect()
}

/// Runs every file of the corpus through `entry`, then mutations of it; `cost` reduces their number.
fn replay(target: &str, entry: fn(&[u8]), seeds: fn() -> Vec<(&'static str, Vec<u8>)>, cost: u64) {
    if let Some(path) = std::env::var_os("KVD_FUZZ_INPUT") {
        return entry(&std::fs::read(path).expect("the input can be read"));
    }
    let seed = number("KVD_FUZZ_SEED", 1);
    let mutations = number("KVD_FUZZ_MUTATIONS", 200).div_ceil(cost);
    let files = files(target, seeds);
    let all: Vec<&[u8]> = files.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    for (index, (name, bytes)) in files.iter().enumerate() {
        run(target, entry, name, bytes);
        let mut mutator = Mutator::new(seed.wrapping_mul(1_000_003).wrapping_add(index as u64));
        for _ in 0..mutations {
            run(target, entry, name, &mutator.mutate(bytes, &all));
        }
    }
    for (name, bytes) in found(target) {
        run(target, entry, &name, &bytes);
    }
}

fn run(target: &str, entry: fn(&[u8]), name: &str, bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| entry(bytes))) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}"));
        let _ = std::fs::write(&path, bytes);
        eprintln!("{target}: {} bytes, made from {name}, are not survived; to replay them:", bytes.len());
        eprintln!("    KVD_FUZZ_INPUT={} cargo test --test fuzz {target}", path.display());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn bbolt() {
    replay("bbolt", entries::bbolt, seeds::bbolt, 4);
}

#[test]
fn json() {
    replay("json", entries::json, seeds::json, 1);
}

#[test]
fn http2() {
    replay("http2", entries::http2, seeds::http2, 1);
}

#[test]
fn channel() {
    replay("channel", entries::channel, seeds::channel, 1);
}

#[test]
fn certificate() {
    replay("certificate", entries::certificate, seeds::certificate, 1);
}

#[test]
fn token() {
    replay("token", entries::token, seeds::token, 1);
}

#[test]
fn log() {
    replay("log", entries::log, seeds::log, 1);
}

#[test]
fn message() {
    replay("message", entries::message, seeds::message, 1);
}

#[test]
fn payload() {
    replay("payload", entries::payload, seeds::payload, 1);
}

#[test]
fn snapshot() {
    replay("snapshot", entries::snapshot, seeds::snapshot, 10);
}

#[test]
fn tables() {
    replay("tables", entries::tables, seeds::tables, 1);
}

#[test]
fn toml() {
    replay("toml", entries::toml, seeds::toml, 1);
}

#[test]
fn url() {
    replay("url", entries::url, seeds::url, 1);
}

/// Bytes that encode a transaction in a transaction in a transaction use the reader's stack, and a stack overflow ends
/// the process.
#[test]
fn deep_nesting_is_refused() {
    let depth = |depth| kvd::log::decode_payload(&seeds::nested_payload(depth));
    assert!(depth(100).is_ok(), "what clients can send is read back");
    assert!(depth(1_000).is_err() && depth(100_000).is_err(), "a bound on the nesting");
    assert!(depth(100).is_ok(), "the next one counts from the beginning");
    let answer = |depth| {
        let bytes = seeds::nested_answer(depth);
        let route = kvd::raft::wire::route_of(&bytes).expect("a route");
        kvd::raft::wire::decode::<kvd::raft::wire::Answer>(&bytes, route).map(drop)
    };
    assert!(answer(100).is_ok(), "what transactions answer is read back");
    assert!(answer(1_000).is_err() && answer(100_000).is_err(), "a bound on the nesting of replies");
}

#[test]
fn every_target_has_an_entry_and_a_corpus() {
    let manifest = include_str!("Cargo.toml");
    let targets = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let here = include_str!("main.rs");
    for target in targets.filter_map(|rest| rest.strip_suffix(".rs\"")) {
        assert!(
            here.contains(&format!("replay(\"{target}\", entries::{target}")),
            "{target} is not replayed"
        );
        assert!(corpus(target).is_dir(), "{target} has no corpus");
    }
}
