//! The admin socket, for root and the group of this process. The messages are in `config/admin.rs`. It serves one
//! connection at a time.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::config::admin::{Answer, MAX_REQUEST, Request};

/// How long a connected process may take to send its request, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bound socket before anybody can connect: that it can be bound is known before the cluster is asked to admit the
/// member, and nobody waits for a member that is starting. The socket's file is removed when this is dropped.
pub struct Reserved {
    socket: Socket,
    file: SocketFile,
}

/// The socket; its file is removed when this is dropped.
pub struct AdminSocket {
    listener: UnixListener,
    file: SocketFile,
}

struct SocketFile(PathBuf);

/// How many connections wait to be served.
const BACKLOG: i32 = 128;

impl Reserved {
    /// Binds `path`. A socket file that an earlier process left behind is replaced: the data directory's lock has
    /// shown that there is no other daemon on the same data.
    ///
    /// # Errors
    /// The error names the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("--admin-socket {}: {error}", path.display()))
        };
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path).map_err(named)?,
            Ok(_) => return Err(named(io::Error::new(io::ErrorKind::AlreadyExists, "is no socket"))),
            Err(_) => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path).map_err(named)?).map_err(named)?;
        let file = SocketFile(path.to_path_buf());
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(named)?;
        Ok(Self { socket, file })
    }

    /// Lets others connect.
    ///
    /// # Errors
    /// Errors of the operating system.
    pub fn listen(self) -> io::Result<AdminSocket> {
        self.socket.listen(BACKLOG)?;
        Ok(AdminSocket { listener: UnixListener::from_std(self.socket.into())?, file: self.file })
    }
}

impl AdminSocket {
    /// Answers for as long as it is polled.
    pub async fn serve(&self, answer: impl AsyncFn(Request) -> Answer) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = converse(stream, &answer).await {
                        tracing::debug!(%error, "a conversation on the admin socket broke off");
                    }
                }
                Err(error) => {
                    let path = self.file.0.display();
                    tracing::warn!(%path, %error, "cannot accept connections on the admin socket");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

async fn converse(mut stream: UnixStream, answer: &impl AsyncFn(Request) -> Answer) -> io::Result<()> {
    let line = tokio::time::timeout(PATIENCE, read_line(&mut stream)).await??;
    let answer = match Request::parse(&line) {
        Some(request) => answer(request).await,
        None => Answer::refused("unknown request"),
    };
    tokio::time::timeout(PATIENCE, stream.write_all(answer.line().as_bytes())).await??;
    stream.shutdown().await
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    while line.len() < MAX_REQUEST {
        match stream.read_u8().await? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(path: &Path, line: &str) -> Answer {
        let mut stream = UnixStream::connect(path).await.expect("connected");
        stream.write_all(line.as_bytes()).await.expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        Answer::parse(&text).expect("sense")
    }

    #[tokio::test]
    async fn requests_are_answered_one_after_another_and_nonsense_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("one of an earlier process"));
        let reserved = Reserved::bind(&path).expect("it is replaced");
        let early = UnixStream::connect(&path).await.map_err(|error| error.kind()).map(|_| ());
        assert_eq!(
            early,
            Err(io::ErrorKind::ConnectionRefused),
            "nobody waits for a member that is starting"
        );
        let socket = reserved.listen().expect("it listens");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o660);
        let answer =
            async |request: Request| Answer { lines: vec![format!("{request:?}")], ..Answer::default() };
        let story = async {
            assert_eq!(asked(&path, "reload\n").await.lines, ["Reload"]);
            assert_eq!(asked(&path, "status\n").await.lines, ["Status"]);
            assert!(asked(&path, "dance\n").await.error.is_some());
            assert!(asked(&path, &"x".repeat(MAX_REQUEST)).await.error.is_some());
        };
        tokio::select! {
            () = socket.serve(answer) => {}
            () = story => {}
        }
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("admin.sock");
        fs::write(&path, "precious").expect("written");
        assert!(Reserved::bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
    }
}
