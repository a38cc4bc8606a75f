//! Programs that others wrote for etcd see the same with kvd.

use std::path::Path;
use std::process::Stdio;

use crate::harness::{PATIENCE, Program, Setup, reference, subject, tool};

/// What a program of `programs/` prints with a server of `program`. The libraries are what tests/provide has installed.
async fn printed(libraries: &Path, script: &str, program: &Program, flags: &[&str], part: &str) -> String {
    let server = flags.iter().fold(Setup::of(program), |setup, flag| setup.arg(*flag)).start().await;
    let mut python = tokio::process::Command::new("python3");
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/programs").join(script));
    python.arg(server.endpoint()).arg(part).env("PYTHONPATH", libraries).env("PYTHONIOENCODING", "utf-8");
    let output = python.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends").expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script} with {program}:\n{out}\n{err}\n{}", server.log());
    out
}

fn libraries(test: &str, library: &str) -> Option<std::path::PathBuf> {
    tool(test, "python", library)?.parent().map(Path::to_path_buf)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_etcd_sees_what_etcd_3_4_shows_it() {
    let test = "python_etcd_sees_what_etcd_3_4_shows_it";
    let (Some(libraries), Some(_)) = (libraries(test, "etcd"), tool(test, "3.4.23", "etcd")) else { return };
    let flags = ["--enable-v2=true"];
    let theirs = printed(&libraries, "v2.py", &Program::Etcd("3.4.23".into()), &flags, "all").await;
    let ours = printed(&libraries, "v2.py", &subject(), &flags, "all").await;
    assert_eq!(ours, theirs);
    assert!(ours.ends_with("True True\nFalse\nTrue True\n"), "it has come to its end: {ours}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_to_the_gateway_are_those_of_etcd() {
    let test = "websockets_to_the_gateway_are_those_of_etcd";
    let (Some(libraries), Some(etcd)) = (libraries(test, "websocket"), reference(test)) else { return };
    if etcd.level() < (3, 7) {
        return;
    }
    let flags = ["--bcrypt-cost=4"];
    let theirs = printed(&libraries, "gateway.py", &etcd, &flags, "same").await;
    let ours = printed(&libraries, "gateway.py", &subject(), &flags, "same").await;
    assert_eq!(ours, theirs);
    assert!(ours.matches("\"created\":true").count() > 6, "{ours}");
}

/// What etcd has not: a method with one request is answered, mistakes are, and other sites' pages are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_say_how_they_end() {
    let Some(libraries) =
        libraries("websockets_say_how_they_end", "websocket").filter(|_| subject().is_kvd())
    else {
        return;
    };
    let ours = printed(&libraries, "gateway.py", &subject(), &["--cors=http://page:80"], "own").await;
    let header = |revision: u32| {
        format!(r#""header":{{"cluster_id":"…","member_id":"…","revision":"{revision}","raft_term":"…"}}"#)
    };
    let two = header(2);
    let key = r#""create_revision":"2","mod_revision":"2","version":"1""#;
    let created = format!(r#"   {{"result":{{{two},"created":true}}}}"#);
    let normal = "  closed 1000 the call has ended".to_owned();
    let expected = [
        "/v3/kv/put".into(),
        format!("   {{{two}}}"),
        normal.clone(),
        "/v3/kv/range".into(),
        format!(r#"   {{{two},"count":"1"}}"#),
        normal.clone(),
        "/v3/kv/put".into(),
        r#"   {"code":3,"message":"etcdserver: key is not provided"}"#.into(),
        normal.clone(),
        "/v3/kv/rangestream".into(),
        format!(
            r#"   {{"result":{{"range_response":{{{two},"kvs":[{{"key":"aw==",{key}}}],"count":"1"}}}}}}"#
        ),
        normal.clone(),
        "/v3/watch".into(),
        r#"   {"error":{"code":3,"message":"Failed to decode request: invalid character 'o' in literal null (expecting 'u')"}}"#.into(),
        normal,
        "/v3/watch".into(),
        created.clone(),
        "   end".into(),
        "/v3/watch origin=http://page:80".into(),
        created,
        "/v3/watch origin=http://evil".into(),
        "   403".into(),
    ];
    assert_eq!(ours.lines().collect::<Vec<_>>(), expected);
}
