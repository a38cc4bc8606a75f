//! Private keys of certificates: ring's, and those that ring does not sign with: P-521, and RSA of more than 4096 bits.

use std::fmt;
use std::sync::Arc;

use p521::ecdsa::signature::Signer as _;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::traits::PublicKeyParts;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use super::algorithms::RSA_BITS;

/// Makes a private key ready to sign.
///
/// # Errors
/// If it is none of a kind that signs here.
pub(super) fn load(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, String> {
    if let Ok(key) = rustls::crypto::ring::sign::any_supported_type(key) {
        return Ok(key);
    }
    if let Some(key) = p521_key(key) {
        return Ok(Arc::new(P521(Arc::new(key))));
    }
    match rsa_key(key) {
        Some(key) if RSA_BITS.contains(&(key.n().bit_width() as usize)) => Ok(Arc::new(Rsa(Arc::new(key)))),
        Some(key) => Err(format!("an RSA key of {} bits; 2048 to 8192 are good", key.n().bit_width())),
        None => Err(
            "it holds no private key of a kind that kvd has: RSA, ECDSA on P-256, P-384 or P-521, Ed25519"
                .into(),
        ),
    }
}

fn p521_key(key: &PrivateKeyDer<'_>) -> Option<p521::ecdsa::SigningKey> {
    let key = match key {
        PrivateKeyDer::Sec1(key) => p521::SecretKey::from_sec1_der(key.secret_sec1_der()).ok()?,
        PrivateKeyDer::Pkcs8(key) => p521::SecretKey::from_pkcs8_der(key.secret_pkcs8_der()).ok()?,
        _ => return None,
    };
    Some(key.into())
}

fn rsa_key(key: &PrivateKeyDer<'_>) -> Option<rsa::PrivateKey> {
    match key {
        PrivateKeyDer::Pkcs1(key) => rsa::PrivateKey::from_pkcs1_der(key.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(key) => rsa::PrivateKey::from_pkcs8_der(key.secret_pkcs8_der()).ok(),
        _ => None,
    }
}

struct P521(Arc<p521::ecdsa::SigningKey>);

impl fmt::Debug for P521 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P521")
    }
}

impl SigningKey for P521 {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP521_SHA512)
            .then(|| Box::new(Self(self.0.clone())) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let point = self.0.verifying_key().to_sec1_point(false);
        Some(public_key_to_spki(&alg_id::ECDSA_P521, point.as_bytes()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for P521 {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature: p521::ecdsa::Signature = self.0.try_sign(message).map_err(failed)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}

struct Rsa(Arc<rsa::PrivateKey>);

impl fmt::Debug for Rsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rsa")
    }
}

const RSA_SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

impl SigningKey for Rsa {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = RSA_SCHEMES.into_iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RsaSigner { key: self.0.clone(), scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let key = self.0.as_public_key().to_pkcs1_der().ok()?;
        Some(public_key_to_spki(&alg_id::RSA_ENCRYPTION, key.as_bytes()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

struct RsaSigner {
    key: Arc<rsa::PrivateKey>,
    scheme: SignatureScheme,
}

impl fmt::Debug for RsaSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaSigner")
    }
}

impl Signer for RsaSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed = match self.scheme {
            SignatureScheme::RSA_PSS_SHA256 => self.key.pss_sign::<Sha256>(message),
            SignatureScheme::RSA_PSS_SHA384 => self.key.pss_sign::<Sha384>(message),
            SignatureScheme::RSA_PSS_SHA512 => self.key.pss_sign::<Sha512>(message),
            SignatureScheme::RSA_PKCS1_SHA256 => self.key.pkcs1v15_sign::<Sha256>(message),
            SignatureScheme::RSA_PKCS1_SHA384 => self.key.pkcs1v15_sign::<Sha384>(message),
            _ => self.key.pkcs1v15_sign::<Sha512>(message),
        };
        signed.map_err(failed)
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

fn failed(error: impl fmt::Display) -> Error {
    Error::General(format!("signing failed: {error}"))
}
