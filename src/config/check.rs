//! The rules among options: etcd's, with its words, and kvd's own. All of them are looked at; none hides another.

use std::time::Duration;

use super::config::tls_version;
use super::diagnostic::Diagnostic;
use super::duration::parse_duration;
use super::settings::{Origin, Settings};
use super::tls_names::{SuiteSupport, suite_support};
use super::types::{AuthToken, AutoCompaction, LogRotation};
use super::url::Url;
use super::value::Value;
use crate::model::MAX_REQUEST_BYTES;

/// etcd's longest election timeout.
const MAX_ELECTION_MS: u128 = 50_000;
/// Above this etcd warns.
const LARGE_REQUEST: u64 = 10 << 20;
/// A shorter secret can be tried out.
const MIN_SECRET: usize = 16;

/// Looks at everything; values that etcd corrects with a warning are corrected.
pub(super) fn check(settings: &mut Settings) -> Vec<Diagnostic> {
    let mut checks = Checks { settings, found: Vec::new() };
    checks.names();
    checks.listeners();
    checks.advertised();
    checks.discovery();
    checks.times();
    checks.compaction();
    checks.client_tls();
    checks.peer_identity();
    checks.tls_versions();
    checks.logging();
    checks.auth();
    checks.limits();
    checks.found
}

struct Checks<'s> {
    settings: &'s mut Settings,
    found: Vec<Diagnostic>,
}

