//! The check of all data in parts: what no part shows by itself is found, and pages are used again meanwhile.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::damage_test::{data, filled};
use super::pages::{Part, Place};
use super::tests::{Bench, manual};
use super::*;

const PAGE: usize = 4096;
/// Bytes of a part.
const PART: u64 = 16 << 10;

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(*bytes[at..].first_chunk().unwrap())
}

fn pages_of(dir: &Path, name: &str) -> Vec<u64> {
    let tables = pages::pages_of(&states::current(dir).unwrap());
    tables.into_iter().find(|(found, _)| *found == name).map(|(_, pages)| pages).unwrap()
}

/// The pages in the lists of free pages, with the offsets of these entries.
fn free_pages(dir: &Path, bytes: &[u8]) -> Vec<Vec<(usize, u64)>> {
    let mut lists = Vec::new();
    for start in pages_of(dir, "free").into_iter().map(|page| page as usize * PAGE) {
        for node in 0..(u16_at(bytes, start + 12) - 16) / 2 {
            let at = start + u16_at(bytes, start + 16 + 2 * node);
            assert_eq!(u16_at(bytes, at + 4), 0, "the list is on its own page");
            let list = at + 8 + u16_at(bytes, at + 6);
            let count = u64_at(bytes, list) as usize;
            lists
                .push((1..=count).map(|entry| (list + 8 * entry, u64_at(bytes, list + 8 * entry))).collect());
        }
    }
    lists
}

/// Writes a page into a list of free pages, in the place of one of them. The list descends as before, and its length is
/// the same.
fn free(dir: &Path, page: u64) {
    let path = data(dir);
    let mut bytes = fs::read(&path).unwrap();
    let place = free_pages(dir, &bytes).into_iter().find_map(|list| {
        let fits = |at: usize| {
            (at == 0 || list[at - 1].1 > page) && list.get(at + 1).is_none_or(|(_, next)| *next < page)
        };
        (0..list.len()).find(|at| fits(*at)).map(|at| list[at].0)
    });
    let at = place.expect("a place in a list");
    bytes[at..at + 8].copy_from_slice(&page.to_ne_bytes());
    fs::write(&path, bytes).unwrap();
    // As if a disk had changed it without anybody's doing.
    clean::mark(&states::current(dir).unwrap()).unwrap();
}

#[test]
fn a_page_in_use_that_is_in_the_list_of_free_pages_is_found() {
    let Bench { dir, store, .. } = filled(2000);
    store.close().unwrap();
    drop(store);
    let pristine = fs::read(data(dir.path())).unwrap();
    let roots = pages::roots_of(&states::current(dir.path()).unwrap());
    let is_kind = |page: u64, kind| {
        let start = page as usize * PAGE;
        u64_at(&pristine, start) == page && u16_at(&pristine, start + 10) == kind
    };
    // Below the roots, which a start reads: a branch or a leaf, and the first page of a large value.
    let current = pages_of(dir.path(), "current");
    let below: Vec<u64> = current.into_iter().filter(|page| !roots.contains(page)).collect();
    let leaf = below.iter().rev().find(|page| is_kind(**page, 2)).expect("a leaf");
    let large = below.iter().rev().find(|page| is_kind(**page, 4)).expect("a large value");
    for page in [*leaf, *large] {
        fs::write(data(dir.path()), &pristine).unwrap();
        free(dir.path(), page);
        let (part, what) = first_complaint(&states::current(dir.path()).unwrap());
        assert!(part > 1, "a check that looks at the beginning alone finds it, too");
        assert!(what.contains(&format!("page {page}: it is in the list of free pages")), "{what}");
        let on_damage = OnDamage::Condemn { replace: true };
        let options = Options { check_at_start: CheckAtStart::AfterCrash, on_damage, ..manual() };
        let store = Store::open(dir.path(), options).unwrap();
        assert!(!store.is_verified() && !store.is_condemned());
        let (tables, mut parts) = (store.0.shared.read().tables.clone(), 0);
        let found = store.0.verify_parts(&tables, PART, &mut |_, _: Duration| parts += 1);
        let error = found.expect_err("it is damaged").to_string();
        assert!(error.contains(&format!("page {page}")) && store.is_condemned(), "{error}");
        // Only a part shows the pages of a value; those of the tables are compared before.
        assert_eq!(parts > 1, page == *large, "{parts} parts");
        drop((store, tables));
        fs::remove_file(states::current(dir.path()).unwrap().join("CONDEMNED")).unwrap();
    }
}

/// Which part of the data in a directory that nobody uses is the first with a complaint, and the complaint.
fn first_complaint(state: &Path) -> (usize, String) {
    let (mut place, mut number) = (Place::default(), 0);
    loop {
        let last = pages::last_commit(state).unwrap().unwrap();
        let report = pages::part(state, last, &mut place, PART, Part::WithFreePages).unwrap().unwrap();
        number += 1;
        if let Some(complaint) = report.complaint() {
            return (number, complaint);
        }
        assert!(report.is_cut, "no complaint in {number} parts");
    }
}

/// Pages by which the file grows while keys all over the table are written again and again, for so many rounds or, if
/// there is no number, beside a check of all data.
fn growth(rounds: &mut Option<u64>) -> u64 {
    let mut bench = filled(2000);
    let path = data(bench.dir.path());
    let length = || fs::metadata(&path).unwrap().len() / PAGE as u64;
    let before = length();
    let (store, mut number) = (bench.store.clone(), 0);
    let mut write = || {
        for key in 0..30 {
            bench.put(format!("key/{:07}", number * 7 + key * 61), format!("value of round {number}"));
        }
        bench.store.checkpoint().unwrap();
        number += 1;
    };
    match *rounds {
        Some(rounds) => (0..rounds).for_each(|_| write()),
        None => {
            let tables = store.0.shared.read().tables.clone();
            let checked = store.0.verify_parts(&tables, PART, &mut |_, _: Duration| write()).unwrap();
            assert!(checked.is_complete);
        }
    }
    *rounds = Some(number);
    length() - before
}

#[test]
fn pages_are_used_again_while_all_data_are_checked() {
    let mut rounds = None;
    let beside = growth(&mut rounds);
    let alone = growth(&mut rounds);
    let rounds = rounds.unwrap_or_default();
    assert!(rounds > 30, "{rounds} parts");
    assert!(beside <= alone + 100, "{beside} pages beside a check in {rounds} parts, {alone} without");
}
