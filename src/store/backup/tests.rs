//! A state is the same after it went through a file of etcd's backend.

use std::io::Cursor;

use crate::bbolt::{Extent, File, Writer};
use crate::model::{
    Alarm, AlarmKind, AuthChange, Command, KeyRange, Member, MemberChange, MemberId, PasswordHash,
    Permission, PermissionKind, Put, RangeEnd, RangeQuery, TokenKey,
};
use crate::store::tests::{Bench, manual};
use crate::store::{Imported, StoreError};

fn saved(bench: &Bench) -> Vec<u8> {
    bench.store.checkpoint().unwrap();
    let reader = bench.store.backup().unwrap();
    let bytes = reader.bytes();
    let file: Vec<u8> = reader.flat_map(|piece| piece.unwrap()).collect();
    assert_eq!(file.len() as u64, bytes);
    file
}

fn load(bench: &Bench, bytes: &[u8], bump: i64) -> Result<Imported, StoreError> {
    let mut file = File::open(Cursor::new(bytes), bytes.len() as u64).unwrap();
    bench.store.load_backup(&mut file, bump)
}

fn change(bench: &mut Bench, change: AuthChange) {
    bench.run(Command::Auth(change));
}

/// A store with some of everything.
fn filled() -> Bench {
    let mut bench = Bench::new(manual());
    bench.run(Command::LeaseGrant { id: 7, ttl: 100 });
    bench.run(Command::LeaseGrant { id: -8, ttl: 200 });
    bench.run(Command::LeaseCheckpoint { remaining: vec![(7, Some(1500))] });
    for round in 0..40u8 {
        for key in 0..30u8 {
            bench.put(format!("key-{key:02}"), vec![round; usize::from(key)]);
        }
        bench.run(Command::Put(Put { key: vec![b'l'; 2500].into(), lease: 7, ..Put::default() }));
        bench.delete(KeyRange::single("key-07"));
    }
    bench.put("large", vec![1; 200_000]);
    bench.run(Command::Put(Put { key: "leased".into(), value: "v".into(), lease: -8, ..Put::default() }));
    let member = Member::founder(MemberId(5), vec!["http://a:1".into()]);
    bench.run(Command::Member(MemberChange::Add(member)));
    bench.run(Command::AlarmRaise(Alarm { member: MemberId(5), kind: AlarmKind::Corrupt }));
    bench.run(Command::AlarmClear(Alarm { member: MemberId(5), kind: AlarmKind::Corrupt }));
    let hash = Some(PasswordHash::new("$2a$10$hash"));
    change(&mut bench, AuthChange::UserAdd { name: "ann".into(), hash });
    change(&mut bench, AuthChange::UserAdd { name: "certified".into(), hash: None });
    change(&mut bench, AuthChange::RoleAdd { name: "app".into() });
    for (start, end) in [("b", RangeEnd::Open), ("a", RangeEnd::Single), ("c", RangeEnd::Before("d".into()))]
    {
        let range = KeyRange { start: start.into(), end };
        let permission = Some(Permission { kind: PermissionKind::Write, range });
        change(&mut bench, AuthChange::RoleGrant { role: "app".into(), permission });
    }
    change(&mut bench, AuthChange::UserGrantRole { user: "ann".into(), role: "app".into() });
    let key = TokenKey { id: 1, secret: *b"the secret key of all the tokens" };
    change(&mut bench, AuthChange::TokenKey { key, after: None });
    bench.run(Command::Compact { revision: 400 });
    bench
}

