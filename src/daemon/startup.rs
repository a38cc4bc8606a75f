//! Slow starts and stops: systemd is asked for more time as long as there is progress.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use super::systemd;

/// Interval of the checks.
const LOOK: Duration = Duration::from_secs(10);

/// How much time is requested; well above the time between two checks on a busy machine.
const MORE: Duration = Duration::from_secs(60);

/// Asks for more time as long as this process computes, reads or writes. It has its own thread, because opening data
/// blocks. A process without activity gets only the unit's timeout. Ends when it is dropped.
pub struct Patience {
    /// The thread ends when this end is dropped.
    _thread: Option<Sender<()>>,
}

impl Patience {
    /// Starts the thread.
    pub fn begin() -> Self {
        if !systemd::listens() {
            return Self { _thread: None };
        }
        let (sender, ended) = mpsc::channel();
        let look = move || {
            let mut done = work_done();
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let now = work_done();
                if now.is_more_than(&done) {
                    systemd::extend(MORE);
                }
                done = now;
            }
        };
        match std::thread::Builder::new().name("kvd-patience".to_string()).spawn(look) {
            Ok(_) => Self { _thread: Some(sender) },
            Err(error) => {
                tracing::warn!(%error, "a start that takes long is not reported to systemd, which may end it");
                Self { _thread: None }
            }
        }
    }
}

/// Asks for more time while the member waits for others, which may take as long as the configuration allows. Never
/// ends.
pub async fn wait_for_others() {
    loop {
        tokio::time::sleep(LOOK).await;
        systemd::extend(MORE);
    }
}

/// What a process has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Work {
    /// Clock ticks of all its threads.
    ticks: u64,
    /// Bytes from and to disks.
    bytes: u64,
}

impl Work {
    /// The check itself costs one tick at most.
    fn is_more_than(&self, before: &Work) -> bool {
        self.ticks > before.ticks + 1 || self.bytes > before.bytes
    }
}

/// What the process has read and written: a process without cores may not open it any more unless it is root's.
static IO: OnceLock<File> = OnceLock::new();

/// Opens what the kernel says about this process's reads and writes, as long as it may.
pub fn keep_io() {
    if let Ok(file) = File::open("/proc/self/io") {
        // The first one stays.
        let _ = IO.set(file);
    }
}

fn work_done() -> Work {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut io = [0; 1024];
    let length = IO.get().and_then(|file| file.read_at(&mut io, 0).ok()).unwrap_or(0);
    let io = String::from_utf8_lossy(&io[..length]);
    Work { ticks: ticks(&stat), bytes: bytes(&io) }
}

/// User and system time from proc(5)'s stat: the 12th and 13th field after the name, which may contain anything.
fn ticks(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn bytes(io: &str) -> u64 {
    let counts = io.lines().filter_map(|line| line.split_once(": "));
    let disks = counts.filter(|(name, _)| matches!(*name, "read_bytes" | "write_bytes"));
    disks.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_read_from_the_kernels_files() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 700 30 5 5 20 0 1 0 100 0";
        assert_eq!(ticks(stat), 730);
        let io = "rchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n";
        assert_eq!(bytes(io), 12288);
    }

    #[test]
    fn reads_and_writes_of_this_process_are_seen() {
        keep_io();
        let io = IO.get().expect("a file of the kernel");
        let mut text = [0; 1024];
        let length = io.read_at(&mut text, 0).expect("readable");
        assert!(std::str::from_utf8(&text[..length]).expect("text").contains("read_bytes: "));
    }

    #[test]
    fn computing_is_work_and_sleeping_is_not() {
        let quiet = Work { ticks: 10, bytes: 5 };
        assert!(!Work { ticks: 11, bytes: 5 }.is_more_than(&quiet));
        assert!(Work { ticks: 12, bytes: 5 }.is_more_than(&quiet));
        assert!(Work { ticks: 10, bytes: 6 }.is_more_than(&quiet));
    }
}
