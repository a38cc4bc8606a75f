//! How the daemon ends: promptly, whatever clients keep open.

use crate::harness::{Server, orderly, subject};
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{PutRequest, RangeRequest, WatchCreateRequest, WatchRequest};
use rustix::process::Signal;
use std::time::Instant;

async fn ends_by(signal: Signal) {
    let mut server = Server::of(&subject()).await;
    let api = server.api();
    let request = PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    api.kv.clone().put(request).await.expect("a put");
    // Twenty watches that would never end.
    let mut streams = Vec::new();
    for _ in 0..20 {
        let create = WatchCreateRequest { key: "k".into(), ..Default::default() };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let (sender, requests) = tokio::sync::mpsc::channel(1);
        sender.send(request).await.expect("the channel is open");
        let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
        let mut answers = api.watch.clone().watch(requests).await.expect("a stream").into_inner();
        let created = answers.message().await.expect("an answer").expect("a first message");
        assert!(created.created);
        streams.push((sender, answers));
    }
    let start = Instant::now();
    server.signal(signal);
    let status = server.ended().await;
    println!("ended {:?} after the signal", start.elapsed());
    assert!(orderly(status), "{status}\n{}", server.log());
    for (_, mut answers) in streams {
        while let Ok(Some(_)) = answers.message().await {}
    }
    server.start().await;
    let request = RangeRequest { key: "k".into(), ..Default::default() };
    let answer = server.api().kv.range(request).await.expect("a read after the restart");
    assert_eq!(answer.into_inner().count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_it_in_order_with_watches_open() {
    ends_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_ends_it_in_order_with_watches_open() {
    ends_by(Signal::INT).await;
}