impl Checks<'_> {
    fn error(&mut self, option: &'static str, message: impl Into<String>) {
        let place = self.settings.origin(option).place();
        self.found.push(Diagnostic::error(message).about(option).at(place));
    }

    fn warn(&mut self, option: &'static str, message: impl Into<String>) {
        let place = self.settings.origin(option).place();
        self.found.push(Diagnostic::warning(message).about(option).at(place));
    }

    fn has(&self, option: &str) -> bool {
        !self.settings.get(option).value.is_empty()
    }

    fn names(&mut self) {
        let name = self.settings.text("name");
        if name.contains([',', '=']) || name.chars().any(char::is_control) {
            self.error(
                "name",
                format!("--name {name:?} must not contain commas, equals signs or control characters"),
            );
        }
        if name.is_empty() {
            self.error("name", "--name must not be empty");
        }
        if name == "default" && self.is_public("listen-peer-urls") {
            self.warn("name", "it isn't recommended to use default name, please set a value for --name");
        }
    }

    /// True when others than this machine may come.
    fn is_public(&self, option: &str) -> bool {
        let local = |url: &Url| url.socket_addr().is_some_and(|at| at.ip().is_loopback());
        self.settings.urls(option).iter().any(|url| !url.scheme().is_unix() && !local(url))
    }

    fn listeners(&mut self) {
        for option in
            ["listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"]
        {
            let urls = self.settings.urls(option);
            for url in urls.iter().filter(|url| !url.scheme().is_unix() && url.socket_addr().is_none()) {
                // A zone makes an IP that the standard library does not read; binding resolves it.
                if !url.host().contains('%') {
                    self.error(option, format!("expected IP in URL for binding ({url})"));
                }
            }
            if urls.is_empty() && matches!(option, "listen-peer-urls" | "listen-client-urls") {
                self.error(option, format!("--{option}: no valid URLs given"));
            }
        }
        let clients = self.settings.urls("listen-client-urls");
        for url in self.settings.urls("listen-client-http-urls").iter().filter(|url| clients.contains(url)) {
            self.error(
                "listen-client-http-urls",
                format!("cannot bind both --listen-client-urls and --listen-client-http-urls on the same url {url}"),
            );
        }
    }

    fn advertised(&mut self) {
        let peers = self.settings.urls("initial-advertise-peer-urls");
        for url in peers.iter().filter(|url| url.host().is_empty()) {
            let message = format!(
                "--initial-advertise-peer-urls [{}] must be \"host:port\" (unexpected empty host ({url}))",
                quoted(&peers)
            );
            self.error("initial-advertise-peer-urls", message);
        }
        if peers.is_empty() {
            self.error("initial-advertise-peer-urls", "--initial-advertise-peer-urls: no valid URLs given");
        }
        let clients = self.settings.urls("advertise-client-urls");
        for url in clients.iter().filter(|url| url.host().is_empty() && !url.scheme().is_unix()) {
            let message = format!(
                "--advertise-client-urls [{}] must be in the format \"host:port\", \"unix:/path/to/socket\" or \
                 \"unixs:/path/to/socket\" (unexpected empty host ({url}))",
                quoted(&clients)
            );
            self.error("advertise-client-urls", message);
        }
        let listen_given = self.settings.is_given("listen-client-urls");
        if listen_given && (clients.is_empty() || !self.settings.is_given("advertise-client-urls")) {
            let place = self.settings.origin("listen-client-urls").place();
            let message = "--advertise-client-urls is required when --listen-client-urls is set explicitly";
            self.found.push(Diagnostic::error(message).about("advertise-client-urls").at(place));
        }
    }

    fn discovery(&mut self) {
        let srv = self.has("discovery-srv");
        let v3 = self.has("discovery-endpoints");
        let named = self.settings.is_given("initial-cluster") && self.has("initial-cluster");
        if [srv, v3, named].iter().filter(|set| **set).count() > 1 {
            let option = if v3 { "discovery-endpoints" } else { "discovery-srv" };
            self.error(
                option,
                "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \
                 \"discovery-endpoints\" or \"discovery-srv\"",
            );
        }
        if v3 != self.has("discovery-token") {
            let option = if v3 { "discovery-endpoints" } else { "discovery-token" };
            self.error(option, "both --discovery-token and --discovery-endpoints must be set");
        }
        if self.has("discovery-srv-name") && !srv {
            self.warn("discovery-srv-name", "--discovery-srv-name has no effect without --discovery-srv");
        }
        for peer in self.settings.list("join-peers") {
            let bare = peer.split_once("://").map_or(peer.as_str(), |(_, rest)| rest);
            if bare
                .rsplit_once(':')
                .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
            {
                let message = format!("join peer {peer:?} is neither a peer URL nor host:port");
                self.error("join-peers", message);
            }
        }
    }

    fn times(&mut self) {
        let beat = self.settings.duration("heartbeat-interval");
        let timeout = self.settings.duration("election-timeout");
        let (heartbeat, election) = (beat.as_millis(), timeout.as_millis());
        if heartbeat == 0 {
            self.error(
                "heartbeat-interval",
                format!("--heartbeat-interval must be >0 (set to {heartbeat}ms)"),
            );
        }
        if election == 0 {
            self.error("election-timeout", format!("--election-timeout must be >0 (set to {election}ms)"));
        } else if beat.saturating_mul(5) > timeout {
            // Point at the one that was given, the election timeout when it was both.
            let given = self.settings.is_given("election-timeout");
            let option = if given { "election-timeout" } else { "heartbeat-interval" };
            self.error(
                option,
                format!(
                    "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
                ),
            );
        }
        if timeout.as_nanos() > MAX_ELECTION_MS * 1_000_000 {
            self.error(
                "election-timeout",
                format!(
                    "--election-timeout[{election}ms] is too long, and should be set less than {MAX_ELECTION_MS}ms"
                ),
            );
        }
        if self.settings.duration("compact-hash-check-time").is_zero() {
            self.error("compact-hash-check-time", "--compact-hash-check-time must be >0 (set to 0s)");
        }
        let notify = self.settings.duration("watch-progress-notify-interval");
        if !notify.is_zero() && notify < Duration::from_millis(100) {
            self.warn(
                "watch-progress-notify-interval",
                "--watch-progress-notify-interval is raised to 100ms",
            );
        }
    }

    fn compaction(&mut self) {
        let mode = self.settings.text("auto-compaction-mode");
        let retention = self.settings.text("auto-compaction-retention");
        if let Err(reason) = parse_auto_compaction(&mode, &retention) {
            self.error("auto-compaction-retention", format!("error parsing CompactionRetention: {reason}"));
        }
        let gates = match &self.settings.get("feature-gates").value {
            Value::Gates(gates) => gates.clone(),
            _ => Default::default(),
        };
        let on = |name: &str| gates.get(name).or_else(|| gates.get("AllAlpha")).copied().unwrap_or(false);
        if on("LeaseCheckpointPersist") && !on("LeaseCheckpoint") {
            self.error(
                "feature-gates",
                "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
            );
        }
    }

    fn pair(&mut self, cert: &'static str, key: &'static str) -> bool {
        match (self.has(cert), self.has(key)) {
            (true, true) => true,
            (false, false) => false,
            (has_cert, _) => {
                let option = if has_cert { cert } else { key };
                let (cert_file, key_file) = (self.settings.text(cert), self.settings.text(key));
                self.error(
                    option,
                    format!("KeyFile and CertFile must both be present[key: {key_file}, cert: {cert_file}]"),
                );
                // Said once: what follows from half a pair is not reported as well.
                true
            }
        }
    }

    fn client_tls(&mut self) {
        let pair = self.pair("cert-file", "key-file");
        let auto = self.settings.bool("auto-tls");
        if auto && pair {
            self.warn("auto-tls", "ignoring client auto TLS since certs given");
        }
        let tls = pair || auto;
        for option in ["listen-client-urls", "listen-client-http-urls"] {
            for url in self.settings.urls(option) {
                if url.scheme().is_tls() && !tls {
                    let message = format!(
                        "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme"
                    );
                    self.error(option, message);
                }
            }
        }
        if self.settings.urls("listen-metrics-urls").iter().any(|url| url.scheme().is_tls()) && !tls {
            let message =
                "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url";
            self.error("listen-metrics-urls", message);
        }
        let plain: Vec<Url> = self
            .settings
            .urls("listen-client-urls")
            .into_iter()
            .filter(|url| !url.scheme().is_tls())
            .collect();
        let whole_pair = self.has("cert-file") && self.has("key-file");
        for url in plain {
            if whole_pair {
                let message = format!(
                    "scheme is HTTP while key and cert files are present; ignoring key and cert files ({url})"
                );
                self.warn("listen-client-urls", message);
            }
            if self.settings.bool("client-cert-auth") {
                let message = format!(
                    "scheme is HTTP while --client-cert-auth is enabled; ignoring client cert auth for this URL ({url})"
                );
                self.warn("listen-client-urls", message);
            }
        }
        if self.settings.bool("client-cert-auth") && !self.has("trusted-ca-file") {
            self.error(
                "client-cert-auth",
                "--client-cert-auth needs --trusted-ca-file: which certificates are good?",
            );
        }
    }

    fn peer_identity(&mut self) {
        let pair = self.pair("peer-cert-file", "peer-key-file");
        if self.pair("peer-client-cert-file", "peer-client-key-file") && !pair {
            self.error(
                "peer-client-cert-file",
                "--peer-client-cert-file needs --peer-cert-file and --peer-key-file",
            );
        }
        let trusted = self.has("peer-trusted-ca-file");
        if pair && !trusted {
            let message = "--peer-cert-file needs --peer-trusted-ca-file: members always verify each other";
            self.error("peer-cert-file", message);
        }
        if trusted && !pair {
            let message = "--peer-trusted-ca-file needs --peer-cert-file and --peer-key-file";
            self.error("peer-trusted-ca-file", message);
        }
        let inline = self.settings.text("cluster-secret");
        let secret_given = !inline.is_empty() || self.has("cluster-secret-file");
        if !inline.is_empty() && self.has("cluster-secret-file") {
            self.error("cluster-secret", "--cluster-secret and --cluster-secret-file are both given");
        }
        if !inline.is_empty() && inline.chars().count() < MIN_SECRET {
            let message =
                format!("--cluster-secret is shorter than {MIN_SECRET} characters and can be guessed");
            self.warn("cluster-secret", message);
        }
        if secret_given && pair && self.settings.is_given("cluster-secret-file") {
            self.warn("cluster-secret-file", "--cluster-secret-file has no effect beside --peer-cert-file");
        }
        if !secret_given && !pair && self.is_public("listen-peer-urls") {
            let place = self.settings.origin("listen-peer-urls").place();
            let message = "members have no secret in common: whoever can reach the peer port can join and read everything";
            let help = "give all members the same --cluster-secret-file, or each a --peer-cert-file";
            self.found.push(Diagnostic::warning(message).about("cluster-secret-file").at(place).help(help));
        }
    }

    fn tls_versions(&mut self) {
        let (min, max) = (self.settings.text("tls-min-version"), self.settings.text("tls-max-version"));
        if tls_version(&max).is_some_and(|max| tls_version(&min).is_some_and(|min| min > max)) {
            self.error("tls-max-version", format!("min version ({min}) is greater than max version ({max})"));
        }
        let suites = self.settings.list("cipher-suites");
        if suites.is_empty() {
            return;
        }
        if min == "TLS1.3" {
            self.error("cipher-suites", "cipher suites cannot be configured when only TLS1.3 is enabled");
        }
        let mut usable = 0;
        for suite in &suites {
            match suite_support(suite) {
                SuiteSupport::Yes => usable += 1,
                SuiteSupport::Weak => {
                    self.warn(
                        "cipher-suites",
                        format!("cipher suite {suite:?} is weak; kvd does not have it"),
                    );
                }
                SuiteSupport::Unknown => {
                    self.error("cipher-suites", format!("unexpected TLS cipher suite {suite:?}"));
                }
            }
        }
        if usable == 0 && suites.iter().all(|suite| suite_support(suite) == SuiteSupport::Weak) {
            self.error("cipher-suites", "none of the cipher suites is one that kvd has");
        }
    }

    fn logging(&mut self) {
        let outputs = self.settings.list("log-outputs");
        if outputs.is_empty() {
            self.error("log-outputs", "--log-outputs must not be empty");
        }
        if outputs.len() > 1 && outputs.iter().any(|output| output == "default") {
            self.error("log-outputs", "multi logoutput for \"default\" is not supported yet");
        }
        if !self.settings.bool("enable-log-rotation") {
            return;
        }
        let is_file =
            |output: &String| !matches!(output.as_str(), "default" | "stderr" | "stdout" | "systemd/journal");
        if outputs.iter().filter(|output| is_file(output)).count() != 1 {
            let message =
                "--log-outputs requires a single file path when --log-rotate-config-json is defined";
            self.error("enable-log-rotation", message);
        }
        if let Err(reason) = parse_rotation(&self.settings.text("log-rotation-config-json")) {
            let message = format!("improperly formatted log rotation config: {reason}");
            self.error("log-rotation-config-json", message);
        }
    }

    fn auth(&mut self) {
        if let Err(reason) = parse_auth_token(&self.settings.text("auth-token")) {
            let place = self.settings.origin("auth-token").place();
            let error =
                Diagnostic::error("auth: invalid auth options").about("auth-token").at(place).help(reason);
            self.found.push(error);
        }
        let cost = self.settings.number("bcrypt-cost");
        if !(4..=31).contains(&cost) {
            self.warn(
                "bcrypt-cost",
                format!("use default bcrypt cost instead of the invalid given cost {cost}"),
            );
            self.settings.set("bcrypt-cost", Value::Number(10), Origin::Derived("an invalid bcrypt-cost"));
        }
        if self.settings.duration("auth-token-ttl").is_zero() {
            let ttl = Value::Duration(Duration::from_secs(300));
            self.settings.set("auth-token-ttl", ttl, Origin::Derived("auth-token-ttl 0"));
        }
    }

    fn limits(&mut self) {
        let bytes = self.settings.number("max-request-bytes");
        if bytes > MAX_REQUEST_BYTES as u64 {
            let message = format!(
                "--max-request-bytes {bytes}: members cannot pass on requests of more than {MAX_REQUEST_BYTES} bytes"
            );
            self.error("max-request-bytes", message);
        } else if bytes > LARGE_REQUEST {
            let message = format!(
                "exceeded recommended request limit: {bytes} bytes, recommended {LARGE_REQUEST} bytes"
            );
            self.warn("max-request-bytes", message);
        }
        if self.settings.bool("force-new-cluster") && self.settings.is_given("force-new-cluster") {
            let message =
                "--force-new-cluster discards all other members; take it away again after this start";
            self.warn("force-new-cluster", message);
        }
        if self.settings.bool("unsafe-no-fsync") {
            self.warn("unsafe-no-fsync", "--unsafe-no-fsync: a crash of the machine loses or spoils data");
        }
    }
}

