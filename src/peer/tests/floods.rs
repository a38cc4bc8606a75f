//! Handshakes that are begun and never go on, from addresses that a stranger invents.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::Endpoint;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::net::UdpSocket;

use super::lab::{CLUSTER, LONG, Member, SECRET, clock, new_id, secret};
use crate::peer::tuning::{ALPN, MAX_HANDSHAKES};
use crate::pki::Holder;

/// The kind of a packet with a long header (RFC 9000 section 17.2): in its first byte.
const RETRY: u8 = 3;

fn is_retry(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 7 == 1 && first >> 4 & 3 == RETRY)
}

/// The first packets of so many connections, caught on their way.
async fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let credentials = secret(SECRET, clock(0));
    credentials.identify(Holder { member: new_id(), cluster: CLUSTER });
    let mut tls = rustls::ClientConfig::clone(&credentials.client().expect("TLS"));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3"));
    let nowhere = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = nowhere.local_addr().expect("an address");
    let endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let mut packets = Vec::new();
    let mut known = BTreeSet::new();
    let mut buffer = [0; 2048];
    for _ in 0..count {
        let config = quinn::ClientConfig::new(crypto.clone());
        let connecting = endpoint.connect_with(config, address, "x").expect("a good configuration");
        // Earlier ones may try again: what tells them apart is the id that the client has chosen for the server.
        loop {
            let length = tokio::time::timeout(LONG, nowhere.recv(&mut buffer)).await;
            let packet = buffer[..length.expect("in time").expect("received")].to_vec();
            let id = packet[6..6 + usize::from(packet[5])].to_vec();
            if known.insert(id) {
                packets.push(packet);
                break;
            }
        }
        drop(connecting);
    }
    packets
}

/// Whoever invents addresses fills the places for handshakes. Everybody else then has to show that it receives what is
/// sent to its address, which a member does.
#[tokio::test]
async fn handshakes_from_invented_addresses_keep_no_member_out() {
    const FLOOD: usize = 3 * MAX_HANDSHAKES;
    let (one, two) = (Member::new(), Member::new());
    let mut strangers = Vec::new();
    for (number, packet) in first_packets(FLOOD).await.into_iter().enumerate() {
        let address = SocketAddr::from(([127, 0, 1, number as u8 + 1], 0));
        let stranger = UdpSocket::bind(address).await.expect("an address of this machine");
        stranger.send_to(&packet, two.address()).await.expect("sent");
        strangers.push(stranger);
    }
    let mut retries = 0;
    let mut buffer = [0; 2048];
    for stranger in &strangers {
        let answer = tokio::time::timeout(LONG, stranger.recv(&mut buffer)).await;
        let length = answer.expect("each is answered").expect("received");
        retries += usize::from(is_retry(&buffer[..length]));
    }
    assert!((FLOOD - MAX_HANDSHAKES..FLOOD).contains(&retries), "{retries} must prove their address");
    one.reach(&two).await;
}
