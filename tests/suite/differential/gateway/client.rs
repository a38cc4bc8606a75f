//! A client that shows the answers as they are on the wire.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::PATIENCE;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body's lines, without the line feeds.
    pub lines: Vec<String>,
    /// What follows a chunked body, as it is.
    pub trailers: String,
}

/// Sends a request and reads the answer to its end, or `lines` of it. `headers` are lines with their ends.
pub async fn ask(
    endpoint: &str,
    (method, path): (&str, &str),
    headers: &str,
    body: &str,
    lines: Option<usize>,
) -> Answer {
    let talk = async {
        let mut stream = TcpStream::connect(endpoint).await.expect("connected");
        let length = body.len();
        let host = if headers.contains("Host: ") { "" } else { "Host: localhost\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = Vec::new();
        while stream.read_buf(&mut answer).await.expect("answered") > 0 {
            let so_far = lines.and_then(|lines| Some((lines, parsed(&String::from_utf8_lossy(&answer))?)));
            if let Some((lines, mut so_far)) = so_far
                && so_far.lines.len() >= lines
            {
                so_far.lines.truncate(lines);
                return so_far;
            }
        }
        let answer = String::from_utf8_lossy(&answer);
        parsed(&answer).unwrap_or_else(|| panic!("{path} {body}: no head: {answer:?}"))
    };
    let answer = tokio::time::timeout(PATIENCE, talk);
    answer.await.unwrap_or_else(|_| panic!("{path} {body}: no end"))
}

/// What has come of an answer; `None` before its head is complete.
pub fn parsed(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let chunked = headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked");
    let (body, trailers) = if chunked { joined(body) } else { (body.to_owned(), String::new()) };
    Some(Answer { status, headers, lines: body.lines().map(str::to_owned).collect(), trailers })
}

/// The chunks of a body that are complete, joined, and the trailers behind the last.
fn joined(mut rest: &str) -> (String, String) {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length == 0 {
            return (body, after.trim().to_ascii_lowercase());
        }
        let Some((chunk, after)) = after.split_at_checked(length) else { break };
        body += chunk;
        rest = after.strip_prefix("\r\n").unwrap_or(after);
    }
    (body, String::new())
}
