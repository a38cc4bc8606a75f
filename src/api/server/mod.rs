//! Listeners, connections and threads.
//!
//! * [`listen`]: TCP and Unix sockets, and which services each offers.
//! * [`tls`]: TLS for clients, reloadable.
//! * `connection`: one connection from its beginning (`begin`: TLS or not) to its graceful end.
//! * `io`: the one byte stream under all connections. Read in it: a client's HTTP/2 frames (`frames`, with `authority`,
//!   `hpack`, `pings` and
//!   `floods`) and the server's (`written`).
//! * `socket`: a connection that has become a WebSocket.
//! * `answer`: the body of an answer on its connection.
//! * `probe`: the readers of frames on any bytes, for fuzzing.
//! * `complaints`: log lines about refused clients.
//!
//! [`Server::serve`] starts a number of threads, each with its own single-threaded runtime. The first one also accepts,
//! after [`Server::open`], and gives connections to the threads in turn. A connection never moves. One listener serves
//! gRPC and plain HTTP.

mod answer;
mod authority;
mod begin;
mod complaints;
mod connection;
mod floods;
mod frames;
mod hpack;
mod io;
pub mod listen;
mod pings;
mod probe;
mod socket;
pub mod tls;
mod written;

use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, watch};

use super::grpc::Grpc;
use super::http::Pages;
use super::json::Gateway;
use super::services::Services;
use crate::model::Budget;
use complaints::Complaints;
use connection::Accepted;
pub use listen::{Address, Faces, Listener};
pub use probe::probe;
pub use tls::Encryption;

/// File descriptors that are reserved for everything but client connections (etcd reserves as many).
const RESERVED_DESCRIPTORS: u64 = 150;
/// Bytes of the headers of all requests that are not answered yet, of all connections.
const REQUESTS: usize = 88 << 20;
/// Bytes that clients may send ahead of what is read of them, on all connections, in addition to what each may have.
const WINDOWS: usize = 128 << 20;
/// Bytes of the messages of all requests that are not answered yet, or not even whole, of all connections.
const MESSAGES: usize = 192 << 20;

/// Limits and timeouts of connections.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Most concurrent streams on one connection (`--max-concurrent-streams`).
    pub max_concurrent_streams: u32,
    /// How often a client may ping (`--grpc-keepalive-min-time`); zero: no limit.
    pub keepalive_min_time: Duration,
    /// How often an idle connection is pinged (`--grpc-keepalive-interval`); zero: never.
    pub keepalive_interval: Duration,
    /// How long a ping may go unanswered (`--grpc-keepalive-timeout`).
    pub keepalive_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a connection may take to say which protocol it speaks: its first bytes, after a TLS handshake.
    pub first_byte_timeout: Duration,
    /// How long the headers of an HTTP/1.1 request may take.
    pub header_timeout: Duration,
    /// How long a client may leave answers unread, or messages unfinished.
    pub stall_timeout: Duration,
    /// How long connections may take to end after the server stops.
    pub drain: Duration,
    /// Most concurrent connections; `None`: the limit on file descriptors minus 150.
    pub max_connections: Option<usize>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_concurrent_streams: u32::MAX,
            keepalive_min_time: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(2 * 3600),
            keepalive_timeout: Duration::from_secs(20),
            handshake_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(300),
            stall_timeout: Duration::from_secs(60),
            drain: Duration::from_secs(1),
            max_connections: None,
        }
    }
}

/// State that all connections share.
struct Shared {
    services: Arc<Services>,
    grpc: Grpc,
    pages: Pages,
    options: ServerOptions,
    connections: Arc<Semaphore>,
    requests: Arc<Budget>,
    messages: Arc<Budget>,
    windows: Arc<Budget>,
    complaints: Arc<Complaints>,
}

/// The threads that serve clients.
pub struct Server {
    threads: Vec<JoinHandle<()>>,
    opened: watch::Sender<bool>,
}

impl Server {
    /// Serves `listeners` on `workers` threads (at least one) until the services' stop signal. Before [`Server::open`]
    /// clients wait in the kernel's queue; health and metrics on a port of their own answer at once.
    pub fn serve(
        services: Arc<Services>,
        listeners: Vec<Listener>,
        options: ServerOptions,
        workers: usize,
    ) -> Result<Server> {
        let limit = options.max_connections.unwrap_or_else(connections_allowed);
        let grpc = Grpc::new(services.clone());
        let shared = Arc::new(Shared {
            pages: Pages::new(services.clone(), Gateway::new(grpc.clone())),
            grpc,
            services,
            options,
            connections: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            requests: Budget::new(REQUESTS),
            messages: Budget::new(MESSAGES),
            windows: Budget::new(WINDOWS),
            complaints: Arc::default(),
        });
        let mut inboxes = Vec::new();
        let mut runtimes = Vec::new();
        for _ in 0..workers.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (sender, inbox) = mpsc::channel(64);
            inboxes.push(sender);
            runtimes.push((runtime, inbox));
        }
        let next = Arc::new(AtomicUsize::new(0));
        let opened = watch::Sender::new(false);
        if let Some((first, _)) = runtimes.first() {
            for listener in listeners {
                let inboxes = Inboxes { senders: inboxes.clone(), next: next.clone() };
                // Registering a listener needs the runtime that will run it.
                let _guard = first.enter();
                let listener = listener.register()?;
                first.spawn(listen::accept(listener, opened.subscribe(), inboxes, shared.clone()));
            }
        }
        drop(inboxes);
        let mut threads = Vec::new();
        for (number, (runtime, inbox)) in runtimes.into_iter().enumerate() {
            let shared = shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("kvd-api-{number}"))
                .spawn(move || work(runtime, inbox, shared))?;
            threads.push(thread);
        }
        Ok(Server { threads, opened })
    }

    /// Starts to accept clients.
    pub fn open(&self) {
        self.opened.send_replace(true);
    }

    /// Waits until all threads have ended, which is soon after the services' stop signal: streams are ended at once,
    /// everything else has the drain time. Blocks.
    pub fn join(self) -> Result<()> {
        for thread in self.threads {
            thread.join().map_err(|_| Error::other("a thread that served clients panicked"))?;
        }
        Ok(())
    }
}

/// The threads' queues of accepted connections, used in turn.
struct Inboxes {
    senders: Vec<mpsc::Sender<Accepted>>,
    next: Arc<AtomicUsize>,
}

impl Inboxes {
    async fn send(&self, accepted: Accepted) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(sender) = self.senders.get(turn % self.senders.len()) {
            // An error means that the thread has ended: the server stops, and the connection is closed.
            let _ = sender.send(accepted).await;
        }
    }
}

/// One thread: serves connections as they arrive, then waits for the last one, at most for the drain time.
fn work(runtime: Runtime, mut inbox: mpsc::Receiver<Accepted>, shared: Arc<Shared>) {
    runtime.block_on(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shared.services.stop.stopping() => break,
                accepted = inbox.recv() => match accepted {
                    Some(accepted) => {
                        connections.spawn(connection::serve(accepted, shared.clone()));
                    }
                    None => break,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        shared.services.stop.stopping().await;
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(shared.options.drain, drained).await.is_err() {
            tracing::debug!(left = connections.len(), "connections cut at the end of the drain time");
        }
    });
    // A handler that still runs on a blocking thread is abandoned.
    runtime.shutdown_background();
}

fn connections_allowed() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let allowed = limit.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED_DESCRIPTORS).max(1));
    usize::try_from(allowed).unwrap_or(usize::MAX)
}
