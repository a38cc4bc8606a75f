//! The one map from a refusal to the code and the text that etcd puts on the wire.
//!
//! etcd's clients map errors back to their types by the exact text, so the texts are part of the protocol. Some codes
//! look odd (`Unknown` where a better one is declared in etcd's sources): they are what etcd really sends.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use crate::model::Refusal;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Status::new(code(&refusal), text(&refusal))
    }
}

/// The gRPC code of a refusal.
pub fn code(refusal: &Refusal) -> Code {
    use Refusal as R;
    match refusal {
        R::EmptyKey | R::KeyNotFound | R::ValueProvided | R::LeaseProvided => Code::InvalidArgument,
        R::TooManyOps | R::NestedTooDeep | R::DuplicateKey | R::InvalidSortOption => Code::InvalidArgument,
        R::RequestTooLarge | R::MemberBadUrls | R::UserEmpty | R::AuthOldRevision => Code::InvalidArgument,
        R::WrongDowngradeVersionFormat | R::InvalidDowngradeTarget => Code::InvalidArgument,
        R::Compacted { .. } | R::FutureRevision | R::LeaseTtlTooLarge => Code::OutOfRange,
        R::NoSpace => Code::ResourceExhausted,
        R::Corrupt => Code::DataLoss,
        R::LeaseNotFound | R::MemberNotFound => Code::NotFound,
        R::LeaseExists | R::MemberExists | R::PeerUrlExists => Code::FailedPrecondition,
        R::MemberNotLearner | R::LearnerNotReady | R::TooManyLearners => Code::FailedPrecondition,
        R::NotLeader | R::BadLeaderTransferee | R::NotSupportedForLearner => Code::FailedPrecondition,
        R::ClusterVersionUnavailable | R::AuthNotEnabled => Code::FailedPrecondition,
        R::NotPrimaryLessor | R::TooManyRequests | R::NotEnoughStarted | R::TransferTimedOut => Code::Unknown,
        R::Unhealthy | R::NoLeader | R::LeaderChanged | R::Stopped => Code::Unavailable,
        R::Timeout | R::TimeoutLeaderFailed | R::TimeoutConnectionLost | R::TimeoutApplied => {
            Code::Unavailable
        }
        R::Canceled => Code::Cancelled,
        R::InvalidToken => Code::Unauthenticated,
        R::PermissionDenied => Code::PermissionDenied,
        R::NotSupported(_) => Code::Unimplemented,
        R::Internal(_) => Code::Internal,
    }
}

/// The text of a refusal.
pub fn text(refusal: &Refusal) -> Cow<'static, str> {
    use Refusal as R;
    Cow::Borrowed(match refusal {
        R::NotSupported(what) | R::Internal(what) => return Cow::Owned(what.clone()),
        R::EmptyKey => "etcdserver: key is not provided",
        R::KeyNotFound => "etcdserver: key not found",
        R::ValueProvided => "etcdserver: value is provided",
        R::LeaseProvided => "etcdserver: lease is provided",
        // etcd has no limit of its own on nesting: the shrinking limit on operations ends it.
        R::TooManyOps | R::NestedTooDeep => "etcdserver: too many operations in txn request",
        R::DuplicateKey => "etcdserver: duplicate key given in txn request",
        R::InvalidSortOption => "etcdserver: invalid sort option",
        R::Compacted { .. } => "etcdserver: mvcc: required revision has been compacted",
        R::FutureRevision => "etcdserver: mvcc: required revision is a future revision",
        R::NoSpace => "etcdserver: mvcc: database space exceeded",
        R::Corrupt => "etcdserver: corrupt cluster",
        R::LeaseNotFound => "etcdserver: requested lease not found",
        R::LeaseExists => "etcdserver: lease already exists",
        R::LeaseTtlTooLarge => "etcdserver: too large lease TTL",
        R::NotPrimaryLessor => "not a primary lessor",
        R::RequestTooLarge => "etcdserver: request is too large",
        R::TooManyRequests => "etcdserver: too many requests",
        R::MemberExists => "etcdserver: member ID already exist",
        R::PeerUrlExists => "etcdserver: Peer URLs already exists",
        R::MemberBadUrls => "etcdserver: given member URLs are invalid",
        R::MemberNotFound => "etcdserver: member not found",
        R::MemberNotLearner => "etcdserver: can only promote a learner member",
        R::LearnerNotReady => "etcdserver: can only promote a learner member which is in sync with leader",
        R::TooManyLearners => "etcdserver: too many learner members in cluster",
        R::NotEnoughStarted => "etcdserver: re-configuration failed due to not enough started members",
        R::Unhealthy => "etcdserver: unhealthy cluster",
        R::NoLeader => "etcdserver: no leader",
        R::NotLeader => "etcdserver: not leader",
        R::LeaderChanged => "etcdserver: leader changed",
        R::BadLeaderTransferee => "etcdserver: bad leader transferee",
        R::TransferTimedOut => "etcdserver: request timed out, leader transfer took too long",
        R::Timeout => "etcdserver: request timed out",
        R::TimeoutLeaderFailed => "etcdserver: request timed out, possibly due to previous leader failure",
        R::TimeoutConnectionLost => "etcdserver: request timed out, possibly due to connection lost",
        R::TimeoutApplied => "etcdserver: request timed out, waiting for the applied index took too long",
        R::Stopped => "etcdserver: server stopped",
        R::Canceled => "etcdserver: request canceled",
        R::NotSupportedForLearner => "etcdserver: rpc not supported for learner",
        R::ClusterVersionUnavailable => "etcdserver: cluster version not found during downgrade",
        R::WrongDowngradeVersionFormat => "etcdserver: wrong downgrade target version format",
        R::InvalidDowngradeTarget => "etcdserver: invalid downgrade target version",
        R::UserEmpty => "etcdserver: user name is empty",
        R::InvalidToken => "etcdserver: invalid auth token",
        R::PermissionDenied => "etcdserver: permission denied",
        R::AuthNotEnabled => "etcdserver: authentication is not enabled",
        R::AuthOldRevision => "etcdserver: revision of auth store is old",
    })
}

