//! Members and the ids etcd gives them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Refusal;
use sha1::{Digest, Sha1};

/// A member's id, printed as etcd prints it: lower-case hex without padding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub u64);

/// A cluster's id, printed like [`MemberId`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl MemberId {
    /// The id etcd computes: the first eight bytes of SHA-1 over the sorted peer URLs, the cluster token and, for
    /// members added at run time only, the decimal unix time in seconds (etcd `server/etcdserver/api/membership`,
    /// `computeMemberID`). `added_at` is given for `member add`, for which etcd uses an empty token.
    pub fn compute(peer_urls: &[String], token: &str, added_at: Option<i64>) -> Self {
        let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
        urls.sort_unstable();
        let mut hash = Sha1::new();
        for url in urls {
            hash.update(url.as_bytes());
        }
        hash.update(token.as_bytes());
        if let Some(seconds) = added_at {
            hash.update(seconds.to_string().as_bytes());
        }
        Self(first_eight(&hash.finalize()))
    }
}

/// The cluster id etcd computes: the first eight bytes of SHA-1 over the initial members' ids, ascending, eight
/// bytes big-endian each.
pub fn cluster_id(members: &[MemberId]) -> ClusterId {
    let mut ids: Vec<u64> = members.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    let mut hash = Sha1::new();
    for id in ids {
        hash.update(id.to_be_bytes());
    }
    ClusterId(first_eight(&hash.finalize()))
}

fn first_eight(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte))
}

/// A member as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id; never reused, even after removal.
    pub id: MemberId,
    /// Its name; empty until it has published itself.
    pub name: String,
    /// The URLs other members reach it at.
    pub peer_urls: Vec<String>,
    /// The URLs clients reach it at; empty until it has published itself.
    pub client_urls: Vec<String>,
    /// Added as a learner: it does not vote until it is promoted by request.
    pub learner: bool,
    /// Added as a voter but still catching up: a raft learner that the leader promotes by itself. Clients see it as a
    /// voter.
    pub pending: bool,
}

impl Member {
    /// A member that is added at run time; `now` is the unix time in seconds. A voter catches up before it votes.
    ///
    /// # Errors
    /// [`Refusal::MemberBadUrls`].
    pub fn added(mut peer_urls: Vec<String>, learner: bool, now: i64) -> Result<Self, Refusal> {
        peer_urls.iter_mut().for_each(|url| *url = url.trim().to_string());
        if peer_urls.is_empty() || !peer_urls.iter().all(|url| is_peer_url(url)) {
            return Err(Refusal::MemberBadUrls);
        }
        peer_urls.sort_unstable();
        Ok(Self {
            id: MemberId::compute(&peer_urls, "", Some(now)),
            name: String::new(),
            peer_urls,
            client_urls: Vec::new(),
            learner,
            pending: !learner,
        })
    }

    /// A member that a cluster begins with: a voter that has not published its name yet.
    pub fn founder(id: MemberId, peer_urls: Vec<String>) -> Self {
        let (name, client_urls) = (String::new(), Vec::new());
        Self { id, name, peer_urls, client_urls, learner: false, pending: false }
    }

    /// True once the member has published its name.
    pub fn is_started(&self) -> bool {
        !self.name.is_empty()
    }
}

/// What etcd accepts, and also `quic`: scheme and authority with a port, or a Unix socket; no path.
fn is_peer_url(url: &str) -> bool {
    match url.split_once("://") {
        Some(("http" | "https" | "quic", rest)) => rest.rsplit_once(':').is_some_and(|(host, port)| {
            let bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
            let plain = !host.contains(['/', '@', '?', '#', ' ']);
            bare && plain && !port.is_empty() && port.parse::<u16>().is_ok()
        }),
        Some(("unix" | "unixs", rest)) => !rest.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(url: &str) -> MemberId {
        MemberId::compute(&[url.to_string()], "etcd-cluster", None)
    }

    #[test]
    fn peer_urls_have_a_scheme_a_host_and_a_port() {
        for good in
            ["http://10.0.0.1:2380", "https://a.b:1", "quic://[::1]:2380", "unix:///run/x", "http://a:0"]
        {
            assert!(is_peer_url(good), "{good}");
        }
        for bad in
            ["", "a:1", "ftp://a:1", "http://a", "http://a:b", "http://a:1/path", "http://::1:2", "http://a:"]
        {
            assert!(!is_peer_url(bad), "{bad}");
        }
    }

    #[test]
    fn ids_are_those_of_etcds_documents() {
        let node01 = id("http://192.168.0.61:2380");
        assert_eq!(node01.to_string(), "4eee438bb97e1153");
        assert_eq!(cluster_id(&[node01]).to_string(), "35d99f7f50aa4509");
        let local = id("http://localhost:2380");
        assert_eq!(local.to_string(), "8e9e05c52164694d");
        assert_eq!(cluster_id(&[local]).to_string(), "cdf818194e3a8c32");
    }
}
