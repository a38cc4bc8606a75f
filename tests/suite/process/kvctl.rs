//! kvctl compared with etcdctl 3.7: against the same member both print the same and exit with the same code.

use crate::harness::{Server, Setup, free_port, subject, tool};
use kvd::api::proto::etcdserverpb::{MemberAddRequest, PutRequest};
use std::path::Path;
use std::process::{Command, Output};

/// A program's output, without what differs from run to run: times, and the lines of etcdctl's log.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    out: String,
    err: Vec<String>,
}

impl Said {
    fn of(output: Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let err = text(&output.stderr);
        // etcdctl logs its retries as JSON; kvctl prints a hint.
        let own = err.lines().filter(|line| !line.starts_with('{') && !line.starts_with("hint: "));
        Said {
            code: output.status.code(),
            out: without_times(&text(&output.stdout)),
            err: own.map(without_times).collect(),
        }
    }
}

/// Replaces Go durations, and table columns whose width depends on them, by one word.
fn without_times(text: &str) -> String {
    let mut normal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        normal.push_str(before);
        let number = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
        let (digits, behind) = from.split_at(number);
        let unit = ["ms", "\u{b5}s", "ns", "s"].into_iter().find(|unit| {
            behind.strip_prefix(unit).is_some_and(|end| !end.starts_with(|c: char| c.is_ascii_alphanumeric()))
        });
        match unit {
            Some(unit) => {
                normal.push_str("TIME");
                rest = &behind[unit.len()..];
            }
            None => {
                normal.push_str(digits);
                rest = behind;
            }
        }
    }
    normal.push_str(rest);
    let lines = normal.lines().map(|line| match line.contains('│') || line.contains('─') {
        true => line.replace(['─', ' '], ""),
        false => line.to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn run(program: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.output().expect("the program runs")
}

/// Compares the two. etcdctl runs before and after kvctl: an answer that changed in between is not compared.
fn compare(etcdctl: &Path, args: &[&str]) {
    let kvctl = Path::new(env!("CARGO_BIN_EXE_kvctl"));
    for _ in 0..20 {
        let before = Said::of(run(etcdctl, args));
        let mine = Said::of(run(kvctl, args));
        let after = Said::of(run(etcdctl, args));
        if before == after {
            assert_eq!(mine, before, "kvctl {args:?} (left) and etcdctl (right)");
            return;
        }
    }
    panic!("{args:?} never gave the same answer twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kvctl_prints_what_etcdctl_prints() {
    let Some(etcdctl) = tool("kvctl_prints_what_etcdctl_prints", "3.7.3", "etcdctl") else { return };
    let server = Server::of(&subject()).await;
    let put = PutRequest { key: "k".into(), value: vec![b'v'; 70_000].into(), ..Default::default() };
    server.api().kv.put(put).await.expect("a put");
    let good = server.endpoint();
    let twice = format!("{good},{}", server.url());
    let half = format!("{good},127.0.0.1:{}", free_port());
    for command in [&["endpoint", "health"][..], &["endpoint", "status"], &["member", "list"]] {
        for format in ["simple", "table", "json", "fields", "protobuf", "nonsense"] {
            for endpoints in [&good, &twice] {
                if command[1] == "health" && endpoints == &twice {
                    // etcdctl prints the health of several endpoints in no particular order.
                    continue;
                }
                let flags = [&format!("--endpoints={endpoints}"), "-w", format];
                compare(&etcdctl, &[command, &flags[..]].concat());
            }
            compare(&etcdctl, &[command, &["--hex", "-w", format, "--endpoints", &good]].concat());
        }
    }
    for format in ["simple", "table", "json", "fields"] {
        let flags = ["endpoint", "status", "--command-timeout=1s", "-w", format, "--endpoints", &half];
        let (theirs, mine) = (run(&etcdctl, &flags), run(Path::new(env!("CARGO_BIN_EXE_kvctl")), &flags));
        assert_eq!(mine.status.code(), theirs.status.code());
        let rows = |output: &Output| String::from_utf8_lossy(&output.stdout).lines().count();
        assert_eq!(rows(&mine), rows(&theirs), "the endpoint that answers is printed: {mine:?} {theirs:?}");
    }
    compare(&etcdctl, &["endpoint", "status", "--cluster", "--endpoints", &good]);
    compare(&etcdctl, &["endpoint", "health", "--cluster", "--endpoints", &good]);
    compare(&etcdctl, &["member", "list", "--consistency", "s", "--endpoints", &good]);
    compare(&etcdctl, &["member", "list", "--cert=", "--endpoints", &good]);
    let value = "v".repeat(100);
    for flags in [
        &["put", "a", &value, "--max-request-bytes=50"][..],
        &["get", "k", "--max-recv-bytes=60000"],
        &["get", "k", "--max-recv-bytes=80000", "--max-request-bytes=0"],
        &["get", "a", "--keepalive-time=1s", "--keepalive-timeout=1s", "--debug=false"],
        &["get", "a", "--keepalive-time=0"],
        &["check", "perf", "--load=huge"],
    ] {
        compare(&etcdctl, &[flags, &["--endpoints", &good]].concat());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kvctl_finds_its_member_by_the_configuration_and_speaks_tls() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = Setup::of(&subject()).bare().prepare();
    let tls = server.endpoint();
    let file = server.dir().join("cluster.toml");
    let text = format!(
        "data-dir = \"{}\"\nlisten-client-urls = [\"https://{tls}\"]\nadvertise-client-urls = [\"https://{tls}\"]\n\
         listen-peer-urls = [\"{peer}\"]\ninitial-advertise-peer-urls = [\"{peer}\"]\n\
         [client-transport-security]\nauto-tls = true\n",
        server.data_dir().display(),
        peer = server.peer_url(),
    );
    std::fs::write(&file, text).expect("the file");
    server.add_args(&["--config-file", &file.display().to_string()]);
    server.spawn();
    let kvctl = Path::new(env!("CARGO_BIN_EXE_kvctl"));
    let named = format!("--config-file={}", file.display());
    let healthy = run(kvctl, &["endpoint", "health", "--wait=1m", &named]);
    let out = String::from_utf8_lossy(&healthy.stdout);
    assert!(out.starts_with(&format!("https://{tls} is healthy")), "{healthy:?}");
    // Without the certificate from the file the member is not trusted.
    let stranger = run(kvctl, &["endpoint", "health", "--endpoints", &format!("https://{tls}")]);
    assert_eq!(stranger.status.code(), Some(1), "{stranger:?}");
    let careless =
        ["endpoint", "health", "--insecure-skip-tls-verify", "--endpoints", &format!("https://{tls}")];
    let careless = run(kvctl, &careless);
    assert!(careless.status.success(), "{careless:?}");
}

#[test]
fn waiting_ends_with_its_time_and_failures_have_a_reason() {
    let nowhere = format!("127.0.0.1:{}", free_port());
    let kvctl = Path::new(env!("CARGO_BIN_EXE_kvctl"));
    let gave_up = run(kvctl, &["endpoint", "health", "--wait=1s", "--endpoints", &nowhere]);
    let err = String::from_utf8_lossy(&gave_up.stderr);
    assert_eq!(gave_up.status.code(), Some(1), "{gave_up:?}");
    assert!(err.contains("connection refused") && err.contains("Error: unhealthy cluster"), "{err}");
    let reload = run(kvctl, &["reload", "--admin-socket", "/nowhere/admin.sock"]);
    assert_eq!(reload.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&reload.stderr).contains("hint: is kvd running"), "{reload:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_the_cluster_includes_members_that_have_not_started() {
    if !subject().is_kvd() {
        return;
    }
    let server = Server::of(&subject()).await;
    let kvctl = Path::new(env!("CARGO_BIN_EXE_kvctl"));
    let endpoint = server.endpoint();
    let all = |more: &'static [&'static str]| {
        let command = ["endpoint", "health", "--cluster", "--endpoints", &endpoint];
        run(kvctl, &command.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    };
    assert!(all(&["--wait=1m"]).status.success());
    let peer = "http://127.0.0.1:1".to_owned();
    let add = MemberAddRequest { peer_ur_ls: vec![peer.clone()], ..Default::default() };
    server.api().cluster.member_add(add).await.expect("added");
    let gave_up = all(&["--wait=1s"]);
    let err = String::from_utf8_lossy(&gave_up.stderr);
    assert_eq!(gave_up.status.code(), Some(1), "{gave_up:?}");
    assert!(err.contains(&format!("at {peer} has not started")), "{err}");
    // Without waiting it is left out, as by etcdctl.
    assert!(all(&[]).status.success());
}
