//! UDP sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, ServerConfig};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

use super::datagrams::Datagrams;
use super::driver::Driver;
use super::tuning::SOCKET_BUFFER;

/// A socket that listens on `address`; with `both` an IPv6 wildcard accepts IPv4 as well, as in Go.
///
/// # Errors
/// The error names the address.
pub(super) fn bind(address: SocketAddr, both: bool) -> io::Result<UdpSocket> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("udp {address}: {error}"));
    let socket =
        Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).map_err(named)?;
    if address.is_ipv6() {
        socket.set_only_v6(!both).map_err(named)?;
    }
    enlarge(&socket);
    socket.set_nonblocking(true).map_err(named)?;
    socket.bind(&address.into()).map_err(named)?;
    Ok(socket.into())
}

/// Asks for large buffers; beyond the system's limit if this process is allowed to.
fn enlarge(socket: &Socket) {
    if sockopt::set_socket_recv_buffer_size_force(socket, SOCKET_BUFFER).is_err() {
        let asked = socket.set_recv_buffer_size(SOCKET_BUFFER).and_then(|()| socket.recv_buffer_size());
        // The kernel doubles the requested size, and limits it silently.
        if asked.as_ref().is_ok_and(|size| *size < 2 * SOCKET_BUFFER) {
            tracing::debug!(size = ?asked.ok(), "the UDP receive buffer is small: raise net.core.rmem_max");
        }
    }
    // Sending is paced; a small send buffer costs little.
    if let Err(error) = socket.set_send_buffer_size(SOCKET_BUFFER) {
        tracing::debug!(%error, "the UDP send buffer keeps its size");
    }
}

/// The endpoints for all addresses to listen on, and for sockets that are bound already.
///
/// # Errors
/// For the first address that is in use or does not belong to this machine.
pub(super) fn listen(
    addresses: &[SocketAddr],
    bound: &[Arc<UdpSocket>],
    config: &EndpointConfig,
    server: &ServerConfig,
) -> io::Result<Vec<Endpoint>> {
    let takes_v4 = |port: u16| !addresses.iter().any(|other| other.is_ipv4() && other.port() == port);
    let opened = addresses.iter().map(|address| bind(*address, takes_v4(address.port())));
    let taken = bound.iter().map(|socket| {
        // A socket unit may set larger buffers than this process may ask for; then the smaller request changes nothing.
        socket.set_nonblocking(true)?;
        socket.try_clone()
    });
    opened.chain(taken).map(|socket| endpoint(config, Some(server), socket?)).collect()
}

fn endpoint(
    config: &EndpointConfig,
    server: Option<&ServerConfig>,
    socket: UdpSocket,
) -> io::Result<Endpoint> {
    let socket = Datagrams::over(socket)?;
    Endpoint::new_with_abstract_socket(config.clone(), server.cloned(), socket, Arc::new(Driver))
}

/// The endpoints for outgoing connections, one per address family. The listening sockets are not used, because their
/// address may not be able to reach every member.
#[derive(Clone)]
pub(super) struct Exits {
    v4: Option<Endpoint>,
    v6: Option<Endpoint>,
}

impl Exits {
    /// # Errors
    /// If this machine has neither family.
    pub(super) fn open(config: &EndpointConfig) -> io::Result<Self> {
        let open = |address: SocketAddr| endpoint(config, None, bind(address, false)?);
        let v4 = open((Ipv4Addr::UNSPECIFIED, 0).into());
        let v6 = open((Ipv6Addr::UNSPECIFIED, 0).into());
        match (v4, v6) {
            (Err(error), Err(_)) => Err(error),
            (v4, v6) => Ok(Self { v4: v4.ok(), v6: v6.ok() }),
        }
    }

    /// The endpoint that can reach `address`.
    pub(super) fn to(&self, address: SocketAddr) -> Option<&Endpoint> {
        if address.is_ipv4() { self.v4.as_ref() } else { self.v6.as_ref() }
    }

    /// Both.
    pub(super) fn all(&self) -> impl Iterator<Item = &Endpoint> {
        self.v4.iter().chain(&self.v6)
    }
}
