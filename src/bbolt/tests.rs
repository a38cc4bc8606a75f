//! Files that are written are read, and damage is found.

use std::io::Cursor;

use super::layout::{HEAD, Head, META, Meta, PAGE};
use super::{Extent, File, FileError, Writer};

type Contents = Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>;

/// Buckets with rows of many sizes: none, few, and enough for three levels.
fn contents() -> Contents {
    let row = |n: u64, size: usize| (n.to_be_bytes().to_vec(), vec![n as u8; size]);
    let names = (0..3000).map(|n| (format!("{n:0>900}").into_bytes(), vec![7; n % 50])).collect();
    vec![
        ("key".into(), (0..4000).map(|n| row(n, (n * 37 % 500) as usize)).collect()),
        ("alarm".into(), Vec::new()),
        ("meta".into(), vec![row(1, 8), row(2, 0)]),
        ("large".into(), (0..9).map(|n| row(n, if n % 2 == 0 { 300_000 } else { 0 })).collect()),
        ("names".into(), names),
    ]
}

fn extent(contents: &Contents) -> Extent {
    let mut extent = Extent::default();
    for (_, rows) in contents {
        for (key, value) in rows {
            extent.add(1, (key.len() + value.len()) as u64, key.len());
        }
        extent.end_bucket();
    }
    extent
}

fn written(contents: &Contents) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), &extent(contents)).unwrap();
    for (name, rows) in contents {
        for (key, value) in rows {
            writer.row(key, value).unwrap();
        }
        writer.end_bucket(name).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Contents, FileError> {
    let mut file = File::open(Cursor::new(bytes), bytes.len() as u64)?;
    let mut contents = Contents::new();
    for bucket in file.buckets()? {
        let mut rows = file.rows(&bucket)?;
        let mut found = Vec::new();
        while let Some((key, value)) = rows.next()? {
            found.push((key.to_vec(), value.to_vec()));
        }
        contents.push((String::from_utf8_lossy(&bucket.name).into_owned(), found));
    }
    Ok(contents)
}

fn sorted(mut contents: Contents) -> Contents {
    contents.sort();
    contents
}

#[test]
fn what_is_written_is_read_and_fits_the_extent() {
    let contents = contents();
    let bytes = written(&contents);
    assert_eq!(bytes.len() as u64, extent(&contents).bytes());
    let rows = contents.iter().flat_map(|(_, rows)| rows);
    let content: usize = rows.map(|(key, value)| key.len() + value.len() + 16).sum();
    assert!(bytes.len() < content + content / 16 + 20 * PAGE, "{} for {content}", bytes.len());
    assert_eq!(read(&bytes).unwrap(), sorted(contents));
    assert_eq!(read(&written(&Contents::new())).unwrap(), Contents::new());
}

#[test]
fn more_rows_than_planned_are_refused() {
    let mut writer = Writer::begin(Vec::new(), &Extent::default()).unwrap();
    writer.row(b"k", b"v").unwrap();
    assert!(writer.end_bucket("key").unwrap_err().to_string().contains("more bytes than were planned"));
}

/// One bucket of a few pages.
fn small() -> (Contents, Vec<u8>) {
    let rows = (0..900u64).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; 100])).collect();
    let contents = vec![("key".to_string(), rows)];
    let bytes = written(&contents);
    (contents, bytes)
}

#[test]
fn a_file_that_is_cut_says_so() {
    let (_, bytes) = small();
    for end in (0..bytes.len()).step_by(PAGE).chain([1, HEAD, HEAD + META, PAGE + 1, bytes.len() - 1]) {
        match read(&bytes[..end]) {
            Err(FileError::Cut { length, .. }) => assert_eq!(length, end as u64),
            Err(FileError::NotBbolt(_)) => assert!(end < HEAD + META, "at {end}"),
            other => panic!("cut at {end}: {other:?}"),
        }
    }
}

/// Every flipped bit of what leads to other bytes is found, and named with its page; one in a value is the value's.
#[test]
fn flipped_bits_are_found_or_are_in_a_value() {
    let (contents, bytes) = small();
    let (mut found, mut other) = (0, 0);
    for at in (2 * PAGE..2 * PAGE + 2000).chain(bytes.len() - PAGE..bytes.len() - PAGE + 80) {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            match read(&damaged) {
                Err(FileError::Damaged { page, .. }) => {
                    assert!(page >= 2, "{page}");
                    found += 1;
                }
                Err(error) => panic!("{error}"),
                Ok(read) => {
                    other += usize::from(read != contents);
                }
            }
        }
    }
    assert!(found > 5000, "{found} {other}");
}

