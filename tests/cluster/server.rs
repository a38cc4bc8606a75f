//! One server process on a host.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::disk::Disk;
use super::net::Host;
use super::preload::Preload;

/// How long a condition may take before a test fails: far more than any machine needs.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A process with its own directory; it ends at the latest with the test.
pub struct Server {
    pub host: Host,
    program: PathBuf,
    dir: PathBuf,
    child: Option<Child>,
    starts: usize,
    stopped: bool,
    /// Its own disk, mounted at `disk` in its directory.
    pub disk: Option<Disk>,
    /// What the test does to its clock and its files.
    pub preload: Option<Preload>,
}

impl Server {
    /// A process that is not started yet. `dir` is its working directory.
    pub fn new(host: Host, program: &Path, dir: &Path) -> Server {
        std::fs::create_dir_all(dir).expect("a directory for a server");
        let (program, dir) = (program.to_path_buf(), dir.to_path_buf());
        Server { host, program, dir, child: None, starts: 0, stopped: false, disk: None, preload: None }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts the process without waiting for anything.
    pub fn start(&mut self, args: &[String], env: &[(String, String)]) {
        assert!(self.poll_exit().is_none_or(|_| true) && self.child.is_none(), "one process at a time");
        self.starts += 1;
        let log = File::create(self.log_path()).expect("a log file");
        let mut command = match &self.disk {
            Some(disk) => disk.command(&self.host, &self.program),
            None => self.host.command(&self.program),
        };
        let preloaded = self.preload.as_ref().map(Preload::environment).unwrap_or_default();
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(env.iter().map(|(name, value)| (name, value)))
            .envs(preloaded)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        self.child =
            Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program.display())));
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join(format!("log.{}", self.starts))
    }

    /// Everything the process wrote since its last start.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.poll_exit().is_none()
    }

    /// The status of a process that has ended.
    pub fn poll_exit(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("the child can be waited for")
    }

    /// Waits for the process to end by itself or because of an earlier signal.
    pub fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.poll_exit() {
                self.child = None;
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the process on {} does not end", self.host.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The id of the process that runs.
    pub fn process(&mut self) -> Option<u32> {
        if !self.is_running() {
            return None;
        }
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal, by process id.
    pub fn signal(&mut self, signal: Signal) {
        let Some(child) = &self.child else { return };
        let pid = Pid::from_raw(child.id() as i32).expect("a child has a pid");
        // It may have ended in the meantime.
        let _ = kill_process(pid, signal);
        self.stopped = match signal {
            Signal::STOP => true,
            Signal::CONT => false,
            _ => self.stopped,
        };
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.stopped = false;
    }

    /// The last lines it wrote, for diagnosis.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() && self.starts > 0 {
            eprintln!("--- the last lines of {}\n{}", self.host.name, self.tail());
        }
        self.kill();
    }
}
