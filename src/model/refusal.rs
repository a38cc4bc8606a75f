//! All refusals. A refusal carries meaning; only `api/status.rs` turns it into etcd's codes and texts.

use serde::{Deserialize, Serialize};

/// Why a request was not carried out. Refusals by an applied command are deterministic and part of its reply; the
/// others come from the member that was asked. New variants go at the end (they are sent between members).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// A request without a key.
    #[error("no key given")]
    EmptyKey,
    /// `ignore_value` or `ignore_lease` on a key that does not exist.
    #[error("key not found")]
    KeyNotFound,
    /// `ignore_value` together with a value.
    #[error("a value is given with ignore_value")]
    ValueProvided,
    /// `ignore_lease` together with a lease.
    #[error("a lease is given with ignore_lease")]
    LeaseProvided,
    /// More operations in a transaction than allowed.
    #[error("too many operations in a transaction")]
    TooManyOps,
    /// Transactions nested deeper than allowed.
    #[error("transactions nested too deeply")]
    NestedTooDeep,
    /// Two puts of one key in a transaction, or a put inside a deleted range.
    #[error("a key is changed twice in a transaction")]
    DuplicateKey,
    /// A sort option outside the enumeration.
    #[error("invalid sort option")]
    InvalidSortOption,
    /// The revision asked for has been compacted.
    #[error("revision has been compacted; the compacted revision is {compacted}")]
    Compacted {
        /// The compacted revision.
        compacted: i64,
    },
    /// The revision asked for has not happened yet.
    #[error("revision lies in the future")]
    FutureRevision,
    /// The space quota is exceeded.
    #[error("space quota exceeded")]
    NoSpace,
    /// The data of members differ.
    #[error("cluster is corrupt")]
    Corrupt,
    /// No lease with that id.
    #[error("lease not found")]
    LeaseNotFound,
    /// A lease with that id exists.
    #[error("lease already exists")]
    LeaseExists,
    /// A time to live above the maximum.
    #[error("lease time to live is too large")]
    LeaseTtlTooLarge,
    /// The member is no longer the leader that renews leases.
    #[error("not the primary lessor")]
    NotPrimaryLessor,
    /// The request is larger than allowed.
    #[error("request is too large")]
    RequestTooLarge,
    /// Too many requests wait to be applied.
    #[error("too many requests")]
    TooManyRequests,
    /// A member with that id exists.
    #[error("member id exists")]
    MemberExists,
    /// A peer URL belongs to another member.
    #[error("peer URL exists")]
    PeerUrlExists,
    /// A peer URL that is not valid.
    #[error("bad peer URLs")]
    MemberBadUrls,
    /// No member with that id.
    #[error("member not found")]
    MemberNotFound,
    /// Promotion of a member that is not a learner.
    #[error("member is not a learner")]
    MemberNotLearner,
    /// Promotion of a learner that has not caught up.
    #[error("learner is not in sync with the leader")]
    LearnerNotReady,
    /// More learners than allowed.
    #[error("too many learners")]
    TooManyLearners,
    /// The change would leave too few started members.
    #[error("not enough started members")]
    NotEnoughStarted,
    /// The change would leave too few connected members.
    #[error("unhealthy cluster")]
    Unhealthy,
    /// No leader is known.
    #[error("no leader")]
    NoLeader,
    /// Only the leader does this.
    #[error("not the leader")]
    NotLeader,
    /// The leader changed while the request waited.
    #[error("leader changed")]
    LeaderChanged,
    /// The member named cannot become leader.
    #[error("bad leader transferee")]
    BadLeaderTransferee,
    /// A leadership transfer did not finish in time.
    #[error("leadership transfer took too long")]
    TransferTimedOut,
    /// The request was not served in time; a write may still happen.
    #[error("timed out")]
    Timeout,
    /// As [`Refusal::Timeout`]; the previous leader has failed.
    #[error("timed out, the previous leader failed")]
    TimeoutLeaderFailed,
    /// As [`Refusal::Timeout`]; the connection to the leader or to the quorum was lost.
    #[error("timed out, connection lost")]
    TimeoutConnectionLost,
    /// A committed entry was not applied here in time.
    #[error("timed out waiting for the applied index")]
    TimeoutApplied,
    /// The member is stopping.
    #[error("server stopped")]
    Stopped,
    /// The caller went away.
    #[error("request canceled")]
    Canceled,
    /// A learner does not serve this.
    #[error("not supported for a learner")]
    NotSupportedForLearner,
    /// The cluster's version is not known yet.
    #[error("cluster version unknown")]
    ClusterVersionUnavailable,
    /// A downgrade target that is no version.
    #[error("wrong downgrade version format")]
    WrongDowngradeVersionFormat,
    /// A downgrade target that is not one minor version below.
    #[error("invalid downgrade target version")]
    InvalidDowngradeTarget,
    /// Authentication is on, and the request names no user.
    #[error("no user")]
    UserEmpty,
    /// A token that is not valid.
    #[error("invalid token")]
    InvalidToken,
    /// The user may not do this.
    #[error("permission denied")]
    PermissionDenied,
    /// Authentication is off.
    #[error("authentication is not enabled")]
    AuthNotEnabled,
    /// Users or roles have changed since the caller was authenticated. Nothing was done: it may be authenticated again.
    #[error("revision of users and roles is old")]
    AuthOldRevision,
    /// The request is part of etcd's API but not served by this version.
    #[error("not supported: {0}")]
    NotSupported(String),
    /// An internal error, logged where it happened.
    #[error("internal error: {0}")]
    Internal(String),
    /// The version that the client names is not text.
    #[error("invalid client version")]
    InvalidClientVersion,
    /// The caller's own deadline has passed.
    #[error("deadline exceeded")]
    DeadlineExceeded,
    /// The client broke off a stream of watchers.
    #[error("watch canceled")]
    WatchCanceled,
    /// A stream was given up because its client did not read it.
    #[error("the stream was not read")]
    StreamNotRead,
    /// A message of a stream is longer than allowed; the text has the lengths.
    #[error("{0}")]
    MessageTooLong(String),
    /// A service of another name was asked for.
    #[error("unknown service")]
    UnknownService,
    /// Neither to validate a downgrade nor to enable or cancel one.
    #[error("unknown action of a downgrade")]
    UnknownDowngradeAction,
    /// A refusal inside a lock or an election, of which only the text is handed on.
    #[error("{0}")]
    Plain(String),
    /// The lease of a lock ended while its owner waited.
    #[error("session is expired")]
    SessionExpired,
    /// Nobody has won the election.
    #[error("no leader elected")]
    NobodyElected,
    /// Only the one that the election has made leader does this.
    #[error("not the elected leader")]
    NotElected,
    /// A request of a leader that does not say which.
    #[error("no leader given")]
    LeaderKeyMissing,
    /// What was waited for ended.
    #[error("canceled")]
    ContextCanceled,
    /// Authentication needs a user called root.
    #[error("there is no user root")]
    RootUserMissing,
    /// Authentication needs the user root to have the role root.
    #[error("the user root does not have the role root")]
    RootRoleMissing,
    /// A user with that name exists.
    #[error("user already exists")]
    UserExists,
    /// No user with that name.
    #[error("user not found")]
    UserNotFound,
    /// A role without a name.
    #[error("no role name given")]
    RoleEmpty,
    /// A role with that name exists.
    #[error("role already exists")]
    RoleExists,
    /// No role with that name.
    #[error("role not found")]
    RoleNotFound,
    /// No user with that name and password.
    #[error("authentication failed")]
    AuthFailed,
    /// A password was given for a user that has none.
    #[error("the user has no password")]
    NoPasswordUser,
    /// A grant that does not say which permission.
    #[error("no permission given")]
    PermissionNotGiven,
    /// The user does not have the role that is to be taken from it.
    #[error("the user does not have the role")]
    RoleNotGranted,
    /// The role does not have the permission that is to be taken from it.
    #[error("the role does not have the permission")]
    PermissionNotGranted,
    /// While authentication is on, the user root and the role root stay; or a permission's range is not valid.
    #[error("invalid change of users or roles")]
    InvalidAuthChange,
    /// A new password that is longer than bcrypt reads.
    #[error("the password is too long")]
    PasswordTooLong,
    /// This member verifies tokens and has no key to sign any.
    #[error("no key to sign tokens")]
    VerifyOnly,
    /// The answers that clients have not read yet leave no memory for one more.
    #[error("no memory for another answer")]
    AnswersUnread,
    /// A password's hash that takes too long to compare with a password.
    #[error("the cost of the password's hash is too high")]
    HashTooCostly,
    /// A downgrade is in progress already.
    #[error("a downgrade is in progress")]
    DowngradeInProgress,
    /// Not every member knows the command, see [`super::Command::since`].
    #[error("the cluster's version does not allow it yet")]
    NotCapable,
    /// Too many requests from one address wait for changes of v2's tree.
    #[error("too many requests from this address wait")]
    TooManyWaiters,
}
