//! Conversions between etcd's messages and the model. Keys and values are shared, not copied.
//!
//! Converting a request also does the checks that etcd does before anything else, in etcd's order (etcd
//! `server/etcdserver/api/v3rpc/key.go`).

use bytes::Bytes;

use crate::api::proto::authpb;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::compare::{CompareResult, CompareTarget as PbTarget, TargetUnion};
use crate::api::proto::etcdserverpb::range_request::{SortOrder, SortTarget as PbSortTarget};
use crate::api::proto::etcdserverpb::request_op::Request;
use crate::api::proto::etcdserverpb::response_op::Response;
use crate::api::proto::mvccpb;
use crate::model::{
    Alarm, AlarmKind, Compare, CompareOp, CompareTarget, Delete, Event, EventKind, KeyRange, KeyValue,
    Member, Op, OpReply, Permission, PermissionKind, Put, RangeEnd, RangeQuery, RangeResult, Refusal, Reply,
    RevisionBounds, Sort, SortTarget, Txn,
};

/// Deepest nesting of transactions. The decoder has its own limit slightly above it; etcd's limit is the one on
/// operations, of which every level needs at least one.
const MAX_NESTING: usize = 40;

/// A range request, checked.
pub fn range(request: pb::RangeRequest) -> Result<RangeQuery, Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    Ok(RangeQuery {
        sort: sort(&request)?,
        range: KeyRange::from_wire(request.key, request.range_end),
        revision: request.revision,
        limit: request.limit,
        bounds: RevisionBounds {
            min_mod: request.min_mod_revision,
            max_mod: request.max_mod_revision,
            min_create: request.min_create_revision,
            max_create: request.max_create_revision,
        },
        keys_only: request.keys_only,
        count_only: request.count_only,
    })
}

/// `NONE` with the target key is key order; with any other target it means ascending, but only after the limit was
/// applied.
fn sort(request: &pb::RangeRequest) -> Result<Sort, Refusal> {
    let order = SortOrder::try_from(request.sort_order).map_err(|_| Refusal::InvalidSortOption)?;
    let target = match PbSortTarget::try_from(request.sort_target).map_err(|_| Refusal::InvalidSortOption)? {
        PbSortTarget::Key => SortTarget::Key,
        PbSortTarget::Version => SortTarget::Version,
        PbSortTarget::Create => SortTarget::Create,
        PbSortTarget::Mod => SortTarget::Mod,
        PbSortTarget::Value => SortTarget::Value,
    };
    let after_limit = order == SortOrder::None && target != SortTarget::Key;
    Ok(Sort { target, descending: order == SortOrder::Descend, after_limit })
}

/// The checks of a put request.
pub fn check_put(request: &pb::PutRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
}

/// A put request, not checked.
pub fn put(request: pb::PutRequest) -> Put {
    Put {
        key: request.key,
        value: request.value,
        lease: request.lease,
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

/// A delete request, checked.
pub fn delete(request: pb::DeleteRangeRequest) -> Result<Delete, Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    Ok(Delete { range: KeyRange::from_wire(request.key, request.range_end), prev_kv: request.prev_kv })
}

/// A transaction, checked except for keys that are changed twice (see [`super::conflicts`]). `max_ops` is the limit on
/// operations; a nested transaction gets what its parent has not used.
pub fn txn(request: pb::TxnRequest, max_ops: usize) -> Result<Txn, Refusal> {
    txn_at(request, max_ops, 0)
}

fn txn_at(request: pb::TxnRequest, max_ops: usize, depth: usize) -> Result<Txn, Refusal> {
    if depth > MAX_NESTING {
        return Err(Refusal::NestedTooDeep);
    }
    let widest = request.compare.len().max(request.success.len()).max(request.failure.len());
    if widest > max_ops {
        return Err(Refusal::TooManyOps);
    }
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Refusal::EmptyKey);
    }
    let branch = |ops: Vec<pb::RequestOp>| -> Result<Vec<Op>, Refusal> {
        ops.into_iter().map(|op| operation(op, max_ops - widest, depth)).collect()
    };
    Ok(Txn {
        success: branch(request.success)?,
        failure: branch(request.failure)?,
        compares: request.compare.into_iter().map(compare).collect(),
    })
}

fn operation(op: pb::RequestOp, max_ops: usize, depth: usize) -> Result<Op, Refusal> {
    match op.request {
        Some(Request::RequestRange(request)) => range(request).map(Op::Range),
        Some(Request::RequestPut(request)) => check_put(&request).map(|()| Op::Put(put(request))),
        Some(Request::RequestDeleteRange(request)) => delete(request).map(Op::Delete),
        Some(Request::RequestTxn(request)) => txn_at(request, max_ops, depth + 1).map(Op::Txn),
        None => Err(Refusal::KeyNotFound),
    }
}

/// A guard. An operand that is missing, or belongs to another target, counts as zero or empty.
fn compare(compare: pb::Compare) -> Compare {
    let op = match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => CompareOp::Equal,
        Ok(CompareResult::Greater) => CompareOp::Greater,
        Ok(CompareResult::Less) => CompareOp::Less,
        Ok(CompareResult::NotEqual) => CompareOp::NotEqual,
        Err(_) => CompareOp::Unknown,
    };
    let operand = compare.target_union;
    let target = match PbTarget::try_from(compare.target) {
        Ok(PbTarget::Version) => CompareTarget::Version(match operand {
            Some(TargetUnion::Version(version)) => version,
            _ => 0,
        }),
        Ok(PbTarget::Create) => CompareTarget::Create(match operand {
            Some(TargetUnion::CreateRevision(revision)) => revision,
            _ => 0,
        }),
        Ok(PbTarget::Mod) => CompareTarget::Mod(match operand {
            Some(TargetUnion::ModRevision(revision)) => revision,
            _ => 0,
        }),
        Ok(PbTarget::Value) => CompareTarget::Value(match operand {
            Some(TargetUnion::Value(value)) => value,
            _ => Default::default(),
        }),
        Ok(PbTarget::Lease) => CompareTarget::Lease(match operand {
            Some(TargetUnion::Lease(lease)) => lease,
            _ => 0,
        }),
        Err(_) => CompareTarget::Unknown,
    };
    Compare { range: KeyRange::from_wire(compare.key, compare.range_end), op, target }
}

