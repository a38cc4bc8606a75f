//! From a certificate to a CA that is trusted: the paths that Go's crypto/x509 accepts.
//!
//! What differs from webpki, which most programs in Rust use: versions 1 and 2 of X.509 are read; a certificate that is
//! among the trusted ones is trusted itself, self-signed or not; a CA that has expired issues nothing. Policies are not
//! evaluated: a chain that demands it is refused.

use std::collections::HashMap;

use rustls::pki_types::CertificateDer;

use super::algorithms::ALGORITHMS;
use super::certificate::{Certificate, moment};
use super::names::MAX_COMPARISONS;
use super::refusal::{Kind, Refused};

/// What may be spent on one certificate: one for each candidate, as in Go, and more for a signature that takes long to
/// verify. Whoever has no certificate of the CA can make up a hundred candidates, whose keys it chooses.
const MAX_COST: usize = 100;

/// The trusted certificates.
#[derive(Debug, Default)]
pub(super) struct Roots {
    by_subject: HashMap<Vec<u8>, Vec<Certificate>>,
}

impl Roots {
    /// Trusts these.
    pub(super) fn new(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        let mut roots = Self::default();
        for certificate in certificates {
            roots.by_subject.entry(certificate.subject.clone()).or_default().push(certificate);
        }
        roots
    }

    fn named(&self, subject: &[u8]) -> &[Certificate] {
        self.by_subject.get(subject).map(Vec::as_slice).unwrap_or_default()
    }

    fn hold(&self, certificate: &Certificate) -> bool {
        self.named(&certificate.subject).iter().any(|root| root.der == certificate.der)
    }
}

/// For what a certificate is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// By who opens a connection.
    Client,
    /// By who accepts it.
    Server,
}

/// Reads what the other side shows.
///
/// # Errors
/// If one of them is malformed.
pub(super) fn read(
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Result<Vec<Certificate>, Refused> {
    let all = std::iter::once(leaf).chain(others).map(|der| Certificate::read(der.as_ref()));
    all.collect::<Result<_, _>>().map_err(|error| Refused::new(Kind::Malformed, error))
}

/// Finds a path from the first certificate to one of the roots; the others are those between, in any order. Returns the
/// path, with its root at the end.
///
/// # Errors
/// Why there is none.
pub(super) fn find<'c>(
    shown: &'c [Certificate],
    roots: &'c Roots,
    usage: Usage,
    now: i64,
) -> Result<Vec<&'c Certificate>, Refused> {
    let (leaf, others) =
        shown.split_first().ok_or_else(|| Refused::new(Kind::Missing, "there is no certificate"))?;
    check_alone(leaf, "the certificate", now)?;
    let unfit = |why| Refused::new(Kind::Unfit, format!("the certificate {:?} {why}", leaf.name()));
    leaf.key.check().map_err(unfit)?;
    let mut search = Search { others, roots, usage, now, left: MAX_COST, hint: None };
    if roots.hold(leaf) {
        check_path(&[leaf], usage)?;
        return Ok(vec![leaf]);
    }
    let mut path = vec![leaf];
    if search.extend(&mut path) {
        return Ok(path);
    }
    Err(search.hint.unwrap_or_else(|| {
        let issuer = &leaf.issued_by;
        let text = match leaf.subject == leaf.issuer {
            true => format!(
                "the certificate {:?} is self-signed and not one of those that are trusted",
                leaf.name()
            ),
            false => {
                format!("the certificate {:?} was issued by {issuer:?}, which is not trusted", leaf.name())
            }
        };
        Refused::new(Kind::UnknownCa, text)
    }))
}

struct Search<'c> {
    others: &'c [Certificate],
    roots: &'c Roots,
    usage: Usage,
    now: i64,
    /// What may still be spent.
    left: usize,
    /// Why the first candidate was no good.
    hint: Option<Refused>,
}

impl<'c> Search<'c> {
    /// Extends the path until it ends below a root; true if it does.
    fn extend(&mut self, path: &mut Vec<&'c Certificate>) -> bool {
        let Some(child) = path.last().copied() else { return false };
        let (roots, others) = (self.roots, self.others);
        for root in roots.named(&child.issuer) {
            if let Err(refused) = self.consider(root, path, true) {
                self.note(refused);
            } else {
                let whole: Vec<&Certificate> = path.iter().copied().chain([root]).collect();
                match check_path(&whole, self.usage) {
                    Ok(()) => {
                        path.push(root);
                        return true;
                    }
                    Err(refused) => self.note(Some(refused)),
                }
            }
        }
        for other in others.iter().filter(|other| other.subject == child.issuer) {
            if let Err(refused) = self.consider(other, path, false) {
                self.note(refused);
                continue;
            }
            path.push(other);
            if self.extend(path) {
                return true;
            }
            path.pop();
        }
        false
    }

    fn note(&mut self, refused: Option<Refused>) {
        if self.hint.is_none() {
            self.hint = refused;
        }
    }

