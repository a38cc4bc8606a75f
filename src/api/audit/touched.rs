//! What a request names: keys and ranges, or a user or role. Nothing else of it is read.

use std::any::Any;

use bytes::Bytes;

use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::request_op::Request;
use crate::api::proto::{v3electionpb as electionpb, v3lockpb as lockpb};
use crate::model::{KeyRange, RangeEnd};

/// Keys of one record; further ones are only counted.
const KEYS: usize = 16;
/// Bytes of a key that are shown.
const KEY_BYTES: usize = 1024;
/// Characters of a name that are shown.
const NAME_CHARS: usize = 64;

/// A key, or a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key, or the first one.
    pub key: Bytes,
    /// Behind the last one, as in the request; empty for a single key.
    pub end: Bytes,
}

/// What a request names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Keys and ranges, as many as a record holds.
    pub keys: Vec<Key>,
    /// How many there are in addition.
    pub more: usize,
    /// A user or role.
    pub name: Option<String>,
    /// What prefixes are compared with: also the keys that are not shown.
    ranges: Vec<KeyRange>,
}

impl Touched {
    /// True if the request names no key.
    pub fn names_no_key(&self) -> bool {
        self.ranges.is_empty()
    }

    /// True if a key with that prefix is among those that the request names.
    pub fn meets(&self, prefix: &Bytes) -> bool {
        self.ranges.iter().any(|range| {
            let reaches = match &range.end {
                RangeEnd::Single => return range.start.starts_with(prefix),
                RangeEnd::Before(end) => end > prefix,
                RangeEnd::Open => true,
            };
            reaches && (range.start <= prefix || range.start.starts_with(prefix))
        })
    }

    /// A path of the v2 API, and perhaps everything below it.
    pub fn path(path: &str, with_below: bool) -> Self {
        let whole = Self::default().single(&Bytes::copy_from_slice(path.as_bytes()));
        if !with_below {
            return whole;
        }
        // "0" comes right after "/".
        let above = path.trim_end_matches('/');
        whole.range(&format!("{above}/").into(), &format!("{above}0").into())
    }

    fn add(&mut self, key: &Bytes, end: &Bytes) {
        self.ranges.push(KeyRange::from_wire(key.clone(), end.clone()));
        if self.keys.len() == KEYS {
            self.more += 1;
            return;
        }
        // Copied: a record must not keep a request.
        let shown = |bytes: &Bytes| Bytes::copy_from_slice(&bytes[..bytes.len().min(KEY_BYTES)]);
        self.keys.push(Key { key: shown(key), end: shown(end) });
    }

    fn single(mut self, key: &Bytes) -> Self {
        self.add(key, &Bytes::new());
        self
    }

    fn range(mut self, key: &Bytes, end: &Bytes) -> Self {
        self.add(key, end);
        self
    }

    fn named(name: &str) -> Self {
        Self { name: Some(name.chars().take(NAME_CHARS).collect()), ..Self::default() }
    }

    fn txn(&mut self, txn: &pb::TxnRequest) {
        txn.compare.iter().for_each(|compare| self.add(&compare.key, &compare.range_end));
        for op in txn.success.iter().chain(&txn.failure) {
            match &op.request {
                Some(Request::RequestRange(range)) => self.add(&range.key, &range.range_end),
                Some(Request::RequestPut(put)) => self.add(&put.key, &Bytes::new()),
                Some(Request::RequestDeleteRange(delete)) => self.add(&delete.key, &delete.range_end),
                Some(Request::RequestTxn(nested)) => self.txn(nested),
                None => {}
            }
        }
    }
}

