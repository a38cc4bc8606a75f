//! The daemon on this machine, through its admin socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::Failure;
use super::target::admin_socket;
use crate::config::admin::{Answer, MAX_ANSWER, Request};

/// Where the packaged unit puts the socket.
const DEFAULT_SOCKET: &str = "/run/kv/admin.sock";

/// A reload reads a few files; a daemon that takes longer than this is not answering any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks through the socket that was named, or through the one that [`find`] finds.
pub(super) fn ask(socket: Option<&Path>, request: Request) -> Result<Answer, Failure> {
    let path = socket.map(Path::to_path_buf).unwrap_or_else(find);
    converse(&path, request).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "is kvd running on this machine?",
            io::ErrorKind::PermissionDenied => "root and the group kv may do that",
            _ => "see the journal: journalctl -u kvd",
        };
        Failure::error(format!("{}: {error}", path.display())).hint(Some(hint.to_string()))
    })
}

/// The socket, in this order: a variable, this machine's configuration, systemd's directory, the packaged unit's.
fn find() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("KVCTL_ADMIN_SOCKET")
        .or_else(|| variable("KVD_ADMIN_SOCKET"))
        .or_else(admin_socket)
        .or_else(|| variable("RUNTIME_DIRECTORY").map(|directory| directory.join("admin.sock")))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
}

fn converse(path: &Path, request: Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.line().as_bytes())?;
    let mut text = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut text)?;
    Answer::parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not valid"))
}