/// What clients see, and the size.
fn assert_same(one: &Bench, other: &Bench) {
    let (one, other) = (&one.store, &other.store);
    assert_eq!(one.revision(), other.revision());
    assert_eq!(one.compacted_revision(), other.compacted_revision());
    for revision in [one.compacted_revision().max(1), 700, 1000, one.revision()] {
        let query = RangeQuery { revision, ..RangeQuery::current(KeyRange::all()) };
        assert_eq!(one.range(&query).unwrap().kvs, other.range(&query).unwrap().kvs, "at {revision}");
        // The hash at the compacted revision itself is the one from before the compaction, where it was computed.
        if revision > one.compacted_revision() {
            assert_eq!(one.hash_kv(revision).unwrap(), other.hash_kv(revision).unwrap(), "at {revision}");
        }
    }
    assert_eq!(one.leases().unwrap().len(), other.leases().unwrap().len());
    for lease in one.leases().unwrap() {
        let found = other.lease(lease.id).unwrap().unwrap();
        assert_eq!(
            (lease.ttl, lease.remaining_ms.map(|left| (left + 999) / 1000)),
            (found.ttl, found.remaining_ms.map(|left| left / 1000))
        );
        assert_eq!(one.lease_keys(lease.id).unwrap(), other.lease_keys(lease.id).unwrap());
    }
    assert_eq!(one.alarms(), other.alarms());
    let (one, other) = (one.users(), other.users());
    assert!(one.roles().eq(other.roles()));
    let plain = |users: &crate::auth::Users| {
        let users =
            users.users().map(|(name, user)| (name.to_string(), user.hash.clone(), user.roles.clone()));
        users.collect::<Vec<_>>()
    };
    assert_eq!(plain(&one), plain(&other));
    assert_eq!((one.is_enabled(), one.revision()), (other.is_enabled(), other.revision()));
}

#[test]
fn a_file_of_etcds_backend_holds_everything_but_the_secrets() {
    let bench = filled();
    let bytes = saved(&bench);
    let secret = b"the secret key of all the tokens";
    assert!(!bytes.windows(secret.len()).any(|bytes| bytes == secret));
    let other = Bench::new(manual());
    assert_eq!(load(&other, &bytes, 0).unwrap(), Imported { index: bench.index, term: 1 });
    assert_same(&bench, &other);
    assert!(other.store.users().token_keys().is_empty());
    assert_eq!((other.store.applied(), other.store.members().len()), (None, 0));
    // What the compaction made superfluous goes as it does elsewhere; a new life begins at the first entry.
    bench.store.prune().unwrap();
    other.store.prune().unwrap();
    assert_same(&bench, &other);
    assert_eq!(bench.store.sizes().in_use, other.store.sizes().in_use);
    other.store.begin_anew(9).unwrap();
    let mut other = other.crash(manual());
    assert_eq!((other.store.epoch(), other.store.applied()), (9, None));
    assert_same(&bench, &other);
    other.put("after", "x");
    other.store.checkpoint().unwrap();
    assert_eq!(other.store.revision(), bench.store.revision() + 1);
}

#[test]
fn a_new_cluster_begins_without_the_alarms_of_states_that_differed() {
    let mut bench = Bench::new(manual());
    let raised = [AlarmKind::NoSpace, AlarmKind::Corrupt].map(|kind| Alarm { member: MemberId(5), kind });
    raised.iter().for_each(|alarm| _ = bench.run(Command::AlarmRaise(*alarm)));
    assert_eq!(bench.store.alarms().len(), 2);
    bench.store.begin_anew(9).unwrap();
    assert_eq!(bench.store.alarms(), raised[..1]);
    assert_eq!(bench.crash(manual()).store.alarms(), raised[..1]);
}

#[test]
fn an_empty_store_and_one_whose_keys_are_all_deleted_are_saved() {
    let mut bench = Bench::new(manual());
    for deleted in [false, true] {
        if deleted {
            bench.put("k", "v");
            bench.delete(KeyRange::all());
            bench.run(Command::Compact { revision: 3 });
            bench.store.prune().unwrap();
        }
        let other = Bench::new(manual());
        load(&other, &saved(&bench), 0).unwrap();
        assert_eq!(other.store.revision(), bench.store.revision());
        assert_eq!(other.store.compacted_revision(), bench.store.compacted_revision());
    }
}

#[test]
fn a_raised_revision_counts_as_compacted() {
    let bench = filled();
    let mut other = Bench::new(manual());
    load(&other, &saved(&bench), 1_000_000).unwrap();
    let raised = bench.store.revision() + 1_000_000;
    assert_eq!((other.store.revision(), other.store.compacted_revision()), (raised, raised));
    other.store.begin_anew(1).unwrap();
    other.put("after", "x");
    assert_eq!(other.store.revision(), raised + 1);
    let old = RangeQuery { revision: raised - 1, ..RangeQuery::current(KeyRange::all()) };
    assert!(other.store.range(&old).is_err());
    let now = RangeQuery::current(KeyRange::single("key-03"));
    assert_eq!(other.store.range(&now).unwrap().kvs, bench.store.range(&now).unwrap().kvs);
    let beyond = load(&Bench::new(manual()), &saved(&bench), i64::MAX).unwrap_err().to_string();
    assert!(beyond.contains("cannot be raised"), "{beyond}");
}

