//! The table of refusals: the code and the text of etcd's error, and the number in its v2 API.
//!
//! etcd's clients map errors back to their types by the exact text, so the texts are part of the protocol. Some codes
//! look odd (`Unknown` where etcd's sources declare a better one): they are what etcd really sends.

use tonic::{Code, Status};

use crate::model::Refusal;

/// A refusal in the form that clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'r> {
    /// The gRPC code.
    pub code: Code,
    /// The text.
    pub text: &'r str,
    /// The error code of a v2 request on keys; `None` if no such request meets the refusal.
    pub v2: Option<u16>,
}

/// v2: "Key not found".
const KEY_NOT_FOUND: Option<u16> = Some(100);
/// v2: "The request requires user authentication".
const UNAUTHORIZED: Option<u16> = Some(110);
/// v2: "Raft Internal Error"; the text is its cause.
const RAFT: Option<u16> = Some(300);
/// v2: "The event in requested index is outdated and cleared".
const INDEX_CLEARED: Option<u16> = Some(401);

/// Rows of name, gRPC code, text and v2's code; `(text)` stands for the refusal's own text.
macro_rules! refusals {
    ($($name:ident $(($own:ident))?: $code:ident, $text:expr, $v2:expr;)*) => {
        /// The row of a refusal.
        pub fn of(refusal: &Refusal) -> Row<'_> {
            match refusal {
                $(Refusal::$name { $(0: $own,)? .. } => Row { code: Code::$code, text: $text, v2: $v2 },)*
            }
        }

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

refusals! {
    EmptyKey: InvalidArgument, "etcdserver: key is not provided", None;
    KeyNotFound: InvalidArgument, "etcdserver: key not found", KEY_NOT_FOUND;
    ValueProvided: InvalidArgument, "etcdserver: value is provided", None;
    LeaseProvided: InvalidArgument, "etcdserver: lease is provided", None;
    TooManyOps: InvalidArgument, "etcdserver: too many operations in txn request", None;
    // etcd has no separate limit on nesting: the shrinking limit on operations has the same effect.
    NestedTooDeep: InvalidArgument, "etcdserver: too many operations in txn request", None;
    DuplicateKey: InvalidArgument, "etcdserver: duplicate key given in txn request", None;
    InvalidSortOption: InvalidArgument, "etcdserver: invalid sort option", None;
    Compacted: OutOfRange, "etcdserver: mvcc: required revision has been compacted", INDEX_CLEARED;
    FutureRevision: OutOfRange, "etcdserver: mvcc: required revision is a future revision", None;
    NoSpace: ResourceExhausted, "etcdserver: mvcc: database space exceeded", RAFT;
    Corrupt: DataLoss, "etcdserver: corrupt cluster", RAFT;
    LeaseNotFound: NotFound, "etcdserver: requested lease not found", None;
    LeaseExists: FailedPrecondition, "etcdserver: lease already exists", None;
    LeaseTtlTooLarge: OutOfRange, "etcdserver: too large lease TTL", None;
    NotPrimaryLessor: Unknown, "not a primary lessor", None;
    RequestTooLarge: InvalidArgument, "etcdserver: request is too large", RAFT;
    TooManyRequests: Unknown, "etcdserver: too many requests", RAFT;
    MemberExists: FailedPrecondition, "etcdserver: member ID already exist", None;
    PeerUrlExists: FailedPrecondition, "etcdserver: Peer URLs already exists", None;
    MemberBadUrls: InvalidArgument, "etcdserver: given member URLs are invalid", None;
    MemberNotFound: NotFound, "etcdserver: member not found", None;
    MemberNotLearner: FailedPrecondition, "etcdserver: can only promote a learner member", None;
    LearnerNotReady: FailedPrecondition,
        "etcdserver: can only promote a learner member which is in sync with leader", None;
    TooManyLearners: FailedPrecondition, "etcdserver: too many learner members in cluster", None;
    NotEnoughStarted: Unknown, "etcdserver: re-configuration failed due to not enough started members", None;
    Unhealthy: Unavailable, "etcdserver: unhealthy cluster", None;
    NoLeader: Unavailable, "etcdserver: no leader", RAFT;
    NotLeader: FailedPrecondition, "etcdserver: not leader", None;
    LeaderChanged: Unavailable, "etcdserver: leader changed", RAFT;
    BadLeaderTransferee: FailedPrecondition, "etcdserver: bad leader transferee", None;
    TransferTimedOut: Unknown, "etcdserver: request timed out, leader transfer took too long", None;
    Timeout: Unavailable, "etcdserver: request timed out", RAFT;
    TimeoutLeaderFailed: Unavailable,
        "etcdserver: request timed out, possibly due to previous leader failure", RAFT;
    TimeoutConnectionLost: Unavailable,
        "etcdserver: request timed out, possibly due to connection lost", RAFT;
    TimeoutApplied: Unavailable,
        "etcdserver: request timed out, waiting for the applied index took too long", RAFT;
    Stopped: Unavailable, "etcdserver: server stopped", RAFT;
    Canceled: Cancelled, "etcdserver: request canceled", RAFT;
    NotSupportedForLearner: FailedPrecondition, "etcdserver: rpc not supported for learner", RAFT;
    ClusterVersionUnavailable: FailedPrecondition,
        "etcdserver: cluster version not found during downgrade", None;
    WrongDowngradeVersionFormat: InvalidArgument, "etcdserver: wrong downgrade target version format", None;
    InvalidDowngradeTarget: InvalidArgument, "etcdserver: invalid downgrade target version", None;
    DowngradeInProgress: FailedPrecondition, "etcdserver: cluster has a downgrade job in progress", None;
    NotCapable: FailedPrecondition, "etcdserver: not capable", RAFT;
    UserEmpty: InvalidArgument, "etcdserver: user name is empty", UNAUTHORIZED;
    InvalidToken: Unauthenticated, "etcdserver: invalid auth token", UNAUTHORIZED;
    PermissionDenied: PermissionDenied, "etcdserver: permission denied", UNAUTHORIZED;
    AuthNotEnabled: FailedPrecondition, "etcdserver: authentication is not enabled", None;
    NotSupported(text): Unimplemented, text, None;
    Internal(text): Internal, text, RAFT;
    AuthOldRevision: InvalidArgument, "etcdserver: revision of auth store is old", RAFT;
    InvalidClientVersion: InvalidArgument, "etcdserver: invalid client api version", None;
    DeadlineExceeded: DeadlineExceeded, "context deadline exceeded", RAFT;
    WatchCanceled: Cancelled, "etcdserver: watch canceled", None;
    StreamNotRead: Aborted, "etcdserver: the stream was given up, nothing of it was read for a minute", None;
    MessageTooLong(text): ResourceExhausted, text, None;
    UnknownService: NotFound, "unknown service", None;
    UnknownDowngradeAction: Unknown, "etcdserver: unknown method", None;
    Plain(text): Unknown, text, None;
    SessionExpired: Unknown, "mutex: session is expired", None;
    NobodyElected: Unknown, "election: no leader", None;
    NotElected: Unknown, "election: not leader", None;
    LeaderKeyMissing: Unknown, "\"leader\" field must be provided", None;
    ContextCanceled: Cancelled, "context canceled", None;
    RootUserMissing: FailedPrecondition, "etcdserver: root user does not exist", None;
    RootRoleMissing: FailedPrecondition, "etcdserver: root user does not have root role", None;
    UserExists: FailedPrecondition, "etcdserver: user name already exists", None;
    UserNotFound: FailedPrecondition, "etcdserver: user name not found", None;
    RoleEmpty: InvalidArgument, "etcdserver: role name is empty", None;
    RoleExists: FailedPrecondition, "etcdserver: role name already exists", None;
    RoleNotFound: FailedPrecondition, "etcdserver: role name not found", None;
    AuthFailed: InvalidArgument, "etcdserver: authentication failed, invalid user ID or password", None;
    NoPasswordUser: Unknown, "auth: authentication failed, password was given for no password user", None;
    PermissionNotGiven: InvalidArgument, "etcdserver: permission not given", None;
    RoleNotGranted: FailedPrecondition, "etcdserver: role is not granted to the user", None;
    PermissionNotGranted: FailedPrecondition, "etcdserver: permission is not granted to the role", None;
    InvalidAuthChange: InvalidArgument, "etcdserver: invalid auth management", None;
    PasswordTooLong: Unknown, "bcrypt: password length exceeds 72 bytes", None;
    VerifyOnly: Unknown, "auth: token signing attempted with verify-only key", None;
    // etcd has the text, and no such limit.
    AnswersUnread: ResourceExhausted, "etcdserver: too many requests", RAFT;
    // etcd has no limit.
    TooManyWaiters: ResourceExhausted,
        "too many requests from this address wait for changes: an address may have as many as are still free", RAFT;
    // etcd accepts every cost up to 31, which takes days.
    HashTooCostly: InvalidArgument, "etcdserver: the cost of the password hash is above 16", None;
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let Row { code, text, .. } = of(&refusal);
        Status::new(code, text)
    }
}

