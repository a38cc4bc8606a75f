//! Stories of watch streams over a real store and a single leader, in `tests/golden/watch`: a line is an action of the
//! client, the indented lines below it are what it receives. `KVD_BLESS=1` writes the actual results into the files.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use prost::Message;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::watch::WatchStream;
use crate::api::encoding::Encode;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::watch_request::RequestUnion;
use crate::api::proto::mvccpb;
use crate::api::services::{Services, Settings, Stopper};
use crate::member::{Member, lab};
use crate::model::{
    AuthChange, Caller, Command, Delete, KeyRange, Op, PasswordHash, Permission, PermissionKind, Put,
    Refusal, Txn, prefix_end,
};
use crate::store::{Options, Store};

const STORIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/watch");
const PATIENCE: Duration = Duration::from_secs(60);

/// Services of a single leader, and the objects that must outlive them.
pub(in crate::api) async fn lone_leader() -> (Arc<Services>, Stopper, TempDir) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), Options { map_size: 1 << 30, ..Options::default() }).unwrap();
    let settings = Settings { watch_progress_interval: Duration::from_millis(100), ..Settings::default() };
    let Member { services, stopper, .. } = lab::lone_leader(store, settings).await;
    (services, stopper, dir)
}

/// Adds users and enables authentication: "reader" may read "read/", "writer" may write "write/", "root" may do everything.
pub(in crate::api) async fn with_users(services: &Services) {
    let range = |prefix: &str| KeyRange { start: bytes(prefix), end: prefix_end(prefix.as_bytes()) };
    let mut changes = Vec::new();
    for (name, role, kind, prefix) in [
        ("reader", "reads", PermissionKind::Read, "read/"),
        ("writer", "writes", PermissionKind::Write, "write/"),
        ("root", "root", PermissionKind::Read, "read/"),
    ] {
        let hash = Some(PasswordHash::new(format!("$2a$10${name}s")));
        let permission = Some(Permission { kind, range: range(prefix) });
        changes.push(AuthChange::UserAdd { name: name.into(), hash });
        changes.push(AuthChange::RoleAdd { name: role.into() });
        changes.push(AuthChange::RoleGrant { role: role.into(), permission });
        changes.push(AuthChange::UserGrantRole { user: name.into(), role: role.into() });
    }
    changes.push(AuthChange::Enable);
    for change in changes {
        services.propose(Caller::Anonymous, Command::Auth(change)).await.expect("authentication is off");
    }
}

struct Story {
    services: Arc<Services>,
    requests: Option<mpsc::UnboundedSender<Result<pb::WatchRequest, Refusal>>>,
    answers: WatchStream<UnboundedReceiverStream<Result<pb::WatchRequest, Refusal>>>,
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn range(key: &str) -> KeyRange {
    match key.strip_suffix('*') {
        Some(prefix) => KeyRange { start: bytes(prefix), end: prefix_end(prefix.as_bytes()) },
        None => KeyRange::single(bytes(key)),
    }
}

/// `put k v`, `big k length`, `del k` or `del prefix*`.
fn operation(words: &[&str]) -> Op {
    let put = |value| Op::Put(Put { key: bytes(words[1]), value, ..Put::default() });
    match words[0] {
        "put" => put(bytes(words[2])),
        "big" => put(vec![b'x'; words[2].parse().expect("a length")].into()),
        _ => Op::Delete(Delete { range: range(words[1]), prev_kv: false }),
    }
}

fn create(words: &[&str]) -> pb::WatchCreateRequest {
    let mut request = pb::WatchCreateRequest::default();
    for word in words {
        match word.split_once('=') {
            Some(("id", id)) => request.watch_id = id.parse().expect("an id"),
            Some(("from", revision)) => request.start_revision = revision.parse().expect("a revision"),
            Some(("to", end)) => request.range_end = bytes(end),
            _ => match *word {
                "prev" => request.prev_kv = true,
                "noput" => request.filters.push(0),
                "nodelete" => request.filters.push(1),
                "fragment" => request.fragment = true,
                "notify" => request.progress_notify = true,
                "everything" => request.range_end = Bytes::from_static(&[0]),
                key => {
                    let range = range(key);
                    request.key = range.start;
                    if let crate::model::RangeEnd::Before(end) = range.end {
                        request.range_end = end;
                    }
                }
            },
        }
    }
    request
}

fn shown(value: &[u8]) -> String {
    if value.len() > 40 {
        format!("<{} bytes>", value.len())
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
}

fn shown_kv(kv: &mvccpb::KeyValue) -> String {
    let (key, value) = (shown(&kv.key), shown(&kv.value));
    format!("{key}={value} created {} mod {} version {}", kv.create_revision, kv.mod_revision, kv.version)
}

fn told(answer: &pb::WatchResponse) -> Vec<String> {
    let mut first = format!("#{} at {}", answer.watch_id, answer.header.map_or(-1, |header| header.revision));
    for (word, holds) in
        [("created", answer.created), ("canceled", answer.canceled), ("fragment", answer.fragment)]
    {
        if holds {
            first.push_str(&format!(" {word}"));
        }
    }
    if answer.compact_revision != 0 {
        first.push_str(&format!(" compacted {}", answer.compact_revision));
    }
    if !answer.cancel_reason.is_empty() {
        first.push_str(&format!(" because `{}`", answer.cancel_reason));
    }
    let event = |event: &mvccpb::Event| {
        let kind = if event.r#type == 0 { "PUT" } else { "DELETE" };
        let kv = event.kv.as_ref().map(shown_kv).unwrap_or_default();
        let prev = event.prev_kv.as_ref().map(|kv| format!("; before: {}", shown_kv(kv)));
        format!("  {kind} {kv}{}", prev.unwrap_or_default())
    };
    std::iter::once(first).chain(answer.events.iter().map(event)).collect()
}

impl Story {
    fn new(services: Arc<Services>, caller: Caller) -> Self {
        let (requests, received) = mpsc::unbounded_channel();
        let answers = WatchStream::new(services.clone(), caller, UnboundedReceiverStream::new(received));
        Self { services, requests: Some(requests), answers }
    }

    fn ask(&self, union: RequestUnion) {
        let request = pb::WatchRequest { request_union: Some(union) };
        self.requests.as_ref().expect("not half-closed").send(Ok(request)).expect("the stream lives");
    }

    async fn propose(&self, command: Command) {
        self.services.propose(Caller::System, command).await.expect("applied");
    }

    async fn answer(&mut self) -> Vec<String> {
        let answer = timeout(PATIENCE, self.answers.next()).await.expect("an answer in time");
        let mut encoded = BytesMut::new();
        answer.expect("no end").expect("no error").encode(&mut encoded);
        told(&pb::WatchResponse::decode(encoded.freeze()).expect("a message"))
    }

    async fn run(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[0] {
            "put" | "big" | "del" | "txn" => {
                let ops = command.trim_start_matches("txn").split(';');
                let success = ops.map(|op| operation(&op.split_whitespace().collect::<Vec<_>>())).collect();
                self.propose(Command::Txn(Txn { success, ..Txn::default() })).await;
            }
            "compact" => {
                let revision = words[1].parse().expect("a revision");
                self.propose(Command::Compact { revision }).await;
            }
            "watch" => self.ask(RequestUnion::CreateRequest(create(&words[1..]))),
            "cancel" => {
                let watch_id = words[1].parse().expect("an id");
                self.ask(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id }));
            }
            "progress" => self.ask(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})),
            "half-close" => self.requests = None,
            "read" => {
                let mut lines = Vec::new();
                for _ in 0..words[1].parse().expect("a count") {
                    lines.append(&mut self.answer().await);
                }
                return lines;
            }
            "quiet" => {
                let more = timeout(Duration::from_millis(50), self.answers.next()).await;
                return vec![if more.is_ok() { "not quiet" } else { "quiet" }.to_string()];
            }
            other => panic!("no command {other}"),
        }
        Vec::new()
    }
}

