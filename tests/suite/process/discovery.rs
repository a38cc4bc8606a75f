//! First members that find each other through another cluster: kvd's own and a real etcd as the service.

use super::authority::Authority;
use super::notify::Manager;
use super::users::{PASSWORD, enable};
use crate::harness::{Api, Program, Server, Setup, Three, answers, free_port, reference, subject, until};
use kvd::api::proto::etcdserverpb::{MemberListRequest, PutRequest};
use kvd::model::MemberId;
use rcgen::ExtendedKeyUsagePurpose;
use std::collections::BTreeMap;

/// A member that finds the others under `token`.
fn member(name: &str, token: &str, endpoints: &str) -> Server {
    member_of(&subject(), name, token, endpoints)
}

fn member_of(program: &Program, name: &str, token: &str, endpoints: &str) -> Server {
    let mut server = Setup::of(program).bare().prepare();
    let (data, client, peer) = (server.data_dir().display().to_string(), server.url(), server.peer_url());
    server.add_args(&[
        &format!("--name={name}"),
        &format!("--data-dir={data}"),
        &format!("--listen-client-urls={client}"),
        &format!("--advertise-client-urls={client}"),
        &format!("--listen-peer-urls={peer}"),
        &format!("--initial-advertise-peer-urls={peer}"),
        &format!("--discovery-token={token}"),
        &format!("--discovery-endpoints={endpoints}"),
    ]);
    server
}

async fn set_size(api: &Api, token: &str, size: &str) {
    let put = PutRequest {
        key: format!("/_etcd/registry/{token}/_config/size").into(),
        value: size.to_owned().into(),
        ..PutRequest::default()
    };
    api.kv.clone().put(put).await.expect("the size is written");
}

