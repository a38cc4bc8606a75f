//! What is saved of a damaged state is as it was written, and whatever is missing is named.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Cursor;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::damage_test::{data, filled};
use super::model_test::random::Random;
use super::tests::{Bench, manual};
use super::*;
use crate::bbolt;
use crate::model::{Command, KeyRange, KeyValue, RangeQuery};

const PAGE: usize = 4096;

type Keys = BTreeMap<Vec<u8>, KeyValue>;

fn keys(store: &Store) -> Keys {
    let all = store.range(&RangeQuery::current(KeyRange::all())).unwrap().kvs;
    all.into_iter().map(|kv| (kv.key.to_vec(), kv)).collect()
}

/// What a backup of that which is saved restores.
fn restored(from: &Path) -> Result<(Keys, Salvaged), StoreError> {
    let saved = Bench::new(manual());
    let salvaged = saved.store.salvage(from)?;
    let file = saved.store.backup()?.collect::<Result<Vec<_>, _>>();
    let file = file.map_err(|error| StoreError::io("reading what was saved", error))?.concat();
    let mut file = bbolt::File::open(Cursor::new(&file), file.len() as u64).unwrap();
    let other = Bench::new(manual());
    other.store.load_backup(&mut file, 0)?;
    Ok((keys(&other.store), salvaged))
}

/// The pages of each table of a store, its content, and its file.
struct Subject {
    dir: tempfile::TempDir,
    tables: Vec<(&'static str, Vec<u64>)>,
    keys: Keys,
    pristine: Vec<u8>,
}

impl Subject {
    fn new() -> Self {
        let Bench { dir, store, .. } = filled(2000);
        let keys = keys(&store);
        store.close().unwrap();
        drop(store);
        let tables = pages::pages_of(&states::current(dir.path()).unwrap());
        let pristine = fs::read(data(dir.path())).unwrap();
        Self { tables, keys, pristine, dir }
    }

    /// Salvages with these pages changed.
    fn salvage(
        &self,
        pages: &[u64],
        mut damage: impl FnMut(&mut [u8]),
    ) -> Result<(Keys, Salvaged), StoreError> {
        let file = File::options().write(true).open(data(self.dir.path())).unwrap();
        for page in pages {
            let at = *page as usize * PAGE;
            let mut bytes = self.pristine[at..at + PAGE].to_vec();
            damage(&mut bytes);
            file.write_all_at(&bytes, at as u64).unwrap();
        }
        let found = restored(self.dir.path());
        file.write_all_at(&self.pristine, 0).unwrap();
        found
    }

