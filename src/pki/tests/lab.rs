//! A CA as an operator has one, a clock that is set by hand, and a handshake in memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::{CertificateDer, ServerName};

use crate::model::Clock;
use crate::pki::{Credentials, Files, Pair, Trust};

/// 2026-01-01, in ms.
pub const NOW: i64 = 1_767_225_600_000;
pub const DAY: i64 = 24 * 3600 * 1000;

/// A clock that stands at the time it was set to.
pub struct SetClock(AtomicI64);

impl SetClock {
    pub fn at(now_ms: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now_ms)))
    }

    pub fn add(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms as u64)
}

/// An operator's CA.
pub struct Ca {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The details of a certificate that an operator requests.
pub struct Order<'a> {
    pub name: &'a str,
    pub hosts: &'a [&'a str],
    pub from: i64,
    pub until: i64,
    pub serial: u64,
}

impl<'a> Order<'a> {
    pub fn of(name: &'a str) -> Self {
        Self { name, hosts: &["127.0.0.1", "localhost"], from: NOW - DAY, until: NOW + 30 * DAY, serial: 7 }
    }
}

/// An order for a host on this machine, at the real time.
pub fn now_order(name: &str, serial: u64) -> Order<'_> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let now = since.as_millis() as i64;
    Order { from: now - DAY, until: now + 30 * DAY, serial, ..Order::of(name) }
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A CA below this one, with a serial number.
    pub fn below(&self, name: &str, serial: u64) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key, PEM.
    pub fn issue(&self, order: &Order<'_>) -> (String, String) {
        let hosts: Vec<String> = order.hosts.iter().map(|host| host.to_string()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, order.name);
        params.serial_number = Some(SerialNumber::from(order.serial));
        (params.not_before, params.not_after) = (time(order.from).into(), time(order.until).into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    /// A revocation list with one serial number, PEM.
    pub fn revoke(&self, serial: u64) -> String {
        let list = CertificateRevocationListParams {
            this_update: time(NOW - DAY).into(),
            next_update: time(NOW + DAY).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: time(NOW - DAY).into(),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("signed").pem().expect("PEM")
    }
}

/// A directory of a member's files.
pub struct Folder {
    directory: tempfile::TempDir,
}

impl Folder {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mine");
        path
    }

    /// Writes certificate, key and bundle.
    pub fn put(&self, (cert, key): &(String, String), bundle: &str) {
        self.write("cert.pem", cert);
        self.write("key.pem", key);
        self.write("ca.pem", bundle);
    }

    pub fn files(&self) -> Files {
        Files {
            pair: Pair { cert: self.path("cert.pem"), key: self.path("key.pem") },
            client_pair: None,
            trust: Trust { ca: Some(self.path("ca.pem")), ..Trust::default() },
        }
    }
}

/// Credentials from files written in the usual way.
pub fn filed(folder: &Folder, order: &Order<'_>, ca: &Ca) -> Credentials {
    folder.put(&ca.issue(order), &ca.pem);
    Credentials::from_files(folder.files(), SetClock::at(NOW)).expect("good files")
}

/// Connects in memory; returns the chain that the server saw of the client and the reverse, or who refused and why.
pub fn shake(
    client: &Credentials,
    server: &Credentials,
    host: &str,
) -> Result<[Vec<CertificateDer<'static>>; 2], String> {
    let name = ServerName::try_from(client.server_name(host).to_owned()).expect("a name");
    let mut one = rustls::ClientConnection::new(client.client().expect("TLS"), name).expect("a client");
    let mut two = rustls::ServerConnection::new(server.server().expect("TLS")).expect("a server");
    while one.is_handshaking() || two.is_handshaking() || one.wants_write() || two.wants_write() {
        let mut wire = Vec::new();
        while one.wants_write() {
            one.write_tls(&mut wire).expect("memory");
        }
        two.read_tls(&mut wire.as_slice()).expect("memory");
        two.process_new_packets().map_err(|error| format!("server: {error}"))?;
        let mut wire = Vec::new();
        while two.wants_write() {
            two.write_tls(&mut wire).expect("memory");
        }
        one.read_tls(&mut wire.as_slice()).expect("memory");
        one.process_new_packets().map_err(|error| format!("client: {error}"))?;
    }
    let shown = |chain: Option<&[CertificateDer<'static>]>| chain.unwrap_or_default().to_vec();
    Ok([shown(two.peer_certificates()), shown(one.peer_certificates())])
}

/// The refusal's text; the handshake must fail.
pub fn refused(client: &Credentials, server: &Credentials, host: &str) -> String {
    shake(client, server, host).expect_err("refused")
}
