//! What those find who come while a member starts.

use crate::harness::{PATIENCE, Setup, subject};
use kvd::api::proto::etcdserverpb::MemberListRequest;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first answer there is to a GET.
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
        // etcd lets clients in a moment before the version is decided.
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    // A fresh member, and one that comes back.
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
