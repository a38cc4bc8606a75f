//! The API's counters, and the page for Prometheus.
//!
//! Counters are plain atomics; reading them gives no consistent snapshot, which Prometheus does not expect. Rooms that
//! the API may not use (the log, the members' connections) provide their figures as a [`Source`] that the daemon
//! builds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tonic::Code;

use super::rules::{Kind, RULES, Rpc, Rule};
use crate::model::Histogram;

/// gRPC's codes by number, as the label `grpc_code` names them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The name of a code.
pub fn code_name(code: Code) -> &'static str {
    CODES.get(code as usize).copied().unwrap_or("Unknown")
}

/// The versions that clients name, and those that have no counter of their own: a client can send any text.
const CLIENT_VERSIONS: [&str; 13] =
    ["unknown", "3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "4.0", OTHER_VERSION];
const OTHER_VERSION: &str = "other";

/// Figures of another room.
pub trait Source: Send + Sync {
    /// Writes its families.
    fn write(&self, page: &mut Page);
}

#[derive(Default)]
struct MethodCounts {
    started: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    handled: [AtomicU64; CODES.len()],
    /// Durations of its calls, if enabled.
    took: Option<Histogram>,
    /// Durations of failed and of successful requests, if etcd counts them.
    requests: Option<(&'static str, [Histogram; 2])>,
}

impl MethodCounts {
    fn new(rule: &Rule, extensive: bool) -> Self {
        let kind = REQUESTS.iter().find(|(rpc, _)| rule.rpc == *rpc);
        let requests = kind.map(|(_, kind)| (*kind, std::array::from_fn(|_| Histogram::doubling(0.001, 14))));
        Self { took: extensive.then(|| Histogram::new(CALL_SECONDS)), requests, ..Self::default() }
    }
}

/// Requests whose durations are counted by kind, and etcd's name for the kind.
const REQUESTS: [(Rpc, &str); 8] = [
    (Rpc::Range, "Range"),
    (Rpc::Put, "Put"),
    (Rpc::DeleteRange, "DeleteRange"),
    (Rpc::Txn, "Txn"),
    (Rpc::Compact, "Compaction"),
    (Rpc::LeaseGrant, "LeaseGrant"),
    (Rpc::LeaseRevoke, "LeaseRevoke"),
    (Rpc::Alarm, "Alarm"),
];

/// Upper bounds of the buckets of a call's duration: Prometheus's own.
const CALL_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Requests of the clients of a version.
#[derive(Default)]
struct ClientVersion {
    unary: AtomicU64,
    stream: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct CheckCounts {
    passed_last: bool,
    successes: u64,
    failures: u64,
}

/// The counters of the API.
pub struct Metrics {
    methods: Vec<MethodCounts>,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    watch_events: AtomicU64,
    scrapes: AtomicU64,
    /// By position in [`CLIENT_VERSIONS`].
    clients: [ClientVersion; CLIENT_VERSIONS.len()],
    health_success: AtomicU64,
    health_failures: AtomicU64,
    /// By type and name of the check.
    checks: Mutex<BTreeMap<(&'static str, &'static str), CheckCounts>>,
    sources: RwLock<Vec<Arc<dyn Source>>>,
}

impl Metrics {
    /// Counters at zero; with `extensive` (`--metrics extensive`) also durations of the calls of each method.
    pub fn new(extensive: bool) -> Self {
        Self {
            methods: RULES.iter().map(|rule| MethodCounts::new(rule, extensive)).collect(),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            watch_events: AtomicU64::new(0),
            scrapes: AtomicU64::new(0),
            clients: Default::default(),
            health_success: AtomicU64::new(0),
            health_failures: AtomicU64::new(0),
            checks: Mutex::default(),
            sources: RwLock::default(),
        }
    }
}

/// What clients have sent and received.
pub(super) struct Traffic {
    /// Bytes of messages.
    pub(super) received: u64,
    /// See `received`.
    pub(super) sent: u64,
    /// Events to watchers.
    pub(super) events: u64,
    /// Buckets of the time of successful requests of all kinds.
    pub(super) requests: Vec<(f64, u64)>,
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metrics {
    /// Adds the figures of another room to the page.
    pub fn register(&self, source: Arc<dyn Source>) {
        self.sources.write().push(source);
    }

    fn method(&self, rule: &Rule) -> Option<&MethodCounts> {
        self.methods.get(rule.rpc as usize)
    }

    /// A call began.
    pub(super) fn started(&self, rule: &Rule) {
        if let Some(method) = self.method(rule) {
            add(&method.started, 1);
        }
    }

    /// A call ended after this time.
    pub(super) fn handled(&self, rule: &Rule, code: Code, took: Duration) {
        let Some(method) = self.method(rule) else { return };
        if let Some(count) = method.handled.get(code as usize) {
            add(count, 1);
        }
        if let Some(histogram) = &method.took {
            histogram.observe_time(took);
        }
        if let Some((_, requests)) = &method.requests {
            requests[usize::from(code == Code::Ok)].observe_time(took);
        }
    }

    /// What clients have sent and received since the start.
    pub(super) fn traffic(&self) -> Traffic {
        let mut requests: Vec<(f64, u64)> = Vec::new();
        for (_, [_, done]) in self.methods.iter().filter_map(|method| method.requests.as_ref()) {
            let buckets = done.all_buckets();
            if requests.is_empty() {
                requests = buckets;
                continue;
            }
            requests.iter_mut().zip(buckets).for_each(|((_, all), (_, count))| *all += count);
        }
        Traffic {
            received: value(&self.received_bytes),
            sent: value(&self.sent_bytes),
            events: value(&self.watch_events),
            requests,
        }
    }

    /// Events were sent to watchers.
    pub(super) fn watch_events(&self, events: u64) {
        add(&self.watch_events, events);
    }

    /// The page was requested.
    pub(super) fn scraped(&self) {
        add(&self.scrapes, 1);
    }

    /// Messages arrived, with this many bytes in total.
    pub(super) fn received(&self, rule: &Rule, messages: u64, bytes: usize) {
        if let Some(method) = self.method(rule) {
            add(&method.received, messages);
        }
        add(&self.received_bytes, bytes as u64);
    }

    /// Messages were sent, with this many bytes in total.
    pub(super) fn sent(&self, rule: &Rule, messages: u64, bytes: usize) {
        if let Some(method) = self.method(rule) {
            add(&method.sent, messages);
        }
        add(&self.sent_bytes, bytes as u64);
    }

    /// A call from a client of that version (`unknown` if it names none).
    pub(super) fn client(&self, version: &str, kind: Kind) {
        let known = CLIENT_VERSIONS.iter().position(|known| *known == version);
        let Some(client) = self.clients.get(known.unwrap_or(CLIENT_VERSIONS.len() - 1)) else { return };
        match kind {
            Kind::Unary => add(&client.unary, 1),
            Kind::ServerStream | Kind::Bidirectional => add(&client.stream, 1),
        }
    }

    /// `/health` was requested.
    pub(super) fn health(&self, healthy: bool) {
        add(if healthy { &self.health_success } else { &self.health_failures }, 1);
    }

    /// A check of `/livez` or `/readyz` ran.
    pub(super) fn check(&self, kind: &'static str, name: &'static str, passed: bool) {
        let mut checks = self.checks.lock();
        let entry = checks.entry((kind, name)).or_default();
        entry.passed_last = passed;
        if passed {
            entry.successes += 1;
        } else {
            entry.failures += 1;
        }
    }

    /// Writes all counters here, and the figures of the other rooms.
    pub(super) fn write(&self, page: &mut Page) {
        self.write_grpc(page);
        self.write_health(page);
        self.write_counts(page);
        for source in self.sources.read().iter() {
            source.write(page);
        }
    }

    fn write_grpc(&self, page: &mut Page) {
        let labels = |rule: &Rule| {
            format!(
                "grpc_method=\"{}\",grpc_service=\"{}\",grpc_type=\"{}\"",
                rule.method,
                rule.service,
                rule.kind.label()
            )
        };
        let name = "grpc_server_started_total";
        page.family(name, "counter", "Total number of RPCs started on the server.");
        for (rule, method) in RULES.iter().zip(&self.methods) {
            page.sample(name, &labels(rule), value(&method.started));
        }
        let name = "grpc_server_handled_total";
        page.family(name, "counter", "Total number of RPCs completed on the server, regardless of success.");
        for (rule, method) in RULES.iter().zip(&self.methods) {
            for (code, count) in CODES.iter().zip(&method.handled) {
                page.sample(name, &format!("grpc_code=\"{code}\",{}", labels(rule)), value(count));
            }
        }
        let name = "grpc_server_msg_received_total";
        page.family(name, "counter", "Total number of messages received on the server.");
        for (rule, method) in RULES.iter().zip(&self.methods) {
            page.sample(name, &labels(rule), value(&method.received));
        }
        let name = "grpc_server_msg_sent_total";
        page.family(name, "counter", "Total number of messages sent by the server.");
        for (rule, method) in RULES.iter().zip(&self.methods) {
            page.sample(name, &labels(rule), value(&method.sent));
        }
        self.write_durations(page, labels);
        self.write_requests(page);
        let received = value(&self.received_bytes);
        page.counter(
            "etcd_network_client_grpc_received_bytes_total",
            "Bytes received from clients.",
            received,
        );
        let sent = value(&self.sent_bytes);
        page.counter("etcd_network_client_grpc_sent_bytes_total", "Bytes sent to clients.", sent);
        let name = "etcd_server_client_requests_total";
        page.family(name, "counter", "Requests by the clients' version.");
        for (version, client) in CLIENT_VERSIONS.iter().zip(&self.clients) {
            for (kind, count) in [("unary", &client.unary), ("stream", &client.stream)] {
                let count = value(count);
                if count > 0 {
                    page.sample(name, &format!("client_api_version=\"{version}\",type=\"{kind}\""), count);
                }
            }
        }
    }

    fn write_durations(&self, page: &mut Page, labels: impl Fn(&Rule) -> String) {
        let mut timed =
            RULES.iter().zip(&self.methods).filter_map(|(rule, method)| Some((rule, method.took.as_ref()?)));
        let name = "grpc_server_handling_seconds";
        let Some(first) = timed.next() else { return };
        page.family(name, "histogram", "How long the server took to handle a call, in seconds.");
        for (rule, took) in std::iter::once(first).chain(timed) {
            page.histogram_samples(name, &labels(rule), took);
        }
    }

    fn write_requests(&self, page: &mut Page) {
        let name = "etcd_server_request_duration_seconds";
        page.family(name, "histogram", "How long requests of each kind took, in seconds.");
        for (kind, requests) in self.methods.iter().filter_map(|method| method.requests.as_ref()) {
            for (success, took) in
                [false, true].into_iter().zip(requests).filter(|(_, took)| took.count() > 0)
            {
                page.histogram_samples(name, &format!("success=\"{success}\",type=\"{kind}\""), took);
            }
        }
    }

    fn write_counts(&self, page: &mut Page) {
        let help = "Events handed to watchers.";
        page.counter("etcd_debugging_mvcc_events_total", help, value(&self.watch_events));
        page.gauge("promhttp_metric_handler_requests_in_flight", "Scrapes under way, this one.", 1);
        let name = "promhttp_metric_handler_requests_total";
        page.family(name, "counter", "Scrapes by status.");
        page.sample(name, "code=\"200\"", value(&self.scrapes));
    }

    fn write_health(&self, page: &mut Page) {
        page.counter("etcd_server_health_success", "Health checks that passed.", value(&self.health_success));
        page.counter(
            "etcd_server_health_failures",
            "Health checks that failed.",
            value(&self.health_failures),
        );
        let checks = self.checks.lock().clone();
        page.family("etcd_server_healthcheck", "gauge", "The last result of each check.");
        for ((kind, name), counts) in &checks {
            let labels = format!("name=\"{name}\",type=\"{kind}\"");
            page.sample("etcd_server_healthcheck", &labels, u64::from(counts.passed_last));
        }
        page.family("etcd_server_healthchecks_total", "counter", "Runs of each check.");
        for ((kind, name), counts) in &checks {
            for (status, count) in [("success", counts.successes), ("error", counts.failures)] {
                if count > 0 {
                    let labels = format!("name=\"{name}\",status=\"{status}\",type=\"{kind}\"");
                    page.sample("etcd_server_healthchecks_total", &labels, count);
                }
            }
        }
    }
}

/// A page in Prometheus's text format, under construction.
#[derive(Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a family: its name, its type (`counter`, `gauge`, `histogram`), its help text.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the family; `labels` without the braces, empty for none.
    pub fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.text, "{name} {value}"),
            labels => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, "counter", help);
        self.sample(name, "", value);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    /// A histogram without labels.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        self.histogram_samples(name, "", histogram);
    }

    /// The samples of a histogram with these labels.
    pub fn histogram_samples(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let count = histogram.count();
        let mut below = 0;
        for (bound, observations) in histogram.buckets() {
            below += observations;
            self.sample(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), below);
        }
        self.sample(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"+Inf\""), count);
        self.sample(&format!("{name}_sum"), labels, histogram.sum());
        self.sample(&format!("{name}_count"), labels, count);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

