//! `kvctl make-mirror`: what a cluster has, and each change, written to another one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tonic::Status;

use crate::api::proto::etcdserverpb::request_op::Request;
use crate::api::proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest, WatchResponse,
};
use crate::api::proto::mvccpb::Event;
use crate::api::proto::mvccpb::event::EventType;
use crate::client::text;
use crate::client::{Reach, TlsFiles};
use crate::ctl::arguments::Mirror;
use crate::ctl::client::Client;
use crate::ctl::failure::Failure;
use crate::ctl::keys::{ZERO, with_prefix};
use crate::ctl::output::print;
use crate::ctl::progress::Progress;
use crate::ctl::secret::Credentials;
use crate::ctl::target::Target;
use crate::ctl::watcher::Watcher;

/// Keys that are read at once, as etcdctl reads them.
const PAGE: i64 = 1000;
/// How often the number of copied keys is printed.
const EVERY: Duration = Duration::from_secs(30);

fn failed(status: Status) -> Failure {
    Failure::error(text(&status))
}

/// Copies until something fails.
pub(in crate::ctl) async fn run(target: &Target, mirror: Mirror) -> Result<(), Failure> {
    let destination = destination(target, &mirror).await?;
    let mut to = Client::open(&destination).await?;
    let mut from = Client::open(target).await?;
    let copied = AtomicU64::new(0);
    let copying = async {
        let next = match mirror.revision {
            given if given > 1 => given,
            _ => everything(&mut from, &mut to, &mirror, &copied).await? + 1,
        };
        changes(Watcher::new(from, watched(&mirror, next)), &mut to, &mirror, &copied).await
    };
    tokio::select! {
        result = copying => result,
        () = report(&copied) => Ok(()),
    }
}

async fn report(copied: &AtomicU64) {
    loop {
        tokio::time::sleep(EVERY).await;
        print(&format!("{}\n", copied.load(Ordering::Relaxed)));
    }
}

async fn destination(target: &Target, mirror: &Mirror) -> Result<Target, Failure> {
    let access = &mirror.access;
    let tls = TlsFiles {
        cacert: access.cacert.clone(),
        cert: access.cert.clone(),
        key: access.key.clone(),
        own: None,
        skip_verify: false,
    };
    let always_tls = !mirror.insecure_transport || tls.cacert.is_some() || tls.cert.is_some();
    Ok(Target {
        endpoints: vec![mirror.destination.clone()],
        reach: Reach { always_tls, tls, server_name: None, ..target.reach.clone() },
        credentials: Credentials::of(access.user.as_ref(), access.password.as_ref(), None).await?,
        guess: None,
        ..target.clone()
    })
}

fn watched(mirror: &Mirror, revision: i64) -> WatchCreateRequest {
    let (key, range_end) = with_prefix(mirror.prefix.clone());
    WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: revision,
        ..Default::default()
    }
}

/// The key's name in the destination.
fn renamed(mirror: &Mirror, key: &[u8]) -> bytes::Bytes {
    let rest = key.strip_prefix(mirror.prefix.as_slice()).unwrap_or(key);
    [mirror.renamed.as_slice(), rest].concat().into()
}

/// Copies what is there now, page by page, and returns its revision.
async fn everything(
    from: &mut Client<'_>,
    to: &mut Client<'_>,
    mirror: &Mirror,
    copied: &AtomicU64,
) -> Result<i64, Failure> {
    let mut progress = None;
    let (key, range_end) = with_prefix(mirror.prefix.clone());
    let mut request =
        RangeRequest { key: key.into(), range_end: range_end.into(), limit: PAGE, ..Default::default() };
    loop {
        let page =
            from.ask_forever(async |from| from.kv.range(request.clone()).await).await.map_err(failed)?;
        if request.revision == 0 {
            request.revision = page.header.map_or(0, |header| header.revision);
        }
        let progress = progress.get_or_insert_with(|| {
            // The first page has the number of all.
            Progress::count("first copy", u64::try_from(page.count).unwrap_or_default())
        });
        let last = page.kvs.last().map(|kv| kv.key.clone());
        for kv in page.kvs {
            let put = PutRequest { key: renamed(mirror, &kv.key), value: kv.value, ..Default::default() };
            to.ask_forever(async |to| to.kv.put(put.clone()).await).await.map_err(failed)?;
            progress.at(copied.fetch_add(1, Ordering::Relaxed) + 1);
        }
        match last {
            Some(last) if page.more => request.key = [last.as_ref(), ZERO].concat().into(),
            _ => return Ok(request.revision),
        }
    }
}

/// Copies each change; the changes of one revision stay together.
async fn changes(
    mut watcher: Watcher<'_>,
    to: &mut Client<'_>,
    mirror: &Mirror,
    copied: &AtomicU64,
) -> Result<(), Failure> {
    loop {
        let ended = |reason: Option<String>| reason.unwrap_or_else(|| "the watch ended".to_string());
        let next = watcher.next().await;
        let answer: WatchResponse = next.map_err(|end| Failure::error(ended(end.error.or(end.reason))))?;
        let same = |a: &Event, b: &Event| revision(a) == revision(b);
        for revision in answer.events.chunk_by(same) {
            for events in revision.chunks(mirror.max_operations) {
                let success = events.iter().filter_map(|event| operation(mirror, event)).collect();
                let request = TxnRequest { success, ..Default::default() };
                to.ask_forever(async |to| to.kv.txn(request.clone()).await).await.map_err(failed)?;
                copied.fetch_add(events.len() as u64, Ordering::Relaxed);
            }
        }
    }
}

fn revision(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

fn operation(mirror: &Mirror, event: &Event) -> Option<RequestOp> {
    let kv = event.kv.clone()?;
    let key = renamed(mirror, &kv.key);
    let request = match event.r#type() {
        EventType::Put => Request::RequestPut(PutRequest { key, value: kv.value, ..Default::default() }),
        EventType::Delete => Request::RequestDeleteRange(DeleteRangeRequest { key, ..Default::default() }),
    };
    Some(RequestOp { request: Some(request) })
}
