//! The audit's place: between the table of methods and the handlers, whatever the interface.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;

use crate::api::audit::{Audit, Entry, Origin, touched};
use crate::api::client::Client;
use crate::api::proto::etcdserverpb as pb;
use crate::api::rules::{Kind, Rpc};
use crate::api::services::Services;
use crate::auth::Need;
use crate::model::{Caller, KeyRange, Refusal};

/// Runs a handler, and records its call if there is an audit: of a stream its begin, as long as it is not refused. A call
/// whose caller is gone is recorded as cancelled, one whose deadline has passed with that.
pub async fn audited<Q, A, F>(
    services: &Services,
    rpc: Rpc,
    origin: Option<Origin>,
    (caller, request): (Caller, Q),
    handler: impl FnOnce(Caller, Q) -> F,
) -> Result<A, Refusal>
where
    Q: Any,
    F: Future<Output = Result<A, Refusal>>,
{
    let Some(audit) = services.audit.get() else { return handler(caller, request).await };
    let rule = rpc.rule();
    let entry = Entry::begin(rule, origin.as_ref(), &caller, touched(&request));
    let mut pending = Pending { audit, kind: rule.kind, origin, entry: Some(entry) };
    let outcome = handler(caller, request).await;
    pending.end(outcome.as_ref().err());
    outcome
}

/// The same for a request on a node of the v2 API, and perhaps on what is below it.
pub async fn audited_node<A>(
    services: &Services,
    client: &Client,
    caller: &Caller,
    node: (&str, bool),
    request: impl Future<Output = Result<A, Refusal>>,
) -> Result<A, Refusal> {
    let Some(audit) = services.audit.get() else { return request.await };
    let entry = Some(Entry::of_v2(client, caller, node));
    let mut pending = Pending { audit, kind: Kind::Unary, origin: None, entry };
    let outcome = request.await;
    pending.end(outcome.as_ref().err());
    outcome
}

/// Records that a stream of requests begins.
pub fn begun(services: &Services, rpc: Rpc, origin: Option<&Origin>, caller: &Caller) {
    if let Some(audit) = services.audit.get() {
        audit.begun(Entry::begin(rpc.rule(), origin, caller, Default::default()));
    }
}

/// Records a call at the latest when it is dropped.
struct Pending<'a> {
    audit: &'a Audit,
    kind: Kind,
    origin: Option<Origin>,
    entry: Option<Entry>,
}

impl Pending<'_> {
    fn end(&mut self, refusal: Option<&Refusal>) {
        match self.entry.take() {
            None => {}
            Some(entry) if refusal.is_none() && self.kind != Kind::Unary => self.audit.begun(entry),
            Some(entry) => self.audit.call(entry, refusal),
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let why = self.origin.as_ref().map_or(Refusal::Canceled, Origin::dropped);
        self.end(Some(&why));
    }
}

/// The requests of a stream: the watchers among them are recorded one by one.
pub struct Seen<R> {
    requests: R,
    /// On the heap, and only if there is an audit: there may be very many streams.
    by: Option<Box<Recorder>>,
}

struct Recorder {
    services: Arc<Services>,
    rpc: Rpc,
    origin: Option<Origin>,
    caller: Caller,
}

impl<R> Seen<R> {
    /// The requests of a caller.
    pub fn new(
        services: &Arc<Services>,
        rpc: Rpc,
        origin: Option<Origin>,
        caller: &Caller,
        requests: R,
    ) -> Self {
        let recorder = || {
            let (services, caller) = (services.clone(), caller.clone());
            Box::new(Recorder { services, rpc, origin, caller })
        };
        Self { requests, by: services.audit.get().is_some().then(recorder) }
    }
}

impl Recorder {
    fn see(&self, request: &dyn Any) {
        use pb::watch_request::RequestUnion::CreateRequest;
        let Some(audit) = self.services.audit.get() else { return };
        let Some(request) = request.downcast_ref::<pb::WatchRequest>() else { return };
        let Some(CreateRequest(create)) = &request.request_union else { return };
        let range = KeyRange::from_wire(create.key.clone(), create.range_end.clone());
        // As the watch itself does.
        let outcome = self.services.store.check_now(&self.caller, Need::Read(&range));
        let touched = touched(create);
        let entry = Entry::begin(self.rpc.rule(), self.origin.as_ref(), &self.caller, touched);
        audit.call(entry, outcome.err().as_ref());
    }
}