async fn play(script: &str) -> String {
    let (services, _stopper, _dir) = lone_leader().await;
    let mut story = Story::new(services, Caller::Anonymous);
    let mut played = String::new();
    for line in script.lines().filter(|line| !line.starts_with("    ")) {
        played.push_str(line);
        played.push('\n');
        if !line.is_empty() && !line.starts_with("# ") {
            for said in story.run(line).await {
                played.push_str(&format!("    {said}\n"));
            }
        }
    }
    story.services.node.shutdown().await;
    played
}

#[tokio::test]
async fn a_watcher_is_refused_and_ended_with_etcds_reason() {
    let (services, _stopper, _dir) = lone_leader().await;
    with_users(&services).await;
    let auth_revision = services.store.users().revision();
    let reader = Caller::user("reader", auth_revision);
    let denied = "because `rpc error: code = PermissionDenied desc = etcdserver: permission denied`";
    let mut story = Story::new(services.clone(), reader);
    for (key, expected) in [
        ("read/*", "#0 at 1 created".to_string()),
        ("read/a", "#1 at 1 created".to_string()),
        ("write/*", format!("#-1 at 1 created canceled {denied}")),
        ("read", format!("#-1 at 1 created canceled {denied}")),
        // As in etcd the permission comes before everything but a negative revision.
        ("x to=a", format!("#-1 at 1 created canceled {denied}")),
    ] {
        story.run(&format!("watch {key}")).await;
        assert_eq!(story.answer().await, [expected]);
    }
    let narrower = Permission { kind: PermissionKind::Read, range: KeyRange::single("read/a") };
    let range = KeyRange { start: bytes("read/"), end: prefix_end(b"read/") };
    for change in [
        AuthChange::RoleGrant { role: "reads".into(), permission: Some(narrower) },
        AuthChange::RoleRevoke { role: "reads".into(), range },
    ] {
        story.propose(Command::Auth(change)).await;
    }
    assert_eq!(story.answer().await, [format!("#0 at 1 canceled {denied}")]);
    story.run("put read/a 1").await;
    let event = "  PUT read/a=1 created 2 mod 2 version 1";
    assert_eq!(story.answer().await, ["#1 at 2", event]);
    story.run("watch read/*").await;
    assert_eq!(story.answer().await, [format!("#-1 at 2 created canceled {denied}")]);
    story.propose(Command::Auth(AuthChange::UserDelete { name: "reader".into() })).await;
    assert_eq!(story.answer().await, [format!("#1 at 2 canceled {denied}")]);
    story.run("watch read/a").await;
    let invalid = "because `rpc error: code = Unauthenticated desc = etcdserver: invalid auth token`";
    assert_eq!(story.answer().await, [format!("#-1 at 2 created canceled {invalid}")]);
    services.node.shutdown().await;
}

#[tokio::test]
async fn stories() {
    let mut paths: Vec<_> = std::fs::read_dir(STORIES).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let script = std::fs::read_to_string(&path).unwrap();
        let played = play(&script).await;
        if std::env::var_os("KVD_BLESS").is_some() {
            std::fs::write(&path, played).unwrap();
        } else {
            assert_eq!(played, script, "{}", path.display());
        }
    }
}
