//! One of the two servers: runs steps and returns answers in a comparable form.

use super::answer::{Answer, Names, Normal};
use super::op::{CHOSEN, COMPACTED, CURRENT, EARLIER, MYSELF, Op, symbolic};
use super::watches::{PAST, PRESENT_AND_PAST, TOO_LATE, Watches};
use crate::harness::{Api, PATIENCE, Server};
use kvd::api::proto::etcdserverpb::{
    DefragmentRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseTimeToLiveResponse, MemberListRequest,
    RangeRequest, RangeResponse, StatusRequest,
};
use std::sync::{Arc, Mutex};
use tonic::Status;

/// A server and what a run knows about it.
pub struct Side {
    pub server: Server,
    api: Api,
    names: Arc<Mutex<Names>>,
    pub watches: Watches,
}

/// The revisions that symbolic numbers are relative to, on the reference server.
#[derive(Clone, Debug)]
pub struct Bearings {
    pub current: i64,
    /// The revisions of all compactions so far.
    pub compactions: Vec<i64>,
}

impl Bearings {
    /// The compacted revision, 0 if there was no compaction.
    pub fn compacted(&self) -> i64 {
        self.compaction(0)
    }

    /// The revision of the compaction before the last `back` ones, 0 if there was none.
    fn compaction(&self, back: i64) -> i64 {
        let back = usize::try_from(back).unwrap_or(usize::MAX);
        self.compactions.iter().rev().nth(back).copied().unwrap_or(0)
    }
}

