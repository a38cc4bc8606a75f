//! Attacks whose limits are tested elsewhere (see LIMITS in kvd(8)): these print what they cost the member and its normal
//! client.

use std::time::Instant;

use kvd::api::proto::etcdserverpb::request_op::Request as OpRequest;
use kvd::api::proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};
use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::frames::{
    CONTINUATION, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, header_block,
};
use super::normal::Watched;
use super::raw::frame;
use super::{ANSWERS, lasts, with_values};
use crate::harness::{Server, heavy};

const PRIORITY: u8 = 2;
/// Connections of a flood.
const ATTACKERS: usize = 4;
/// About as much is sent at a time.
const TOGETHER: usize = 64 << 10;

/// Sends what `next` adds to a buffer, over and over, on new connections if the server ends them; reads all answers.
async fn flood(server: &Server, attack: &str, next: impl Fn(u32, &mut Vec<u8>) + Clone + Send + 'static) {
    let watched = Watched::begin(server).await;
    let until = Instant::now() + lasts();
    let mut attackers = JoinSet::new();
    for _ in 0..ATTACKERS {
        let (address, next) = (server.endpoint(), next.clone());
        attackers.spawn(async move {
            while Instant::now() < until {
                let connection = TcpStream::connect(&address).await.expect("a connection");
                let (mut answers, mut requests) = connection.into_split();
                let answers = tokio::spawn(async move { copy(&mut answers, &mut sink()).await });
                let mut sent =
                    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
                for number in 0..0x3fff_ffff {
                    next(number, &mut sent);
                    if sent.len() < TOGETHER {
                        continue;
                    }
                    if requests.write_all(&std::mem::take(&mut sent)).await.is_err() || Instant::now() > until
                    {
                        break;
                    }
                }
                answers.abort();
            }
        });
    }
    attackers.join_all().await;
    watched.end(attack, ANSWERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it prints figures, which depend on the machine"]
async fn floods_of_frames() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    for (attack, flooded) in [
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("pings", frame(PING, 0, 0, &[0; 8])),
    ] {
        flood(&server, attack, move |_, sent| sent.extend_from_slice(&flooded)).await;
    }
    let block = header_block("/etcdserverpb.KV/Put", &[]);
    let rapid_reset = move |number: u32, sent: &mut Vec<u8>| {
        sent.extend(frame(HEADERS, END_HEADERS, 2 * number + 1, &block));
        sent.extend(frame(RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 8]));
    };
    flood(&server, "rapid reset", rapid_reset).await;
    let endless = move |number: u32, sent: &mut Vec<u8>| {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        sent.extend(frame(kind, 0, 1, &[b"\x00\x06x-much\x7f\x81\x7c".as_slice(), &[b'h'; 16_000]].concat()));
    };
    flood(&server, "headers without end", endless).await;
}

/// Four requests at a time of 0.7 MB each, with 38,400 deletions and 38,400 puts in transactions in each other: as many as
/// there may be, since those inside have the operations that their parents leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it prints figures, which depend on the machine"]
async fn transactions_in_each_other() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let op = |request| RequestOp { request: Some(request) };
    let txn =
        |success: Vec<RequestOp>| op(OpRequest::RequestTxn(TxnRequest { success, ..Default::default() }));
    let key = |kind: u8, number: u32| [&[kind], &number.to_be_bytes()[2..]].concat();
    let few = |first: u32| {
        let all = (first..first + 24).flat_map(|number| {
            let delete = DeleteRangeRequest { key: key(b'd', number).into(), ..Default::default() };
            let put = PutRequest { key: key(b'p', number).into(), ..Default::default() };
            [op(OpRequest::RequestDeleteRange(delete)), op(OpRequest::RequestPut(put))]
        });
        txn(all.collect())
    };
    let success: Vec<RequestOp> =
        (0..40).map(|outer| txn((0..40).map(|inner| few(24 * (40 * outer + inner))).collect())).collect();
    let nested = TxnRequest { success, ..Default::default() };
    let watched = Watched::begin(&server).await;
    let until = Instant::now() + lasts();
    let mut attackers = JoinSet::new();
    for _ in 0..ATTACKERS {
        let (mut kv, nested) = (server.api().kv, nested.clone());
        attackers.spawn(async move {
            let mut outcome = "none".to_string();
            while Instant::now() < until {
                let answer = kv.txn(nested.clone()).await;
                outcome = answer.map_or_else(|status| status.to_string(), |_| "taken".into());
            }
            outcome
        });
    }
    println!("the last transactions: {:?}", attackers.join_all().await);
    watched.end("transactions with 76,800 operations", ANSWERS).await;
}

/// 500 connections with 1,000 pipelined requests of a page, never read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it prints figures, which depend on the machine"]
async fn pages_that_nobody_reads() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let watched = Watched::begin(&server).await;
    let requests = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000);
    let mut open = Vec::new();
    for _ in 0..500 {
        let mut connection = TcpStream::connect(server.endpoint()).await.expect("a connection");
        // What does not fit into the buffers of the kernel stays here.
        let _ =
            tokio::time::timeout(std::time::Duration::from_millis(5), connection.write_all(&requests)).await;
        open.push(connection);
    }
    tokio::time::sleep(lasts()).await;
    watched.end("500 connections x 1,000 pages, never read", ANSWERS).await;
    drop(open);
}

/// As many calls as there can be of clients whose version is another one each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it prints figures, which depend on the machine"]
async fn as_many_versions_as_there_can_be() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let watched = Watched::begin(&server).await;
    let until = Instant::now() + lasts();
    let mut attackers = JoinSet::new();
    for attacker in 0..8 * ATTACKERS {
        let mut kv = server.api().kv;
        attackers.spawn(async move {
            for number in 0.. {
                let mut request = tonic::Request::new(RangeRequest { key: "k".into(), ..Default::default() });
                let version = format!("{attacker}.{number}").parse().expect("ASCII");
                request.metadata_mut().insert("client-api-version", version);
                let _ = kv.range(request).await;
                if Instant::now() > until {
                    return number;
                }
            }
            0
        });
    }
    let calls: usize = attackers.join_all().await.into_iter().sum();
    let size = crate::harness::page(&server, "/metrics").await.len();
    println!("{calls} calls, a page of {} kB", size >> 10);
    watched.end("versions without end", ANSWERS).await;
}
