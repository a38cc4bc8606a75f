//! Files that are not what was saved are refused, with the place of the damage, and nothing is left behind.

use kvd::api::proto::etcdserverpb as pb;
use std::fs;
use std::path::Path;

use super::{ETCDS, Tools, fails, kvctl, succeeds, text};
use crate::harness::{Server, Setup, subject};

async fn filled(server: &Server) {
    for key in 0..300 {
        let request = pb::PutRequest {
            key: format!("key-{key}").into(),
            value: vec![b'v'; 100].into(),
            ..Default::default()
        };
        server.api().kv.put(request).await.expect("a put");
    }
}

/// The error for a file; nothing may be in the directory after it.
fn refused(file: &Path, dir: &Path, flags: &[&str]) -> String {
    let data = dir.join("restored");
    let data_dir = format!("--data-dir={}", data.display());
    let args = [&["snapshot", "restore", text(file), &data_dir], flags].concat();
    let error = fails(kvctl(), &args);
    assert!(!data.exists(), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_backups_are_refused_with_their_place() {
    if !subject().is_kvd() {
        return;
    }
    let server = Server::of(&subject()).await;
    filled(&server).await;
    let dir = server.dir();
    let (good, bad) = (dir.join("good.db"), dir.join("bad.db"));
    let endpoints = format!("--endpoints={}", server.endpoint());
    succeeds(kvctl(), &[&endpoints, "snapshot", "save", text(&good)]);
    let bytes = fs::read(&good).expect("saved");
    let content = bytes.len() - 32;
    let skip = "--skip-hash-check";
    for page in 0..content / 4096 {
        fs::write(&bad, &bytes[..page * 4096]).expect("written");
        let error = refused(&bad, dir, &[]);
        assert!(error.contains("snapshot missing hash but --skip-hash-check=false"), "{error}");
        let error = refused(&bad, dir, &[skip]);
        assert!(error.contains("bad.db: "), "{error}");
        assert!(error.contains("the file is cut") || error.contains("this is no bbolt file"), "{error}");
        assert!(fails(kvctl(), &["snapshot", "status", text(&bad)]).contains("bad.db: "));

        let mut flipped = bytes.clone();
        flipped[page * 4096 + 5] ^= 0x10;
        fs::write(&bad, &flipped).expect("written");
        let error = refused(&bad, dir, &[]);
        assert!(error.contains("expected sha256"), "{error}");
    }
    let mut flipped = bytes.clone();
    flipped[2 * 4096 + 5] ^= 0x10;
    fs::write(&bad, &flipped).expect("written");
    assert!(refused(&bad, dir, &[]).contains("page 2 is damaged: it says that it is page"));
    // A value is not part of the structure.
    let value = bytes.windows(50).position(|bytes| bytes == [b'v'; 50]).expect("a value");
    let mut flipped = bytes.clone();
    flipped[value] = b'w';
    fs::write(&bad, &flipped).expect("written");
    let error = refused(&bad, dir, &[]);
    assert!(error.contains("expected sha256") && error.contains("hint:"), "{error}");
    // The same with a hash that is damaged itself, and other files.
    let mut other = bytes.clone();
    *other.last_mut().expect("bytes") ^= 1;
    fs::write(&bad, &other).expect("written");
    assert!(refused(&bad, dir, &[]).contains("expected sha256"));
    fs::write(&bad, vec![b'x'; 4096]).expect("written");
    assert!(refused(&bad, dir, &[skip]).contains("this is no bbolt file"));
    assert!(refused(&dir.join("nothing"), dir, &[]).contains("nothing"));

    let occupied = dir.join("occupied");
    fs::create_dir(&occupied).expect("made");
    fs::write(occupied.join("file"), "mine").expect("written");
    let flag = format!("--data-dir={}", occupied.display());
    let error = fails(kvctl(), &["snapshot", "restore", text(&good), &flag]);
    assert!(error.contains("not empty or could not be read"), "{error}");
    assert_eq!(fs::read_dir(&occupied).expect("readable").count(), 1);
    let error = refused(&good, dir, &["--initial-cluster=other=http://127.0.0.1:1"]);
    assert!(error.contains("couldn't find local name \"default\""), "{error}");
    let error = refused(&good, dir, &["--initial-advertise-peer-urls=http://127.0.0.1:1"]);
    assert!(error.contains("--initial-cluster has default=http://localhost:2380"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_is_moved_only_if_it_is_stopped_and_whole() {
    const NAME: &str = "an_etcd_is_moved_only_if_it_is_stopped_and_whole";
    if !subject().is_kvd() {
        return;
    }
    for tools in ETCDS.into_iter().filter_map(|etcd| Tools::of(NAME, etcd)) {
        let mut etcd = Setup::of(&tools.etcd()).arg("--backend-batch-interval=1h").start().await;
        filled(&etcd).await;
        let data = etcd.data_dir();
        let target = etcd.dir().join("moved");
        let flag = format!("--data-dir={}", target.display());
        let refused = || {
            let error = fails(kvctl(), &["migrate", "etcd-data", text(&data), &flag]);
            assert!(!target.exists(), "{error}");
            error
        };
        assert!(refused().contains("stop it first"));
        etcd.kill();
        // kvd names the way.
        let mut kvd = Setup::of(&subject()).bare().prepare();
        kvd.add_args(&[&format!("--data-dir={}", data.display())]);
        kvd.spawn();
        kvd.ended().await;
        assert!(kvd.log().contains("kvctl migrate etcd-data"), "{}", kvd.log());
        let wal = data.join("member/wal");
        let names = fs::read_dir(&wal).expect("there").flatten().map(|entry| entry.path());
        let log =
            names.into_iter().find(|path| path.extension().is_some_and(|end| end == "wal")).expect("a file");
        let bytes = fs::read(&log).expect("readable");
        let mut flipped = bytes.clone();
        flipped[2000] ^= 1;
        fs::write(&log, &flipped).expect("written");
        let error = refused();
        assert!(error.contains("at byte "), "{error}");
        fs::remove_file(&log).expect("removed");
        assert!(refused().contains("there is no file of an etcd's log"));
        fs::write(&log, &bytes).expect("written");
        // On a terminal, which `script` is, a bar shows how far it is.
        let line = format!("TERM=xterm {} migrate etcd-data {} {flag}", text(kvctl()), text(&data));
        let shown = succeeds(Path::new("script"), &["-qec", &line, "/dev/null"]);
        assert!(shown.contains(&format!("{}: [", data.display())), "{shown:?}");
        fs::remove_dir_all(&target).expect("made");
    }
}
