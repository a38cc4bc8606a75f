//! Sockets that this process was started with: those of a socket unit, and those that systemd kept over a restart, so
//! that clients that came meanwhile wait in the kernel instead of being refused. The one file of this room with unsafe
//! code.
//!
//! Which is which does not matter, and neither do their names: a socket is recognised by its address.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{SockRef, Type};

use super::systemd;

/// What the names of kept sockets begin with; others are socket units'.
const KEPT: &str = "kvd-";

/// Sockets nobody has taken yet.
#[derive(Default)]
pub struct Inherited {
    sockets: Vec<Given>,
}

struct Given {
    socket: OwnedFd,
    name: String,
}

impl Inherited {
    /// Those of this process (`$LISTEN_FDS`). To be called once, before anything else is opened.
    #[allow(unsafe_code, reason = "descriptors that come with the process have no owner yet; argued below")]
    pub fn of_process() -> io::Result<Self> {
        let sockets = sd_notify::listen_fds_with_names()?.map(|(descriptor, name)| {
            // SAFETY: systemd passed this descriptor to this very process (`$LISTEN_PID` was compared) for it to
            // own; `command::main` calls this once at the start, before any other descriptor is opened, so nothing
            // else owns the number.
            let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
            Given { socket, name }
        });
        Ok(Self { sockets: sockets.collect() })
    }

    /// A TCP socket that listens at the address.
    pub fn tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let found = self.take(|socket| is_listener(socket) && is_at(socket, address))?;
        tracing::info!(%address, name = found.name, "taking over a listening socket");
        Some(TcpListener::from(found.socket))
    }

    /// A Unix socket that listens at the path, as long as the file there is the socket's.
    pub fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        fs::symlink_metadata(path).ok()?;
        let found = self.take(|socket| {
            let own = socket.local_addr().ok();
            is_listener(socket) && own.is_some_and(|own| own.as_pathname() == Some(path))
        })?;
        tracing::info!(path = %path.display(), name = found.name, "taking over a listening socket");
        Some(UnixListener::from(found.socket))
    }

    /// A UDP socket at the address.
    pub fn udp(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        let found = self
            .take(|socket| socket.r#type().is_ok_and(|kind| kind == Type::DGRAM) && is_at(socket, address))?;
        tracing::info!(%address, name = found.name, "taking over a UDP socket");
        Some(UdpSocket::from(found.socket))
    }

    fn take(&mut self, fits: impl Fn(&SockRef<'_>) -> bool) -> Option<Given> {
        let at = self.sockets.iter().position(|given| fits(&SockRef::from(&given.socket)))?;
        Some(self.sockets.swap_remove(at))
    }

    /// Closes what nobody took: the configuration has other addresses now.
    pub fn close(self) {
        for given in self.sockets {
            let address = SockRef::from(&given.socket).local_addr().ok();
            let address = address.and_then(|address| address.as_socket()).map(|address| address.to_string());
            if given.name.starts_with(KEPT) {
                tracing::info!(address, name = given.name, "a kept socket is needed no more");
                systemd::forget(&given.name);
            } else {
                tracing::warn!(
                    address,
                    name = given.name,
                    "no listener of the configuration has the address of this socket unit; it is closed"
                );
            }
        }
    }
}

/// Has systemd keep a listening socket over a restart of the service.
pub fn keep(socket: &impl AsFd) {
    let socket = socket.as_fd();
    let Ok(address) = SockRef::from(&socket).local_addr() else { return };
    let text = match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) => address.to_string(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => return,
    };
    // Names of descriptors have no colons and no control characters (sd_pid_notify_with_fds(3)).
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    systemd::keep(&format!("{KEPT}{}", text.chars().map(plain).collect::<String>()), socket);
}

fn is_listener(socket: &SockRef<'_>) -> bool {
    socket.r#type().is_ok_and(|kind| kind == Type::STREAM) && socket.is_listener().unwrap_or(false)
}

/// At the address itself, or at [::] where 0.0.0.0 is asked for: systemd opens such a socket for both families.
fn is_at(socket: &SockRef<'_>, wanted: SocketAddr) -> bool {
    let Some(own) = socket.local_addr().ok().and_then(|own| own.as_socket()) else { return false };
    let everywhere = wanted.ip().is_unspecified()
        && own.ip().is_unspecified()
        && own.is_ipv6()
        && (wanted.is_ipv6() || !socket.only_v6().unwrap_or(true));
    own.port() == wanted.port() && (own.ip() == wanted.ip() || everywhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(sockets: Vec<OwnedFd>) -> Inherited {
        let given = |socket| Given { socket, name: "kvd.socket".to_string() };
        Inherited { sockets: sockets.into_iter().map(given).collect() }
    }

    #[test]
    fn sockets_are_known_by_kind_and_address() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = tcp.local_addr().expect("an address");
        let udp = UdpSocket::bind(address).expect("the same port is free for UDP");
        let unix = UnixListener::bind(&path).expect("bound");
        let mut inherited = inherited(vec![udp.into(), unix.into(), tcp.into()]);
        assert!(inherited.tcp("127.0.0.1:1".parse().expect("an address")).is_none());
        assert!(inherited.unix(Path::new("/nowhere")).is_none());
        let tcp = inherited.tcp(address).expect("the TCP socket");
        assert_eq!(tcp.local_addr().expect("an address"), address);
        assert!(inherited.tcp(address).is_none(), "it was taken");
        assert!(inherited.unix(&path).is_some());
        assert!(inherited.udp(address).is_some());
        assert!(inherited.sockets.is_empty());
    }

    #[test]
    fn a_socket_for_both_families_serves_everywhere() {
        let Ok(both) = TcpListener::bind("[::]:0") else { return };
        let port = both.local_addr().expect("an address").port();
        let mut inherited = inherited(vec![both.into()]);
        assert!(
            inherited.tcp(SocketAddr::from(([127, 0, 0, 1], port))).is_none(),
            "only loopback is asked for"
        );
        assert!(inherited.tcp(SocketAddr::from(([0, 0, 0, 0], port))).is_some());
    }

    #[test]
    fn a_connection_is_no_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let connection = std::net::TcpStream::connect(address).expect("connected");
        let own = connection.local_addr().expect("an address");
        assert!(inherited(vec![connection.into()]).tcp(own).is_none());
    }
}
