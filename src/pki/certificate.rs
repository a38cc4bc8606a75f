//! The contents of a certificate, read as Go's crypto/x509 reads them: what it refuses to read is refused here.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use rustls::pki_types::{CertificateDer, alg_id};
use x509_parser::asn1_rs::{Any, Class, Tag};
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::PkiError;
use super::algorithms::{ALGORITHMS, RSA_BITS};
use super::der::{DEPTH, is_regular, is_regular_one, objects, parts};
use super::names::{Constraints, Name, Subtree};
use super::uri::is_uri;
use crate::model::{ClusterId, MemberId};

/// The holder of a certificate, as its URI name `kvd://CLUSTER/MEMBER` says. Both ids are zero for a holder that is not
/// a member yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
}

const SCHEME: &str = "kvd://";
/// The first byte of a certificate.
const SEQUENCE: u8 = 0x30;
/// The field of the version.
const VERSION: Tag = Tag(0);
/// How the algorithms of ECDSA begin: all but the number of the hash.
const ECDSA: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03";

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.cluster, self.member)
    }
}

impl Holder {
    /// Reads what [`Display`](fmt::Display) writes; `None` for any other URI.
    pub fn parse(uri: &str) -> Option<Self> {
        let (cluster, member) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let id = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self { member: MemberId(id(member)?), cluster: ClusterId(id(cluster)?) })
    }
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// All of it.
    pub der: CertificateDer<'static>,
    /// 1 to 3.
    pub version: u32,
    /// The subject, DER.
    pub subject: Vec<u8>,
    /// The issuer, DER.
    pub issuer: Vec<u8>,
    /// Big-endian, without leading zeros.
    pub serial: Vec<u8>,
    /// Start of its validity, seconds since the unix epoch.
    pub from: i64,
    /// End of its validity, likewise.
    pub until: i64,
    /// Its public key.
    pub key: PublicKey,
    /// What the issuer signed.
    pub signed: Vec<u8>,
    /// The identifier of the signature's algorithm, DER without its head.
    pub algorithm: Vec<u8>,
    /// The issuer's signature.
    pub signature: Vec<u8>,
    /// The subject's common names; usually one. One that is in an encoding of the past is empty: it is nobody's.
    pub common_names: Vec<String>,
    /// The issuer in words.
    pub issued_by: String,
    /// Its extensions.
    pub says: Says,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    /// All of it, DER.
    pub info: Vec<u8>,
    /// The identifier of its algorithm, DER without its head.
    pub algorithm: Vec<u8>,
    /// The key itself.
    pub bits: Vec<u8>,
}

impl PublicKey {
    /// How long it takes to verify a signature with it, in addition to the simplest.
    pub(super) fn cost(&self) -> usize {
        match self.bits.len() {
            _ if *self.algorithm == *alg_id::ECDSA_P521 => 20,
            _ if *self.algorithm == *alg_id::ECDSA_P384 => 4,
            // RSA, in bytes.
            800.. => 10,
            400.. => 3,
            _ => 0,
        }
    }

    /// Says what is wrong with a key that no signature is verified with.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        if !ALGORITHMS.all.iter().any(|algorithm| *algorithm.public_key_alg_id() == *self.algorithm) {
            return Err("has a key of a kind that kvd does not verify".into());
        }
        if *self.algorithm == *alg_id::RSA_ENCRYPTION {
            let modulus = contents(&self.bits).and_then(contents).map(without_zeros).unwrap_or_default();
            let bits = 8 * modulus.len();
            if !RSA_BITS.contains(&bits) {
                return Err(format!("has an RSA key of {bits} bits; 2048 to 8192 are good"));
            }
        }
        Ok(())
    }
}

/// What the extensions say that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Says {
    /// The alternative names.
    pub names: Vec<Name>,
    /// The extension that has them; it tells certificates of one key apart.
    pub raw_names: Option<Vec<u8>>,
    /// Whether it is a CA's, and how many CAs may be below it.
    pub authority: Option<(bool, Option<u32>)>,
    /// True if the key may sign certificates; none if all uses are good.
    pub signs: Option<bool>,
    /// For what it may be used; none for everything.
    pub usages: Option<Usages>,
    /// The names for which this CA may issue.
    pub constraints: Option<Constraints>,
    /// It demands that policies are evaluated.
    pub demands_policy: bool,
    /// A critical extension that is not known.
    pub unknown: Option<String>,
}

