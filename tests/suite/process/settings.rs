//! Flags in the form of etcd's users, variables, and kvd's file with its drop-ins.

use crate::harness::{Server, Setup, free_port, subject, until};
use kvd::api::proto::etcdserverpb::{MemberListRequest, StatusRequest};
use std::process::{Command, Output};

async fn name(server: &Server) -> String {
    let request = MemberListRequest { linearizable: true };
    let answer = server.api().cluster.clone().member_list(request).await.expect("a list of members");
    answer.into_inner().members.first().map(|member| member.name.clone()).unwrap_or_default()
}

async fn quota(server: &Server) -> i64 {
    let answer = server.api().maintenance.clone().status(StatusRequest {}).await.expect("a status");
    answer.into_inner().db_size_quota
}

/// The program's output for arguments with which it ends at once.
fn said(args: &[&str]) -> Output {
    Command::new(subject().path()).args(args).env_clear().output().expect("the program runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_with_one_dash_and_two_with_and_without_equals_sign() {
    let mut server = Setup::of(&subject()).bare().prepare();
    let data = server.data_dir().display().to_string();
    let (url, peer) = (server.url(), server.peer_url());
    let cluster = format!("one-dash={peer}");
    server.add_args(&["-name", "one-dash", &format!("-data-dir={data}"), "-listen-client-urls", &url]);
    server.add_args(&["--advertise-client-urls", &url, "-listen-peer-urls", &peer]);
    server.add_args(&["--initial-advertise-peer-urls", &peer, "-initial-cluster", &cluster]);
    server.add_args(&["--quota-backend-bytes=123456789", "-pre-vote=true"]);
    server.start().await;
    assert_eq!(name(&server).await, "one-dash");
    assert_eq!(quota(&server).await, 123_456_789);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_named_as_flags_are() {
    let mut server = Setup::of(&subject()).bare().prepare();
    let (url, peer, data) = (server.url(), server.peer_url(), server.data_dir().display().to_string());
    server.add_env("ETCD_NAME", "by-variable");
    server.add_env("ETCD_DATA_DIR", &data);
    server.add_env("ETCD_LISTEN_CLIENT_URLS", &url);
    server.add_env("ETCD_ADVERTISE_CLIENT_URLS", &url);
    server.add_env("ETCD_LISTEN_PEER_URLS", &peer);
    server.add_env("ETCD_INITIAL_ADVERTISE_PEER_URLS", &peer);
    server.add_env("ETCD_INITIAL_CLUSTER", &format!("by-variable={peer}"));
    server.add_env("ETCD_QUOTA_BACKEND_BYTES", "98765432");
    server.start().await;
    assert_eq!(name(&server).await, "by-variable");
    assert_eq!(quota(&server).await, 98_765_432);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_and_drop_ins_merge_with_variables_and_flags() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = Setup::of(&subject()).bare().prepare();
    let (url, peer, data) = (server.url(), server.peer_url(), server.data_dir().display().to_string());
    let file = server.dir().join("cluster.toml");
    let drop_ins = server.dir().join("cluster.toml.d");
    std::fs::create_dir(&drop_ins).expect("a directory for drop-ins");
    let text = format!(
        "name = \"from-file\"\ndata-dir = \"{data}\"\nlisten-client-urls = \"{url}\"\n\
         advertise-client-urls = \"{url}\"\nlisten-peer-urls = \"{peer}\"\n\
         initial-advertise-peer-urls = \"{peer}\"\nquota-backend-bytes = 1000000000\n\
         [initial-cluster]\nfrom-drop-in = \"{peer}\"\n"
    );
    std::fs::write(&file, text).expect("the file");
    std::fs::write(drop_ins.join("10-name.toml"), "name = \"overwritten\"\n").expect("a drop-in");
    std::fs::write(drop_ins.join("20-name.toml"), "name = \"from-drop-in\"\nmax-txn-ops = 7\n")
        .expect("a drop-in");
    server.add_env("KVD_CONFIG_FILE", &file.display().to_string());
    server.add_env("ETCD_QUOTA_BACKEND_BYTES", "2000000000");
    server.add_args(&["--max-request-bytes=1000000"]);
    server.start().await;
    assert_eq!(name(&server).await, "from-drop-in");
    assert_eq!(quota(&server).await, 2_000_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_said_and_end_the_start() {
    let unknown = said(&["--no-such-flag"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no-such-flag"), "{unknown:?}");
    let bad = said(&["--election-timeout=soon"]);
    assert!(!bad.status.success());
    assert!(String::from_utf8_lossy(&bad.stderr).contains("election-timeout"), "{bad:?}");
    let version = said(&["--version"]);
    assert!(version.status.success() && !version.stdout.is_empty(), "{version:?}");
    let help = said(&["--help"]);
    assert!(help.status.success(), "{help:?}");
    let help = String::from_utf8_lossy(&help.stdout).into_owned() + &String::from_utf8_lossy(&help.stderr);
    assert!(help.contains("data-dir"), "{help}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_the_same_data_is_refused() {
    if !subject().is_kvd() {
        return;
    }
    let server = Server::of(&subject()).await;
    let mut second = Setup::of(&subject()).prepare();
    second.add_args(&[&format!("--data-dir={}", server.data_dir().display())]);
    second.spawn();
    let status = second.ended().await;
    assert_eq!(status.code(), Some(1), "{}", second.log());
    let log = second.log();
    assert!(log.contains("in use") || log.contains("another process"), "{log}");
    assert_eq!(name(&server).await, "node", "the first one is not disturbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_the_members_and_ignores_what_only_founds_a_cluster() {
    let mut server = Server::of(&subject()).await;
    let status = async |server: &Server| {
        let status = server.api().maintenance.clone().status(StatusRequest {}).await.expect("a status");
        status.into_inner().header.map(|header| (header.cluster_id, header.member_id))
    };
    let before = status(&server).await;
    server.stop().await;
    server.add_args(&[&format!("--initial-cluster=node=http://127.0.0.1:{}", free_port())]);
    server.add_args(&["--initial-cluster-token=another", "--initial-cluster-state=existing"]);
    server.start().await;
    assert_eq!(status(&server).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_when_clients_are_served() {
    let server = Server::of(&subject()).await;
    until("the line in the log", || server.log().contains("ready to serve client requests")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::of(&subject()).await;
    let mode = std::fs::metadata(server.data_dir()).expect("the data directory").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
