//! Whether anything still listens at a member's port, as far as its host says so.

use std::io::{ErrorKind, Result};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

/// A host that does not answer within this time says nothing.
const PATIENCE: Duration = Duration::from_millis(100);

/// True if the host says that nothing listens there: ICMP's "port unreachable" (RFC 1122 section 4.1.3.1), which the
/// kernel passes to a connected socket.
pub(super) async fn is_deserted(address: SocketAddr) -> bool {
    matches!(tokio::time::timeout(PATIENCE, is_refused(address)).await, Ok(Ok(true)))
}

async fn is_refused(address: SocketAddr) -> Result<bool> {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    // No packet of QUIC is that short: whoever listens there ignores it.
    socket.send(&[0]).await?;
    let answer = socket.recv(&mut [0]).await;
    Ok(answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_deserted_when_nothing_listens_there() {
        let listener = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        assert!(!is_deserted(address).await, "it is there, and says nothing");
        drop(listener);
        assert!(is_deserted(address).await);
    }
}
