//! The audit (`[audit]`): who did which method on which keys, from where, with which outcome and in which time. Values,
//! passwords and tokens are in no record. A stream has a record when it begins and one when it ends.
//!
//! Every interface passes it, because it lies between the table of methods and the handlers (`rpc/audited.rs`); a caller
//! that the gate refuses is recorded by the interface. Records go to a [`Sink`], which never makes a request wait: what it
//! does not take is only counted.

mod touched;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tonic::Code;

use super::client::Client;
use super::metrics::{Page, Source, code_name};
use super::rules::{RULES, Rule};
use super::status;
use crate::model::{Caller, Refusal};
pub use touched::{Key, Touched, touched};

/// Takes records.
pub trait Sink: Send + Sync {
    /// Takes a record, or returns false if it has no room for it. Never blocks.
    fn take(&self, record: Record) -> bool;
}

/// One call, one watcher, or one end of a stream.
#[derive(Debug)]
pub struct Record {
    /// When it began.
    pub at: SystemTime,
    /// The user; `None` without authentication, or if the caller is not known.
    pub user: Option<Arc<str>>,
    /// The user that the client's certificate names.
    pub certificate: Option<Arc<str>>,
    /// The client's address.
    pub address: String,
    /// The method's path.
    pub method: &'static str,
    /// The number of the stream that it belongs to, the same in all its records.
    pub stream: Option<u64>,
    /// What happens to the stream; `None` for a call with one answer, a watcher, and a stream that is refused.
    pub event: Option<Event>,
    /// The keys it names, or the user or role.
    pub touched: Touched,
    /// The name of the gRPC code.
    pub code: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// What happens to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It begins.
    Begin,
    /// It ends: the outcome and the duration are those of the whole stream.
    End,
}

/// Where a call comes from, and what an interface knows of its end.
#[derive(Clone)]
pub struct Origin {
    client: Arc<Client>,
    /// When its caller stops waiting.
    deadline: Option<Instant>,
    stream: Option<Arc<Stream>>,
}

impl Origin {
    /// A call with one answer.
    pub fn of_call(client: &Arc<Client>, deadline: Option<Instant>) -> Self {
        Self { client: client.clone(), deadline, stream: None }
    }

    /// Why a call ends that is dropped before its answer.
    pub fn dropped(&self) -> Refusal {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Refusal::DeadlineExceeded,
            _ => Refusal::Canceled,
        }
    }
}

/// A stream in progress.
struct Stream {
    number: u64,
    /// A record of it was admitted by the filter; its end is then recorded, too.
    is_recorded: AtomicBool,
}

/// Which calls are recorded. An empty list admits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Methods (`Put`), services (`KV`), or paths (`/etcdserverpb.KV/Put`).
    pub methods: Vec<String>,
    /// Prefixes of keys: only calls that name keys are left out by them.
    pub prefixes: Vec<Bytes>,
    /// Users.
    pub users: Vec<String>,
}

impl Filter {
    /// Entries that name no method, service or path.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let is_known = |name: &str| RULES.iter().map(names_of).chain([V2]).any(|names| names.contains(&name));
        self.methods.iter().map(String::as_str).filter(move |name| !is_known(name))
    }

    fn admits(&self, names: Names, user: Option<&str>, touched: &Touched) -> bool {
        let has = |prefix: &Bytes| touched.meets(prefix);
        (self.methods.is_empty() || self.methods.iter().any(|name| names.contains(&name.as_str())))
            && (self.users.is_empty() || user.is_some_and(|user| self.users.iter().any(|one| one == user)))
            && (self.prefixes.is_empty() || touched.names_no_key() || self.prefixes.iter().any(has))
    }
}

