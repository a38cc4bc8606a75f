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

/// What Go takes and kvd does not: how the case's name begins, and why. cluster.toml(5) says what operators may have.
const STRICTER: [(&str, &str); 29] = [
    ("key RSA-1024", "keys of RSA of less than 2048 bits can be factored"),
    ("CA's key P-224", "P-224 is in no other program for TLS"),
    ("name -a.example", "no host that can be dialled begins with a hyphen"),
    ("policies demanded and there", "policies are not evaluated"),
    ("name *.example for *.example", "no host that can be dialled is a pattern"),
    ("name *a.example for *a.example", "no host that can be dialled has a star"),
    ("constraints: address in the other notation excluded", "an address would get around its exclusion"),
    (
        "key usage of the CA: bits that mean nothing",
        "bits that are none of these uses say that it is not to sign",
    ),
    ("name *.10.0.0.1 for 9.10.0.0.1", "it is no address, and no host whose last label is a number is one"),
    ("constraints, critical false: a base in pieces", "it is applied though it need not be"),
    ("constraints, critical false: a base of another class", "constraints are not passed over"),
    ("constraints, critical false: a base without a meaning", "constraints are not passed over"),
    ("encoding: more inside", "there is nothing in a certificate that has no meaning"),
    ("encoding: names with more behind them", "there is nothing in a certificate that has no meaning"),
    ("encoding: a name of another class", "some would read it as a name"),
    ("encoding: basic constraints with a huge length", "no chain has so many certificates"),
    ("encoding: a time generalized in another zone", "RFC 5280 has no zones, and the library reads none"),
    ("encoding: more behind the signature", "nothing in a certificate is without a signature"),
    ("encoding: a name in pieces", "some would read it as a name"),
    ("form: key with more behind it", "there is nothing in a certificate that has no meaning"),
    ("form: key whose curve is twice there", "there is nothing in a certificate that has no meaning"),
    ("form: unique identifiers in the other order", "X.509 has one order of fields"),
    ("form: extensions twice", "there is nothing in a certificate that has no meaning"),
    ("form: uses: with more behind them", "some would read it as a use"),
    ("form: a CA of three parts", "there is nothing in a certificate that has no meaning"),
    ("form: a CA with the length first", "X.509 has one order of fields"),
    ("form: a name of kind 9", "X.509 has no such names"),
    ("form: limits of policies with", "the library reads it; some would read a limit"),
    ("form: names of the issuer", "the library reads them: they are to be names"),
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
    let certificates = certificates(text);
    let blocks = text.split("\n\n").filter(|block| block.starts_with("case "));
    blocks.map(|block| case(block, &certificates)).collect()
}

/// All certificates, in the order of their numbers: each is there once.
fn certificates(text: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().expect("PEM")
}

fn case(block: &str, certificates: &[CertificateDer<'static>]) -> Case {
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {block}")).to_string()
    };
    let of = |kind: &str| {
        let numbers = block.lines().filter_map(|line| line.strip_prefix(kind)?.parse::<usize>().ok());
        numbers.map(|number| certificates[number - 1].clone()).collect::<Vec<_>>()
    };
    let host = field("use ").strip_prefix("server ").map(|host| host.trim_matches(['[', ']']).to_string());
    Case { name: field("case "), host, go: field("go "), roots: of("root "), shown: of("shown ") }
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
    assert!(count > 600, "only {count} cases");
}

/// Whatever bit of a certificate is another one, whoever shows it is refused: everything is under a signature.
#[test]
fn no_bit_of_a_chain_may_be_another_one() {
    let text = std::fs::read_to_string(folder().join("go.txt")).expect("the table");
    let mut flipped = 0;
    for case in cases(&text) {
        if !["chain in order", "key P-384, client", "key Ed25519, client"].contains(&case.name.as_str()) {
            continue;
        }
        assert!(judge(&case).starts_with("takes"), "{}", case.name);
        for (at, der) in case.shown.iter().enumerate() {
            for bit in 0..8 * der.len() {
                let mut other = der.to_vec();
                other[bit / 8] ^= 1 << (bit % 8);
                let mut shown = case.shown.clone();
                shown[at] = CertificateDer::from(other);
                let verdict = judge(&Case {
                    name: String::new(),
                    host: None,
                    go: String::new(),
                    roots: case.roots.clone(),
                    shown,
                });
                assert!(verdict.starts_with("refuses"), "{}: certificate {at}, bit {bit}", case.name);
                flipped += 1;
            }
        }
    }
    assert!(flipped > 10_000, "{flipped}");
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
