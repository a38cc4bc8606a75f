//! Some members on loopback: who leads, and how another member is added.

use crate::server::{Program, Server};
use crate::usage;
use kvd::api::proto::etcdserverpb::cluster_client::ClusterClient;
use kvd::api::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use kvd::api::proto::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, StatusRequest, StatusResponse,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the members may take to agree on something.
const PATIENCE: Duration = Duration::from_secs(60);

/// The members. A question to the whole cluster goes to the first member or to all.
pub struct Cluster {
    /// The members, including those that are down.
    pub members: Vec<Server>,
    program: Program,
    parent: PathBuf,
}

impl Cluster {
    /// Starts `count` members of a new cluster on empty directories below `parent`. The leader is the first one.
    pub async fn start(program: &Program, parent: &Path, count: usize) -> Result<Cluster, String> {
        let place = |error: std::io::Error| format!("cannot work in {}: {error}", parent.display());
        std::fs::create_dir_all(parent).map_err(place)?;
        usage::settle(parent);
        let members: Result<_, String> =
            (0..count).map(|number| Server::place(program, parent, number)).collect();
        let mut cluster =
            Cluster { members: members?, program: program.clone(), parent: parent.to_path_buf() };
        let entries = cluster.entries();
        for member in &mut cluster.members {
            member.belongs_to(&entries, "new");
            member.launch()?;
        }
        let ready = cluster.answered().await;
        ready.map_err(|error| format!("{error}\n{}", cluster.log_tails()))?;
        Ok(cluster)
    }

    /// Waits until all members serve, and puts the leader first.
    async fn answered(&mut self) -> Result<(), String> {
        for member in &mut self.members {
            member.answered().await?;
        }
        let leader = self.leader().await?;
        self.members.rotate_left(leader);
        Ok(())
    }

    fn entries(&self) -> Vec<String> {
        self.members.iter().map(Server::entry).collect()
    }

    /// The leader according to all members; waits until they agree.
    pub async fn leader(&self) -> Result<usize, String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let mut known = Vec::new();
            for member in &self.members {
                known.extend(status(member).await);
            }
            let all_say = |id: u64| known.iter().all(|status| status.leader == id);
            let leads = |status: &StatusResponse| {
                status.header.as_ref().is_some_and(|header| header.member_id == status.leader)
            };
            if let Some(leader) = known.iter().position(leads)
                && known.len() == self.members.len()
                && all_say(known[leader].leader)
            {
                return Ok(leader);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("the members do not agree on a leader".to_owned())
    }

    /// Adds a member as an operator does, and returns it before its first start. It is not in `members` yet.
    pub async fn add(&self) -> Result<Server, String> {
        let mut added = Server::place(&self.program, &self.parent, self.members.len())?;
        let start = Instant::now();
        // etcd refuses while its own members have been connected for less than five seconds.
        while let Err(error) = self.announce(&added.peer_url()).await {
            if start.elapsed() > PATIENCE {
                return Err(format!("no member can be added: {error}"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut entries = self.entries();
        entries.push(added.entry());
        added.belongs_to(&entries, "existing");
        Ok(added)
    }

    async fn announce(&self, peer: &str) -> Result<(), String> {
        // A change without an answer may have been done.
        if self.list().await?.iter().any(|member| member.peer_ur_ls.iter().any(|url| url == peer)) {
            return Ok(());
        }
        let mut client = ClusterClient::new(self.members[0].connect().await?);
        let request = MemberAddRequest { peer_ur_ls: vec![peer.to_owned()], is_learner: false };
        let answer = tokio::time::timeout(Duration::from_secs(10), client.member_add(request)).await;
        answer.map_err(|_| "no answer")?.map(drop).map_err(|status| status.to_string())
    }

    async fn list(&self) -> Result<Vec<Member>, String> {
        let mut client = ClusterClient::new(self.members[0].connect().await?);
        let request = MemberListRequest { linearizable: false };
        let answer = tokio::time::timeout(Duration::from_secs(5), client.member_list(request)).await;
        let answer = answer.map_err(|_| "no answer")?.map_err(|status| status.to_string())?;
        Ok(answer.into_inner().members)
    }

    /// The last lines of all servers.
    pub fn log_tails(&self) -> String {
        self.members.iter().map(Server::log_tail).collect()
    }
}

/// The status of a member, if it answers within a second.
pub async fn status(member: &Server) -> Option<StatusResponse> {
    let ask = async {
        let mut client = MaintenanceClient::new(member.connect().await.ok()?);
        client.status(StatusRequest {}).await.ok()
    };
    Some(tokio::time::timeout(Duration::from_secs(1), ask).await.ok()??.into_inner())
}
