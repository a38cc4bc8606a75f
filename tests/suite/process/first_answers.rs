//! What clients see while a member starts.

use crate::harness::{PATIENCE, Setup, free_port, subject};
use kvd::api::proto::etcdserverpb::{MemberListRequest, RangeRequest, StatusRequest};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first answer to a GET.
async fn first_page(endpoint: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n");
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let mut answer = String::new();
        if let Ok(mut connection) = TcpStream::connect(endpoint).await
            && connection.write_all(request.as_bytes()).await.is_ok()
            && connection.read_to_string(&mut answer).await.is_ok()
            && !answer.is_empty()
        {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nobody answers at {endpoint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_answered_finds_a_named_member_and_a_version() {
    if !subject().is_kvd() {
        // etcd admits clients a moment before the version is decided.
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    // A new member, and one that restarts.
    for _ in 0..4 {
        server.spawn();
        let endpoint = server.endpoint();
        let (version, members) = tokio::join!(first_page(&endpoint, "/version"), async {
            let start = Instant::now();
            while start.elapsed() < PATIENCE {
                let request = MemberListRequest { linearizable: false };
                if let Ok(answer) = server.api().cluster.member_list(request).await {
                    return answer.into_inner().members;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Vec::new()
        });
        assert!(version.contains("\"etcdcluster\":\"3.7.0\""), "{version}\n{}", server.log());
        let named: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(named, ["node"], "{}", server.log());
        assert!(server.log().contains("ready to serve client requests"), "{}", server.log());
        server.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_what_needs_none_is_served_in_the_end() {
    if !subject().is_kvd() {
        // etcd answers nobody until there is a quorum.
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    let nobody = free_port();
    let cluster = format!("--initial-cluster=node={},other=http://127.0.0.1:{nobody}", server.peer_url());
    server.add_args(&[&cluster, "--heartbeat-interval=10", "--election-timeout=50"]);
    server.spawn();
    let start = Instant::now();
    let status = loop {
        assert!(start.elapsed() < PATIENCE, "nobody answers\n{}", server.log());
        match server.api().maintenance.clone().status(StatusRequest {}).await {
            Ok(status) => break status.into_inner(),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!((status.leader, status.errors), (0, vec!["etcdserver: no leader".to_owned()]));
    let request = RangeRequest { key: "a".into(), serializable: true, ..Default::default() };
    let read = server.api().kv.range(request).await.expect("a serializable read");
    assert_eq!(read.into_inner().count, 0);
    assert!(first_page(&server.endpoint(), "/livez").await.ends_with("ok\n"));
    assert!(server.log().contains("serving what needs no quorum"), "{}", server.log());
}
