//! What is on the disk is damaged: nothing of it is an answer, and nothing ends the process.
//!
//! A failure prints its seed; `KVD_SEED=N cargo test --lib store::damage_test` replays it, and `KVD_ROUNDS=N` sets the
//! number of rounds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use super::model_test::random::Random;
use super::pages::{self, Reading};
use super::tests::{Bench, manual};
use super::*;
use crate::model::{
    Alarm, AlarmKind, AuthChange, Command, KeyRange, Member, MemberChange, MemberId, PasswordHash, Proposal,
    Put, RangeQuery, Refusal, Stamp, TreeCommand, Ttl,
};

const PAGE: usize = 4096;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A state with rows in every table, and so many keys.
pub(super) fn filled(keys: usize) -> Bench {
    let mut bench = Bench::new(manual());
    let member = |id| Member::founder(MemberId(id), vec![format!("http://m{id}:2380")]);
    for id in 1..4 {
        bench.run(Command::Member(MemberChange::Add(member(id))));
    }
    bench.run(Command::Member(MemberChange::Remove(MemberId(3))));
    bench.run(Command::ClusterVersion("3.7.0".into()));
    bench.run(Command::Auth(AuthChange::RoleAdd { name: "reader".into() }));
    let hash = Some(PasswordHash::new("hash"));
    bench.run(Command::Auth(AuthChange::UserAdd { name: "ann".into(), hash }));
    for id in 1..50 {
        bench.run(Command::LeaseGrant { id, ttl: 1000 });
    }
    for number in 0..200 {
        let (path, ttl) = (format!("/dir/{number}"), Ttl { seconds: None, refresh: false });
        bench.run(Command::Tree(TreeCommand::Set {
            path: path.into(),
            dir: false,
            value: "node".repeat(20).into(),
            ttl,
        }));
    }
    for number in 0..20 {
        bench.put(format!("large/{number}"), vec![number as u8; 40_000 + 10_000 * number]);
        bench.put([b"long/".as_slice(), &[number as u8; 3000]].concat(), "under a long key");
    }
    let put = |number: usize, value: String| Proposal {
        stamp: Stamp::at(1),
        caller: crate::model::Caller::System,
        command: Command::Put(Put {
            key: format!("key/{number:07}").into(),
            value: value.into(),
            lease: if number.is_multiple_of(100) { 1 + (number / 100 % 40) as i64 } else { 0 },
            ..Put::default()
        }),
    };
    // A part twice, for older versions; the removal of those leaves free pages behind.
    for (round, numbers) in [(0, 0..keys), (1, 0..keys / 5), (2, keys / 10..keys / 5)] {
        let all: Vec<_> =
            numbers.map(|number| put(number, format!("value {number} of round {round}"))).collect();
        for some in all.chunks(1000) {
            bench.index += 1;
            bench.store.apply(bench.position(), some).unwrap();
        }
        bench.store.checkpoint().unwrap();
    }
    bench.run(Command::Compact { revision: bench.store.revision() - (keys / 20) as i64 });
    bench.store.prune().unwrap();
    bench.store.checkpoint().unwrap();
    bench
}

/// The file of the state in use.
pub(super) fn data(dir: &Path) -> PathBuf {
    states::current(dir).unwrap().join("data.mdb")
}

fn complaint(dir: &Path) -> Option<String> {
    let state = states::current(dir).unwrap();
    pages::check(&state, Reading::Everything, &mut |_| true).unwrap().complaint()
}

/// Closes a store in the way of a crash; what it has is on the disk.
fn closed(bench: Bench) -> tempfile::TempDir {
    let Bench { dir, store, .. } = bench;
    drop(store);
    dir
}

#[test]
fn what_is_as_it_was_written_has_no_finding() {
    let mut bench = filled(2000);
    for round in 0..40 {
        for number in 0..30 * round {
            bench
                .put(format!("key/{:07}", number * 7 % 2000), vec![round as u8; 1 + (number * round) % 5000]);
        }
        if round % 3 == 0 {
            bench.delete(KeyRange::single(format!("large/{}", round / 3)));
            bench.run(Command::Compact { revision: bench.store.revision() - 20 });
        }
        bench.store.checkpoint().unwrap();
        assert_eq!(complaint(bench.dir.path()), None, "round {round}");
        bench.store.prune().unwrap();
        assert_eq!(complaint(bench.dir.path()), None, "pruned in round {round}");
    }
}

