//! A server process with a fresh data directory on loopback, default durability, ended by its own process id.

use crate::usage::{self, Memory};
use crate::wire::Wire;
use kvd::api::proto::etcdserverpb::RangeRequest;
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to answer or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// One of the two that are compared.
#[derive(Clone, Debug)]
pub struct Program {
    /// `etcd` or `kvd`, as the report calls it.
    pub name: &'static str,
    /// The executable.
    pub path: PathBuf,
    /// Further arguments.
    pub args: Vec<String>,
}

impl Program {
    /// The line of `--version` that is about this program, else the first one.
    pub fn version(&self) -> Result<String, String> {
        let output = Command::new(&self.path).arg("--version").output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", self.path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let own = text.lines().find(|line| line.starts_with(self.name));
        Ok(own.or(text.lines().next()).unwrap_or("unknown version").trim().to_owned())
    }
}

/// A running server, or one that was stopped and can be started again on its data.
pub struct Server {
    program: Program,
    dir: TempDir,
    child: Option<Child>,
    client_port: u16,
    peer_port: u16,
}

impl Server {
    /// Starts `program` on an empty directory below `parent` and waits for its first answer.
    pub async fn start(program: &Program, parent: &Path) -> Result<Server, String> {
        let place = |error: std::io::Error| format!("cannot work in {}: {error}", parent.display());
        std::fs::create_dir_all(parent).map_err(place)?;
        usage::settle(parent);
        let dir = tempfile::Builder::new().prefix(program.name).tempdir_in(parent).map_err(place)?;
        let (client_port, peer_port) = (free_port()?, free_port()?);
        let mut server = Server { program: program.clone(), dir, child: None, client_port, peer_port };
        server.resume().await?;
        Ok(server)
    }

    /// Starts the process on its data; returns the time from the start of the program to its first answer to a
    /// linearizable get.
    pub async fn resume(&mut self) -> Result<Duration, String> {
        let failed = |error: std::io::Error| format!("cannot start {}: {error}", self.program.path.display());
        let log = File::options().create(true).append(true).open(self.log_path()).map_err(failed)?;
        let mut command = Command::new(&self.program.path);
        command.args(self.flags()).args(&self.program.args);
        command.env_clear().current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let start = Instant::now();
        self.child = Some(command.spawn().map_err(failed)?);
        while start.elapsed() < PATIENCE {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                self.child = None;
                return Err(format!(
                    "{} ended with {status} at its start:\n{}",
                    self.program.name,
                    self.log_tail()
                ));
            }
            if self.answers().await {
                return Ok(start.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(format!("{} does not answer:\n{}", self.program.name, self.log_tail()))
    }

    async fn answers(&self) -> bool {
        let ask = async {
            let mut kv = KvClient::new(Wire::connect(self.client_port).await.ok()?);
            kv.range(RangeRequest { key: "first".into(), ..Default::default() }).await.ok()
        };
        matches!(tokio::time::timeout(Duration::from_secs(5), ask).await, Ok(Some(_)))
    }

    fn flags(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.client_port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        vec![
            "--name=bench".to_owned(),
            format!("--data-dir={}", self.data().display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=bench={peer}"),
        ]
    }

    /// SIGTERM, and the end of the process.
    pub async fn stop(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(format!("{} does not end on SIGTERM", self.program.name))
    }

    /// Port of the client listener.
    pub fn port(&self) -> u16 {
        self.client_port
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// User and system time so far.
    pub fn cpu(&self) -> Result<Duration, String> {
        usage::cpu(self.pid()?).map_err(|error| format!("{} is gone: {error}", self.program.name))
    }

    /// Resident memory now.
    pub fn memory(&self) -> Result<Memory, String> {
        usage::memory(self.pid()?).map_err(|error| format!("{} is gone: {error}", self.program.name))
    }

    fn pid(&self) -> Result<u32, String> {
        self.child.as_ref().map(Child::id).ok_or_else(|| format!("{} does not run", self.program.name))
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The last lines the server wrote.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().rev().take(8).collect();
        lines.into_iter().rev().map(|line| format!("    {line}\n")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that is free for TCP and UDP now.
fn free_port() -> Result<u16, String> {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = tcp.map_err(|error| format!("no free port: {error}"))?.port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free for both TCP and UDP".to_owned())
}
