//! The service manager's side of notification and socket activation, played by the test, without systemd.

use crate::harness::{Server, Setup, orderly, subject, until};
use kvd::api::proto::etcdserverpb::PutRequest;
use rustix::process::Signal;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

/// What was received so far, one item per line.
pub struct Manager {
    socket: UnixDatagram,
    heard: String,
}

impl Manager {
    pub fn of(server: &mut Server) -> Manager {
        let path = server.dir().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_nonblocking(true).expect("it can");
        server.add_env("NOTIFY_SOCKET", &path.display().to_string());
        Manager { socket, heard: String::new() }
    }

    fn has_heard(&mut self, word: &str) -> bool {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        self.heard.lines().any(|line| line.starts_with(word))
    }

    pub async fn hears(&mut self, word: &str) {
        until(&format!("{word} is said"), || self.has_heard(word)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_status_reload_and_stop_are_told() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    let mut manager = Manager::of(&mut server);
    server.add_env("WATCHDOG_USEC", "2000000");
    server.start().await;
    manager.hears("READY=1").await;
    manager.hears("STATUS=serving, leader").await;
    manager.hears("WATCHDOG=1").await;
    manager.hears("FDSTORE=1").await;
    assert!(manager.heard.contains("FDNAME=kvd-127.0.0.1-"), "{}", manager.heard);
    assert!(!manager.has_heard("RELOADING=1"));
    let before = manager.heard.matches("READY=1").count();
    server.signal(Signal::HUP);
    manager.hears("RELOADING=1").await;
    manager.hears("MONOTONIC_USEC=").await;
    until("it is ready again", || {
        manager.has_heard("READY=1") && manager.heard.matches("READY=1").count() > before
    })
    .await;
    server.signal(Signal::TERM);
    assert!(orderly(server.ended().await));
    manager.hears("STOPPING=1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_a_quorum_is_ready_and_says_that_it_waits() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    let mut manager = Manager::of(&mut server);
    let nobody = crate::harness::free_port();
    let cluster = format!("--initial-cluster=node={},other=http://127.0.0.1:{nobody}", server.peer_url());
    server.add_args(&[&cluster]);
    server.spawn();
    manager.hears("READY=1").await;
    manager.hears("STATUS=waiting for quorum, 1 of 2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_is_passed_is_taken_over() {
    if !subject().is_kvd() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let peer = format!("http://127.0.0.1:{}", crate::harness::free_port());
    // The shell passes the socket as the protocol requires, and knows its own process id.
    let script =
        "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=kvd.socket; exec \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(subject().path())
        .args(["--data-dir", &dir.path().join("data").display().to_string()])
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stderr(std::fs::File::create(dir.path().join("log")).expect("a log"))
        .spawn()
        .expect("it starts");
    let api = crate::harness::Api::lazy(&url);
    let put = PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    // The socket listens all the time, so even the very first call waits for the member.
    let answer = tokio::time::timeout(crate::harness::PATIENCE, api.kv.clone().put(put)).await;
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(matches!(answer, Ok(Ok(_))), "{answer:?}\n{log}");
    assert!(log.contains("taking over a listening socket"), "{log}");
}
