//! `kvctl diff`: two clusters, a backup and a cluster, two backups.

use std::path::Path;
use std::process::Command;

use kvd::api::proto::etcdserverpb as pb;
use serde_json::Value;

use crate::harness::{Server, subject};

/// What `kvctl diff` prints, and its exit code; files that it needs for a while go to `scratch`.
fn diff(scratch: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvctl"));
    command.arg("diff").args(args).env_clear().env("TMPDIR", scratch);
    let output = command.output().expect("kvctl runs");
    let left = std::fs::read_dir(scratch).expect("a directory").count();
    assert_eq!(left, 0, "nothing stays behind");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
}

async fn put(member: &Server, key: &str, value: impl Into<Vec<u8>>, lease: i64) {
    let (key, value) = (key.to_owned().into(), value.into().into());
    let request = pb::PutRequest { key, value, lease, ..Default::default() };
    member.api().kv.put(request).await.expect("a put");
}

/// Many keys: they do not fit into one page.
async fn fill(member: &Server) {
    for first in (0..500).step_by(100) {
        let put = |at: i32| {
            let (key, value) = (format!("/many/{at:05}").into(), format!("value {at}").into());
            let put = pb::PutRequest { key, value, ..Default::default() };
            pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }
        };
        let success = (first..first + 100).map(put).collect();
        let request = pb::TxnRequest { success, ..Default::default() };
        member.api().kv.txn(request).await.expect("put");
    }
}

