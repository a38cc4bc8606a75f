//! The outputs of the audit: a rotating file, or the journal. Records are written by a thread of their own; a request
//! waits for none of them.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::rotation::{Rotating, Rules};
use crate::api::audit::{Audit, Event, Filter, Key, Record, Sink};
use crate::config::{AuditOutput, Config};

/// Records that wait for their output. A record holds a few hundred bytes as a rule, and some ten thousand at most.
const WAITING: usize = 4096;

/// The journal's socket (systemd-journald(8)).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// The audit that the configuration asks for, if it asks for one.
///
/// # Errors
/// If its output cannot be opened.
pub fn open(config: &Config) -> io::Result<Option<Audit>> {
    let options = &config.audit;
    let output: Box<dyn Output> = match &options.output {
        AuditOutput::Off => return Ok(None),
        AuditOutput::Journal => Box::new(Journal::connect()?),
        AuditOutput::File(path) => {
            let rules = Rules {
                max_bytes: options.max_size_megabytes.max(1).saturating_mul(1 << 20),
                max_age: None,
                max_backups: Some(options.max_files),
                local_time: false,
                compress: false,
            };
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("audit.output {}: {error}", path.display()))
            };
            Box::new(Rotating::open(path.clone(), rules).map_err(named)?)
        }
    };
    let filter = Filter {
        methods: options.methods.clone(),
        prefixes: options.prefixes.iter().map(|prefix| prefix.clone().into()).collect(),
        users: options.users.clone(),
    };
    if let Some(name) = filter.unknown().next() {
        let what = format!("audit.methods: {name:?} is no method, service or path of the API");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let (records, waiting) = sync_channel(WAITING);
    std::thread::Builder::new().name("kvd-audit".into()).spawn(move || run(&waiting, output))?;
    Ok(Some(Audit::new(filter, Box::new(Queue(records)))))
}

struct Queue(SyncSender<Record>);

impl Sink for Queue {
    fn take(&self, record: Record) -> bool {
        self.0.try_send(record).is_ok()
    }
}

/// Takes lines.
trait Output: Send {
    fn put(&mut self, line: &str) -> io::Result<()>;
}

impl Output for Rotating {
    fn put(&mut self, line: &str) -> io::Result<()> {
        self.write_all(format!("{line}\n").as_bytes())
    }
}

/// The journal, by its own protocol: fields in a datagram.
struct Journal(UnixDatagram);

impl Journal {
    fn connect() -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("audit.output journal: {error}"));
        let socket = UnixDatagram::unbound().map_err(named)?;
        socket.connect(JOURNAL).map_err(named)?;
        Ok(Self(socket))
    }
}

impl Output for Journal {
    fn put(&mut self, line: &str) -> io::Result<()> {
        // A line of JSON has no line break in it.
        let entry = format!("PRIORITY=6\nSYSLOG_IDENTIFIER=kvd-audit\nMESSAGE={line}\n");
        self.0.send(entry.as_bytes()).map(drop)
    }
}

/// Writes records until the member ends. The first failure of several is logged.
fn run(waiting: &Receiver<Record>, mut output: Box<dyn Output>) {
    let mut failed = false;
    while let Ok(record) = waiting.recv() {
        match output.put(&line(&record)) {
            Ok(()) => failed = false,
            Err(error) if !failed => {
                failed = true;
                tracing::error!(%error, "the audit cannot be written; its records are lost");
            }
            Err(_) => {}
        }
    }
}

/// A record as one line of JSON.
fn line(record: &Record) -> String {
    let at: DateTime<Utc> = record.at.into();
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_string(), value);
    set("ts", at.to_rfc3339_opts(SecondsFormat::Millis, true).into());
    set("method", record.method.into());
    set("code", record.code.into());
    set("took_us", u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX).into());
    set("address", record.address.as_str().into());
    for (name, value) in [("user", &record.user), ("certificate", &record.certificate)] {
        if let Some(value) = value {
            set(name, value.as_ref().into());
        }
    }
    if let Some(number) = record.stream {
        set("stream", number.into());
    }
    if let Some(event) = record.event {
        let event = match event {
            Event::Begin => "begin",
            Event::End => "end",
        };
        set("event", event.into());
    }
    if let Some(name) = &record.touched.name {
        set("name", name.as_str().into());
    }
    if !record.touched.keys.is_empty() {
        set("keys", record.touched.keys.iter().map(key).collect());
    }
    if record.touched.more > 0 {
        set("more_keys", record.touched.more.into());
    }
    Value::Object(fields).to_string()
}

/// A key as text; one that is no text in hexadecimal digits.
fn key(key: &Key) -> Value {
    let shown = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    };
    match key.end.is_empty() {
        true => json!({ "key": shown(&key.key) }),
        false => json!({ "key": shown(&key.key), "range_end": shown(&key.end) }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::api::audit::touched;
    use crate::api::proto::etcdserverpb as pb;
    use crate::api::proto::etcdserverpb::request_op::Request;

    #[test]
    fn a_record_is_one_line_whatever_it_names() {
        let op = |key: &'static [u8], range_end: &'static [u8]| pb::RequestOp {
            request: Some(Request::RequestRange(pb::RangeRequest {
                key: key.into(),
                range_end: range_end.into(),
                ..Default::default()
            })),
        };
        let success = vec![op(b"a\nb", b""), op(b"c", b"d\xff")];
        let mut touched = touched(&pb::TxnRequest { success, ..Default::default() });
        touched.more = 3;
        let record = Record {
            at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            user: Some("ann".into()),
            certificate: None,
            address: "10.0.0.1:4711".into(),
            method: "/etcdserverpb.KV/Txn",
            stream: Some(7),
            event: Some(Event::End),
            touched,
            code: "PermissionDenied",
            took: Duration::from_micros(1500),
        };
        let expected = concat!(
            r#"{"address":"10.0.0.1:4711","code":"PermissionDenied","event":"end","keys":[{"key":"a\nb"},"#,
            r#"{"key":"c","range_end":{"hex":"64ff"}}],"method":"/etcdserverpb.KV/Txn","more_keys":3,"stream":7,"#,
            r#""took_us":1500,"ts":"2023-11-14T22:13:20.123Z","user":"ann"}"#
        );
        assert_eq!(line(&record), expected);
    }
}
