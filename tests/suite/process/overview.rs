//! The commands by which an operator sees what a cluster does and holds: `kvctl status`, `space` and `check`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use kvd::api::proto::etcdserverpb as pb;
use serde_json::Value;

use crate::harness::{PATIENT, Server, Three, heavy, subject, tool};

fn kvctl(member: &Server, args: &[&str]) -> Output {
    let endpoints = format!("--endpoints={}", member.endpoint());
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvctl"));
    command.arg(endpoints).args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.output().expect("kvctl runs")
}

fn shown(member: &Server, args: &[&str]) -> String {
    let output = kvctl(member, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

async fn put(member: &Server, key: &str, length: usize) -> i64 {
    let request =
        pb::PutRequest { key: key.to_owned().into(), value: vec![b'v'; length].into(), ..Default::default() };
    member.api().kv.put(request).await.expect("a put").into_inner().header.expect("a header").revision
}

/// Live keys, and what only the history holds, before and after a compaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_is_counted_by_prefix_with_what_the_history_holds() {
    let server = Server::of(&subject()).await;
    for _ in 0..3 {
        put(&server, "/a/x", 100).await;
    }
    put(&server, "/a/deep/y", 50).await;
    put(&server, "/b/z", 7).await;
    put(&server, "flat", 1).await;
    let delete = pb::DeleteRangeRequest { key: "/b/z".into(), ..Default::default() };
    let deleted = server.api().kv.delete_range(delete).await.expect("deleted").into_inner();
    let space = |args: &[&str]| -> Value {
        let args = [&["space", "-w", "json"], args].concat();
        serde_json::from_str(&shown(&server, &args)).expect("json")
    };
    let numbers = |found: &Value| {
        ["keys", "bytes", "oldVersions", "oldBytes"].map(|name| found[name].as_u64().expect(name))
    };
    // Two versions of /a/x, the put and the deletion of /b/z.
    let all = space(&[]);
    assert_eq!(numbers(&all), [3, 104 + 59 + 5, 4, 2 * 104 + 11 + 4]);
    let prefixes = all["prefixes"].as_array().expect("prefixes");
    assert_eq!(prefixes[0]["prefix"], "L2Ev", "/a/ takes the most: {prefixes:?}");
    assert_eq!(numbers(&prefixes[0]), [2, 163, 2, 208]);
    assert_eq!(numbers(&space(&["/a/"])), [2, 163, 2, 208]);
    assert_eq!(numbers(&space(&["--history=false"])), [3, 168, 0, 0]);
    assert!(shown(&server, &["space", "--depth=2"]).contains("\"/a/deep/\"\n"));
    let revision = deleted.header.expect("a header").revision;
    let compact = pb::CompactionRequest { revision, physical: true };
    server.api().kv.compact(compact).await.expect("compacted");
    assert_eq!(numbers(&space(&[])), [3, 168, 0, 0]);
    put(&server, "/a/x", 10).await;
    // What was live at the compaction stays in the history until the next one.
    assert_eq!(numbers(&space(&[])), [3, 78, 1, 104]);
    put(&server, "/a/x", 10).await;
    assert_eq!(numbers(&space(&[])), [3, 78, 2, 118]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_all_members_and_warns_of_the_one_that_is_away() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    let leader = three.leader().await;
    let screen = shown(&three.0[0], &["status"]);
    assert!(screen.contains(&format!("3 members, version 3.7.0, leader m{leader}, term ")), "{screen}");
    assert_eq!(
        (screen.matches(" leader ").count(), screen.matches(" follower ").count()),
        (2, 2),
        "{screen}"
    );
    assert!(!screen.contains("warning: "), "{screen}");
    let away = (leader + 1) % 3;
    three.0[away].kill();
    let screen = shown(&three.0[leader], &["status"]);
    assert!(screen.contains(&format!("warning: m{away} does not answer: http")), "{screen}");
    assert!(screen.contains("warning: no other member may be lost: the quorum goes with it"), "{screen}");
    assert!(
        screen.lines().filter(|line| !line.starts_with("warning")).all(|line| line.chars().count() <= 80)
    );
}

/// On a terminal, which `script` is, kvctl asks; elsewhere it does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_undone_is_asked_on_a_terminal() {
    let server = Server::of(&subject()).await;
    let on_terminal = |arguments: &str, typed: &str| -> (Option<i32>, String) {
        let line = format!("{} --endpoints={} {arguments}", env!("CARGO_BIN_EXE_kvctl"), server.endpoint());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = script.spawn().expect("script runs");
        running.stdin.take().expect("piped").write_all(typed.as_bytes()).expect("typed");
        let output = running.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let count =
        || shown(&server, &["get", "k", "--prefix", "--keys-only"]).lines().filter(|l| !l.is_empty()).count();
    put(&server, "k1", 1).await;
    put(&server, "k2", 1).await;
    let (code, said) = on_terminal("del k --prefix", "n\n");
    assert!(code == Some(1) && said.contains("Delete all keys of this range? [y/N]"), "{code:?} {said}");
    assert!(said.contains("nothing was changed") && count() == 2, "{said}");
    let (code, said) = on_terminal("del k1", "");
    assert!(code == Some(0) && !said.contains('?'), "one key: {code:?} {said}");
    let (code, said) = on_terminal("del k --prefix", "y\n");
    assert!(code == Some(0) && count() == 0, "{code:?} {said}");
    put(&server, "k1", 1).await;
    let (code, said) = on_terminal("del k --prefix --yes", "");
    assert!(code == Some(0) && !said.contains('?') && count() == 0, "{code:?} {said}");
    put(&server, "k1", 1).await;
    assert_eq!(shown(&server, &["del", "k", "--prefix"]), "1\n", "a script is not asked");
    if subject().is_kvd() {
        let id = pb::MemberListRequest { linearizable: true };
        let list = server.api().cluster.member_list(id).await.expect("a list").into_inner();
        let (code, said) = on_terminal(&format!("member remove {:x}", list.members[0].id), "\n");
        assert!(code == Some(1) && said.contains("0 of the 0 other voters answer"), "{code:?} {said}");
    }
}

#[test]
fn a_mistyped_command_is_answered_with_what_may_be_meant() {
    let said = |line: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kvctl")).args(line).output().expect("kvctl runs");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said(&["ptu", "a", "b"]).ends_with("hint: did you mean put?\n"));
    assert!(said(&["member", "lst"]).contains("'list'"));
    assert!(said(&["get", "a", "--prefx"]).contains("'--prefix'"));
    assert!(!said(&["nonsense"]).contains("mean"));
}

/// The lines are etcdctl's; whether a loaded machine passes is not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_write_measure_and_clean_up() {
    let _turn = heavy().await;
    let server = Server::of(&subject()).await;
    let output = kvctl(&server, &["check", "perf"]);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    // Requests that were not answered in time come first.
    let is_error =
        |line: &&str| line.starts_with("FAIL: too many errors") || line.starts_with("FAIL: ERROR(");
    let lines: Vec<&str> = out.lines().skip_while(is_error).collect();
    assert_eq!(lines.len(), 4, "{out}");
    for (line, word) in lines.iter().zip(["hroughput", "Slowest request took", "Stddev"]) {
        assert!(line.contains(word), "{out}");
    }
    assert_eq!(lines[3] == "PASS", output.status.success(), "{out}");
    put(&server, "/etcdctl-check-perf/mine", 1).await;
    let refused = kvctl(&server, &["check", "perf"]);
    assert_eq!(refused.status.code(), Some(3));
    let err = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        err.starts_with("Error: prefix \"/etcdctl-check-perf/\" has keys. Delete with 'etcdctl del"),
        "{err}"
    );
    for kind in ["perf", "datascale"] {
        let refused = kvctl(&server, &["check", kind, "--prefix", ""]);
        let err = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{err}");
        assert!(err.starts_with("Error: --prefix must not be empty"), "{err}");
    }
    let out = shown(&server, &["check", "datascale"]);
    let start = "Start data scale check for work load [10000 key-value pairs, 1024 bytes per key-value, 50 concurrent \
                 clients].\nPASS: Approximate system memory used : ";
    assert!(out.starts_with(start) && out.ends_with(" MB.\n"), "{out}");
    if let Some(etcdctl) = tool("checks_write_measure_and_clean_up", "3.7.3", "etcdctl") {
        let without_numbers =
            |text: &str| text.replace(|c: char| c.is_ascii_digit() || c == '.' || c == '-', "");
        let mut command = Command::new(etcdctl);
        command.args([&format!("--endpoints={}", server.endpoint()), "check", "datascale"]).envs(PATIENT);
        let theirs = command.output().expect("etcdctl runs");
        assert_eq!(without_numbers(&String::from_utf8_lossy(&theirs.stdout)), without_numbers(&out));
    }
    let left = shown(&server, &["get", "/etcdctl", "--prefix", "--keys-only"]);
    assert_eq!(left.trim(), "/etcdctl-check-perf/mine");
}

