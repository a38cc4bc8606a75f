//! A cluster of three.

use super::wait::PATIENCE;
use super::{Program, Server, Setup, subject};
use kvd::api::proto::etcdserverpb::{RangeRequest, StatusRequest, StatusResponse};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The members, by number.
pub struct Three(pub Vec<Server>);

impl Three {
    /// Three members of one cluster, answering.
    pub async fn start() -> Three {
        Three::start_with(|_, _| {}).await
    }

    /// The same, after each was prepared: with more flags, of which the last counts, or variables.
    pub async fn start_with(prepare: impl Fn(usize, &mut Server)) -> Three {
        Three::of(&subject(), prepare).await
    }

    /// The same with members of `program`.
    pub async fn of(program: &Program, prepare: impl Fn(usize, &mut Server)) -> Three {
        Three(members(program, 3, prepare).await)
    }

    /// The index of the leader, when all agree on it.
    pub async fn leader(&self) -> usize {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let mut seen = Vec::new();
            for member in &self.0 {
                let status = status(member).await;
                let id = status.header.as_ref().map_or(0, |header| header.member_id);
                seen.push((id, status.leader));
            }
            let leader = seen[0].1;
            if leader != 0
                && seen.iter().all(|(_, other)| *other == leader)
                && let Some(place) = seen.iter().position(|(id, _)| *id == leader)
            {
                return place;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("they do not agree on a leader");
    }
}

/// So many members of a new cluster of `program`, each after it was prepared, answering.
pub async fn members(program: &Program, count: usize, prepare: impl Fn(usize, &mut Server)) -> Vec<Server> {
    let mut members: Vec<Server> = (0..count).map(|_| Setup::of(program).bare().prepare()).collect();
    let named = |(number, member): (usize, &Server)| format!("m{number}={}", member.peer_url());
    let cluster = members.iter().enumerate().map(named).collect::<Vec<_>>().join(",");
    for (number, member) in members.iter_mut().enumerate() {
        let (client, peer) = (member.url(), member.peer_url());
        let data = member.data_dir().display().to_string();
        member.add_args(&[
            &format!("--name=m{number}"),
            &format!("--data-dir={data}"),
            &format!("--listen-client-urls={client}"),
            &format!("--advertise-client-urls={client}"),
            &format!("--listen-peer-urls={peer}"),
            &format!("--initial-advertise-peer-urls={peer}"),
            &format!("--initial-cluster={cluster}"),
        ]);
        prepare(number, member);
        member.spawn();
    }
    for member in &members {
        answers(member).await;
    }
    members
}

/// Waits until the member answers a linearizable read.
pub async fn answers(member: &Server) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let read = RangeRequest { key: "k".into(), ..RangeRequest::default() };
        let mut kv = member.api().kv;
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(10), kv.range(read)).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no answer: {}", member.log());
}

/// A page that it serves, with its head.
pub async fn page(member: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(member.endpoint()).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

/// Its status, once it answers.
pub async fn status(member: &Server) -> StatusResponse {
    let begun = Instant::now();
    loop {
        match member.api().maintenance.status(StatusRequest {}).await {
            Ok(answer) => return answer.into_inner(),
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
