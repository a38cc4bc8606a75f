//! A disk of a server's own: an ext4 in a file, on a loop device. It can become full, and its power can be cut.
//!
//! A power cut is the kernel's: the file system is shut down in the middle of everything (`FS_IOC_SHUTDOWN` without
//! writing its journal, which is how file systems themselves are tested), and what was not flushed by then is gone at the
//! next mount. The server mounts the disk in a namespace that only its process has, so the mount ends with the process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::net::Host;
use super::server::PATIENCE;

/// Room for some minutes of load; only what is written takes space of the machine.
const SIZE: u64 = 512 << 20;
/// `FS_IOC_SHUTDOWN` with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys; \
                         fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
/// Mounts, then becomes the server. The journal is written as seldom as possible, so that a power cut loses much. A server
/// that has ended on a full disk finds room when it starts again.
const MOUNT: &str = r#"mount -t ext4 -o commit=300 "$1" "$2" && chmod 700 "$2" && rm -f "$2"/ballast &&
    shift 2 && exec "$@""#;

/// One disk.
pub struct Disk {
    device: String,
    /// Where its server sees it.
    point: PathBuf,
}

/// Runs a program that must succeed; its output.
fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

impl Disk {
    /// An empty disk that is mounted at `dir/disk`.
    ///
    /// # Errors
    /// What this machine lacks.
    pub fn new(dir: &Path) -> Result<Disk, String> {
        let (image, point) = (dir.join("disk.image"), dir.join("disk"));
        std::fs::create_dir_all(&point).map_err(|error| error.to_string())?;
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(SIZE).map_err(|error| error.to_string())?;
        let image = image.to_string_lossy();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &image])?;
        let device = run("losetup", &["--find", "--show", &image])?;
        Ok(Disk { device, point })
    }

    /// The command that mounts the disk and runs `program` on a host.
    pub fn command(&self, host: &Host, program: &Path) -> Command {
        self.until_free();
        let mut command = host.command(Path::new("sh"));
        command.args(["-c", MOUNT, "sh", &self.device]).arg(&self.point).arg(program);
        command
    }

    /// The mount of a process that has ended may last a moment longer.
    fn until_free(&self) {
        let name = Path::new(&self.device).file_name().unwrap_or_default();
        let mounted = Path::new("/sys/fs/ext4").join(name);
        let begun = Instant::now();
        while mounted.exists() {
            assert!(begun.elapsed() < PATIENCE, "{} is mounted for ever", self.device);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The disk as the process sees it.
    fn seen_by(&self, process: u32) -> PathBuf {
        let point = self.point.strip_prefix("/").unwrap_or(&self.point);
        Path::new(&format!("/proc/{process}/root")).join(point)
    }

    /// From now on every call that needs the disk fails, and what was not flushed is lost.
    pub fn cut_power(&self, process: u32) {
        let seen = self.seen_by(process);
        let done = run("python3", &["-c", SHUT_DOWN, &seen.to_string_lossy()]);
        done.unwrap_or_else(|why| panic!("{why}"));
    }

    /// Takes all room.
    pub fn fill(&self, process: u32) {
        let ballast = self.seen_by(process).join("ballast");
        let file = std::fs::File::create(ballast).expect("a file takes no room");
        // As much as is there, in smaller and smaller pieces.
        let (mut at, mut piece) = (0, SIZE);
        while piece >= 4096 {
            match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), at, piece) {
                Ok(()) => at += piece,
                Err(_) => piece /= 2,
            }
        }
    }

    /// Gives the room back, if the process still runs.
    pub fn clear(&self, process: u32) {
        let _ = std::fs::remove_file(self.seen_by(process).join("ballast"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("losetup", &["-d", &self.device]);
    }
}
