//! Streams that clients do not read.

use std::time::Duration;

use kvd::api::proto::etcdserverpb::{HashKvRequest, PutRequest, RangeRequest, SnapshotRequest};
use tonic::Code;
use tonic::transport::Endpoint;

use crate::harness::{Api, PATIENCE, Server, subject};

const STREAMS: usize = 1500;
/// Streams of one connection: the connection's window must not block the other connections.
const TOGETHER: usize = 50;

fn threads(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("a running server").count()
}

/// Snapshots that clients do not read neither block slow work nor end the member, and those beyond a limit are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_that_nobody_reads_are_in_nobodys_way() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = Server::of(&subject()).await;
    let mut api = server.api();
    for number in 0..300 {
        let value = vec![7; 4096].into();
        let request = PutRequest { key: format!("k{number:03}").into(), value, ..Default::default() };
        api.kv.put(request).await.expect("a put");
    }
    let mut unread = Vec::new();
    let mut refused = 0;
    for _ in 0..STREAMS / TOGETHER {
        let endpoint = Endpoint::from_shared(server.url()).expect("a URL").initial_stream_window_size(65_535);
        let channel = endpoint.connect().await.expect("a connection");
        for _ in 0..TOGETHER {
            let mut maintenance = Api::over(channel.clone()).maintenance;
            let opened = tokio::time::timeout(PATIENCE, maintenance.snapshot(SnapshotRequest {}));
            match opened.await.expect("an answer") {
                Ok(stream) => unread.push(stream.into_inner()),
                Err(status) => {
                    assert_eq!(status.message(), "etcdserver: too many requests");
                    refused += 1;
                }
            }
        }
    }
    assert!(!unread.is_empty() && unread.len() <= 16 && refused > 0, "{} open", unread.len());
    let everything = RangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
    for _ in 0..4 {
        // One connection for each, so that every thread that serves clients is used.
        let mut api = server.api();
        let range = tokio::time::timeout(PATIENCE, api.kv.range(everything.clone())).await;
        assert_eq!(range.expect("a long range is answered").expect("a range").into_inner().count, 300);
        let hash =
            tokio::time::timeout(PATIENCE, api.maintenance.hash_kv(HashKvRequest { revision: 0 })).await;
        hash.expect("HashKV is answered").expect("a hash");
    }
    let threads = threads(&server);
    assert!(threads < 200, "{threads} threads");
    // A stream that is read is complete, even if late.
    let mut stream = unread.pop().expect("a stream");
    let (mut bytes, mut remaining) = (0, 1);
    while let Some(part) =
        tokio::time::timeout(PATIENCE, stream.message()).await.expect("a part").expect("a part")
    {
        bytes += part.blob.len();
        remaining = part.remaining_bytes;
    }
    assert!(remaining == 0 && bytes > 300 * 4096 && bytes % 512 == 32, "{bytes} bytes, {remaining} to come");
    // A slot is free again when its client is gone.
    drop((unread, stream));
    loop {
        match api.maintenance.snapshot(SnapshotRequest {}).await {
            Ok(_) => break,
            Err(status) => assert_eq!(status.code(), Code::Unknown, "{status}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.poll_exit().is_none());
}
