//! `kvctl edit`: a script is the editor.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kvd::api::proto::etcdserverpb as pb;

use crate::harness::{Server, subject};

struct Trial {
    server: Server,
    dir: tempfile::TempDir,
}

impl Trial {
    async fn new() -> Self {
        let server = Server::of(&subject()).await;
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("drafts")).expect("a directory");
        Trial { server, dir }
    }

    /// Edits with a script that gets the file as `$1`: exit code, output, errors.
    fn edit(&self, script: &str, args: &[&str]) -> (Option<i32>, String, String) {
        let editor = self.dir.path().join("editor");
        std::fs::write(&editor, format!("#!/bin/sh\nset -e\n{script}\n")).expect("written");
        std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvctl"));
        command.arg(format!("--endpoints={}", self.server.endpoint())).arg("edit").args(args).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // The editor has an argument of its own, which is before the file.
        command.env("EDITOR", format!("{} 2>&1", editor.display())).env("TMPDIR", self.drafts());
        command.env("KVCTL", env!("CARGO_BIN_EXE_kvctl")).env("KVCTL_ENDPOINTS", self.server.endpoint());
        let output = command.output().expect("kvctl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    fn drafts(&self) -> PathBuf {
        self.dir.path().join("drafts")
    }

    fn left(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.drafts()).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    async fn get(&self, key: &str) -> pb::RangeResponse {
        let request = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
        self.server.api().kv.range(request).await.expect("a range").into_inner()
    }

    async fn value(&self, key: &str) -> String {
        let found = self.get(key).await;
        found.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()).unwrap_or_default()
    }

    async fn put(&self, key: &str, value: impl Into<Vec<u8>>, lease: i64) {
        let (key, value) = (key.to_owned().into(), value.into().into());
        let request = pb::PutRequest { key, value, lease, ..Default::default() };
        self.server.api().kv.put(request).await.expect("a put");
    }
}

fn contents(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the draft")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_edited_and_keeps_its_lease() {
    let trial = Trial::new().await;
    let lease = pb::LeaseGrantRequest { ttl: 3000, id: 7 };
    trial.server.api().lease.lease_grant(lease).await.expect("a lease");
    trial.put("/app/name.json", "one", 7).await;
    // The draft is for its owner only, and has the key's ending.
    let check = "test \"$(stat -c %a \"$1\")\" = 600; case \"$1\" in *name.json) ;; *) exit 9;; esac";
    let (code, out, err) =
        trial.edit(&format!("{check}\ntest \"$(cat \"$1\")\" = one\necho two > \"$1\""), &["/app/name.json"]);
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "OK\n", ""));
    assert_eq!(trial.value("/app/name.json").await, "two", "without the editor's line feed");
    assert_eq!(trial.get("/app/name.json").await.kvs[0].lease, 7);
    let revision = trial.get("/app/name.json").await.kvs[0].mod_revision;
    let (code, out, err) = trial.edit("echo two > \"$1\"", &["/app/name.json"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert_eq!(err, "the value is not changed: nothing is written\n");
    assert_eq!(trial.get("/app/name.json").await.kvs[0].mod_revision, revision);
    assert_eq!(trial.edit("echo first > \"$1\"", &["/app/new"]).0, Some(0));
    assert_eq!(trial.value("/app/new").await, "first");
    assert_eq!(trial.edit("true", &["/app/none"]).0, Some(0));
    assert_eq!(trial.get("/app/none").await.count, 0, "an empty text creates nothing");
    assert!(trial.left().is_empty(), "{:?}", trial.left());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobodys_change_is_overwritten_and_no_text_is_lost() {
    let trial = Trial::new().await;
    trial.put("k", "one", 0).await;
    let (code, out, err) = trial.edit("\"$KVCTL\" put k theirs\necho mine > \"$1\"", &["k"]);
    assert_eq!((code, out.contains("OK\nOK")), (Some(1), false), "{out}");
    assert!(
        err.contains("\"k\" was changed meanwhile, at revision 3 (it was at 2): nothing is written"),
        "{err}"
    );
    assert_eq!(trial.value("k").await, "theirs");
    let kept = trial.left();
    assert!(err.contains(&format!("hint: your text is in {}\n", kept[0].display())), "{err}");
    assert_eq!(contents(&kept[0]), "mine\n");
    std::fs::remove_file(&kept[0]).expect("removed");
    let (_, _, err) = trial.edit("\"$KVCTL\" del k\necho mine > \"$1\"", &["k"]);
    assert!(err.contains("\"k\" was deleted meanwhile") && trial.get("k").await.count == 0, "{err}");
    let (_, _, err) = trial.edit("\"$KVCTL\" put k theirs\necho mine > \"$1\"", &["k"]);
    assert!(err.contains("\"k\" was created meanwhile") && trial.value("k").await == "theirs", "{err}");
    let (code, _, err) = trial.edit("echo mine > \"$1\"; exit 3", &["k"]);
    assert!(code == Some(1) && err.contains("(exit status: 3): nothing is written"), "{err}");
    assert!(err.contains("your text is in ") && trial.value("k").await == "theirs", "{err}");
    assert_eq!(trial.left().len(), 3);
    let (code, _, err) = trial.edit("exit 3", &["k"]);
    assert!(code == Some(1) && err.contains("VISUAL or EDITOR names the editor"), "{err}");
    assert_eq!(trial.left().len(), 3, "nothing was typed, so nothing is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_text_is_edited_only_if_that_is_asked_for() {
    let trial = Trial::new().await;
    trial.put("k", vec![0xff, 0x00], 0).await;
    let (code, out, err) = trial.edit("echo x > \"$1\"", &["k"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.starts_with("Error: the value of \"k\" is no text\nhint: ") && err.contains("--binary"),
        "{err}"
    );
    let (code, _, err) = trial.edit("printf '\\376\\n' > \"$1\"", &["k", "--binary"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(trial.get("k").await.kvs[0].value.as_ref(), b"\xfe\n", "byte by byte");
    for args in [&[][..], &["a", "b"], &[""]] {
        assert_eq!(trial.edit("true", args).0, Some(128), "{args:?}");
    }
    assert!(trial.left().is_empty());
}
