//! Whether ports of members can be reached from here.

use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Attempts with datagrams, of which the network may lose some.
const ATTEMPTS: u32 = 3;

/// Of every QUIC packet that asks for a version (RFC 9000, 14.1).
const LEAST: usize = 1200;
/// A version that no server has: it answers with those that it has (RFC 9000, 6.3), whoever asks.
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];

/// The host and port of a URL, if it has a host.
pub(super) fn address(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let address = rest.split('/').next().filter(|address| !address.is_empty())?;
    (!scheme.starts_with("unix")).then_some(address)
}

/// Opens a connection, and closes it.
///
/// # Errors
/// Why it cannot be opened.
pub(super) async fn tcp(address: &str, patience: Duration) -> Result<(), String> {
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(crate::config::system_text(&error).to_lowercase()),
        Err(_) => Err("no answer".to_string()),
    }
}

/// Asks a QUIC server for its versions, which needs no certificate.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn quic(address: &str, patience: Duration) -> Result<(), String> {
    let text = |error: std::io::Error| crate::config::system_text(&error).to_lowercase();
    let mut resolved = tokio::net::lookup_host(address).await.map_err(text)?;
    let to = resolved.next().ok_or("the name has no address")?;
    let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own).await.map_err(text)?;
    socket.connect(to).await.map_err(text)?;
    let (packet, id) = question();
    for _ in 0..ATTEMPTS {
        socket.send(&packet).await.map_err(text)?;
        let mut answer = [0; 2048];
        match timeout(patience / ATTEMPTS, socket.recv(&mut answer)).await {
            Ok(Ok(length)) if is_answer(&answer[..length], id) => return Ok(()),
            Ok(Ok(_)) => return Err("something answers that is no QUIC".to_string()),
            Ok(Err(error)) => return Err(text(error)),
            Err(_) => {}
        }
    }
    Err("no answer".to_string())
}

/// A packet with a long header, and the sender's connection id in it.
fn question() -> (Vec<u8>, [u8; 8]) {
    let id = rand::random::<[u8; 8]>();
    let mut packet = vec![0xc0];
    packet.extend(NO_VERSION);
    packet.push(8);
    packet.extend(rand::random::<[u8; 8]>());
    packet.push(8);
    packet.extend(id);
    packet.resize(LEAST, 0);
    (packet, id)
}

/// True for a packet of version negotiation to this connection id.
fn is_answer(packet: &[u8], id: [u8; 8]) -> bool {
    const HEADER: usize = 6;
    let is_long = packet.first().is_some_and(|first| first & 0x80 != 0);
    is_long
        && packet.get(1..5) == Some(&[0; 4])
        && packet.get(5) == Some(&8)
        && packet.get(HEADER..HEADER + 8) == Some(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_from_urls() {
        assert_eq!(address("http://10.0.0.1:2380"), Some("10.0.0.1:2380"));
        assert_eq!(address("https://[::1]:2380/"), Some("[::1]:2380"));
        assert_eq!((address("unix:///run/kv.sock"), address("nonsense")), (None, None));
    }

    #[tokio::test]
    async fn ports_are_told_apart() {
        let patience = Duration::from_millis(600);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let open = listener.local_addr().expect("an address").to_string();
        assert_eq!(tcp(&open, patience).await, Ok(()));
        drop(listener);
        assert_eq!(tcp(&open, patience).await, Err("connection refused".to_string()));
        let silent = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let silent = silent.local_addr().expect("an address").to_string();
        assert!(quic(&silent, patience).await.is_err(), "nobody is there any more");
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let (packet, id) = question();
        assert_eq!((packet.len(), packet[0] & 0x80), (LEAST, 0x80));
        let answer = |id: [u8; 8], version: u8| {
            [&[0xd5, 0, 0, 0, version, 8][..], &id, &[8; 9], &[0, 0, 0, 1]].concat()
        };
        assert!(is_answer(&answer(id, 0), id));
        assert!(!is_answer(&answer([7; 8], 0), id) && !is_answer(&answer(id, 1), id) && !is_answer(&[], id));
    }
}
