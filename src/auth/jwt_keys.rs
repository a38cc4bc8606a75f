//! The methods and keys of JSON web tokens (RFC 7518): keys are read from PEM as Go's library reads them.

use std::fmt;

use p521::ecdsa as p521;
use p521::signature::{Signer as _, Verifier as _};
use ring::error::KeyRejected;
use ring::rand::SystemRandom;
use ring::signature::{self as sig, KeyPair as _};
use ring::{hmac, signature::UnparsedPublicKey};
use x509_parser::der_parser::ber::{BerObject, BerObjectContent};
use x509_parser::der_parser::parse_der;
use x509_parser::prelude::{FromDer, Pem, SubjectPublicKeyInfo, X509Certificate};
use zeroize::Zeroizing;

use crate::model::Refusal;

/// What is wrong with the options of JSON web tokens; etcd's texts if it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No method has that name.
    #[error("auth: unknown sign-method {0:?}; one of: {known}", known = METHODS.map(|(name, _)| name).join(", "))]
    UnknownMethod(String),
    /// The key that is necessary was not given.
    #[error("auth: missing key data")]
    Missing,
    /// A key that cannot be read, or of another kind.
    #[error("auth: {file}: {why}")]
    Unfit {
        /// Its option.
        file: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Two keys that do not belong together.
    #[error("auth: public and private keys don't match")]
    Mismatch,
}

/// The length of a method's hash in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bits {
    B256,
    B384,
    B512,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Rsa,
    RsaPss,
    Ecdsa,
    Hmac,
    Ed25519,
}

/// A method of signing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Method {
    family: Family,
    bits: Bits,
}

const fn method(family: Family, bits: Bits) -> Method {
    Method { family, bits }
}

const METHODS: [(&str, Method); 13] = [
    ("RS256", method(Family::Rsa, Bits::B256)),
    ("RS384", method(Family::Rsa, Bits::B384)),
    ("RS512", method(Family::Rsa, Bits::B512)),
    ("PS256", method(Family::RsaPss, Bits::B256)),
    ("PS384", method(Family::RsaPss, Bits::B384)),
    ("PS512", method(Family::RsaPss, Bits::B512)),
    ("ES256", method(Family::Ecdsa, Bits::B256)),
    ("ES384", method(Family::Ecdsa, Bits::B384)),
    ("ES512", method(Family::Ecdsa, Bits::B512)),
    ("HS256", method(Family::Hmac, Bits::B256)),
    ("HS384", method(Family::Hmac, Bits::B384)),
    ("HS512", method(Family::Hmac, Bits::B512)),
    ("EdDSA", method(Family::Ed25519, Bits::B512)),
];

impl Method {
    /// The method of that name.
    pub fn named(name: &str) -> Option<Self> {
        METHODS.into_iter().find_map(|(known, method)| (known == name).then_some(method))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        METHODS.into_iter().find_map(|(name, known)| (known == self).then_some(name)).unwrap_or_default()
    }
}

/// The key of a method; it signs if it is private.
pub struct Key {
    private: Option<Private>,
    public: Public,
}

