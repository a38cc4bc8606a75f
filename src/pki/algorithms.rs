//! Signatures that are verified: ring's, and those that ring lacks: P-521, and SHA-512 with the curves P-256 and P-384.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use ring::digest::{self, digest};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// The sizes of RSA keys that sign and are verified, in bits.
pub(super) const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// All of them. In the mapping the first algorithm of a scheme is the one of TLS 1.3.
pub(super) static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let ring = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let all: Vec<Algorithm> = ring.all.iter().copied().chain(LACKING).collect();
    let mut mapping = ring.mapping.to_vec();
    mapping.insert(0, (SignatureScheme::ECDSA_NISTP521_SHA512, &ALL_SHA512));
    // Made once, for the life of the process: the library's type asks for that.
    WebPkiSupportedAlgorithms { all: Box::leak(all.into()), mapping: Box::leak(mapping.into()) }
});

static ALL_SHA512: [Algorithm; 3] = [&P521_SHA512, &P256_SHA512, &P384_SHA512];
const LACKING: [Algorithm; 5] = [&P521_SHA256, &P521_SHA384, &P521_SHA512, &P256_SHA512, &P384_SHA512];

static P256_SHA512: Ecdsa = Ecdsa { curve: Curve::P256, hash: Hash::Sha512 };
static P384_SHA512: Ecdsa = Ecdsa { curve: Curve::P384, hash: Hash::Sha512 };
static P521_SHA256: Ecdsa = Ecdsa { curve: Curve::P521, hash: Hash::Sha256 };
static P521_SHA384: Ecdsa = Ecdsa { curve: Curve::P521, hash: Hash::Sha384 };
static P521_SHA512: Ecdsa = Ecdsa { curve: Curve::P521, hash: Hash::Sha512 };

#[derive(Clone, Copy, Debug)]
enum Curve {
    P256,
    P384,
    P521,
}

#[derive(Clone, Copy, Debug)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Debug)]
struct Ecdsa {
    curve: Curve,
    hash: Hash,
}

/// True if the signature in DER of a hash is of the key, an uncompressed point on the curve of the crate `$curve`.
macro_rules! is_signed {
    ($curve:ident, $key:ident, $hash:ident, $signature:ident) => {{
        use $curve::ecdsa::signature::hazmat::PrehashVerifier;
        let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes($key);
        let signature = $curve::ecdsa::Signature::from_der($signature);
        matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_prehash($hash, &signature).is_ok())
    }};
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        const UNCOMPRESSED: u8 = 4;
        let hash = digest(
            match self.hash {
                Hash::Sha256 => &digest::SHA256,
                Hash::Sha384 => &digest::SHA384,
                Hash::Sha512 => &digest::SHA512,
            },
            message,
        );
        let hash = hash.as_ref();
        let good = match self.curve {
            Curve::P256 => is_signed!(p256, public_key, hash, signature),
            Curve::P384 => is_signed!(p384, public_key, hash, signature),
            Curve::P521 => is_signed!(p521, public_key, hash, signature),
        };
        if good && public_key.first() == Some(&UNCOMPRESSED) { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.curve {
            Curve::P256 => alg_id::ECDSA_P256,
            Curve::P384 => alg_id::ECDSA_P384,
            Curve::P521 => alg_id::ECDSA_P521,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.hash {
            Hash::Sha256 => alg_id::ECDSA_SHA256,
            Hash::Sha384 => alg_id::ECDSA_SHA384,
            Hash::Sha512 => alg_id::ECDSA_SHA512,
        }
    }
}
