//! The processes of a cluster.

use std::future::Future;
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberRemoveRequest, StatusRequest, StatusResponse,
};
use rustix::process::Signal;
use tempfile::TempDir;

use super::super::api::Api;
use super::super::dice::Dice;
use super::super::net::{Host, Net};
use super::super::program::Program;
use super::super::server::{PATIENCE, Server};

const NAMES: [&str; 5] = ["m0", "m1", "m2", "m3", "m4"];
const CLIENT: &str = "client";

/// Members of one cluster, one host each, and a host for clients.
pub struct Cluster {
    pub net: Net,
    pub servers: Vec<Server>,
    /// Which of them belong to the cluster.
    pub inside: Vec<bool>,
    founders: usize,
    subject: Program,
    _dir: TempDir,
}

/// Runs a future on a host, on a thread and a runtime of its own.
pub fn on_host<T: Send>(host: &Host, work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            host.enter();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(work)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn address(member: usize) -> String {
    format!("10.0.1.{}", 10 + member)
}

impl Cluster {
    /// Hosts for this many members; the first `founders` of them begin the cluster.
    pub fn new(members: usize, founders: usize, subject: Program) -> Cluster {
        let addresses: Vec<String> = (0..members).map(address).collect();
        let mut hosts: Vec<(&str, &str)> =
            NAMES.into_iter().zip(addresses.iter().map(String::as_str)).collect();
        hosts.push((CLIENT, "10.0.1.200"));
        let net = Net::new(&hosts);
        let dir = tempfile::Builder::new().prefix("kvd-cluster-").tempdir().expect("a temporary directory");
        let place = |name: &&str| Server::new(net.host(name), &subject.path(), &dir.path().join(name));
        let servers = NAMES[..members].iter().map(place).collect();
        let inside = (0..members).map(|member| member < founders).collect();
        Cluster { net, servers, inside, founders, subject, _dir: dir }
    }

    /// The host that clients are on.
    pub fn client_host(&self) -> Host {
        self.net.host(CLIENT)
    }

    pub fn name(&self, member: usize) -> &'static str {
        NAMES[member]
    }

    /// The members that belong to the cluster.
    pub fn members(&self) -> Vec<usize> {
        (0..self.servers.len()).filter(|member| self.inside[*member]).collect()
    }

    /// The URL at which a member serves clients.
    pub fn url(&self, member: usize) -> String {
        format!("http://{}:2379", address(member))
    }

    fn peers(&self, members: &[usize]) -> String {
        let peer = |member: &usize| format!("{}=http://{}:2380", NAMES[*member], address(*member));
        members.iter().map(peer).collect::<Vec<_>>().join(",")
    }

    /// The command line of a member that begins with these others.
    fn args(&self, member: usize, initial: &[usize], state: &str) -> Vec<String> {
        let address = address(member);
        let flag = |name: &str, value: String| format!("--{name}={value}");
        vec![
            flag("name", NAMES[member].into()),
            flag("data-dir", "data".into()),
            flag("listen-peer-urls", format!("http://{address}:2380")),
            flag("initial-advertise-peer-urls", format!("http://{address}:2380")),
            flag("listen-client-urls", format!("http://{address}:2379")),
            flag("advertise-client-urls", format!("http://{address}:2379")),
            flag("initial-cluster", self.peers(initial)),
            flag("initial-cluster-state", state.into()),
            flag("initial-cluster-token", "under-load".into()),
            // So few that a member that was away for long needs a snapshot.
            flag("snapshot-count", "1000".into()),
        ]
    }

    /// Starts the founders and waits until they serve.
    pub fn bootstrap(&mut self) {
        let founders: Vec<usize> = (0..self.founders).collect();
        for member in &founders {
            let args = self.args(*member, &founders, "new");
            self.servers[*member].start(&args, &[]);
        }
        self.settled();
    }

    /// Starts a member again on its data, if it does not run.
    pub fn restart(&mut self, member: usize) {
        if self.servers[member].is_running() {
            return;
        }
        self.servers[member].kill();
        // Options for the start of a cluster do not count any more.
        let founders: Vec<usize> = (0..self.founders).collect();
        let args = self.args(member, &founders, "new");
        self.servers[member].start(&args, &[]);
    }

    /// All members run, are not stopped, and can reach each other.
    pub fn heal(&mut self) {
        self.net.cut(&[]);
        self.net.calm();
        for member in self.members() {
            self.servers[member].signal(Signal::CONT);
            self.restart(member);
        }
    }

    fn status_of(&self, member: usize) -> Option<StatusResponse> {
        let url = self.url(member);
        on_host(&self.client_host(), async move {
            let call = async { Api::lazy(&url).maintenance.status(StatusRequest {}).await };
            Some(tokio::time::timeout(Duration::from_secs(1), call).await.ok()?.ok()?.into_inner())
        })
    }

    /// The leader according to a majority of the members; waits for one.
    pub fn leader(&self) -> usize {
        let begun = Instant::now();
        loop {
            let members = self.members();
            let known: Vec<(usize, StatusResponse)> =
                members.iter().filter_map(|member| Some((*member, self.status_of(*member)?))).collect();
            let says = |id: u64| known.iter().filter(|(_, status)| status.leader == id).count();
            let id_of = |status: &StatusResponse| status.header.as_ref().map_or(0, |header| header.member_id);
            let leads = known.iter().find(|(_, status)| status.leader == id_of(status));
            if let Some((member, status)) = leads
                && says(status.leader) > members.len() / 2
            {
                return *member;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads{}", self.tails());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Any member, or the leader.
    pub fn any_member(&self, dice: &mut Dice, leader: bool) -> usize {
        if leader {
            return self.leader();
        }
        let members = self.members();
        members[dice.below(members.len())]
    }

    /// Waits until every member knows a leader and all have published their names.
    pub fn settled(&self) {
        self.leader();
        let begun = Instant::now();
        loop {
            let list = self.member_list();
            let voters = list.iter().filter(|member| !member.name.is_empty() && !member.is_learner).count();
            let led = |member: &usize| self.status_of(*member).is_some_and(|status| status.leader != 0);
            if voters == self.members().len() && self.members().iter().all(led) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "the members do not find together: {list:#?}{}",
                self.tails()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn member_list(&self) -> Vec<Member> {
        let url = self.url(self.leader());
        on_host(&self.client_host(), async move {
            let request = MemberListRequest { linearizable: true };
            let call = async { Api::lazy(&url).cluster.member_list(request).await };
            let answer = tokio::time::timeout(Duration::from_secs(5), call).await;
            answer.ok().and_then(Result::ok).map(|answer| answer.into_inner().members).unwrap_or_default()
        })
    }

    /// Repeats a membership change until it is done: etcd refuses while its connections are younger than five seconds.
    fn change<T: Send>(
        &mut self,
        what: &str,
        mut attempt: impl FnMut(&mut Self) -> Result<T, tonic::Status>,
    ) -> T {
        let begun = Instant::now();
        loop {
            match attempt(self) {
                Ok(done) => return done,
                Err(status) => {
                    let patient = begun.elapsed() < PATIENCE;
                    assert!(patient, "{what}: {status}{}", self.tails());
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }

    /// Adds a member and starts it.
    pub fn grow(&mut self, member: usize) {
        let peer = format!("http://{}:2380", address(member));
        self.change("adding a member", |cluster| {
            if cluster.member_list().iter().any(|known| known.peer_ur_ls.contains(&peer)) {
                return Ok(());
            }
            let url = cluster.url(cluster.leader());
            let request = MemberAddRequest { peer_ur_ls: vec![peer.clone()], is_learner: false };
            on_host(&cluster.client_host(), async move {
                Api::lazy(&url).cluster.member_add(request).await.map(drop)
            })
        });
        let mut initial = self.members();
        initial.push(member);
        let args = self.args(member, &initial, "existing");
        self.servers[member].start(&args, &[]);
        self.inside[member] = true;
        self.settled();
    }

    /// Removes a member, whose process then ends by itself (or is ended).
    pub fn shrink(&mut self, member: usize) {
        let name = NAMES[member];
        self.change("removing a member", |cluster| {
            let Some(known) = cluster.member_list().into_iter().find(|known| known.name == name) else {
                return Ok(());
            };
            let url = cluster.url(cluster.leader());
            let request = MemberRemoveRequest { id: known.id };
            on_host(&cluster.client_host(), async move {
                Api::lazy(&url).cluster.member_remove(request).await.map(drop)
            })
        });
        self.inside[member] = false;
        if self.subject.is_kvd() {
            self.servers[member].ended();
            let log = self.servers[member].log();
            assert!(log.contains("permanently removed"), "a removed member does not say so{}", self.tails());
        } else {
            self.servers[member].kill();
        }
        self.settled();
    }

    /// The last lines of all members, for diagnosis.
    pub fn tails(&self) -> String {
        let tail = |member: &usize| format!("\n--- {}\n{}", NAMES[*member], self.servers[*member].tail());
        self.members().iter().map(tail).collect()
    }
}
