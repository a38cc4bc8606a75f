//! One server process on loopback with its own data directory; it ends at the latest with the test.

use super::ports::free_port;
use super::wait::PATIENCE;
use super::{Api, Program};
use kvd::api::proto::etcdserverpb::{MemberListRequest, RangeRequest};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Setup {
    program: Program,
    args: Vec<String>,
    env: Vec<(String, String)>,
    listeners: bool,
}

impl Setup {
    /// A single member with default settings.
    pub fn of(program: &Program) -> Setup {
        Setup { program: program.clone(), args: Vec::new(), env: Vec::new(), listeners: true }
    }

    /// With one more command line argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Setup {
        self.args.push(arg.into());
        self
    }

    /// Without the flags for name, directory and addresses: the test gives all of them.
    pub fn bare(mut self) -> Setup {
        self.listeners = false;
        self
    }

    /// Starts it and waits until it answers a linearizable read.
    pub async fn start(self) -> Server {
        let mut server = Server::new(self);
        server.start().await;
        server
    }

    /// Everything but the process: directory and ports are fixed, so a test can refer to them.
    pub fn prepare(self) -> Server {
        Server::new(self)
    }
}

/// A server process, which may run now, later, or have ended.
pub struct Server {
    setup: Setup,
    dir: TempDir,
    child: Option<Child>,
    client_port: u16,
    peer_port: u16,
    starts: usize,
    fixed: bool,
    through: Vec<String>,
}

impl Server {
    fn new(setup: Setup) -> Server {
        let dir = tempfile::Builder::new().prefix("kvd-suite-").tempdir().expect("a temporary directory");
        Server {
            setup,
            dir,
            child: None,
            client_port: free_port(),
            peer_port: free_port(),
            starts: 0,
            fixed: false,
            through: Vec::new(),
        }
    }

    /// A single member of `program` with default settings, which answers.
    pub async fn of(program: &Program) -> Server {
        Setup::of(program).start().await
    }

    /// Host and port of the client listener.
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    /// Whether it is kvd.
    pub fn is_kvd(&self) -> bool {
        self.setup.program.is_kvd()
    }

    /// URL of the client listener.
    pub fn url(&self) -> String {
        format!("http://{}", self.endpoint())
    }

    /// URL of the peer listener.
    pub fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// The member's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A directory for the test, next to the data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A fresh connection.
    pub fn api(&self) -> Api {
        Api::lazy(&self.url())
    }

    /// The process id while it runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// Everything the process wrote since its last start, standard output and error together.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// True if the process has written anything since its start.
    pub fn begun(&self) -> bool {
        !self.log().is_empty()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join(format!("log.{}", self.starts))
    }

    /// More arguments for the next start; if a flag is given twice, the last one counts.
    pub fn add_args(&mut self, args: &[&str]) {
        self.fixed = true;
        self.setup.args.extend(args.iter().map(|arg| (*arg).to_owned()));
    }

    /// An environment variable for the next start.
    pub fn add_env(&mut self, name: &str, value: &str) {
        self.fixed = true;
        self.setup.env.push((name.to_owned(), value.to_owned()));
    }

    /// Further starts go through a command that becomes the server (`strace -D`); an empty command ends that.
    pub fn through(&mut self, command: &[String]) {
        self.through = command.to_vec();
    }

    /// Starts the process (again) on the same data and waits until it answers a linearizable read and has published its
    /// name. If the ports are taken at the first start, it uses other ports, unless the test has named them.
    pub async fn start(&mut self) {
        for _ in 0..5 {
            self.spawn();
            match self.answers().await {
                Ok(()) => return,
                Err(status)
                    if self.starts == 1 && !self.fixed && self.log().contains("address already in use") =>
                {
                    self.child = None;
                    self.starts = 0;
                    self.client_port = free_port();
                    self.peer_port = free_port();
                    let _ = status;
                }
                Err(status) => panic!("{} ended with {status} at its start", self.setup.program),
            }
        }
        panic!("no ports for {}", self.setup.program);
    }

    /// Starts the process without waiting for anything.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "one process at a time");
        self.starts += 1;
        let log = File::create(self.log_path()).expect("a log file");
        let mut command = match self.through.split_first() {
            Some((through, args)) => {
                let mut command = Command::new(through);
                command.args(args).arg(self.setup.program.path());
                command
            }
            None => Command::new(self.setup.program.path()),
        };
        command
            .args(self.arguments())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.setup.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        let child = command.spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("cannot run {}: {error}", self.setup.program)));
    }

    /// The whole command line of the next start, without the program.
    pub fn arguments(&self) -> Vec<String> {
        let own = if self.setup.listeners { self.member_flags() } else { Vec::new() };
        own.into_iter().chain(self.setup.args.iter().cloned()).collect()
    }

    fn member_flags(&self) -> Vec<String> {
        vec![
            "--name=node".to_owned(),
            format!("--data-dir={}", self.data_dir().display()),
            format!("--listen-client-urls={}", self.url()),
            format!("--advertise-client-urls={}", self.url()),
            format!("--listen-peer-urls={}", self.peer_url()),
            format!("--initial-advertise-peer-urls={}", self.peer_url()),
            format!("--initial-cluster=node={}", self.peer_url()),
        ]
    }

    /// Waits until a linearizable read is answered and the member has published its name; an error is the status with
    /// which the process ended.
    pub async fn answers(&mut self) -> Result<(), ExitStatus> {
        let start = Instant::now();
        let request = RangeRequest { key: "\0".into(), ..Default::default() };
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.poll_exit() {
                return Err(status);
            }
            let ready = async {
                self.api().kv.range(request.clone()).await?;
                let request = MemberListRequest { linearizable: false };
                let members = self.api().cluster.member_list(request).await?.into_inner().members;
                Ok::<_, tonic::Status>(members.iter().any(|member| !member.name.is_empty()))
            };
            if let Ok(Ok(true)) = tokio::time::timeout(Duration::from_secs(2), ready).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} does not answer", self.setup.program);
    }

    /// The status of a process that has ended.
    pub fn poll_exit(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("the child can be waited for")
    }

    /// True if the process was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.poll_exit().is_none()
    }

    /// Waits for the process to end by itself or because of an earlier signal.
    pub async fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.poll_exit() {
                self.child = None;
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "{} does not end", self.setup.program);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a signal, by process id.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid() as i32).expect("a child has a pid");
        rustix::process::kill_process(pid, signal).expect("our own child can be signalled");
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let alive = self.poll_exit().is_none();
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("--- the last lines of {} (alive: {alive})", self.setup.program);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// True if a status is an orderly end after SIGTERM or SIGINT: by that signal, with its shell code, or 0.
pub fn orderly(status: ExitStatus) -> bool {
    matches!(status.signal(), Some(2 | 15)) || matches!(status.code(), Some(0 | 130 | 143))
}
