//! How the first members find each other without a list.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::findings::Findings;
use crate::config::settings::Settings;
use crate::config::spec::{Effect, Kind, OptionSpec, Section};
use crate::config::typed::{Secret, section};

section! {
    /// How the first members find each other: through another etcd cluster, or by SRV records in DNS.
    pub struct Discovery under Discovery {
        endpoints: Vec<String> = etcd("discovery-endpoints", Kind::List, "", "The endpoints of an etcd cluster through which the members find each other.").key("discovery-config.client.endpoints").since("3.6").bootstrap();
        token: String = etcd("discovery-token", Kind::Text, "", "The token of the cluster that discovery-endpoints are asked about.").key("discovery-config.token").since("3.6").bootstrap();
        dial_timeout: Duration = etcd("discovery-dial-timeout", Kind::Duration, "2s", "Discovery: how long to try to connect.").key("discovery-config.client.dial-timeout").since("3.6").bootstrap();
        request_timeout: Duration = etcd("discovery-request-timeout", Kind::Duration, "5s", "Discovery: how long to wait for a response.").key("discovery-config.client.request-timeout").since("3.6").bootstrap();
        keepalive_time: Duration = etcd("discovery-keepalive-time", Kind::Duration, "2s", "Discovery: the interval of pings.").key("discovery-config.client.keepalive-time").since("3.6").bootstrap();
        keepalive_timeout: Duration = etcd("discovery-keepalive-timeout", Kind::Duration, "6s", "Discovery: how long to wait for the response to a ping.").key("discovery-config.client.keepalive-timeout").since("3.6").bootstrap();
        insecure_transport: bool = etcd("discovery-insecure-transport", Kind::Bool, "true", "Discovery: connect without TLS.").key("discovery-config.client.secure.insecure-transport").since("3.6").bootstrap();
        insecure_skip_tls_verify: bool = etcd("discovery-insecure-skip-tls-verify", Kind::Bool, "false", "Discovery: accept any server certificate.").key("discovery-config.client.secure.insecure-skip-tls-verify").since("3.6").bootstrap();
        cert: Option<PathBuf> = etcd("discovery-cert", Kind::Path, "", "Discovery: the client certificate.").key("discovery-config.client.secure.cert").since("3.6").names_file().bootstrap();
        key: Option<PathBuf> = etcd("discovery-key", Kind::Path, "", "Discovery: the client certificate's key.").key("discovery-config.client.secure.key").since("3.6").names_file().bootstrap();
        cacert: Option<PathBuf> = etcd("discovery-cacert", Kind::Path, "", "Discovery: the CA of the servers.").key("discovery-config.client.secure.cacert").since("3.6").names_file().bootstrap();
        server_name: String = own("discovery-server-name", Kind::Text, "", "Discovery: the name that the servers' certificates must have, instead of the endpoint's host.").key("discovery-config.client.secure.server-name").bootstrap();
        user: Option<Secret> = etcd("discovery-user", Kind::Text, "", "Discovery: the user, or user:password.").key("discovery-config.client.auth.username").since("3.6").secret().bootstrap();
        password: Option<Secret> = etcd("discovery-password", Kind::Text, "", "Discovery: the user's password.").key("discovery-config.client.auth.password").since("3.6").secret().bootstrap();
        srv: String = etcd("discovery-srv", Kind::Text, "", "The DNS domain whose SRV records _etcd-server-ssl._tcp and _etcd-server._tcp name the members.").bootstrap();
        srv_name: String = etcd("discovery-srv-name", Kind::Text, "", "A suffix to the names of the services in DNS.").bootstrap();
    }
    without effect {
        OptionSpec::etcd("discovery-fallback", Kind::Choice(&["exit", "proxy"]), "exit", "What to do if discovery fails.").effect(Effect::Refused { harmless: &["exit"], reason: no_fallback }),
        OptionSpec::etcd("discovery", Kind::Text, "", "The URL of a v2 discovery service.").since("3.4 to 3.6").effect(Effect::Refused { harmless: &[""], reason: no_v2_discovery }),
        OptionSpec::etcd("discovery-proxy", Kind::Text, "", "A proxy to the v2 discovery service.").since("3.4 to 3.6").ignored("v2 discovery was removed"),
    }
}

fn no_fallback(_: &str) -> String {
    "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"".to_string()
}

fn no_v2_discovery(_: &str) -> String {
    "v2 discovery was removed from etcd in 3.7; use --discovery-endpoints with --discovery-token, --discovery-srv, or \
     the [join] table"
        .to_string()
}

impl Discovery {
    /// True if members are found by discovery.
    pub(super) fn is_set(settings: &Settings) -> bool {
        ["discovery-srv", "discovery-endpoints"].iter().any(|name| !settings.is_empty(name))
    }

    /// True if members are found by discovery.
    pub fn finds_members(&self) -> bool {
        !self.srv.is_empty() || !self.endpoints.is_empty()
    }

    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        let v3 = !self.endpoints.is_empty();
        if v3 == self.token.is_empty() {
            let option = if v3 { "discovery-endpoints" } else { "discovery-token" };
            found.error(option, "both --discovery-token and --discovery-endpoints must be set");
        }
        if self.user.as_ref().is_some_and(|user| self.password.is_none() && !user.expose().contains(':')) {
            found.error("discovery-user", "the password is missing: --discovery-password, or behind a colon");
        }
        if self.cert.is_some() != self.key.is_some() {
            let option = if self.cert.is_some() { "discovery-cert" } else { "discovery-key" };
            found.error(option, "--discovery-cert and --discovery-key must be given together");
        }
        if !self.srv_name.is_empty() && self.srv.is_empty() {
            found.warn("discovery-srv-name", "--discovery-srv-name has no effect without --discovery-srv");
        }
    }
}
