//! Requests whose answers come later.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::asked::Asked;
use crate::differential::gateway::client::{Answer, parsed};
use crate::harness::PATIENCE;

/// Sends a request and reads the whole answer.
pub async fn ask(endpoint: &str, asked: &Asked) -> Answer {
    Open::new(endpoint, asked).await.whole().await
}

/// A request whose answer has begun.
pub struct Open {
    stream: TcpStream,
    read: Vec<u8>,
    what: String,
    is_head: bool,
}

impl Open {
    /// Sends a request and reads the head of its answer.
    pub async fn new(endpoint: &str, asked: &Asked) -> Open {
        let stream = TcpStream::connect(endpoint).await.expect("connected");
        let mut open =
            Open { stream, read: Vec::new(), what: asked.to_string(), is_head: asked.method == "HEAD" };
        let body = &asked.body;
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
            asked.method,
            asked.path,
            body.len(),
            asked.headers
        );
        open.stream.write_all(head.as_bytes()).await.expect("asked");
        // A server may refuse before it has read everything.
        let _ = open.stream.write_all(body.as_bytes()).await;
        open.more("a head", |text| text.contains("\r\n\r\n")).await;
        open
    }

    /// Reads on until that holds or the answer ends.
    async fn more(&mut self, what: &str, is_enough: impl Fn(&str) -> bool) {
        let reading = async {
            while !is_enough(&String::from_utf8_lossy(&self.read)) {
                match self.stream.read_buf(&mut self.read).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "no {what} of {}: {}", self.what, String::from_utf8_lossy(&self.read));
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.answer().status
    }

    fn answer(&self) -> Answer {
        let text = String::from_utf8_lossy(&self.read);
        let mut answer = parsed(&text).unwrap_or_else(|| panic!("{}: no head: {text:?}", self.what));
        if self.is_head {
            assert!(answer.lines.is_empty(), "{}: a body", self.what);
        }
        answer.headers.remove("date");
        answer
    }

    /// The whole answer.
    pub async fn whole(mut self) -> Answer {
        self.more("end", |_| false).await;
        self.answer()
    }

    /// The answer up to a line with that text.
    pub async fn until(mut self, text: &str) -> Answer {
        let is_whole = |read: &str| read.find(text).is_some_and(|at| read[at..].contains('\n'));
        self.more("last line", is_whole).await;
        self.answer()
    }
}
