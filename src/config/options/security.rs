//! TLS for clients and members, and who may speak from where.

use super::{Kind, OptionSpec, Section};

const U32: u64 = u32::MAX as u64;

const fn opt(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::etcd(name, kind, default, help).section(Section::Security)
}

/// A file towards clients: a reload reads it again, and takes another one.
const fn file(name: &'static str, key: &'static str, help: &'static str) -> OptionSpec {
    peer_file(name, key, help).reloads()
}

/// A file towards members: a reload reads it again; another one takes a restart.
const fn peer_file(name: &'static str, key: &'static str, help: &'static str) -> OptionSpec {
    opt(name, Kind::Path, "", help).key(key)
}

pub(super) const OPTIONS: &[OptionSpec] = &[
    file("cert-file", "client-transport-security.cert-file", "The certificate that clients are shown; PEM, with its chain. Read again at a reload."),
    file("key-file", "client-transport-security.key-file", "The key of cert-file."),
    opt("client-cert-file", Kind::Path, "", "A certificate for the server's connections to itself.").key("client-transport-security.client-cert-file").since("3.5").ignored("kvd's gateway calls the server without a connection"),
    opt("client-key-file", Kind::Path, "", "The key of client-cert-file.").key("client-transport-security.client-key-file").since("3.5").ignored("kvd's gateway calls the server without a connection"),
    opt("client-cert-auth", Kind::Bool, "false", "Demands a certificate of every client, which trusted-ca-file must vouch for; its common name is the user where auth is enabled.").key("client-transport-security.client-cert-auth").reloads(),
    file("client-crl-file", "client-transport-security.crl-file", "Revoked client certificates; PEM."),
    opt("client-cert-allowed-hostname", Kind::List, "", "Names of which a client's certificate must carry one.").key("client-transport-security.allowed-hostname").reloads(),
    file("trusted-ca-file", "client-transport-security.trusted-ca-file", "The CA certificates of clients; PEM. With it every client must show a certificate of one of them."),
    opt("auto-tls", Kind::Bool, "false", "Makes a self-signed certificate for clients.").key("client-transport-security.auto-tls"),
    peer_file("peer-cert-file", "peer-transport-security.cert-file", "This member's certificate towards other members; PEM, with its chain. Read again at a reload. Without it one is issued from cluster-secret."),
    peer_file("peer-key-file", "peer-transport-security.key-file", "The key of peer-cert-file."),
    peer_file("peer-client-cert-file", "peer-transport-security.client-cert-file", "Another certificate for connections this member opens.").since("3.5"),
    peer_file("peer-client-key-file", "peer-transport-security.client-key-file", "The key of peer-client-cert-file.").since("3.5"),
    opt("peer-client-cert-auth", Kind::Bool, "false", "Demands certificates of other members. kvd always does.").key("peer-transport-security.client-cert-auth"),
    peer_file("peer-trusted-ca-file", "peer-transport-security.trusted-ca-file", "The CA certificates of members; PEM. It may hold two while the CA is exchanged."),
    opt("peer-auto-tls", Kind::Bool, "false", "Encrypts between members without certificate files. kvd does whenever there are none.").key("peer-transport-security.auto-tls"),
    peer_file("peer-crl-file", "peer-transport-security.crl-file", "Revoked certificates of members; PEM."),
    opt("peer-cert-allowed-cn", Kind::List, "", "Common names of which a member's certificate must carry one.").key("peer-transport-security.allowed-cn"),
    opt("peer-cert-allowed-hostname", Kind::List, "", "Names of which a member's certificate must carry one.").key("peer-transport-security.allowed-hostname"),
    opt("peer-skip-client-san-verification", Kind::Bool, "false", "Does not compare a connecting member's address with its certificate.").key("peer-transport-security.skip-client-san-verification").since("3.6").ignored("kvd never compares a member's address with its certificate"),
    opt("self-signed-cert-validity", Kind::Number(100), "1", "How many years a self-signed certificate is valid.").since("3.5"),
    opt("cipher-suites", Kind::List, "", "The TLS 1.2 cipher suites for clients, in Go's names. Without it: those that are safe.").reloads(),
    opt("tls-min-version", Kind::Choice(&["TLS1.2", "TLS1.3"]), "TLS1.2", "The lowest TLS version for clients. Members use 1.3 in every case.").empty_is_default().reloads(),
    opt("tls-max-version", Kind::Choice(&["", "TLS1.2", "TLS1.3"]), "", "The highest TLS version for clients. Without it: the newest.").reloads(),
    opt("cors", Kind::Origins, "*", "The origins whose pages may call the HTTP interfaces; * for all.").reloads(),
    opt("host-whitelist", Kind::List, "*", "The Host names under which plain HTTP is answered; * for all.").reloads(),
    OptionSpec::etcd("auth-token", Kind::Text, "simple", "The tokens of logged-in users: simple, or jwt with its parameters (jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=DURATION).").empty_is_default().pending().section(Section::Auth),
    OptionSpec::etcd("bcrypt-cost", Kind::Number(U32), "10", "The cost of a password's hash, from 4 to 31.").pending().section(Section::Auth),
    OptionSpec::etcd("auth-token-ttl", Kind::Seconds, "300", "How long a simple token lives after its last use.").pending().section(Section::Auth),
];