/// The text of a refusal.
pub fn text(refusal: &Refusal) -> &str {
    of(refusal).text
}

/// A refusal in the form in which Go prints a gRPC error, with code and text. etcd uses it for the reason why a watcher
/// was not created.
pub fn printed(refusal: &Refusal) -> String {
    let Row { code, text, .. } = of(refusal);
    format!("rpc error: code = {code:?} desc = {text}")
}

/// A refusal inside the lock and election services: they pass on the text without the code.
pub fn plain(refusal: Refusal) -> Refusal {
    Refusal::Plain(text(&refusal).to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Refusal, code, text and v2's code as etcd 3.7 and 3.5 send them: an independent copy, to be compared with etcd
    /// by eye.
    const TABLE: &str = "
        EmptyKey | InvalidArgument | etcdserver: key is not provided
        KeyNotFound | InvalidArgument | etcdserver: key not found | 100
        ValueProvided | InvalidArgument | etcdserver: value is provided
        LeaseProvided | InvalidArgument | etcdserver: lease is provided
        TooManyOps | InvalidArgument | etcdserver: too many operations in txn request
        NestedTooDeep | InvalidArgument | etcdserver: too many operations in txn request
        DuplicateKey | InvalidArgument | etcdserver: duplicate key given in txn request
        InvalidSortOption | InvalidArgument | etcdserver: invalid sort option
        Compacted | OutOfRange | etcdserver: mvcc: required revision has been compacted | 401
        FutureRevision | OutOfRange | etcdserver: mvcc: required revision is a future revision
        NoSpace | ResourceExhausted | etcdserver: mvcc: database space exceeded | 300
        Corrupt | DataLoss | etcdserver: corrupt cluster | 300
        LeaseNotFound | NotFound | etcdserver: requested lease not found
        LeaseExists | FailedPrecondition | etcdserver: lease already exists
        LeaseTtlTooLarge | OutOfRange | etcdserver: too large lease TTL
        NotPrimaryLessor | Unknown | not a primary lessor
        RequestTooLarge | InvalidArgument | etcdserver: request is too large | 300
        TooManyRequests | Unknown | etcdserver: too many requests | 300
        MemberExists | FailedPrecondition | etcdserver: member ID already exist
        PeerUrlExists | FailedPrecondition | etcdserver: Peer URLs already exists
        MemberBadUrls | InvalidArgument | etcdserver: given member URLs are invalid
        MemberNotFound | NotFound | etcdserver: member not found
        MemberNotLearner | FailedPrecondition | etcdserver: can only promote a learner member
        LearnerNotReady | FailedPrecondition | etcdserver: can only promote a learner member which is in sync with leader
        TooManyLearners | FailedPrecondition | etcdserver: too many learner members in cluster
        NotEnoughStarted | Unknown | etcdserver: re-configuration failed due to not enough started members
        Unhealthy | Unavailable | etcdserver: unhealthy cluster
        NoLeader | Unavailable | etcdserver: no leader | 300
        NotLeader | FailedPrecondition | etcdserver: not leader
        LeaderChanged | Unavailable | etcdserver: leader changed | 300
        BadLeaderTransferee | FailedPrecondition | etcdserver: bad leader transferee
        TransferTimedOut | Unknown | etcdserver: request timed out, leader transfer took too long
        Timeout | Unavailable | etcdserver: request timed out | 300
        TimeoutLeaderFailed | Unavailable | etcdserver: request timed out, possibly due to previous leader failure | 300
        TimeoutConnectionLost | Unavailable | etcdserver: request timed out, possibly due to connection lost | 300
        TimeoutApplied | Unavailable | etcdserver: request timed out, waiting for the applied index took too long | 300
        Stopped | Unavailable | etcdserver: server stopped | 300
        Canceled | Cancelled | etcdserver: request canceled | 300
        NotSupportedForLearner | FailedPrecondition | etcdserver: rpc not supported for learner | 300
        ClusterVersionUnavailable | FailedPrecondition | etcdserver: cluster version not found during downgrade
        WrongDowngradeVersionFormat | InvalidArgument | etcdserver: wrong downgrade target version format
        InvalidDowngradeTarget | InvalidArgument | etcdserver: invalid downgrade target version
        DowngradeInProgress | FailedPrecondition | etcdserver: cluster has a downgrade job in progress
        NotCapable | FailedPrecondition | etcdserver: not capable | 300
        UserEmpty | InvalidArgument | etcdserver: user name is empty | 110
        InvalidToken | Unauthenticated | etcdserver: invalid auth token | 110
        PermissionDenied | PermissionDenied | etcdserver: permission denied | 110
        AuthNotEnabled | FailedPrecondition | etcdserver: authentication is not enabled
        NotSupported | Unimplemented | why
        Internal | Internal | why | 300
        AuthOldRevision | InvalidArgument | etcdserver: revision of auth store is old | 300
        InvalidClientVersion | InvalidArgument | etcdserver: invalid client api version
        DeadlineExceeded | DeadlineExceeded | context deadline exceeded | 300
        WatchCanceled | Cancelled | etcdserver: watch canceled
        StreamNotRead | Aborted | etcdserver: the stream was given up, nothing of it was read for a minute
        MessageTooLong | ResourceExhausted | why
        UnknownService | NotFound | unknown service
        UnknownDowngradeAction | Unknown | etcdserver: unknown method
        Plain | Unknown | why
        SessionExpired | Unknown | mutex: session is expired
        NobodyElected | Unknown | election: no leader
        NotElected | Unknown | election: not leader
        LeaderKeyMissing | Unknown | \"leader\" field must be provided
        ContextCanceled | Cancelled | context canceled
        RootUserMissing | FailedPrecondition | etcdserver: root user does not exist
        RootRoleMissing | FailedPrecondition | etcdserver: root user does not have root role
        UserExists | FailedPrecondition | etcdserver: user name already exists
        UserNotFound | FailedPrecondition | etcdserver: user name not found
        RoleEmpty | InvalidArgument | etcdserver: role name is empty
        RoleExists | FailedPrecondition | etcdserver: role name already exists
        RoleNotFound | FailedPrecondition | etcdserver: role name not found
        AuthFailed | InvalidArgument | etcdserver: authentication failed, invalid user ID or password
        NoPasswordUser | Unknown | auth: authentication failed, password was given for no password user
        PermissionNotGiven | InvalidArgument | etcdserver: permission not given
        RoleNotGranted | FailedPrecondition | etcdserver: role is not granted to the user
        PermissionNotGranted | FailedPrecondition | etcdserver: permission is not granted to the role
        InvalidAuthChange | InvalidArgument | etcdserver: invalid auth management
        PasswordTooLong | Unknown | bcrypt: password length exceeds 72 bytes
        VerifyOnly | Unknown | auth: token signing attempted with verify-only key
        AnswersUnread | ResourceExhausted | etcdserver: too many requests | 300
        HashTooCostly | InvalidArgument | etcdserver: the cost of the password hash is above 16
        TooManyWaiters | ResourceExhausted | too many requests from this address wait for changes: an address may have as many as are still free | 300";

    fn named(name: &str) -> Option<Refusal> {
        // Their form in JSON: a text alone, with a text, with a number.
        let forms = [
            format!("\"{name}\""),
            format!("{{\"{name}\":\"why\"}}"),
            format!("{{\"{name}\":{{\"compacted\":7}}}}"),
        ];
        forms.iter().find_map(|form| serde_json::from_str(form).ok())
    }

    #[test]
    fn every_refusal_is_sent_as_etcd_sends_it() {
        let mut seen = BTreeSet::new();
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut cells = line.split(" | ");
            let name = cells.next().unwrap_or_default();
            let refusal = named(name).unwrap_or_else(|| panic!("no refusal is called {name}"));
            let v2 = of(&refusal).v2;
            let status = Status::from(refusal);
            assert_eq!(Some(format!("{:?}", status.code()).as_str()), cells.next(), "{name}");
            assert_eq!(Some(status.message()), cells.next(), "{name}");
            assert_eq!(v2.map(|code| code.to_string()).as_deref(), cells.next(), "{name}");
            assert!(status.details().is_empty());
            seen.insert(name);
        }
        assert_eq!(seen, NAMES.iter().copied().collect(), "the copy has every row");
    }

    #[test]
    fn a_refused_watcher_is_told_as_by_go() {
        let text = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        assert_eq!(printed(&Refusal::PermissionDenied), text);
    }
}