fn save(member: &Server, file: &str) {
    let endpoints = format!("--endpoints={}", member.endpoint());
    let saved =
        Command::new(env!("CARGO_BIN_EXE_kvctl")).args([&endpoints, "snapshot", "save", file]).output();
    assert!(saved.expect("kvctl runs").status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_and_backups_are_compared() {
    let scratch = tempfile::tempdir().expect("a directory");
    let files = tempfile::tempdir().expect("a directory");
    let file = files.path().join("a.db").display().to_string();
    let (a, b) = (Server::of(&subject()).await, Server::of(&subject()).await);
    for member in [&a, &b] {
        fill(member).await;
        put(member, "/z", "same", 0).await;
    }
    save(&a, &file);
    let sides = [a.endpoint().to_string(), b.endpoint().to_string()];
    for [left, right] in [[&sides[0], &sides[1]], [&file, &sides[1]], [&file, &file]] {
        let (code, out, err) = diff(scratch.path(), &[left, right]);
        assert_eq!((code, out.as_str()), (0, ""), "{left} {right}: {err}");
        assert_eq!(err, "0 only in A, 0 only in B, 0 differ, 501 are the same\n");
    }
    let lease = pb::LeaseGrantRequest { ttl: 3000, id: 0x7b };
    b.api().lease.lease_grant(lease).await.expect("a lease");
    put(&b, "/many/00007", "other", 0).await;
    put(&b, "/many/00008", vec![0xff; 50], 0).await;
    put(&b, "/new", "key", 0).await;
    put(&b, "/z", "same", 0x7b).await;
    let delete = pb::DeleteRangeRequest { key: "/many/00300".into(), ..Default::default() };
    b.api().kv.delete_range(delete).await.expect("deleted");
    let expected = "differs: \"/many/00007\": value \"value 7\", \"other\"\n\
                    differs: \"/many/00008\": value 7 bytes, 50 bytes, from byte 1 on\n\
                    only in A: \"/many/00300\"\nonly in B: \"/new\"\n";
    for left in [&sides[0], &file] {
        let (code, out, err) = diff(scratch.path(), &[left, &sides[1]]);
        assert_eq!((code, out.as_str()), (1, expected), "{left}");
        assert_eq!(err, "1 only in A, 1 only in B, 2 differ, 498 are the same\n");
    }
    let (code, out, _) = diff(scratch.path(), &[&file, &sides[1], "--prefix=/z", "--versions", "--leases"]);
    let expected = "differs: \"/z\": version 1, 2; mod_revision 7, 11; lease 0, 7b\n";
    assert_eq!((code, out.as_str()), (1, expected));
    assert_eq!(diff(scratch.path(), &[&file, &sides[1], "--prefix=/z"]).0, 0);
    let (code, out, err) = diff(scratch.path(), &[&sides[1], &file, "-w", "json", "--text"]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!((code, lines.len(), err.as_str()), (1, 5, ""));
    assert_eq!((&lines[0]["key"], &lines[0]["a"]["value"]), (&"/many/00007".into(), &"other".into()));
    assert_eq!(lines[0]["differs"], serde_json::json!(["value"]));
    assert!(lines[3]["b"].is_null() && lines[3]["a"]["value"] == "key", "{out}");
    assert_eq!(lines[4], serde_json::json!({"onlyInA": 1, "onlyInB": 1, "differing": 2, "same": 498}));
}

/// Whoever moves has users in one cluster and none, or others, in the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_side_has_its_own_user() {
    let scratch = tempfile::tempdir().expect("a directory");
    let (a, b) = (Server::of(&subject()).await, Server::of(&subject()).await);
    for (member, password) in [(&a, "of a"), (&b, "of b")] {
        put(member, "k", "v", 0).await;
        let auth = &member.api().auth;
        let root = pb::AuthUserAddRequest {
            name: "root".to_owned(),
            password: password.to_owned(),
            ..Default::default()
        };
        auth.clone().user_add(root).await.expect("a user");
        let grant = pb::AuthUserGrantRoleRequest { user: "root".to_owned(), role: "root".to_owned() };
        auth.clone().user_grant_role(grant).await.expect("a role");
        auth.clone().auth_enable(pb::AuthEnableRequest {}).await.expect("authentication");
    }
    let sides = [a.endpoint().to_string(), b.endpoint().to_string()];
    let compared = |more: &[&str]| {
        let args = [&[sides[0].as_str(), &sides[1], "--user=root:of a"], more].concat();
        diff(scratch.path(), &args)
    };
    let (code, out, err) = compared(&["--dest-user=root:of b"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "", "0 only in A, 0 only in B, 0 differ, 1 are the same\n")
    );
    assert_eq!(compared(&["--dest-user=root", "--dest-password=of b"]).0, 0);
    for more in [&[][..], &["--dest-user=root:of a"], &["--dest-cert=/nowhere/a.pem"]] {
        let (code, _, err) = compared(more);
        assert!(code == 2 && err.starts_with("Error: "), "{more:?}: {code} {err}");
    }
}

#[test]
fn what_cannot_be_compared_is_trouble() {
    let scratch = tempfile::tempdir().expect("a directory");
    let trouble = |args: &[&str], text: &str| {
        let (code, out, err) = diff(scratch.path(), args);
        assert!(code == 2 && out.is_empty() && err.contains(text), "{args:?}: {code} {out} {err}");
    };
    let damaged = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(damaged.path(), vec![7; 8192]).expect("written");
    let damaged = damaged.path().display().to_string();
    trouble(&["a:1"], "diff takes two arguments");
    trouble(&["a:1", "b:1", "--nonsense"], "--nonsense");
    trouble(&["a:1", "b:1", "--versions=perhaps"], "invalid argument");
    trouble(&["/nowhere/a.db", "127.0.0.1:1"], "/nowhere/a.db: ");
    trouble(&["127.0.0.1:1", "127.0.0.1:1"], "Error: ");
    trouble(&["no-file.db", "127.0.0.1:1"], "hint: there is no file no-file.db here");
    trouble(&[&damaged, &damaged], &damaged);
    trouble(&["127.0.0.1:1", "127.0.0.1:1", "-w", "table"], "table not supported");
}

/// A copy of a backup has all its values, and would stay where everybody's files are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_ends_a_comparison_leaves_no_copy_of_a_backup() {
    let scratch = tempfile::tempdir().expect("a directory");
    let files = tempfile::tempdir().expect("a directory");
    let file = files.path().join("a.db").display().to_string();
    let a = Server::of(&subject()).await;
    put(&a, "k", "v", 0).await;
    save(&a, &file);
    // It accepts, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = silent.local_addr().expect("an address").to_string();
    let child = Command::new(env!("CARGO_BIN_EXE_kvctl"))
        .args(["diff", &file, &endpoint, "--dial-timeout=60s", "--command-timeout=60s"])
        .env_clear()
        .env("TMPDIR", scratch.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("kvctl runs");
    let _connection = silent.accept().expect("it connects");
    let copies = || std::fs::read_dir(scratch.path()).expect("a directory").count();
    assert_eq!(copies(), 1);
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("an id");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let ended = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(2) && text.contains("interrupted"), "{:?}: {text}", ended.status);
    assert_eq!(copies(), 0);
}
