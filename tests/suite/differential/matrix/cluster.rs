//! A leader, a follower and a learner, in any state of the matrix.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kvd::api::proto::authpb::Permission;
use kvd::api::proto::etcdserverpb as pb;
use kvd::api::proto::v3electionpb::CampaignRequest;
use kvd::api::proto::v3electionpb::election_client::ElectionClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::requests::{LEASE, PASSWORD};
use super::{Alarm, Role, Who};
use crate::harness::{Api, PATIENCE, Program, Server, Setup};

/// Members of one program, with the tokens that count there.
pub struct Cluster {
    /// The leader, the follower, the learner.
    members: Vec<Server>,
    channels: Vec<Channel>,
    tokens: BTreeMap<Who, String>,
}

/// Tries until it holds.
async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(why) => assert!(begun.elapsed() < PATIENCE, "{what}: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn said(status: Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

fn by<T>(message: T, token: Option<&String>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.parse().expect("a token is ASCII"));
    }
    request
}

impl Cluster {
    /// A new cluster, with its users, keys and leases.
    pub async fn of(program: &Program, leases: impl Iterator<Item = i64>) -> Cluster {
        let mut members: Vec<Server> = (0..3).map(|_| Setup::of(program).prepare()).collect();
        let named: Vec<String> =
            members.iter().enumerate().map(|(n, member)| format!("m{n}={}", member.peer_url())).collect();
        for (number, member) in members.iter_mut().enumerate() {
            let cluster = named[..=number].join(",");
            let state = if number == 0 { "new" } else { "existing" };
            // Elections take long, so that a busy machine has none.
            member.add_args(&[
                &format!("--name=m{number}"),
                &format!("--initial-cluster={cluster}"),
                &format!("--initial-cluster-state={state}"),
                "--heartbeat-interval=500",
                "--election-timeout=5000",
                "--bcrypt-cost=4",
            ]);
        }
        members[0].start().await;
        for (number, is_learner) in [(1, false), (2, true)] {
            let peer_ur_ls = vec![members[number].peer_url()];
            let add = pb::MemberAddRequest { peer_ur_ls, is_learner };
            let mut first = members[0].api().cluster;
            // etcd waits until the others have been connected for a while.
            until("a member is added", async || first.member_add(add.clone()).await.map(drop).map_err(said))
                .await;
            members[number].spawn();
            let member = &members[number];
            until("a member answers", async || {
                let range = pb::RangeRequest { key: "k".into(), serializable: true, ..Default::default() };
                member.api().kv.range(range).await.map_err(said)?;
                let status = member.api().maintenance.status(pb::StatusRequest {}).await.map_err(said)?;
                let status = status.into_inner();
                let is_ready = status.is_learner == is_learner && status.leader != 0;
                is_ready.then_some(()).ok_or(format!("{status:?}"))
            })
            .await;
        }
        let endpoint = |member: &Server| Endpoint::from_shared(member.url()).expect("a URL").connect_lazy();
        let channels = members.iter().map(endpoint).collect();
        let mut cluster = Cluster { members, channels, tokens: BTreeMap::new() };
        cluster.settle().await;
        cluster.fill(leases).await;
        cluster
    }

    /// An address that a member has.
    pub fn peer_url(&self) -> String {
        self.members[0].peer_url()
    }

    pub fn channel(&self, role: Role) -> &Channel {
        &self.channels[role as usize]
    }

    pub fn token(&self, who: Who) -> Option<&str> {
        match who {
            Who::Anonymous => None,
            Who::Wrong => Some("nonsense.1"),
            // Before the first log-in nobody's token counts.
            _ => Some(self.tokens.get(&who).map_or("nonsense.1", String::as_str)),
        }
    }

    fn api(&self, role: Role) -> Api {
        Api::over(self.channel(role).clone())
    }

    /// Puts the leader first, the follower second.
    pub async fn settle(&mut self) {
        let (this, token) = (&*self, self.tokens.get(&Who::Root).cloned());
        let follows = until("one of them leads", async || {
            let status = |role| {
                let status = by(pb::StatusRequest {}, token.as_ref());
                async move { this.api(role).maintenance.status(status).await.map_err(said) }
            };
            let (first, second) = (status(Role::Leader).await?, status(Role::Follower).await?);
            let (first, second) = (first.into_inner(), second.into_inner());
            let id =
                |status: &pb::StatusResponse| status.header.as_ref().map_or(0, |header| header.member_id);
            match first.leader == second.leader && first.leader != 0 {
                true if first.leader == id(&first) => Ok(false),
                true if first.leader == id(&second) => Ok(true),
                _ => Err(format!("{first:?} {second:?}")),
            }
        })
        .await;
        if follows {
            self.members.swap(0, 1);
            self.channels.swap(0, 1);
        }
    }

