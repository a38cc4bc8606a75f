//! The processes of a cluster.

use std::future::Future;
use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberRemoveRequest, PutRequest, StatusRequest,
    StatusResponse,
};
use rustix::process::Signal;
use tempfile::TempDir;

use super::super::api::Api;
use super::super::dice::Dice;
use super::super::disk::Disk;
use super::super::net::{Host, Net};
use super::super::preload::{self, Preload};
use super::super::program::{Program, skip};
use super::super::server::{PATIENCE, Server};
use super::users::{self, Pass, ROOT};

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
    /// The administrator's, at each member: with clocks that differ, a token is for one member.
    passes: Vec<Pass>,
    dir: TempDir,
}

/// Settings in which members differ.
const OWN_SETTINGS: [&[&str]; 5] = [
    // So few that a member that was away for long needs a snapshot.
    &["--snapshot-count=1000"],
    &["--snapshot-count=300", "--snapshot-catchup-entries=100", "--max-txn-ops=64"],
    &["--snapshot-count=1000", "--heartbeat-interval=50", "--quota-backend-bytes=4000000000"],
    &["--snapshot-count=1000"],
    &["--snapshot-count=2000", "--auth-token-ttl=60"],
];
/// How far the members' clocks are apart in the beginning, in seconds.
const CLOCKS: [i64; 5] = [0, 1800, -1800, 60, -60];

/// Runs a future on a host, on a thread and a runtime of its own.
pub fn on_host<T: Send, F: Future<Output = T>>(host: &Host, work: impl FnOnce() -> F + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            host.enter();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), work())
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
        let passes = (0..members).map(|_| Pass::of(ROOT)).collect();
        Cluster { net, servers, inside, founders, subject, passes, dir }
    }

    /// Gives each member a disk and a clock of its own; false (and a line with the test's name) if that is not
    /// possible here.
    pub fn equip(&mut self, test: &str) -> bool {
        let Err(why) = self.try_to_equip() else { return true };
        for server in &mut self.servers {
            (server.disk, server.preload) = (None, None);
        }
        skip(test, &format!("faults of disks and clocks: {why}"));
        false
    }

    fn try_to_equip(&mut self) -> Result<(), String> {
        let library = preload::library(self.dir.path())?;
        for (number, server) in self.servers.iter_mut().enumerate() {
            server.disk = Some(Disk::new(server.dir())?);
            let below = server.dir().join("disk");
            server.preload = Some(Preload::new(&library, server.dir(), &below, CLOCKS[number]));
        }
        Ok(())
    }

    /// The switches of a member that was equipped.
    pub fn preload(&self, member: usize) -> &Preload {
        self.servers[member].preload.as_ref().expect("the members are equipped")
    }

    /// Does something with the disk of a member, if the member runs.
    pub fn with_disk(&mut self, member: usize, act: impl FnOnce(&Disk, u32)) {
        let process = self.servers[member].process();
        if let (Some(disk), Some(process)) = (&self.servers[member].disk, process) {
            act(disk, process);
        }
    }

    /// These machines lose their power at the same moment.
    pub fn cut_power(&mut self, members: &[usize]) {
        // A process that is stopped notices nothing of its disk, and says nothing that it would say otherwise.
        members.iter().for_each(|member| self.servers[*member].signal(Signal::STOP));
        for member in members {
            self.with_disk(*member, |disk, process| disk.cut_power(process));
            self.servers[*member].kill();
        }
    }

    /// Large values through a member; how each is answered does not matter.
    pub fn write_much(&self, member: usize) {
        let (url, pass) = (self.url(member), &self.passes[member]);
        on_host(&self.client_host(), move || async move {
            let api = Api::lazy(&url);
            let begun = Instant::now();
            for number in (0..200).take_while(|_| begun.elapsed() < Duration::from_secs(3)) {
                let (key, value) = (format!("large/{}", number % 20).into(), vec![b'v'; 256 << 10].into());
                let put = pass.on(PutRequest { key, value, ..Default::default() });
                let _ = tokio::time::timeout(Duration::from_secs(1), api.kv.clone().put(put)).await;
            }
        });
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
        let data = if self.servers[member].disk.is_some() { "disk/data" } else { "data" };
        let mut args = vec![
            flag("name", NAMES[member].into()),
            flag("data-dir", data.into()),
            flag("listen-peer-urls", format!("http://{address}:2380")),
            flag("initial-advertise-peer-urls", format!("http://{address}:2380")),
            flag("listen-client-urls", format!("http://{address}:2379")),
            flag("advertise-client-urls", format!("http://{address}:2379")),
            flag("initial-cluster", self.peers(initial)),
            flag("initial-cluster-state", state.into()),
            flag("initial-cluster-token", "under-load".into()),
            flag("bcrypt-cost", "4".into()),
        ];
        args.extend(OWN_SETTINGS[member].iter().map(|setting| (*setting).to_owned()));
        args
    }

    /// Starts the founders and waits until they serve.
    pub fn bootstrap(&mut self) {
        let founders: Vec<usize> = (0..self.founders).collect();
        for member in &founders {
            let args = self.args(*member, &founders, "new");
            self.servers[*member].start(&args, &[]);
        }
        self.settled();
        let url = self.url(self.leader());
        let enabled =
            on_host(&self.client_host(), move || async move { users::enable(&Api::lazy(&url)).await });
        enabled.unwrap_or_else(|status| panic!("users are made: {status}{}", self.tails()));
    }

    /// A call of the administrator; `None` if there is no answer in that time.
    pub fn as_root<T: Send>(
        &self,
        member: usize,
        patience: Duration,
        call: impl AsyncFn(&Api, &Pass) -> Result<T, tonic::Status> + Send,
    ) -> Option<Result<T, tonic::Status>> {
        let (url, pass) = (self.url(member), &self.passes[member]);
        on_host(&self.client_host(), move || async move {
            let api = Api::lazy(&url);
            let asked = pass.ask(&api, async || call(&api, pass).await);
            tokio::time::timeout(patience, asked).await.ok()
        })
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
            if let Some(preload) = &self.servers[member].preload {
                preload.stand_still(false);
                preload.fail(false);
            }
            self.servers[member].signal(Signal::CONT);
            self.with_disk(member, |disk, process| disk.clear(process));
            self.restart(member);
        }
    }

    fn status_of(&self, member: usize) -> Option<StatusResponse> {
        let status = self.as_root(member, Duration::from_secs(1), async |api, pass| {
            api.maintenance.clone().status(pass.on(StatusRequest {})).await
        });
        Some(status?.ok()?.into_inner())
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
        let list = self.as_root(self.leader(), Duration::from_secs(5), async |api, pass| {
            api.cluster.clone().member_list(pass.on(MemberListRequest { linearizable: true })).await
        });
        list.and_then(Result::ok).map(|answer| answer.into_inner().members).unwrap_or_default()
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
            let request = MemberAddRequest { peer_ur_ls: vec![peer.clone()], is_learner: false };
            let added = cluster.as_root(cluster.leader(), PATIENCE, async |api, pass| {
                api.cluster.clone().member_add(pass.on(request.clone())).await.map(drop)
            });
            added.unwrap_or_else(|| Err(tonic::Status::deadline_exceeded("no answer")))
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
            let removed = cluster.as_root(cluster.leader(), PATIENCE, async |api, pass| {
                let request = MemberRemoveRequest { id: known.id };
                api.cluster.clone().member_remove(pass.on(request)).await.map(drop)
            });
            removed.unwrap_or_else(|| Err(tonic::Status::deadline_exceeded("no answer")))
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
