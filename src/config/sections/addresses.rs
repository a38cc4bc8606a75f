//! Where a member listens, and where clients and other members find it.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::settings::{Origin, Settings};
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::surroundings::Surroundings;
use crate::config::typed::section;
use crate::config::url::Url;
use crate::config::value::Value;

section! {
    /// Where it listens, and the addresses it gives to others.
    pub struct Addresses under Addresses {
        listen_client_urls: Vec<Url> = etcd("listen-client-urls", Kind::ClientUrls, "http://localhost:2379", "Addresses on which kvd listens for clients. An https URL needs cert-file and key-file, or auto-tls.").empty_is_default();
        /// If there are any, `listen_client_urls` serve gRPC only.
        listen_client_http_urls: Vec<Url> = etcd("listen-client-http-urls", Kind::ClientUrls, "", "Addresses on which kvd listens for JSON and HTTP only; listen-client-urls then serve gRPC only.");
        listen_metrics_urls: Vec<Url> = etcd("listen-metrics-urls", Kind::ClientUrls, "", "More addresses that serve /metrics, /health, /livez and /readyz.");
        listen_peer_urls: Vec<Url> = etcd("listen-peer-urls", Kind::PeerUrls, "http://localhost:2380", "Addresses on which kvd listens for other members. Members talk QUIC over UDP with mutual TLS whatever the scheme says; http, https and quic are accepted.").empty_is_default();
        advertise_peer_urls: Vec<Url> = etcd("initial-advertise-peer-urls", Kind::PeerUrls, "http://localhost:2380", "The URLs at which other members reach this one.").empty_is_default().bootstrap();
        advertise_client_urls: Vec<Url> = etcd("advertise-client-urls", Kind::ClientUrls, "http://localhost:2379", "The URLs at which clients reach this member; the cluster gives them to clients. Required if listen-client-urls is given.").empty_is_default();
        socket_reuse_port: bool = etcd("socket-reuse-port", Kind::Bool, "false", "Sets SO_REUSEPORT on listeners.").key("socket-options.reuse-port").since("3.5");
        socket_reuse_address: bool = etcd("socket-reuse-address", Kind::Bool, "false", "Sets SO_REUSEADDR on listeners.").key("socket-options.reuse-address").since("3.5");
    }
}

impl Addresses {
    /// As in etcd: if a member listens on all addresses and has no URL of its own for other members, it gives them the
    /// address of the default route. Client URLs need no such guess: they are required if listeners for clients are
    /// given.
    pub(in crate::config) fn derive(settings: &mut Settings, surroundings: &Surroundings<'_>) {
        let name = "initial-advertise-peer-urls";
        if settings.is_given(name) {
            return;
        }
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let listen: Vec<Url> = settings.read("listen-peer-urls");
        let first = listen.first().filter(|url| url.socket_addr().is_some_and(|at| at.ip() == everywhere));
        if let Some(first) = first
            && let Some(host) = (surroundings.default_host)()
        {
            let urls = Value::Urls(vec![first.with_host(host, first.port())]);
            settings.set(name, urls, Origin::Derived("listen-peer-urls and the default route"));
        }
    }

    /// True if other machines can reach the peer port.
    pub(in crate::config) fn are_public(&self) -> bool {
        let local = |url: &Url| url.socket_addr().is_some_and(|at| at.ip().is_loopback());
        self.listen_peer_urls.iter().any(|url| !url.scheme().is_unix() && !local(url))
    }

    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        for (option, urls, is_needed) in [
            ("listen-peer-urls", &self.listen_peer_urls, true),
            ("listen-client-urls", &self.listen_client_urls, true),
            ("listen-client-http-urls", &self.listen_client_http_urls, false),
            ("listen-metrics-urls", &self.listen_metrics_urls, false),
        ] {
            for url in urls.iter().filter(|url| !url.scheme().is_unix() && url.socket_addr().is_none()) {
                // An address with a zone is not parsed by the standard library; binding resolves it.
                if !url.host().contains('%') {
                    found.error(option, format!("expected IP in URL for binding ({url})"));
                }
            }
            if urls.is_empty() && is_needed {
                found.error(option, format!("--{option}: no valid URLs given"));
            }
        }
        let is_taken = |url: &&Url| self.listen_client_urls.iter().any(|other| other.is_at_place_of(url));
        for url in self.listen_client_http_urls.iter().filter(is_taken) {
            let message = format!(
                "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url {url}"
            );
            found.error("listen-client-http-urls", message);
        }
        self.check_advertised(found);
    }

    fn check_advertised(&self, found: &mut Findings<'_>) {
        let peers = &self.advertise_peer_urls;
        for url in peers.iter().filter(|url| url.host().is_empty()) {
            let message = format!(
                "--initial-advertise-peer-urls [{}] must be \"host:port\" (unexpected empty host ({url}))",
                quoted(peers)
            );
            found.error("initial-advertise-peer-urls", message);
        }
        if peers.is_empty() {
            found.error("initial-advertise-peer-urls", "--initial-advertise-peer-urls: no valid URLs given");
        }
        let clients = &self.advertise_client_urls;
        for url in clients.iter().filter(|url| url.host().is_empty() && !url.scheme().is_unix()) {
            let message = format!(
                "--advertise-client-urls [{}] must be in the format \"host:port\", \"unix:/path/to/socket\" or \
                 \"unixs:/path/to/socket\" (unexpected empty host ({url}))",
                quoted(clients)
            );
            found.error("advertise-client-urls", message);
        }
        if found.is_given("listen-client-urls")
            && (clients.is_empty() || !found.is_given("advertise-client-urls"))
        {
            let message = "--advertise-client-urls is required when --listen-client-urls is set explicitly";
            found.push_at("advertise-client-urls", "listen-client-urls", Diagnostic::error(message));
        }
    }
}

fn quoted(urls: &[Url]) -> String {
    urls.iter().map(|url| format!("{:?}", url.as_str())).collect::<Vec<_>>().join(" ")
}
