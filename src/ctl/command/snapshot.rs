//! `kvctl snapshot save`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::api::proto::etcdserverpb::SnapshotRequest;
use crate::client::{DEADLINE, unnamed};
use crate::config::system_text;
use crate::ctl::client::Client;
use crate::ctl::failure::{Failure, INTERRUPTED};
use crate::ctl::output::print;
use crate::ctl::progress::Progress;
use crate::ctl::target::Target;

/// A snapshot is whole sectors and the SHA-256 of them.
const SECTOR: u64 = 512;
const CHECKSUM: u64 = 32;

fn interrupted(text: impl Into<String>) -> Failure {
    Failure::with_code(INTERRUPTED, text)
}

/// Fetches the state of the only endpoint into `file`, which is there when it is whole.
pub(in crate::ctl) async fn save(target: &Target, file: &str) -> Result<(), Failure> {
    if target.endpoints.len() != 1 {
        let endpoints = target.endpoints.join(" ");
        let text = format!("snapshot must be requested to one selected node, not multiple [{endpoints}]");
        return Err(interrupted(text));
    }
    let mut client = Client::open(target).await?;
    let part = Part(PathBuf::from(format!("{file}.part")));
    let fetched = fetch(&mut client, &part);
    let version = match target.snapshot_timeout {
        None => fetched.await?,
        Some(limit) => tokio::time::timeout(limit, fetched).await.map_err(|_| interrupted(DEADLINE))??,
    };
    std::fs::rename(&part.0, file)
        .map_err(|error| interrupted(format!("could not rename {} to {file} ({error})", part.0.display())))?;
    durable(Path::new(file));
    print(&format!("Snapshot saved at {file}\n"));
    if !version.is_empty() {
        print(&format!("Server version {version}\n"));
    }
    Ok(())
}

/// Writes the stream to the disk; the result is the server's version.
async fn fetch(client: &mut Client<'_>, part: &Part) -> Result<String, Failure> {
    let mut file = part.create()?;
    let mut progress = None;
    let stream = client.ask_forever(async |to| to.maintenance.snapshot(SnapshotRequest {}).await).await;
    let mut stream = stream.map_err(|status| interrupted(unnamed(&status)))?;
    let (mut size, mut version) = (0, String::new());
    let broken = |why: String| interrupted(format!("could not write snapshot: {why}"));
    while let Some(piece) = stream.message().await.map_err(|status| broken(unnamed(&status)))? {
        file.write_all(&piece.blob).map_err(|error| broken(error.to_string()))?;
        size += piece.blob.len() as u64;
        let all = size + piece.remaining_bytes;
        progress.get_or_insert_with(|| Progress::bytes("snapshot", all)).at(size);
        if version.is_empty() {
            version = piece.version;
        }
    }
    if size % SECTOR != CHECKSUM {
        return Err(interrupted(format!("sha256 checksum not found [bytes: {size}]")));
    }
    file.sync_all().map_err(|error| interrupted(format!("could not fsync snapshot: {error}")))?;
    Ok(version)
}

/// The file's name is on the disk, too; a directory that cannot be opened is none of our business.
fn durable(file: &Path) {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}

/// A file that is not whole yet; nothing of it remains if something fails.
struct Part(PathBuf);

impl Part {
    fn create(&self) -> Result<File, Failure> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.0);
        file.map_err(|error| {
            let path = self.0.display();
            interrupted(format!(
                "could not open {path} (open {path}: {})",
                system_text(&error).to_lowercase()
            ))
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has its final name if everything went well.
        let _ = std::fs::remove_file(&self.0);
    }
}
