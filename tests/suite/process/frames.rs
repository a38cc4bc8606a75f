//! A minimal HTTP/2 client with raw frames (RFC 9113), and a slow link for it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// The largest payload of a frame.
pub const PIECE: usize = 16_384;

/// A frame from the server.
#[derive(Debug, PartialEq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A client.
pub struct Client {
    connection: TcpStream,
}

impl Client {
    /// Connects and sends what every client sends first.
    pub async fn connect(address: impl tokio::net::ToSocketAddrs) -> Client {
        let mut connection = TcpStream::connect(address).await.expect("a connection");
        // A request of two frames would wait for the server's acknowledgement of the first.
        connection.set_nodelay(true).expect("a socket");
        connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the preface is taken");
        let mut client = Client { connection };
        client.send(SETTINGS, 0, 0, &[]).await;
        client
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.connection.write_all(&frame).await.expect("a frame is taken");
    }

    /// Calls a method; `authority` is a field of a header block, in the encoding to send.
    pub async fn call(&mut self, stream: u32, path: &str, authority: &[u8], message: &[u8]) {
        self.send(HEADERS, END_HEADERS, stream, &header_block(path, authority)).await;
        self.send(DATA, END_STREAM, stream, &framed(message)).await;
    }

    /// Begins a call whose message has `length` bytes, and sends so many of them. `allowed` is what the server still takes
    /// on this connection: what it refuses it counts as taken.
    pub async fn begin(&mut self, stream: u32, path: &str, length: usize, sent: usize, allowed: &mut usize) {
        self.send(HEADERS, END_HEADERS, stream, &header_block(path, &[])).await;
        let message = [&[0][..], &(length as u32).to_be_bytes(), &vec![b'x'; sent]].concat();
        for piece in message.chunks(PIECE) {
            while *allowed < 2 * PIECE {
                let frame = self.receive().await.expect("the connection goes on");
                if frame.kind == WINDOW_UPDATE && frame.stream == 0 {
                    let more = frame.payload.try_into().map(u32::from_be_bytes);
                    *allowed += more.expect("four bytes") as usize;
                }
            }
            *allowed -= piece.len();
            self.send(DATA, 0, stream, piece).await;
        }
    }

    /// Accepts the server's settings; before that its streams have small windows.
    pub async fn accept_settings(&mut self) {
        self.send(SETTINGS, ACK, 0, &[]).await;
    }

    /// Allows no answers on the streams that begin now, and returns how many bytes the server takes on this connection.
    pub async fn take_no_answers(&mut self) -> usize {
        self.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
        self.accept_settings().await;
        let mut allowed = 65_535;
        // The server may answer the first ping before it says how much it takes; then it has said so.
        for _ in 0..2 {
            self.send(PING, 0, 0, &[0; 8]).await;
            loop {
                let frame = self.receive().await.expect("the connection goes on");
                match (frame.kind, frame.flags) {
                    (PING, ACK) => break,
                    (WINDOW_UPDATE, _) if frame.stream == 0 => {
                        let more = frame.payload.try_into().map(u32::from_be_bytes);
                        allowed += more.expect("four bytes") as usize;
                    }
                    _ => {}
                }
            }
        }
        allowed
    }

    /// A frame from the server; `None` at the end of the connection.
    pub async fn receive(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        self.connection.read_exact(&mut header).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.connection.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    /// Allows the server to send this many more bytes.
    pub async fn open_window(&mut self, stream: u32, bytes: usize) {
        for stream in [0, stream] {
            self.send(WINDOW_UPDATE, 0, stream, &(bytes as u32).to_be_bytes()).await;
        }
    }
}

/// The header block of a gRPC request.
pub fn header_block(path: &str, authority: &[u8]) -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x44, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(authority);
    block.extend_from_slice(b"\x5f\x10application/grpc\x40\x02te\x08trailers");
    block
}

/// A message with its prefix.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// A link to `server` that delivers this many bytes per second to a client and buffers few.
pub async fn slow_link(server: String, bytes_a_second: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_recv_buffer_size(PIECE as u32).expect("a small buffer");
            let server = server.parse().expect("an address");
            let Ok(server) = socket.connect(server).await else { return };
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut piece = vec![0; PIECE];
                while let Ok(count @ 1..) = from_server.read(&mut piece).await {
                    if to_client.write_all(&piece[..count]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1) * count as u32 / bytes_a_second as u32).await;
                }
            });
        }
    });
    address
}