fn quoted(urls: &[Url]) -> String {
    urls.iter().map(|url| format!("{:?}", url.as_str())).collect::<Vec<_>>().join(" ")
}

/// Reads `auto-compaction-retention` as its mode has it.
///
/// # Errors
/// With Go's words for what is no duration.
pub(super) fn parse_auto_compaction(mode: &str, retention: &str) -> Result<AutoCompaction, String> {
    if let Ok(count) = retention.parse::<i64>()
        && count >= 0
    {
        return Ok(match (count, mode) {
            (0, _) => AutoCompaction::Off,
            (revisions, "revision") => AutoCompaction::Revision(revisions),
            (hours, _) => {
                let seconds = u64::try_from(hours).ok().and_then(|hours| hours.checked_mul(3600));
                let seconds = seconds.filter(|seconds| *seconds <= i64::MAX as u64 / 1_000_000_000);
                AutoCompaction::Periodic(Duration::from_secs(seconds.ok_or("value out of range")?))
            }
        });
    }
    if mode == "revision" {
        return Err(format!("{retention:?} is no number of revisions"));
    }
    match parse_duration(retention).map_err(|error| error.to_string())? {
        Duration::ZERO => Ok(AutoCompaction::Off),
        period => Ok(AutoCompaction::Periodic(period)),
    }
}

