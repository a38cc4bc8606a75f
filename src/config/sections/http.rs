//! The HTTP and JSON interfaces.

use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::{FromValue, choice, mismatch, section};
use crate::config::value::Value;

choice! {
    /// How much `/metrics` shows.
    pub enum Metrics {
        /// The usual metrics.
        Basic = "basic",
        /// In addition, a histogram for every gRPC method.
        Extensive = "extensive",
    }
}

section! {
    /// HTTP.
    pub struct Http under Http {
        gateway: bool = etcd("enable-grpc-gateway", Kind::Bool, "true", "Serves the JSON gateway (/v3/...) beside gRPC.");
        v2: bool = etcd("enable-v2", Kind::Bool, "true", "Serves the v2 API (/v2/...), whose keys are apart from v3's.").since("3.4, 3.5");
        status_page: bool = own("enable-status-page", Kind::Bool, "true", "Serves a page about the member and its cluster at / of the client port. With users it is for those who log in.").reloads();
        cors: Vec<String> = etcd("cors", Kind::Origins, "*", "The origins whose pages may call the HTTP interfaces; * for all. In a browser, pages of others change nothing and open no WebSockets.").reloads();
        /// An empty list also means all.
        host_whitelist: Vec<String> = etcd("host-whitelist", Kind::List, "*", "The Host names to which plain HTTP responds; * for all.").reloads();
        metrics: Metrics = etcd("metrics", Kind::Choice(Metrics::CHOICES), "basic", "extensive adds a histogram of every gRPC method.").empty_is_default();
        pprof: bool = etcd("enable-pprof", Kind::Bool, "false", "Serves /debug/pprof/ to whoever reaches the client port: a CPU profile, which go tool pprof reads, and the threads; no heap profile, because the allocator does not record who allocates. With log-level debug it is on.").reloads();
    }
    without effect {
        OptionSpec::etcd("v2-deprecation", Kind::Choice(&["not-yet", "write-only", "write-only-skip-check", "write-only-drop-data", "gone"]), "write-only", "The phase of the v2 store's retirement.").since("3.5 to 3.7").ignored("enable-v2 says whether the v2 API is served"),
        OptionSpec::etcd("experimental-enable-v2v3", Kind::Text, "", "Serves /v2/keys on keys under this prefix.").since("3.4, 3.5").ignored("v2 has a store of its own"),
    }
}
