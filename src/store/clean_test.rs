//! What a start checks after an orderly end, and what it leaves to the check beside serving.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::damage_test::{data, filled};
use super::tests::{Bench, manual};
use super::*;

const PAGE: u64 = 4096;

fn options() -> Options {
    let on_damage = OnDamage::Condemn { replace: true };
    Options { check_at_start: CheckAtStart::AfterCrash, on_damage, ..manual() }
}

/// The directory of a store with keys that has ended in an orderly way.
fn left() -> tempfile::TempDir {
    let Bench { dir, store, .. } = filled(2000);
    store.close().unwrap();
    dir
}

fn state(dir: &Path) -> std::path::PathBuf {
    states::current(dir).unwrap()
}

fn write(dir: &Path, page: u64) {
    let file = File::options().write(true).open(data(dir)).unwrap();
    file.write_all_at(&[0xa5; 64], page * PAGE + 4).unwrap();
}

/// The pages of the large tables: their roots, and all others.
fn pages(dir: &Path) -> (Vec<u64>, Vec<u64>) {
    let tables = pages::pages_of(&state(dir));
    let is_large = |name: &str| ["current", "old", "history", "attached"].contains(&name);
    let all = tables.iter().filter(|(name, _)| is_large(name)).flat_map(|(_, pages)| pages.clone());
    let roots = pages::roots_of(&state(dir));
    all.partition(|page| roots.contains(page))
}

#[test]
fn only_a_start_after_an_orderly_end_leaves_the_check_for_later() {
    let dir = left();
    let open = || Store::open(dir.path(), options()).unwrap();
    let store = open();
    assert!(!store.is_verified());
    let hash = store.hash().unwrap();
    // It ends before that was made up for.
    store.close().unwrap();
    drop(store);
    let store = open();
    assert!(store.is_verified());
    store.close().unwrap();
    drop(store);
    let store = open();
    assert!(!store.is_verified());
    assert!(store.verify().unwrap().is_complete && store.is_verified());
    store.close().unwrap();
    drop(store);
    // One that crashes, even before it has changed anything.
    let store = open();
    assert!(!store.is_verified());
    drop(store);
    let store = open();
    assert!(store.is_verified() && store.hash().unwrap() == hash);
    store.close().unwrap();
    drop(store);
    // A caller that has no time for it later.
    let store = Store::open(dir.path(), manual()).unwrap();
    assert!(store.is_verified());
    store.close().unwrap();
    drop(store);
    // A copy is another file.
    let file = data(dir.path());
    fs::copy(&file, file.with_extension("copy")).unwrap();
    fs::rename(file.with_extension("copy"), &file).unwrap();
    assert!(open().is_verified());
}

#[test]
fn what_is_written_to_the_data_after_an_orderly_end_is_seen_by_the_start() {
    let dir = left();
    let pristine = fs::read(data(dir.path())).unwrap();
    let (roots, others) = pages(dir.path());
    for page in [roots[0], others[0], others[others.len() / 2]] {
        write(dir.path(), page);
        assert!(matches!(Store::open(dir.path(), options()), Err(StoreError::Damaged(_))), "page {page}");
        fs::write(data(dir.path()), &pristine).unwrap();
        Store::open(dir.path(), options()).unwrap().close().unwrap();
    }
}

/// As if a disk had changed it without anybody's doing.
fn rot(dir: &Path, page: u64) {
    write(dir, page);
    clean::mark(&state(dir)).unwrap();
}

#[test]
fn damage_that_no_file_system_shows_is_found_in_the_roots_at_the_start_and_beside_serving_elsewhere() {
    let dir = left();
    let pristine = fs::read(data(dir.path())).unwrap();
    let (roots, others) = pages(dir.path());
    assert!(roots.len() >= 4 && others.len() > 50, "{} and {}", roots.len(), others.len());
    for page in roots {
        rot(dir.path(), page);
        assert!(matches!(Store::open(dir.path(), options()), Err(StoreError::Damaged(_))), "page {page}");
        fs::write(data(dir.path()), &pristine).unwrap();
    }
    for page in [others[0], others[others.len() / 2], others[others.len() - 1]] {
        rot(dir.path(), page);
        let store = Store::open(dir.path(), options()).unwrap();
        assert!(!store.is_condemned() && !store.is_verified());
        assert!(matches!(store.verify(), Err(StoreError::Damaged(_))), "page {page}");
        assert!(store.is_condemned() && !store.is_verified());
        store.close().unwrap();
        drop(store);
        // There is no way around it any more.
        assert!(matches!(Store::open(dir.path(), options()), Err(StoreError::Damaged(_))), "page {page}");
        fs::remove_file(state(dir.path()).join("CONDEMNED")).unwrap();
        fs::write(data(dir.path()), &pristine).unwrap();
    }
}

#[test]
fn an_empty_file_is_not_taken_for_a_new_store() {
    let dir = left();
    fs::write(data(dir.path()), b"").unwrap();
    assert!(matches!(Store::open(dir.path(), manual()), Err(StoreError::Damaged(_))));
}

#[test]
fn a_state_that_was_replaced_counts_as_checked() {
    let dir = left();
    let (store, mut source) = (Store::open(dir.path(), options()).unwrap(), filled(2000));
    assert!(!store.is_verified());
    (0..2).for_each(|_| _ = source.put("later", "x"));
    source.store.checkpoint().unwrap();
    store.restore(source.store.snapshot().unwrap()).unwrap();
    assert!(store.is_verified());
}

/// What takes part of a state that LMDB must not open.
fn remains(dir: &Path) -> Store {
    let condemned = Condemned { why: "damage".into(), replace: true, told: false };
    Store::open_remains(dir, options(), &condemned, |_| true).unwrap().expect("enough is left")
}

/// A store of a member of a cluster, which has ended.
fn left_by_a_member() -> tempfile::TempDir {
    let mut bench = filled(100);
    bench.index += 1;
    bench.store.apply_membership(bench.position(), "a configuration".into(), None).unwrap();
    bench.store.checkpoint().unwrap();
    // So both of the last commits have it.
    bench.put("later", "x");
    bench.store.close().unwrap();
    let Bench { dir, store, .. } = bench;
    drop(store);
    dir
}

#[test]
fn a_member_that_has_lost_what_it_knew_of_authentication_admits_nobody() {
    for (name, is_enabled) in [("current", false), ("auth", true)] {
        let dir = left_by_a_member();
        let tables = pages::pages_of(&state(dir.path()));
        let (_, pages) = tables.iter().find(|(found, _)| *found == name).expect("a table with rows");
        write(dir.path(), pages[0]);
        assert!(matches!(Store::open(dir.path(), options()), Err(StoreError::Damaged(_))));
        assert_eq!(remains(dir.path()).users_epoch().is_enabled(), is_enabled, "{name}");
    }
}

#[test]
fn one_meta_page_is_enough_to_take_part_without_data() {
    for page in [0, 1] {
        let dir = left_by_a_member();
        write(dir.path(), page);
        assert!(matches!(Store::open(dir.path(), options()), Err(StoreError::Damaged(_))), "page {page}");
        let store = remains(dir.path());
        assert!(store.is_condemned() && store.members().len() == 2, "page {page}");
    }
}
