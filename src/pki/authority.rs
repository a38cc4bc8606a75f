//! The CA that every member derives from the cluster's secret, and the leaves they issue to themselves.

use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::secret::Secret;
use super::{Holder, PkiError};

/// The bytes in front of the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410).
const ED25519_PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// How far clocks may lag behind the issuer's. Generous: a leaf that is valid a day too early harms nobody.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// A CA whose key is derived from a secret: the same at every member, and never sent.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, with which leaves are verified.
    pub certificate: CertificateDer<'static>,
}

/// A certificate with its key.
pub(super) struct Leaf {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// The CA of a secret.
    pub(super) fn derive(secret: &Secret) -> Result<Self, PkiError> {
        let seed = secret.derive(b"ca ed25519")?;
        let pkcs8 = PrivatePkcs8KeyDer::from([&ED25519_PKCS8[..], &seed[..]].concat());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ED25519).map_err(PkiError::crypto)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("kvd cluster {}", fingerprint(key.der_bytes())));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(PkiError::crypto)?.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// A leaf for a member, with a new key, valid for both ends of a connection from a day before `now_ms` until `life`
    /// after it.
    pub(super) fn issue(&self, holder: Holder, now_ms: i64, life: Duration) -> Result<Leaf, PkiError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        let uri = Ia5String::try_from(holder.to_string()).map_err(PkiError::crypto)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("kvd member {}", holder.member));
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.not_before = now.checked_sub(BACKDATED).unwrap_or(SystemTime::UNIX_EPOCH).into();
        params.not_after = (now + life).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(PkiError::crypto)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(PkiError::crypto)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Leaf { certificate: certificate.der().clone(), key })
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::OrganizationName, "kvd");
    names.push(DnType::CommonName, name);
    names
}

/// The first 32 bits of a key's hash, to tell two CAs apart in a log.
fn fingerprint(key: &[u8]) -> String {
    let hash = digest(&SHA256, key);
    hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
