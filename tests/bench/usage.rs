//! The cost of a process, read from /proc, and the disk space of a directory.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// User and system time of all threads of `pid`, including ended threads and children that it waited for.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses and may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    // utime, stime, cutime and cstime are fields 14 to 17 of proc(5); the first one here is field 3.
    let ticks: u64 = fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// All of it, including pages of mapped files.
    pub resident: u64,
    /// Memory that only this process holds and the kernel cannot drop.
    pub anonymous: u64,
    /// The highest resident memory so far.
    pub peak: u64,
}

/// The memory of `pid` now.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib =
            line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    Ok(Memory { resident: field("VmRSS:"), anonymous: field("RssAnon:"), peak: field("VmHWM:") })
}

/// Bytes of allocated blocks below `path`, as `du` counts them.
pub fn disk(path: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(path).into_iter().filter_map(Result::ok);
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.blocks() * 512).sum()
}

/// Asks the kernel to write out the data that earlier runs left on the file system of `dir`, so that the next server's
/// flushes do not pay for it.
pub fn settle(dir: &Path) {
    if let Ok(handle) = std::fs::File::open(dir) {
        let _ = rustix::fs::syncfs(&handle);
    }
}
