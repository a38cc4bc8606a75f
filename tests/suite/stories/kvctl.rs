//! The same stories, told by kvctl: it prints what etcdctl 3.7 prints, with the same errors and exit codes.

use super::{difference, directory, header, performance};
use crate::harness::{reference, subject, tool};
use std::path::Path;

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

stories!(
    auth compaction delete every_member formats get interactive kv lease lock maintenance members mirror
    quota roles snapshot txn users watch
);

/// Runs a story with etcdctl against etcd, and with kvctl against the server under test.
async fn tell(name: &str) {
    let Some(reference) = reference(name) else { return };
    let Some(etcdctl) = tool(name, "3.7.3", "etcdctl") else { return };
    let script = directory().join(format!("{name}.sh"));
    let text = std::fs::read_to_string(&script).expect("a story is a script in this directory");
    let flags = header(&text, "server").unwrap_or_default();
    // Until kvd has users, their stories run against etcd.
    let subject =
        if header(&text, "only").as_deref() == Some("etcd") { reference.clone() } else { subject() };
    let kvctl = Path::new(env!("CARGO_BIN_EXE_kvctl"));
    let (expected, got) = tokio::join!(
        performance(&reference, &script, &etcdctl, &flags),
        performance(&subject, &script, kvctl, &flags),
    );
    let (expected, got) = (comparable(&expected), comparable(&got));
    if expected != got {
        panic!("{name} with kvctl: {}", difference(&expected, &got));
    }
}

/// What both have to print alike. Only etcdctl logs, and runs stty for a prompt without a terminal; only kvctl has
/// hints. Each explains a wrong flag with its own usage, and has its own version.
fn comparable(printed: &str) -> String {
    let mut lines = Vec::new();
    let mut in_usage = false;
    for line in printed.lines() {
        let error = line.strip_prefix("! ");
        in_usage &= error.is_some();
        match error {
            _ if line.starts_with("log: ") => {}
            Some(text) if text.starts_with("stty: ") || text.starts_with("hint: ") => {}
            Some(text) if is_usage(text) => in_usage = true,
            _ if in_usage || line.starts_with("etcdctl version: ") || line.starts_with("kvctl version: ") => {
            }
            _ => lines.push(line),
        }
    }
    lines.join("\n") + "\n"
}

/// The first line of what the parsers print.
fn is_usage(text: &str) -> bool {
    let begins = [
        "Error: unknown flag",
        "Error: unknown shorthand flag",
        "Error: invalid argument",
        "error: ",
        "Usage:",
    ];
    begins.iter().any(|begin| text.starts_with(begin))
}
