//! Watchers on one prefix: every put becomes an event for each of them.

use crate::dice::Dice;
use crate::load::{Outcome, VALUE, histogram, own_cpu};
use crate::server::Server;
use crate::wire::Wire;
use bytes::Bytes;
use hdrhistogram::Histogram;
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use kvd::api::proto::etcdserverpb::watch_client::WatchClient;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest, WatchResponse};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tonic::Streaming;

/// Connections, each with one stream that carries its share of the watchers.
const STREAMS: usize = 10;
/// State shared by writers and readers. The first eight bytes of a put's value are its number.
struct Board {
    watchers: usize,
    /// When each put was sent, by number.
    sent: RefCell<Vec<Instant>>,
    /// How many watchers have seen each put, by number.
    seen: RefCell<Vec<usize>>,
    /// One per writer; put `n` belongs to writer `n % writers`.
    all_seen: Vec<Notify>,
    from: Cell<Instant>,
    until: Cell<Instant>,
    latency: RefCell<Histogram<u64>>,
    failure: RefCell<Option<String>>,
}

/// Runs `watchers` on one prefix for `seconds`. An operation is one event at one watcher; its latency is counted from
/// the start of the put. Each of `writers` waits until all watchers have seen its put before it sends the next one, so
/// that no watcher falls behind; several writers let a server put several events into one message.
pub async fn run(server: &Server, watchers: usize, writers: usize, seconds: f64) -> Result<Outcome, String> {
    let now = Instant::now();
    let board = Rc::new(Board {
        watchers,
        sent: RefCell::new(Vec::new()),
        seen: RefCell::new(Vec::new()),
        all_seen: (0..writers).map(|_| Notify::new()).collect(),
        from: Cell::new(now),
        until: Cell::new(now),
        latency: RefCell::new(histogram()),
        failure: RefCell::new(None),
    });
    let mut readers = Vec::new();
    for (index, wire) in Wire::several(&[server.port()], STREAMS).await?.into_iter().enumerate() {
        let share = watchers / STREAMS + usize::from(index < watchers % STREAMS);
        let stream = open(wire, share).await.map_err(|status| format!("watch: {status}"))?;
        readers.push(tokio::task::spawn_local(read(stream, board.clone())));
    }
    let from = Instant::now() + Duration::from_secs_f64(seconds / 5.0);
    let until = from + Duration::from_secs_f64(seconds);
    board.from.set(from);
    board.until.set(until);
    let wire = Wire::connect(server.port()).await?;
    let writers: Vec<_> = (0..writers)
        .map(|number| tokio::task::spawn_local(write(wire.clone(), number, board.clone())))
        .collect();
    tokio::time::sleep_until(from.into()).await;
    let (start, server_before, load_before) = (Instant::now(), server.cpu()?, own_cpu()?);
    tokio::time::sleep_until(until.into()).await;
    let (elapsed, server_cpu) = (start.elapsed(), server.cpu()? - server_before);
    let load_cpu = own_cpu()? - load_before;
    writers.iter().chain(&readers).for_each(tokio::task::JoinHandle::abort);
    if let Some(failure) = board.failure.take() {
        return Err(failure);
    }
    let latency = board.latency.replace(histogram());
    Ok(Outcome { count: latency.len(), elapsed, latency, server_cpu, load_cpu })
}

/// Opens a stream with `count` watchers and waits until all of them exist.
pub async fn open(wire: Wire, count: usize) -> Result<Streaming<WatchResponse>, tonic::Status> {
    let create =
        WatchCreateRequest { key: "watch/".into(), range_end: "watch0".into(), ..Default::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::iter(vec![create; count]);
    // The request stream stays open after the last request: its end would end the watchers.
    let requests = tokio_stream::StreamExt::chain(requests, tokio_stream::pending());
    let mut client = WatchClient::new(wire).max_decoding_message_size(usize::MAX);
    let mut stream = client.watch(requests).await?.into_inner();
    for _ in 0..count {
        match stream.message().await? {
            Some(response) if response.created && !response.canceled => {}
            other => return Err(tonic::Status::internal(format!("not created: {other:?}"))),
        }
    }
    Ok(stream)
}

async fn read(mut stream: Streaming<WatchResponse>, board: Rc<Board>) {
    loop {
        match stream.message().await {
            Ok(Some(response)) if !response.canceled => response.events.iter().for_each(|event| {
                if let Some(number) = event.kv.as_ref().and_then(|kv| kv.value.first_chunk::<8>()) {
                    board.saw(u64::from_le_bytes(*number) as usize);
                }
            }),
            Ok(other) => return drop(board.failure.replace(Some(format!("a watch ended: {other:?}")))),
            Err(status) => return drop(board.failure.replace(Some(format!("a watch failed: {status}")))),
        }
    }
}

impl Board {
    fn saw(&self, number: usize) {
        let now = Instant::now();
        let Some(&sent) = self.sent.borrow().get(number) else { return };
        if now >= self.from.get() && now < self.until.get() {
            self.latency.borrow_mut().saturating_record((now - sent).as_nanos() as u64);
        }
        let mut seen = self.seen.borrow_mut();
        seen[number] += 1;
        if seen[number] == self.watchers {
            self.all_seen[number % self.all_seen.len()].notify_one();
        }
    }

    /// Makes room for put `number`, which is sent now.
    fn sends(&self, number: usize) {
        let (mut sent, mut seen) = (self.sent.borrow_mut(), self.seen.borrow_mut());
        if sent.len() <= number {
            sent.resize(number + 1, Instant::now());
            seen.resize(number + 1, 0);
        }
        sent[number] = Instant::now();
    }
}

async fn write(wire: Wire, writer: usize, board: Rc<Board>) {
    let mut kv = KvClient::new(wire);
    let mut dice = Dice::new(writer as u64);
    for number in (writer..).step_by(board.all_seen.len()) {
        board.sends(number);
        let value = [&(number as u64).to_le_bytes()[..], &dice.bytes(VALUE - 8)[..]].concat();
        let key = Bytes::from(format!("watch/{:06}", number % 1000));
        if let Err(status) = kv.put(PutRequest { key, value: value.into(), ..Default::default() }).await {
            return drop(board.failure.replace(Some(format!("put: {status}"))));
        }
        board.all_seen[writer].notified().await;
    }
}
