//! Certificates of every kind, made by openssl, shown to the programs of openssl and etcd; new files without a signal; and
//! the words for what is refused.

use super::authority::Authority;
use crate::harness::{Server, Setup, skip, subject, tool, until};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rcgen::date_time_ymd;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub fn openssl(directory: &Path, args: &str) {
    let run = Command::new("openssl").args(args.split_whitespace()).current_dir(directory).output();
    let run = run.expect("openssl runs");
    assert!(run.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&run.stderr));
}

pub fn has_openssl(test: &str) -> bool {
    let there = Command::new("openssl").arg("version").stdin(Stdio::null()).output().is_ok();
    if !there {
        skip(test, "no openssl; tests/provide installs it");
    }
    there
}

/// A kind of key: its name, how openssl makes it, and what `s_client` says of it.
const KEYS: [(&str, &str, &str); 7] = [
    ("RSA in PKCS #1", "genrsa -traditional -out KEY 2048", "2048 bit"),
    ("RSA in PKCS #8", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out KEY", "3072 bit"),
    ("P-256 in SEC 1, behind its parameters", "ecparam -genkey -name prime256v1 -out KEY", "256 bit"),
    ("P-384 in PKCS #8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out KEY", "384 bit"),
    ("P-521 in SEC 1", "ecparam -genkey -noout -name secp521r1 -out KEY", "521 bit"),
    ("P-521 in PKCS #8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out KEY", "521 bit"),
    ("Ed25519", "genpkey -algorithm ED25519 -out KEY", "256 bit"),
];

/// Makes the CA's files, `ca.pem` and `ca.key`.
pub fn make_ca(directory: &Path) {
    openssl(directory, "ecparam -genkey -noout -name prime256v1 -out ca.key");
    openssl(directory, "req -x509 -new -key ca.key -subj /CN=theCA -days 30 -out ca.pem");
    std::fs::write(directory.join("ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("written");
}

/// A certificate of the CA for NAME.key, as NAME.pem: of version 3 with names, or of version 1.
pub fn certify(directory: &Path, name: &str, serial: u32, version_one: bool) {
    openssl(directory, &format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
    let extensions = if version_one { "" } else { "-extfile ext" };
    openssl(
        directory,
        &format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial {serial} -days 20 {extensions} -out {name}.pem"
        ),
    );
}

/// A server with TLS whose files are `server.pem`, `server.key` and `ca.pem`.
pub fn secured(more: &[&str]) -> Server {
    let mut server = Setup::of(&subject()).prepare();
    let url = format!("https://{}", server.endpoint());
    let file = |flag: &str, name: &str| format!("--{flag}={}", server.dir().join(name).display());
    let mut args = vec![
        file("cert-file", "server.pem"),
        file("key-file", "server.key"),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
    ];
    args.extend(more.iter().map(|flag| flag.replace("DIR", &server.dir().display().to_string())));
    server.add_args(&args.iter().map(String::as_str).collect::<Vec<_>>());
    server
}

pub async fn until_serving(server: &Server) {
    until("a server that listens", || server.log().contains("ready to serve client requests")).await;
}

/// Runs a client with the files `ca.pem`, `client.pem` and `client.key`.
fn client(program: &Path, server: &Server, args: &[&str]) -> Output {
    let file = |flag: &str, name: &str| format!("--{flag}={}", server.dir().join(name).display());
    let endpoint = format!("--endpoints=https://{}", server.endpoint());
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args([endpoint, file("cacert", "ca.pem"), file("cert", "client.pem"), file("key", "client.key")]);
    command.args(args).output().expect("the client runs")
}

/// What `openssl s_client` says of the server.
fn s_client(server: &Server) -> String {
    let endpoint = server.endpoint();
    let mut running = Command::new("openssl")
        .args(["s_client", "-connect", &endpoint, "-CAfile", "ca.pem", "-verify_ip", "127.0.0.1"])
        .args(["-cert", "client.pem", "-key", "client.key"])
        .current_dir(server.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    running.stdin.take().expect("a pipe").write_all(b"Q\n").expect("taken");
    let output = running.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Puts files in their place one after the other, as programs that renew certificates do.
fn renew(directory: &Path, name: &str) {
    for end in ["pem", "key"] {
        std::fs::rename(directory.join(format!("{name}.{end}")), directory.join(format!("server.{end}")))
            .expect("renamed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_kind_are_used_by_the_next_connection() {
    let test = "keys_of_every_kind_are_used_by_the_next_connection";
    let Some(etcdctl) = tool(test, "3.7.3", "etcdctl").filter(|_| subject().is_kvd() && has_openssl(test))
    else {
        return;
    };
    let mut server = secured(&["--trusted-ca-file=DIR/ca.pem", "--client-cert-auth"]);
    let directory = server.dir().to_path_buf();
    make_ca(&directory);
    openssl(&directory, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out client.key");
    certify(&directory, "client", 2, true);
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pki/rsa8192.pem");
    let kvctl = Path::new(env!("CARGO_BIN_EXE_kvctl"));
    let last = ("RSA of 8192 bits", "", "8192 bit");
    for (number, (kind, how, size)) in (10..).zip(KEYS.into_iter().chain([last])) {
        match how {
            "" => drop(std::fs::copy(&golden, directory.join("next.key")).expect("copied")),
            how => openssl(&directory, &how.replace("KEY", "next.key")),
        }
        certify(&directory, "next", number, false);
        renew(&directory, "next");
        if number == 10 {
            server.spawn();
            until_serving(&server).await;
        }
        let seen = s_client(&server);
        assert!(
            seen.contains("Verify return code: 0 (ok)")
                && seen.contains(&format!("Server public key is {size}")),
            "{kind}: {seen}"
        );
        for program in [etcdctl.as_path(), kvctl] {
            let output = client(program, &server, &["put", "kind", kind]);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                "OK\n",
                "{} with {kind}: {text}",
                program.display()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_of_which_half_is_written_leaves_the_old_one_in_use() {
    let test = "a_pair_of_which_half_is_written_leaves_the_old_one_in_use";
    if !subject().is_kvd() || !has_openssl(test) {
        return;
    }
    let mut server = secured(&["--trusted-ca-file=DIR/ca.pem"]);
    let directory = server.dir().to_path_buf();
    make_ca(&directory);
    for (serial, name) in [(2, "client"), (3, "server"), (4, "next")] {
        openssl(&directory, &format!("ecparam -genkey -noout -name prime256v1 -out {name}.key"));
        certify(&directory, name, serial, false);
    }
    server.spawn();
    until_serving(&server).await;
    let shows = |name: &str| s_client(&server).contains(&format!("subject=CN = {name}"));
    let warnings = || {
        server.log().matches("the new certificates for clients are refused; the old ones stay in use").count()
    };
    assert!(shows("server"));
    std::fs::rename(directory.join("next.pem"), directory.join("server.pem")).expect("renamed");
    assert!(shows("server") && shows("server"), "{}", server.log());
    assert_eq!(warnings(), 1, "{}", server.log());
    assert!(server.log().contains("the certificate does not belong to the key in"));
    std::fs::rename(directory.join("next.key"), directory.join("server.key")).expect("renamed");
    assert!(shows("next"), "{}", server.log());
    assert_eq!(warnings(), 1, "{}", server.log());
    // A key cut off in the middle, then all of it.
    let key = std::fs::read(directory.join("server.key")).expect("there");
    std::fs::write(directory.join("server.key"), &key[..key.len() / 2]).expect("written");
    assert!(shows("next"));
    assert_eq!(warnings(), 2, "{}", server.log());
    std::fs::write(directory.join("server.key"), &key).expect("written");
    assert!(shows("next"));
    assert_eq!(warnings(), 2, "{}", server.log());
}

/// What a client or server reads, and what the server's log says.
struct Scene {
    server: Server,
    authority: Authority,
}

impl Scene {
    async fn begin() -> Scene {
        let mut server = secured(&["--trusted-ca-file=DIR/ca.pem"]);
        let authority = Authority::new("the CA");
        let scene = |server: &Server| {
            write(server, "ca.pem", &authority.certificate.pem());
            put(server, "server", &authority, |_| ());
            put(server, "client", &authority, |_| ());
        };
        scene(&server);
        server.spawn();
        until_serving(&server).await;
        Scene { server, authority }
    }

    fn says(&self, args: &[&str]) -> String {
        let output = client(Path::new(env!("CARGO_BIN_EXE_kvctl")), &self.server, args);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Runs kvctl, whose output must contain the words.
    fn expect(&self, what: &str, words: &str) {
        let said = self.says(&["get", "a"]);
        assert!(said.contains(words), "{what}: {said}\n{}", self.server.log());
    }

    async fn logs(&self, words: &[&str]) {
        let is_there = || {
            let log = self.server.log();
            log.lines().any(|line| words.iter().all(|words| line.contains(words)))
        };
        until(&format!("a line with {words:?}"), is_there).await;
    }
}

fn write(server: &Server, name: &str, text: &str) {
    std::fs::write(server.dir().join(name), text).expect("written");
}

fn put(
    server: &Server,
    name: &str,
    authority: &Authority,
    change: impl FnOnce(&mut rcgen::CertificateParams),
) {
    let (certificate, key) = authority.certify(name, 7, &[ServerAuth, ClientAuth], change);
    write(server, &format!("{name}.pem"), &certificate.pem());
    write(server, &format!("{name}.key"), &key.serialize_pem());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_say_whose_certificate_is_wrong_and_how() {
    if !subject().is_kvd() {
        return;
    }
    let scene = Scene::begin().await;
    let (server, authority) = (&scene.server, &scene.authority);
    let old = |params: &mut rcgen::CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    };
    assert!(scene.says(&["put", "a", "b"]).contains("OK"), "{}", server.log());
    // Clients.
    put(server, "client", authority, old);
    scene.expect("expired client", "refuses the certificate of this client (--cert): it has expired");
    scene
        .logs(&[
            "127.0.0.1:",
            "expired certificate",
            "\\\"client\\\" has expired: it was valid until Jan  1 ",
        ])
        .await;
    put(server, "client", &Authority::new("another CA"), |_| ());
    scene.expect("client of another CA", "refuses the certificate of this client (--cert): unknown CA");
    scene
        .logs(&["unknown CA", "\\\"client\\\" was issued by \\\"another CA\\\", which is not trusted"])
        .await;
    put(server, "client", authority, |params| params.extended_key_usages = vec![ServerAuth]);
    scene.expect("client with another use", "refuses the certificate of this client");
    scene.logs(&["unfit certificate", "is not for the use of clients"]).await;
    put(server, "client", authority, |_| ());
    scene.expect("a good one", "b");
    let url = server.endpoint();
    let none = Command::new(env!("CARGO_BIN_EXE_kvctl"))
        .args(["--endpoints", &format!("https://{url}"), "--cacert"])
        .arg(server.dir().join("ca.pem"))
        .args(["get", "a"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(said.contains("the server demands a certificate of this client: --cert and --key"), "{said}");
    // Servers.
    put(server, "server", authority, old);
    scene.expect("expired server", "the certificate \"server\" has expired: it was valid until Jan  1 ");
    put(server, "server", &Authority::new("another CA"), |_| ());
    scene.expect(
        "server of another CA",
        "the certificate \"server\" was issued by \"another CA\", which is not trusted",
    );
    put(server, "server", authority, |params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName("a.example".try_into().expect("a name"))];
    });
    scene.expect("another name", "the certificate \"server\" is not for 127.0.0.1: it is for a.example");
    put(server, "server", authority, |_| ());
    scene.expect("a good one", "b");
    // No TLS.
    let plain = Command::new(env!("CARGO_BIN_EXE_kvctl"))
        .args(["--endpoints", &format!("http://{url}"), "get", "a"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert!(said.contains("this port speaks TLS: use https"), "{said}");
    scene.logs(&["127.0.0.1:", "no TLS", "it needs https instead of http"]).await;
    let other = Server::of(&subject()).await;
    let said = Command::new(env!("CARGO_BIN_EXE_kvctl"))
        .args(["--endpoints", &format!("https://{}", other.endpoint()), "get", "a"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("the server does not speak TLS: use http instead of https"), "{said}");
    until("a line about TLS", || other.log().contains("it needs http instead of https")).await;
}
