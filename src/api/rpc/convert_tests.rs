//! Conversion and its checks.

use bytes::Bytes;

use super::*;
use crate::api::proto::etcdserverpb::compare::TargetUnion;
use crate::model::RangeEnd;

fn key(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn a_put(name: &'static str) -> pb::RequestOp {
    let put = pb::PutRequest { key: key(name), ..Default::default() };
    pb::RequestOp { request: Some(Request::RequestPut(put)) }
}

fn nested(txn: pb::TxnRequest) -> pb::RequestOp {
    pb::RequestOp { request: Some(Request::RequestTxn(txn)) }
}

#[test]
fn a_range_keeps_all_it_says() {
    let request = pb::RangeRequest {
        key: key("a"),
        range_end: key("\0"),
        limit: 3,
        revision: 4,
        sort_order: SortOrder::Descend.into(),
        sort_target: PbSortTarget::Mod.into(),
        serializable: true,
        keys_only: true,
        count_only: true,
        min_mod_revision: 1,
        max_mod_revision: 2,
        min_create_revision: 5,
        max_create_revision: 6,
    };
    let query = range(request).unwrap();
    assert_eq!(query.range, KeyRange { start: key("a"), end: RangeEnd::Open });
    assert_eq!((query.limit, query.revision, query.keys_only, query.count_only), (3, 4, true, true));
    assert_eq!(query.sort, Sort { target: SortTarget::Mod, descending: true, after_limit: false });
    assert_eq!(query.bounds, RevisionBounds { min_mod: 1, max_mod: 2, min_create: 5, max_create: 6 });
}

#[test]
fn the_order_none_means_two_things() {
    let sorted = |target: PbSortTarget| {
        let request = pb::RangeRequest { key: key("a"), sort_target: target.into(), ..Default::default() };
        range(request).unwrap().sort
    };
    assert_eq!(sorted(PbSortTarget::Key), Sort::default());
    assert!(sorted(PbSortTarget::Value).after_limit);
}

#[test]
fn refusals_come_in_etcds_order() {
    let bad_sort = pb::RangeRequest { sort_order: 9, ..Default::default() };
    assert_eq!(range(bad_sort.clone()), Err(Refusal::EmptyKey));
    assert_eq!(range(pb::RangeRequest { key: key("a"), ..bad_sort }), Err(Refusal::InvalidSortOption));
    let put = |name, value, lease| {
        let (ignore_value, ignore_lease) = (true, true);
        check_put(&pb::PutRequest {
            key: key(name),
            value: key(value),
            lease,
            ignore_value,
            ignore_lease,
            ..Default::default()
        })
    };
    assert_eq!(put("", "v", 1), Err(Refusal::EmptyKey));
    assert_eq!(put("a", "v", 1), Err(Refusal::ValueProvided));
    assert_eq!(put("a", "", 1), Err(Refusal::LeaseProvided));
    assert_eq!(put("a", "", 0), Ok(()));
    assert_eq!(delete(pb::DeleteRangeRequest::default()), Err(Refusal::EmptyKey));
}

#[test]
fn a_nested_transaction_gets_what_its_parent_leaves() {
    let inner = |ops: usize| pb::TxnRequest { success: vec![a_put("a"); ops], ..Default::default() };
    let outer = |inner| pb::TxnRequest { success: vec![nested(inner)], ..Default::default() };
    assert!(txn(inner(3), 3).is_ok());
    assert_eq!(txn(inner(4), 3), Err(Refusal::TooManyOps));
    assert!(txn(outer(inner(2)), 3).is_ok());
    assert_eq!(txn(outer(inner(3)), 3), Err(Refusal::TooManyOps));
    let deep = (0..60).fold(inner(1), |txn, _| outer(txn));
    assert_eq!(txn(deep, 1000), Err(Refusal::NestedTooDeep));
}

#[test]
fn a_transaction_is_refused_for_its_first_fault() {
    let empty = pb::RequestOp { request: None };
    let with = |success| pb::TxnRequest { success, ..Default::default() };
    assert_eq!(txn(with(vec![empty.clone(), a_put("")]), 9), Err(Refusal::KeyNotFound));
    assert_eq!(txn(with(vec![a_put(""), empty]), 9), Err(Refusal::EmptyKey));
    let guarded = pb::TxnRequest { compare: vec![pb::Compare::default()], ..Default::default() };
    assert_eq!(txn(guarded, 9), Err(Refusal::EmptyKey));
}

#[test]
fn an_operand_of_another_target_is_nothing() {
    let target = |target: PbTarget, operand| {
        let guard =
            pb::Compare { key: key("a"), target: target.into(), target_union: operand, ..Default::default() };
        compare(guard).target
    };
    assert_eq!(target(PbTarget::Version, Some(TargetUnion::Version(3))), CompareTarget::Version(3));
    assert_eq!(target(PbTarget::Version, Some(TargetUnion::ModRevision(3))), CompareTarget::Version(0));
    assert_eq!(target(PbTarget::Value, None), CompareTarget::Value(Bytes::new()));
    let unknown = pb::Compare { key: key("a"), target: 77, result: 77, ..Default::default() };
    let unknown = compare(unknown);
    assert_eq!((unknown.op, unknown.target), (CompareOp::Unknown, CompareTarget::Unknown));
}

#[test]
fn headers_inside_a_transaction_name_the_revision_only() {
    let put = OpReply::Put { revision: 7, prev_kv: None };
    let header = |reply| match nested_response(reply).response {
        Some(Response::ResponsePut(put)) => put.header,
        Some(Response::ResponseTxn(txn)) => txn.header,
        _ => None,
    };
    let only = |revision| Some(pb::ResponseHeader { revision, ..Default::default() });
    assert_eq!(header(put.clone()), only(7));
    assert_eq!(header(OpReply::Txn { revision: 7, succeeded: true, replies: vec![put] }), only(0));
}

#[test]
fn keys_and_events_arrive_as_they_are() {
    let kv = KeyValue {
        key: key("k"),
        create_revision: 1,
        mod_revision: 2,
        version: 3,
        value: key("v"),
        lease: 4,
    };
    let event = event(Event { kind: EventKind::Delete, kv: kv.clone(), prev_kv: Some(kv) });
    assert_eq!(event.r#type, i32::from(mvccpb::event::EventType::Delete));
    let kv = event.kv.unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version, kv.lease), (1, 2, 3, 4));
    assert_eq!((kv.key, kv.value), (key("k"), key("v")));
}