/// The ids and names of a member's cluster, once all have published their names.
async fn roll(member: &Server, size: usize) -> BTreeMap<u64, String> {
    let begun = std::time::Instant::now();
    loop {
        let request = MemberListRequest { linearizable: true };
        if let Ok(answer) = member.api().cluster.member_list(request).await {
            let members = answer.into_inner().members;
            let found: BTreeMap<u64, String> =
                members.into_iter().map(|member| (member.id, member.name)).collect();
            if found.len() == size && found.values().all(|name| !name.is_empty()) {
                return found;
            }
        }
        assert!(begun.elapsed() < crate::harness::PATIENCE, "no whole cluster: {}", member.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Starts three members, one after another, and compares what they become with what etcd's rules say.
async fn form(token: &str, endpoints: &str) -> Vec<Server> {
    let mut members: Vec<Server> =
        (0..3).map(|number| member(&format!("m{number}"), token, endpoints)).collect();
    for member in &mut members {
        member.spawn();
    }
    let expected: BTreeMap<u64, String> = members
        .iter()
        .enumerate()
        .map(|(number, member)| {
            (MemberId::compute(&[member.peer_url()], token, None).0, format!("m{number}"))
        })
        .collect();
    for member in &members {
        answers(member).await;
        assert_eq!(roll(member, 3).await, expected);
    }
    members
}

/// The log of a member that does not start, with its exit code.
async fn refused(mut server: Server) -> (Option<i32>, String) {
    server.spawn();
    let status = server.ended().await;
    (status.code(), server.log())
}

/// With a service of `program` on one member.
async fn through(program: &Program) {
    let service = Setup::of(program).start().await;
    let (api, endpoint) = (service.api(), service.url());
    set_size(&api, "one", "3").await;
    let mut members = form("one", &endpoint).await;

    let (code, log) = refused(member("m3", "one", &endpoint)).await;
    assert!(log.contains("failed to join discovery cluster (discovery: cluster is full: m"), "{log}");
    assert_eq!(code, Some(77), "{log}");

    // Its identity is in its data: the token does not matter any more.
    members[0].stop().await;
    members[0].start().await;
    assert_eq!(roll(&members[0], 3).await.len(), 3);

    // Without its data it must not begin again, although its registration is there.
    members[0].stop().await;
    std::fs::remove_dir_all(members[0].data_dir()).expect("removed");
    members[0].spawn();
    assert_eq!(members[0].ended().await.code(), Some(1));
    assert!(members[0].log().contains("has already been bootstrapped"), "{}", members[0].log());

    let (code, log) = refused(member("m0", "none", &endpoint)).await;
    assert!(log.contains("failed to join discovery cluster (discovery: size key not found"), "{log}");
    assert_eq!(code, Some(1), "whoever makes the token may be late: {log}");
    set_size(&api, "bad", "many").await;
    let (_, log) = refused(member("m0", "bad", &endpoint)).await;
    assert!(log.contains("failed to join discovery cluster (discovery: size key is bad"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_find_each_other_through_kvd() {
    if subject().is_kvd() {
        through(&subject()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_find_each_other_through_a_real_etcd() {
    if let (true, Some(etcd)) = (subject().is_kvd(), reference("members_find_each_other_through_a_real_etcd"))
    {
        through(&etcd).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_endpoints_may_be_down() {
    let Some(etcd) = reference("one_of_three_endpoints_may_be_down").filter(|_| subject().is_kvd()) else {
        return;
    };
    for program in [subject(), etcd] {
        let mut service = Three::of(&program, |_, _| {}).await;
        let leader = service.leader().await;
        set_size(&service.0[leader].api(), "t", "3").await;
        let endpoints: Vec<String> = service.0.iter().map(Server::url).collect();
        // The first one that is asked.
        service.0[0].kill();
        form("t", &endpoints.join(",")).await;
    }
}

/// A real etcd's words for the same mistakes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_have_etcds_texts() {
    let Some(etcd) = reference("mistakes_have_etcds_texts").filter(|_| subject().is_kvd()) else { return };
    let service = Setup::of(&etcd).start().await;
    set_size(&service.api(), "full", "1").await;
    set_size(&service.api(), "bad", "0").await;
    member_of(&etcd, "first", "full", &service.url()).start().await;
    for (token, words) in [
        ("full", "discovery: cluster is full"),
        ("none", "discovery: size key not found"),
        ("bad", "discovery: size key is bad"),
    ] {
        for program in [&etcd, &subject()] {
            let (code, log) = refused(member_of(program, "late", token, &service.url())).await;
            assert!(log.contains(words), "{program}: {log}");
            assert_ne!(code, Some(0), "{program}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_one_name_or_with_one_address_are_refused() {
    if !subject().is_kvd() {
        return;
    }
    let service = Setup::of(&subject()).start().await;
    set_size(&service.api(), "t", "3").await;
    let mut first = member("first", "t", &service.url());
    first.spawn();
    until("the first one waits", || first.log().contains("waiting for 2 of 3 members to register")).await;

    let (code, log) = refused(member("first", "t", &service.url())).await;
    assert!(log.replace('\\', "").contains("the name \"first\" is registered twice"), "{log}");
    assert_eq!(code, Some(77), "{log}");

    let mut same = member("second", "t", &service.url());
    let theirs = format!("--initial-advertise-peer-urls={}", first.peer_url());
    same.add_args(&[&theirs]);
    let (code, log) = refused(same).await;
    assert!(log.contains(&format!("is registered already as first={}", first.peer_url())), "{log}");
    assert_eq!(code, Some(77), "{log}");
    assert!(first.is_running(), "{}", first.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_is_waited_for_and_systemd_is_notified() {
    if !subject().is_kvd() {
        return;
    }
    let mut service = Setup::of(&subject()).prepare();
    let mut lone = member("lone", "t", &service.url());
    let mut manager = Manager::of(&mut lone);
    lone.spawn();
    let words = format!("finding the cluster: the discovery service does not answer: {}", service.url());
    manager.hears(&format!("STATUS={words}")).await;
    assert!(lone.log().contains("the discovery service does not answer"), "{}", lone.log());
    service.start().await;
    set_size(&service.api(), "t", "1").await;
    answers(&lone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_may_ask_for_tls_and_a_user() {
    if !subject().is_kvd() {
        return;
    }
    let authority = Authority::new("test CA");
    let purposes = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let (server, key) = authority.issue("server", 1, &purposes);
    let (client, client_key) = authority.issue("client", 2, &[ExtendedKeyUsagePurpose::ClientAuth]);
    let mut service = Setup::of(&subject()).prepare();
    let file = |name: &str, text: String| {
        let path = service.dir().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let ca = file("ca.pem", authority.certificate.pem());
    let (cert, key) = (file("server.pem", server.pem()), file("server.key", key.serialize_pem()));
    let own = (file("client.pem", client.pem()), file("client.key", client_key.serialize_pem()));
    let (port, plain) = (free_port(), service.url());
    service.add_args(&[
        &format!("--listen-client-urls={plain},https://127.0.0.1:{port}"),
        &format!("--advertise-client-urls=https://127.0.0.1:{port}"),
        &format!("--cert-file={cert}"),
        &format!("--key-file={key}"),
        &format!("--trusted-ca-file={ca}"),
        "--client-cert-auth",
        "--bcrypt-cost=4",
    ]);
    service.start().await;
    set_size(&service.api(), "t", "1").await;
    enable(&service.api()).await;

    let endpoint = format!("https://localhost:{port}");
    let secured = |more: &[&str]| {
        let mut member = member("lone", "t", &endpoint);
        member.add_args(&[
            &format!("--discovery-cacert={ca}"),
            &format!("--discovery-cert={}", own.0),
            &format!("--discovery-key={}", own.1),
        ]);
        member.add_args(more);
        member
    };
    let (code, log) = refused(secured(&["--discovery-user=root:wrong"])).await;
    assert!(log.contains("authentication failed, invalid user ID or password"), "{log}");
    assert!(!log.contains("root:wrong"), "{log}");
    assert_eq!(code, Some(77), "{log}");

    let mut stranger = member("lone", "t", &endpoint);
    stranger.spawn();
    until("an unknown CA is named", || stranger.log().contains("the discovery service does not answer"))
        .await;

    let mut other = secured(&["--discovery-server-name=elsewhere.example"]);
    other.spawn();
    until("another name is missed", || other.log().contains("the discovery service does not answer")).await;

    let mut good = secured(&[
        "--discovery-server-name=localhost",
        "--discovery-user=root",
        &format!("--discovery-password={PASSWORD}"),
    ]);
    good.spawn();
    answers(&good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v2_discovery_is_refused_with_what_to_use() {
    if !subject().is_kvd() {
        return;
    }
    let mut server =
        Setup::of(&subject()).arg("--discovery=https://discovery.etcd.io/3e86b59982e49066").prepare();
    server.spawn();
    assert_eq!(server.ended().await.code(), Some(78));
    let log = server.log();
    assert!(log.contains("v2 discovery was removed from etcd in 3.7; use --discovery-endpoints"), "{log}");
}
