//! A certificate authority for a test.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationList,
    CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

pub struct Authority {
    pub certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a CA");
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for this machine and its key.
    pub fn issue(
        &self,
        name: &str,
        serial: u64,
        purposes: &[ExtendedKeyUsagePurpose],
    ) -> (Certificate, KeyPair) {
        self.certify(name, serial, purposes, |_| ())
    }

    /// The same with a change.
    pub fn certify(
        &self,
        name: &str,
        serial: u64,
        purposes: &[ExtendedKeyUsagePurpose],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = purposes.to_vec();
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// A revocation list, PEM, with one certificate on it or none.
    pub fn revoke(&self, serial: Option<u64>) -> String {
        self.list(serial).pem().expect("PEM")
    }

    /// The same in DER, which is the only form that etcd reads.
    pub fn revoke_in_der(&self, serial: Option<u64>) -> Vec<u8> {
        self.list(serial).der().to_vec()
    }

    fn list(&self, serial: Option<u64>) -> CertificateRevocationList {
        let revoked = |serial: u64| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2120, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serial.into_iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a list")
    }
}
