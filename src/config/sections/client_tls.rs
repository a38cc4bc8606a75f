//! TLS towards clients.

use std::path::PathBuf;

use super::addresses::Addresses;
use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::tls_names::{SuiteSupport, suite_support};
use crate::config::typed::{FromValue, choice, mismatch, section};
use crate::config::url::Url;
use crate::config::value::Value;

choice! {
    /// TLS versions.
    pub enum TlsVersion {
        /// 1.2.
        Tls12 = "TLS1.2",
        /// 1.3.
        Tls13 = "TLS1.3",
    }
}

/// None for an empty text.
impl FromValue for Option<TlsVersion> {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        if value.is_empty() { Ok(None) } else { TlsVersion::from_value(value).map(Some) }
    }
}

section! {
    /// TLS towards clients.
    pub struct ClientTls under ClientTls {
        cert_file: Option<PathBuf> = etcd("cert-file", Kind::Path, "", "The certificate that kvd shows to clients; PEM, with its chain. New contents are used by the next connection.").key("client-transport-security.cert-file").names_file().reloads();
        key_file: Option<PathBuf> = etcd("key-file", Kind::Path, "", "The key of cert-file.").key("client-transport-security.key-file").names_file().reloads();
        /// A certificate's common name is the user, if auth is enabled.
        cert_auth: bool = etcd("client-cert-auth", Kind::Bool, "false", "Demands a certificate of every client, issued by trusted-ca-file, or without it by a CA that the system trusts; its common name is the user if auth is enabled.").key("client-transport-security.client-cert-auth").reloads();
        crl_file: Option<PathBuf> = etcd("client-crl-file", Kind::Path, "", "Revoked client certificates; a list in DER, or one or more in PEM. A list that is out of date still revokes.").key("client-transport-security.crl-file").names_file().reloads();
        /// Empty for any.
        allowed_hostnames: Vec<String> = etcd("client-cert-allowed-hostname", Kind::List, "", "Names of which a client's certificate must carry one.").key("client-transport-security.allowed-hostname").reloads();
        trusted_ca_file: Option<PathBuf> = etcd("trusted-ca-file", Kind::Path, "", "The CA certificates of clients; PEM. With it every client must show a certificate of one of them.").key("client-transport-security.trusted-ca-file").names_file().reloads();
        /// Without effect beside `cert_file`, see [`makes_certificate`](Self::makes_certificate).
        auto_tls: bool = etcd("auto-tls", Kind::Bool, "false", "Makes a self-signed certificate for clients.").key("client-transport-security.auto-tls");
        self_signed_years: u32 = etcd("self-signed-cert-validity", Kind::Number(100), "1", "How many years a self-signed certificate is valid.").since("3.5").zero_means("1");
        /// Empty for the safe ones.
        cipher_suites: Vec<String> = etcd("cipher-suites", Kind::List, "", "The TLS 1.2 cipher suites for clients, in Go's names. Without it: those that are safe.").reloads();
        min_version: TlsVersion = etcd("tls-min-version", Kind::Choice(TlsVersion::CHOICES), "TLS1.2", "The lowest TLS version for clients. Members always use 1.3.").words(unexpected_version).empty_is_default().reloads();
        /// None for the newest.
        max_version: Option<TlsVersion> = etcd("tls-max-version", Kind::Choice(&["", "TLS1.2", "TLS1.3"]), "", "The highest TLS version for clients. Without it: the newest.").words(unexpected_version).reloads();
    }
    without effect {
        OptionSpec::etcd("client-cert-file", Kind::Path, "", "A certificate for the server's connections to itself.").key("client-transport-security.client-cert-file").since("3.5").ignored("kvd's gateway calls the server without a connection"),
        OptionSpec::etcd("client-key-file", Kind::Path, "", "The key of client-cert-file.").key("client-transport-security.client-key-file").since("3.5").ignored("kvd's gateway calls the server without a connection"),
    }
}

