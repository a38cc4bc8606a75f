//! A log file that is renamed when it is full, by the rules and names of etcd's `--enable-log-rotation` (lumberjack):
//! `kvd.log` becomes `kvd-2026-01-31T12-00-00.000.log`, perhaps compressed, and the oldest files are removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{Local, NaiveDateTime, TimeDelta, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// When a file is full, and what is done with full files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Largest size of a file in bytes.
    pub max_bytes: u64,
    /// Full files older than this are removed; `None` keeps them.
    pub max_age: Option<Duration>,
    /// How many full files are kept; `None` for all.
    pub max_backups: Option<usize>,
    /// Names use local time instead of UTC.
    pub local_time: bool,
    /// Full files are compressed with gzip.
    pub compress: bool,
}

/// The format of the time in a name.
const STAMP: &str = "%Y-%m-%dT%H-%M-%S%.3f";
const COMPRESSED: &str = ".gz";

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Rotating(Arc<Inner>);

struct Inner {
    path: PathBuf,
    rules: Rules,
    current: Mutex<Current>,
    /// Held while files are compressed and removed.
    tidying: Mutex<()>,
}

struct Current {
    file: File,
    size: u64,
}

impl Rotating {
    /// Appends to the file at `path`, and creates it if there is none.
    pub fn open(path: PathBuf, rules: Rules) -> io::Result<Self> {
        let file = open(&path)?;
        let size = file.metadata()?.len();
        let current = Mutex::new(Current { file, size });
        Ok(Self(Arc::new(Inner { path, rules, current, tidying: Mutex::new(()) })))
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let inner = &self.0;
        let mut current = inner.current.lock();
        if current.size > 0 && current.size.saturating_add(line.len() as u64) > inner.rules.max_bytes {
            // If it cannot be renamed, a growing file is better than lost lines.
            if let Ok(file) = inner.put_aside() {
                *current = Current { file, size: 0 };
                let tidy = self.clone();
                // Without a thread this is done after the next rotation.
                let _ = std::thread::Builder::new().name("kvd-log-files".into()).spawn(move || tidy.0.tidy());
            }
        }
        current.file.write_all(line)?;
        current.size += line.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

impl Inner {
    /// Renames the file and begins a new one.
    fn put_aside(&self) -> io::Result<File> {
        // Two files may become full within a millisecond; neither may replace the other.
        let mut at = self.now();
        while self.is_taken(at) {
            at += TimeDelta::milliseconds(1);
        }
        fs::rename(&self.path, self.backup(at))?;
        open(&self.path)
    }

    fn now(&self) -> NaiveDateTime {
        if self.rules.local_time { Local::now().naive_local() } else { Utc::now().naive_utc() }
    }

    /// The name of a file that was renamed at that time.
    fn backup(&self, at: NaiveDateTime) -> PathBuf {
        let (stem, extension) = self.parts();
        self.path.with_file_name(format!("{stem}-{}{extension}", at.format(STAMP)))
    }

    fn is_taken(&self, at: NaiveDateTime) -> bool {
        let plain = self.backup(at);
        let mut compressed = plain.clone().into_os_string();
        compressed.push(COMPRESSED);
        plain.exists() || Path::new(&compressed).exists()
    }

    /// The name before the extension, and the extension with its dot.
    fn parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let extension = text(self.path.extension());
        let dot = if extension.is_empty() { "" } else { "." };
        (text(self.path.file_stem()), format!("{dot}{extension}"))
    }

    /// The renamed files, the newest first.
    fn backups(&self) -> io::Result<Vec<(NaiveDateTime, PathBuf)>> {
        let (stem, extension) = self.parts();
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut found = Vec::new();
        for entry in fs::read_dir(directory.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let plain = name.strip_suffix(COMPRESSED).unwrap_or(&name);
            let stamp = plain
                .strip_prefix(&stem)
                .and_then(|rest| rest.strip_prefix('-'))
                .and_then(|rest| rest.strip_suffix(&extension));
            if let Some(Ok(at)) = stamp.map(|stamp| NaiveDateTime::parse_from_str(stamp, STAMP)) {
                found.push((at, entry.path()));
            }
        }
        found.sort_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Removes files that are too old or too many, and compresses the others. A failure is tried again the next time.
    fn tidy(&self) {
        let _turn = self.tidying.lock();
        let Ok(backups) = self.backups() else { return };
        let now = self.now();
        let is_old = |at: NaiveDateTime| {
            let age = now.signed_duration_since(at).to_std().unwrap_or_default();
            self.rules.max_age.is_some_and(|max| age > max)
        };
        for (number, (at, path)) in backups.into_iter().enumerate() {
            if is_old(at) || self.rules.max_backups.is_some_and(|max| number >= max) {
                let _ = fs::remove_file(&path);
            } else if self.rules.compress && path.extension().is_none_or(|last| last != "gz") {
                let _ = compress(&path);
            }
        }
    }
}

/// Replaces a file by its compressed form; at every moment at least one of them is complete.
fn compress(path: &Path) -> io::Result<()> {
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let unfinished = named(".gz.new");
    let target = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&unfinished, named(COMPRESSED))?;
    fs::remove_file(path)
}

impl Write for Rotating {
    /// Writes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Rotating {
    type Writer = Rotating;

    fn make_writer(&'w self) -> Rotating {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use tempfile::TempDir;

    use super::*;

    const RULES: Rules =
        Rules { max_bytes: 20, max_age: None, max_backups: None, local_time: false, compress: false };

    fn names(dir: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_put_aside_and_no_line_is_lost() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("kvd.log");
        fs::write(&path, "from before\n").unwrap();
        let mut log = Rotating::open(path.clone(), RULES).unwrap();
        log.write_all(b"fits\n").unwrap();
        assert_eq!(names(&dir), ["kvd.log"]);
        log.write_all(b"does not fit\n").unwrap();
        log.write_all(b"a line that is longer than a whole file may be\n").unwrap();
        let backups = log.0.backups().unwrap();
        assert_eq!(backups.len(), 2);
        let texts: Vec<String> =
            backups.iter().rev().map(|(_, path)| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(texts, ["from before\nfits\n", "does not fit\n"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a line that is longer than a whole file may be\n");
    }

    #[test]
    fn the_oldest_go_and_the_others_are_compressed() {
        let dir = TempDir::new().unwrap();
        let age = Some(Duration::from_secs(24 * 3600));
        let rules = Rules { max_age: age, max_backups: Some(2), compress: true, ..RULES };
        let log = Rotating::open(dir.path().join("kvd.log"), rules).unwrap();
        let now = log.0.now();
        let aged = |hours| log.0.backup(now - TimeDelta::hours(hours));
        for hours in [1, 2, 3, 25] {
            fs::write(aged(hours), format!("{hours} hours\n")).unwrap();
        }
        for stranger in ["kvd-notes.log", "kvd-2026-01-31.log", "other-2026-01-31T12-00-00.000.log"] {
            fs::write(dir.path().join(stranger), "stays\n").unwrap();
        }
        log.0.tidy();
        let left = log.0.backups().unwrap();
        let texts: Vec<String> = left
            .iter()
            .map(|(_, path)| {
                let mut text = String::new();
                GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
                text
            })
            .collect();
        assert_eq!(texts, ["1 hours\n", "2 hours\n"]);
        assert_eq!(names(&dir).len(), 1 + 2 + 3);
        // Nothing is done twice.
        log.0.tidy();
        assert_eq!(log.0.backups().unwrap(), left);
    }
}