/// Every finding that is not well has a hint; a member that is away is a failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_what_to_do() {
    if !subject().is_kvd() {
        return;
    }
    let mut three = Three::start().await;
    let examined = |member: &Server| -> Value {
        let output = kvctl(member, &["doctor", "-w", "json"]);
        let found: Value = serde_json::from_slice(&output.stdout).expect("json");
        assert_eq!(output.status.success(), found["worst"] != "fail", "{found}");
        found
    };
    let texts = |found: &Value| -> Vec<String> {
        let findings = found["findings"].as_array().expect("findings").iter();
        findings
            .map(|one| format!("{} {}: {} {}", one["grade"], one["whom"], one["what"], one["hint"]))
            .collect()
    };
    let leader = three.leader().await;
    let found = texts(&examined(&three.0[leader]));
    assert!(found.iter().any(|text| text.contains("3 voters answer; 1 may fail")), "{found:?}");
    assert!(found.iter().any(|text| text.contains("the clocks of 3 members agree to ")), "{found:?}");
    let reached =
        found.iter().filter(|text| text.starts_with("\"ok\"") && text.contains("/udp can be reached"));
    assert_eq!(reached.count(), 3, "{found:?}");
    let away = (leader + 1) % 3;
    three.0[away].kill();
    let found = examined(&three.0[leader]);
    assert_eq!(found["worst"], "fail");
    let found = texts(&found);
    let silent = format!("\"fail\" \"m{away}\": \"does not answer: ");
    assert!(
        found.iter().any(|text| text.starts_with(&silent) && text.contains("systemctl status kvd")),
        "{found:?}"
    );
    let nobody =
        Command::new(env!("CARGO_BIN_EXE_kvctl")).args(["--endpoints=127.0.0.1:1", "doctor"]).output();
    let nobody = nobody.expect("kvctl runs");
    assert_eq!(nobody.status.code(), Some(1));
    let out = String::from_utf8_lossy(&nobody.stdout).into_owned();
    assert!(out.starts_with("fail  cluster: ") && out.contains("\n      hint: "), "{out}");
}
