//! The outputs and formats of log lines.
//!
//! On a terminal readable lines; under systemd native journal fields; otherwise one JSON object per line with `level`,
//! `ts`, `caller`, `msg` and the event's own fields, as in etcd.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::fields::Fields;
use super::journal;
use super::rotation::{Rotating, Rules};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Readable on a terminal, JSON otherwise.
    Auto,
    /// One JSON object per line.
    Json,
    /// Readable lines.
    Console,
}

/// The output for lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The journal if stderr leads there, otherwise stderr.
    Default,
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// The journal, with native fields.
    Journal,
    /// Appended to a file, which is renamed when it is full if there are rules for that.
    File(PathBuf, Option<Rules>),
}

/// Initialises the process's logging. Errors name the output that could not be opened.
pub fn start(level: LevelFilter, format: Format, outputs: &[Output]) -> io::Result<()> {
    let mut layers: Vec<Box<dyn Layer<_> + Send + Sync>> = Vec::new();
    for output in outputs {
        layers.push(open(output, format)?);
    }
    let (filter, handle) = reload::Layer::new(targets(level));
    let started = tracing_subscriber::registry().with(filter).with(layers).try_init();
    if started.is_ok() {
        // Set once, with the subscriber.
        let _ = FILTER.set(handle);
        report_panics();
    }
    Ok(())
}

/// The filter of the process's logging.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Changes the lowest level that is logged.
pub fn set_level(level: LevelFilter) {
    if let Some(Err(error)) = FILTER.get().map(|filter| filter.reload(targets(level))) {
        tracing::warn!(%error, "the log level stays as it was");
    }
}

/// kvd's own lines at `level`. Of the libraries only errors, and at debug level also their informational lines (such as
/// elections). The raft library's errors are ordinary events of a cluster (a member stops, another cannot be reached),
/// which kvd reports itself, so they are left out; an error that ends raft ends the process.
fn targets(level: LevelFilter) -> Targets {
    let (libraries, raft) = match level {
        LevelFilter::TRACE => (LevelFilter::DEBUG, LevelFilter::DEBUG),
        LevelFilter::DEBUG => (LevelFilter::INFO, LevelFilter::INFO),
        level => (level.min(LevelFilter::ERROR), LevelFilter::OFF),
    };
    Targets::new().with_default(libraries).with_target("openraft", raft).with_target("kvd", level)
}

fn open<S>(output: &Output, format: Format) -> io::Result<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match output {
        Output::Default if journal::is_stderr() => Ok(journal::layer()?.boxed()),
        Output::Default | Output::Stderr => {
            let lines = Lines::new(format, io::stderr().is_terminal());
            Ok(tracing_subscriber::fmt::layer().event_format(lines).with_writer(io::stderr).boxed())
        }
        Output::Stdout => {
            let lines = Lines::new(format, io::stdout().is_terminal());
            Ok(tracing_subscriber::fmt::layer().event_format(lines).with_writer(io::stdout).boxed())
        }
        Output::Journal => Ok(journal::layer()?.boxed()),
        Output::File(path, rules) => {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("log output {}: {error}", path.display()))
            };
            let lines = tracing_subscriber::fmt::layer().event_format(Lines::new(format, false));
            if let Some(rules) = rules {
                let file = Rotating::open(path.clone(), rules.clone()).map_err(named)?;
                return Ok(lines.with_writer(file).boxed());
            }
            let file = OpenOptions::new().create(true).append(true).open(path).map_err(named)?;
            Ok(lines.with_writer(Arc::<File>::new(file)).boxed())
        }
    }
}

/// Threads without which a process would go on with a state that no longer changes, or with watchers that miss events.
const VITAL: [&str; 6] =
    ["kvd-peer", "kvd-log", "kvd-log-segments", "kvd-store", "kvd-watch", "kvd-watch-history"];

/// A panic goes to the log, too. On one of the vital threads it ends the process.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed").to_string();
        tracing::error!(thread = name, "panic: {panic}");
        if VITAL.contains(&name.as_str()) {
            std::process::abort();
        }
    }));
}

struct Lines {
    json: bool,
    colour: bool,
}

impl Lines {
    fn new(format: Format, terminal: bool) -> Self {
        let json = match format {
            Format::Auto => !terminal,
            Format::Json => true,
            Format::Console => false,
        };
        Self { json, colour: terminal && std::env::var_os("NO_COLOR").is_none() }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if self.json {
            write_json(&mut out, event, &fields)
        } else {
            self.write_console(&mut out, event, &fields)
        }
    }
}

fn write_json(out: &mut Writer<'_>, event: &Event<'_>, fields: &Fields) -> fmt::Result {
    let meta = event.metadata();
    let level = match *meta.level() {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    };
    write!(out, r#"{{"level":"{level}","ts":""#)?;
    SystemTime.format_time(out)?;
    let file = caller(meta.file().unwrap_or_default());
    write!(
        out,
        r#"","caller":"{file}:{}","msg":{}"#,
        meta.line().unwrap_or_default(),
        quoted(&fields.message)
    )?;
    for (name, value) in &fields.others {
        write!(out, r#","{}":{value}"#, name.replace('_', "-"))?;
    }
    writeln!(out, "}}")
}

impl Lines {
    fn write_console(&self, out: &mut Writer<'_>, event: &Event<'_>, fields: &Fields) -> fmt::Result {
        let level = *event.metadata().level();
        SystemTime.format_time(out)?;
        match (self.colour, level) {
            (true, Level::ERROR) => write!(out, " \x1b[31mERROR\x1b[0m ")?,
            (true, Level::WARN) => write!(out, " \x1b[33m WARN\x1b[0m ")?,
            _ => write!(out, " {level:>5} ")?,
        }
        out.write_str(&fields.message)?;
        let listed = fields.listed();
        writeln!(out, "{}{listed}", if listed.is_empty() { "" } else { " " })
    }
}

fn quoted(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

/// A source file's path from the crate's folder on, without the directories of the build machine.
fn caller(file: &str) -> &str {
    match file.rsplit_once("/src/") {
        Some((before, _)) => {
            let folder = before.rfind('/').map_or(0, |slash| slash + 1);
            file.get(folder..).unwrap_or(file)
        }
        None => file.trim_start_matches("src/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_err(|_| io::ErrorKind::Other)?.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Lines::new(format, false))
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(local_member_id = "8e9e", count = 3, "it \"works\"");
        });
        String::from_utf8(buffer.0.lock().expect("no other thread").clone()).expect("text")
    }

    #[test]
    fn callers_begin_with_their_crate() {
        assert_eq!(caller("src/daemon/mod.rs"), "daemon/mod.rs");
        assert_eq!(
            caller("/home/x/registry/src/y/openraft-0.10/src/core/a.rs"),
            "openraft-0.10/src/core/a.rs"
        );
        assert_eq!(caller(""), "");
    }

    #[test]
    fn json_lines_have_the_fields_of_etcds() {
        let line: serde_json::Value = serde_json::from_str(&logged(Format::Json)).expect("one JSON object");
        assert_eq!(line["level"], "info");
        assert_eq!(line["msg"], "it \"works\"");
        assert_eq!(line["local-member-id"], "8e9e");
        assert_eq!(line["count"], 3);
        assert!(line["caller"].as_str().is_some_and(|caller| caller.starts_with("daemon/logging.rs:")));
        assert!(line["ts"].is_string());
    }

    #[test]
    fn console_lines_are_readable() {
        let line = logged(Format::Console);
        assert!(line.contains("  INFO it \"works\" local_member_id=8e9e count=3"), "{line}");
    }
}