/// Reads `simple` or `jwt,key=value,...`.
///
/// # Errors
/// With what is wrong; etcd only says that something is.
pub(super) fn parse_auth_token(text: &str) -> Result<AuthToken, String> {
    let (kind, options) = text.split_once(',').unwrap_or((text, ""));
    match kind {
        "" | "simple" => return Ok(AuthToken::Simple),
        "jwt" => {}
        other => return Err(format!("{other:?} is neither simple nor jwt")),
    }
    let (mut method, mut public_key, mut private_key, mut ttl) = (None, None, None, Duration::from_secs(300));
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').ok_or_else(|| format!("{option:?} is no name=value"))?;
        match name {
            "sign-method" => method = Some(value.to_string()),
            "pub-key" => public_key = Some(value.into()),
            "priv-key" => private_key = Some(value.into()),
            "ttl" => ttl = parse_duration(value).map_err(|error| error.to_string())?,
            other => return Err(format!("jwt has no option {other:?}: sign-method, pub-key, priv-key, ttl")),
        }
    }
    let sign_method = method.ok_or("jwt needs a sign-method")?;
    if !JWT_METHODS.contains(&sign_method.as_str()) {
        return Err(format!("unknown sign-method {sign_method:?}; one of: {}", JWT_METHODS.join(", ")));
    }
    if public_key.is_none() && private_key.is_none() {
        return Err("jwt needs a pub-key or a priv-key".to_string());
    }
    Ok(AuthToken::Jwt { sign_method, public_key, private_key, ttl })
}

const JWT_METHODS: [&str; 13] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384",
    "HS512", "EdDSA",
];

/// Reads `log-rotation-config-json`.
///
/// # Errors
/// When it is no JSON object of that form.
pub(super) fn parse_rotation(text: &str) -> Result<LogRotation, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let object = json.as_object().ok_or("not an object")?;
    let number = |name: &str| match object.get(name) {
        None => Ok(0),
        Some(value) => value.as_u64().ok_or_else(|| format!("{name} is no whole number")),
    };
    let flag = |name: &str| match object.get(name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| format!("{name} is neither true nor false")),
    };
    Ok(LogRotation {
        max_size_megabytes: number("maxsize")?,
        max_age_days: number("maxage")?,
        max_backups: number("maxbackups")?,
        local_time: flag("localtime")?,
        compress: flag("compress")?,
    })
}