/// What a request names. Requests of other methods name nothing that is recorded.
pub fn touched(request: &dyn Any) -> Touched {
    macro_rules! by_type {
        ($($type:ty: |$message:ident| $touched:expr;)*) => {
            $(if let Some($message) = request.downcast_ref::<$type>() {
                return $touched;
            })*
        };
    }
    let none = Touched::default;
    by_type! {
        pb::RangeRequest: |m| none().range(&m.key, &m.range_end);
        pb::PutRequest: |m| none().single(&m.key);
        pb::DeleteRangeRequest: |m| none().range(&m.key, &m.range_end);
        pb::WatchCreateRequest: |m| none().range(&m.key, &m.range_end);
        lockpb::LockRequest: |m| none().single(&m.name);
        lockpb::UnlockRequest: |m| none().single(&m.key);
        electionpb::CampaignRequest: |m| none().single(&m.name);
        electionpb::LeaderRequest: |m| none().single(&m.name);
        pb::AuthenticateRequest: |m| Touched::named(&m.name);
        pb::AuthUserAddRequest: |m| Touched::named(&m.name);
        pb::AuthUserGetRequest: |m| Touched::named(&m.name);
        pb::AuthUserDeleteRequest: |m| Touched::named(&m.name);
        pb::AuthUserChangePasswordRequest: |m| Touched::named(&m.name);
        pb::AuthUserGrantRoleRequest: |m| Touched::named(&format!("{} {}", m.user, m.role));
        pb::AuthUserRevokeRoleRequest: |m| Touched::named(&format!("{} {}", m.name, m.role));
        pb::AuthRoleAddRequest: |m| Touched::named(&m.name);
        pb::AuthRoleGetRequest: |m| Touched::named(&m.role);
        pb::AuthRoleDeleteRequest: |m| Touched::named(&m.role);
        pb::AuthRoleGrantPermissionRequest: |m| granted(m);
        pb::AuthRoleRevokePermissionRequest: |m| Touched::named(&m.role).range(&m.key, &m.range_end);
        pb::TxnRequest: |m| {
            let mut touched = none();
            touched.txn(m);
            touched
        };
    }
    if let Some(m) = request.downcast_ref::<electionpb::ProclaimRequest>() {
        return m.leader.as_ref().map_or_else(none, |leader| none().single(&leader.key));
    }
    if let Some(m) = request.downcast_ref::<electionpb::ResignRequest>() {
        return m.leader.as_ref().map_or_else(none, |leader| none().single(&leader.key));
    }
    none()
}

fn granted(request: &pb::AuthRoleGrantPermissionRequest) -> Touched {
    let role = Touched::named(&request.name);
    match &request.perm {
        Some(permission) => role.range(&permission.key, &permission.range_end),
        None => role,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_and_values_are_not() {
        let op = |request| pb::RequestOp { request: Some(request) };
        let put = |key: &str| pb::PutRequest {
            key: key.to_string().into(),
            value: "a planted value".into(),
            ..Default::default()
        };
        let nested =
            pb::TxnRequest { failure: vec![op(Request::RequestPut(put("c")))], ..Default::default() };
        let many = (0..20).map(|number| op(Request::RequestPut(put(&format!("k{number:02}")))));
        let txn = pb::TxnRequest {
            success: many.chain([op(Request::RequestTxn(nested))]).collect(),
            ..Default::default()
        };
        let touched = touched(&txn);
        assert_eq!((touched.keys.len(), touched.more), (KEYS, 21 - KEYS));
        assert!(touched.meets(&"k19".into()) && touched.meets(&"c".into()), "those that are not shown count");
        assert!(!touched.meets(&"d".into()) && !touched.names_no_key());
        assert!(!format!("{touched:?}").contains("planted"), "{touched:?}");
    }

    #[test]
    fn long_keys_and_names_are_cut() {
        let request = pb::PutRequest { key: vec![b'k'; 1_000_000].into(), ..Default::default() };
        assert_eq!(touched(&request).keys[0].key.len(), KEY_BYTES);
        let request = pb::AuthUserAddRequest {
            name: "n".repeat(1_000_000),
            password: "planted".into(),
            ..Default::default()
        };
        let touched = touched(&request);
        assert_eq!(touched.name.as_ref().map(String::len), Some(NAME_CHARS));
        assert!(!format!("{touched:?}").contains("planted"));
    }
}
