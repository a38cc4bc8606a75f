//! A client that sends frames and reads nothing.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, WINDOW_UPDATE, framed, header_block,
};
use crate::harness::Server;

/// The setting `SETTINGS_INITIAL_WINDOW_SIZE`.
const INITIAL_WINDOW: [u8; 2] = [0, 4];
/// The largest window.
const WINDOW: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
/// The largest payload of a frame.
const FRAME: usize = 16_384;
/// After so long a server that takes nothing has stopped reading.
const STUCK: Duration = Duration::from_secs(5);

/// A connection whose windows have no end, and of which nothing is read.
pub struct Raw {
    connection: TcpStream,
}

impl Raw {
    pub async fn connect(server: &Server) -> Raw {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let address = server.endpoint().parse().expect("an address");
        let connection = socket.connect(address).await.expect("a connection");
        let mut raw = Raw { connection };
        let more = 0x7fff_ffff_u32 - 65_535;
        let hello = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &[&INITIAL_WINDOW[..], &WINDOW].concat()),
            frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes()),
        ];
        raw.write(&hello.concat()).await;
        raw
    }

    /// Begins a request that never goes on; false if the server does not take it any more.
    pub async fn open(&mut self, stream: u32, path: &str, more: &[u8]) -> bool {
        let block = header_block(path, more);
        let mut parts = block.chunks(FRAME).peekable();
        let (mut kind, mut frames) = (HEADERS, Vec::new());
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() { END_HEADERS } else { 0 };
            frames.extend(frame(kind, flags, stream, part));
            kind = CONTINUATION;
        }
        self.write(&frames).await
    }

    /// Begins a stream with a message.
    pub async fn begin(&mut self, stream: u32, path: &str, message: &[u8]) -> bool {
        self.open(stream, path, &[]).await && self.write(&frame(DATA, 0, stream, &framed(message))).await
    }

    /// Makes a call.
    pub async fn call(&mut self, stream: u32, path: &str, more: &[u8], message: &[u8]) -> bool {
        let data = frame(DATA, END_STREAM, stream, &framed(message));
        self.open(stream, path, more).await && self.write(&data).await
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        let written = tokio::time::timeout(STUCK, self.connection.write_all(bytes)).await;
        written.is_ok_and(|written| written.is_ok())
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