/// Metadata `client-api-version` that is not UTF-8.
pub fn invalid_client_api_version() -> Status {
    Status::invalid_argument("etcdserver: invalid client api version")
}

/// The cluster's version is too low for the method.
pub fn not_capable() -> Status {
    Status::failed_precondition("etcdserver: not capable")
}

/// The caller's deadline has passed.
pub fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

/// The client broke off a watch stream.
pub fn watch_canceled() -> Status {
    Status::cancelled("etcdserver: watch canceled")
}

/// A stream whose client has not read for so long.
pub fn not_read(time: std::time::Duration) -> Status {
    Status::aborted(format!("etcdserver: the stream was given up, nothing of it was read for {time:?}"))
}

/// A refusal inside the lock and election services: they hand on the text without the code.
pub fn plain(refusal: &Refusal) -> Status {
    Status::unknown(text(refusal))
}

/// A message above the receive limit, in grpc-go's words. Sizes in bytes.
pub fn message_too_large(size: usize, limit: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({size} vs. {limit})"))
}

/// Says what the library says of messages that are too long as grpc-go says it, in the status among these headers or
/// trailers.
pub fn reword(headers: &mut HeaderMap) {
    // Nearly all there is to be looked at is another status.
    let status = headers.get("grpc-status").map(HeaderValue::as_bytes);
    if !matches!(status, Some(b"8" | b"11")) {
        return;
    }
    let Some(better) = Status::from_header_map(headers).and_then(|status| too_long(status.message())) else {
        return;
    };
    headers.remove("grpc-message");
    // Fails only where the text cannot be a header value; it is plain.
    let _ = better.add_header(headers);
}