fn unexpected_version(text: &str) -> String {
    format!("unexpected TLS version {text:?} (must be one of: TLS1.2, TLS1.3)")
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// PEM, with the chain.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl KeyPair {
    /// None unless both are there.
    pub(super) fn of(cert: &Option<PathBuf>, key: &Option<PathBuf>) -> Option<Self> {
        Some(Self { cert: cert.clone()?, key: key.clone()? })
    }

    /// True if a pair is named. Half of one is an error, and counts as a pair, so that nothing more is said of it.
    pub(super) fn check(cert: &'static str, key: &'static str, found: &mut Findings<'_>) -> bool {
        let (cert_file, key_file) = (found.text(cert), found.text(key));
        if cert_file.is_empty() != key_file.is_empty() {
            let option = if key_file.is_empty() { cert } else { key };
            let message =
                format!("KeyFile and CertFile must both be present[key: {key_file}, cert: {cert_file}]");
            found.error(option, message);
        }
        !cert_file.is_empty() || !key_file.is_empty()
    }
}

impl ClientTls {
    /// The operator's certificate.
    pub fn key_pair(&self) -> Option<KeyPair> {
        KeyPair::of(&self.cert_file, &self.key_file)
    }

    /// True if kvd makes the certificate itself.
    pub fn makes_certificate(&self) -> bool {
        self.auto_tls && self.key_pair().is_none()
    }

    pub(in crate::config) fn check(&self, addresses: &Addresses, found: &mut Findings<'_>) {
        let pair = KeyPair::check("cert-file", "key-file", found);
        if self.auto_tls && pair {
            found.warn("auto-tls", "ignoring client auto TLS since certs given");
        }
        let has_certificate = pair || self.auto_tls;
        for (option, urls) in [
            ("listen-client-urls", &addresses.listen_client_urls),
            ("listen-client-http-urls", &addresses.listen_client_http_urls),
        ] {
            for url in urls.iter().filter(|url| url.scheme().is_tls() && !has_certificate) {
                let message = format!(
                    "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme"
                );
                found.error(option, message);
            }
        }
        if addresses.listen_metrics_urls.iter().any(|url| url.scheme().is_tls()) && !has_certificate {
            let message =
                "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url";
            found.error("listen-metrics-urls", message);
        }
        for url in addresses.listen_client_urls.iter().filter(|url| !url.scheme().is_tls()) {
            self.check_plain(url, found);
        }
        if self.cert_auth && self.trusted_ca_file.is_none() {
            let message = "without --trusted-ca-file, --client-cert-auth accepts the certificates of every CA that the system trusts";
            found.warn("client-cert-auth", message);
        }
        self.check_versions(found);
    }

    /// What has no effect on a URL without TLS.
    fn check_plain(&self, url: &Url, found: &mut Findings<'_>) {
        if self.key_pair().is_some() {
            let message = format!(
                "scheme is HTTP while key and cert files are present; ignoring key and cert files ({url})"
            );
            found.warn("listen-client-urls", message);
        }
        if self.cert_auth {
            let message = format!(
                "scheme is HTTP while --client-cert-auth is enabled; ignoring client cert auth for this URL ({url})"
            );
            found.warn("listen-client-urls", message);
        }
    }

    fn check_versions(&self, found: &mut Findings<'_>) {
        if self.max_version.is_some_and(|max| self.min_version > max)
            && found.are_readable(&["tls-min-version"])
        {
            let (min, max) = (found.text("tls-min-version"), found.text("tls-max-version"));
            let message = format!("min version ({min}) is greater than max version ({max})");
            found.error("tls-max-version", message);
        }
        let suites = &self.cipher_suites;
        if suites.is_empty() {
            return;
        }
        if self.min_version == TlsVersion::Tls13 {
            let message = "cipher suites cannot be configured when only TLS1.3 is enabled";
            found.error("cipher-suites", message);
        }
        for suite in suites {
            match suite_support(suite) {
                SuiteSupport::Yes => {}
                SuiteSupport::Weak => {
                    found.warn(
                        "cipher-suites",
                        format!("cipher suite {suite:?} is weak; kvd does not have it"),
                    );
                }
                SuiteSupport::Unknown => {
                    found.error("cipher-suites", format!("unexpected TLS cipher suite {suite:?}"));
                }
            }
        }
        if suites.iter().all(|suite| suite_support(suite) == SuiteSupport::Weak) {
            found.error("cipher-suites", "none of the cipher suites is one that kvd has");
        }
    }
}
