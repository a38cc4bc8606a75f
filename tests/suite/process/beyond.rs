//! What kvctl has beyond etcdctl: YAML, texts, patterns; and hints, bars and a screen on a terminal.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb as pb;
use rustix::process::{Pid, Signal, kill_process};
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value, json};

use crate::harness::{PATIENCE, Server, subject};

fn command(member: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvctl"));
    command.arg(format!("--endpoints={}", member.endpoint())).args(args);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn kvctl(member: &Server, args: &[&str]) -> Output {
    command(member, args).output().expect("kvctl runs")
}

fn shown(member: &Server, args: &[&str]) -> String {
    let output = kvctl(member, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What a command prints on a terminal, which `script` is; both of its outputs are the same there.
fn on_terminal(member: &Server, arguments: &str) -> String {
    let line = format!("{} --endpoints={} {arguments}", env!("CARGO_BIN_EXE_kvctl"), member.endpoint());
    let mut script = Command::new("script");
    let output = script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null()).output();
    String::from_utf8_lossy(&output.expect("script runs").stdout).replace("\r\n", "\n")
}

async fn put(member: &Server, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
    let (key, value) = (key.into().into(), value.into().into());
    let request = pb::PutRequest { key, value, ..Default::default() };
    member.api().kv.put(request).await.expect("a put");
}

/// A YAML document as the structure that it has.
fn yaml(text: &str) -> Value {
    let mut events = Parser::new_from_str(text).map(|event| event.expect(text).0).filter(|event| {
        !matches!(event, Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamEnd)
    });
    let first = events.next().expect(text);
    let value = node(first, &mut events);
    assert!(events.next().is_none(), "one document: {text}");
    value
}

fn node<'e>(event: Event<'e>, rest: &mut impl Iterator<Item = Event<'e>>) -> Value {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => match text.parse::<serde_json::Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => match text.as_ref() {
                "true" => json!(true),
                "false" => json!(false),
                "null" => Value::Null,
                text => json!(text),
            },
        },
        Event::Scalar(text, ..) => json!(text),
        Event::SequenceStart(..) => {
            let mut elements = Vec::new();
            loop {
                match rest.next().expect("the list ends") {
                    Event::SequenceEnd => return Value::Array(elements),
                    event => elements.push(node(event, rest)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut members = Map::new();
            loop {
                match rest.next().expect("the mapping ends") {
                    Event::MappingEnd => return Value::Object(members),
                    event => {
                        let name = node(event, rest).as_str().expect("a name").to_string();
                        let event = rest.next().expect("a value");
                        assert!(members.insert(name, node(event, rest)).is_none(), "each name once");
                    }
                }
            }
        }
        other => panic!("{other:?}"),
    }
}

/// Removes what differs from one request to the next.
fn without_moments(value: &mut Value) {
    const MOMENTS: [&str; 9] = [
        "took",
        "revision",
        "mod_revision",
        "version",
        "raftIndex",
        "raftAppliedIndex",
        "ttl",
        "TTL",
        "dbSize",
    ];
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !MOMENTS.contains(&name.as_str()));
            members.values_mut().for_each(without_moments);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_moments),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yaml_has_the_structure_of_json_for_every_command() {
    let server = Server::of(&subject()).await;
    put(&server, "a", "1").await;
    put(&server, "key: #2", vec![0xff, 0x00]).await;
    put(&server, "text", "yes\n\u{85} & <\u{e9}>").await;
    let lease = pb::LeaseGrantRequest { ttl: 3000, id: 7 };
    server.api().lease.lease_grant(lease).await.expect("a lease");
    shown(&server, &["role", "add", "r"]);
    shown(&server, &["role", "grant-permission", "r", "read", "a", "b"]);
    shown(&server, &["user", "add", "u:p"]);
    shown(&server, &["put", "leased", "v", "--lease=7"]);
    for line in [
        "get  --prefix",
        "get nothing",
        "get a --text",
        "put a 1 --prev-kv",
        "del nothing",
        "lease list",
        "lease timetolive 7 --keys",
        "lease timetolive 7 --keys --text",
        "lease grant 9",
        "member list",
        "member list --hex",
        "alarm list",
        "endpoint status",
        "endpoint health",
        "endpoint hashkv --rev=2",
        "auth status",
        "user list",
        "user get u",
        "role list",
        "role get r",
        "role get r --text",
        "space",
        "status",
        "upgrade status",
        "doctor",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let [mut of_json, mut of_yaml] = ["json", "yaml"].map(|format| {
            let output = kvctl(&server, &[&words[..], &["-w", format]].concat());
            let text = String::from_utf8(output.stdout).expect("text");
            assert!(!text.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            match format {
                "json" => serde_json::from_str(&text).expect(&text),
                _ => yaml(&text),
            }
        });
        without_moments(&mut of_json);
        without_moments(&mut of_yaml);
        if line == "lease grant 9" {
            of_json["ID"] = of_yaml["ID"].clone();
        }
        assert_eq!(of_yaml, of_json, "{line}");
    }
    let refused = kvctl(&server, &["compaction", "1", "-w", "xml"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_are_shown_as_texts_and_bytes_are_named_as_such() {
    let server = Server::of(&subject()).await;
    put(&server, "k/a", "Zm9v").await;
    put(&server, [b"k/\xff".as_slice()].concat(), vec![0xff]).await;
    let found: Value =
        serde_json::from_str(&shown(&server, &["get", "k/", "--prefix", "-w", "json", "--text"]))
            .expect("json");
    let kvs = found["kvs"].as_array().expect("keys");
    assert_eq!((&kvs[0]["key"], &kvs[0]["value"]), (&json!("k/a"), &json!("Zm9v")));
    assert_eq!((&kvs[1]["key_base64"], &kvs[1]["value_base64"]), (&json!("ay//"), &json!("/w==")));
    assert!(kvs[1].get("key").is_none() && kvs[1].get("value").is_none(), "{kvs:?}");
    let block = shown(&server, &["get", "k/a", "-w", "yaml", "--text"]);
    assert!(block.contains("\nkvs:\n- key: k/a\n  create_revision: 2\n"), "{block}");
    let refused = kvctl(&server, &["get", "k", "--text"]);
    assert_eq!(refused.status.code(), Some(128));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(error, "Error: --text is only for `--write-out=json` and `--write-out=yaml`\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_found_and_deleted_by_pattern() {
    let server = Server::of(&subject()).await;
    for key in ["a/1/b", "a/1/c", "a/2/b", "a/2/x/b", "b/1/b"] {
        put(&server, key, format!("of {key}")).await;
    }
    let keys = |args: &[&str]| -> Vec<String> {
        let all = shown(&server, &[&["get", "--keys-only", "--glob"], args].concat());
        all.lines().filter(|line| !line.is_empty()).map(str::to_string).collect()
    };
    assert_eq!(keys(&["a/*/b"]), ["a/1/b", "a/2/b"]);
    assert_eq!(keys(&["**/b"]), ["a/1/b", "a/2/b", "a/2/x/b", "b/1/b"]);
    assert_eq!(keys(&["a/?/[a-b]"]), ["a/1/b", "a/2/b"]);
    assert_eq!(keys(&["**/b", "--order=descend", "--limit=1"]), ["b/1/b"]);
    assert_eq!(keys(&["**/b", "--sort-by=value", "--order=descend", "--limit=1"]), ["b/1/b"]);
    assert_eq!(keys(&["**/b", "--rev=3"]), ["a/1/b"]);
    let count = shown(&server, &["get", "--glob", "a/*/*", "--count-only", "-w", "fields"]);
    assert!(count.contains("\"Count\" : 3"), "{count}");
    // More keys than a page and than a transaction have.
    let many: Vec<_> = (0..300)
        .map(|at| {
            let (key, value) = (format!("m/{at}/x").into(), "v".into());
            let put = pb::PutRequest { key, value, ..Default::default() };
            pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }
        })
        .collect();
    for success in many.chunks(100) {
        let request = pb::TxnRequest { success: success.to_vec(), ..Default::default() };
        server.api().kv.txn(request).await.expect("put");
    }
    assert_eq!(keys(&["m/*/x"]).len(), 300);
    assert_eq!(shown(&server, &["del", "--glob", "m/[!1]*/x"]), "189\n");
    assert_eq!(keys(&["m/**"]).len(), 111, "those that begin with 1 are left");
    for (args, text) in [
        (&["get", "--glob", "a[b"][..], "the bracket [ is not closed (character 2)"),
        (&["del", "--glob", "a", "b"], "`--glob` takes one pattern"),
        (&["get", "--glob", "a*", "--prefix"], "`--glob` takes one pattern"),
        (&["watch", "--glob", "a\\"], "nothing is behind the backslash"),
    ] {
        let refused = kvctl(&server, args);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(128) && error.contains(text), "{args:?}: {error}");
    }
    // Transactions are the server's, which has no patterns.
    let mut txn =
        command(&server, &["txn"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    txn.stdin.take().expect("piped").write_all(b"\nget --glob a*\n\n\n").expect("typed");
    let refused = txn.wait_with_output().expect("it ends");
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_prints_only_what_matches() {
    let server = Server::of(&subject()).await;
    put(&server, "a/first/b", "1").await;
    let mut watch = command(&server, &["watch", "--glob", "a/*/b", "--rev=2"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("kvctl runs");
    put(&server, "a/x/y/b", "2").await;
    put(&server, "a/second/b", "3").await;
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let lines: Vec<String> = lines.take(6).map(|line| line.expect("a line")).collect();
    watch.kill().and_then(|()| watch.wait()).expect("it ends");
    assert_eq!(lines, ["PUT", "a/first/b", "1", "PUT", "a/second/b", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_found_is_explained_on_a_terminal_only() {
    let server = Server::of(&subject()).await;
    put(&server, "app/1", "v").await;
    assert_eq!(on_terminal(&server, "get app"), "hint: 0 keys, 1 begins with it: --prefix\n");
    put(&server, "app/2", "v").await;
    assert_eq!(on_terminal(&server, "get app"), "hint: 0 keys, 2 begin with it: --prefix\n");
    assert_eq!(on_terminal(&server, "get other"), "hint: 0 keys, and none that begins with it\n");
    assert_eq!(on_terminal(&server, "get app --prefix --keys-only"), "app/1\n\napp/2\n\n");
    let script = kvctl(&server, &["get", "app"]);
    assert_eq!((script.status.code(), script.stdout.len(), script.stderr.len()), (Some(0), 0, 0));
}

/// A bar is for whoever looks at it: scripts get what etcdctl prints, and nothing of it stays on a terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lasts_shows_a_bar_on_a_terminal_only() {
    const CLEARED: &str = "\r\x1b[2K";
    let server = Server::of(&subject()).await;
    for at in 0..20 {
        put(&server, format!("k/{at}"), vec![b'v'; 50_000]).await;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.db").display().to_string();
    let ends_with = |printed: &str, end: &str| {
        // The bar is taken away before anything else is printed.
        let behind = printed.rsplit(CLEARED).next().unwrap_or_default();
        assert!(printed.contains(CLEARED) && behind.starts_with(end), "{printed:?}");
    };
    let saved = on_terminal(&server, &format!("snapshot save {file}"));
    assert!(saved.contains("snapshot: ["), "{saved:?}");
    ends_with(&saved, &format!("Snapshot saved at {file}\n"));
    let checked = on_terminal(&server, &format!("backup verify {file}"));
    assert!(checked.contains(&format!("{file}: [")) && checked.contains(" %, "), "{checked:?}");
    ends_with(&checked, &format!("{file} is whole: "));
    let counted = on_terminal(&server, "space -w json");
    assert!(counted.contains("keys and changes: "), "{counted:?}");
    ends_with(&counted, "{\"keys\":20,");
    let restored = on_terminal(&server, &format!("snapshot restore {file} --data-dir {file}.restored"));
    assert!(restored.contains(&format!("{file}: [")), "{restored:?}");
    ends_with(&restored, &format!("{file}.restored holds member "));
    let defragmented = on_terminal(&server, "defrag");
    assert!(defragmented.contains(&format!("defragmenting {}", server.endpoint())), "{defragmented:?}");
    ends_with(&defragmented, "Finished defragmenting etcd member");
    copies_show_a_bar(&server).await;
    for args in [&["snapshot", "save", &file][..], &["backup", "verify", &file], &["space"], &["defrag"]] {
        let output = kvctl(&server, args);
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
        assert!(!output.stdout.contains(&0x1b), "{args:?}: {output:?}");
    }
}

/// A mirror goes on for ever: it is ended when its first copy has been seen, and there.
async fn copies_show_a_bar(server: &Server) {
    let copy = Server::of(&subject()).await;
    let program = env!("CARGO_BIN_EXE_kvctl");
    let dir = tempfile::tempdir().expect("a directory");
    let pid = dir.path().join("pid");
    let line = format!(
        "echo $$ > {}; exec {program} --endpoints={} make-mirror {}",
        pid.display(),
        server.endpoint(),
        copy.endpoint()
    );
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut running = script.spawn().expect("script runs");
    let mut printed = Vec::new();
    let mut shown = BufReader::new(running.stdout.take().expect("piped"));
    while !String::from_utf8_lossy(&printed).contains("first copy: [") {
        let read = shown.read_until(b'[', &mut printed).expect("read");
        assert!(read > 0, "{}", String::from_utf8_lossy(&printed));
    }
    let request = pb::RangeRequest {
        key: b"k/".to_vec().into(),
        range_end: b"k0".to_vec().into(),
        count_only: true,
        ..Default::default()
    };
    let deadline = Instant::now() + PATIENCE;
    while copy.api().kv.range(request.clone()).await.expect("a range").into_inner().count < 20 {
        assert!(Instant::now() < deadline, "the keys are not copied");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // `script` ends with it. Whoever ignores hangups would go on without its terminal.
    let pid = std::fs::read_to_string(pid).expect("written").trim().parse().ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a number"), Signal::TERM).expect("it runs");
    running.wait().expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_is_for_a_terminal() {
    let server = Server::of(&subject()).await;
    let refused = kvctl(&server, &["top"]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.starts_with("Error: top needs a terminal\nhint: kvctl status"), "{error}");
    let refused = kvctl(&server, &["top", "--interval=1ms"]);
    assert_eq!(refused.status.code(), Some(128));
    // The screen is given back, whatever ends it.
    for is_typed in [true, false] {
        let line = format!(
            "stty cols 80 rows 24; echo pid $$ pid; exec {} --endpoints={} top",
            env!("CARGO_BIN_EXE_kvctl"),
            server.endpoint()
        );
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut running = script.spawn().expect("script runs");
        let mut typed = running.stdin.take().expect("piped");
        let mut shown = BufReader::new(running.stdout.take().expect("piped"));
        // The footer is drawn last.
        let mut screen = Vec::new();
        while !String::from_utf8_lossy(&screen).contains("quit") {
            assert!(
                shown.read_until(b't', &mut screen).expect("read") > 0,
                "{}",
                String::from_utf8_lossy(&screen)
            );
        }
        if is_typed {
            typed.write_all(b"q").expect("typed");
        } else {
            let text = String::from_utf8_lossy(&screen).into_owned();
            let pid = text.split(' ').nth(1).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
            kill_process(pid.expect("a number"), Signal::INT).expect("it runs");
        }
        shown.read_to_end(&mut screen).expect("it ends");
        assert!(running.wait().expect("it ends").success());
        let screen = String::from_utf8_lossy(&screen).into_owned();
        for part in ["1 member, ", "NAME", "leader", "writes/s", "\u{1b}[?1049h", "\u{1b}[?1049l"] {
            assert!(screen.contains(part), "{part}: {screen}");
        }
    }
}
