//! A restore that is killed at every one of its steps: what it has left is taken for a member by nobody until it is one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use kvd::api::proto::etcdserverpb as pb;
use rustix::process::Signal;

use super::{fails, kvctl, succeeds, text, to_come};
use crate::harness::{Server, heavy, strace, subject};

/// System calls that change which files there are, and those that make lasting what is in them.
const STEPS: [&str; 5] = ["mkdir", "ftruncate", "fdatasync", "rename", "rmdir"];
const REFUSED: &str = "a restore did not end: remove ";

/// The names below a directory.
fn names(dir: &Path) -> BTreeSet<PathBuf> {
    walkdir::WalkDir::new(dir).min_depth(1).into_iter().flatten().map(|entry| entry.into_path()).collect()
}

/// Restores for `member`, and is killed when it enters this system call for the n-th time.
fn killed_at(member: &Server, file: &Path, call: &str, nth: usize) -> ExitStatus {
    let peer = member.peer_url();
    let mut restore = Command::new("strace");
    restore.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    restore.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]).arg(kvctl());
    restore.args(["snapshot", "restore", text(file), "--name=node", &data_dir(member)]);
    restore.args([format!("--initial-cluster=node={peer}"), format!("--initial-advertise-peer-urls={peer}")]);
    restore.output().expect("strace runs").status
}

fn data_dir(member: &Server) -> String {
    format!("--data-dir={}", member.data_dir().display())
}

/// A member whose directory has its name serves all keys.
async fn serves(member: &mut Server) {
    member.start().await;
    let all = pb::RangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
    assert_eq!(member.api().kv.range(all).await.expect("a range").into_inner().count, 100);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restore_leaves_that_is_killed_at_any_step_is_no_member() {
    let test = "what_a_restore_leaves_that_is_killed_at_any_step_is_no_member";
    if !subject().is_kvd() || !strace(test) {
        return;
    }
    let _turn = heavy().await;
    let server = Server::of(&subject()).await;
    for key in 0..100 {
        let put = pb::PutRequest { key: format!("k{key}").into(), value: "v".into(), ..Default::default() };
        server.api().kv.put(put).await.expect("a put");
    }
    let file = server.dir().join("good.db");
    succeeds(kvctl(), &[&format!("--endpoints={}", server.endpoint()), "snapshot", "save", text(&file)]);
    let mut member = to_come(&subject());
    let data = member.data_dir();
    let stage = data.join("restoring");
    let mut tried = BTreeSet::new();
    let (mut steps, mut complete) = (0, 0);
    for call in STEPS {
        for nth in 1.. {
            let status = killed_at(&member, &file, call, nth);
            let is_killed = status.signal() == Some(Signal::KILL.as_raw());
            assert!(is_killed || status.success(), "{call} {nth}: {status}");
            let left = names(&data);
            if data.join("member").exists() {
                // After the last step of all it is one.
                if is_killed {
                    complete += 1;
                    serves(&mut member).await;
                }
                assert!(!stage.exists(), "{call} {nth}");
            } else if stage.exists() && tried.insert(left.clone()) {
                let error = fails(kvctl(), &["snapshot", "restore", text(&file), &data_dir(&member)]);
                assert!(error.contains(REFUSED) && error.contains(text(&stage)), "{call} {nth}: {error}");
                member.spawn();
                assert!(!member.ended().await.success(), "{call} {nth}: {left:?}");
                assert!(member.log().contains(REFUSED), "{call} {nth}: {}", member.log());
                assert_eq!(names(&data), left, "what is left stays as it is");
            } else if !stage.exists() {
                assert!(left.is_empty(), "{call} {nth}: {left:?}");
            }
            let _ = fs::remove_dir_all(&data);
            if !is_killed {
                break;
            }
            steps += 1;
        }
    }
    println!("killed at {steps} steps, which left {} states of no member", tried.len());
    assert!(steps >= 20 && tried.len() >= 5 && complete > 0, "{steps} steps, {tried:?}, {complete}");
}
