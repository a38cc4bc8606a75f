//! The peer port: how it is opened, and what this member answers there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::listeners;
use super::outside::{SystemClock, SystemEntropy};
use super::sockets::Inherited;
use crate::config::{ClusterSecret, Config, KeyPair};
use crate::join::enter::{Asker, NoAnswer};
use crate::join::reception::Reception;
use crate::model::{Clock, ClusterId, Entropy, Member, MemberId, Progress};
use crate::peer::{self, AskError, Caller, Lane, Names, Pending, Pieces, Quic, Rejection, Service};
use crate::pki::{Credentials, Files, Pair, PkiError, SecretSource};
use crate::raft::Node;

/// Names that are looked up at the same time: those of other members.
const MAX_LOOKUPS: usize = 32;
/// And those that whoever wants to join names.
const MAX_LOOKUPS_FOR_STRANGERS: usize = 4;

/// Opens the peer port; nobody is served there yet.
///
/// # Errors
/// Addresses that cannot be bound; they are named.
pub fn open(config: &Config, credentials: Arc<Credentials>, inherited: &mut Inherited) -> io::Result<Quic> {
    let mut listen: Vec<SocketAddr> = Vec::new();
    for url in &config.addresses.listen_peer_urls {
        if url.socket_path().is_some() {
            let message = format!(
                "--listen-peer-urls {}: members talk QUIC, which has no unix sockets; give it host:port",
                url.as_str()
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        listen.extend(listeners::socket_addresses(url));
    }
    let mut sockets = Vec::new();
    listen.retain(|address| match inherited.udp(*address) {
        Some(socket) => {
            sockets.push(Arc::new(socket));
            false
        }
        None => true,
    });
    Quic::bind(peer::Options {
        credentials,
        listen,
        sockets,
        clock: Arc::new(SystemClock),
        heartbeat: config.raft.heartbeat_interval,
        election: config.raft.election_timeout,
        names: Names::new(MAX_LOOKUPS),
        incarnation: SystemEntropy.next(),
        version: env!("CARGO_PKG_VERSION").to_string(),
    })
}

/// What this member proves its identity with, and verifies that of others.
///
/// # Errors
/// Files that cannot be used, a secret that is too short; they are named.
pub fn credentials(config: &Config, clock: Arc<dyn Clock>) -> Result<Credentials, PkiError> {
    let tls = &config.peer_tls;
    let pair = |pair: KeyPair| Pair { cert: pair.cert, key: pair.key };
    // Without a CA nobody could be verified: a certificate alone stands for none at all.
    if let (Some(own), Some(trusted_ca)) = (tls.key_pair(), &tls.trusted_ca_file) {
        let files = Files {
            pair: pair(own),
            client_pair: tls.client_key_pair().map(pair),
            trusted_ca: trusted_ca.clone(),
            crl: tls.crl_file.clone(),
            allowed_cn: tls.allowed_cn.clone(),
            allowed_hostnames: tls.allowed_hostnames.clone(),
        };
        return Credentials::from_files(files, clock);
    }
    let source = match config.peer_tls.secret() {
        Some(ClusterSecret::Inline(secret)) => SecretSource::Text(secret.expose().to_string()),
        Some(ClusterSecret::File(path)) => SecretSource::File(path.to_path_buf()),
        None => SecretSource::Absent,
    };
    Credentials::from_secret(source, clock)
}

/// What this member answers to others.
pub struct Counter {
    node: Node,
    reception: Arc<Reception>,
    cluster: ClusterId,
}

impl Counter {
    /// The answers of `node`, whose `initial-cluster-token` is `token`, if it was given.
    pub fn new(node: Node, token: Option<String>) -> Self {
        let cluster = node.status().cluster;
        let names = Names::new(MAX_LOOKUPS_FOR_STRANGERS);
        let reception = Arc::new(Reception::new(node.clone(), Arc::new(SystemClock), names, token));
        Self { node, reception, cluster }
    }
}

impl Service for Counter {
    /// Strangers may ask; of members only those that were removed are turned away. One that is not known here may be
    /// known to others: this member may lag, and the one who calls be its leader.
    fn admit(&self, caller: &Caller) -> Result<(), Rejection> {
        if caller.member == MemberId::default() {
            return Ok(());
        }
        if caller.cluster != self.cluster {
            return Err(Rejection::OtherCluster { here: self.cluster, there: caller.cluster });
        }
        if self.node.was_removed(caller.member) { Err(Rejection::Removed) } else { Ok(()) }
    }

    fn peer_urls(&self, of: MemberId) -> Vec<String> {
        self.node.peer_urls(of)
    }

    fn progress(&self) -> Progress {
        self.node.progress()
    }

    fn acknowledged(&self, by: MemberId) -> Option<Progress> {
        self.node.acknowledged(by)
    }

    fn call(&self, from: MemberId, _lane: Lane, request: Bytes) -> Pending<Result<Bytes, Rejection>> {
        let node = self.node.clone();
        Box::pin(async move { node.serve(from, &request).await.map_err(malformed) })
    }

    fn snapshot(&self, from: MemberId, request: Bytes, body: Pieces) -> Pending<Result<Bytes, Rejection>> {
        let node = self.node.clone();
        Box::pin(async move { node.serve_snapshot(from, &request, body).await.map_err(malformed) })
    }

    fn ask(&self, _caller: &Caller, question: Bytes) -> Pending<Result<Bytes, Rejection>> {
        let reception = self.reception.clone();
        Box::pin(async move { reception.answer(&question).await.map_err(malformed) })
    }
}

fn malformed(error: impl ToString) -> Rejection {
    Rejection::Malformed(error.to_string())
}

/// Asking through the peer port.
pub struct Door(pub Quic);

impl Asker for Door {
    fn ask(&self, urls: Vec<String>, question: Bytes, timeout: Duration) -> Pending<Result<Bytes, NoAnswer>> {
        let quic = self.0.clone();
        Box::pin(async move {
            let answered = quic.ask(&urls, question, timeout).await;
            answered.map(|(_, bytes)| bytes).map_err(|error| match &error {
                AskError::Rejected { rejection: Rejection::Stranger, .. } => {
                    NoAnswer::Stranger(error.to_string())
                }
                AskError::Rejected { .. } => NoAnswer::NotNow(error.to_string()),
                AskError::Unreachable(_) | AskError::Timeout => NoAnswer::Nobody(error.to_string()),
            })
        })
    }
}

/// How often it is looked whether the members have changed.
const LOOK: Duration = Duration::from_millis(200);
/// How long a member that was removed has to pass on the answer to whoever asked it for that.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why a member takes no part any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was removed from its cluster.
    Removed,
    /// Another process of it is there, and this one has a copy of its data.
    Copy(String),
    /// Its data are an older copy.
    Outdated(String),
}

/// Says in the log who comes and goes, and shuts the door behind those that are removed. Ends when this member itself is
/// to take no part any more.
pub async fn watch_members(node: Node, quic: Quic) -> Ending {
    let own = node.status().id;
    let mut refusals = quic.refusals();
    let mut removed = node.removed();
    let mut leaving: Vec<(MemberId, Instant)> = Vec::new();
    let mut known = node.members();
    let mut said = 0;
    loop {
        let now = node.removed();
        if now.contains(&own) {
            return Ending::Removed;
        }
        leaving.extend(
            now.iter().filter(|member| !removed.contains(member)).map(|member| (*member, Instant::now())),
        );
        removed = now;
        leaving.retain(|(member, since)| {
            let stays = since.elapsed() < FAREWELL;
            if !stays {
                quic.expel(*member);
            }
            stays
        });
        let members = node.members();
        if members != known {
            tell(&known, &members);
            known = members;
        }
        let says = refusals.borrow_and_update().clone();
        if let Some(ending) = ending(&node, &quic, &says).await {
            return ending;
        }
        if says.len() > said {
            let told = says.iter().map(|(by, why)| format!("{by}: {why}")).collect::<Vec<_>>();
            tracing::warn!(by = told.join("; "), "refused for good by others; believed if it is confirmed");
        }
        said = says.len();
        tokio::select! {
            // An error means that the port is closed; the pause goes on.
            Ok(()) = refusals.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Whether what other members hold against this one is believed: what it can see for itself at once, anything else if most
/// of them say so.
async fn ending(node: &Node, quic: &Quic, says: &BTreeMap<MemberId, Rejection>) -> Option<Ending> {
    let own = node.status().id;
    let say = |what: fn(&Rejection) -> bool| -> BTreeSet<MemberId> {
        says.iter().filter(|(_, refusal)| what(refusal)).map(|(by, _)| *by).collect()
    };
    if believes(own, &node.voters(), &say(|refusal| matches!(refusal, Rejection::Removed))) {
        return Some(Ending::Removed);
    }
    for (by, refusal) in says {
        if let Rejection::Outdated(acknowledged) = refusal
            && node.progress().lacks(acknowledged)
        {
            return Some(Ending::Outdated(format!("member {by}: {refusal}")));
        }
    }
    let (by, refusal) = says.iter().find(|(_, refusal)| matches!(refusal, Rejection::Copy(_)))?;
    if let Some(address) = quic.other_self(&node.peer_urls(own)).await {
        return Some(Ending::Copy(other_process(own, &address)));
    }
    let copy = say(|refusal| matches!(refusal, Rejection::Copy(_)));
    believes(own, &node.voters(), &copy).then(|| Ending::Copy(format!("member {by}: {refusal}")))
}

/// Why a process that has a copy of a member's data does not go on.
pub fn other_process(own: MemberId, address: &SocketAddr) -> String {
    format!(
        "another process of this member ({own}) answers at {address}, its peer URL: this one runs on a copy of the \
         member's data"
    )
}

/// Whether this member was removed, by the word of others: one of them may be out of order, or lie. Those that voted with
/// it are what counts, and most of them: the quorum that is left without it, which decides such a thing. A member that
/// knows of no voters has nothing to lose.
fn believes(own: MemberId, voters: &[MemberId], says: &BTreeSet<MemberId>) -> bool {
    if voters.is_empty() {
        return !says.is_empty();
    }
    let others: Vec<&MemberId> = voters.iter().filter(|voter| **voter != own).collect();
    others.iter().filter(|other| says.contains(**other)).count() > others.len() / 2
}

/// The name, if the member has made it known.
fn name_of(member: &Member) -> Option<&str> {
    Some(member.name.as_str()).filter(|name| !name.is_empty())
}

/// One line a change, in etcd's words where it has any.
fn tell(before: &[Member], after: &[Member]) {
    for member in after {
        let id = member.id;
        match before.iter().find(|other| other.id == id) {
            None => tracing::info!(
                %id, name = name_of(member), peer_urls = ?member.peer_urls, learner = member.learner, "added member"
            ),
            Some(other) if other.pending && !member.pending => {
                tracing::info!(%id, name = name_of(member), "a new member has caught up and votes from now on");
            }
            Some(other) if other.learner && !member.learner => {
                tracing::info!(%id, name = name_of(member), "promoted member");
            }
            Some(other) if other.peer_urls != member.peer_urls => {
                tracing::info!(%id, peer_urls = ?member.peer_urls, "updated member");
            }
            Some(other) if other.name != member.name || other.client_urls != member.client_urls => {
                tracing::info!(%id, name = name_of(member), client_urls = ?member.client_urls, "published member");
            }
            Some(_) => {}
        }
    }
    for member in before.iter().filter(|member| !after.iter().any(|other| other.id == member.id)) {
        tracing::info!(id = %member.id, name = name_of(member), "removed member");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_alone_retires_nobody() {
        let ids = |ids: &[u64]| ids.iter().copied().map(MemberId).collect::<Vec<_>>();
        let believes = |voters: &[u64], says: &[u64]| {
            super::believes(MemberId(1), &ids(voters), &ids(says).into_iter().collect())
        };
        assert!(!believes(&[1, 2, 3], &[]));
        assert!(!believes(&[1, 2, 3], &[2]));
        // A stranger, and the member itself, do not count.
        assert!(!believes(&[1, 2, 3], &[1, 2, 9]));
        assert!(believes(&[1, 2, 3], &[2, 3]));
        assert!(!believes(&[1, 2, 3, 4, 5], &[2, 3]));
        assert!(believes(&[1, 2, 3, 4, 5], &[2, 3, 4]));
        // A learner hears it from the voters; if two vote and one is left, that one decides alone.
        assert!(!believes(&[2, 3, 4], &[2]));
        assert!(believes(&[2, 3, 4], &[2, 3]));
        assert!(believes(&[1, 2], &[2]));
        // Nobody can remove the only voter; a member that knows of no voters has nothing to lose.
        assert!(!believes(&[1], &[2, 3]));
        assert!(believes(&[], &[2]));
    }
}
