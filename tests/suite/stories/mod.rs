//! etcdctl's own stories: each script in this directory runs against a fresh kvd and a fresh etcd, with
//! etcdctl of three versions; what it prints (output, errors, exit codes) must be the same.
//!
//! A script is bash with the functions of `prelude.sh`. A line `# server: FLAGS` gives the servers more flags, `#
//! clients: VERSIONS` restricts the versions of etcdctl, `# reference: VERSION` names an etcd, and `# reference-server: FLAGS`
//! are flags for it alone. `normal` removes what differs between any two servers: ids,
//! times, ports, raft terms and indexes.

mod kvctl;
mod normal;

use crate::harness::{PATIENCE, PATIENT, Program, Server, Setup, heavy, reference, subject, tool};
use kvd::api::proto::etcdserverpb::StatusRequest;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const VERSIONS: [&str; 3] = ["3.7.3", "3.5.1", "3.4.23"];

macro_rules! stories {
    ($($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                tell(stringify!($name)).await;
            }
        )*
    };
}

stories!(authentication compaction delete every_member formats get kv lease lock maintenance members mirror quota snapshot txn v2 watch);

/// Runs a story with every version of etcdctl.
async fn tell(name: &str) {
    let script = directory().join(format!("{name}.sh"));
    let text = std::fs::read_to_string(&script).expect("a story is a script in this directory");
    let named = header(&text, "reference");
    if named.as_deref().is_some_and(|version| tool(name, version, "etcd").is_none()) {
        return;
    }
    let Some(reference) = named.map(Program::Etcd).or_else(|| reference(name)) else { return };
    let wanted = header(&text, "clients").unwrap_or_default();
    for version in VERSIONS {
        if !wanted.is_empty() && !wanted.split_whitespace().any(|word| word == version) {
            continue;
        }
        let Some(client) = tool(name, version, "etcdctl") else { continue };
        let subject = subject();
        let flags = header(&text, "server").unwrap_or_default();
        let more = header(&text, "reference-server").unwrap_or_default();
        let those = format!("{flags} {more}");
        let (expected, got) = tokio::join!(
            performance(&reference, &script, &client, &those),
            performance(&subject, &script, &client, &flags),
        );
        if expected != got {
            panic!("{name} with etcdctl {version}: {}", difference(&expected, &got));
        }
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/stories")
}

/// The rest of a line `# KEY: ...`.
fn header(text: &str, key: &str) -> Option<String> {
    let start = format!("# {key}:");
    text.lines().find_map(|line| line.strip_prefix(&start)).map(|rest| rest.trim().to_owned())
}

/// The script's output against a fresh server, normalised.
async fn performance(program: &Program, script: &Path, client: &Path, flags: &str) -> String {
    let mut setup = Setup::of(program);
    for flag in flags.split_whitespace() {
        setup = setup.arg(flag);
    }
    let server = setup.start().await;
    let status = server.api().maintenance.clone().status(StatusRequest {}).await;
    let header = status.expect("a started server has a status").into_inner().header.unwrap_or_default();
    let printed = perform(&server, script, client).await;
    let mut normal = normal::Normal::new(&server);
    normal.name(header.member_id, "MEMBER");
    normal.name(header.cluster_id, "CLUSTER");
    normal.text(&printed)
}

async fn perform(server: &Server, script: &Path, client: &Path) -> String {
    let work = server.dir().join("story");
    std::fs::create_dir(&work).expect("a directory for the story");
    let reference = client.with_file_name("etcdutl");
    let output = tokio::process::Command::new("bash")
        .arg("-euc")
        .arg("source \"$1\"; source \"$2\"")
        .arg("story")
        .arg(directory().join("prelude.sh"))
        .arg(script)
        .current_dir(&work)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("ETCDCTL", client)
        .env("ETCDUTL", reference)
        .env("ETCDCTL_ENDPOINTS", server.endpoint())
        .envs(PATIENT)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(4 * PATIENCE, output).await;
    let output = output.expect("the story ends").expect("bash runs");
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if !errors.is_empty() {
        printed.push_str(&format!("{errors}\n"));
    }
    // Two sides that give up at the same place are equal, and have shown nothing.
    let (status, story, client) = (output.status, script.display(), client.display());
    assert!(status.success(), "{story} with {client} did not come to its end: {status}\n{printed}");
    printed
}

/// The first line that differs, with the command that printed it.
fn difference(expected: &str, got: &str) -> String {
    let expected: Vec<&str> = expected.lines().collect();
    let got: Vec<&str> = got.lines().collect();
    let same = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let from = expected[..same].iter().rposition(|line| line.starts_with("$ ")).unwrap_or(same);
    let show = |lines: &[&str]| lines[from.min(lines.len())..(same + 6).min(lines.len())].join("\n");
    format!("line {same} differs\n--- etcd prints\n{}\n--- got\n{}\n---", show(&expected), show(&got))
}

/// `check perf` is a load of one minute with a verdict on the machine; here it must only reach a verdict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_perf_and_datascale_run() {
    let Some(client) = tool("check_perf_and_datascale_run", "3.7.3", "etcdctl") else { return };
    let server = Server::of(&subject()).await;
    let check = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(&client);
        command.args(args).env("ETCDCTL_ENDPOINTS", server.endpoint()).envs(PATIENT).kill_on_drop(true);
        let output = command.output().await.expect("etcdctl runs");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let said = check(&["check", "perf"]).await;
    assert!(said.contains("Throughput") && said.contains("Stddev"), "{said}");
    assert!(!said.contains("too many errors"), "{said}");
    let _turn = heavy().await;
    let said = check(&["check", "datascale", "--auto-compact", "--auto-defrag"]).await;
    assert!(said.contains("PASS: Approximate system memory used"), "{said}");
}
