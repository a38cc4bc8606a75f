//! What a test does to the clock and to the files of one process, through `preload.c`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, built in `dir`.
///
/// # Errors
/// Why it cannot be built here.
pub fn library(dir: &Path) -> Result<PathBuf, String> {
    let (source, library) = (dir.join("preload.c"), dir.join("preload.so"));
    std::fs::write(&source, include_str!("preload.c")).map_err(|error| error.to_string())?;
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    match compile.output() {
        Ok(output) if output.status.success() => Ok(library),
        Ok(output) => Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("no C compiler: {error}")),
    }
}

/// The switches of one process.
pub struct Preload {
    library: PathBuf,
    page: PathBuf,
    below: PathBuf,
    file: File,
}

impl Preload {
    /// Switches for a process whose files are below `below`; its clock differs by so many seconds.
    pub fn new(library: &Path, dir: &Path, below: &Path, seconds: i64) -> Preload {
        let page = dir.join("faults");
        let file = File::create(&page).expect("a file");
        let preload = Preload { library: library.into(), page, below: below.into(), file };
        preload.file.set_len(16).expect("a file");
        preload.set_clock(seconds);
        preload
    }

    /// The environment of the process.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        [("LD_PRELOAD", &self.library), ("FAULTS_PAGE", &self.page), ("FAULTS_BELOW", &self.below)]
            .map(|(name, path)| (name.to_owned(), text(path)))
            .to_vec()
    }

    /// The clock of the day differs from this machine's by so many seconds.
    pub fn set_clock(&self, seconds: i64) {
        self.write(&seconds.to_le_bytes(), 0);
    }

    /// Whether writes and flushes fail with EIO.
    pub fn fail(&self, fails: bool) {
        self.write(&[u8::from(fails)], 8);
    }

    /// Whether they wait.
    pub fn stand_still(&self, stands: bool) {
        self.write(&[u8::from(stands)], 9);
    }

    fn write(&self, bytes: &[u8], at: u64) {
        self.file.write_all_at(bytes, at).expect("a mapped file is written");
    }
}
