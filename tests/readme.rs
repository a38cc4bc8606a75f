//! Runs every command of the README, word for word, on a host of its own: a network namespace in which nothing listens
//! on the default ports. Needs root, `ip` and `unshare`, `curl` and an etcdctl; a missing program is named.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The commands of the README's `sh` blocks, one string per block.
fn blocks(readme: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in readme.lines() {
        match (&mut current, line) {
            (None, "```sh") => current = Some(String::new()),
            (Some(_), "```") => blocks.extend(current.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

fn missing() -> Option<&'static str> {
    let found = |program: &str| {
        std::env::var_os("PATH")
            .is_some_and(|paths| std::env::split_paths(&paths).any(|path| path.join(program).is_file()))
    };
    if !rustix::process::geteuid().is_root() {
        return Some("root");
    }
    ["unshare", "ip", "curl", "etcdctl", "bash"].into_iter().find(|program| !found(program))
}

#[test]
fn commands_of_the_readme() {
    let required = std::env::var_os("KVD_TESTS_REQUIRE").is_some();
    if let Some(missing) = missing() {
        assert!(!required, "commands_of_the_readme needs {missing}");
        println!("left out: commands_of_the_readme, as there is no {missing}");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("the README");
    let blocks = blocks(&readme);
    let (start, rest) = blocks.split_first().expect("the README has commands");
    assert_eq!(start.trim(), "cargo run");
    assert_eq!(rest[0].trim(), "tests/run");
    let ci = std::fs::read_to_string(root.join(".ci/run")).expect("the script of CI");
    assert!(ci.contains("tests/run"), ".ci/run must run the README's test command");

    let scratch = tempfile::tempdir().expect("a directory");
    let data = scratch.path().join("data");
    let script = format!(
        "set -eu\n\
         ip link set lo up\n\
         export KVD_TESTS_DATA={data}\n\
         cd {scratch}\n\
         (export ETCD_DATA_DIR={data}; cd {root} && exec {start}) > kvd.log 2>&1 &\n\
         kvd=$!\n\
         trap 'kill $kvd $(cat members 2>/dev/null) 2>/dev/null; wait || true' EXIT\n\
         until grep -q 'ready to serve client requests' kvd.log; do\n\
           kill -0 $kvd || {{ cat kvd.log; exit 1; }}\n\
           sleep 0.1\n\
         done\n\
         printf 'ETCD_NAME=infra0\\n' > etcd.default\n\
         set -x\n\
         {commands}\n",
        data = data.display(),
        root = root.display(),
        start = start.trim(),
        scratch = scratch.path().display(),
        commands = rest[1..].concat().replace("/etc/default/etcd", "etcd.default"),
    );
    let bin = Path::new(env!("CARGO_BIN_EXE_kvd")).parent().expect("a directory");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("unshare")
        .args(["--net", "bash"])
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    shell.stdin.take().expect("piped").write_all(script.as_bytes()).expect("the script is read");
    let output = shell.wait_with_output().expect("it ends");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status);
    for expected in [
        "greeting\nhello\n",
        "aGVsbG8gYWdhaW4=",
        "\"etcdserver\":\"3.7.3\"",
        "\"health\":\"true\"",
        "etcd Version: 3.7.3",
        "| http://127.0.0.13:2379 |",
        "started, m4",
        "greeting\nhello, all of you\n",
    ] {
        assert!(out.contains(expected), "{expected:?} is missing in:\n{out}\n{err}");
    }
}
