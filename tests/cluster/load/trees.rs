//! Clients of the v2 API: nodes of the tree are registers like keys, and are judged likewise.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::api::Api;
use super::super::dice::Dice;
use super::super::linearizability::{Answer, Call, Op, Value};
use super::clients::{EPOCH, PATIENT, Record};
use super::users::{Pass, ROOT};

/// Nodes in use at a time.
const NODES: usize = 3;

/// Writes and reads nodes, at one member after another. With users on, v2 is for those with the role root.
pub async fn write_nodes(
    number: usize,
    urls: Vec<String>,
    record: Arc<Record>,
    begun: Instant,
    mut dice: Dice,
) {
    let passes: Vec<Pass> = urls.iter().map(|_| Pass::of(ROOT)).collect();
    let mut member = dice.below(urls.len());
    let mut last_seen: Option<(usize, Value)> = None;
    while !record.stop.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(dice.within(10, 60) as u64)).await;
        let key = (begun.elapsed().as_millis() / EPOCH.as_millis()) as usize * NODES + dice.below(NODES);
        let value = record.values.fetch_add(1, Ordering::SeqCst) + 1;
        let expected = last_seen.filter(|(of, _)| *of == key).map(|(_, seen)| seen);
        let op = match dice.weighted(&[40, 30, 20, 10]) {
            0 => Op::Put(value),
            1 => Op::Get,
            2 => Op::Swap { expected, new: value },
            _ => Op::Delete,
        };
        let called = begun.elapsed().as_nanos() as u64;
        let asked = tokio::time::timeout(PATIENT, ask(&urls[member], &passes[member], key, op)).await;
        let returned = begun.elapsed().as_nanos() as u64;
        let answer = match asked {
            Ok(Some(Asked::Answered(answer))) => Some((returned, answer)),
            Ok(Some(Asked::Refused)) => {
                let _ = tokio::time::timeout(PATIENT, passes[member].log_in(&Api::lazy(&urls[member]))).await;
                continue;
            }
            Ok(None) => {
                member = dice.below(urls.len());
                continue;
            }
            Ok(Some(Asked::Unknown)) | Err(_) => None,
        };
        match (op, answer) {
            (Op::Get, Some((_, Answer::Value(Some(seen))))) => last_seen = Some((key, seen)),
            (Op::Put(value), Some(_)) | (Op::Swap { new: value, .. }, Some((_, Answer::Swapped(true)))) => {
                last_seen = Some((key, value));
            }
            (_, None) => {
                member = dice.below(urls.len());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            _ => {}
        }
        record.nodes.lock().push(Call { client: number, key, op, called, answer });
    }
}

enum Asked {
    Answered(Answer),
    /// A token is needed: nothing was done.
    Refused,
    /// The outcome is unknown.
    Unknown,
}

/// `None` if there was no connection.
async fn ask(url: &str, pass: &Pass, key: usize, op: Op) -> Option<Asked> {
    let host = url.strip_prefix("http://").unwrap_or(url);
    let path = format!("/v2/keys/n/{key}");
    let (method, path, body) = match op {
        Op::Get => ("GET", format!("{path}?quorum=true"), String::new()),
        Op::Put(value) => ("PUT", path, format!("value={value}")),
        Op::Delete => ("DELETE", path, String::new()),
        Op::Swap { expected: Some(seen), new } => {
            ("PUT", format!("{path}?prevValue={seen}"), format!("value={new}"))
        }
        Op::Swap { expected: None, new } => {
            ("PUT", format!("{path}?prevExist=false"), format!("value={new}"))
        }
    };
    let mut stream = TcpStream::connect(host).await.ok()?;
    let (length, token) = (body.len(), pass.token());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\
         content-type: application/x-www-form-urlencoded\r\ntoken: {token}\r\n\r\n{body}"
    );
    let mut text = String::new();
    let written = stream.write_all(request.as_bytes()).await.is_ok();
    if !written || stream.read_to_string(&mut text).await.is_err() {
        return Some(Asked::Unknown);
    }
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Some(Asked::Unknown) };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0u16);
    let code = body.split_once("\"errorCode\":").map(|(_, rest)| rest);
    let code = code.and_then(|rest| rest.split([',', '}']).next()?.trim().parse().ok()).unwrap_or(0u32);
    Some(answered(op, status, code, body))
}

/// Codes are those of etcd's v2 API: 100 there is no such node, 101 its value is another one, 105 there is one already.
fn answered(op: Op, status: u16, code: u32, body: &str) -> Asked {
    let value = || {
        let node = body.split_once("\"value\":\"").map(|(_, rest)| rest);
        node.and_then(|rest| rest.split('"').next()?.parse().ok())
    };
    Asked::Answered(match (op, status, code) {
        (_, 401, _) => return Asked::Refused,
        (Op::Get, 200, _) => Answer::Value(value()),
        (Op::Get, _, 100) => Answer::Value(None),
        (Op::Put(_), 200 | 201, _) => Answer::Put,
        (Op::Swap { .. }, 200 | 201, _) => Answer::Swapped(true),
        (Op::Swap { .. }, _, 100 | 101 | 105) => Answer::Swapped(false),
        (Op::Delete, 200, _) => Answer::Deleted(true),
        (Op::Delete, _, 100) => Answer::Deleted(false),
        _ => return Asked::Unknown,
    })
}
