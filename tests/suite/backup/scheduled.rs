//! Backups that members take by themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::picture::{fill, picture};
use super::{ETCDS, Tools, fails, kvctl, restore_by, succeeds, text, to_come};
use crate::harness::{PATIENCE, Server, Setup, Three, page, skip, subject, until};

/// The backups in a directory, the oldest first.
fn backups(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kvd-")))
        .collect();
    paths.sort();
    paths
}

/// A member's own directory.
fn directory(member: &Server) -> PathBuf {
    member.dir().join("backups")
}

fn socket(member: &Server) -> String {
    format!("--admin-socket={}", member.dir().join("admin.sock").display())
}

/// Prepares a member that takes backups so often.
fn taking(every: &'static str) -> impl Fn(usize, &mut Server) {
    move |_, member| {
        let (directory, socket) = (directory(member), socket(member));
        let (directory, every) =
            (format!("--backup-directory={}", directory.display()), format!("--backup-every={every}"));
        member.add_args(&[&directory, &every, &socket]);
    }
}

fn counts(three: &Three) -> Vec<usize> {
    three.0.iter().map(|member| backups(&directory(member)).len()).collect()
}

/// One of three takes it. One that was missed is taken after the start, again by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_takes_a_backup_and_what_was_missed_is_caught_up() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start_with(taking("1h")).await;
    until("a backup", || counts(&three).iter().sum::<usize>() == 1).await;
    let taker = counts(&three).iter().position(|count| *count == 1).expect("one");
    // It counts once it has its name.
    let begun = Instant::now();
    let metrics = loop {
        let metrics = page(&three.0[taker], "/metrics").await;
        if metrics.contains("kvd_backup_success_total 1\n") {
            break metrics;
        }
        assert!(begun.elapsed() < PATIENCE, "{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(metrics.contains("kvd_backup_last_timestamp_seconds "));
    let file = backups(&directory(&three.0[taker])).remove(0);
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(succeeds(kvctl(), &["backup", "verify", text(&file)]).contains(" is whole: revision "));
    for member in &mut three.0 {
        member.kill();
    }
    // Two hours go by.
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let mut parts: Vec<&str> = name.split('-').collect();
    parts[2] = "20200101T000000Z";
    fs::rename(&file, file.with_file_name(parts.join("-"))).expect("renamed");
    for member in &mut three.0 {
        member.spawn();
    }
    until("the one that was missed", || counts(&three).iter().sum::<usize>() == 2).await;
}

/// The member that takes them is killed for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_member_takes_over_from_one_that_is_away() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start_with(taking("3s")).await;
    until("a backup", || counts(&three).iter().any(|count| *count > 0)).await;
    let taker = counts(&three).iter().position(|count| *count > 0).expect("one");
    three.0[taker].kill();
    let before = counts(&three);
    until("a backup of another member", || {
        let now = counts(&three);
        (0..3).any(|member| member != taker && now[member] > before[member])
    })
    .await;
}

/// A member alone, with more flags.
async fn alone(more: &[&str]) -> Server {
    let mut server = Setup::of(&subject()).prepare();
    let (directory, socket) = (directory(&server), socket(&server));
    server.add_args(&[&format!("--backup-directory={}", directory.display()), &socket]);
    server.add_args(more);
    server.start().await;
    server
}

/// kvctl and etcd restore it, compressed or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_was_asked_for_is_restored_by_kvd_and_by_etcd() {
    const NAME: &str = "a_backup_that_was_asked_for_is_restored_by_kvd_and_by_etcd";
    if !subject().is_kvd() {
        return;
    }
    let Some(tools) = Tools::of(NAME, ETCDS[0]) else { return };
    for compress in ["none", "gzip"] {
        let server = alone(&[&format!("--backup-compress={compress}")]).await;
        let compacted = fill(&server).await;
        let before = picture(&server, compacted).await;
        let file = succeeds(kvctl(), &["backup", "now", &socket(&server)]).trim().to_string();
        assert_eq!(file.ends_with(".db.gz"), compress == "gzip", "{file}");
        let listed = succeeds(kvctl(), &["backup", "list", text(&directory(&server))]);
        assert!(listed.lines().last().is_some_and(|line| line.ends_with(&file)), "{listed}");
        let mut by_kvd = to_come(&subject());
        restore_by(kvctl(), &["snapshot", "restore", &file], &by_kvd);
        by_kvd.start().await;
        assert_eq!(picture(&by_kvd, compacted).await, before, "{compress}");
        let plain = server.dir().join("plain.db");
        match compress {
            "gzip" => {
                let output = Command::new("gzip").args(["-dc", &file]).output().expect("gzip runs");
                fs::write(&plain, output.stdout).expect("written");
            }
            _ => drop(fs::copy(&file, &plain).expect("copied")),
        }
        let mut by_etcd = to_come(&tools.etcd());
        restore_by(&tools.restores, &["snapshot", "restore", text(&plain)], &by_etcd);
        by_etcd.start().await;
        assert_eq!(picture(&by_etcd, compacted).await, before, "{compress}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_found_by_verify_and_a_bad_directory_has_one_clear_error() {
    const NAME: &str = "a_damaged_backup_is_found_by_verify_and_a_bad_directory_has_one_clear_error";
    if !subject().is_kvd() {
        return;
    }
    let server = alone(&[]).await;
    fill(&server).await;
    let file = succeeds(kvctl(), &["backup", "now", &socket(&server)]).trim().to_string();
    let mut bytes = fs::read(&file).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).expect("written");
    let err = fails(kvctl(), &["backup", "verify", &file]);
    assert!(err.contains("expected sha256 ") && err.contains("cannot be restored"), "{err}");
    // Others may write to it.
    let directory = directory(&server);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("set");
    let err = fails(kvctl(), &["backup", "now", &socket(&server)]);
    let why = format!("{}: other users may write to it (mode 0777): chmod go-w it", directory.display());
    assert_eq!(err, format!("Error: no backup was taken: {why}\n"));
    assert!(server.log().contains(&format!("no backup was taken: {why}")), "{}", server.log());
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("set");
    // A disk that is full, and one that cannot be written.
    for (options, words) in [
        ("size=1m,mode=0700", "bytes are free, and a backup needs"),
        ("ro,mode=0700", "Read-only file system"),
    ] {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "kvd-test"]).arg(&directory).output();
        match mount {
            Ok(output) if output.status.success() => {}
            _ => return skip(NAME, "no mount"),
        }
        let err = fails(kvctl(), &["backup", "now", &socket(&server)]);
        let left = backups(&directory);
        let done = Command::new("umount").arg("-l").arg(&directory).output().expect("umount runs");
        assert!(done.status.success() && left.is_empty(), "{left:?}");
        assert!(err.contains(words) && err.contains(text(&directory)), "{err}");
    }
    succeeds(kvctl(), &["backup", "now", &socket(&server)]);
    let none = Setup::of(&subject()).start().await;
    let err = fails(kvctl(), &["backup", "now", &socket(&none)]);
    assert!(err.contains("hint: is kvd running on this machine?"), "{err}");
}