/// A label's value with the necessary escapes.
pub fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_by_their_number() {
        for (number, name) in CODES.iter().enumerate() {
            let code = Code::from_i32(number as i32);
            let debug = format!("{code:?}").replace("Cancelled", "Canceled").replace("Ok", "OK");
            assert_eq!(&debug, name);
        }
    }

    #[test]
    fn a_page() {
        let metrics = Metrics::new(false);
        metrics.started(&RULES[1]);
        metrics.handled(&RULES[1], Code::Ok, Duration::ZERO);
        metrics.client("3.7", Kind::Unary);
        metrics.client("unknown", Kind::Unary);
        for number in 0..100 {
            metrics.client(&number.to_string(), Kind::Bidirectional);
        }
        let mut page = Page::default();
        metrics.write(&mut page);
        let histogram = Histogram::doubling(0.5, 2);
        [0.5, 0.75, 1.0, 1.25].into_iter().for_each(|value| histogram.observe(value));
        page.histogram("h", "help", &histogram);
        let text = page.finish();
        let labels = r#"grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary""#;
        assert!(text.contains(&format!("grpc_server_started_total{{{labels}}} 1\n")));
        assert!(text.contains(&format!("grpc_server_handled_total{{grpc_code=\"OK\",{labels}}} 1\n")));
        let clients = text.lines().filter(|line| line.starts_with("etcd_server_client_requests_total{"));
        let clients: Vec<&str> = clients.filter_map(|line| line.split_once('{')).map(|(_, of)| of).collect();
        let expected = [
            r#"client_api_version="unknown",type="unary"} 1"#,
            r#"client_api_version="3.7",type="unary"} 1"#,
            r#"client_api_version="other",type="stream"} 100"#,
        ];
        assert_eq!(clients, expected);
        assert!(!text.contains("grpc_server_handling_seconds"));
        assert!(text.contains("h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 3.5\nh_count 4\n"));
    }

    #[test]
    fn extensive_metrics_have_the_time_of_every_method() {
        let metrics = Metrics::new(true);
        metrics.handled(&RULES[1], Code::Ok, Duration::from_millis(7));
        let mut page = Page::default();
        metrics.write(&mut page);
        let text = page.finish();
        let labels = r#"grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary""#;
        let name = "grpc_server_handling_seconds";
        assert!(text.contains(&format!("{name}_bucket{{{labels},le=\"0.005\"}} 0\n")), "{text}");
        assert!(text.contains(&format!("{name}_bucket{{{labels},le=\"0.01\"}} 1\n")));
        assert!(text.contains(&format!("{name}_count{{{labels}}} 1\n")));
        assert_eq!(text.matches("grpc_server_handling_seconds_sum{").count(), RULES.len());
    }
}
