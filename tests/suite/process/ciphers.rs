//! Cipher suites and versions of TLS by etcd's names: which are accepted at a start, and which connections come about,
//! beside a real etcd.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::certificates::{certify, has_openssl, make_ca, openssl};
use crate::harness::{PATIENCE, Program, Server, Setup, heavy, reference, subject};

/// What happens under flags: the server does not start, or of these connections some come about.
async fn connections(program: &Program, files: &Path, key: &str, flags: &[String], tries: &[&str]) -> String {
    let mut server = Setup::of(program).prepare();
    let url = format!("https://{}", server.endpoint());
    let file = |name: String| files.join(name).display().to_string();
    let mut args = vec![
        format!("--cert-file={}", file(format!("{key}.pem"))),
        format!("--key-file={}", file(format!("{key}.key"))),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
    ];
    args.extend(flags.iter().cloned());
    server.add_args(&args.iter().map(String::as_str).collect::<Vec<_>>());
    server.spawn();
    let begun = Instant::now();
    while !server.log().contains("ready to serve client requests") {
        if server.poll_exit().is_some() {
            return "does not start".into();
        }
        assert!(begun.elapsed() < PATIENCE, "{program} {flags:?}: {}", server.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let made: Vec<&str> = tries.iter().filter(|args| connects(&server, args)).copied().collect();
    if made.is_empty() { "no connection".into() } else { made.join(", ") }
}

/// True if `openssl s_client` makes a connection.
fn connects(server: &Server, args: &str) -> bool {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &server.endpoint()])
        .args(args.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .expect("openssl runs");
    String::from_utf8_lossy(&output.stdout).contains("Cipher is ")
        && !String::from_utf8_lossy(&output.stdout).contains("Cipher is (NONE)")
}

/// Go's name, that of openssl, and the certificate that it needs: all suites that Go knows.
const SUITES: [(&str, &str, &str); 27] = [
    ("TLS_AES_128_GCM_SHA256", "", "rsa"),
    ("TLS_AES_256_GCM_SHA384", "", "rsa"),
    ("TLS_CHACHA20_POLY1305_SHA256", "", "rsa"),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "ec"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", "ec"),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305", "ec"),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ec"),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "rsa"),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "rsa"),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", "rsa"),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", "rsa"),
    ("TLS_RSA_WITH_RC4_128_SHA", "RC4-SHA", "rsa"),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", "DES-CBC3-SHA", "rsa"),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA", "rsa"),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA", "rsa"),
    ("TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256", "rsa"),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256", "rsa"),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384", "rsa"),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256", "ec"),
    ("TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", "ECDHE-ECDSA-RC4-SHA", "ec"),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA", "ec"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA", "ec"),
    ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", "ECDHE-RSA-RC4-SHA", "rsa"),
    ("TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", "ECDHE-RSA-DES-CBC3-SHA", "rsa"),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA", "rsa"),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA", "rsa"),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256", "rsa"),
];

/// Suites without forward secrecy or authenticated encryption: kvd has none of them, and says so at its start.
fn is_weak(suite: &str) -> bool {
    suite.starts_with("TLS_RSA_") || suite.contains("_CBC_") || suite.contains("_RC4_")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cipher_suites_and_versions_are_those_of_etcd() {
    let test = "cipher_suites_and_versions_are_those_of_etcd";
    let Some(etcd) = reference(test).filter(|_| subject().is_kvd() && has_openssl(test)) else { return };
    let _turn = heavy().await;
    let files = tempfile::tempdir().expect("a directory");
    let files = files.path();
    make_ca(files);
    openssl(files, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key");
    openssl(files, "ecparam -genkey -noout -name prime256v1 -out ec.key");
    certify(files, "rsa", 2, false);
    certify(files, "ec", 3, false);
    let kvd = subject();
    let mut wrong = Vec::new();
    // `other` is what etcd and kvd do where that is not the same.
    let mut look = async |key: &str, flags: Vec<String>, tries: &[&str], other: Option<[&str; 2]>| {
        let (theirs, ours) = tokio::join!(
            connections(&etcd, files, key, &flags, tries),
            connections(&kvd, files, key, &flags, tries)
        );
        let expected = other.unwrap_or([theirs.as_str(); 2]);
        if [theirs.as_str(), ours.as_str()] != expected {
            wrong.push(format!("{flags:?} with {key}: etcd {theirs}, kvd {ours}"));
        }
    };
    for (suite, openssl, key) in SUITES {
        let own = format!("-tls1_2 -cipher {openssl}:@SECLEVEL=0");
        let other = "-tls1_2 -cipher ALL:!AESGCM:!CHACHA20:@SECLEVEL=0";
        let tries: &[&str] = if openssl.is_empty() {
            &["-tls1_2", "-tls1_3"]
        } else {
            &[own.as_str(), other, "-tls1_2", "-tls1_3"]
        };
        let served = match openssl {
            "" => "-tls1_3".to_string(),
            _ => format!("{own}, -tls1_2, -tls1_3"),
        };
        let other = match suite {
            weak if is_weak(weak) => Some(["no connection", "does not start"]),
            // Go's HTTP/2 wants one of these two, and without them etcd serves nobody.
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" | "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => None,
            _ => Some(["no connection", served.as_str()]),
        };
        look(key, vec![format!("--cipher-suites={suite}")], tries, other).await;
    }
    let versions = ["-tls1_1 -cipher ALL:@SECLEVEL=0", "-tls1_2", "-tls1_3"];
    for (min, max) in [
        ("", ""),
        ("TLS1.2", ""),
        ("TLS1.3", ""),
        ("TLS1.2", "TLS1.2"),
        ("TLS1.2", "TLS1.3"),
        ("TLS1.3", "TLS1.3"),
        ("TLS1.3", "TLS1.2"),
        ("", "TLS1.2"),
        ("TLS1.1", ""),
        ("tls1.2", ""),
        ("", "TLS1.1"),
    ] {
        let flags = [("tls-min-version", min), ("tls-max-version", max)];
        let flags = flags.into_iter().filter(|(_, value)| !value.is_empty());
        look("rsa", flags.map(|(flag, value)| format!("--{flag}={value}")).collect(), &versions, None).await;
    }
    for (suites, other) in [
        // With kvd an empty value is the default.
        ("", Some(["does not start", "-tls1_2, -tls1_3"])),
        ("TLS_NOTHING", None),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_NOTHING", None),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", None),
    ] {
        look("rsa", vec![format!("--cipher-suites={suites}")], &versions, other).await;
    }
    let both = vec![
        "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_string(),
        "--tls-min-version=TLS1.3".to_string(),
    ];
    look("rsa", both, &versions, None).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
