//! A changed configuration in a running member.

use crate::harness::{Server, Setup, subject, until};
use kvd::api::proto::etcdserverpb::{AlarmRequest, AlarmType, PutRequest, StatusRequest, alarm_request};
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};

struct Reloaded {
    server: Server,
    file: PathBuf,
}

impl Reloaded {
    async fn start() -> Reloaded {
        Self::with("").await
    }

    async fn with(more: &str) -> Reloaded {
        let mut server = Setup::of(&subject()).bare().prepare();
        let file = server.dir().join("cluster.toml");
        server.add_args(&["--config-file", &file.display().to_string()]);
        let mut reloaded = Reloaded { server, file };
        reloaded.write(more);
        reloaded.server.start().await;
        reloaded
    }

    fn write(&self, more: &str) {
        let server = &self.server;
        let text = format!(
            "name = \"node\"\ndata-dir = \"{}\"\nadmin-socket = \"{}\"\nlisten-client-urls = [\"{url}\"]\n\
             advertise-client-urls = [\"{url}\"]\nlisten-peer-urls = [\"{peer}\"]\n\
             initial-advertise-peer-urls = [\"{peer}\"]\n{more}\n",
            server.data_dir().display(),
            server.dir().join("admin.sock").display(),
            url = server.url(),
            peer = server.peer_url(),
        );
        std::fs::write(&self.file, text).expect("the file");
    }

    fn kvctl(&self) -> Output {
        self.asked(&["reload"])
    }

    /// What the daemon answers kvctl.
    fn asked(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvctl"));
        command.args(words).arg("--admin-socket").arg(self.server.dir().join("admin.sock"));
        command.output().expect("kvctl runs")
    }

    /// A client that leaves in the middle of a request is logged at debug level.
    fn leave(&self) {
        let mut leaving = TcpStream::connect(self.server.endpoint()).expect("connected");
        leaving.write_all(b"GET /version HTTP/1.1\r\nHo").expect("written");
    }

    async fn quota(&self) -> i64 {
        let answer = self.server.api().maintenance.clone().status(StatusRequest {}).await.expect("a status");
        answer.into_inner().db_size_quota
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_change_is_in_force_and_what_takes_a_restart_is_told() {
    if !subject().is_kvd() {
        return;
    }
    let member = Reloaded::start().await;
    let nothing = member.kvctl();
    assert_eq!((nothing.status.code(), text(&nothing.stdout).as_str()), (Some(0), "nothing has changed\n"));
    member.write("quota-backend-bytes = 77777777\nlog-level = \"debug\"\nheartbeat-interval = 120\n");
    let told = member.kvctl();
    assert!(told.status.success(), "{told:?}");
    let lines = text(&told.stdout);
    for line in [
        "quota-backend-bytes = 77777777 is in force",
        "log-level = \"debug\" is in force",
        "heartbeat-interval = 120 takes a restart",
    ] {
        assert!(lines.lines().any(|told| told == line), "{line} is not in {lines}");
    }
    assert_eq!(member.quota().await, 77_777_777);
    member.leave();
    until("lines of debugging", || member.server.log().contains("\"level\":\"debug\"")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_level_changes_without_a_file_until_the_next_reload() {
    if !subject().is_kvd() {
        return;
    }
    let member = Reloaded::start().await;
    let refused = member.asked(&["log-level", "loud"]);
    assert_eq!(
        (refused.status.code(), text(&refused.stderr).as_str()),
        (Some(128), "Error: \"loud\" is no log level\n")
    );
    let told = member.asked(&["log-level", "debug"]);
    assert_eq!(text(&told.stdout), "log-level debug is in force until a reload or a restart\n", "{told:?}");
    let debug = |member: &Reloaded| member.server.log().matches("\"level\":\"debug\"").count();
    until("lines of debugging", || {
        member.leave();
        debug(&member) > 0
    })
    .await;
    assert!(member.kvctl().status.success());
    until("the line in the log", || member.server.log().contains("the configuration was read again")).await;
    assert!(member.asked(&["log-level", "error"]).status.success());
    member.server.signal(Signal::HUP);
    until("info again", || member.server.log().matches("the configuration was read again").count() == 2)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_is_refused_with_its_findings() {
    if !subject().is_kvd() {
        return;
    }
    let member = Reloaded::start().await;
    let quota = member.quota().await;
    member.write("quota-backend-bytes = 1000000\nlog-levle = \"debug\"\n");
    let refused = member.kvctl();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let err = text(&refused.stderr);
    assert!(err.contains("cluster.toml:9:1") && err.contains("log-level"), "{err}");
    assert!(
        err.ends_with("Error: the new configuration is refused; kvd goes on with the old one\n"),
        "{err}"
    );
    assert_eq!(member.quota().await, quota, "nothing of it is in force");
    assert!(member.server.log().contains("the new configuration is refused"), "{}", member.server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_the_configuration_again() {
    if !subject().is_kvd() {
        return;
    }
    let member = Reloaded::start().await;
    member.write("quota-backend-bytes = 88888888\n");
    member.server.signal(Signal::HUP);
    until("the line in the log", || member.server.log().contains("the configuration was read again")).await;
    assert_eq!(member.quota().await, 88_888_888);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_raised_counts_for_the_next_write() {
    if !subject().is_kvd() {
        return;
    }
    let member = Reloaded::with("quota-backend-bytes = 60000\n").await;
    let put = || {
        let request = PutRequest { key: "k".into(), value: vec![1; 8000].into(), ..PutRequest::default() };
        let mut kv = member.server.api().kv.clone();
        async move { kv.put(request).await }
    };
    let mut written = 0;
    while put().await.is_ok() {
        written += 1;
    }
    assert!((1..8).contains(&written), "{written}");
    member.write("quota-backend-bytes = 60000000\n");
    assert!(member.kvctl().status.success());
    // The alarm stays until it is disarmed, as always.
    let full = put().await.expect_err("the alarm is raised");
    assert_eq!(full.message(), "etcdserver: mvcc: database space exceeded");
    let disarm = AlarmRequest {
        action: alarm_request::AlarmAction::Deactivate as i32,
        alarm: AlarmType::Nospace as i32,
        member_id: 0,
    };
    let mut maintenance = member.server.api().maintenance.clone();
    let list = AlarmRequest { action: alarm_request::AlarmAction::Get as i32, alarm: 0, member_id: 0 };
    let alarms = maintenance.alarm(list).await.expect("the alarms").into_inner().alarms;
    for alarm in alarms {
        maintenance.alarm(AlarmRequest { member_id: alarm.member_id, ..disarm }).await.expect("disarmed");
    }
    for _ in 0..20 {
        put().await.expect("there is room, and the answer says so");
    }
}
