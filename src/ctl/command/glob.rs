//! `--glob` of `kvctl get` and `kvctl del`: the server knows no patterns, so the keys that can match are read, and looked at
//! here.

use std::cmp::Ordering;

use crate::api::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::api::proto::etcdserverpb::request_op::Request;
use crate::api::proto::etcdserverpb::response_op::Response;
use crate::api::proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest,
};
use crate::api::proto::mvccpb::KeyValue;
use crate::client::text;
use crate::ctl::client::Client;
use crate::ctl::failure::Failure;
use crate::ctl::glob::Glob;
use crate::ctl::pages::Pages;

/// The most operations of a transaction, by the server's default; and the most bytes of their keys, far below its limit.
const OPERATIONS: usize = 128;
const BYTES: usize = 512 << 10;

/// The keys that match, as one answer. Filters, order and limit are applied here: the server would apply them before the
/// pattern.
pub(super) async fn get(
    client: &mut Client<'_>,
    request: &RangeRequest,
    glob: &Glob,
) -> Result<RangeResponse, Failure> {
    let (order, target) = (request.sort_order(), request.sort_target());
    let by_value = order != SortOrder::None && target == SortTarget::Value;
    let mut pages = Pages::new(RangeRequest {
        key: request.key.clone(),
        range_end: request.range_end.clone(),
        revision: request.revision,
        serializable: request.serializable,
        keys_only: (request.keys_only || request.count_only) && !by_value,
        ..RangeRequest::default()
    });
    let mut found = RangeResponse::default();
    while let Some(page) = pages.next(client).await? {
        found.header = page.header;
        found.kvs.extend(page.kvs.into_iter().filter(|kv| glob.matches(&kv.key) && is_wanted(kv, request)));
    }
    match order {
        SortOrder::Descend => found.kvs.sort_by(|a, b| compare(target, b, a)),
        SortOrder::Ascend => found.kvs.sort_by(|a, b| compare(target, a, b)),
        SortOrder::None if target != SortTarget::Key => found.kvs.sort_by(|a, b| compare(target, a, b)),
        SortOrder::None => {}
    }
    found.count = i64::try_from(found.kvs.len()).unwrap_or(i64::MAX);
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    found.more = found.kvs.len() > limit;
    found.kvs.truncate(if request.count_only { 0 } else { limit });
    if request.keys_only {
        found.kvs.iter_mut().for_each(|kv| kv.value.clear());
    }
    Ok(found)
}

fn is_wanted(kv: &KeyValue, request: &RangeRequest) -> bool {
    let within = |revision: i64, least: i64, most: i64| revision >= least && (most == 0 || revision <= most);
    within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
}

fn compare(target: SortTarget, a: &KeyValue, b: &KeyValue) -> Ordering {
    match target {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    }
}

/// Deletes the keys that match, in transactions of as many as a transaction may have.
pub(super) async fn delete(
    client: &mut Client<'_>,
    request: &DeleteRangeRequest,
    glob: &Glob,
) -> Result<DeleteRangeResponse, Failure> {
    let (key, range_end) = (request.key.clone(), request.range_end.clone());
    let mut pages = Pages::new(RangeRequest { key, range_end, keys_only: true, ..RangeRequest::default() });
    let (mut whole, mut operations, mut bytes) = (DeleteRangeResponse::default(), Vec::new(), 0);
    while let Some(page) = pages.next(client).await? {
        whole.header = page.header;
        for kv in page.kvs.into_iter().filter(|kv| glob.matches(&kv.key)) {
            if operations.len() == OPERATIONS || bytes + kv.key.len() > BYTES {
                execute(client, std::mem::take(&mut operations), &mut whole).await?;
                bytes = 0;
            }
            bytes += kv.key.len();
            let delete =
                DeleteRangeRequest { key: kv.key, prev_kv: request.prev_kv, ..DeleteRangeRequest::default() };
            operations.push(RequestOp { request: Some(Request::RequestDeleteRange(delete)) });
        }
    }
    execute(client, operations, &mut whole).await?;
    Ok(whole)
}

async fn execute(
    client: &mut Client<'_>,
    success: Vec<RequestOp>,
    whole: &mut DeleteRangeResponse,
) -> Result<(), Failure> {
    if success.is_empty() {
        return Ok(());
    }
    let request = TxnRequest { success, ..TxnRequest::default() };
    let answer = client.ask(async |to| to.kv.txn(request.clone()).await).await.map_err(|status| {
        let hint = (whole.deleted > 0).then(|| format!("{} keys were deleted before", whole.deleted));
        Failure::error(text(&status)).hint(hint)
    })?;
    whole.header = answer.header.or(whole.header);
    for one in answer.responses {
        if let Some(Response::ResponseDeleteRange(deleted)) = one.response {
            whole.deleted += deleted.deleted;
            whole.prev_kvs.extend(deleted.prev_kvs);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_those_of_the_server() {
        let kv = KeyValue { mod_revision: 5, create_revision: 3, ..KeyValue::default() };
        let wanted = |request: RangeRequest| is_wanted(&kv, &request);
        assert!(wanted(RangeRequest::default()));
        assert!(wanted(RangeRequest { min_mod_revision: 5, max_create_revision: 3, ..Default::default() }));
        assert!(!wanted(RangeRequest { max_mod_revision: 4, ..Default::default() }));
        assert!(!wanted(RangeRequest { min_create_revision: 4, ..Default::default() }));
    }
}
