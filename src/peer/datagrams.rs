//! A UDP socket that gives the kernel no more than it accepts at once.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};

/// The kernel refuses datagrams that are larger than this in total (until the device splits them they are one IP packet
/// of 64 KiB). To quinn such a refusal would look like packet loss that never ends.
const AT_ONCE: usize = 65_000;

/// quinn sends ten datagrams in one call (UDP segmentation offload), however large they are. This makes several calls
/// if they are large.
#[derive(Debug)]
pub(super) struct Datagrams(Arc<dyn AsyncUdpSocket>);

impl Datagrams {
    /// Takes a non-blocking socket.
    ///
    /// # Errors
    /// The runtime's.
    pub(super) fn over(socket: UdpSocket) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self(TokioRuntime.wrap_udp_socket(socket)?)))
    }
}

impl AsyncUdpSocket for Datagrams {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.0.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(size) = transmit.segment_size else { return self.0.try_send(transmit) };
        for contents in transmit.contents.chunks((AT_ONCE / size).max(1) * size) {
            let segment_size = (contents.len() > size).then_some(size);
            // If there is no room after the first ones, quinn sends them again together with the others, and the peer
            // ignores the duplicates.
            self.0.try_send(&Transmit { contents, segment_size, ..*transmit })?;
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_than_the_kernel_takes_at_once_arrives() {
        let bind = || UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (from, to) = (bind(), bind());
        from.set_nonblocking(true).expect("a flag");
        to.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a time");
        let socket = Datagrams::over(from).expect("a socket of a runtime");
        let destination = to.local_addr().expect("bound");
        // The last datagram is shorter.
        let contents: Vec<u8> = (0..4 * 16_000 + 9_000_u32).map(|number| (number / 1000) as u8).collect();
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: &contents,
            segment_size: Some(16_000),
            src_ip: None,
        };
        let mut poller = socket.clone().create_io_poller();
        std::future::poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.expect("writable");
        socket.try_send(&transmit).expect("sent");
        let mut buffer = vec![0; 1 << 16];
        for sent in contents.chunks(16_000) {
            let length = to.recv(&mut buffer).expect("it arrives");
            assert!(buffer[..length] == *sent, "a datagram of {length} bytes");
        }
    }
}
