//! Which clients must show a certificate.

use super::authority::Authority;
use crate::harness::{PATIENCE, Program, Server, Setup, reference, subject};
use kvd::api::proto::etcdserverpb::RangeRequest;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A CA, a server's certificate and a client's, and those of another CA.
struct Certificates {
    ca: CertificateDer<'static>,
    ca_pem: String,
    server: (String, String),
    /// A revocation list in DER, with the client's certificate on it or without.
    list: Vec<u8>,
    client: (CertificateDer<'static>, PrivateKeyDer<'static>),
    stranger: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Certificates {
    fn new() -> Certificates {
        let authority = Authority::new("test CA");
        // etcd's gateway shows the server's certificate to the server.
        let purposes = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let (server, key) = authority.issue("server", 1, &purposes);
        Certificates {
            ca: authority.certificate.der().clone(),
            ca_pem: authority.certificate.pem(),
            server: (server.pem(), key.serialize_pem()),
            list: authority.revoke_in_der(None),
            client: client(&authority),
            stranger: client(&Authority::new("another CA")),
        }
    }
}

fn client(authority: &Authority) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let (certificate, key) = authority.issue("client", 2, &[ExtendedKeyUsagePurpose::ClientAuth]);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    (certificate.der().clone(), key)
}

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// True if a client is answered.
async fn is_served(server: &Server, ca: &CertificateDer<'static>, client: Option<&Identity>) -> bool {
    let answer = ask(server, ca, client, "GET /version", "").await;
    answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 OK"))
}

/// The answer to a request, with its head.
async fn ask(
    server: &Server,
    ca: &CertificateDer<'static>,
    client: Option<&Identity>,
    request: &str,
    body: &str,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match client {
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).expect("a certificate")
        }
        None => builder.with_no_client_auth(),
    };
    let talk = async {
        let connection = TcpStream::connect(server.endpoint()).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = TlsConnector::from(Arc::new(config)).connect(name, connection).await?;
        // With TLS 1.3 the refusal comes with the first bytes from the server.
        let length = body.len();
        let head =
            format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}");
        connection.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
        let mut answer = Vec::new();
        match connection.read_to_end(&mut answer).await {
            Err(error) if answer.is_empty() => Err(error),
            // A connection that ends without a farewell has answered all the same.
            _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
        }
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("an end")
}

/// Which clients are served under these flags: without certificate, with a good one, with one of another CA.
async fn served(program: &Program, certificates: &Certificates, flags: &[&str]) -> [bool; 3] {
    let server = started(program, certificates, flags).await;
    let (ca, client, stranger) = (&certificates.ca, &certificates.client, &certificates.stranger);
    [
        is_served(&server, ca, None).await,
        is_served(&server, ca, Some(client)).await,
        is_served(&server, ca, Some(stranger)).await,
    ]
}

