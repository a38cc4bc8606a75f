//! A server process with a fresh data directory on loopback and default durability, ended by its own process id.

use crate::dice::Dice;
use crate::tls::Tls;
use crate::usage::{self, Memory};
use crate::wire::Wire;
use kvd::api::proto::etcdserverpb::RangeRequest;
use kvd::api::proto::etcdserverpb::kv_client::KvClient;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to answer or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// One of the two programs.
#[derive(Clone)]
pub struct Program {
    /// `etcd` or `kvd`, as the report calls it.
    pub name: &'static str,
    /// The executable.
    pub path: PathBuf,
    /// Further arguments.
    pub args: Vec<String>,
    /// How clients connect, if not in the clear.
    pub tls: Option<Arc<Tls>>,
}

impl Program {
    /// The line of `--version` for this program, otherwise the first line.
    pub fn version(&self) -> Result<String, String> {
        let output = Command::new(&self.path).arg("--version").output();
        let output = output.map_err(|error| format!("cannot run {}: {error}", self.path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let own = text.lines().find(|line| line.starts_with(self.name));
        Ok(own.or(text.lines().next()).unwrap_or("unknown version").trim().to_owned())
    }
}

/// A member of a cluster: a running server, or one that can be started (again) on its data.
pub struct Server {
    program: Program,
    name: String,
    dir: TempDir,
    child: Option<Child>,
    client_port: u16,
    peer_port: u16,
    /// The arguments that define its cluster.
    belongs: Vec<String>,
}

impl Server {
    /// An empty directory below `parent` and ports for member `number` of a cluster.
    pub fn place(program: &Program, parent: &Path, number: usize) -> Result<Server, String> {
        let place = |error: std::io::Error| format!("cannot work in {}: {error}", parent.display());
        let dir = tempfile::Builder::new().prefix(program.name).tempdir_in(parent).map_err(place)?;
        let [client_port, peer_port] = free_ports()?;
        let (program, name) = (program.clone(), format!("bench{number}"));
        Ok(Server { program, name, dir, child: None, client_port, peer_port, belongs: Vec::new() })
    }

    /// Makes it a member of the cluster of all these, which is `new` or `existing`.
    pub fn belongs_to(&mut self, members: &[String], state: &str) {
        self.belongs = vec![
            format!("--initial-cluster={}", members.join(",")),
            format!("--initial-cluster-state={state}"),
        ];
    }

    /// Starts the process on its data.
    pub fn launch(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot start {}: {error}", self.program.path.display());
        let log = File::options().create(true).append(true).open(self.log_path()).map_err(failed)?;
        let mut command = Command::new(&self.program.path);
        command.args(self.flags()).args(&self.belongs).args(&self.program.args);
        command.env_clear().current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        self.child = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    /// Starts the process on its data; returns the time from the start of the program to its first answer to a
    /// linearizable get.
    pub async fn resume(&mut self) -> Result<Duration, String> {
        let start = Instant::now();
        self.launch()?;
        self.answered().await?;
        Ok(start.elapsed())
    }

    /// Waits until it answers a linearizable get.
    pub async fn answered(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                self.child = None;
                return Err(format!("{} ended with {status} at its start", self.program.name));
            }
            if self.answers().await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(format!("{} does not answer", self.program.name))
    }

    async fn answers(&self) -> bool {
        let ask = async {
            let mut kv = KvClient::new(self.connect().await.ok()?);
            kv.range(RangeRequest { key: "first".into(), ..Default::default() }).await.ok()
        };
        matches!(tokio::time::timeout(Duration::from_secs(5), ask).await, Ok(Some(_)))
    }

    fn flags(&self) -> Vec<String> {
        let scheme = if self.program.tls.is_some() { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{}", self.client_port);
        let peer = self.peer_url();
        let mut flags = vec![
            format!("--name={}", self.name),
            format!("--data-dir={}", self.data().display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
        ];
        flags.extend(self.program.tls.iter().flat_map(|tls| tls.flags()));
        flags
    }

    /// The URL at which other members reach it.
    pub fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    /// Its name and peer URL, in the form of `--initial-cluster`.
    pub fn entry(&self) -> String {
        format!("{}={}", self.name, self.peer_url())
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = Pid::from_raw(self.pid()? as i32).ok_or("no process has this id")?;
        kill_process(pid, signal).map_err(|error| format!("{} is gone: {error}", self.program.name))
    }

    /// SIGTERM, and waits for the end of the process.
    pub async fn stop(&mut self) -> Result<(), String> {
        self.signal(Signal::TERM)?;
        self.ended().await
    }

    /// Waits for the end of the process, after a signal.
    pub async fn ended(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(format!("{} does not end", self.program.name))
    }

    /// Port of the client listener.
    pub fn port(&self) -> u16 {
        self.client_port
    }

    /// A connection to the client listener.
    pub async fn connect(&self) -> Result<Wire, String> {
        Wire::open(self.client_port, self.program.tls.clone()).await
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

/// User and system time of all of them so far.
pub fn cpu(servers: &[Server]) -> Result<Duration, String> {
    servers.iter().map(Server::cpu).sum()
}

/// Two ports that are free for TCP and UDP now, from a range that the kernel does not use for outgoing connections:
/// otherwise a connection to a member that is down could get that same port, and connect to itself.
fn free_ports() -> Result<[u16; 2], String> {
    let mut dice = Dice::new(std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_nanos() as u64));
    let drawn = std::iter::repeat_with(|| 20_000 + 2 * dice.below(6_000) as u16).take(1_000);
    let is_free = |port: &u16| {
        TcpListener::bind(("127.0.0.1", *port)).is_ok() && UdpSocket::bind(("127.0.0.1", *port)).is_ok()
    };
    let pair = drawn.map(|port| [port, port + 1]).find(|pair| pair.iter().all(is_free));
    pair.ok_or_else(|| "no ports are free for both TCP and UDP".to_owned())
}
