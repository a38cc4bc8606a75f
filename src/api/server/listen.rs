//! Listening sockets.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::sync::watch;

use super::connection::{Accepted, Socket};
use super::tls::Encryption;
use super::{Inboxes, Shared};

/// Pending connections that the kernel queues.
const BACKLOG: i32 = 4096;

/// Bytes for a client that the kernel may keep before it sends them. Without a limit it keeps four megabytes for each
/// client that does not read, and when the kernel's memory for that is short, it delays everybody.
const UNSENT: u32 = 128 << 10;

/// Pause after an accept that failed for lack of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A socket in the file system; a socket file left behind by an earlier process is replaced.
    Unix(PathBuf),
}

/// The services that a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faces {
    /// gRPC and HTTP.
    All,
    /// gRPC only: `--listen-client-urls`, if `--listen-client-http-urls` is given, too.
    Grpc,
    /// HTTP only: `--listen-client-http-urls`.
    Http,
    /// Health and metrics only: `--listen-metrics-urls`.
    Metrics,
}

/// Options of a listening TCP socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOptions {
    /// `SO_REUSEPORT` (`--socket-reuse-port`).
    pub reuse_port: bool,
    /// `SO_REUSEADDR` (`--socket-reuse-address`). Rust's and Go's listeners always set it.
    pub reuse_address: bool,
}

/// A bound socket, with or without TLS.
pub struct Listener {
    socket: Bound,
    encryption: Encryption,
    faces: Faces,
}

enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// A listener registered with a runtime.
pub(super) struct Registered {
    socket: Watched,
    encryption: Encryption,
    faces: Faces,
}

enum Watched {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Listener {
    /// Binds `address`.
    pub fn bind(
        address: &Address,
        options: SocketOptions,
        encryption: Encryption,
        faces: Faces,
    ) -> Result<Self> {
        let socket = match address {
            Address::Tcp(address) => Bound::Tcp(bind_tcp(*address, options)?),
            Address::Unix(path) => {
                remove_stale(path)?;
                Bound::Unix(std::os::unix::net::UnixListener::bind(path)?)
            }
        };
        Ok(Self { socket, encryption, faces })
    }

    /// Takes a TCP socket that is already listening (socket activation).
    pub fn from_tcp(socket: std::net::TcpListener, encryption: Encryption, faces: Faces) -> Self {
        Self { socket: Bound::Tcp(socket), encryption, faces }
    }

    /// Takes a Unix socket that is already listening (socket activation).
    pub fn from_unix(socket: std::os::unix::net::UnixListener, encryption: Encryption, faces: Faces) -> Self {
        Self { socket: Bound::Unix(socket), encryption, faces }
    }

    /// The TCP address it is bound to, with the port that the kernel chose for port zero.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Bound::Tcp(socket) => socket.local_addr().ok(),
            Bound::Unix(_) => None,
        }
    }

    /// Registers the socket with the current runtime.
    pub(super) fn register(self) -> Result<Registered> {
        let socket = match self.socket {
            Bound::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                Watched::Tcp(tokio::net::TcpListener::from_std(socket)?)
            }
            Bound::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Watched::Unix(tokio::net::UnixListener::from_std(socket)?)
            }
        };
        Ok(Registered { socket, encryption: self.encryption, faces: self.faces })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Bound::Tcp(socket) => socket.as_fd(),
            Bound::Unix(socket) => socket.as_fd(),
        }
    }
}

fn bind_tcp(address: SocketAddr, options: SocketOptions) -> Result<std::net::TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server must not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Removes a socket file on which nobody listens any more; anything else at that path is an error.
fn remove_stale(path: &PathBuf) -> Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Err(Error::new(ErrorKind::AlreadyExists, format!("{} is no socket", path.display())));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Error::new(ErrorKind::AddrInUse, format!("{} is in use", path.display())));
    }
    std::fs::remove_file(path)
}

impl Registered {
    async fn accept(&self) -> Result<Socket> {
        match &self.socket {
            Watched::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are small and clients wait for them: never delay them.
                stream.set_nodelay(true)?;
                // Not all systems have it, nor all protocols that the service manager may listen with.
                let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
                Ok(Socket::Tcp(stream.into_std()?))
            }
            Watched::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0.into_std()?)),
        }
    }

    /// Where it listens, for messages.
    fn place(&self) -> String {
        match &self.socket {
            Watched::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |at| at.to_string())
            }
            Watched::Unix(listener) => {
                let at =
                    listener.local_addr().ok().and_then(|at| Some(at.as_pathname()?.display().to_string()));
                at.unwrap_or_default()
            }
        }
    }
}

/// Accepts connections, from the moment clients are admitted until the server stops. If the limit on connections is
/// reached, clients wait in the kernel's queue.
pub(super) async fn accept(
    listener: Registered,
    mut opened: watch::Receiver<bool>,
    inboxes: Inboxes,
    shared: Arc<Shared>,
) {
    let stop = shared.services.stop.clone();
    let accepting = async {
        // An error means that the server is gone; this task then ends soon, too.
        let waits = listener.faces != Faces::Metrics;
        if waits && opened.wait_for(|opened| *opened).await.is_err() {
            return;
        }
        loop {
            let Ok(permit) = shared.connections.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok(socket) => {
                    let (encryption, faces) = (listener.encryption.clone(), listener.faces);
                    inboxes.send(Accepted { socket, encryption, faces, _permit: permit }).await;
                }
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    // As long as there is no descriptor, each attempt fails.
                    shared.complaints.not_accepted(&listener.place(), &error);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.stopping() => {}
    }
}

fn is_about_one_connection(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::InvalidInput
            | ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn the_kernel_keeps_little_for_a_client_that_does_not_read() {
        let any = Address::Tcp(([127, 0, 0, 1], 0).into());
        let listener = Listener::bind(&any, SocketOptions::default(), Encryption::None, Faces::All);
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("TCP");
        let listener = listener.register().expect("on a runtime");
        let client = std::net::TcpStream::connect(address).expect("a connection");
        let Ok(Socket::Tcp(mut accepted)) = listener.accept().await else { panic!("a connection") };
        accepted.set_nonblocking(false).expect("a socket");
        accepted.set_write_timeout(Some(Duration::from_millis(200))).expect("a socket");
        let mut kept = 0;
        while kept < 4 << 20 {
            // It fails when nothing was taken meanwhile.
            let Ok(count) = accepted.write(&[0; 64 << 10]) else { break };
            kept += count;
        }
        drop(client);
        assert!(kept < 1 << 20, "{kept} bytes");
    }
}