/// True if every range of a read-only transaction asks for a serializable read, so that it need not wait.
pub fn is_serializable(request: &pb::TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).all(|op| match &op.request {
        Some(Request::RequestRange(range)) => range.serializable,
        _ => true,
    })
}

/// A reply of another kind than the command's: a bug, which is reported and not hidden.
pub fn unexpected(reply: &Reply) -> Refusal {
    tracing::error!(?reply, "unexpected reply to a command");
    Refusal::Internal("unexpected reply to a command".into())
}

/// A key with its value.
pub fn key_value(kv: KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: kv.key,
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        value: kv.value,
        lease: kv.lease,
    }
}

/// An event.
pub fn event(event: Event) -> mvccpb::Event {
    let kind = match event.kind {
        EventKind::Put => mvccpb::event::EventType::Put,
        EventKind::Delete => mvccpb::event::EventType::Delete,
    };
    mvccpb::Event {
        r#type: kind.into(),
        kv: Some(key_value(event.kv)),
        prev_kv: event.prev_kv.map(key_value),
    }
}

/// The answer to a range. The caller provides `header`.
pub fn range_response(result: RangeResult, header: Option<pb::ResponseHeader>) -> pb::RangeResponse {
    pb::RangeResponse {
        header,
        kvs: result.kvs.into_iter().map(key_value).collect(),
        more: result.more,
        count: result.count,
    }
}

fn revision_only(revision: i64) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader { revision, ..pb::ResponseHeader::default() })
}

/// The answer to an operation inside a transaction: its header has only the revision, and a nested transaction's not
/// even that.
pub fn nested_response(reply: OpReply) -> pb::ResponseOp {
    let response = match reply {
        OpReply::Range(result) => {
            let header = revision_only(result.revision);
            Response::ResponseRange(range_response(result, header))
        }
        OpReply::Put { revision, prev_kv } => Response::ResponsePut(pb::PutResponse {
            header: revision_only(revision),
            prev_kv: prev_kv.map(key_value),
        }),
        OpReply::Delete { revision, deleted, prev_kvs } => {
            Response::ResponseDeleteRange(pb::DeleteRangeResponse {
                header: revision_only(revision),
                deleted,
                prev_kvs: prev_kvs.into_iter().map(key_value).collect(),
            })
        }
        OpReply::Txn { succeeded, replies, .. } => Response::ResponseTxn(pb::TxnResponse {
            header: revision_only(0),
            succeeded,
            responses: replies.into_iter().map(nested_response).collect(),
        }),
    };
    pb::ResponseOp { response: Some(response) }
}

/// A member for clients: one that is still catching up to become a voter is shown as a voter.
pub fn member(member: Member) -> pb::Member {
    pb::Member {
        id: member.id.0,
        name: member.name,
        peer_ur_ls: member.peer_urls,
        client_ur_ls: member.client_urls,
        is_learner: member.learner,
    }
}

/// An alarm.
pub fn alarm(alarm: &Alarm) -> pb::AlarmMember {
    let kind = match alarm.kind {
        AlarmKind::NoSpace => pb::AlarmType::Nospace,
        AlarmKind::Corrupt => pb::AlarmType::Corrupt,
    };
    pb::AlarmMember { member_id: alarm.member.0, alarm: kind.into() }
}

/// The kind of alarm with that number; `None` for etcd's "none" and for numbers without a name.
pub fn alarm_kind(number: i32) -> Option<AlarmKind> {
    match pb::AlarmType::try_from(number) {
        Ok(pb::AlarmType::Nospace) => Some(AlarmKind::NoSpace),
        Ok(pb::AlarmType::Corrupt) => Some(AlarmKind::Corrupt),
        Ok(pb::AlarmType::None) | Err(_) => None,
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;

/// A permission of a role.
///
/// # Errors
/// [`Refusal::InvalidAuthChange`] if it allows nothing that is known.
pub fn permission(message: authpb::Permission) -> Result<Permission, Refusal> {
    use authpb::permission::Type;
    let kind = match Type::try_from(message.perm_type) {
        Ok(Type::Read) => PermissionKind::Read,
        Ok(Type::Write) => PermissionKind::Write,
        Ok(Type::Readwrite) => PermissionKind::ReadWrite,
        Err(_) => return Err(Refusal::InvalidAuthChange),
    };
    Ok(Permission { kind, range: KeyRange::from_wire(message.key, message.range_end) })
}

/// A permission's message.
pub fn permission_message(permission: Permission) -> authpb::Permission {
    use authpb::permission::Type;
    let kind = match permission.kind {
        PermissionKind::Read => Type::Read,
        PermissionKind::Write => Type::Write,
        PermissionKind::ReadWrite => Type::Readwrite,
    };
    let range_end = match permission.range.end {
        RangeEnd::Single => Bytes::new(),
        RangeEnd::Before(end) => end,
        RangeEnd::Open => Bytes::from_static(&[0]),
    };
    authpb::Permission { perm_type: kind.into(), key: permission.range.start, range_end }
}