fn too_long(text: &str) -> Option<Status> {
    let number = |text: &str, before: &str| {
        let (_, after) = text.split_once(before)?;
        after.split_whitespace().next()?.parse::<u64>().ok()
    };
    if text.starts_with("Error, decoded message length too large") {
        let (found, limit) = (number(text, "found ")?, number(text, "limit is: ")?);
        let text = format!("grpc: received message larger than max ({found} vs. {limit})");
        return Some(Status::resource_exhausted(text));
    }
    if text.starts_with("Error decompressing: size limit") {
        let limit = number(text, "limit, of ")?;
        let text = format!("grpc: received message after decompression larger than max {limit}");
        return Some(Status::resource_exhausted(text));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refusal, code and text as etcd 3.7 sends them: an independent copy, to be compared by eye with etcd.
    const TABLE: &str = "
        EmptyKey | InvalidArgument | etcdserver: key is not provided
        KeyNotFound | InvalidArgument | etcdserver: key not found
        ValueProvided | InvalidArgument | etcdserver: value is provided
        LeaseProvided | InvalidArgument | etcdserver: lease is provided
        TooManyOps | InvalidArgument | etcdserver: too many operations in txn request
        NestedTooDeep | InvalidArgument | etcdserver: too many operations in txn request
        DuplicateKey | InvalidArgument | etcdserver: duplicate key given in txn request
        InvalidSortOption | InvalidArgument | etcdserver: invalid sort option
        Compacted | OutOfRange | etcdserver: mvcc: required revision has been compacted
        FutureRevision | OutOfRange | etcdserver: mvcc: required revision is a future revision
        NoSpace | ResourceExhausted | etcdserver: mvcc: database space exceeded
        Corrupt | DataLoss | etcdserver: corrupt cluster
        LeaseNotFound | NotFound | etcdserver: requested lease not found
        LeaseExists | FailedPrecondition | etcdserver: lease already exists
        LeaseTtlTooLarge | OutOfRange | etcdserver: too large lease TTL
        NotPrimaryLessor | Unknown | not a primary lessor
        RequestTooLarge | InvalidArgument | etcdserver: request is too large
        TooManyRequests | Unknown | etcdserver: too many requests
        MemberExists | FailedPrecondition | etcdserver: member ID already exist
        PeerUrlExists | FailedPrecondition | etcdserver: Peer URLs already exists
        MemberBadUrls | InvalidArgument | etcdserver: given member URLs are invalid
        MemberNotFound | NotFound | etcdserver: member not found
        MemberNotLearner | FailedPrecondition | etcdserver: can only promote a learner member
        LearnerNotReady | FailedPrecondition | etcdserver: can only promote a learner member which is in sync with leader
        TooManyLearners | FailedPrecondition | etcdserver: too many learner members in cluster
        NotEnoughStarted | Unknown | etcdserver: re-configuration failed due to not enough started members
        Unhealthy | Unavailable | etcdserver: unhealthy cluster
        NoLeader | Unavailable | etcdserver: no leader
        NotLeader | FailedPrecondition | etcdserver: not leader
        LeaderChanged | Unavailable | etcdserver: leader changed
        BadLeaderTransferee | FailedPrecondition | etcdserver: bad leader transferee
        TransferTimedOut | Unknown | etcdserver: request timed out, leader transfer took too long
        Timeout | Unavailable | etcdserver: request timed out
        TimeoutLeaderFailed | Unavailable | etcdserver: request timed out, possibly due to previous leader failure
        TimeoutConnectionLost | Unavailable | etcdserver: request timed out, possibly due to connection lost
        TimeoutApplied | Unavailable | etcdserver: request timed out, waiting for the applied index took too long
        Stopped | Unavailable | etcdserver: server stopped
        Canceled | Cancelled | etcdserver: request canceled
        NotSupportedForLearner | FailedPrecondition | etcdserver: rpc not supported for learner
        ClusterVersionUnavailable | FailedPrecondition | etcdserver: cluster version not found during downgrade
        WrongDowngradeVersionFormat | InvalidArgument | etcdserver: wrong downgrade target version format
        InvalidDowngradeTarget | InvalidArgument | etcdserver: invalid downgrade target version
        UserEmpty | InvalidArgument | etcdserver: user name is empty
        InvalidToken | Unauthenticated | etcdserver: invalid auth token
        PermissionDenied | PermissionDenied | etcdserver: permission denied
        AuthNotEnabled | FailedPrecondition | etcdserver: authentication is not enabled
        AuthOldRevision | InvalidArgument | etcdserver: revision of auth store is old
        NotSupported | Unimplemented | why
        Internal | Internal | why";

    fn named(name: &str) -> Option<Refusal> {
        use Refusal as R;
        let with_fields =
            [R::Compacted { compacted: 7 }, R::NotSupported("why".into()), R::Internal("why".into())];
        // The names of variants without fields are also their form in JSON.
        serde_json::from_value(serde_json::Value::String(name.into()))
            .ok()
            .or_else(|| with_fields.into_iter().find(|refusal| format!("{refusal:?}").starts_with(name)))
    }

    #[test]
    fn every_refusal_is_sent_as_etcd_sends_it() {
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut cells = line.split(" | ");
            let name = cells.next().unwrap_or_default();
            let refusal = named(name).unwrap_or_else(|| panic!("no refusal is called {name}"));
            let status = Status::from(refusal);
            assert_eq!(Some(format!("{:?}", status.code()).as_str()), cells.next(), "{name}");
            assert_eq!(Some(status.message()), cells.next(), "{name}");
            assert!(status.details().is_empty());
        }
    }

    #[test]
    fn the_table_is_complete() {
        let source = include_str!("../model/refusal.rs");
        let body = source.split("pub enum Refusal {").nth(1).unwrap_or_default();
        let variants = body
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|line| line.starts_with(char::is_uppercase))
            .map(|line| line.split([',', '(', ' ']).next().unwrap_or_default());
        for variant in variants {
            assert!(
                TABLE.lines().any(|line| line.trim().starts_with(&format!("{variant} |"))),
                "{variant} is missing"
            );
        }
    }
}