enum Private {
    Rsa(sig::RsaKeyPair, &'static dyn sig::RsaEncoding),
    Ecdsa(sig::EcdsaKeyPair),
    P521(Box<p521::SigningKey>),
    Ed25519(sig::Ed25519KeyPair),
    Hmac(hmac::Key),
}

enum Public {
    Ring(UnparsedPublicKey<Vec<u8>>),
    P521(Box<p521::VerifyingKey>),
    Hmac(hmac::Key),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

const PUBLIC: &str = "pub-key";
const PRIVATE: &str = "priv-key";

fn unfit(file: &'static str, why: impl fmt::Display) -> KeyError {
    KeyError::Unfit { file, why: why.to_string() }
}

impl Key {
    /// Reads the keys of a method; of two keys the public one must belong to the private one.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn new(method: Method, public: Option<&[u8]>, private: Option<&[u8]>) -> Result<Self, KeyError> {
        let present = |key: Option<&[u8]>| key.is_some_and(|bytes| !bytes.is_empty());
        if method.family == Family::Hmac {
            let secret = private.filter(|bytes| !bytes.is_empty());
            let secret = secret.ok_or(KeyError::Missing)?;
            let key = hmac::Key::new(hmac_of(method), secret);
            return Ok(Self { private: Some(Private::Hmac(key.clone())), public: Public::Hmac(key) });
        }
        let public =
            public.filter(|bytes| !bytes.is_empty()).map(|pem| read_public(method, pem)).transpose()?;
        if !present(private) {
            let raw = public.ok_or(KeyError::Missing)?;
            return Ok(Self { private: None, public: verifier(method, raw)? });
        }
        let (private, own) = read_private(method, private.unwrap_or_default(), public.as_deref())?;
        if public.is_some_and(|public| public != own) {
            return Err(KeyError::Mismatch);
        }
        Ok(Self { private: Some(private), public: verifier(method, own)? })
    }

