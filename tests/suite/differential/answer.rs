//! Answers in a comparable form: ids are replaced by their role, and the order of ties and of sets is removed.

use super::op::CHOSEN;
use super::side::forgiving_ttl;
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::etcdserverpb::response_op::Response;
use kvd::api::proto::etcdserverpb::{
    AlarmResponse, CompactionResponse, DefragmentResponse, DeleteRangeResponse, HashKvResponse,
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse,
    LeaseTimeToLiveResponse, MemberListResponse, PutResponse, RangeRequest, RangeResponse, ResponseHeader,
    StatusResponse, TxnRequest, TxnResponse,
};
use kvd::api::proto::mvccpb::KeyValue;
use std::collections::HashMap;
use tonic::Code;

/// The result of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Range(RangeResponse),
    Put(PutResponse),
    Delete(DeleteRangeResponse),
    Txn(TxnResponse),
    Compact(CompactionResponse),
    Grant(LeaseGrantResponse),
    Revoke(LeaseRevokeResponse),
    TimeToLive(LeaseTimeToLiveResponse),
    KeepAlive(Vec<LeaseKeepAliveResponse>),
    Leases(LeaseLeasesResponse),
    Watch(super::watches::Seen),
    Alarm(AlarmResponse),
    HashKv(HashKvResponse),
    Status(StatusResponse),
    Members(MemberListResponse),
    Defragment(DefragmentResponse),
    /// A gRPC error, code and text.
    Refused(Code, String),
    /// A step without an answer of its own.
    Done,
    /// No answer within the harness's deadline.
    Nothing,
}

impl Answer {
    /// The answer to a range request, without the order among equal sort keys.
    pub fn range(request: &RangeRequest, mut answer: RangeResponse) -> Answer {
        untie(request, &mut answer);
        Answer::Range(answer)
    }

    /// The answer to a transaction, likewise.
    pub fn txn(request: &TxnRequest, mut answer: TxnResponse) -> Answer {
        untie_txn(request, &mut answer);
        Answer::Txn(answer)
    }

    /// The store revision in the answer.
    pub fn revision(&self) -> Option<i64> {
        let header = match self {
            Answer::Range(answer) => answer.header,
            Answer::Put(answer) => answer.header,
            Answer::Delete(answer) => answer.header,
            Answer::Txn(answer) => answer.header,
            Answer::Compact(answer) => answer.header,
            Answer::Revoke(answer) => answer.header,
            _ => None,
        };
        header.map(|header| header.revision)
    }
}