/// Extended key usages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usages {
    pub any: bool,
    pub client: bool,
    pub server: bool,
}

impl Certificate {
    /// Reads a certificate. Does not check whether it is trusted.
    ///
    /// # Errors
    /// If it is not a certificate.
    pub(super) fn read(der: &[u8]) -> Result<Self, PkiError> {
        let bad = |what: &str| PkiError::crypto(format!("malformed certificate: {what}"));
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| bad("its structure"))?;
        let tbs = &certificate.tbs_certificate;
        let parts = parts(der).unwrap_or_default();
        let [signed, algorithm, signature] = parts.as_slice() else {
            return Err(bad("more than a certificate"));
        };
        // What is around the signed part is under no signature. Only some fields, and the parameters of an algorithm, have
        // types that their place tells.
        let is_sequence = algorithm.class() == Class::Universal && algorithm.tag() == Tag::Sequence;
        let around =
            is_sequence && is_regular_one(algorithm, true, DEPTH) && is_regular_one(signature, false, DEPTH);
        let fields = objects(signed.data).unwrap_or_default();
        let own = fields.iter().skip_while(|field| field.tag() != Tag::Integer).nth(1);
        if der.first() != Some(&SEQUENCE)
            || !around
            || !fields.iter().all(|field| is_regular_field(field, algorithm))
            || own.is_none_or(|own| own.data != algorithm.data)
        {
            return Err(bad("it is not DER"));
        }
        let serial = tbs.raw_serial();
        match () {
            () if certificate.signature_algorithm != tbs.signature => {
                return Err(bad("two algorithms of one signature"));
            }
            () if serial.first().is_none_or(|first| first & 0x80 != 0) => {
                return Err(bad("a negative serial number"));
            }
            () if tbs.version().0 > 2 => return Err(bad("its version")),
            () if certificate.signature_value.unused_bits != 0 => return Err(bad("its signature")),
            () if tbs.subject_pki.subject_public_key.unused_bits != 0 => return Err(bad("its key")),
            () => {}
        }
        let mut attributes = tbs.subject().iter_attributes().chain(tbs.issuer().iter_attributes());
        if !attributes.all(|attribute| is_text(attribute.attr_value())) {
            return Err(bad("a part of the subject or the issuer is no text"));
        }
        let info = tbs.subject_pki.raw;
        let key = contents(info).and_then(contents).ok_or_else(|| bad("its key"))?;
        let version = tbs.version().0 + 1;
        let says = if version == 3 {
            Says::read(tbs.extensions()).map_err(|what| bad(&what))?
        } else {
            Says::default()
        };
        let text =
            |name: &x509_parser::x509::AttributeTypeAndValue<'_>| name.as_str().ok().map(str::to_owned);
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            version,
            subject: tbs.subject().as_raw().to_vec(),
            issuer: tbs.issuer().as_raw().to_vec(),
            serial: without_zeros(serial),
            from: tbs.validity.not_before.timestamp(),
            until: tbs.validity.not_after.timestamp(),
            key: PublicKey {
                info: info.to_vec(),
                algorithm: key.to_vec(),
                bits: tbs.subject_pki.subject_public_key.data.to_vec(),
            },
            signed: tbs.as_ref().to_vec(),
            algorithm: without_null(algorithm.data).to_vec(),
            signature: certificate.signature_value.data.to_vec(),
            common_names: {
                let names = tbs.subject().iter_common_name();
                names.map(|name| text(name).unwrap_or_default()).collect()
            },
            issued_by: {
                let name = tbs.issuer().iter_common_name().filter_map(text).last();
                name.unwrap_or_else(|| tbs.issuer().to_string())
            },
            says,
        })
    }

    /// How people call it: by its common name, or its first alternative name.
    pub(super) fn name(&self) -> String {
        let named = self.says.names.first().map(ToString::to_string);
        let common = self.common_names.last().filter(|name| !name.is_empty());
        common.cloned().or(named).unwrap_or_else(|| "without a name".into())
    }

    /// The member it was issued to, if a URI among its names says so.
    pub(super) fn holder(&self) -> Option<Holder> {
        self.says.names.iter().find_map(|name| match name {
            Name::Uri(uri) => Holder::parse(uri),
            _ => None,
        })
    }

    /// Refuses a certificate, read from `path`, outside the time for which it is valid.
    ///
    /// # Errors
    /// [`PkiError::Expired`], [`PkiError::NotYetValid`].
    pub(super) fn check_validity(&self, path: &Path, now_ms: i64) -> Result<(), PkiError> {
        let (path, now) = (path.to_path_buf(), now_ms / 1000);
        match () {
            () if now > self.until => Err(PkiError::Expired { path, until: moment(self.until) }),
            () if now < self.from => Err(PkiError::NotYetValid { path, from: moment(self.from) }),
            () => Ok(()),
        }
    }
}