    /// The signature of a message.
    ///
    /// # Errors
    /// [`Refusal::VerifyOnly`] without a private key; [`Refusal::Internal`] if there is no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let failed = |_| Refusal::Internal("a token could not be signed".to_string());
        let random = SystemRandom::new();
        match self.private.as_ref().ok_or(Refusal::VerifyOnly)? {
            Private::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Private::Ecdsa(key) => {
                key.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(failed)
            }
            Private::P521(key) => {
                let signature: p521::Signature = key.sign(message);
                Ok(signature.to_bytes().to_vec())
            }
            Private::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            Private::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    /// True if this key, or its private key, has signed the message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Ring(key) => key.verify(message, signature).is_ok(),
            Public::P521(key) => p521::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Public::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

fn hmac_of(method: Method) -> hmac::Algorithm {
    match method.bits {
        Bits::B256 => hmac::HMAC_SHA256,
        Bits::B384 => hmac::HMAC_SHA384,
        Bits::B512 => hmac::HMAC_SHA512,
    }
}

/// The verifier for a public key in its raw form.
fn verifier(method: Method, raw: Vec<u8>) -> Result<Public, KeyError> {
    let algorithm: &'static dyn sig::VerificationAlgorithm = match (method.family, method.bits) {
        (Family::Rsa, Bits::B256) => &sig::RSA_PKCS1_2048_8192_SHA256,
        (Family::Rsa, Bits::B384) => &sig::RSA_PKCS1_2048_8192_SHA384,
        (Family::Rsa, Bits::B512) => &sig::RSA_PKCS1_2048_8192_SHA512,
        (Family::RsaPss, Bits::B256) => &sig::RSA_PSS_2048_8192_SHA256,
        (Family::RsaPss, Bits::B384) => &sig::RSA_PSS_2048_8192_SHA384,
        (Family::RsaPss, Bits::B512) => &sig::RSA_PSS_2048_8192_SHA512,
        (Family::Ecdsa, Bits::B256) => &sig::ECDSA_P256_SHA256_FIXED,
        (Family::Ecdsa, Bits::B384) => &sig::ECDSA_P384_SHA384_FIXED,
        (Family::Ed25519 | Family::Hmac, _) => &sig::ED25519,
        (Family::Ecdsa, Bits::B512) => {
            let key = p521::VerifyingKey::from_sec1_bytes(&raw).map_err(|error| unfit(PUBLIC, error))?;
            return Ok(Public::P521(Box::new(key)));
        }
    };
    Ok(Public::Ring(UnparsedPublicKey::new(algorithm, raw)))
}

/// The identifier of a method's key, and of its curve.
fn identifiers(method: Method) -> (&'static str, Option<&'static str>) {
    match (method.family, method.bits) {
        (Family::Ecdsa, Bits::B256) => ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")),
        (Family::Ecdsa, Bits::B384) => ("1.2.840.10045.2.1", Some("1.3.132.0.34")),
        (Family::Ecdsa, Bits::B512) => ("1.2.840.10045.2.1", Some("1.3.132.0.35")),
        (Family::Ed25519 | Family::Hmac, _) => ("1.3.101.112", None),
        (Family::Rsa | Family::RsaPss, _) => ("1.2.840.113549.1.1.1", None),
    }
}

/// The first object of a PEM file that is not about parameters.
fn first(file: &'static str, pem: &[u8]) -> Result<Pem, KeyError> {
    let mut found = Pem::iter_from_buffer(pem).filter(|pem| match pem {
        Ok(pem) => !pem.label.ends_with("PARAMETERS"),
        Err(_) => true,
    });
    match found.next() {
        Some(Ok(pem)) => Ok(pem),
        Some(Err(error)) => Err(unfit(file, error)),
        None => Err(unfit(file, "it holds no key in PEM form")),
    }
}

/// A public key, or that of a certificate, in its raw form: RSA's as in PKCS#1, a point uncompressed.
fn read_public(method: Method, pem: &[u8]) -> Result<Vec<u8>, KeyError> {
    let pem = first(PUBLIC, pem)?;
    let is_rsa = matches!(method.family, Family::Rsa | Family::RsaPss);
    match pem.label.as_str() {
        "RSA PUBLIC KEY" if is_rsa => sized(pem.contents),
        "CERTIFICATE" => {
            let (_, certificate) =
                X509Certificate::from_der(&pem.contents).map_err(|error| unfit(PUBLIC, error))?;
            raw_of(method, certificate.public_key())
        }
        _ => {
            let (_, info) =
                SubjectPublicKeyInfo::from_der(&pem.contents).map_err(|error| unfit(PUBLIC, error))?;
            raw_of(method, &info)
        }
    }
}

fn raw_of(method: Method, info: &SubjectPublicKeyInfo<'_>) -> Result<Vec<u8>, KeyError> {
    let (kind, curve) = identifiers(method);
    let found = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    let fits = info.algorithm.algorithm.to_id_string() == kind
        && curve.is_none_or(|curve| found.is_some_and(|found| found.to_id_string() == curve));
    if !fits {
        return Err(unfit(PUBLIC, format!("it is not a key for {}", method.name())));
    }
    let raw = info.subject_public_key.data.to_vec();
    if matches!(method.family, Family::Rsa | Family::RsaPss) { sized(raw) } else { Ok(raw) }
}

/// A public key of RSA, if it is as long as the library wants it: otherwise it would accept no signature.
fn sized(raw: Vec<u8>) -> Result<Vec<u8>, KeyError> {
    let modulus = parse_der(&raw).ok().and_then(|(_, key)| {
        let fields = key.as_sequence().ok()?;
        let modulus = fields.first()?.as_slice().ok()?;
        Some(modulus.iter().skip_while(|byte| **byte == 0).count())
    });
    match modulus {
        Some(256..=1024) => Ok(raw),
        Some(_) => Err(unfit(PUBLIC, "RSA keys have from 2048 to 8192 bits here")),
        None => Err(unfit(PUBLIC, "it is no key of RSA")),
    }
}

/// A private key, with its public one in the raw form. `public` helps an elliptic key that lacks its own.
fn read_private(method: Method, pem: &[u8], public: Option<&[u8]>) -> Result<(Private, Vec<u8>), KeyError> {
    let Pem { label, contents } = first(PRIVATE, pem)?;
    let der = Zeroizing::new(contents);
    let other = || unfit(PRIVATE, format!("it is not a key for {}", method.name()));
    let rejected = |why: KeyRejected| match why.to_string().as_str() {
        "TooSmall" | "TooLarge" => unfit(PRIVATE, format!("it is not a key for {}: {why}", method.name())),
        _ => other(),
    };
    if label.contains("ENCRYPTED") {
        return Err(unfit(PRIVATE, "it is encrypted"));
    }
    match method.family {
        Family::Rsa | Family::RsaPss => {
            let read = match label.as_str() {
                "RSA PRIVATE KEY" => sig::RsaKeyPair::from_der(&der),
                _ => sig::RsaKeyPair::from_pkcs8(&der),
            };
            let key = read.map_err(rejected)?;
            let raw = key.public().as_ref().to_vec();
            Ok((Private::Rsa(key, encoding(method)), raw))
        }
        Family::Ed25519 | Family::Hmac => {
            let key = sig::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(rejected)?;
            let raw = key.public_key().as_ref().to_vec();
            Ok((Private::Ed25519(key), raw))
        }
        Family::Ecdsa => {
            let elliptic = Elliptic::read(&label, &der).ok_or_else(other)?;
            if elliptic.curve.as_deref() != identifiers(method).1 {
                return Err(other());
            }
            elliptic.key(method, public)
        }
    }
}

fn encoding(method: Method) -> &'static dyn sig::RsaEncoding {
    match (method.family == Family::RsaPss, method.bits) {
        (false, Bits::B256) => &sig::RSA_PKCS1_SHA256,
        (false, Bits::B384) => &sig::RSA_PKCS1_SHA384,
        (false, Bits::B512) => &sig::RSA_PKCS1_SHA512,
        (true, Bits::B256) => &sig::RSA_PSS_SHA256,
        (true, Bits::B384) => &sig::RSA_PSS_SHA384,
        (true, Bits::B512) => &sig::RSA_PSS_SHA512,
    }
}

/// An elliptic private key (RFC 5915), alone or in PKCS#8.
struct Elliptic {
    curve: Option<String>,
    secret: Zeroizing<Vec<u8>>,
    point: Option<Vec<u8>>,
}

impl Elliptic {
    fn read(label: &str, der: &[u8]) -> Option<Self> {
        let (_, outer) = parse_der(der).ok()?;
        let fields = outer.as_sequence().ok()?;
        if label == "EC PRIVATE KEY" {
            return Self::of(fields, None);
        }
        let [_, algorithm, key, ..] = fields.as_slice() else { return None };
        let curve = algorithm.as_sequence().ok()?.get(1)?.as_oid().ok()?.to_id_string();
        let (_, inner) = parse_der(key.as_slice().ok()?).ok()?;
        Self::of(inner.as_sequence().ok()?, Some(curve))
    }