#[test]
fn a_state_without_checksums_is_read_as_before_and_what_replaces_it_has_them() {
    let bench = filled(100);
    let (all, hash) = (bench.values(KeyRange::all(), 0), bench.store.hash().unwrap());
    bench.store.0.shared.read().tables.unseal();
    let mut bench = bench.crash(manual());
    let sealed = |bench: &Bench| bench.store.0.shared.read().tables.is_sealed();
    assert!(!sealed(&bench));
    assert_eq!((bench.values(KeyRange::all(), 0), bench.store.hash().unwrap()), (all.clone(), hash));
    // It is written in its own format, and found sound.
    bench.put("later", "x");
    bench.store.checkpoint().unwrap();
    let bench = bench.crash(manual());
    assert!(!sealed(&bench));
    assert_eq!((complaint(bench.dir.path()), bench.store.get(b"later").unwrap().is_some()), (None, true));
    let hash = bench.store.hash().unwrap();
    let stream: Vec<_> = bench.store.snapshot().unwrap().collect();
    let other = Bench::new(manual());
    other.store.restore(stream).unwrap();
    let other = other.crash(manual());
    assert!(sealed(&other));
    assert_eq!(other.store.hash().unwrap(), hash, "a hash does not depend on the format");
    // The version itself is no way around checksums.
    let tables = other.store.0.shared.read().tables.clone();
    let mut txn = tables.write().unwrap();
    tables.put_version(&mut txn, &format::encode_version(format::FIRST)).unwrap();
    txn.commit().unwrap();
    drop(tables);
    let (dir, unchecked) = (closed(other), Options { check_at_start: CheckAtStart::Never, ..manual() });
    for options in [unchecked, manual()] {
        assert!(matches!(Store::open(dir.path(), options), Err(StoreError::Damaged(_))));
    }
}

/// Flips a bit in every place of the file at which a text is.
fn flip(file: &Path, text: &str) -> usize {
    let mut bytes = fs::read(file).unwrap();
    let found = bytes.windows(text.len()).enumerate().filter(|(_, at)| *at == text.as_bytes());
    let places: Vec<usize> = found.map(|(place, _)| place).collect();
    places.iter().for_each(|place| bytes[*place] ^= 1);
    fs::write(file, bytes).unwrap();
    places.len()
}

/// A state of which one value is damaged on the disk, opened without a look at it.
fn with_a_damaged_value() -> Bench {
    let mut bench = filled(100);
    bench.put("damaged", "a value that is found again");
    bench.store.checkpoint().unwrap();
    let index = bench.index;
    let dir = closed(bench);
    assert!(flip(&data(dir.path()), "a value that is found again") > 0);
    let on_damage = OnDamage::Condemn { replace: true };
    let store =
        Store::open(dir.path(), Options { check_at_start: CheckAtStart::Never, on_damage, ..manual() })
            .unwrap();
    Bench { dir, store, index }
}

#[test]
fn a_damaged_value_is_no_answer_and_condemns_the_state() {
    let all = || RangeQuery::current(KeyRange::all());
    type Read = fn(&Store) -> Option<Refusal>;
    let reads: [(&str, Read); 6] = [
        ("get", |store| store.get(b"damaged").err()),
        ("range", |store| store.range(&RangeQuery::current(KeyRange::all())).err()),
        ("hash", |store| store.hash().err()),
        ("hash of keys", |store| store.hash_kv(0).err()),
        ("snapshot", |store| {
            let failed = store.snapshot().unwrap().find_map(Result::err);
            failed.map(|error| {
                if error.to_string().contains("damaged") { Refusal::Corrupt } else { Refusal::Stopped }
            })
        }),
        ("backup", |store| match store.backup() {
            Err(error) => Some(error.into()),
            Ok(backup) => backup.filter_map(Result::err).next().map(|_| Refusal::Corrupt),
        }),
    ];
    for (name, read) in reads {
        let bench = with_a_damaged_value();
        assert!(bench.store.get(b"key/0000001").unwrap().is_some(), "what is beside it is good");
        assert!(!bench.store.is_condemned());
        assert_eq!(read(&bench.store), Some(Refusal::Corrupt), "{name}");
        let condemned = bench.store.condemned().expect(name);
        assert!(condemned.replace && condemned.why.contains("\"damaged\" in table current"), "{condemned:?}");
        // It is no end: another state takes its place.
        bench.store.health().unwrap();
        let mut good = filled(100);
        // It is ahead.
        (0..2).for_each(|_| _ = good.put("later", "x"));
        good.store.checkpoint().unwrap();
        let prepared = bench.store.prepare(good.store.snapshot().unwrap(), |_| true).unwrap();
        bench.store.adopt(prepared).unwrap();
        assert!(!bench.store.is_condemned());
        assert_eq!(bench.store.range(&all()).unwrap().kvs, good.store.range(&all()).unwrap().kvs);
    }
}

