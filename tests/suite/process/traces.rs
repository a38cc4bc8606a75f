//! Traces: kvd and etcd export the same spans of the same calls to a collector that is made here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use kvd::api::proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use kvd::api::proto::etcdserverpb::request_op::Request as Op;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseRevokeRequest, MemberListRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    WatchCreateRequest, WatchRequest,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::harness::{PATIENCE, Program, Server, Setup, page, reference, subject, until};

/// Keeps what is exported.
struct Collector(Arc<Mutex<Sender<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        // Nobody looks any more once the test has ended.
        let _ = self.0.lock().send(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector's address, and what comes to it.
async fn collector() -> (String, Receiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = listener.local_addr().expect("an address").to_string();
    let (sender, exported) = channel();
    let service = TraceServiceServer::new(Collector(Arc::new(Mutex::new(sender))));
    let incoming = TcpIncoming::from(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    (address, exported)
}

/// A member that exports traces; `rate` of a million begin there.
async fn traced(program: &Program, address: &str, rate: u32) -> Server {
    let setup = Setup::of(program)
        .arg("--enable-distributed-tracing")
        .arg(format!("--distributed-tracing-address={address}"))
        .arg("--distributed-tracing-service-name=the-store")
        .arg("--distributed-tracing-instance-id=one")
        .arg(format!("--distributed-tracing-sampling-rate={rate}"));
    setup.start().await
}

/// The spans, and what their resources say; waits until the member has exported so many of clients' calls.
fn spans(exported: &Receiver<ExportTraceServiceRequest>, calls: usize) -> (Vec<Span>, Vec<String>) {
    let (mut spans, mut resources) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while spans.iter().filter(|span: &&Span| span.name.contains('/')).count() < calls {
        assert!(begun.elapsed() < PATIENCE, "spans do not come: {spans:?}");
        let Ok(request) = exported.recv_timeout(PATIENCE) else { continue };
        for mut of_resource in request.resource_spans {
            let mut attributes =
                of_resource.resource.take().map(|resource| resource.attributes).unwrap_or_default();
            attributes.sort_by(|a, b| a.key.cmp(&b.key));
            let of = |value: Option<AnyValue>| shown(value.as_ref());
            let said: Vec<String> =
                attributes.into_iter().map(|one| format!("{}={}", one.key, of(one.value))).collect();
            resources.push(said.join(" "));
            spans.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
        }
    }
    resources.dedup();
    (spans, resources)
}

fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => format!("{text:?}"),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

/// Each call as a line: its span, and the one inside it, without what differs from run to run.
fn lines(spans: &[Span], port: u16) -> Vec<String> {
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    let line = |span: &Span| {
        let attributes = span.attributes.iter().map(|one| {
            let value = shown(one.value.as_ref());
            let value = if value == port.to_string() { "PORT".to_string() } else { value };
            format!("{}={value}", one.key)
        });
        let mut attributes: Vec<String> = attributes.collect();
        attributes.sort();
        let events: Vec<&str> = span.events.iter().map(|event| event.name.as_str()).collect();
        let status = span.status.as_ref().map_or(0, |status| status.code);
        format!("{} kind={} [{}] {events:?} status={status}", span.name, span.kind, attributes.join(" "))
    };
    let mut calls: Vec<(u64, String)> = Vec::new();
    for span in spans {
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        match by_id.get(span.parent_span_id.as_slice()) {
            None => calls.push((span.start_time_unix_nano, line(span))),
            Some(parent) => {
                assert_eq!(parent.trace_id, span.trace_id);
                calls.push((parent.start_time_unix_nano, format!("{} > {}", line(parent), line(span))));
            }
        }
    }
    calls.sort();
    calls.into_iter().map(|(_, line)| line).collect()
}

/// Calls of every kind that has a span of its own, and of some that have none.
async fn call_everything(server: &Server) -> usize {
    let mut api = server.api();
    let put = |key: &str| PutRequest { key: key.to_string().into(), value: "v".into(), ..Default::default() };
    let range = |key: &str| RangeRequest { key: key.to_string().into(), limit: 3, ..Default::default() };
    let op = |request| RequestOp { request: Some(request) };
    api.kv.put(put("a")).await.expect("a put");
    api.kv
        .range(RangeRequest { range_end: "z".into(), count_only: true, ..range("a") })
        .await
        .expect("a range");
    api.kv
        .delete_range(DeleteRangeRequest { key: "a".into(), ..Default::default() })
        .await
        .expect("a delete");
    let compare = Compare {
        target: CompareTarget::Version as i32,
        key: "b".into(),
        target_union: Some(TargetUnion::Version(0)),
        ..Default::default()
    };
    let delete = Op::RequestDeleteRange(DeleteRangeRequest { key: "gone".into(), ..Default::default() });
    let txn = TxnRequest {
        compare: vec![compare.clone()],
        success: vec![op(delete), op(Op::RequestPut(put("c")))],
        failure: vec![op(Op::RequestRange(range("d")))],
    };
    api.kv.txn(txn).await.expect("a transaction");
    let read_only = TxnRequest {
        compare: vec![compare],
        success: vec![op(Op::RequestRange(range("c")))],
        failure: vec![],
    };
    api.kv.txn(read_only).await.expect("a transaction");
    api.lease.lease_grant(LeaseGrantRequest { id: 7, ttl: 3600 }).await.expect("a lease");
    let renew = tokio_stream::once(LeaseKeepAliveRequest { id: 7 });
    let mut renewed = api.lease.lease_keep_alive(renew).await.expect("a stream").into_inner();
    renewed.message().await.expect("an answer").expect("a renewal");
    assert!(renewed.message().await.expect("the end").is_none());
    api.lease.lease_revoke(LeaseRevokeRequest { id: 7 }).await.expect("a revocation");
    api.kv.compact(CompactionRequest { revision: 2, ..Default::default() }).await.expect("a compaction");
    api.kv
        .compact(CompactionRequest { revision: 2, ..Default::default() })
        .await
        .expect_err("compacted already");
    api.kv.range(RangeRequest { revision: 1, ..range("c") }).await.expect_err("compacted");
    api.cluster.member_list(MemberListRequest::default()).await.expect("a list");
    let create = WatchCreateRequest { key: "w".into(), prev_kv: true, ..Default::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let mut watch = api.watch.watch(tokio_stream::iter([create])).await.expect("a stream").into_inner();
    assert!(watch.message().await.expect("an answer").expect("an answer").created);
    drop(watch);
    13
}

/// Names, attributes, events, kinds, codes and parents of all spans are etcd's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_are_those_of_etcd() {
    let Some(reference) = reference("spans_are_those_of_etcd").filter(|program| program.level() >= (3, 7))
    else {
        return;
    };
    let mut outcomes = Vec::new();
    for program in [reference, subject()] {
        let (address, exported) = collector().await;
        let server = traced(&program, &address, 1_000_000).await;
        let calls = call_everything(&server).await;
        let port = server.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let found = tokio::task::spawn_blocking(move || spans(&exported, calls)).await.expect("spans");
        assert_eq!(found.1, ["service.instance.id=\"one\" service.name=\"the-store\""]);
        outcomes.push(lines(&found.0, port));
    }
    assert_eq!(outcomes[1], outcomes[0]);
    assert!(outcomes[1].iter().any(|line| line.contains(" > put ")), "{:?}", outcomes[1]);
}

/// A call that belongs to its caller's trace is exported as the caller says, whatever the rate; what is left is exported
/// when the member stops. Values are in no span.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_decides_about_its_own_traces() {
    if !subject().is_kvd() {
        return;
    }
    let (address, exported) = collector().await;
    let mut server = traced(&subject(), &address, 0).await;
    let mut kv = server.api().kv;
    for (parent, key) in [
        (None, "alone"),
        (Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), "sampled"),
        (Some("00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00"), "unsampled"),
        (Some("nonsense"), "wrong"),
    ] {
        let mut put =
            Request::new(PutRequest { key: key.into(), value: "planted".into(), ..Default::default() });
        if let Some(parent) = parent {
            put.metadata_mut().insert("traceparent", parent.parse().expect("ASCII"));
        }
        kv.put(put).await.expect("a put");
    }
    server.stop().await;
    let found = tokio::task::spawn_blocking(move || spans(&exported, 1)).await.expect("spans").0;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found
            .iter()
            .all(|span| span.trace_id == 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes())
    );
    assert!(found.iter().any(|span| span.parent_span_id == 0xb7ad_6b71_6920_3331_u64.to_be_bytes()));
    let text = format!("{found:?}");
    assert!(text.contains("sampled") && !text.contains("unsampled") && !text.contains("planted"), "{text}");
}

/// Without a collector spans are lost, which is counted and logged once, and no request waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_collector_that_is_away() {
    if !subject().is_kvd() {
        return;
    }
    let server = traced(&subject(), "127.0.0.1:1", 1_000_000).await;
    let mut kv = server.api().kv;
    for number in 0..5_000 {
        let put = PutRequest { key: format!("k{}", number % 10).into(), ..Default::default() };
        kv.put(put).await.expect("a put");
    }
    let lost = "kvd_trace_spans_lost_total ";
    let begun = Instant::now();
    loop {
        let metrics = page(&server, "/metrics").await;
        let count = metrics.lines().find_map(|line| line.strip_prefix(lost)).expect("a counter").to_string();
        if count != "0" {
            assert!(metrics.contains("kvd_trace_spans_exported_total 0\n"), "{metrics}");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "no span is lost");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    until("the warning", || server.log().contains("the collector does not take traces")).await;
}
