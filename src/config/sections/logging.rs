//! Logs, and thresholds for warnings in them.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::diagnostic::Diagnostic;
use crate::config::findings::Findings;
use crate::config::spec::{Effect, Kind, OptionSpec, Section};
use crate::config::typed::{FromValue, choice, mismatch, section};
use crate::config::url::{split_host_port, valid_host};
use crate::config::value::Value;

choice! {
    /// The lowest level that is logged.
    pub enum LogLevel {
        /// Everything.
        Debug = "debug",
        /// Messages that operators follow.
        Info = "info",
        /// Messages that may need an operator.
        Warn = "warn",
        /// Failures.
        Error = "error" | "panic" | "fatal",
    }
}

choice! {
    /// The format of a log line.
    pub enum LogFormat {
        /// Plain on a terminal, JSON otherwise.
        Auto = "auto",
        /// Plain.
        Console = "console",
        /// One object a line.
        Json = "json",
    }
}

section! {
    /// Logs.
    pub struct Logging under Logging {
        level: LogLevel = etcd("log-level", Kind::Choice(LogLevel::CHOICES), "info", "The least level that is logged; panic and fatal are the same as error.").empty_is_default().reloads();
        format: LogFormat = etcd("log-format", Kind::Choice(LogFormat::CHOICES), "auto", "Plain lines, or one JSON object a line; auto is plain on a terminal and JSON otherwise. etcd's default is json.").words(unknown_format).empty_is_default().since("3.6");
        outputs: Vec<LogOutput> = etcd("log-outputs", Kind::List, "default", "Where logs go: default (the journal under systemd, standard error otherwise), stderr, stdout, systemd/journal, or files.");
        rotates: bool = etcd("enable-log-rotation", Kind::Bool, "false", "Rotates the one file of log-outputs as log-rotation-config-json says.").since("3.5");
        /// Or why it is not valid, which matters if `rotates`; see [`rotation`](Self::rotation).
        rotation_rules: Result<LogRotation, String> = etcd("log-rotation-config-json", Kind::Text, "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, \"compress\": false}", "Rotation: at maxsize megabytes (0 means 100) a file gets a name with the time, local with localtime, and a new one begins; compress gzips the old one. Files older than maxage days or beyond maxbackups are removed; 0 keeps all.").since("3.5");
        warn_apply: Duration = etcd("warning-apply-duration", Kind::Duration, "100ms", "An entry that takes longer than this to apply is logged, and counted in the metrics.").since("3.6");
        warn_request: Duration = etcd("warning-unary-request-duration", Kind::Duration, "300ms", "A request that takes longer than this is logged.").since("3.6").zero_means("300ms").reloads();
        traces: bool = etcd("enable-distributed-tracing", Kind::Bool, "false", "Exports traces (OpenTelemetry, OTLP over gRPC): a span for each call of a client, and one inside it with the keys that it names.").since("3.6");
        traces_to: String = etcd("distributed-tracing-address", Kind::Text, "localhost:4317", "The collector of traces, by host and port. The connection is not encrypted.").since("3.6");
        traces_service: String = etcd("distributed-tracing-service-name", Kind::Text, "etcd", "The service's name in traces; the same on all members.").since("3.6");
        traces_instance: String = etcd("distributed-tracing-instance-id", Kind::Text, "", "The member's name among those of the service in traces.").since("3.6");
        traces_per_million: u32 = etcd("distributed-tracing-sampling-rate", Kind::Number(1_000_000), "0", "How many of a million traces are exported. Calls that belong to a trace of their caller are exported if the caller's trace is.").since("3.6");
    }
    without effect {
        OptionSpec::etcd("logger", Kind::Text, "zap", "The log library.").effect(Effect::Refused { harmless: &["zap"], reason: unknown_logger }),
    }
}

/// True for `host:port`, where neither is empty.
fn has_port(address: &str) -> bool {
    split_host_port(address)
        .is_some_and(|(host, port)| valid_host(host) && !host.is_empty() && port.parse::<u16>().is_ok())
}

fn unknown_format(text: &str) -> String {
    format!("unknown log format: {text}, supported values json, console")
}

fn unknown_logger(text: &str) -> String {
    match text {
        "capnslog" => "--logger=capnslog is removed in v3.5".to_string(),
        other => format!("unknown logger option {other:?}"),
    }
}

/// Where logs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// The journal under systemd, standard error otherwise.
    Default,
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// The journal.
    Journal,
    /// A file.
    File(PathBuf),
}

impl FromValue for Vec<LogOutput> {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        let outputs = Vec::<String>::from_value(value)?.into_iter().map(|output| match output.as_str() {
            "default" => LogOutput::Default,
            "stderr" => LogOutput::Stderr,
            "stdout" => LogOutput::Stdout,
            "systemd/journal" => LogOutput::Journal,
            _ => LogOutput::File(PathBuf::from(output)),
        });
        Ok(outputs.collect())
    }
}

/// `log-rotation-config-json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRotation {
    /// Largest size of a file in megabytes; 0 means 100.
    pub max_size_megabytes: u64,
    /// Days for which a file is kept; 0 means for ever.
    pub max_age_days: u64,
    /// Number of files that are kept; 0 means all.
    pub max_backups: u64,
    /// File names use local time.
    pub local_time: bool,
    /// Compress old files.
    pub compress: bool,
}

impl FromValue for Result<LogRotation, String> {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        Ok(LogRotation::parse(&String::from_value(value)?))
    }
}

impl LogRotation {
    fn parse(text: &str) -> Result<Self, String> {
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
        Ok(Self {
            max_size_megabytes: number("maxsize")?,
            max_age_days: number("maxage")?,
            max_backups: number("maxbackups")?,
            local_time: flag("localtime")?,
            compress: flag("compress")?,
        })
    }
}

impl Logging {
    /// The rotation of the log file, if there is any.
    pub fn rotation(&self) -> Option<LogRotation> {
        self.rotation_rules.as_ref().ok().copied().filter(|_| self.rotates)
    }

    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        if self.outputs.is_empty() {
            found.error("log-outputs", "--log-outputs must not be empty");
        }
        if self.outputs.len() > 1 && self.outputs.contains(&LogOutput::Default) {
            found.error("log-outputs", "multi logoutput for \"default\" is not supported yet");
        }
        if self.traces && !has_port(&self.traces_to) {
            let message = format!(
                "--distributed-tracing-address {:?} is not host:port, as in localhost:4317",
                self.traces_to
            );
            found.error("distributed-tracing-address", message);
        }
        if !self.rotates {
            return;
        }
        if self.outputs.iter().filter(|output| matches!(output, LogOutput::File(_))).count() != 1 {
            let message =
                "--log-outputs requires a single file path when --log-rotate-config-json is defined";
            found.error("enable-log-rotation", message);
        }
        if let Err(reason) = &self.rotation_rules {
            let message = format!("improperly formatted log rotation config: {reason}");
            found.error("log-rotation-config-json", message);
        }
    }
}