    /// Users, keys, leases, an elected leader.
    async fn fill(&self, leases: impl Iterator<Item = i64>) {
        let Api { mut kv, mut lease, mut auth, .. } = self.api(Role::Leader);
        for name in ["root", "ann", "bob", "old"] {
            let (name, password) = (name.to_string(), PASSWORD.to_string());
            let add = pb::AuthUserAddRequest { name, password, ..Default::default() };
            auth.user_add(add).await.expect("a user");
        }
        auth.role_add(pb::AuthRoleAddRequest { name: "r".into() }).await.expect("a role");
        let perm = Some(Permission { perm_type: 2, key: "k/".into(), range_end: "k0".into() });
        let grant = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm };
        auth.role_grant_permission(grant).await.expect("a permission");
        for (user, role) in [("root", "root"), ("bob", "r"), ("old", "r")] {
            let grant = pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
            auth.user_grant_role(grant).await.expect("a grant");
        }
        for id in std::iter::once(LEASE).chain(leases) {
            lease.lease_grant(pb::LeaseGrantRequest { id, ttl: 3600 }).await.expect("a lease");
            let key = if id == LEASE { "k/leased".into() } else { format!("other/{id}") };
            let put = pb::PutRequest { key: key.into(), lease: id, ..Default::default() };
            kv.put(put).await.expect("a put");
        }
        kv.put(pb::PutRequest { key: "k/a".into(), ..Default::default() }).await.expect("a put");
        let campaign = CampaignRequest { name: "k/elect".into(), lease: LEASE, value: "v".into() };
        let mut election = ElectionClient::new(self.channel(Role::Leader).clone());
        election.campaign(campaign).await.expect("nobody else is there");
    }

    /// Raises the alarm, or ends it, while authentication is off.
    pub async fn set_alarm(&mut self, alarm: Alarm, is_raised: bool) {
        let kind = match alarm {
            Alarm::None => return,
            Alarm::NoSpace => 1,
            Alarm::Corrupt => 2,
        };
        let mut maintenance = self.api(Role::Leader).maintenance;
        let status = maintenance.status(pb::StatusRequest {}).await.expect("a status").into_inner();
        let member_id = status.header.expect("a header").member_id;
        let action = if is_raised { 1 } else { 2 };
        maintenance.alarm(pb::AlarmRequest { action, member_id, alarm: kind }).await.expect("an alarm");
        for role in Role::ALL {
            until("every member knows it", async || {
                let status = self.api(role).maintenance.status(pb::StatusRequest {}).await.map_err(said)?;
                let errors = status.into_inner().errors;
                (errors.is_empty() != is_raised).then_some(()).ok_or(format!("{role:?}: {errors:?}"))
            })
            .await;
        }
    }

    /// Enables or disables authentication, whichever it was. Enabled, everybody is logged in, one with a token whose user
    /// has got another password since.
    pub async fn set_auth(&mut self, is_enabled: bool) {
        let mut auth = self.api(Role::Leader).auth;
        let enabled =
            until("a status", async || auth.auth_status(pb::AuthStatusRequest {}).await.map_err(said))
                .await
                .into_inner()
                .enabled;
        if is_enabled {
            if !enabled {
                auth.auth_enable(pb::AuthEnableRequest {}).await.expect("there is a root");
            }
            for who in [Who::Root, Who::Without, Who::With, Who::Outdated] {
                let name = who.name().to_string();
                let login = pb::AuthenticateRequest { name, password: PASSWORD.into() };
                let token = auth.authenticate(login).await.expect("the password").into_inner().token;
                self.tokens.insert(who, token);
            }
            let (name, password) = ("old".to_string(), PASSWORD.to_string());
            let change = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
            auth.user_change_password(by(change, self.tokens.get(&Who::Root))).await.expect("a change");
        } else if enabled {
            let login = pb::AuthenticateRequest { name: "root".into(), password: PASSWORD.into() };
            let token = auth.authenticate(login).await.expect("the password").into_inner().token;
            auth.auth_disable(by(pb::AuthDisableRequest {}, Some(&token))).await.expect("root");
        }
        for role in Role::ALL {
            until("every member knows that", async || self.knows_auth(role, is_enabled).await).await;
        }
    }

    async fn knows_auth(&self, role: Role, is_enabled: bool) -> Result<(), String> {
        for who in [Who::Anonymous, Who::Without, Who::With, Who::Root, Who::Outdated] {
            let token = self.token(who).map(str::to_string);
            let status = by(pb::StatusRequest {}, token.as_ref());
            let found = self.api(role).maintenance.status(status).await.map(drop);
            let expected = match who {
                Who::Anonymous if is_enabled => Err(Code::InvalidArgument),
                Who::Outdated if is_enabled => Err(Code::Unauthenticated),
                _ => Ok(()),
            };
            if found.as_ref().map_err(Status::code) != expected.as_ref().map_err(|code| *code) {
                return Err(format!("{who:?} at {role:?}: {found:?}"));
            }
        }
        Ok(())
    }
}