/// Puts the rows with equal sort keys in key order. If a limit cuts among equal ones, it is open which of them are
/// shown: then only their sort keys are kept.
fn untie(request: &RangeRequest, answer: &mut RangeResponse) {
    if request.sort_target == 0 {
        return;
    }
    let limited = request.limit > 0 && answer.more;
    let sort_key = |kv: &KeyValue| match request.sort_target {
        1 => (kv.version, Default::default()),
        2 => (kv.create_revision, Default::default()),
        3 => (kv.mod_revision, Default::default()),
        _ => (0, kv.value.clone()),
    };
    if limited {
        for kv in &mut answer.kvs {
            let (number, value) = sort_key(kv);
            *kv = KeyValue { version: number, value, ..Default::default() };
        }
        return;
    }
    for tied in answer.kvs.chunk_by_mut(|a, b| sort_key(a) == sort_key(b)) {
        tied.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

fn untie_txn(request: &TxnRequest, answer: &mut TxnResponse) {
    let branch = if answer.succeeded { &request.success } else { &request.failure };
    for (op, response) in branch.iter().zip(&mut answer.responses) {
        match (&op.request, &mut response.response) {
            (Some(Request::RequestRange(request)), Some(Response::ResponseRange(answer))) => {
                untie(request, answer);
            }
            (Some(Request::RequestTxn(request)), Some(Response::ResponseTxn(answer))) => {
                untie_txn(request, answer);
            }
            _ => {}
        }
    }
}

/// The names of this server's ids in comparisons.
pub struct Names {
    cluster_id: u64,
    member_id: u64,
    chosen: Vec<i64>,
    known: HashMap<i64, i64>,
}

impl Names {
    /// The names of a server with these ids.
    pub fn new(cluster_id: u64, member_id: u64) -> Names {
        Names { cluster_id, member_id, chosen: Vec::new(), known: HashMap::new() }
    }

    /// The server's own member id.
    pub fn member_id(&self) -> u64 {
        self.member_id
    }

    /// The id the server chose at the `index`-th grant without one; before that an id that does not exist.
    pub fn chosen(&self, index: i64) -> i64 {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.chosen.get(index).copied())
            .unwrap_or(999_000 + index)
    }

    /// Records an id that the server chose.
    pub fn choose(&mut self, id: i64) {
        self.known.insert(id, CHOSEN + self.chosen.len() as i64);
        self.chosen.push(id);
    }

    fn lease(&self, id: &mut i64) {
        if let Some(name) = self.known.get(id) {
            *id = *name;
        }
    }

    fn header(&self, header: &mut Option<ResponseHeader>) {
        if let Some(header) = header {
            let own = |id: u64, own: u64| if id == own { 1 } else { id };
            header.cluster_id = own(header.cluster_id, self.cluster_id);
            header.member_id = own(header.member_id, self.member_id);
            header.raft_term = header.raft_term.min(1);
        }
    }

    /// A key-value with its lease by name.
    pub fn kv(&self, kv: &mut KeyValue) {
        self.lease(&mut kv.lease);
    }
}

/// A value with a form that is comparable between two servers.
pub trait Normal {
    /// Removes everything that may differ.
    fn normal(self, names: &mut Names) -> Self;
}

impl Normal for Answer {
    fn normal(mut self, names: &mut Names) -> Answer {
        match &mut self {
            Answer::Range(answer) => range(answer, names),
            Answer::Put(answer) => put(answer, names),
            Answer::Delete(answer) => delete(answer, names),
            Answer::Txn(answer) => txn(answer, names),
            Answer::Compact(answer) => names.header(&mut answer.header),
            Answer::Grant(answer) => {
                names.header(&mut answer.header);
                names.lease(&mut answer.id);
            }
            Answer::Revoke(answer) => names.header(&mut answer.header),
            Answer::TimeToLive(answer) => {
                names.header(&mut answer.header);
                names.lease(&mut answer.id);
                forgiving_ttl(answer);
                answer.keys.sort();
            }
            Answer::KeepAlive(answers) => {
                for answer in answers {
                    names.header(&mut answer.header);
                    names.lease(&mut answer.id);
                }
            }
            Answer::Leases(answer) => {
                names.header(&mut answer.header);
                answer.leases.iter_mut().for_each(|lease| names.lease(&mut lease.id));
                answer.leases.sort_by_key(|lease| lease.id);
            }
            Answer::Alarm(answer) => {
                names.header(&mut answer.header);
                for alarm in &mut answer.alarms {
                    if alarm.member_id == names.member_id {
                        alarm.member_id = 1;
                    }
                }
                answer.alarms.sort_by_key(|alarm| (alarm.member_id, alarm.alarm));
            }
            Answer::HashKv(answer) => names.header(&mut answer.header),
            Answer::Status(answer) => status(answer, names),
            Answer::Members(answer) => members(answer, names),
            Answer::Defragment(answer) => names.header(&mut answer.header),
            Answer::Watch(_) | Answer::Refused(..) | Answer::Done | Answer::Nothing => {}
        }
        self
    }
}

fn range(answer: &mut RangeResponse, names: &Names) {
    names.header(&mut answer.header);
    answer.kvs.iter_mut().for_each(|kv| names.kv(kv));
}

fn put(answer: &mut PutResponse, names: &Names) {
    names.header(&mut answer.header);
    answer.prev_kv.iter_mut().for_each(|kv| names.kv(kv));
}

fn delete(answer: &mut DeleteRangeResponse, names: &Names) {
    names.header(&mut answer.header);
    answer.prev_kvs.iter_mut().for_each(|kv| names.kv(kv));
}

fn txn(answer: &mut TxnResponse, names: &Names) {
    names.header(&mut answer.header);
    for op in &mut answer.responses {
        match &mut op.response {
            Some(Response::ResponseRange(answer)) => range(answer, names),
            Some(Response::ResponsePut(answer)) => put(answer, names),
            Some(Response::ResponseDeleteRange(answer)) => delete(answer, names),
            Some(Response::ResponseTxn(answer)) => txn(answer, names),
            None => {}
        }
    }
}

/// Sizes, indexes, versions and the leader's id differ between servers; `storageVersion` appears some seconds after the
/// start.
fn status(answer: &mut StatusResponse, names: &Names) {
    names.header(&mut answer.header);
    let member = names.member_id.to_string();
    let mut errors: Vec<String> = Vec::new();
    for error in &answer.errors {
        // The text form of a message has one or two spaces between its fields, depending on the build.
        let words: Vec<&str> = error.split_whitespace().collect();
        errors.push(words.join(" ").replace(&member, "1"));
    }
    errors.sort();
    *answer = StatusResponse {
        header: answer.header,
        leader: u64::from(answer.leader == names.member_id),
        raft_term: answer.raft_term.min(1),
        errors,
        is_learner: answer.is_learner,
        db_size_quota: answer.db_size_quota,
        downgrade_info: answer.downgrade_info.clone(),
        ..Default::default()
    };
}

fn members(answer: &mut MemberListResponse, names: &Names) {
    names.header(&mut answer.header);
    for member in &mut answer.members {
        if member.id == names.member_id {
            member.id = 1;
        }
        let urls = member.peer_ur_ls.iter_mut().chain(&mut member.client_ur_ls);
        urls.for_each(|url| *url = url.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned());
    }
}
