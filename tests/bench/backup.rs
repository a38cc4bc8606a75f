//! A backup of all data: time, processor, memory and size.

use crate::load;
use crate::report::{Metric, Sample};
use crate::server::Server;
use crate::wire::Wire;
use kvd::api::proto::etcdserverpb::SnapshotRequest;
use kvd::api::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How often memory is read.
const LOOK: Duration = Duration::from_millis(20);

/// Fills the server with `keys` keys of `value` bytes, and fetches a snapshot three times, of which the second fastest
/// counts.
pub async fn run(
    row: &'static str,
    servers: &[Server],
    keys: u64,
    value: usize,
) -> Result<Vec<Sample>, String> {
    load::fill(servers, keys, value, 64).await?;
    crate::cases::idle(servers).await?;
    let server = &servers[0];
    let mut runs = Vec::new();
    for _ in 0..3 {
        let (before, cpu) = (server.memory()?.anonymous, server.cpu()?);
        let begun = Instant::now();
        let most = Cell::new(before);
        let size = tokio::select! {
            size = fetch(server.port()) => size?,
            () = watch_memory(server, &most) => 0,
        };
        let cpu = server.cpu()? - cpu;
        runs.push((begun.elapsed(), cpu, most.get() - before, size));
    }
    runs.sort();
    let (time, cpu, memory, size) = runs[1];
    let values = [
        (Metric::Time, time.as_secs_f64()),
        (Metric::ServerCpu, cpu.as_secs_f64()),
        (Metric::Anonymous, memory as f64),
        (Metric::Disk, size as f64),
    ];
    Ok(values.map(|(metric, value)| Sample { row, metric, value }).to_vec())
}

/// Keeps the most memory that the server has at any time; never ends.
async fn watch_memory(server: &Server, most: &Cell<u64>) {
    loop {
        tokio::time::sleep(LOOK).await;
        most.set(most.get().max(server.memory().map_or(0, |memory| memory.anonymous)));
    }
}

/// Fetches a snapshot; returns its bytes.
async fn fetch(port: u16) -> Result<u64, String> {
    let failed = |status: tonic::Status| format!("snapshot: {status}");
    let mut client = MaintenanceClient::new(Wire::connect(port).await?);
    let mut stream = client.snapshot(SnapshotRequest {}).await.map_err(failed)?.into_inner();
    let mut size = 0;
    while let Some(piece) = stream.message().await.map_err(failed)? {
        size += piece.blob.len() as u64;
    }
    Ok(size)
}