#[test]
fn one_good_meta_record_is_enough_and_the_newer_one_counts() {
    let (contents, bytes) = small();
    for damaged_page in 0..2 {
        let mut damaged = bytes.clone();
        damaged[damaged_page * PAGE + HEAD + 20] ^= 1;
        assert_eq!(read(&damaged).unwrap(), contents);
    }
    let mut neither = bytes.clone();
    neither[HEAD] ^= 1;
    neither[PAGE + HEAD + 20] ^= 1;
    let refused = read(&neither).unwrap_err().to_string();
    assert!(refused.contains("does not begin as bbolt's do"), "{refused}");
    assert!(refused.contains("its checksum is wrong"), "{refused}");
    // The older record names a root that is not one any more.
    let mut older = bytes.clone();
    let meta = Meta { root: 1, transaction: 1, ..Meta::read(&bytes[HEAD..]).unwrap() };
    let mut record = Vec::new();
    meta.write(&mut record);
    older[PAGE + HEAD..PAGE + HEAD + META].copy_from_slice(&record);
    assert_eq!(read(&older).unwrap(), contents);
}

/// Changes a page's header.
fn with_head(bytes: &[u8], page: usize, change: impl FnOnce(&mut Head)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = page * PAGE;
    let mut head = Head::read(&bytes[at..]).unwrap();
    change(&mut head);
    let mut written = Vec::new();
    head.write(&mut written);
    bytes[at..at + HEAD].copy_from_slice(&written);
    bytes
}

#[test]
fn pages_that_contradict_others_are_named() {
    let (_, bytes) = small();
    let last = bytes.len() / PAGE - 1;
    let refused = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    let other = refused(&with_head(&bytes, 2, |head| head.id = 9));
    assert_eq!(other, "page 2 is damaged: it says that it is page 9");
    let long = refused(&with_head(&bytes, 2, |head| head.overflow = 1 << 20));
    assert!(long.contains("beyond the file's end"), "{long}");
    let kind = refused(&with_head(&bytes, 2, |head| head.kind = 0x30));
    assert!(kind.contains("neither a leaf nor a branch"), "{kind}");
    let many = refused(&with_head(&bytes, 2, |head| head.count = 60_000));
    assert!(many.starts_with("page 2 is damaged: element"), "{many}");
    // The bucket's root is the tree of buckets itself.
    let mut cycle = bytes.clone();
    let value = (last * PAGE..bytes.len() - 8).find(|at| bytes[*at..].starts_with(b"key")).unwrap() + 3;
    cycle[value..value + 8].copy_from_slice(&(last as u64).to_le_bytes());
    assert_eq!(refused(&cycle), format!("page {last} is damaged: two places refer to it"));
    cycle[value..value + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refused(&cycle).contains("is not one of the file's"), "{}", refused(&cycle));
}

#[test]
fn other_files_are_refused() {
    for bytes in [&b""[..], b"kvd-snapshot", &[0; 3 * PAGE], &[0xff; 20_000]] {
        let refused = read(bytes).unwrap_err().to_string();
        assert!(refused.starts_with("this is no bbolt file"), "{refused}");
    }
}

/// A file whose rows are all the same bytes would be much larger when it is read than it is.
#[test]
fn rows_that_lie_in_each_other_are_damage() {
    let (_, bytes) = small();
    let leaf = (2..bytes.len() / PAGE).find(|page| {
        let head = Head::read(&bytes[page * PAGE..]).unwrap();
        head.kind == super::layout::LEAF && head.count > 10
    });
    let element = leaf.expect("a leaf") * PAGE + HEAD;
    for (what, at, more) in [("the value", 12, 50u32), ("the key", 8, 1)] {
        let mut damaged = bytes.clone();
        let place = element + at;
        let length = u32::from_le_bytes(damaged[place..place + 4].try_into().unwrap());
        damaged[place..place + 4].copy_from_slice(&(length + more).to_le_bytes());
        let error = read(&damaged).unwrap_err().to_string();
        assert!(error.contains("element 1 lies in the one before it"), "{what}: {error}");
    }
}