/// A server with these flags, in which CA and CRL stand for files.
async fn started(program: &Program, certificates: &Certificates, flags: &[&str]) -> Server {
    let mut server = Setup::of(program).prepare();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = server.dir().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let cert = format!("--cert-file={}", file("server.crt", &certificates.server.0).display());
    let key = format!("--key-file={}", file("server.key", &certificates.server.1).display());
    let ca = file("ca.crt", &certificates.ca_pem);
    let list = server.dir().join("list.crl");
    std::fs::write(&list, &certificates.list).expect("a file");
    let url = format!("https://{}", server.endpoint());
    let urls = [format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")];
    server.add_args(&[&cert, &key, &urls[0], &urls[1]]);
    for flag in flags {
        let flag = flag.replace("CA", &ca.display().to_string());
        server.add_args(&[&flag
            .replace("CRL", &list.display().to_string())
            .replace("URL", &server.endpoint())]);
    }
    server.spawn();
    until_listening(&server).await;
    server
}

async fn until_listening(server: &Server) {
    let ready = || server.log().contains("ready to serve client requests");
    crate::harness::until("a server that listens", ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_demanded_of_those_of_whom_etcd_demands_them() {
    let test = "certificates_are_demanded_of_those_of_whom_etcd_demands_them";
    let certificates = Certificates::new();
    let cases: [(&[&str], [bool; 3]); 3] = [
        (&[], [true, true, true]),
        // The trusted CA alone makes certificates mandatory.
        (&["--trusted-ca-file=CA"], [false, true, false]),
        (&["--trusted-ca-file=CA", "--client-cert-auth"], [false, true, false]),
    ];
    let reference = reference(test);
    for (flags, expected) in cases {
        assert_eq!(served(&subject(), &certificates, flags).await, expected, "{flags:?}");
        if let Some(reference) = &reference {
            assert_eq!(served(reference, &certificates, flags).await, expected, "{reference} {flags:?}");
        }
    }
}

/// The gateway would ignore the name in a client's certificate: while users count, it refuses such a client, as etcd does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_refuses_whoever_has_a_certificate_that_names_a_user() {
    let certificates = Certificates::new();
    let flags = ["--trusted-ca-file=CA", "--client-cert-auth", "--bcrypt-cost=4"];
    let reference = reference("the_gateway_refuses_whoever_has_a_certificate_that_names_a_user");
    let reference = reference.filter(|reference| reference.level() >= (3, 7));
    for program in [Some(subject()), reference].into_iter().flatten() {
        let server = started(&program, &certificates, &flags).await;
        let post = async |path: &str, body: &str| {
            let request = format!("POST {path}");
            let answer = ask(&server, &certificates.ca, Some(&certificates.client), &request, body).await;
            answer.unwrap_or_else(|error| panic!("{program} {path}: {error}"))
        };
        let read = async || post("/v3/kv/range", r#"{"key":"Zm9v"}"#).await;
        let answer = read().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{program}: {answer}");
        for (path, body) in [
            ("/v3/auth/user/add", r#"{"name":"root","password":"p"}"#),
            ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
            ("/v3/auth/enable", "{}"),
        ] {
            let answer = post(path, body).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{program}: {answer}");
        }
        let refused = read().await;
        assert!(refused.starts_with("HTTP/1.1 400"), "{program}: {refused}");
        let text = "\r\n\r\nCommonName of client sending a request against gateway will be ignored and not used as expected\n";
        assert!(refused.ends_with(text), "{program}: {refused}");
        let version = ask(&server, &certificates.ca, Some(&certificates.client), "GET /version", "").await;
        assert!(version.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), "{program}");
    }
}

/// An address that an http URL and an https URL name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_port_serves_with_and_without_tls() {
    let test = "one_port_serves_with_and_without_tls";
    let certificates = Certificates::new();
    for program in [Some(subject()), reference(test)].into_iter().flatten() {
        let flags = ["--listen-client-urls=http://URL,https://URL", "--advertise-client-urls=https://URL"];
        let server = started(&program, &certificates, &flags).await;
        assert!(is_served(&server, &certificates.ca, None).await, "{program:?} with TLS: {}", server.log());
        let request = RangeRequest { key: "k".into(), ..Default::default() };
        let answer = server.api().kv.range(request).await;
        assert!(answer.is_ok(), "{program:?} without TLS: {answer:?}");
    }
}

/// A revocation list, and the flags of a server.
type Listed = (Vec<u8>, Vec<String>);

/// What revokes, and which names are allowed, is as with etcd.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_and_other_hosts_are_refused_as_etcd_refuses_them() {
    let test = "revoked_and_other_hosts_are_refused_as_etcd_refuses_them";
    let mut certificates = Certificates::new();
    let authority = Authority::new("test CA");
    let (server, key) = authority.issue("server", 1, &[ExtendedKeyUsagePurpose::ServerAuth]);
    (certificates.ca, certificates.ca_pem) =
        (authority.certificate.der().clone(), authority.certificate.pem());
    certificates.server = (server.pem(), key.serialize_pem());
    let (certificate, key) =
        authority.certify("client", 2, &[ExtendedKeyUsagePurpose::ClientAuth], |params| {
            let names = ["*.a.example", "b.example"];
            let names = names.map(|name| rcgen::SanType::DnsName(name.try_into().expect("a name")));
            params.subject_alt_names = names.to_vec();
        });
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    certificates.client = (certificate.der().clone(), key);
    let hosts = |allowed: &str| {
        vec!["--trusted-ca-file=CA".into(), format!("--client-cert-allowed-hostname={allowed}")]
    };
    let list = |serial| {
        (authority.revoke_in_der(serial), vec!["--trusted-ca-file=CA".into(), "--client-crl-file=CRL".into()])
    };
    let any = authority.revoke_in_der(None);
    let cases: [(Listed, bool); 7] = [
        (list(Some(2)), false),
        (list(Some(3)), true),
        ((any.clone(), hosts("x.a.example")), true),
        ((any.clone(), hosts("x.y.a.example")), false),
        ((any.clone(), hosts("c.example,B.example")), true),
        ((any.clone(), hosts("*.a.example")), true),
        ((any.clone(), hosts("client")), false),
    ];
    let programs: Vec<Program> = [Some(subject()), reference(test)].into_iter().flatten().collect();
    for ((list, flags), expected) in cases {
        certificates.list = list;
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        for program in &programs {
            let server = started(program, &certificates, &flags).await;
            let is = is_served(&server, &certificates.ca, Some(&certificates.client)).await;
            assert_eq!(is, expected, "{program:?} {flags:?}");
        }
    }
}
