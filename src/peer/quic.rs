//! The peer port itself.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use super::ask::{self, AskError};
use super::deserted::is_deserted;
use super::options::Options;
use super::port::{Serving, Shared, close_all};
use super::status::PeerStatus;
use super::transport::{Caller, Channel, Pending, Pieces, Rejection, Service, Transport, TransportError};
use super::{accept, keep, proof, snapshot};
use crate::model::{ClusterId, MemberId};
use crate::pki::Holder;

/// The peer port: QUIC to and from other members. Clones share it; it is closed with the last one, or by
/// [`Quic::close`].
#[derive(Clone)]
pub struct Quic {
    shared: Arc<Shared>,
    thread: Arc<Thread>,
}

/// Ends the thread with the last handle.
struct Thread(parking_lot::Mutex<Option<oneshot::Sender<()>>>);

impl Drop for Thread {
    fn drop(&mut self) {
        // Dropping the sender is the signal.
        self.0.lock().take();
    }
}

impl Quic {
    /// Binds the sockets and starts the thread `kvd-peer`, on which everything of this port runs. Until [`Quic::serve`]
    /// is called, callers get the answer that this member is not ready.
    ///
    /// # Errors
    /// If an address cannot be bound (the error names it), or no certificate can be issued.
    pub fn bind(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let shared = {
            let _inside = handle.enter();
            Shared::open(options, handle.clone())
        };
        let shared = match shared {
            Ok(shared) => Arc::new(shared),
            Err(error) => {
                // Inside another runtime it is not allowed to wait for this one's threads.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        for endpoint in shared.listeners.lock().iter() {
            let accepting = handle.spawn(accept::run(shared.clone(), endpoint.clone()));
            shared.accepting.lock().push(accepting);
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let last = shared.clone();
        std::thread::Builder::new().name("kvd-peer".into()).spawn(move || {
            runtime.block_on(async {
                let _ = stopped.await;
                close_all(&last).await;
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { shared, thread: Arc::new(Thread(parking_lot::Mutex::new(Some(stop)))) })
    }

    /// Asks one question at the first of `urls` that works, before this member has an identity or in addition to it.
    /// The answer comes with the address that gave it.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(
        &self,
        urls: &[String],
        question: Bytes,
        timeout: Duration,
    ) -> Result<(Caller, Bytes), AskError> {
        let asked = ask::ask(self.shared.clone(), urls.to_vec(), question, timeout);
        match Running::new(self.shared.handle.spawn(asked)).finish().await {
            Some(result) => result,
            None => Err(AskError::Unreachable("the peer port is closed".into())),
        }
    }

    /// From now on this port is that of `member` of `cluster`. Nobody is answered and nobody called before
    /// [`Quic::serve`].
    pub fn identify(&self, member: MemberId, cluster: ClusterId) {
        self.shared.identify(Holder { member, cluster });
    }

    /// Where another process of this very member answers at one of its own peer URLs: this one runs on a copy of its data.
    /// Ends within half the time of an attempt to connect; nothing is found if nobody answers.
    pub async fn other_self(&self, urls: &[String]) -> Option<SocketAddr> {
        let (shared, urls) = (self.shared.clone(), urls.to_vec());
        let asked = self.shared.handle.spawn(async move { proof::other_self(&shared, &urls).await });
        Running::new(asked).finish().await.flatten()
    }

    /// From now on this member is `member` of `cluster`: the service answers callers that it admits, and outgoing calls
    /// carry this identity.
    pub fn serve(&self, member: MemberId, cluster: ClusterId, service: Arc<dyn Service>) {
        self.identify(member, cluster);
        self.shared.serving.store(Some(Arc::new(Serving { member, cluster, service })));
    }

    /// The transport over this port, for outgoing calls.
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.clone())
    }

    /// The connections with every known member.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.peers.all().iter().map(|peer| peer.status()).collect()
    }

    /// Bytes received of a snapshot that is not complete yet, if there is one.
    pub fn snapshot_bytes(&self) -> Option<u64> {
        Some(self.shared.snapshot_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// The members that say this one is to take no part any more ([`Rejection::is_final`]), and have not let it in since.
    /// What each says is worth no more than its own word.
    pub fn refusals(&self) -> watch::Receiver<BTreeMap<MemberId, Rejection>> {
        self.shared.refusals.subscribe()
    }

    /// Closes the connections with a member that was removed, and sends it the reason. The service decides whether it
    /// is admitted again.
    pub fn expel(&self, member: MemberId) {
        if let Some(peer) = self.shared.peers.remove(member) {
            peer.close(&Rejection::Removed);
        }
    }

    /// The addresses that this port listens on.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.shared.addresses.clone()
    }

    /// Closes all connections with a reason, and frees the sockets. Later calls fail.
    pub async fn close(&self) {
        let shared = self.shared.clone();
        let closing = self.shared.handle.spawn(async move { close_all(&shared).await });
        // Cancelled only if the thread has ended already.
        let _ = closing.await;
        self.thread.0.lock().take();
    }
}

/// A task of the port's runtime that is aborted when this is dropped.
struct Running<T> {
    task: Option<JoinHandle<T>>,
    abort: AbortHandle,
}

impl<T> Running<T> {
    fn new(task: JoinHandle<T>) -> Self {
        Self { abort: task.abort_handle(), task: Some(task) }
    }

    /// Its result; `None` if the port was closed in the meantime.
    async fn finish(mut self) -> Option<T> {
        self.task.take()?.await.ok()
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Transport for Quic {
    fn call(
        &self,
        to: MemberId,
        urls: &[String],
        channel: Channel,
        request: Bytes,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        let shared = &self.shared;
        let peer = shared.peers.peer(to);
        let placed = if shared.is_closed() {
            Err("the peer port is closed".into())
        } else if shared.serving.load().is_none() {
            Err("this member has no identity yet".into())
        } else {
            keep::place(shared, &peer, urls, channel, request)
        };
        let deadline = Instant::now() + timeout;
        Box::pin(async move {
            let result = match placed {
                Err(reason) => Err(TransportError::Unreachable(reason)),
                Ok(outcome) => match tokio::time::timeout_at(deadline, outcome).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(_)) => Err(TransportError::Lost("the connection has ended".into())),
                    Err(_) => Err(TransportError::Timeout),
                },
            };
            if result.is_err() {
                peer.counters.sent_failures.add(1);
            }
            result
        })
    }

    fn send_snapshot(
        &self,
        to: MemberId,
        urls: &[String],
        request: Bytes,
        body: Pieces,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        let (shared, urls) = (self.shared.clone(), urls.to_vec());
        let peer = shared.peers.peer(to);
        let sending = {
            let peer = peer.clone();
            async move {
                let connection = keep::connection(&shared, &peer, &urls).await;
                let connection = connection.map_err(TransportError::Unreachable)?;
                snapshot::send(connection, peer, request, body, timeout).await
            }
        };
        let sending = Running::new(self.shared.handle.spawn(sending));
        Box::pin(async move {
            let closed = || Err(TransportError::Lost("the peer port is closed".into()));
            let transfer = peer.counters.snapshots_sent.begin();
            let result = sending.finish().await.unwrap_or_else(closed);
            match &result {
                Ok(_) => transfer.done(),
                Err(_) => peer.counters.sent_failures.add(1),
            }
            result
        })
    }

    fn connected_for(&self, to: MemberId) -> Option<Duration> {
        let peer = self.shared.peers.find(to)?;
        let own = peer.link.connected().map(|(_, since)| since.elapsed());
        own.max(peer.heard_for())
    }

    fn is_gone(&self, member: MemberId) -> Pending<bool> {
        let address = self.shared.peers.find(member).and_then(|peer| peer.address());
        let Some(address) = address else { return Box::pin(std::future::ready(false)) };
        let looking = Running::new(self.shared.handle.spawn(is_deserted(address)));
        Box::pin(async move { looking.finish().await.unwrap_or(false) })
    }

    fn runtime(&self) -> Option<Handle> {
        Some(self.shared.handle.clone())
    }
}