impl<R, Q> Stream for Seen<R>
where
    R: Stream<Item = Result<Q, Refusal>> + Unpin,
    Q: Any,
{
    type Item = R::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.requests).poll_next(context);
        if let (Some(by), Poll::Ready(Some(Ok(request)))) = (&self.by, &polled) {
            by.see(request);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use parking_lot::Mutex;

    use super::super::stories::lone_leader;
    use super::*;
    use crate::api::audit::{Filter, Record, Sink};
    use crate::api::metrics::{Page, Source};

    /// Keeps records as long as there is room.
    struct Kept(Mutex<SyncSender<Record>>);

    impl Sink for Kept {
        fn take(&self, record: Record) -> bool {
            self.0.lock().try_send(record).is_ok()
        }
    }

    fn kept(room: usize) -> (Box<Kept>, Receiver<Record>) {
        let (sender, records) = sync_channel(room);
        (Box::new(Kept(Mutex::new(sender))), records)
    }

    #[tokio::test]
    async fn what_the_output_does_not_take_is_counted_and_holds_nobody_up() {
        let (services, _stopper, _dir) = lone_leader().await;
        let (sink, records) = kept(2);
        let audit = Arc::new(Audit::new(Filter::default(), sink));
        services.audit.set(audit.clone()).ok().expect("the first");
        let put = |key: &'static str| pb::PutRequest { key: key.into(), ..Default::default() };
        for number in 0..5 {
            let call = (Caller::System, put("k"));
            let done = audited(&services, Rpc::Put, None, call, async |_, _| Ok::<_, Refusal>(number)).await;
            assert_eq!(done, Ok(number));
        }
        let refused = audited(&services, Rpc::Put, None, (Caller::System, put("k")), async |_, _| {
            Err::<(), _>(Refusal::PermissionDenied)
        });
        assert_eq!(refused.await, Err(Refusal::PermissionDenied));
        let mut page = Page::default();
        audit.write(&mut page);
        let page = page.finish();
        assert!(page.contains("kvd_audit_records_total 2\n"), "{page}");
        assert!(page.contains("kvd_audit_left_out_total 4\n"), "{page}");
        assert_eq!(records.try_iter().count(), 2);
        let gone = audited(&services, Rpc::Put, None, (Caller::System, put("k")), |_, _| {
            std::future::pending::<Result<(), Refusal>>()
        });
        drop(futures_util::poll!(std::pin::pin!(gone)));
        let record = records.try_recv().expect("a caller that is gone is recorded");
        assert_eq!((record.code, record.method), ("Canceled", "/etcdserverpb.KV/Put"));
        services.node.shutdown().await;
    }

    #[tokio::test]
    async fn requests_on_nodes_of_v2_are_recorded_with_their_paths() {
        let (services, _stopper, _dir) = lone_leader().await;
        let (sink, records) = kept(8);
        let filter = Filter { prefixes: vec!["/a/b".into()], methods: vec!["v2".into()], users: Vec::new() };
        services.audit.set(Arc::new(Audit::new(filter, sink))).ok().expect("the first");
        let budget = || crate::model::Budget::new(1 << 20);
        let share = crate::api::unsent::Share::new(budget(), &budget(), budget());
        let peer = crate::api::client::Peer::Unknown;
        let client = Client { peer, local: None, encrypted: false, certified: None, share };
        let caller = Caller::user("ann", 1);
        for (node, outcome) in [
            (("/a/b/c", false), Ok(7)),
            (("/other", true), Ok(7)),
            (("/a", false), Ok(7)),
            (("/a-", true), Ok(7)),
            (("/a", true), Err(Refusal::PermissionDenied)),
            (("/", true), Ok(7)),
        ] {
            let request = std::future::ready(outcome.clone());
            assert_eq!(audited_node(&services, &client, &caller, node, request).await, outcome);
        }
        let seen: Vec<Record> = records.try_iter().collect();
        let shown = |record: &Record| (record.method, record.code, record.touched.keys[0].key.clone());
        assert_eq!(
            seen.iter().map(shown).collect::<Vec<_>>(),
            [
                ("/v2/keys", "OK", "/a/b/c".into()),
                ("/v2/keys", "PermissionDenied", "/a".into()),
                ("/v2/keys", "OK", "/".into())
            ]
        );
        assert!(seen.iter().all(|record| record.user.as_deref() == Some("ann")));
        services.node.shutdown().await;
    }
}
