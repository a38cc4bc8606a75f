//! What members prove to each other who they are with: a secret in common, or the operator's certificates.

use std::path::{Path, PathBuf};

use super::addresses::Addresses;
use super::client_tls::KeyPair;
use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::settings::{Origin, Settings};
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::surroundings::Surroundings;
use crate::config::typed::{FromValue, Secret, choice, mismatch, section};
use crate::config::value::Value;

/// A shorter secret can be guessed.
const MIN_SECRET: usize = 16;

choice! {
    /// Whether members have to prove to each other who they are.
    pub enum PeerAuth {
        /// By a secret or by certificates, unless only this machine reaches them.
        Required = "required",
        /// Not at all.
        Nobody = "none",
    }
}

section! {
    /// TLS between members.
    pub struct PeerTls under PeerTls {
        cluster_secret_file: Option<PathBuf> = own("cluster-secret-file", Kind::Path, "", "A file with the secret that all members share, from which each issues its own certificate. Without it: the systemd credential kvd.cluster-secret, if there is one.").names_file();
        cluster_secret: Option<Secret> = own("cluster-secret", Kind::Text, "", "The secret itself; at least 16 characters. A file or a credential is better.").secret();
        auth: PeerAuth = own("peer-auth", Kind::Choice(PeerAuth::CHOICES), "required", "required refuses to start without a secret or certificates if other machines reach listen-peer-urls; without any configuration file, as in etcd's documents, that is a warning only. none starts all the same: whoever reaches the peer port can join and read everything.").empty_is_default();
        cert_file: Option<PathBuf> = etcd("peer-cert-file", Kind::Path, "", "The certificate that kvd shows to other members; PEM, with its chain. New contents are used by the next connection. Without it kvd issues one from the cluster's secret.").key("peer-transport-security.cert-file").names_file();
        key_file: Option<PathBuf> = etcd("peer-key-file", Kind::Path, "", "The key of peer-cert-file.").key("peer-transport-security.key-file").names_file();
        client_cert_file: Option<PathBuf> = etcd("peer-client-cert-file", Kind::Path, "", "Another certificate for connections that this member opens.").key("peer-transport-security.client-cert-file").since("3.5").names_file();
        client_key_file: Option<PathBuf> = etcd("peer-client-key-file", Kind::Path, "", "The key of peer-client-cert-file.").key("peer-transport-security.client-key-file").since("3.5").names_file();
        /// Members do so in any case.
        client_cert_auth: bool = etcd("peer-client-cert-auth", Kind::Bool, "false", "Demands certificates of other members. kvd always does.").key("peer-transport-security.client-cert-auth");
        trusted_ca_file: Option<PathBuf> = etcd("peer-trusted-ca-file", Kind::Path, "", "The CA certificates of members; PEM. It may hold two while the CA is exchanged. Without it: the CAs that the system trusts, as with etcd.").key("peer-transport-security.trusted-ca-file").names_file();
        /// Members do so in any case.
        auto_tls: bool = etcd("peer-auto-tls", Kind::Bool, "false", "Encrypts between members without certificate files. kvd does whenever there are none.").key("peer-transport-security.auto-tls");
        crl_file: Option<PathBuf> = etcd("peer-crl-file", Kind::Path, "", "Revoked certificates of members; a list in DER, or one or more in PEM. A list that is out of date still revokes.").key("peer-transport-security.crl-file").names_file();
        /// Empty for any.
        allowed_cn: Vec<String> = etcd("peer-cert-allowed-cn", Kind::List, "", "Common names of which a member's certificate must carry one.").key("peer-transport-security.allowed-cn");
        /// Empty for any.
        allowed_hostnames: Vec<String> = etcd("peer-cert-allowed-hostname", Kind::List, "", "Names of which a member's certificate must carry one.").key("peer-transport-security.allowed-hostname");
    }
    without effect {
        OptionSpec::etcd("peer-skip-client-san-verification", Kind::Bool, "false", "Does not compare a connecting member's address with its certificate.").key("peer-transport-security.skip-client-san-verification").since("3.6").ignored("kvd never compares a member's address with its certificate"),
    }
}

