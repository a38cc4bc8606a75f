//! Keepalives of leases over long-lived streams: each answer is followed by the next keepalive of that lease.

use crate::load::{Outcome, histogram, own_cpu};
use crate::server::Server;
use crate::wire::Wire;
use hdrhistogram::Histogram;
use kvd::api::proto::etcdserverpb::lease_client::LeaseClient;
use kvd::api::proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio_stream::wrappers::UnboundedReceiverStream;

/// Connections, each with one stream.
const STREAMS: usize = 10;
/// Long enough that nothing expires during the measurement.
const TTL_SECONDS: i64 = 600;

/// State shared by the streams.
struct Window {
    from: Instant,
    until: Instant,
    latency: RefCell<Histogram<u64>>,
}

/// Keeps `leases` alive for `seconds`.
pub async fn run(server: &Server, leases: usize, seconds: f64) -> Result<Outcome, String> {
    let wires = Wire::several(&[server.port()], STREAMS).await?;
    let mut shares: Vec<Vec<i64>> = vec![Vec::new(); STREAMS];
    let mut client = LeaseClient::new(wires[0].clone());
    for number in 0..leases {
        let grant = client.lease_grant(LeaseGrantRequest { ttl: TTL_SECONDS, ..Default::default() }).await;
        shares[number % STREAMS].push(grant.map_err(|status| format!("grant: {status}"))?.into_inner().id);
    }
    let from = Instant::now() + Duration::from_secs_f64(seconds / 5.0);
    let until = from + Duration::from_secs_f64(seconds);
    let window = Rc::new(Window { from, until, latency: RefCell::new(histogram()) });
    let mut tasks = Vec::new();
    for (wire, share) in wires.into_iter().zip(shares) {
        tasks.push(tokio::task::spawn_local(keep_alive(wire, share, window.clone())));
    }
    tokio::time::sleep_until(from.into()).await;
    let (start, server_before, load_before) = (Instant::now(), server.cpu()?, own_cpu()?);
    tokio::time::sleep_until(until.into()).await;
    let (elapsed, server_cpu) = (start.elapsed(), server.cpu()? - server_before);
    let load_cpu = own_cpu()? - load_before;
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    let latency = window.latency.replace(histogram());
    Ok(Outcome { count: latency.len(), elapsed, latency, server_cpu, load_cpu })
}

/// Keeps the leases of one stream alive until the time is over.
async fn keep_alive(wire: Wire, leases: Vec<i64>, window: Rc<Window>) -> Result<(), String> {
    let (sender, requests) = tokio::sync::mpsc::unbounded_channel();
    let mut sent: HashMap<i64, Instant> = HashMap::with_capacity(leases.len());
    for &id in &leases {
        sent.insert(id, Instant::now());
        let _ = sender.send(LeaseKeepAliveRequest { id });
    }
    let answers = LeaseClient::new(wire).lease_keep_alive(UnboundedReceiverStream::new(requests)).await;
    let mut answers = answers.map_err(|status| format!("keepalive: {status}"))?.into_inner();
    loop {
        let answer = answers.message().await.map_err(|status| format!("keepalive: {status}"))?;
        let Some(answer) = answer else { return Err("the keepalive stream ended".to_owned()) };
        if answer.ttl <= 0 {
            return Err(format!("lease {:x} is gone", answer.id));
        }
        let now = Instant::now();
        if now >= window.until {
            return Ok(());
        }
        if let Some(begun) = sent.insert(answer.id, now)
            && now >= window.from
        {
            window.latency.borrow_mut().saturating_record((now - begun).as_nanos() as u64);
        }
        let _ = sender.send(LeaseKeepAliveRequest { id: answer.id });
    }
}
