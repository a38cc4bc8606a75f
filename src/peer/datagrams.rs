//! A UDP socket for quinn that wakes its thread for datagrams only, and gives the kernel no more than it accepts at once.

use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Sleep, sleep};

/// How long a sender waits for room if the kernel cannot say when there is some.
const PAUSE: Duration = Duration::from_millis(10);

/// The kernel refuses datagrams that are larger than this in total (until the device splits them they are one IP packet
/// of 64 KiB). To quinn such a refusal would look like packet loss that never ends.
const AT_ONCE: usize = 65_000;

/// quinn sends ten datagrams in one call (UDP segmentation offload), however large they are. This makes several calls
/// if they are large.
///
/// tokio's own socket also waits for room to send: the kernel then wakes the thread for each datagram that has left, and
/// that is all of them, because there is almost always room. This one does so only while there is none ([`Room`]).
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: AsyncFd<UdpSocket>,
    state: UdpSocketState,
    /// The kernel has refused a datagram for lack of room.
    full: AtomicBool,
}

impl Datagrams {
    /// Takes a non-blocking socket.
    ///
    /// # Errors
    /// The runtime's, and those of the socket's options.
    pub(super) fn over(socket: UdpSocket) -> io::Result<Arc<Self>> {
        let state = UdpSocketState::new((&socket).into())?;
        let socket = registered(socket, Interest::READABLE)?;
        Ok(Arc::new(Self { socket, state, full: AtomicBool::new(false) }))
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.state.send(self.socket.get_ref().into(), transmit);
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.full.store(true, Ordering::Relaxed);
        }
        sent
    }
}

/// A socket whose events the runtime of this thread reports.
#[allow(
    deprecated,
    reason = "its replacement is unsafe: other types may lie about their descriptor, a socket does not"
)]
fn registered(socket: UdpSocket, events: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    AsyncFd::with_interest(socket, events)
}

impl AsyncUdpSocket for Datagrams {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(size) = transmit.segment_size else { return self.send(transmit) };
        for contents in transmit.contents.chunks((AT_ONCE / size).max(1) * size) {
            let segment_size = (contents.len() > size).then_some(size);
            // If there is no room after the first ones, quinn sends them again together with the others, and the peer
            // ignores the duplicates.
            self.send(&Transmit { contents, segment_size, ..*transmit })?;
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            match self.state.recv(self.socket.get_ref().into(), bufs, meta) {
                Ok(count) => {
                    // Fewer than there was space for: nothing is left, and what comes later is reported anew.
                    if count < bufs.len().min(BATCH_SIZE) {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Waits for room to send, which quinn does before each datagram. It registers a second descriptor of the socket, and only
/// after the kernel had no room.
#[derive(Debug)]
struct Room {
    socket: Arc<Datagrams>,
    waiting: Option<Waiting>,
}

/// How a sender waits for room.
#[derive(Debug)]
enum Waiting {
    /// The kernel says when there is some.
    Told(AsyncFd<UdpSocket>),
    /// There is no descriptor left: the sender tries again later. quinn never goes on with a connection after an error.
    Tries(Pin<Box<Sleep>>),
}

impl Waiting {
    fn with(descriptor: io::Result<UdpSocket>) -> Self {
        match descriptor.and_then(|socket| registered(socket, Interest::WRITABLE)) {
            Ok(socket) => Self::Told(socket),
            Err(_) => Self::Tries(Box::pin(sleep(PAUSE))),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Told(socket) => socket.poll_write_ready(cx).map_ok(|_| ()),
            Self::Tries(pause) => pause.as_mut().poll(cx).map(Ok),
        }
    }
}

impl UdpPoller for Room {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.socket.full.load(Ordering::Relaxed) {
            self.waiting = None;
            return Poll::Ready(Ok(()));
        }
        let waiting = self.waiting.take();
        let mut waiting = waiting.unwrap_or_else(|| Waiting::with(self.socket.socket.get_ref().try_clone()));
        match waiting.poll(cx) {
            Poll::Ready(ready) => {
                self.socket.full.store(false, Ordering::Relaxed);
                Poll::Ready(ready)
            }
            Poll::Pending => {
                self.waiting = Some(waiting);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn more_than_the_kernel_takes_at_once_arrives() {
        let bind = || UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (from, to) = (bind(), bind());
        from.set_nonblocking(true).expect("a flag");
        to.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
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

    /// Receives what there is, as quinn does: until there is nothing.
    async fn received(socket: &Datagrams, wanted: usize) -> usize {
        let (mut buffers, mut count) = (vec![vec![0; 2000]; BATCH_SIZE], 0);
        while count < wanted {
            let mut metas = vec![RecvMeta::default(); BATCH_SIZE];
            let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
            count += std::future::poll_fn(|cx| socket.poll_recv(cx, &mut slices, &mut metas))
                .await
                .expect("received");
        }
        count
    }

    #[tokio::test]
    async fn every_datagram_is_received_whether_they_fill_the_buffers_or_not() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a flag");
        let (socket, from) =
            (Datagrams::over(socket).expect("a socket"), UdpSocket::bind("127.0.0.1:0").expect("a port"));
        for count in [1, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 1, 1, 2 * BATCH_SIZE] {
            for _ in 0..count {
                from.send_to(b"x", socket.local_addr().expect("bound")).expect("sent");
            }
            let all = tokio::time::timeout(Duration::from_secs(10), received(&socket, count));
            assert_eq!(all.await.expect("all arrive"), count);
        }
    }

    #[tokio::test]
    async fn a_sender_without_room_waits_for_it() {
        let (path, to) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        path.set_nonblocking(true).expect("a flag");
        // A datagram socket whose room is limited by its receiver; only its descriptor matters here.
        while path.send(b"full").is_ok() {}
        let socket = Arc::new(Datagrams {
            full: AtomicBool::new(false),
            state: UdpSocketState::new((&UdpSocket::bind("127.0.0.1:0").expect("a port")).into())
                .expect("a state"),
            socket: registered(UdpSocket::from(std::os::fd::OwnedFd::from(path)), Interest::READABLE)
                .expect("registered"),
        });
        let mut room = socket.clone().create_io_poller();
        std::future::poll_fn(|cx| room.as_mut().poll_writable(cx)).await.expect("it has not been tried");
        socket.full.store(true, Ordering::Relaxed);
        let waits = std::future::poll_fn(|cx| Poll::Ready(room.as_mut().poll_writable(cx).is_pending()));
        assert!(waits.await, "no room");
        to.set_nonblocking(true).expect("a flag");
        while to.recv(&mut [0; 8]).is_ok() {}
        std::future::poll_fn(|cx| room.as_mut().poll_writable(cx)).await.expect("room");
        std::future::poll_fn(|cx| room.as_mut().poll_writable(cx))
            .await
            .expect("and at once if there is room");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_without_a_descriptor_tries_again() {
        let none = || Err(io::Error::from_raw_os_error(libc::EMFILE));
        let mut waiting = Waiting::with(none());
        let waits = std::future::poll_fn(|cx| Poll::Ready(waiting.poll(cx).is_pending()));
        assert!(waits.await, "it gives neither up nor does it spin");
        let begun = tokio::time::Instant::now();
        std::future::poll_fn(|cx| waiting.poll(cx)).await.expect("no error, which would end the connection");
        assert!(begun.elapsed() >= PAUSE);
    }
}