    fn of(fields: &[BerObject<'_>], curve: Option<String>) -> Option<Self> {
        let [_, secret, optional @ ..] = fields else { return None };
        let mut key = Self { curve, secret: secret.as_slice().ok()?.to_vec().into(), point: None };
        for field in optional {
            let (_, content) = parse_der(field.as_slice().ok()?).ok()?;
            match content.content {
                BerObjectContent::OID(curve) => key.curve = Some(curve.to_id_string()),
                BerObjectContent::BitString(_, point) => key.point = Some(point.data.to_vec()),
                _ => return None,
            }
        }
        Some(key)
    }

    fn key(self, method: Method, public: Option<&[u8]>) -> Result<(Private, Vec<u8>), KeyError> {
        if method.bits == Bits::B512 {
            // The leading zeros may be left out.
            let mut secret = Zeroizing::new(vec![0; 66_usize.saturating_sub(self.secret.len())]);
            secret.extend_from_slice(&self.secret);
            let key = p521::SigningKey::from_slice(&secret).map_err(|error| unfit(PRIVATE, error))?;
            let raw = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
            return Ok((Private::P521(Box::new(key)), raw));
        }
        let algorithm = match method.bits {
            Bits::B256 => &sig::ECDSA_P256_SHA256_FIXED_SIGNING,
            _ => &sig::ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        let point = self.point.as_deref().or(public);
        let point = point.ok_or_else(|| unfit(PRIVATE, "it lacks its public key: give that as pub-key"))?;
        let random = SystemRandom::new();
        let key = sig::EcdsaKeyPair::from_private_key_and_public_key(algorithm, &self.secret, point, &random)
            .map_err(|error| unfit(PRIVATE, error))?;
        let raw = key.public_key().as_ref().to_vec();
        Ok((Private::Ecdsa(key), raw))
    }
}
