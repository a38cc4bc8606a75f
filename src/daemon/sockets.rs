//! Inherited sockets: from a socket unit, and those that systemd kept over a restart, so that clients wait in the
//! kernel in the meantime instead of being refused. The only file of this room with unsafe code.
//!
//! Order and names of the sockets do not matter: a socket is recognised by its address.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use socket2::{SockRef, Type};

use super::systemd;
use crate::api::server::Address;

/// Prefix of the names of kept sockets; all others come from socket units.
const KEPT: &str = "kvd-";

/// Sockets nobody has taken yet.
#[derive(Default)]
pub struct Inherited {
    sockets: Vec<Given>,
    /// The ports of kept sockets that were given up.
    given_up: Vec<u16>,
}

struct Given {
    socket: OwnedFd,
    name: String,
}

impl Inherited {
    /// The sockets of this process (`$LISTEN_FDS`). Must be called once, before anything else is opened.
    #[allow(unsafe_code, reason = "descriptors that come with the process have no owner yet; argued below")]
    pub fn of_process() -> io::Result<Self> {
        let sockets = sd_notify::listen_fds_with_names()?.map(|(descriptor, name)| {
            // SAFETY: systemd passed this descriptor to this very process (`$LISTEN_PID` was compared) for it to
            // own; `command::main` calls this once at the start, before any other descriptor is opened, so nothing
            // else owns the number.
            let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
            Given { socket, name }
        });
        Ok(Self { sockets: sockets.collect(), given_up: Vec::new() })
    }

    /// Closes the listening sockets at other addresses than these, before anything is bound: one at `0.0.0.0:2379` would
    /// be in the way of `127.0.0.1:2379`.
    pub fn give_up_others(&mut self, wanted: &[Address]) {
        let is_other = |given: &mut Given| {
            let socket = SockRef::from(&given.socket);
            is_listener(&socket) && !wanted.iter().any(|address| listens_at(&socket, address))
        };
        for given in self.sockets.extract_if(.., is_other) {
            let address = SockRef::from(&given.socket).local_addr().ok();
            if let Some(address) = address.and_then(|address| address.as_socket())
                && given.name.starts_with(KEPT)
            {
                self.given_up.push(address.port());
            }
            given.give_up();
        }
    }

    /// True if a kept socket with this port was given up: systemd closes its own copy some time after it was asked to,
    /// and until then the port is taken.
    pub fn has_given_up(&self, address: &Address) -> bool {
        matches!(address, Address::Tcp(address) if self.given_up.contains(&address.port()))
    }

    /// A TCP socket that listens at the address.
    pub fn tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let found = self.take(|socket| is_listener(socket) && listens_at(socket, &Address::Tcp(address)))?;
        tracing::info!(%address, name = found.name, "taking over a listening socket");
        Some(TcpListener::from(found.socket))
    }

    /// A Unix socket that listens at the path, if the file there is its own.
    pub fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        fs::symlink_metadata(path).ok()?;
        let wanted = Address::Unix(path.to_path_buf());
        let found = self.take(|socket| is_listener(socket) && listens_at(socket, &wanted))?;
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

    /// Closes what nobody took.
    pub fn close(self) {
        self.sockets.into_iter().for_each(Given::give_up);
    }
}

impl Given {
    /// Closes it: the configuration has other addresses.
    fn give_up(self) {
        let address = SockRef::from(&self.socket).local_addr().ok();
        let address = address.and_then(|address| address.as_socket()).map(|address| address.to_string());
        if self.name.starts_with(KEPT) {
            tracing::info!(address, name = self.name, "a kept socket is needed no more");
            systemd::forget(&self.name);
        } else {
            tracing::warn!(
                address,
                name = self.name,
                "no listener of the configuration has the address of this socket unit; it is closed"
            );
        }
    }
}

/// Asks systemd to keep a listening socket over a restart of the service.
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

fn listens_at(socket: &SockRef<'_>, address: &Address) -> bool {
    match address {
        Address::Tcp(address) => is_at(socket, *address),
        Address::Unix(path) => socket.local_addr().is_ok_and(|own| own.as_pathname() == Some(path.as_path())),
    }
}

/// At the address itself, or at `[::]` if 0.0.0.0 is wanted: systemd opens such a socket for both families.
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
        named("kvd.socket", sockets)
    }

    fn named(name: &str, sockets: Vec<OwnedFd>) -> Inherited {
        let given = |socket| Given { socket, name: name.to_string() };
        Inherited { sockets: sockets.into_iter().map(given).collect(), ..Inherited::default() }
    }

    #[test]
    fn a_kept_socket_at_another_address_is_closed_before_its_port_is_bound() {
        let wide = TcpListener::bind("0.0.0.0:0").expect("bound");
        let narrow = SocketAddr::from(([127, 0, 0, 1], wide.local_addr().expect("an address").port()));
        let fitting = TcpListener::bind("127.0.0.1:0").expect("bound");
        let kept = fitting.local_addr().expect("an address");
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let mut inherited = named("kvd-1", vec![wide.into(), fitting.into(), datagrams.into()]);
        assert!(TcpListener::bind(narrow).is_err(), "the kept socket is in the way");
        inherited.give_up_others(&[Address::Tcp(narrow), Address::Tcp(kept)]);
        TcpListener::bind(narrow).expect("it is no more");
        assert!(inherited.has_given_up(&Address::Tcp(narrow)));
        assert!(!inherited.has_given_up(&Address::Tcp(kept)));
        assert!(inherited.tcp(kept).is_some(), "what fits is taken over");
        assert_eq!(inherited.sockets.len(), 1, "those of the peers are not looked at");
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
