//! What spans say of a request: etcd's names and attributes (`etcdserver/v3_server.go`, `v3rpc/watch.go`).

use std::any::Any;

use opentelemetry::KeyValue;

use crate::api::proto::etcdserverpb as pb;
use pb::request_op::Request;

/// Most bytes of a key in a span.
const KEY_BYTES: usize = 256;

/// The name and the attributes of the span of a request; `None` for one that has no span of its own.
pub fn named(request: &dyn Any) -> Option<(&'static str, Vec<KeyValue>)> {
    macro_rules! by_type {
        ($($type:ty: $name:literal |$m:ident| [$($attribute:literal: $value:expr),*];)*) => {
            $(if let Some($m) = request.downcast_ref::<$type>() {
                return Some(($name, vec![$(KeyValue::new($attribute, $value)),*]));
            })*
        };
    }
    by_type! {
        pb::RangeRequest: "range" |m| [
            "range_begin": key(&m.key), "range_end": key(&m.range_end), "rev": m.revision, "limit": m.limit,
            "count_only": m.count_only, "keys_only": m.keys_only
        ];
        pb::PutRequest: "put" |m| ["key": key(&m.key)];
        pb::DeleteRangeRequest: "delete_range" |m| ["range_begin": key(&m.key), "range_end": key(&m.range_end)];
        pb::TxnRequest: "txn" |m| [
            "compare_first_key": first_compared(&m.compare), "success_first_key": first_key(&m.success),
            "success_first_type": first_type(&m.success), "success_first_lease": first_lease(&m.success),
            "compare_len": length(&m.compare), "success_len": length(&m.success), "failure_len": length(&m.failure),
            "read_only": is_read_only(m)
        ];
        pb::CompactionRequest: "compact" |m| ["is_physical": m.physical, "rev": m.revision];
        pb::LeaseGrantRequest: "lease_grant" |m| ["id": m.id, "ttl": m.ttl];
        pb::LeaseRevokeRequest: "lease_revoke" |m| ["id": m.id];
        pb::LeaseKeepAliveRequest: "lease_renew" |m| ["id": m.id];
        pb::WatchCreateRequest: "watch" |m| [
            "key": key(&m.key), "range_end": key(&m.range_end), "start_rev": m.start_revision,
            "progress_notify": m.progress_notify, "prev_kv": m.prev_kv, "fragment": m.fragment
        ];
    }
    None
}

fn key(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(KEY_BYTES)]).into_owned()
}

fn length<T>(list: &[T]) -> i64 {
    i64::try_from(list.len()).unwrap_or(i64::MAX)
}

fn first_compared(compares: &[pb::Compare]) -> String {
    compares
        .iter()
        .find(|compare| !compare.key.is_empty())
        .map(|compare| key(&compare.key))
        .unwrap_or_default()
}

fn first_key(ops: &[pb::RequestOp]) -> String {
    let keys = ops.iter().filter_map(|op| match op.request.as_ref()? {
        Request::RequestPut(put) => Some(&put.key),
        Request::RequestRange(range) => Some(&range.key),
        Request::RequestDeleteRange(delete) => Some(&delete.key),
        Request::RequestTxn(_) => None,
    });
    keys.into_iter().find(|key| !key.is_empty()).map(|first| key(first)).unwrap_or_default()
}

fn first_type(ops: &[pb::RequestOp]) -> &'static str {
    let first = ops.iter().find_map(|op| op.request.as_ref());
    first.map_or("", |request| match request {
        Request::RequestPut(_) => "put",
        Request::RequestRange(_) => "range",
        Request::RequestDeleteRange(_) => "delete_range",
        Request::RequestTxn(_) => "txn",
    })
}

/// -1 without a put.
fn first_lease(ops: &[pb::RequestOp]) -> i64 {
    let lease = ops.iter().find_map(|op| match op.request.as_ref()? {
        Request::RequestPut(put) => Some(put.lease),
        _ => None,
    });
    lease.unwrap_or(-1)
}

/// No operation of it, or of those nested in it, changes anything.
fn is_read_only(txn: &pb::TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).all(|op| match &op.request {
        None | Some(Request::RequestRange(_)) => true,
        Some(Request::RequestTxn(nested)) => is_read_only(nested),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_are_cut_and_values_are_not_named() {
        let put = pb::PutRequest {
            key: vec![b'k'; 1_000_000].into(),
            value: "planted".into(),
            ..Default::default()
        };
        let (name, attributes) = named(&put).expect("a put has a span");
        assert_eq!((name, attributes[0].value.as_str().len()), ("put", KEY_BYTES));
        let op = pb::RequestOp { request: Some(Request::RequestPut(put)) };
        let txn = pb::TxnRequest { success: vec![op], ..Default::default() };
        let (name, attributes) = named(&txn).expect("a transaction has a span");
        assert_eq!(name, "txn");
        assert!(
            attributes.iter().all(|attribute| !format!("{attribute:?}").contains("planted")),
            "{attributes:?}"
        );
        assert!(named(&pb::AuthenticateRequest::default()).is_none());
    }

    #[test]
    fn a_transaction_is_described_by_its_first_operations() {
        let op = |request| pb::RequestOp { request: Some(request) };
        let range = Request::RequestRange(pb::RangeRequest { key: "r".into(), ..Default::default() });
        let nested = pb::TxnRequest { success: vec![op(range.clone())], ..Default::default() };
        let txn = pb::TxnRequest {
            success: vec![op(Request::RequestTxn(nested)), op(range)],
            ..Default::default()
        };
        let (_, attributes) = named(&txn).expect("a transaction has a span");
        let of = |name: &str| {
            let found = attributes.iter().find(|attribute| attribute.key.as_str() == name);
            found.expect("an attribute").value.as_str().into_owned()
        };
        assert_eq!((of("success_first_type").as_str(), of("success_first_key").as_str()), ("txn", "r"));
        assert_eq!((of("success_first_lease").as_str(), of("read_only").as_str()), ("-1", "true"));
    }
}
