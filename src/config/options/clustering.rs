//! How a cluster comes about and changes.

use super::{Effect, Kind, OptionSpec, Section};

const U32: u64 = u32::MAX as u64;

const fn opt(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::etcd(name, kind, default, help).section(Section::Clustering)
}

const fn discovery(
    name: &'static str,
    key: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> OptionSpec {
    opt(name, kind, default, help).key(key).since("3.6").bootstrap()
}

pub(super) const OPTIONS: &[OptionSpec] = &[
    opt("initial-advertise-peer-urls", Kind::PeerUrls, "http://localhost:2380", "The URLs at which other members reach this one.").empty_is_default().bootstrap(),
    opt("advertise-client-urls", Kind::ClientUrls, "http://localhost:2379", "The URLs at which clients reach this member, as told to the cluster. Required when listen-client-urls is given.").empty_is_default(),
    opt("initial-cluster", Kind::Cluster, "", "The members of the cluster as it starts, this one among them. Without it: this member alone.").bootstrap(),
    opt("initial-cluster-state", Kind::Choice(&["new", "existing"]), "new", "Whether the cluster is new or exists already, so that this member joins it.").bootstrap(),
    opt("initial-cluster-token", Kind::Text, "etcd-cluster", "A name that keeps clusters apart; it enters all ids. It is no secret: cluster-secret-file or certificates keep strangers out.").bootstrap(),
    opt("discovery-endpoints", Kind::List, "", "The endpoints of an etcd cluster through which the members find each other.").key("discovery-config.client.endpoints").since("3.6").bootstrap(),
    discovery("discovery-token", "discovery-config.token", Kind::Text, "", "The token of the cluster to be found through discovery-endpoints."),
    discovery("discovery-dial-timeout", "discovery-config.client.dial-timeout", Kind::Duration, "2s", "Discovery: how long to try to connect."),
    discovery("discovery-request-timeout", "discovery-config.client.request-timeout", Kind::Duration, "5s", "Discovery: how long to wait for an answer."),
    discovery("discovery-keepalive-time", "discovery-config.client.keepalive-time", Kind::Duration, "2s", "Discovery: the interval of pings."),
    discovery("discovery-keepalive-timeout", "discovery-config.client.keepalive-timeout", Kind::Duration, "6s", "Discovery: how long to wait for the answer to a ping."),
    discovery("discovery-insecure-transport", "discovery-config.client.secure.insecure-transport", Kind::Bool, "true", "Discovery: connect without TLS."),
    discovery("discovery-insecure-skip-tls-verify", "discovery-config.client.secure.insecure-skip-tls-verify", Kind::Bool, "false", "Discovery: accept any server certificate."),
    discovery("discovery-cert", "discovery-config.client.secure.cert", Kind::Path, "", "Discovery: the client certificate."),
    discovery("discovery-key", "discovery-config.client.secure.key", Kind::Path, "", "Discovery: the client certificate's key."),
    discovery("discovery-cacert", "discovery-config.client.secure.cacert", Kind::Path, "", "Discovery: the CA of the servers."),
    discovery("discovery-user", "discovery-config.client.auth.username", Kind::Text, "", "Discovery: the user, or user:password.").secret(),
    discovery("discovery-password", "discovery-config.client.auth.password", Kind::Text, "", "Discovery: the user's password.").secret(),
    opt("discovery-srv", Kind::Text, "", "The DNS domain whose SRV records _etcd-server-ssl._tcp and _etcd-server._tcp name the members.").bootstrap(),
    opt("discovery-srv-name", Kind::Text, "", "A suffix to the service names that are asked for in DNS.").bootstrap(),
    opt("discovery-fallback", Kind::Choice(&["exit", "proxy"]), "exit", "What to do when discovery fails.").effect(Effect::Refused {
        harmless: &["exit"],
        reason: "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"",
    }),
    opt("strict-reconfig-check", Kind::Bool, "true", "Refuses membership changes that would lose the quorum."),
    opt("pre-vote", Kind::Bool, "true", "Asks for votes before an election, so that a member that returns does not depose the leader."),
    opt("max-learners", Kind::Number(U32), "1", "The most learners in the cluster.").since("3.6"),
    opt("auto-compaction-mode", Kind::Choice(&["periodic", "revision"]), "periodic", "Whether auto-compaction-retention is a time or a number of revisions.").reloads(),
    opt("auto-compaction-retention", Kind::Text, "0", "How much history automatic compaction keeps: with periodic a duration or whole hours, with revision a number of revisions. 0 turns it off.").empty_is_default().reloads(),
    opt("v2-deprecation", Kind::Choice(&["not-yet", "write-only", "write-only-skip-check", "write-only-drop-data", "gone"]), "write-only", "The phase of the v2 store's retirement.").since("3.5 to 3.7").ignored("kvd has no v2 store"),
    opt("enable-v2", Kind::Bool, "false", "Serves the /v2 interface.").pending().since("3.4, 3.5"),
    opt("experimental-enable-v2v3", Kind::Text, "", "Serves /v2/keys on keys under this prefix.").since("3.4, 3.5").ignored("kvd has no v2 store to emulate"),
    opt("discovery", Kind::Text, "", "The URL of a v2 discovery service.").since("3.4 to 3.6").effect(Effect::Refused {
        harmless: &[""],
        reason: "v2 discovery was removed from etcd in 3.7; use --discovery-endpoints with --discovery-token, --discovery-srv, or the [join] table",
    }),
    opt("discovery-proxy", Kind::Text, "", "A proxy to the v2 discovery service.").since("3.4 to 3.6").ignored("v2 discovery was removed"),
];
