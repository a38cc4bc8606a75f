//! The verifier compared with Go's. `tests/golden/pki/go.txt` holds certificates and Go's verdicts, and how it was made.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::danger::ClientCertVerifier;

use super::lab::NOW;
use crate::pki::certificate::Certificate;
use crate::pki::chain::Roots;
use crate::pki::files::unix_time;
use crate::pki::verify::{Allowed, Verifier};

/// What Go takes and kvd does not: how the case's name begins, and why. cluster.toml(5) says the same.
const STRICTER: [(&str, &str); 4] = [
    ("key RSA-1024", "keys of RSA of less than 2048 bits can be factored"),
    ("CA's key P-224", "P-224 is in no other program for TLS"),
    ("name -a.example", "no host that can be dialled begins with a hyphen"),
    ("policies demanded and there", "policies are not evaluated"),
];

struct Case {
    name: String,
    /// The host of a server; none for a client.
    host: Option<String>,
    go: String,
    roots: Vec<CertificateDer<'static>>,
    shown: Vec<CertificateDer<'static>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pki")
}

fn cases(text: &str) -> Vec<Case> {
    text.split("\n\n").filter(|block| block.starts_with("case ")).map(case).collect()
}

fn case(block: &str) -> Case {
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {block}")).to_string()
    };
    let of = |kind: &str| {
        let parts = block.split("-----END CERTIFICATE-----");
        let own = parts.filter(|part| part.contains(&format!("\n{kind}\n-----BEGIN")));
        let pem: String = own.map(|part| format!("{part}-----END CERTIFICATE-----\n")).collect();
        let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        read.expect("PEM")
    };
    let host = field("use ").strip_prefix("server ").map(|host| host.trim_matches(['[', ']']).to_string());
    Case { name: field("case "), host, go: field("go "), roots: of("root"), shown: of("shown") }
}

/// Our verdict in Go's form.
fn judge(case: &Case) -> String {
    let roots = case.roots.iter().map(|der| Certificate::read(der.as_ref()).expect("a root that Go reads"));
    let verifier = Verifier::new(Roots::new(roots), Vec::new(), Allowed::default(), true);
    let (leaf, others) = case.shown.split_first().expect("a certificate");
    let now = unix_time(NOW);
    let checked = match &case.host {
        None => verifier.verify_client_cert(leaf, others, now).map(drop),
        Some(host) => match ServerName::try_from(host.as_str()) {
            Ok(name) => verifier.verify_server_cert(leaf, others, &name, &[], now).map(drop),
            Err(_) => return "refuses: no host is called so".into(),
        },
    };
    match checked {
        Ok(()) => "takes it".into(),
        Err(error) => format!("refuses: {error}"),
    }
}

/// Compares all cases; returns how many there were.
fn compare(text: &str) -> usize {
    let cases = cases(text);
    let mut wrong = Vec::new();
    let mut stricter = Vec::new();
    for case in &cases {
        let (ours, go) = (judge(case), &case.go);
        if ours.starts_with("takes") == go.starts_with("takes") {
            continue;
        }
        match STRICTER.iter().find(|(name, _)| case.name.starts_with(name) && go.starts_with("takes")) {
            Some((name, _)) => stricter.push(*name),
            None => wrong.push(format!("{}: Go {go}, we: {ours}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    for (name, reason) in STRICTER {
        assert!(stricter.contains(&name), "{name} ({reason}) is taken now: no exception is needed");
    }
    cases.len()
}

#[test]
fn what_go_takes_is_taken_and_what_go_refuses_is_refused() {
    let text = std::fs::read_to_string(folder().join("go.txt")).expect("the table");
    let count = compare(&text);
    assert!(count > 180, "only {count} cases");
}

/// The same with certificates that are made now, if a Go of 1.26 or newer is there.
#[test]
fn the_go_of_this_machine_judges_as_the_table_says() {
    let mut go = Command::new("go");
    let version = go.args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output();
    let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let minor =
        version.trim().strip_prefix("go1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor < 26) {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let run = Command::new("go")
        .args(["run", "judge.go", "rsa8192.pem"])
        .current_dir(folder())
        .envs([("GOTOOLCHAIN", "local"), ("GOFLAGS", "-mod=mod"), ("GO111MODULE", "off")])
        .env("TMPDIR", directory.path())
        .output()
        .expect("go runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).expect("text");
    let table = std::fs::read_to_string(folder().join("go.txt")).expect("the table");
    let kept: Vec<(String, bool)> = verdicts(&table);
    assert_eq!(verdicts(&text), kept, "run judge.go again: see its head");
    compare(&text);
}

fn verdicts(text: &str) -> Vec<(String, bool)> {
    let mut all: Vec<_> =
        cases(text).into_iter().map(|case| (case.name, case.go.starts_with("takes"))).collect();
    all.sort();
    all
}
