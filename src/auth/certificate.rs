//! The user that a client's certificate names.

use std::sync::Arc;

use x509_parser::prelude::{FromDer, X509Certificate};

/// The common name of a certificate's subject; empty if it has none. As in Go the last one of several.
pub fn certified_user(der: &[u8]) -> Arc<str> {
    let name = X509Certificate::from_der(der).ok().and_then(|(_, certificate)| {
        certificate.subject().iter_common_name().last().and_then(|name| name.as_str().ok()).map(Arc::from)
    });
    name.unwrap_or_default()
}
