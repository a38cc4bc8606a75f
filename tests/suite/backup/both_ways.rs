//! Restored there, everything is as it was here.

use kvd::api::proto::etcdserverpb as pb;
use std::path::Path;

use super::picture::{fill, goes_on, grant, hash, picture, runs_out};
use super::{ETCDS, Tools, fails, kvctl, restore_by, run, succeeds, text, to_come};
use crate::harness::{Server, Setup, subject};

/// Hash and revision in the status of a backup. Earlier versions count other things as keys.
fn status(program: &Path, file: &Path) -> Vec<String> {
    let line = succeeds(program, &["snapshot", "status", text(file)]);
    line.trim().split(", ").take(2).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_etcd_serves_what_kvd_has_saved() {
    const NAME: &str = "every_etcd_serves_what_kvd_has_saved";
    if !subject().is_kvd() {
        return;
    }
    let server = Server::of(&subject()).await;
    let compacted = fill(&server).await;
    let before = picture(&server, compacted).await;
    for tools in ETCDS.into_iter().filter_map(|etcd| Tools::of(NAME, etcd)) {
        let file = server.dir().join(format!("{}.db", tools.version));
        tools.save(&server, &file);
        assert_eq!(std::fs::metadata(&file).expect("saved").len() % 512, 32);
        let own = status(kvctl(), &file);
        assert_eq!(status(&tools.restores, &file), own);
        assert_eq!(own[1], before.revision.to_string());
        let mut etcd = to_come(&tools.etcd());
        restore_by(&tools.restores, &["snapshot", "restore", text(&file)], &etcd);
        etcd.start().await;
        assert_eq!(picture(&etcd, compacted).await, before, "etcd {}", tools.version);
        if tools.etcd().level() >= (3, 7) {
            assert_eq!(hash(&etcd).await, hash(&server).await);
        }
        goes_on(&etcd).await;
    }
    // And kvd itself.
    let file = server.dir().join("own.db");
    succeeds(kvctl(), &[&format!("--endpoints={}", server.endpoint()), "snapshot", "save", text(&file)]);
    let mut other = to_come(&subject());
    restore_by(kvctl(), &["snapshot", "restore", text(&file)], &other);
    other.start().await;
    assert_eq!(picture(&other, compacted).await, before);
    goes_on(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kvd_serves_what_every_etcd_has_saved_and_left_behind() {
    const NAME: &str = "kvd_serves_what_every_etcd_has_saved_and_left_behind";
    if !subject().is_kvd() {
        return;
    }
    for tools in ETCDS.into_iter().filter_map(|etcd| Tools::of(NAME, etcd)) {
        let mut etcd = Server::of(&tools.etcd()).await;
        let compacted = fill(&etcd).await;
        let before = picture(&etcd, compacted).await;
        let file = etcd.dir().join("saved.db");
        tools.save(&etcd, &file);
        // What it has acknowledged last may be in its log only: it writes its database ten times a second.
        etcd.kill();
        let data = etcd.data_dir();
        let database = data.join("member/snap/db");
        for words in [&["snapshot", "restore", text(&file)][..], &["migrate", "etcd-data", text(&data)]] {
            let mut kvd = to_come(&subject());
            restore_by(kvctl(), words, &kvd);
            kvd.start().await;
            assert_eq!(picture(&kvd, compacted).await, before, "etcd {}: {words:?}", tools.version);
            goes_on(&kvd).await;
        }
        let kvd = to_come(&subject());
        let words = ["snapshot", "restore", "--skip-hash-check", text(&database)];
        restore_by(kvctl(), &words, &kvd);
    }
}

/// An etcd that is killed has acknowledged more than its database holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_log_of_an_etcd_holds_is_moved() {
    const NAME: &str = "what_only_the_log_of_an_etcd_holds_is_moved";
    if !subject().is_kvd() {
        return;
    }
    for tools in ETCDS.into_iter().filter_map(|etcd| Tools::of(NAME, etcd)) {
        // It writes its database this rarely.
        let slow =
            Setup::of(&tools.etcd()).arg("--backend-batch-interval=1h").arg("--backend-batch-limit=100000");
        let mut etcd = slow.start().await;
        let compacted = fill(&etcd).await;
        let before = picture(&etcd, compacted).await;
        etcd.kill();
        let mut kvd = to_come(&subject());
        let data = etcd.data_dir();
        if tools.etcd().level() < (3, 5) {
            // Its log holds passwords, and each member hashes them for itself. A start and an orderly stop do that.
            let flag = format!("--data-dir={}", kvd.data_dir().display());
            let refused = fails(kvctl(), &["migrate", "etcd-data", text(&data), &flag]);
            assert!(refused.contains("a password that was not hashed"), "{refused}");
            assert!(!kvd.data_dir().exists());
            etcd.start().await;
            etcd.stop().await;
        }
        restore_by(kvctl(), &["migrate", "etcd-data", text(&data)], &kvd);
        kvd.start().await;
        assert_eq!(picture(&kvd, compacted).await, before, "etcd {}", tools.version);
        goes_on(&kvd).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_run_out_after_a_restore() {
    const NAME: &str = "leases_run_out_after_a_restore";
    let Some(tools) = Tools::of(NAME, ETCDS[0]) else { return };
    if !subject().is_kvd() {
        return;
    }
    for (from, to, restores) in [
        (tools.etcd(), subject(), kvctl()),
        (subject(), tools.etcd(), tools.restores.as_path()),
        (subject(), subject(), kvctl()),
    ] {
        let server = Server::of(&from).await;
        grant(&server, 5, 3).await;
        let request =
            pb::PutRequest { key: "short".into(), value: "v".into(), lease: 5, ..Default::default() };
        server.api().kv.put(request).await.expect("a put");
        let file = server.dir().join("saved.db");
        tools.save(&server, &file);
        runs_out(&server, "short").await;
        let mut restored = to_come(&to);
        restore_by(restores, &["snapshot", "restore", text(&file)], &restored);
        restored.start().await;
        runs_out(&restored, "short").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_of_a_backup_is_printed_as_etcdutl_prints_it() {
    const NAME: &str = "the_status_of_a_backup_is_printed_as_etcdutl_prints_it";
    let Some(tools) = Tools::of(NAME, ETCDS[0]) else { return };
    for program in [subject(), tools.etcd()] {
        let server = Server::of(&program).await;
        let empty = server.dir().join("empty.db");
        tools.save(&server, &empty);
        fill(&server).await;
        let full = server.dir().join("full.db");
        tools.save(&server, &full);
        for file in [&empty, &full] {
            for format in ["simple", "table", "json", "fields", "protobuf"] {
                let args = ["-w", format, "snapshot", "status", text(file)];
                let (theirs, ours) = (run(&tools.restores, &args), run(kvctl(), &args));
                let printed = |output: &[u8]| String::from_utf8_lossy(output).into_owned();
                assert_eq!(printed(&ours.stdout), printed(&theirs.stdout), "{program} {format}");
                assert_eq!(ours.status.code(), theirs.status.code(), "{program} {format}");
            }
        }
    }
}

/// Puts the same number under two keys at once.
async fn write_pair(server: &Server, number: u64) {
    let put = |key: &str| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
            key: key.to_owned().into(),
            value: number.to_string().into(),
            ..Default::default()
        })),
    };
    let success = vec![put("first"), put("second")];
    let txn = pb::TxnRequest { success, ..Default::default() };
    server.api().kv.txn(txn).await.expect("a transaction");
}

/// Puts pairs until it is asked to end.
async fn write_pairs(server: &Server, ends: &std::sync::atomic::AtomicBool) {
    let mut number = 1;
    while !ends.load(std::sync::atomic::Ordering::Relaxed) {
        write_pair(server, number).await;
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_state_while_writes_go_on() {
    if !subject().is_kvd() {
        return;
    }
    let server = Server::of(&subject()).await;
    for key in 0..2000 {
        let request = pb::PutRequest {
            key: format!("key-{key}").into(),
            value: vec![b'v'; 1000].into(),
            ..Default::default()
        };
        server.api().kv.put(request).await.expect("a put");
    }
    write_pair(&server, 0).await;
    let files: Vec<_> = (0..3).map(|number| server.dir().join(format!("{number}.db"))).collect();
    let (saving, ends) = (files.clone(), std::sync::atomic::AtomicBool::new(false));
    let endpoints = format!("--endpoints={}", server.endpoint());
    let save = async {
        let save = move || {
            for file in saving {
                succeeds(kvctl(), &[&endpoints, "snapshot", "save", text(&file)]);
            }
        };
        tokio::task::spawn_blocking(save).await.expect("saved");
        ends.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(save, write_pairs(&server, &ends));
    let mut last = 0;
    for file in &files {
        let mut restored = to_come(&subject());
        restore_by(kvctl(), &["snapshot", "restore", text(file)], &restored);
        restored.start().await;
        let all = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
        let found = restored.api().kv.range(all).await.expect("an answer").into_inner();
        assert_eq!(found.count, 2002);
        let pair: Vec<_> = found.kvs.iter().filter(|kv| !kv.key.starts_with(b"key-")).collect();
        assert_eq!((&pair[0].value, pair[0].mod_revision), (&pair[1].value, pair[1].mod_revision));
        assert_eq!(pair[0].mod_revision, found.header.expect("a header").revision, "nothing is left out");
        assert!(pair[0].mod_revision > last, "what was acknowledged before a backup is in it");
        last = pair[0].mod_revision;
    }
}