impl Side {
    /// True if the server has ended; its clients notice that a moment before its parent process does.
    pub async fn has_died(&mut self) -> bool {
        for _ in 0..100 {
            if self.server.poll_exit().is_some() {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        false
    }

    /// A fresh server that answers.
    pub async fn new(server: Server) -> Side {
        let api = server.api();
        let mut maintenance = api.maintenance.clone();
        let status = maintenance.status(StatusRequest {}).await.expect("a started server has a status");
        let header = status.into_inner().header.unwrap_or_default();
        let names = Arc::new(Mutex::new(Names::new(header.cluster_id, header.member_id)));
        let watches = Watches::new(api.watch.clone(), names.clone());
        Side { server, api, names, watches }
    }

    /// The request in the form that is sent to this server.
    pub fn resolve(&self, op: &Op, bearings: &Bearings) -> Op {
        let mut op = op.clone();
        let names = self.names.lock().expect("no panic while held");
        op.numbers(&mut |number| match symbolic(*number) {
            Some((CURRENT, distance)) => *number = bearings.current + distance,
            Some((COMPACTED, distance)) => *number = bearings.compacted() + distance,
            Some((EARLIER, back)) => *number = bearings.compaction(back),
            Some((CHOSEN, index)) => *number = names.chosen(index),
            Some(_) | None => {}
        });
        if let Op::Watch { stream, request } = &mut op {
            let start = &mut request.start_revision;
            if *stream == PRESENT_AND_PAST || *stream == PAST {
                *start = (*start).min(bearings.current);
            }
            if *start > 0 && *start < bearings.compacted() {
                *stream = TOO_LATE;
                request.watch_id = 0;
            }
        }
        if let Op::Compact(request) = &mut op
            && request.revision == 0
        {
            // An etcd accepts this revision once, and then treats its empty hash as the current one.
            request.revision = -1;
        }
        if let Op::Alarm(request) = &mut op
            && request.member_id == MYSELF
        {
            request.member_id = names.member_id();
        }
        op
    }

    /// Runs a resolved step.
    pub async fn run(&mut self, op: &Op) -> Answer {
        match tokio::time::timeout(PATIENCE, self.answer(op)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(status)) => Answer::Refused(status.code(), status.message().to_owned()),
            Err(_) => Answer::Nothing,
        }
    }

    async fn answer(&mut self, op: &Op) -> Result<Answer, Status> {
        let names = self.names.clone();
        let normal = |answer: Answer| answer.normal(&mut names.lock().expect("no panic while held"));
        let mut kv = self.api.kv.clone();
        let mut lease = self.api.lease.clone();
        let mut maintenance = self.api.maintenance.clone();
        let answer = match op.clone() {
            Op::Range(request) => {
                let answer = kv.range(request.clone()).await?.into_inner();
                Answer::range(&request, answer)
            }
            Op::RangeStream(request) => Answer::range(&request, self.range_stream(request.clone()).await?),
            Op::Put(request) => Answer::Put(kv.put(request).await?.into_inner()),
            Op::Delete(request) => Answer::Delete(kv.delete_range(request).await?.into_inner()),
            Op::Txn(request) => {
                let answer = kv.txn(request.clone()).await?.into_inner();
                Answer::txn(&request, answer)
            }
            Op::Compact(request) => Answer::Compact(kv.compact(request).await?.into_inner()),
            Op::Grant(request) => {
                let answer = lease.lease_grant(request).await?.into_inner();
                if request.id == 0 {
                    names.lock().expect("no panic while held").choose(answer.id);
                }
                Answer::Grant(answer)
            }
            Op::Revoke(request) => Answer::Revoke(lease.lease_revoke(request).await?.into_inner()),
            Op::TimeToLive(request) => {
                Answer::TimeToLive(lease.lease_time_to_live(request).await?.into_inner())
            }
            Op::KeepAlive(ids) => self.keep_alive(ids).await?,
            Op::Leases => Answer::Leases(lease.lease_leases(LeaseLeasesRequest {}).await?.into_inner()),
            Op::Watch { stream, request } => return Ok(self.watches.create(stream, request).await),
            Op::Cancel { stream, watch_id } => return Ok(self.watches.cancel(stream, watch_id).await),
            Op::Alarm(request) => Answer::Alarm(maintenance.alarm(request).await?.into_inner()),
            Op::HashKv(request) => Answer::HashKv(maintenance.hash_kv(request).await?.into_inner()),
            Op::Status => Answer::Status(maintenance.status(StatusRequest {}).await?.into_inner()),
            Op::Members { linearizable } => {
                let request = MemberListRequest { linearizable };
                Answer::Members(self.api.cluster.clone().member_list(request).await?.into_inner())
            }
            Op::Defragment => {
                Answer::Defragment(maintenance.defragment(DefragmentRequest {}).await?.into_inner())
            }
            Op::Settle => return Ok(Answer::Done),
            Op::Restart => {
                self.restart().await;
                return Ok(Answer::Done);
            }
        };
        Ok(normal(answer))
    }

    /// A streamed range, which must equal the same range in one piece.
    async fn range_stream(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        let streamed = self.put_together(request.clone()).await?;
        let (sorted, ordered) = (request.sort_target != 0, request.sort_order != 0);
        let whole = self.api.kv.clone().range(request).await?.into_inner();
        if self.server.is_kvd() && streamed != whole {
            return Err(Status::internal(format!("streamed {streamed:?}, in one piece {whole:?}")));
        }
        // A target alone sorts in ascending order. etcd 3.7.3 ignores that when it splits the answer: of more than ten
        // keys some come twice and others not at all.
        Ok(if sorted && !ordered { whole } else { streamed })
    }

    /// The parts of a streamed range, joined. Only the last part may have the header, `more` and `count`.
    async fn put_together(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        let mut stream = self.api.kv.clone().range_stream(request).await?.into_inner();
        let mut whole = RangeResponse::default();
        while let Some(message) = stream.message().await? {
            let part = message.range_response.unwrap_or_default();
            if whole.header.is_some() {
                return Err(Status::internal("a part of a range after the one with the header"));
            }
            if part.header.is_none() && (part.more || part.count != 0) {
                return Err(Status::internal("more or count before the last part of a range"));
            }
            whole.kvs.extend(part.kvs);
            (whole.header, whole.more, whole.count) = (part.header, part.more, part.count);
        }
        Ok(whole)
    }

    async fn keep_alive(&self, ids: Vec<i64>) -> Result<Answer, Status> {
        let requests: Vec<_> = ids.iter().map(|id| LeaseKeepAliveRequest { id: *id }).collect();
        let count = requests.len();
        let stream = self.api.lease.clone().lease_keep_alive(tokio_stream::iter(requests)).await?;
        let mut stream = stream.into_inner();
        let mut answers = Vec::new();
        while answers.len() < count {
            match stream.message().await? {
                Some(answer) => answers.push(answer),
                None => break,
            }
        }
        Ok(Answer::KeepAlive(answers))
    }

    async fn restart(&mut self) {
        self.server.kill();
        self.server.start().await;
        self.api = self.server.api();
        self.watches = Watches::new(self.api.watch.clone(), self.names.clone());
    }
}

/// Remaining seconds depend on the machine: if they are close to the granted time, they count as all of it.
pub fn forgiving_ttl(answer: &mut LeaseTimeToLiveResponse) {
    const SLACK: i64 = 900;
    if answer.ttl >= 0 && (answer.granted_ttl - answer.ttl).abs() <= SLACK {
        answer.ttl = answer.granted_ttl;
    }
}

const _: () = assert!(CHOSEN > COMPACTED && COMPACTED > CURRENT);