    /// Checks whether the parent may have issued the last certificate of the path.
    fn consider(
        &mut self,
        parent: &Certificate,
        path: &[&Certificate],
        is_root: bool,
    ) -> Result<(), Option<Refused>> {
        self.left = self.left.checked_sub(1).ok_or(None)?;
        let is_it = |own: &&Certificate| {
            own.subject == parent.subject
                && own.key == parent.key
                && own.says.raw_names == parent.says.raw_names
        };
        let Some(child) = path.last().filter(|_| !path.iter().any(is_it)) else {
            return Err(None);
        };
        let who = format!("the CA certificate {:?}", parent.name());
        let unfit = |why: &str| Some(Refused::new(Kind::Unfit, format!("{who} {why}")));
        match parent.says.authority {
            None if parent.version == 3 || !is_root => return Err(unfit("is not one of a CA")),
            Some((false, _)) => return Err(unfit("is not one of a CA")),
            Some((true, Some(most))) if path.len() > most as usize + 1 => {
                return Err(unfit("does not allow so many certificates below it"));
            }
            _ => {}
        }
        if parent.says.signs == Some(false) {
            return Err(unfit("may not sign certificates"));
        }
        self.left = self.left.checked_sub(parent.key.cost()).ok_or(None)?;
        check_signature(child, parent)?;
        check_alone(parent, "the CA certificate", self.now).map_err(Some)
    }
}

/// Signatures of hashes for which two texts with one hash can be made.
const BROKEN: [(&[u8], &str); 4] = [
    (&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], "MD5"),
    (&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x02], "MD2"),
    (&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], "SHA-1"),
    (&[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], "SHA-1"),
];

fn check_signature(child: &Certificate, parent: &Certificate) -> Result<(), Option<Refused>> {
    let who = format!("the certificate {:?}", child.name());
    if let Some((_, hash)) = BROKEN.iter().find(|(id, _)| child.algorithm.starts_with(id)) {
        return Err(Some(Refused::new(
            Kind::Unfit,
            format!("{who} is signed with {hash}, which can be forged"),
        )));
    }
    let mut fits = ALGORITHMS.all.iter().filter(|algorithm| {
        *algorithm.signature_alg_id() == *child.algorithm
            && *algorithm.public_key_alg_id() == *parent.key.algorithm
    });
    let Some(algorithm) = fits.next() else {
        let text = format!("{who} has a signature or its CA a key of a kind that kvd does not verify");
        return Err(Some(Refused::new(Kind::Unfit, text)));
    };
    algorithm.verify_signature(&parent.key.bits, &child.signed, &child.signature).map_err(|_| {
        let text = format!(
            "{who} was not signed by the CA {:?} that is trusted here, but by another of that name",
            parent.name()
        );
        Some(Refused::new(Kind::UnknownCa, text))
    })
}

/// What a certificate says without others.
fn check_alone(certificate: &Certificate, what: &str, now: i64) -> Result<(), Refused> {
    let name = certificate.name();
    if let Some(id) = &certificate.says.unknown {
        let text = format!("{what} {name:?} has a critical extension that kvd does not know: {id}");
        return Err(Refused::new(Kind::Unfit, text));
    }
    if now < certificate.from {
        let from = certificate.from;
        let text =
            format!("{what} {name:?} is not valid before {}; is this machine's clock right?", moment(from));
        return Err(Refused::new(Kind::NotYetValid { now, from }, text));
    }
    if now > certificate.until {
        let until = certificate.until;
        let text = format!("{what} {name:?} has expired: it was valid until {}", moment(until));
        return Err(Refused::new(Kind::Expired { now, until }, text));
    }
    Ok(())
}

/// What a whole path must fulfil, from the leaf to the root.
fn check_path(path: &[&Certificate], usage: Usage) -> Result<(), Refused> {
    for certificate in path {
        let Some(usages) = certificate.says.usages else { continue };
        let (good, wanted) = match usage {
            Usage::Client => (usages.client, "of clients (clientAuth)"),
            Usage::Server => (usages.server, "of servers (serverAuth)"),
        };
        if !good && !usages.any {
            let text = format!("the certificate {:?} is not for the use {wanted}", certificate.name());
            return Err(Refused::new(Kind::Unfit, text));
        }
    }
    if path.len() > 1 && path.iter().any(|certificate| certificate.says.demands_policy) {
        return Err(Refused::new(Kind::Unfit, "the chain demands policies, which kvd does not evaluate"));
    }
    let mut left = MAX_COMPARISONS;
    for (at, authority) in path.iter().enumerate() {
        let Some(constraints) = &authority.says.constraints else { continue };
        for below in path.iter().take(at) {
            let checked = constraints.check(&below.says.names, &mut left);
            checked.map_err(|why| {
                Refused::new(Kind::Unfit, format!("the certificate {:?}: {why}", below.name()))
            })?;
        }
    }
    Ok(())
}
