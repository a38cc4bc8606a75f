//! Checks that bad links are bad, and good again afterwards: no other test would notice a relay that does nothing.
//!
//! Times are compared with a lower bound only, and counts with a bound that chance misses less than once in 10^18.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::net::{Host, Net};
use super::server::PATIENCE;

const SERVER: &str = "10.0.1.2";
/// A bad link's delay; the real one may be a third shorter.
const DELAY: u32 = 30;
/// Both directions together.
const LEAST: Duration = Duration::from_millis(2 * (DELAY - DELAY / 3) as u64);
/// Few and small enough to fit in a socket's queue all at once.
const DATAGRAMS: u64 = 200;
/// Large enough to be passed to a network card in one piece.
const STREAM: usize = 256 << 10;

/// Runs `work` on a host.
fn on<T: Send>(host: &Host, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            host.enter();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The client's socket, and the server's.
fn sockets(net: &Net) -> [UdpSocket; 2] {
    ["client", "server"].map(|name| {
        let host = net.host(name);
        let socket = on(&host, || UdpSocket::bind((host.address.as_str(), 7)).expect("a socket"));
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        socket
    })
}

/// The shortest round trip of some datagrams to the server; lost ones do not count.
fn round_trip([client, server]: &[UdpSocket; 2], attempts: usize) -> Duration {
    let mut shortest = Duration::MAX;
    for number in 0..attempts {
        let (sent, begun) = ([number as u8], Instant::now());
        client.send_to(&sent, (SERVER, 7)).expect("it is sent");
        let mut got = [0; 8];
        let Ok((1, from)) = server.recv_from(&mut got) else { continue };
        server.send_to(&got[..1], from).expect("it is sent back");
        if client.recv(&mut got).is_ok() && got[0] == sent[0] {
            shortest = shortest.min(begun.elapsed());
        }
    }
    shortest
}

/// How many of the datagrams arrive, each whole and once.
fn arrivals([client, server]: &[UdpSocket; 2]) -> usize {
    let text = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().repeat(12);
    for number in 0..DATAGRAMS {
        client.send_to(&text(number), (SERVER, 7)).expect("it is sent");
    }
    let (mut seen, mut got) = (BTreeSet::new(), [0; 200]);
    while let Ok(length) = server.recv(&mut got) {
        let number = (0..DATAGRAMS).find(|number| text(*number) == got[..length]);
        let number = number.expect("what arrives is what was sent");
        assert!(seen.insert(number), "datagram {number} arrives twice");
    }
    seen.len()
}

/// A stream to the server and back.
fn streamed(net: &Net) -> Vec<u8> {
    let listener = on(&net.host("server"), || TcpListener::bind((SERVER, 7)).expect("a listener"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut text = vec![0; STREAM];
            stream.read_exact(&mut text).expect("all of it arrives");
            stream.write_all(&text).expect("it is sent back");
        });
        let mut stream = on(&net.host("client"), || TcpStream::connect((SERVER, 7)).expect("a connection"));
        stream.write_all(&text()).expect("it is sent");
        let mut back = Vec::new();
        stream.read_to_end(&mut back).expect("all of it comes back");
        back
    })
}

/// A text in which a missing or misplaced piece can be seen.
fn text() -> Vec<u8> {
    (0u32..).flat_map(u32::to_le_bytes).take(STREAM).collect()
}

/// Makes links bad and good again.
pub fn bad_and_good() {
    let mut net = Net::new(&[("client", "10.0.1.1"), ("server", SERVER), ("other", "10.0.1.3")]);
    let sockets = sockets(&net);
    net.trouble(DELAY, 0);
    assert!(round_trip(&sockets, 10) >= LEAST, "nothing is faster than the link");
    net.trouble(DELAY, 20);
    let arrived = arrivals(&sockets);
    assert!(arrived > 0 && (arrived as u64) < DATAGRAMS, "{arrived} of {DATAGRAMS} arrived");
    net.trouble(DELAY, 2);
    assert!(streamed(&net) == text(), "a stream arrives as it was sent");
    net.calm();
    let begun = Instant::now();
    while round_trip(&sockets, 1) >= LEAST {
        assert!(begun.elapsed() < PATIENCE, "the link stays slow");
    }
}