/// What loading a file says that has these buckets, and one row in the bucket of that name.
fn refused(buckets: &[&str], (bucket, key, value): (&str, &[u8], &[u8])) -> String {
    refused_rows(buckets, bucket, &[(key, value)])
}

/// The same with several rows.
fn refused_rows(buckets: &[&str], bucket: &str, rows: &[(&[u8], &[u8])]) -> String {
    let mut extent = Extent::default();
    rows.iter().for_each(|(key, value)| extent.add(1, (key.len() + value.len()) as u64, key.len()));
    buckets.iter().for_each(|_| extent.end_bucket());
    let mut writer = Writer::begin(Vec::new(), &extent).unwrap();
    for name in buckets {
        if *name == bucket {
            rows.iter().for_each(|(key, value)| writer.row(key, value).unwrap());
        }
        writer.end_bucket(name).unwrap();
    }
    let bench = Bench::new(manual());
    let error = load(&bench, &writer.finish().unwrap(), 0).unwrap_err().to_string();
    let states = std::fs::read_dir(bench.dir.path()).unwrap().flatten();
    let states = states.filter(|entry| entry.file_name().to_string_lossy().starts_with("state-"));
    assert_eq!(states.count(), 1, "nothing of it is left");
    error
}

#[test]
fn what_no_etcd_wrote_is_refused_with_its_row() {
    let without = |name| refused(&[name], ("", b"", b""));
    assert!(without("meta").contains("no bucket \"key\""));
    assert!(without("key").contains("no bucket \"meta\""));
    let at = |main: u8| [0, 0, 0, 0, 0, 0, 0, main, b'_', 0, 0, 0, 0, 0, 0, 0, 0];
    // key k, created and modified at 2, version 1, value v
    let good: &[u8] = b"\x0a\x01k\x10\x02\x18\x02\x20\x01\x2a\x01v";
    let without_key: &[u8] = b"\x10\x02\x18\x02\x20\x01";
    let rows: [(&str, &[u8], &[u8], &str); 8] = [
        ("key", b"short", good, "the row short of bucket \"key\" is no revision"),
        ("key", &at(2), b"\xff", "\\x02_"),
        ("key", &at(3), good, "contradicts its revision"),
        ("key", &at(2), without_key, "contradicts its revision"),
        ("meta", b"consistent_index", b"1", "consistent_index"),
        ("lease", b"12345678", b"", "the row 12345678 of bucket \"lease\""),
        ("authUsers", b"ann", b"", "the row ann of bucket \"authUsers\""),
        ("alarm", b"\x08\x01", b"", "of bucket \"alarm\""),
    ];
    for (bucket, key, value, wanted) in rows {
        let error = refused(&["alarm", "authUsers", "key", "lease", "meta"], (bucket, key, value));
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn histories_that_cannot_be_are_refused() {
    let at = |main: i64, mark: &[u8]| [&main.to_be_bytes()[..], b"_", &[0; 8], mark].concat();
    // key k of that creation, revision and version
    let put =
        |create: u8, main: u8, version: u8| vec![0x0a, 1, b'k', 0x10, create, 0x18, main, 0x20, version];
    let refused = |rows: &[(Vec<u8>, Vec<u8>)]| {
        let rows: Vec<(&[u8], &[u8])> = rows.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        refused_rows(&["key", "meta"], "key", &rows)
    };
    let deleted = b"\x0a\x01k".to_vec();
    let twice = refused(&[(at(2, b""), put(2, 2, 1)), (at(2, b"t"), deleted)]);
    assert!(twice.contains("has the revision of the one before it"), "{twice}");
    for (create, version) in [(3, 1), (2, 1), (2, 3), (1, 2)] {
        let other = refused(&[(at(2, b""), put(2, 2, 1)), (at(3, b""), put(create, 3, version))]);
        assert!(other.contains("the key k has at revision 3 no version that can follow"), "{other}");
    }
    let last = refused(&[(at(i64::MAX, b"t"), b"\x0a\x01k".to_vec())]);
    assert!(last.contains("revision 9223372036854775807 cannot be raised by 0"), "{last}");
}
