//! What all parts of the port use: its sockets and settings, the records of the members, and this member's identity. It
//! does not know the tasks that use it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use quinn::{Endpoint, TransportConfig};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::journal::Journal;
use super::names::Names;
use super::options::Options;
use super::registry::Registry;
use super::sockets::{self, Exits};
use super::tls::server_config;
use super::transport::{Rejection, Service};
use super::tuning::{self, MAX_SNAPSHOTS};
use crate::model::{ClusterId, MemberId};
use crate::pki::Holder;

/// State that all tasks of the port share.
pub(super) struct Shared {
    pub options: Options,
    /// The runtime of the thread `kvd-peer`.
    pub handle: Handle,
    /// This member, zero as long as it is none.
    identity: ArcSwap<Holder>,
    pub serving: ArcSwapOption<Serving>,
    pub peers: Registry,
    pub journal: Journal,
    pub exits: Exits,
    pub names: Names,
    /// quinn's settings for outgoing connections, and for incoming ones.
    pub dialling: Arc<TransportConfig>,
    pub listening: Arc<TransportConfig>,
    pub handshakes: Arc<AtomicUsize>,
    pub askers: Arc<AtomicUsize>,
    pub callers: Arc<AtomicUsize>,
    pub snapshots: Semaphore,
    /// Bytes received of snapshots that are not complete yet.
    pub snapshot_bytes: AtomicU64,
    /// The members that say that this one may no longer take part, and why.
    pub refusals: watch::Sender<BTreeMap<MemberId, Rejection>>,
    /// Emptied by closing, which frees the ports.
    pub listeners: parking_lot::Mutex<Vec<Endpoint>>,
    pub addresses: Vec<SocketAddr>,
    pub accepting: parking_lot::Mutex<Vec<JoinHandle<()>>>,
    closed: AtomicBool,
}

/// This member's identity, and the service that answers for it.
pub(super) struct Serving {
    pub member: MemberId,
    pub cluster: ClusterId,
    pub service: Arc<dyn Service>,
}

impl Shared {
    /// This member; zero while it is not a member.
    pub(super) fn identity(&self) -> Holder {
        **self.identity.load()
    }

    /// From now on this is the port of that member.
    pub(super) fn identify(&self, own: Holder) {
        self.options.credentials.identify(own);
        self.identity.store(Arc::new(own));
    }

    /// A member refuses this one for good ([`Rejection::is_final`]), or admits it.
    pub(super) fn judged(&self, by: MemberId, refusal: Option<&Rejection>) {
        self.refusals.send_if_modified(|refusals| match refusal {
            Some(refusal) => refusals.insert(by, refusal.clone()).as_ref() != Some(refusal),
            None => refusals.remove(&by).is_some(),
        });
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Binds the sockets.
    ///
    /// # Errors
    /// Addresses that cannot be bound, which are named; certificates that cannot be issued.
    pub(super) fn open(options: Options, handle: Handle) -> io::Result<Self> {
        let listening = tuning::transport(options.election, true);
        let server = server_config(&options.credentials, &listening).map_err(io::Error::other)?;
        let endpoint = tuning::endpoint(options.credentials.reset_key());
        let listeners = sockets::listen(&options.listen, &options.sockets, &endpoint, &server)?;
        Ok(Self {
            handle,
            identity: ArcSwap::default(),
            serving: ArcSwapOption::empty(),
            peers: Registry::default(),
            journal: Journal::new(),
            exits: Exits::open(&endpoint)?,
            names: options.names.clone(),
            dialling: tuning::transport(options.election, false),
            listening,
            handshakes: Arc::default(),
            askers: Arc::default(),
            callers: Arc::default(),
            snapshots: Semaphore::new(MAX_SNAPSHOTS),
            snapshot_bytes: AtomicU64::new(0),
            refusals: watch::Sender::default(),
            addresses: listeners.iter().filter_map(|endpoint| endpoint.local_addr().ok()).collect(),
            listeners: parking_lot::Mutex::new(listeners),
            accepting: parking_lot::Mutex::default(),
            closed: AtomicBool::new(false),
            options,
        })
    }
}

/// One of a limited number of places; dropping it frees it.
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    pub(super) fn take(taken: &Arc<AtomicUsize>) -> Self {
        taken.fetch_add(1, Ordering::AcqRel);
        Self(taken.clone())
    }

    pub(super) fn number(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Closes all connections with a message to the other sides, and frees the sockets.
pub(super) async fn close_all(shared: &Shared) {
    const MOMENT: Duration = Duration::from_millis(300);
    if shared.closed.swap(true, Ordering::AcqRel) {
        return;
    }
    let reason = Rejection::Closed("the member is stopping".into());
    let mut endpoints = std::mem::take(&mut *shared.listeners.lock());
    endpoints.extend(shared.exits.all().cloned());
    for endpoint in &endpoints {
        endpoint.close(reason.code().into(), reason.to_string().as_bytes());
    }
    // The other sides are notified of the close; a side that does not receive the notice gets a timeout.
    let told = async {
        for endpoint in &endpoints {
            endpoint.wait_idle().await;
        }
    };
    let _ = tokio::time::timeout(MOMENT, told).await;
    let accepting = std::mem::take(&mut *shared.accepting.lock());
    for task in accepting {
        let _ = task.await;
    }
    // quinn's own tasks close the sockets after the last handle is dropped; they run on this thread, after this task
    // yields.
    drop(endpoints);
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}