/// The names of a call for filters: method, service, and path.
type Names = [&'static str; 3];

/// Those of a request on the nodes of the v2 API, which is no method of the table.
const V2: Names = ["keys", "v2", "/v2/keys"];

fn names_of(rule: &Rule) -> Names {
    let service = rule.service.rsplit_once('.').map_or(rule.service, |(_, service)| service);
    [rule.method, service, rule.path]
}

/// The audit of a member.
pub struct Audit {
    filter: Filter,
    sink: Box<dyn Sink>,
    taken: AtomicU64,
    left_out: AtomicU64,
    streams: AtomicU64,
}

impl Audit {
    /// Records what `filter` admits.
    pub fn new(filter: Filter, sink: Box<dyn Sink>) -> Self {
        let count = || AtomicU64::new(0);
        Self { filter, sink, taken: count(), left_out: count(), streams: count() }
    }

    /// The gate has refused a call.
    pub fn refused(&self, rule: &Rule, client: &Arc<Client>, refusal: &Refusal, began: Instant) {
        let origin = Origin::of_call(client, None);
        let mut entry = Entry::begin(rule, Some(&origin), &Caller::Anonymous, Touched::default());
        entry.began = began;
        self.record(entry, None, refusal_code(Some(refusal)));
    }

    /// Where the call of a stream comes from, and its end.
    pub fn stream(
        self: &Arc<Self>,
        rule: &Rule,
        client: &Arc<Client>,
        caller: &Caller,
        began: Instant,
    ) -> (Origin, End) {
        let number = self.streams.fetch_add(1, Ordering::Relaxed) + 1;
        let stream = Arc::new(Stream { number, is_recorded: AtomicBool::new(false) });
        let origin = Origin { client: client.clone(), deadline: None, stream: Some(stream) };
        let mut entry = Entry::begin(rule, Some(&origin), caller, Touched::default());
        entry.began = began;
        (origin, End { audit: self.clone(), entry })
    }

    /// A call has ended, with a refusal or well.
    pub fn call(&self, entry: Entry, refusal: Option<&Refusal>) {
        self.record(entry, None, refusal_code(refusal));
    }

    /// A stream has begun.
    pub fn begun(&self, entry: Entry) {
        self.record(entry, Some(Event::Begin), Code::Ok);
    }

    fn record(&self, entry: Entry, event: Option<Event>, code: Code) {
        if !self.filter.admits(entry.names, entry.user.as_deref(), &entry.touched) {
            return;
        }
        if let Some(stream) = &entry.stream {
            stream.is_recorded.store(true, Ordering::Relaxed);
        }
        let took = entry.began.elapsed();
        let record = Record {
            at: SystemTime::now() - took,
            user: entry.user,
            certificate: entry.certificate,
            address: entry.address,
            method: entry.names[2],
            stream: entry.stream.map(|stream| stream.number),
            event,
            touched: entry.touched,
            code: code_name(code),
            took,
        };
        let count = if self.sink.take(record) { &self.taken } else { &self.left_out };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn refusal_code(refusal: Option<&Refusal>) -> Code {
    refusal.map_or(Code::Ok, |refusal| status::of(refusal).code)
}

/// The end of a stream, which is to come.
pub struct End {
    audit: Arc<Audit>,
    entry: Entry,
}

impl End {
    /// It has come. It is recorded if any record of the stream was.
    pub fn record(self, code: Code) {
        let is_recorded =
            self.entry.stream.as_ref().is_some_and(|stream| stream.is_recorded.load(Ordering::Relaxed));
        if is_recorded {
            self.audit.record(self.entry, Some(Event::End), code);
        }
    }
}

impl Source for Audit {
    fn write(&self, page: &mut Page) {
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        page.counter("kvd_audit_records_total", "Calls that the audit has recorded.", value(&self.taken));
        let help = "Records that the audit has left out because its output did not keep up.";
        page.counter("kvd_audit_left_out_total", help, value(&self.left_out));
    }
}

/// A call in progress.
pub struct Entry {
    began: Instant,
    user: Option<Arc<str>>,
    certificate: Option<Arc<str>>,
    address: String,
    names: Names,
    stream: Option<Arc<Stream>>,
    touched: Touched,
}

impl Entry {
    /// A caller's call of a method begins.
    pub fn begin(rule: &Rule, origin: Option<&Origin>, caller: &Caller, touched: Touched) -> Self {
        let stream = origin.and_then(|origin| origin.stream.clone());
        Self::named(names_of(rule), origin.map(|origin| &*origin.client), stream, caller, touched)
    }

    /// A caller's request on a node of the v2 API begins; perhaps it is about what is below, too.
    pub fn of_v2(client: &Client, caller: &Caller, (path, with_below): (&str, bool)) -> Self {
        Self::named(V2, Some(client), None, caller, Touched::path(path, with_below))
    }

    fn named(
        names: Names,
        client: Option<&Client>,
        stream: Option<Arc<Stream>>,
        caller: &Caller,
        touched: Touched,
    ) -> Self {
        let user = match caller {
            // Without a name: of a token that is nobody's, or of a certificate that names nobody.
            Caller::User { name, .. } => (!name.is_empty()).then(|| name.clone()),
            Caller::Anonymous | Caller::System => None,
        };
        Self {
            began: Instant::now(),
            user,
            certificate: client.and_then(|client| client.certified.clone()),
            address: client.map(|client| client.peer.to_string()).unwrap_or_default(),
            names,
            stream,
            touched,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::touched::touched;
    use super::*;
    use crate::api::proto::etcdserverpb as pb;
    use crate::api::rules;

    #[test]
    fn filters_by_method_user_and_prefix() {
        let put = names_of(rules::find("/etcdserverpb.KV/Put").expect("a method"));
        let status = names_of(rules::find("/etcdserverpb.Maintenance/Status").expect("a method"));
        let touches = |key: &'static str| {
            touched(&pb::PutRequest { key: key.into(), value: "secret".into(), ..Default::default() })
        };
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<String>>();
        let methods = |names: &[&str]| Filter { methods: list(names), ..Filter::default() };
        for admitted in [&[][..], &["Put"], &["KV"], &["Lease", "/etcdserverpb.KV/Put"]] {
            assert!(methods(admitted).admits(put, None, &touches("k")), "{admitted:?}");
        }
        assert!(!methods(&["put", "Maintenance"]).admits(put, None, &touches("k")));
        let unknown =
            methods(&["Put", "put", "KV", "v2", "/v2/keys", "etcdserverpb.KV", "/etcdserverpb.KV/Put", ""]);
        assert_eq!(unknown.unknown().collect::<Vec<_>>(), ["put", "etcdserverpb.KV", ""]);
        let users = Filter { users: list(&["ann"]), ..Filter::default() };
        assert!(users.admits(put, Some("ann"), &touches("k")));
        assert!(!users.admits(put, Some("bob"), &touches("k")) && !users.admits(put, None, &touches("k")));
        let prefixes = Filter { prefixes: vec!["a/".into()], ..Filter::default() };
        assert!(prefixes.admits(put, None, &touches("a/b")) && !prefixes.admits(put, None, &touches("b")));
        assert!(prefixes.admits(status, None, &touched(&pb::StatusRequest {})), "it names no key");
        let all = pb::RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..Default::default() };
        assert!(prefixes.admits(put, None, &touched(&all)), "it reads the prefix, too");
        let below = pb::RangeRequest { key: "a".into(), range_end: "a/".into(), ..Default::default() };
        assert!(!prefixes.admits(put, None, &touched(&below)));
    }
}
