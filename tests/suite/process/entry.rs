//! Members that the cluster refuses: they say why and exit with 77, so that they are not restarted again and again.

use crate::harness::{Server, Setup, free_port, subject, until};

const SECRET: &str = "the secret of all members";

/// A member that wants to join by asking these peers.
fn joiner(peers: &[String], more: &[&str]) -> Server {
    let mut server = Setup::of(&subject()).bare().prepare();
    let (data, client, peer) = (server.data_dir().display().to_string(), server.url(), server.peer_url());
    let own = [
        "--name=late".to_owned(),
        format!("--data-dir={data}"),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        "--initial-cluster-state=existing".to_owned(),
        format!("--join-peers={}", peers.join(",")),
    ];
    let all: Vec<&str> = own.iter().map(String::as_str).chain(more.iter().copied()).collect();
    server.add_args(&all);
    server
}

/// The reason it gives for not starting, after it has exited with 77.
async fn refused(mut server: Server) -> String {
    server.spawn();
    let status = server.ended().await;
    let log = server.log();
    assert_eq!(status.code(), Some(77), "{log}");
    let why = log.lines().find(|line| line.contains("failed to start"));
    why.unwrap_or_else(|| panic!("no reason in: {log}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_secret_is_named_by_both_sides_beside_the_reason_of_every_peer() {
    if !subject().is_kvd() {
        return;
    }
    let member = Setup::of(&subject()).arg(format!("--cluster-secret={SECRET}")).start().await;
    let dead = format!("http://127.0.0.1:{}", free_port());
    let words = "the other side does not have the same cluster secret (or certificate authority)";
    for peers in [[dead.clone(), member.peer_url()], [member.peer_url(), dead.clone()]] {
        let why = refused(joiner(&peers, &["--cluster-secret=the secret of another cluster"])).await;
        assert!(why.contains(&format!("{}: ", dead)), "{why}");
        assert!(why.contains(&format!("{}: ", member.peer_url())) && why.contains(words), "{why}");
    }
    until("the member says it as well", || {
        member
            .log()
            .lines()
            .any(|line| line.contains("rejected a connection of a peer") && line.contains(words))
    })
    .await;
    // The same for a member without a secret, or with a secret if the cluster has none.
    let why = refused(joiner(&[member.peer_url()], &[])).await;
    assert!(why.contains(words), "{why}");
    let mut good = joiner(&[dead, member.peer_url()], &[&format!("--cluster-secret={SECRET}")]);
    good.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_token_is_refused() {
    if !subject().is_kvd() {
        return;
    }
    let secret = format!("--cluster-secret={SECRET}");
    let member = Setup::of(&subject()).arg(&secret).arg("--initial-cluster-token=red").start().await;
    let peers = [member.peer_url()];
    let why = refused(joiner(&peers, &[&secret, "--initial-cluster-token=blue"])).await;
    assert!(why.contains("initial-cluster-token") && why.contains("blue") && why.contains("red"), "{why}");
    joiner(&peers, &[&secret, "--initial-cluster-token=red"]).start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_secret_ends_the_first_start_of_a_new_cluster() {
    if !subject().is_kvd() {
        return;
    }
    let member = Setup::of(&subject()).arg(format!("--cluster-secret={SECRET}")).start().await;
    let mut server = Setup::of(&subject()).bare().prepare();
    let (data, client, peer) = (server.data_dir().display().to_string(), server.url(), server.peer_url());
    let members = format!("--initial-cluster=one={},two={peer}", member.peer_url());
    let own = [
        "--name=two".to_owned(),
        format!("--data-dir={data}"),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        "--cluster-secret=the secret of another cluster".to_owned(),
        members,
    ];
    server.add_args(&own.each_ref().map(String::as_str));
    let why = refused(server).await;
    assert!(why.contains("does not have the same cluster secret"), "{why}");
    assert!(!std::path::Path::new(&data).join("member/identity").exists(), "it is no member yet");
}
