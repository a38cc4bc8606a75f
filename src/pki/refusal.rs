//! Why a certificate is refused: in words for the log and for people, and as the error that rustls makes an alert of.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, Error, OtherError};

/// The kind of a refusal; times in seconds since the unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    Malformed,
    UnknownCa,
    Expired {
        now: i64,
        until: i64,
    },
    NotYetValid {
        now: i64,
        from: i64,
    },
    Revoked,
    /// The host that was dialled, and those in the certificate.
    Name(ServerName<'static>, Vec<String>),
    NotAllowed,
    Unfit,
}

/// A certificate that is refused. Its text says which one and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub(super) kind: Kind,
    text: String,
}

tokio::task_local! {
    /// The refusal of the handshake that this task makes.
    static REFUSED: RefCell<Option<Refused>>;
}

/// Makes a handshake, and returns with its outcome why the other side's certificate was refused, if it was: a TLS alert
/// says less.
pub async fn watched<T>(handshake: impl Future<Output = T>) -> (T, Option<Refused>) {
    let both = async {
        let outcome = handshake.await;
        (outcome, REFUSED.with(|refused| refused.take()))
    };
    REFUSED.scope(RefCell::default(), both).await
}

impl Refused {
    pub(super) fn new(kind: Kind, text: impl ToString) -> Self {
        Self { kind, text: text.to_string() }
    }

    /// The kind in a few words, the same for all certificates.
    pub fn reason(&self) -> &'static str {
        match self.kind {
            Kind::Missing => "no certificate",
            Kind::Malformed => "malformed certificate",
            Kind::UnknownCa => "unknown CA",
            Kind::Expired { .. } => "expired certificate",
            Kind::NotYetValid { .. } => "certificate that is not valid yet",
            Kind::Revoked => "revoked certificate",
            Kind::Name(..) => "certificate for other names",
            Kind::NotAllowed => "certificate that is not allowed",
            Kind::Unfit => "unfit certificate",
        }
    }

    /// The error for rustls, which makes an alert of it; [`watched`] has the words. QUIC makes its handshakes in a task of
    /// its own, and sends the error's text to the other side: so without such a scope it has the words itself.
    pub(super) fn into_error(self) -> Error {
        let is_watched = REFUSED.try_with(|refused| refused.replace(Some(self.clone()))).is_ok();
        // Its alert alone means another secret.
        if !is_watched && self.kind != Kind::UnknownCa {
            return CertificateError::Other(OtherError(Arc::new(Words(self.text)))).into();
        }
        let at = |seconds: i64| {
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
        };
        Error::InvalidCertificate(match self.kind {
            Kind::UnknownCa => CertificateError::UnknownIssuer,
            Kind::Expired { now, until } => {
                CertificateError::ExpiredContext { time: at(now), not_after: at(until) }
            }
            Kind::NotYetValid { now, from } => {
                CertificateError::NotValidYetContext { time: at(now), not_before: at(from) }
            }
            Kind::Revoked => CertificateError::Revoked,
            Kind::Name(expected, presented) => {
                CertificateError::NotValidForNameContext { expected, presented }
            }
            Kind::Missing | Kind::Malformed => CertificateError::BadEncoding,
            Kind::NotAllowed | Kind::Unfit => CertificateError::Other(OtherError(Arc::new(Words(self.text)))),
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(thiserror::Error)]
#[error("{0}")]
struct Words(String);

/// rustls prints the debug form to the refused side, so that has to be readable as well.
impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