/// What the members' identity rests on if there are no certificate files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterSecret<'c> {
    /// The secret itself.
    Inline(&'c Secret),
    /// The file that holds it; white space around the secret does not count.
    File(&'c Path),
}

impl PeerTls {
    /// systemd's credential replaces a secret that is not given.
    pub(in crate::config) fn derive(settings: &mut Settings, surroundings: &Surroundings<'_>) {
        let given = ["cluster-secret", "cluster-secret-file"].iter().any(|name| !settings.is_empty(name));
        let Some(directory) = surroundings.variable("CREDENTIALS_DIRECTORY") else { return };
        let path = Path::new(directory).join("kvd.cluster-secret");
        if !given && surroundings.files.exists(&path) {
            let text = Value::Text(path.to_string_lossy().into_owned());
            settings.set("cluster-secret-file", text, Origin::Credential(path));
        }
    }

    /// The members' secret; without one they know each other by a text that everybody knows.
    pub fn secret(&self) -> Option<ClusterSecret<'_>> {
        let inline = self.cluster_secret.as_ref().map(ClusterSecret::Inline);
        inline.or_else(|| self.cluster_secret_file.as_deref().map(ClusterSecret::File))
    }

    /// This member's certificate; none to issue one from the cluster's secret.
    pub fn key_pair(&self) -> Option<KeyPair> {
        KeyPair::of(&self.cert_file, &self.key_file)
    }

    /// Another one for connections it opens.
    pub fn client_key_pair(&self) -> Option<KeyPair> {
        KeyPair::of(&self.client_cert_file, &self.client_key_file)
    }

    pub(in crate::config) fn check(&self, addresses: &Addresses, found: &mut Findings<'_>) {
        let pair = KeyPair::check("peer-cert-file", "peer-key-file", found);
        if KeyPair::check("peer-client-cert-file", "peer-client-key-file", found) && !pair {
            let message = "--peer-client-cert-file needs --peer-cert-file and --peer-key-file";
            found.error("peer-client-cert-file", message);
        }
        if self.trusted_ca_file.is_some() && !pair {
            let message = "--peer-trusted-ca-file needs --peer-cert-file and --peer-key-file";
            found.error("peer-trusted-ca-file", message);
        }
        // A name that only this cluster's members have keeps strangers out, too.
        if pair && self.trusted_ca_file.is_none() && self.allowed_hostnames.is_empty() {
            let message = "members trust every CA that this system trusts: whoever has a certificate of one of them can join \
                           and read everything";
            let help = "give the CA of the members by --peer-trusted-ca-file, or a name that only their certificates have by \
                        --peer-cert-allowed-hostname";
            found.push_at("peer-trusted-ca-file", "peer-cert-file", Diagnostic::warning(message).help(help));
        }
        self.check_secret(pair, addresses, found);
    }

    fn check_secret(&self, pair: bool, addresses: &Addresses, found: &mut Findings<'_>) {
        if self.cluster_secret.is_some() && self.cluster_secret_file.is_some() {
            found.error("cluster-secret", "--cluster-secret and --cluster-secret-file are both given");
        }
        let is_short = |secret: &Secret| {
            let mut lines = secret.expose().lines().map(str::trim).filter(|line| !line.is_empty());
            lines.any(|line| line.chars().count() < MIN_SECRET)
        };
        if self.cluster_secret.as_ref().is_some_and(is_short) {
            let message =
                format!("--cluster-secret is shorter than {MIN_SECRET} characters and can be guessed");
            found.error("cluster-secret", message);
        }
        let secret_given = self.secret().is_some();
        if secret_given && pair && found.is_given("cluster-secret-file") {
            let message = "--cluster-secret-file has no effect beside --peer-cert-file";
            found.warn("cluster-secret-file", message);
        }
        let required = self.auth == PeerAuth::Required && found.are_readable(&["peer-auth"]);
        if required && !secret_given && !pair && addresses.are_public() {
            let message = "members have no secret in common: whoever can reach the peer port can join and read everything";
            // The command lines of etcd's documents work as they stand; whoever writes a file can name a secret in it.
            let finding = match found.has_file() {
                true => Diagnostic::error(message),
                false => Diagnostic::warning(message),
            };
            let help = "`kvd secret new FILE` makes a secret: give every member a copy and name it by --cluster-secret-file \
                        (or give each a --peer-cert-file); --peer-auth none insists on going without";
            found.push_at("cluster-secret-file", "listen-peer-urls", finding.help(help));
        }
    }
}