    /// Checks what was restored; returns the number of keys that are missing.
    fn judge(&self, (keys, salvaged): &(Keys, Salvaged), what: &str) -> usize {
        for (key, found) in keys {
            let key_name = key.escape_ascii();
            assert_eq!(self.keys.get(key), Some(found), "{what}: {key_name} is not what it was");
        }
        let missing: Vec<_> = self.keys.keys().filter(|key| !keys.contains_key(*key)).collect();
        // What no version and no change is left of is in one of the places.
        if salvaged.damaged == 0 {
            assert!(missing.is_empty() && salvaged.is_complete(), "{what}: {salvaged:?}");
        }
        missing.len()
    }
}

#[test]
fn of_a_state_that_is_not_damaged_everything_is_saved() {
    let subject = Subject::new();
    let (keys, salvaged) = subject.salvage(&[], |_| ()).unwrap();
    assert!(salvaged.is_complete() && salvaged.has_tree && !salvaged.is_unproven, "{salvaged:?}");
    assert!(keys == subject.keys);
    assert_eq!(Some(salvaged.revision), salvaged.former);
    // What is saved is the same for members, too.
    let (saved, original) = (Bench::new(manual()), Store::open(subject.dir.path(), manual()).unwrap());
    let (hash, leases) = (original.hash_kv(0).unwrap(), original.leases().unwrap());
    let compacted = original.compacted_revision();
    drop(original);
    saved.store.salvage(subject.dir.path()).unwrap();
    assert_eq!(saved.store.hash_kv(0).unwrap(), hash);
    assert_eq!((saved.store.leases().unwrap(), saved.store.compacted_revision()), (leases, compacted));
}

#[test]
fn a_damaged_page_costs_its_own_rows_and_no_others() {
    let subject = Subject::new();
    let mut branches = 0;
    for (name, pages) in &subject.tables {
        for page in [pages[0], pages[pages.len() / 2], pages[pages.len() - 1]] {
            let what = format!("page {page} of {name}");
            if *name == "meta pages" {
                // The other one is left, of the last commit or the one before.
                let (keys, _) = subject.salvage(&[page], |bytes| bytes.fill(0xff)).unwrap();
                assert!(keys.len() + 5 > subject.keys.len(), "{what}");
                continue;
            }
            let found = subject.salvage(&[page], |bytes| bytes[8..].fill(0xff)).unwrap();
            assert!(found.1.damaged > 0, "{what}");
            let missing = subject.judge(&found, &what);
            let is_branch = subject.pristine[page as usize * PAGE + 10] == 1;
            branches += usize::from(is_branch);
            let most = match *name {
                "current" | "old" | "chunks" if !is_branch => 150,
                // The history is in the versions, too, and what is behind a branch is found.
                _ => 0,
            };
            assert!(missing <= most, "{what}: {missing} are missing: {:?}", found.1);
            // All that is missing is named: its changes are left.
            let named = |key: &Vec<u8>| {
                let name = format!("{} ", sealed::shown(tables::Id::History, key));
                found.1.lost.iter().any(|lost| lost.starts_with(&name))
            };
            let unnamed: Vec<_> =
                subject.keys.keys().filter(|key| !found.0.contains_key(*key) && !named(key)).collect();
            assert!(unnamed.is_empty(), "{what}: {unnamed:?}");
        }
    }
    assert!(branches > 0);
}

#[test]
fn a_value_of_which_a_part_is_lost_is_lost_if_its_change_is_too() {
    let subject = Subject::new();
    let pages = |name: &str| &subject.tables.iter().find(|(found, _)| *found == name).unwrap().1;
    let chunks = pages("chunks");
    let lost = [pages("history").as_slice(), &[chunks[chunks.len() / 2]]].concat();
    let found = subject.salvage(&lost, |bytes| bytes[8..].fill(0xff)).unwrap();
    assert!(subject.judge(&found, "all changes, and a part of a value") > 0);
}

/// A write that the disk has lost: the page has its older content, which is right in itself.
#[test]
fn a_state_in_which_rows_are_missing_without_a_trace_is_not_whole() {
    let mut bench = Bench::new(manual());
    let leases = |bench: &mut Bench, ids: std::ops::Range<i64>| {
        for id in ids {
            bench.run(Command::LeaseGrant { id, ttl: 1000 });
        }
        bench.store.checkpoint().unwrap();
        let tables = pages::pages_of(&states::current(bench.dir.path()).unwrap());
        let pages = tables.into_iter().find(|(name, _)| *name == "leases").unwrap().1;
        let [page] = pages[..] else { panic!("one page: {pages:?}") };
        let at = page as usize * PAGE;
        (page, fs::read(data(bench.dir.path())).unwrap()[at..at + PAGE].to_vec())
    };
    let (_, mut older) = leases(&mut bench, 1..7);
    let (page, _) = leases(&mut bench, 7..9);
    bench.store.close().unwrap();
    let is_whole = |dir: &Path| restored(dir).unwrap().1.is_whole;
    assert!(is_whole(bench.dir.path()));
    older[..8].copy_from_slice(&page.to_le_bytes());
    let file = File::options().write(true).open(data(bench.dir.path())).unwrap();
    file.write_all_at(&older, page * PAGE as u64).unwrap();
    assert!(!is_whole(bench.dir.path()), "two leases are missing");
}

#[test]
fn several_damaged_pages_give_no_wrong_value() {
    let subject = Subject::new();
    let seed = std::env::var("KVD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = Random::new(seed);
    let all: Vec<u64> =
        subject.tables.iter().flat_map(|(_, pages)| pages.clone()).filter(|page| *page > 1).collect();
    for round in 0..25 {
        let count = 1 + random.below(12);
        let pages: Vec<u64> = (0..count).map(|_| all[random.below(all.len())]).collect();
        let other = all[random.below(all.len())] as usize * PAGE;
        let other = subject.pristine[other..other + PAGE].to_vec();
        let what = format!("KVD_SEED={seed}, round {round}: pages {pages:?}");
        let found =
            subject.salvage(&pages, |bytes| _ = super::damage_test::damage(&mut random, bytes, &other));
        match found {
            Ok(found) => _ = subject.judge(&found, &what),
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

#[test]
fn whatever_is_lost_a_backup_is_not_open_to_all() {
    let subject = Subject::new();
    let pages = |name: &str| &subject.tables.iter().find(|(found, _)| *found == name).unwrap().1;
    // With the names of the tables nothing says whose page that is.
    let names = [pages("names").as_slice(), pages("auth")].concat();
    for (lost, is_lost) in [(pages("auth"), true), (&names, true), (pages("names"), false), (&vec![], false)]
    {
        let file = File::options().write(true).open(data(subject.dir.path())).unwrap();
        lost.iter().for_each(|page| file.write_all_at(&[0xff; PAGE - 16], page * PAGE as u64 + 16).unwrap());
        let saved = Bench::new(manual());
        let salvaged = saved.store.salvage(subject.dir.path()).unwrap();
        file.write_all_at(&subject.pristine, 0).unwrap();
        assert_eq!(salvaged.auth_is_lost, is_lost, "pages {lost:?}");
        assert_eq!(saved.store.users_epoch().is_enabled(), is_lost, "pages {lost:?}");
    }
}

#[test]
fn without_meta_pages_nothing_is_saved() {
    let subject = Subject::new();
    let found = subject.salvage(&[0, 1], |bytes| bytes.fill(0));
    assert!(matches!(found, Err(StoreError::Damaged(_))));
}