#[test]
fn an_entry_that_needs_a_damaged_value_is_not_applied() {
    let mut bench = with_a_damaged_value();
    bench.index += 1;
    let command = Command::Put(Put { key: "damaged".into(), prev_kv: true, ..Put::default() });
    let proposal = Proposal { stamp: Stamp::at(1), caller: crate::model::Caller::System, command };
    let applied = bench.store.apply(bench.position(), &[proposal]);
    assert!(matches!(applied, Err(StoreError::Damaged(_))), "{applied:?}");
    assert!(bench.store.health().is_err() && bench.store.is_condemned());
    let dir = closed(bench);
    // The next start knows it, before it reads anything.
    let error = Store::open(dir.path(), manual()).err().expect("damaged").to_string();
    assert!(
        error.contains("of table current: a row is not as it was written; lost is \"damaged\""),
        "{error}"
    );
}

/// Scrubs everything in parts; returns their number.
fn scrubbed(store: &Store, bytes: u64) -> Result<usize, StoreError> {
    let mut place = ScrubPlace::default();
    for parts in 1..100_000 {
        if store.scrub(&mut place, bytes)?.is_complete {
            return Ok(parts);
        }
    }
    panic!("it never ends: {place:?}");
}

#[test]
fn a_scrub_goes_on_where_it_was_while_the_state_changes_and_finds_damage_anywhere() {
    let mut bench = filled(2000);
    let parts = scrubbed(&bench.store, 64 << 10).expect("sound");
    assert!(parts > 5, "{parts} parts");
    let mut place = ScrubPlace::default();
    for number in 0.. {
        for key in 0..50 {
            bench.put(format!("key/{:07}", number * 31 + key * 17), format!("value of part {number}"));
        }
        bench.store.checkpoint().unwrap();
        if bench.store.scrub(&mut place, 64 << 10).expect("sound").is_complete {
            break;
        }
    }
    // In each of its large tables, from the first page to the last one.
    let dir = closed(bench);
    let path = data(dir.path());
    let pristine = fs::read(&path).unwrap();
    for (name, pages) in pages::pages_of(&states::current(dir.path()).unwrap()) {
        let [first, .., last] = pages[..] else { continue };
        for page in [first, pages[pages.len() / 2], last] {
            fs::write(&path, &pristine).unwrap();
            let store = Store::open(dir.path(), manual()).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(&[0xa5; 16], page * PAGE as u64).unwrap();
            assert!(
                matches!(scrubbed(&store, 256 << 10), Err(StoreError::Damaged(_))),
                "page {page} of {name}"
            );
        }
    }
}

/// Ways to damage a page.
pub(super) fn damage(random: &mut Random, page: &mut [u8], other: &[u8]) -> &'static str {
    let length = page.len();
    match random.below(6) {
        0..=2 => {
            let bits = 1 + random.below(3);
            for _ in 0..bits {
                // The header, and what follows it, decide more than the rest.
                let among = if random.below(3) == 0 { 64 } else { length };
                page[random.below(among)] ^= 1 << random.below(8);
            }
            "flipped bits"
        }
        3 => {
            let from = random.below(length / 512) * 512;
            page[from..from + 512].fill(0);
            "a sector of zeros"
        }
        4 => {
            page.copy_from_slice(other);
            "another page"
        }
        _ => {
            let from = random.below(length);
            page[from..].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
            "random bytes"
        }
    }
}

