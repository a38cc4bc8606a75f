//! Which clients must show a certificate.

use super::authority::Authority;
use crate::harness::{PATIENCE, Program, Server, Setup, reference, subject};
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
    client: (CertificateDer<'static>, PrivateKeyDer<'static>),
    stranger: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Certificates {
    fn new() -> Certificates {
        let authority = Authority::new("test CA");
        let (server, key) = authority.issue("server", 1, &[ExtendedKeyUsagePurpose::ServerAuth]);
        Certificates {
            ca: authority.certificate.der().clone(),
            ca_pem: authority.certificate.pem(),
            server: (server.pem(), key.serialize_pem()),
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

/// True if a client is answered.
async fn is_served(
    server: &Server,
    ca: &CertificateDer<'static>,
    client: Option<&(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> bool {
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
        connection
            .write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = vec![0; 15];
        connection.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, talk).await.expect("an end");
    answer.is_ok_and(|answer| answer == b"HTTP/1.1 200 OK")
}

/// Which clients are served under these flags: without certificate, with a good one, with one of another CA.
async fn served(program: &Program, certificates: &Certificates, flags: &[&str]) -> [bool; 3] {
    let mut server = Setup::of(program).prepare();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = server.dir().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let cert = format!("--cert-file={}", file("server.crt", &certificates.server.0).display());
    let key = format!("--key-file={}", file("server.key", &certificates.server.1).display());
    let ca = file("ca.crt", &certificates.ca_pem);
    let url = format!("https://{}", server.endpoint());
    let urls = [format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")];
    server.add_args(&[&cert, &key, &urls[0], &urls[1]]);
    for flag in flags {
        server.add_args(&[&flag.replace("CA", &ca.display().to_string())]);
    }
    server.spawn();
    until_listening(&server).await;
    let (ca, client, stranger) = (&certificates.ca, &certificates.client, &certificates.stranger);
    [
        is_served(&server, ca, None).await,
        is_served(&server, ca, Some(client)).await,
        is_served(&server, ca, Some(stranger)).await,
    ]
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