impl Says {
    fn read(extensions: &[X509Extension<'_>]) -> Result<Self, String> {
        let mut says = Self::default();
        let mut seen = HashSet::new();
        for extension in extensions {
            let id = extension.oid.to_id_string();
            if !seen.insert(id.clone()) {
                return Err(format!("extension {id} twice"));
            }
            let known = says.take(extension).map_err(|()| format!("extension {id}"))?;
            if extension.critical && !known {
                says.unknown.get_or_insert(id);
            }
        }
        Ok(says)
    }

    /// Returns whether the extension was understood.
    fn take(&mut self, extension: &X509Extension<'_>) -> Result<bool, ()> {
        let critical = extension.critical;
        match extension.parsed_extension() {
            ParsedExtension::ParseError { .. } => return Err(()),
            ParsedExtension::SubjectAlternativeName(_)
            | ParsedExtension::BasicConstraints(_)
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::NameConstraints(_)
            | ParsedExtension::PolicyConstraints(_)
                if objects(extension.value).is_none_or(|all| all.len() != 1)
                    || !is_regular(extension.value, true) =>
            {
                return Err(());
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                self.raw_names = Some(extension.value.to_vec());
                for name in &names.general_names {
                    self.names.extend(name_of(name)?);
                }
                return Ok(!self.names.is_empty());
            }
            ParsedExtension::BasicConstraints(basic) => {
                self.authority = Some((basic.ca, basic.path_len_constraint));
            }
            // Without any bit set it says nothing.
            ParsedExtension::KeyUsage(usage) => {
                self.signs = (usage.flags != 0).then(|| usage.key_cert_sign())
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let (any, client, server) = (usage.any, usage.client_auth, usage.server_auth);
                let others =
                    usage.code_signing || usage.email_protection || usage.time_stamping || usage.ocsp_signing;
                let says_some = any || client || server || others || !usage.other.is_empty();
                self.usages = says_some.then_some(Usages { any, client, server });
            }
            ParsedExtension::NameConstraints(constraints) => {
                // The library passes over trees that it cannot read: then they would not constrain anything.
                let read =
                    [constraints.permitted_subtrees.is_some(), constraints.excluded_subtrees.is_some()];
                let read = read.into_iter().filter(|is_there| *is_there).count();
                if read == 0 || parts(extension.value).ok_or(())?.len() != read {
                    return Err(());
                }
                let trees = |trees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
                    let trees = trees.iter().flatten().map(|tree| tree_of(&tree.base));
                    trees.collect::<Result<Vec<_>, ()>>()
                };
                let (permitted, excluded) =
                    (trees(&constraints.permitted_subtrees)?, trees(&constraints.excluded_subtrees)?);
                let all_known = permitted.iter().chain(&excluded).all(Option::is_some);
                let known = |trees: Vec<Option<Subtree>>| trees.into_iter().flatten().collect();
                self.constraints =
                    Some(Constraints { permitted: known(permitted), excluded: known(excluded) });
                return Ok(all_known);
            }
            ParsedExtension::PolicyConstraints(policy) => {
                self.demands_policy = policy.require_explicit_policy.is_some();
            }
            ParsedExtension::AuthorityKeyIdentifier(_)
            | ParsedExtension::SubjectKeyIdentifier(_)
            | ParsedExtension::AuthorityInfoAccess(_) => return if critical { Err(()) } else { Ok(true) },
            ParsedExtension::CertificatePolicies(_)
            | ParsedExtension::PolicyMappings(_)
            | ParsedExtension::InhibitAnyPolicy(_)
            | ParsedExtension::CRLDistributionPoints(_) => {}
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// None for a kind of name that is not compared with anything.
fn name_of(name: &GeneralName<'_>) -> Result<Option<Name>, ()> {
    let ascii = |text: &str| if text.is_ascii() { Ok(text.to_owned()) } else { Err(()) };
    Ok(Some(match name {
        GeneralName::DNSName(name) => Name::Dns(ascii(name)?),
        GeneralName::RFC822Name(name) => Name::Email(ascii(name)?),
        GeneralName::URI(uri) if is_uri(uri) => Name::Uri(ascii(uri)?),
        GeneralName::URI(_) => return Err(()),
        GeneralName::IPAddress(bytes) => Name::Ip(address(bytes).ok_or(())?),
        GeneralName::Invalid(..) => return Err(()),
        _ => return Ok(None),
    }))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    four.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

fn tree_of(base: &GeneralName<'_>) -> Result<Option<Subtree>, ()> {
    let tree = match base {
        GeneralName::DNSName(name) => Subtree::Dns((*name).to_owned()),
        GeneralName::RFC822Name(name) => Subtree::Email((*name).to_owned()),
        GeneralName::URI(uri) => Subtree::Uri((*uri).to_owned()),
        GeneralName::IPAddress(bytes) if matches!(bytes.len(), 8 | 32) => {
            let (ip, mask) = bytes.split_at(bytes.len() / 2);
            Subtree::Ip(ip.to_vec(), mask.to_vec())
        }
        GeneralName::IPAddress(_) | GeneralName::Invalid(..) => return Err(()),
        _ => return Ok(None),
    };
    // Names are not found in a tree that means nothing, so it would exclude nothing.
    if tree.is_sound() { Ok(Some(tree)) } else { Err(()) }
}

/// True for a text in one of the encodings of X.509.
fn is_text(value: &Any<'_>) -> bool {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String => std::str::from_utf8(bytes).is_ok(),
        // A star and an ampersand are not printable, but common.
        Tag::PrintableString => {
            bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?*&".contains(byte))
        }
        Tag::Ia5String => bytes.is_ascii(),
        Tag::NumericString => bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b' '),
        Tag::BmpString => {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let is_none = |pair: &[u8; 2]| matches!(u16::from_be_bytes(*pair), 0xd800..=0xdfff | 0xfdd0..=0xfdef | 0xfffe | 0xffff);
            rest.is_empty() && !pairs.iter().any(is_none)
        }
        Tag::T61String => true,
        _ => false,
    }
}

/// The contents of the first object.
fn contents(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, any)| any.data)
}

/// True if a field of the part that is signed is DER, beside the `algorithm` of the signature, which is in it once more.
fn is_regular_field(field: &Any<'_>, algorithm: &Any<'_>) -> bool {
    match field.class() {
        Class::ContextSpecific if field.header.is_constructed() => {
            let is_version = field.tag() == VERSION;
            is_regular(field.data, false)
                && (!is_version || objects(field.data).is_some_and(|all| all.len() == 1))
        }
        Class::ContextSpecific => true,
        _ => field.data == algorithm.data || is_regular_one(field, false, DEPTH),
    }
}

/// Older programs write parameters of nothing behind the algorithms of ECDSA, which have none (RFC 5758, 3.2).
fn without_null(algorithm: &[u8]) -> &[u8] {
    match algorithm.strip_suffix(b"\x05\x00") {
        Some(id) if id.starts_with(ECDSA) && id.len() == ECDSA.len() + 1 => id,
        _ => algorithm,
    }
}

/// A big-endian number without leading zeros.
pub(super) fn without_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// A time in seconds since the unix epoch, as text.
pub(super) fn moment(at: i64) -> String {
    ASN1Time::from_timestamp(at).map_or_else(|_| format!("second {at}"), |at| at.to_string())
}