/// Damages pages of all tables, one after another, and reads everything each time.
fn rounds(dir: &Path, seed: u64, rounds: u64) {
    let mut random = Random::new(seed);
    let path = data(dir);
    let pristine = fs::read(&path).unwrap();
    let store = Store::open(dir, manual()).unwrap();
    let (hash, revision, applied) = (store.hash().unwrap(), store.revision(), store.applied());
    drop(store);
    fs::write(&path, &pristine).unwrap();
    let tables = pages::pages_of(&states::current(dir).unwrap());
    let empty = tables::TABLES.iter().map(|row| row.name);
    let empty: Vec<_> = empty.filter(|name| !tables.iter().any(|(table, _)| table == name)).collect();
    // Nothing goes back to another version, and nothing but that is missing.
    assert_eq!((empty, tables.len()), (vec!["downgrade"], tables::TABLES.len() - 1 + 3));
    let mut outcomes = BTreeMap::<_, u64>::new();
    for round in 0..rounds {
        let (name, pages) = &tables[random.below(tables.len())];
        let number = pages[random.below(pages.len())] as usize;
        let at = number * PAGE;
        let mut page = pristine[at..at + PAGE].to_vec();
        let other = random.below(pristine.len() / PAGE) * PAGE;
        let how = damage(&mut random, &mut page, &pristine[other..other + PAGE]);
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&page, at as u64).unwrap();
        eprintln!("round {round}: {how} in page {number} of {name}");
        let outcome = match Store::open(dir, manual()) {
            Err(StoreError::Damaged(_) | StoreError::NotAStore { .. } | StoreError::Format { .. }) => {
                "refused at the start"
            }
            Err(error) => panic!("{error}"),
            Ok(store) => {
                let outcome = match store.hash() {
                    Ok(found) => {
                        assert_eq!((found, store.revision(), store.applied()), (hash, revision, applied));
                        "without effect"
                    }
                    Err(Refusal::Corrupt | Refusal::Internal(_)) => "refused when it was read",
                    Err(error) => panic!("{error:?}"),
                };
                drop(store);
                fs::write(&path, &pristine).unwrap();
                outcome
            }
        };
        file.write_all_at(&pristine[at..at + PAGE], at as u64).unwrap();
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{rounds} rounds: {outcomes:?}");
}

#[test]
#[ignore = "a child of the test below"]
fn child() {
    let Ok(dir) = std::env::var("KVD_DAMAGED") else { return };
    rounds(Path::new(&dir), env("KVD_SEED").unwrap_or(1), env("KVD_ROUNDS").unwrap_or(1));
}

/// In a process of its own, whose end by a signal is seen.
fn survives(keys: usize, rounds: u64) {
    let seed = env("KVD_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let rounds = env("KVD_ROUNDS").unwrap_or(rounds);
    let mut bench = filled(keys);
    bench.run(Command::AlarmRaise(Alarm { member: MemberId(2), kind: AlarmKind::NoSpace }));
    bench.store.checkpoint().unwrap();
    let dir = closed(bench);
    let child = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::damage_test::child", "--ignored", "--nocapture"])
        .env("KVD_DAMAGED", dir.path())
        .env("KVD_SEED", seed.to_string())
        .env("KVD_ROUNDS", rounds.to_string())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    let rounds: Vec<_> =
        err.lines().filter(|line| line.starts_with("round ") || line.contains("panicked")).collect();
    let last = &rounds[rounds.len().saturating_sub(3)..];
    assert!(child.status.success(), "KVD_SEED={seed}: {}: {last:#?}\n{err}", child.status);
    let told = out.lines().find(|line| line.contains(" rounds: ")).expect("an outcome");
    println!("KVD_SEED={seed}, {keys} keys, {told}");
}

#[test]
fn damage_of_any_page_is_no_answer_and_no_signal() {
    survives(2_000, 300);
}

#[test]
fn damage_of_any_page_of_a_large_store_is_no_answer_and_no_signal() {
    survives(100_000, 10);
}
